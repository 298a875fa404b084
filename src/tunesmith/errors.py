"""Defines every error that tunesmith raises on purpose, with the exit code of the command line.

TunesmithError                 exit 1   the work was started and failed
├── TrainingFailed             exit 1   training ended without a usable model
│   └── NonFinite              exit 1   a loss, gradient or weight became infinite or NaN
├── InputError                 exit 2   the input cannot be used; nothing was written
│   ├── RecipeError            exit 2   the recipe file or an override
│   │   └── NoLabels           exit 2   the recipe's task has no labels, and the command needs them
│   ├── DataError              exit 2   a data file or a column
│   │   └── UndecidedColumn    exit 2   only the user can decide which column has a role
│   ├── ModelError             exit 2   the base model, adapter or a saved run's model
│   ├── OutputError            exit 2   the place to write to
│   ├── GenerationError        exit 2   the constraints or the decoding of generated text
│   └── MissingExtra           exit 2   an optional library is not installed
└── Interrupted                exit 130 Ctrl-C or SIGTERM; the state was saved
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

LONGEST_LINE = 2_000
"""Characters of a problem that are shown; names and cells of data can be much longer."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in the four parts a reader needs.

    Attributes:
        check: the name of the check that found it, e.g. ``recipe`` or ``labels``.
        where: file, line, row or recipe key; empty if there is no place.
        message: the observed and the expected value.
        remedy: the next step for the user; empty if there is none.
    """

    check: str
    where: str
    message: str
    remedy: str = ""

    def line(self) -> str:
        """Formats the problem as one line of text, ``where: message (remedy)``; a long one is cut in its middle."""
        place = f"{self.where}: " if self.where else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        line, half = f"{place}{self.message}{remedy}", LONGEST_LINE // 2
        left_out = len(line) - LONGEST_LINE
        return line if left_out <= 0 else f"{line[:half]} ... {left_out:,} characters ... {line[-half:]}"

    def to_json(self) -> dict[str, str]:
        return asdict(self)


class TunesmithError(Exception):
    """The work was started and failed."""

    exit_code = 1


class TrainingFailed(TunesmithError):
    """Training ended without a usable model."""


class NonFinite(TrainingFailed):
    """A loss, gradient or weight became infinite or NaN."""


class InputError(TunesmithError):
    """The input cannot be used. Carries every problem found, not only the first."""

    exit_code = 2
    check = "input"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.line() for problem in self.problems))

    @classmethod
    def one(cls, where: str, message: str, remedy: str = "") -> InputError:
        """Builds the error with a single problem of this class's check."""
        return cls([Problem(cls.check, where, message, remedy)])


class RecipeError(InputError):
    """The recipe file or an override cannot be used."""

    check = "recipe"


class NoLabels(RecipeError):
    """The recipe's task has no class labels or scores, and the command needs them.

    Attributes:
        task: the recipe's task.
        commands: the command-line verbs for the finished model of that task.
    """

    def __init__(self, task: str, commands: Sequence[str]) -> None:
        self.task, self.commands = task, tuple(commands)
        message = f"it has no labels, which this command needs: the task is {task}."
        remedy = f"Use check and train for it, {' and '.join(commands)} for its model."
        super().__init__([Problem(self.check, "the recipe", message, remedy)])


class DataError(InputError):
    """A data file or a column cannot be used."""

    check = "data"


SHOWN_CANDIDATES = 12


class UndecidedColumn(DataError):
    """Column names and contents do not decide which column has a role.

    Attributes:
        part: the role, a key under ``data.columns``.
        candidates: equally plausible columns; empty where no column is plausible.
    """

    def __init__(self, where: str, message: str, part: str, candidates: Sequence[str] = ()) -> None:
        self.part, self.candidates = part, tuple(candidates)
        choices = [f"{part}: {name}" for name in self.candidates[:SHOWN_CANDIDATES]]
        if part == "text" and len(choices) == 2:
            choices.append(f"{choices[0]}, pair: {self.candidates[1]}")
        lines = " or ".join(f'"columns: {{{choice}}}"' for choice in choices)
        lines += f", or one of {others} more" if (others := len(self.candidates) - SHOWN_CANDIDATES) > 0 else ""
        remedy = f"Name it under data in the recipe: {lines}." if lines else f'Name it: "columns: {{{part}: NAME}}".'
        super().__init__([Problem(self.check, where, message, remedy)])


class ModelError(InputError):
    """The base model, the adapter or a saved run's model cannot be used."""

    check = "model"


class OutputError(InputError):
    """The place to write to cannot be used."""

    check = "output"


class GenerationError(InputError):
    """The constraints or the decoding options of generated text cannot be used."""

    check = "generation"


class MissingExtra(InputError):
    """An optional library is not installed."""

    check = "install"

    @classmethod
    def of(cls, library: str, extra: str, purpose: str) -> InputError:
        """Builds the error that names the library, its purpose and the exact install line."""
        return cls.one(
            "", f"{purpose} needs the library {library}, which is not installed.", f"Run: pip install 'tunesmith[{extra}]'"
        )


class Interrupted(TunesmithError):
    """Ctrl-C or SIGTERM stopped the work at a step boundary; the state was saved."""

    exit_code = 130


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's text, else its class name."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def require_equal(before: Mapping[str, Any], now: Mapping[str, Any], started: str, remedy: str) -> None:
    """Raises InputError that names each setting that has another value than when work was started.

    Args:
        started: what was started, with its verb: ``the run was``.
    """
    changed = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    if changed:
        changes = {key: f"was {before.get(key)} when {started} started, is {now.get(key)} now." for key in changed}
        raise InputError([Problem("resume", key, message, remedy) for key, message in changes.items()])


def require_same_content(before: Mapping[str, str], now: Mapping[str, str], started: str, remedy: str) -> None:
    """Raises InputError that names each input whose content has changed since work was started.

    Args:
        before, now: recipe key -> sha256; empty for a file that cannot be read.
        started: what was started, with its verb: ``the run was``.
    """
    changed = [key for key in now if key in before and before[key] != now[key]]
    if changed:
        message = "its content has changed since {} started (sha256 {}, now {})."
        changes = {key: message.format(started, f"{before[key]:.12}", f"{now[key]:.12}" or "unknown") for key in changed}
        raise InputError([Problem("resume", key, message, remedy) for key, message in changes.items()])
