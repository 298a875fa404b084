"""What a pre-flight says: one line a check, with its figure, and the problem where it failed."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.errors import InputError, Problem


@dataclass(frozen=True)
class CheckLine:
    """One check.

    Attributes:
        figure: what was measured, as a sentence.
        problem: why the run cannot start; None where the check passed.
        note: a warning: the run can start, but the user should know.
    """

    check: str
    figure: str
    problem: Problem | None = None
    note: str = ""


@dataclass(frozen=True)
class CheckReport:
    """All checks of a pre-flight, cheapest first.

    Attributes:
        estimate_seconds: of the training; None where the model was not loaded.
    """

    checks: tuple[CheckLine, ...]
    estimate_seconds: float | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(line.problem for line in self.checks if line.problem is not None)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(line.note for line in self.checks if line.note)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(
            f"{'FAIL' if line.problem else 'note' if line.note else 'ok':4} {line.check}: {line.figure}" for line in self.checks
        )

    def raise_if_failed(self) -> None:
        """Raise InputError with every problem, where there is one."""
        if self.problems:
            raise InputError(self.problems)
