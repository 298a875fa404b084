"""Defines the report of a pre-flight: one line per check, with its figure, and the problem of a failed one."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.errors import InputError, Problem


@dataclass(frozen=True)
class CheckLine:
    """The outcome of one check.

    Attributes:
        figure: the measured values, as a phrase.
        problem: the reason why the run cannot start; None if the check passed.
        note: a warning that does not keep the run from starting; empty if there is none. It may begin or end with the figure.
        remedy: the next step for the user after a note.
    """

    check: str
    figure: str
    problem: Problem | None = None
    note: str = ""
    remedy: str = ""

    @property
    def outcome(self) -> tuple[str, ...]:
        """Returns the figure and the note, without what both say."""
        if self.note.endswith(self.figure):
            return (self.figure,)
        return (self.note,) if self.note.startswith(self.figure) else (self.figure, self.note)

    @property
    def notes(self) -> tuple[str, ...]:
        """Returns the note with its remedy, if there is one."""
        return (joined(self.note, self.remedy),) if self.note else ()


@dataclass(frozen=True)
class CheckReport:
    """All checks of a pre-flight, cheapest first.

    Attributes:
        estimate_seconds: estimated training time; None if the model was not loaded.
    """

    checks: tuple[CheckLine, ...]
    estimate_seconds: float | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(line.problem for line in self.checks if line.problem is not None)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(note for line in self.checks for note in line.notes)

    def notes_of(self, check: str) -> tuple[str, ...]:
        """Returns the notes of the lines of that name, with their remedies."""
        return tuple(note for line in self.checks if line.check == check for note in line.notes)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(
            f"{'FAIL' if line.problem else 'note' if line.note else 'ok':4} {line.check}: "
            + joined(*line.outcome, line.remedy if line.note else "")
            for line in self.checks
        )

    def raise_if_failed(self) -> None:
        """Raises InputError with every problem, if there is one."""
        if self.problems:
            raise InputError(self.problems)


def joined(*sentences: str) -> str:
    """Joins sentences that are not empty: a full stop between them, a capital letter after it."""
    first, *others = filter(None, sentences)
    *before, last = [first, *(f"{text[0].upper()}{text[1:]}" for text in others)]
    return " ".join([*(f"{text.rstrip('.')}." for text in before), last])
