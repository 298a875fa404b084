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
        note: a warning that does not keep the run from starting; empty if there is none.
        remedy: the next step for the user after a note.
    """

    check: str
    figure: str
    problem: Problem | None = None
    note: str = ""
    remedy: str = ""


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
        return tuple(with_remedy(line.note, line.remedy) for line in self.checks if line.note)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(
            f"{'FAIL' if line.problem else 'note' if line.note else 'ok':4} {line.check}: "
            + with_remedy(line.figure, line.remedy if line.note else "")
            for line in self.checks
        )

    def raise_if_failed(self) -> None:
        """Raises InputError with every problem, if there is one."""
        if self.problems:
            raise InputError(self.problems)


def with_remedy(text: str, remedy: str) -> str:
    """Appends the remedy as a sentence of its own."""
    return f"{text.rstrip('.')}. {remedy}" if remedy else text
