"""What models say of rows they did not see, and a training run of rows it saw: the arrays that diagnoses read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.near_duplicates import NearDuplicates
from tunesmith.data.table import Examples
from tunesmith.diagnosis.folds import folds_for
from tunesmith.diagnosis.input_ablation import ChangedInputs, Wanted, changed_inputs, lazy_embedder
from tunesmith.diagnosis.out_of_fold import OutOfFold, out_of_fold
from tunesmith.diagnosis.training_logits import read_epoch_logits
from tunesmith.models.source import ModelSource, find_model
from tunesmith.progress import Clock, Event, Listener
from tunesmith.recipe.defaults import with_defaults
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.recipe.sections import Recipe
from tunesmith.tasks.classification.data import LabelledTaskData

if TYPE_CHECKING:
    from tunesmith.models.base_embeddings import BaseEmbeddings

FROZEN, FINETUNE = "frozen", "finetune"


@dataclass(frozen=True)
class HeldOut:
    """Arrays over all rows of a diagnosis.

    Attributes:
        said: out-of-fold probabilities with their folds.
        embeddings: (N, D) of the untouched base model; both texts of a pair side by side.
        epoch_logits: (E, N, K); None where no training followed the rows.
        epoch_mode: ``train`` or ``evaluation``.
        changed: what linear models say of changed inputs, where that was asked for.
        note: what the user should know of the embeddings; may be empty.
    """

    said: OutOfFold
    embeddings: Array
    epoch_logits: Array | None
    epoch_mode: str
    changed: ChangedInputs
    note: str = ""

    def part(self, rows: slice) -> dict[str, Any]:
        """The fields of ``Evidence`` for some of the rows."""
        known: dict[str, Any] = {
            "pred_probs": self.said.pred_probs[rows],
            "folds": self.said.folds[rows],
            "embeddings": self.embeddings[rows],
        }
        if self.epoch_logits is not None:
            known |= {"epoch_logits": self.epoch_logits[:, rows], "epoch_mode": self.epoch_mode}
        if self.changed.null_log2 is not None:
            known["null_log2"] = self.changed.null_log2[rows]
        return known


def held_out(
    splits: LabelledData, rows: Examples, near: NearDuplicates, recipe: Recipe, loaded: LoadedRecipe, wanted: Wanted, run: Path | None,
    clock: Clock, listener: Listener,
) -> HeldOut:  # fmt: skip
    """The arrays for all rows of all splits together, train first.

    Args:
        rows: the rows of all splits.
        wanted: of changed inputs. They are judged by linear models, and compared with such models of the whole rows.
        run: a finished run whose training followed the rows of train.
    """
    source = find_model(recipe.model, loaded.base)
    n_folds = folds_for(recipe.diagnose.n_folds, len(rows))
    base = embedded(rows, source, recipe.data.max_length, clock)
    epoch_logits, mode = (None, "") if run is None else read_epoch_logits(run, splits.train, splits.labels)

    def progress(done: int) -> None:
        listener(Event("step", "cross-validation", done, n_folds))

    with clock.phase("cross-validation"):
        keep, seed = wanted.needs_models, recipe.train.seed
        said = linear = out_of_fold(rows, splits.labels, base.vectors, near, n_folds, seed, progress, keep_models=keep)
        if recipe.diagnose.method == FINETUNE:
            from tunesmith.training.epoch_logits import MODE

            tuned, followed = by_fine_tuning(splits, rows, near, recipe, source, n_folds, progress)
            said = mean_of_both(linear, tuned)
            epoch_logits, mode = (followed, MODE) if epoch_logits is None else (epoch_logits, mode)
    embedder = lazy_embedder(source, recipe.data.max_length, base.n_layers)
    changed = changed_inputs(wanted, rows, splits.labels, base.vectors, linear, embedder, recipe.train.seed, clock)
    flat = np.concatenate(base.vectors, axis=1) if isinstance(base.vectors, tuple) else base.vectors
    return HeldOut(said, flat, on_rows(epoch_logits, len(rows)), mode, changed, base.note)


def embedded(rows: Examples, source: ModelSource, max_length: int | None, clock: Clock) -> BaseEmbeddings:
    """The embeddings of all rows by the untouched base model."""
    with clock.phase("libraries"):
        from tunesmith.models.base_embeddings import embed
    with clock.phase("embeddings"):
        return embed(rows, source, max_length)


def by_fine_tuning(
    splits: LabelledData, rows: Examples, near: NearDuplicates, recipe: Recipe, source: ModelSource, n_folds: int,
    progress: Callable[[int], None],
) -> tuple[OutOfFold, Array | None]:  # fmt: skip
    from tunesmith.diagnosis.fold_finetuning import fine_tuned

    whole = LabelledData(replace(rows, split="train"), None, None, splits.labels, splits.columns)
    return fine_tuned(
        LabelledTaskData(recipe=with_defaults(recipe, source.n_bytes, len(rows)), splits=whole, source=source),
        near,
        n_folds,
        progress,
    )


def mean_of_both(linear: OutOfFold, tuned: OutOfFold) -> OutOfFold:
    """Linear and fine-tuned models of the same folds as one: the mean of their probabilities.

    A model fine-tuned on wrong labels is as sure of the noise as of the rest, and the share of wrong labels cannot be read
    from it alone: on SST-2 with a tenth of them changed it comes out as 0 %, from the mean as 9 % (``docs/experiments.md``).

    Raises:
        ValueError: the folds differ.
    """
    if not np.array_equal(linear.folds, tuned.folds):
        raise ValueError("the linear and the fine-tuned models are of different folds")
    return replace(linear, pred_probs=(linear.pred_probs + tuned.pred_probs) / 2)


def on_rows(epoch_logits: Array | None, n_rows: int) -> Array | None:
    """Logits (E, n, K) of the first rows as those of all rows (E, n_rows, K), NaN for the others."""
    if epoch_logits is None or epoch_logits.shape[1] == n_rows:
        return epoch_logits
    after = np.full((len(epoch_logits), n_rows - epoch_logits.shape[1], epoch_logits.shape[2]), np.nan, dtype=np.float32)
    return np.concatenate([epoch_logits, after], axis=1)
