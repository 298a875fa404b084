"""Chooses the loss of the training rows and its batch sampler, and checks what a loss needs."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.data.cells import listed, plural
from tunesmith.data.pairs.formats import MEANING
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.errors import DataError, RecipeError
from tunesmith.recipe.suggest import closest
from tunesmith.recipe.task_sections import EmbeddingSection
from tunesmith.training.losses.embedding import LOSSES, default_for, fitting

FEWEST_NEGATIVES = 16
"""Below this batch size an in-batch loss has too few negatives."""
MEGA_BATCH = 500
MINI_BATCH = 32
"""Upstream's default ``mini_batch_size`` of the cached losses."""


@dataclass(frozen=True)
class LossChoice:
    """The chosen loss of some rows.

    Attributes:
        because: the reason, if the recipe does not name the loss.
        in_batch: see ``losses.embedding.Loss``.
        sampler: upstream's name of the batch sampler.
    """

    name: str
    because: str
    in_batch: bool
    sampler: str


def choose_loss(rows: EmbeddingRows, section: EmbeddingSection) -> LossChoice:
    """Returns the loss that the recipe names, or the default of the rows' format."""
    kind, n_classes = rows.format.kind, len(rows.classes)
    default = default_for(kind, n_classes)
    name = section.loss or default.loss
    if name not in LOSSES:
        hint = closest(name, LOSSES)
        raise RecipeError.one("embedding.loss", f"there is no loss {name!r}.", f"{hint} See tunesmith losses.".strip())
    fit = fitting(kind, n_classes)
    if name not in fit:
        classes = f" with {plural(n_classes, 'class')}" if n_classes else ""
        message = f"{name} does not take these rows: they are {MEANING[kind]}{classes}."
        raise RecipeError.one("embedding.loss", message, f"These do: {listed(fit)}. See also embedding.convert.")
    usual = "no_duplicates" if LOSSES[name].in_batch else "batch_sampler"
    sampler = section.batch_sampler or ("group_by_label" if kind == "labelled_text" else usual)
    if sampler == "group_by_label":
        counts = {label: (rows.target or ()).count(label) for label in rows.classes}
        if sum(count >= 2 for count in counts.values()) < 2:
            shown = listed(f"{label} ({count})" for label, count in counts.items())
            message = f"triplets need two classes with two rows each; there are {shown or 'no classes'}."
            raise DataError.one(rows.source, message, "Give more rows, or another embedding.batch_sampler.")
    return LossChoice(name, "" if section.loss else default.because, LOSSES[name].in_batch, sampler)


def check_scores(rows: EmbeddingRows, name: str) -> None:
    """Raises DataError for a score outside of the range that the loss compares it with."""
    if name != "CosineSimilarityLoss" or rows.target is None:
        return
    low, high = min(rows.target), max(rows.target)
    if low < -1 or high > 1:
        at = rows.target.index(high if high > 1 else low)
        message = f"row {rows.row_ids[at]} has the score {rows.target[at]:g}; a cosine lies in -1 to 1."
        remedy = f"Give the range of the scores, e.g. embedding.score_range: [{low:g}, {high:g}], or use CoSENTLoss."
        raise DataError.one(rows.source, message, remedy)


def shortage(choice: LossChoice, batch_rows: int, mini_batch_size: int = MINI_BATCH) -> tuple[str, str]:
    """Returns the shortcoming of such small batches for the loss, and its remedy; both empty if there is none."""
    name, remedy = choice.name, "Raise train.per_device_train_batch_size"
    if name == "MegaBatchMarginLoss" and batch_rows < MEGA_BATCH:
        return f"{name} looks for hard texts among {MEGA_BATCH} rows or more; a batch has {batch_rows}", f"{remedy}."
    if name.startswith("Cached") and batch_rows <= mini_batch_size:
        lack = f"{name} is for batches larger than its mini_batch_size ({mini_batch_size}); a batch has {batch_rows}"
        return lack, f"{remedy}."
    if choice.in_batch and batch_rows < FEWEST_NEGATIVES:
        lack = f"{name} has {plural(batch_rows - 1, 'wrong text')} for each right one"
        return lack, f"{remedy}, or use Cached{name}."
    return "", ""
