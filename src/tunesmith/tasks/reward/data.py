"""Reads and checks the pairs of a reward model without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.data.checks.preferences import check_pairs
from tunesmith.data.preferences.load import PairData, load_pairs
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.data.split import at_most
from tunesmith.errors import MissingExtra
from tunesmith.models.source import find_model
from tunesmith.preflight.preferences import length_line, rows_line
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.static import evaluated_on, read_as, require_validation
from tunesmith.recipe.resolved import with_defaults
from tunesmith.tasks.reward.answers import Answers, read_answer_file
from tunesmith.tasks.task import Request, TaskData, TaskReading


@dataclass(frozen=True, kw_only=True)
class RewardData(TaskData):
    """The pairs of a recipe.

    Attributes:
        shifted: answers of another kind, which scores of the model should recognise; None without.
    """

    pairs: PairData
    shifted: Answers | None = None

    @property
    def judged(self) -> dict[str, JudgedAnswers]:
        """Returns the judged answers of validation and test; empty where the rows are pairs."""
        return {name: rows for name, rows in self.pairs.judged.items() if name != "train"}

    @property
    def evaluation_rows(self) -> dict[str, PreferencePairs]:
        """Returns the evaluation splits, the main one last."""
        return {name: rows for name, rows in self.pairs.named().items() if name != "train"}


def read(request: Request) -> RewardData:
    """Reads the pairs and the base model's files. Raises InputError if they cannot be used."""
    recipe, base = request.loaded.recipe, request.loaded.base
    if find_spec("trl") is None:
        raise MissingExtra.of("trl", "language", f"task {recipe.task}")
    pairs = load_pairs(recipe, base, request.frames)
    require_validation(pairs.validation)
    cut: dict[str, Any] = {name: at_most(part, request.max_rows) for name, part in pairs.named().items()}
    judged = {name: at_most(part, request.max_rows) for name, part in pairs.judged.items()}
    pairs = replace(pairs, **cut, judged=judged)
    source = find_model(recipe.model, base)
    recipe = with_defaults(recipe, source.n_bytes, len(pairs.train))
    shifted = None if recipe.reward.shifted is None else read_answer_file(recipe.reward.shifted, base)
    findings = check_pairs(pairs.named(), pairs.judged)
    return RewardData(recipe=recipe, source=source, base=base, findings=findings, pairs=pairs, shifted=shifted)


def check_rows(data: RewardData) -> Iterator[CheckLine]:
    """Checks the rows, the bias of length, and the size of the evaluation split."""
    yield from map(rows_line, data.pairs.named().values())
    yield from read_as(data.pairs.notes)
    yield length_line(data.pairs.train)
    if data.shifted is not None:
        yield CheckLine("shifted answers", f"{plural(len(data.shifted), 'answer')} ({data.recipe.reward.shifted})")
    split, rows = list(data.evaluation_rows.items())[-1]
    yield evaluated_on(split, len(rows))


READING = TaskReading(read, check_rows)
