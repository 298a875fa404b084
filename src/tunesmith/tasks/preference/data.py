"""Reads and checks the pairs and judged answers of preference runs without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, TypeAlias

from tunesmith.data.cells import plural
from tunesmith.data.checks.control_tokens import control_tokens
from tunesmith.data.checks.preferences import check_judged, check_pairs
from tunesmith.data.preferences.load import JudgedData, PairData, load_judged, load_pairs
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.data.split import at_most
from tunesmith.errors import DataError, MissingExtra, RecipeError
from tunesmith.models.source import find_model, special_tokens
from tunesmith.preflight.preferences import length_line, rows_line
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.static import evaluated_on, read_as, require_validation
from tunesmith.recipe.resolved import with_defaults
from tunesmith.recipe.sections import Recipe
from tunesmith.results import Finding
from tunesmith.tasks.task import Request, TaskData, TaskReading
from tunesmith.training.losses.preference_choice import ChosenLosses, choose_losses

PreferenceRows: TypeAlias = PreferencePairs | JudgedAnswers
FEWEST_IN_A_BATCH = 2
"""Rows of a batch that KTO needs: its reference point is measured on the answers of the other rows."""


@dataclass(frozen=True, kw_only=True)
class PreferenceTaskData(TaskData):
    """The preference rows of a recipe.

    Attributes:
        losses: the losses with their options.
    """

    rows: PairData | JudgedData
    losses: ChosenLosses

    @property
    def all_rows(self) -> dict[str, PreferenceRows]:
        """Returns every split by name."""
        return dict(self.rows.named())

    @property
    def evaluation_rows(self) -> dict[str, PreferenceRows]:
        """Returns the evaluation splits, the main one last."""
        return {name: rows for name, rows in self.all_rows.items() if name != "train"}


def read(request: Request) -> PreferenceTaskData:
    """Reads rows, losses and the base model's files. Raises InputError if they cannot be used."""
    recipe, base = request.loaded.recipe, request.loaded.base
    require_trl(recipe)
    require_pairs(recipe)
    losses = choose_losses(recipe.preference)
    check_options(recipe, losses)
    rows: PairData | JudgedData
    rows = load_judged(recipe, base, request.frames) if losses.is_unpaired else load_pairs(recipe, base, request.frames)
    require_validation(rows.validation)
    cut: dict[str, Any] = {name: at_most(part, request.max_rows) for name, part in rows.named().items()}
    rows = replace(rows, **cut)
    source = find_model(recipe.model, base)
    recipe = with_defaults(recipe, source.n_bytes, len(rows.train))
    check_batches(recipe, losses, rows)
    findings = (*find_in_rows(rows), *control_tokens((), special_tokens(source)))
    return PreferenceTaskData(recipe=recipe, source=source, base=base, findings=findings, rows=rows, losses=losses)


def require_trl(recipe: Recipe) -> None:
    """Raises MissingExtra without TRL."""
    if find_spec("trl") is None:
        raise MissingExtra.of("trl", "language", f"task {recipe.task}")


def require_pairs(recipe: Recipe) -> None:
    """Raises RecipeError for a recipe of rounds, whose rows are prompts."""
    if recipe.rounds is not None:
        message = "the rows of this recipe are prompts, to which each round samples answers."
        raise RecipeError.one("rounds", message, "Run tunesmith rounds with it; to train on pairs, remove rounds and rewards.")


def find_in_rows(rows: PairData | JudgedData) -> tuple[Finding, ...]:
    """Runs the checks of pairs or of judged answers."""
    return check_pairs(rows.named(), rows.judged) if isinstance(rows, PairData) else check_judged(rows.named())


def check_options(recipe: Recipe, losses: ChosenLosses) -> None:
    """Raises RecipeError for options of other sections that these losses cannot have."""
    rates = {f"adapter.{key}": value for key, value in ((recipe.adapter and recipe.adapter.model_extra) or {}).items()}
    rates = {"train.dropout": recipe.train.dropout} | {key: value for key, value in rates.items() if key.endswith("dropout")}
    for key, rate in rates.items():
        if isinstance(rate, int | float) and rate > 0:
            message = "log-probabilities of the model and of its reference are compared without dropout: it would have no effect."
            raise RecipeError.one(key, message, "Remove it, or write 0.")
    if losses.is_moving and recipe.adapter is not None:
        message = "the reference of an adapter is the model without it, which does not move."
        raise RecipeError.one("preference.sync_ref_model", message, "Remove it, or the adapter.")


def check_batches(recipe: Recipe, losses: ChosenLosses, rows: PairData | JudgedData) -> None:
    """Raises errors for batches and rows of which KTO would learn nothing."""
    if not losses.is_unpaired or not isinstance(rows, JudgedData):
        return
    if recipe.train.batch_rows < FEWEST_IN_A_BATCH:
        message = f"{losses.names[0]} compares each answer with those of the other rows of its batch, and a batch has one row."
        raise RecipeError.one("train.per_device_train_batch_size", message, "Write at least 2; 8 or more are better.")
    kinds = set(rows.train.desirable)
    if len(kinds) < 2 and len(rows.train):
        word = "good" if kinds == {True} else "bad"
        message = f"all of {plural(len(rows.train), 'answer')} are judged {word}: there is nothing to prefer."
        raise DataError.one(rows.train.source, message, "Give answers of both kinds.")


def check_rows(data: PreferenceTaskData) -> Iterator[CheckLine]:
    """Checks the rows, the bias of length, and the size of the evaluation split."""
    yield from map(rows_line, data.all_rows.values())
    yield from read_as(data.rows.notes)
    yield length_line(data.rows.train)
    yield CheckLine("loss", data.losses.sentence())
    split, main = list(data.evaluation_rows.items())[-1]
    yield evaluated_on(split, len(main))


READING = TaskReading(read, check_rows)
