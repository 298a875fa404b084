"""Cross-validation of all rows of a data set and the logits of its training run: the arrays that the checks read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.evidence import UNLABELLED, EvidenceArrays, class_ids
from tunesmith.diagnosis.input_ablation import AblationRequest, InputAblation, ablate_inputs, blank_rows, lazy_embedder
from tunesmith.diagnosis.out_of_fold import OutOfFold, default_folds, out_of_fold
from tunesmith.diagnosis.pool import PooledSplits
from tunesmith.errors import DataError
from tunesmith.models.source import ModelSource, find_model
from tunesmith.progress import Clock, Event
from tunesmith.recipe.resolved import with_default_epochs, with_defaults
from tunesmith.recipe.sections import Recipe
from tunesmith.run_folder import EPOCH_LOGITS
from tunesmith.tasks.classification.data import LabelledTaskData

if TYPE_CHECKING:
    from tunesmith.models.base_embeddings import BaseEmbeddings

FROZEN, FINETUNE = "frozen", "finetune"


@dataclass(frozen=True)
class CrossValidation:
    """Arrays over all N rows of a diagnosis.

    Attributes:
        out_of_fold: out-of-fold probabilities with their folds.
        embeddings: (N, D) of the untouched base model; both texts of a pair side by side.
        epoch_logits: (E, N, K); None if no training run recorded them.
        epoch_mode: ``train`` or ``evaluation``.
        ablation: predictions of the linear models on ablated inputs; empty unless the recipe requests them.
        note: limits of the embeddings, for the user; may be empty.
    """

    out_of_fold: OutOfFold
    embeddings: Array
    epoch_logits: Array | None
    epoch_mode: str
    ablation: InputAblation
    note: str = ""

    def part(self, rows: slice) -> EvidenceArrays:
        arrays = EvidenceArrays(
            pred_probs=self.out_of_fold.pred_probs[rows], folds=self.out_of_fold.folds[rows], embeddings=self.embeddings[rows]
        )
        if self.epoch_logits is not None:
            arrays |= {"epoch_logits": self.epoch_logits[:, rows], "epoch_mode": self.epoch_mode}
        if self.ablation.null_log2 is not None:
            arrays["null_log2"] = self.ablation.null_log2[rows]
        return arrays


@dataclass(frozen=True)
class CrossValidationSettings:
    """What the rows are cross-validated with.

    Attributes:
        recipe: names the base model, the folds and whether models are fine-tuned in them.
        base: folder that a relative model path is looked up in first.
        ablation: input ablations. Linear models predict them, and are compared with such models of the whole rows.
        run: a finished run that recorded logits of the rows of train.
        processes: that divide the rows to embed, and the folds to fine-tune.
    """

    recipe: Recipe
    base: Path
    ablation: AblationRequest
    run: Path | None = None
    processes: int = 1


def cross_validate(pooled: PooledSplits, settings: CrossValidationSettings, clock: Clock) -> CrossValidation:
    """Computes the arrays for all rows, which have one label each."""
    splits, rows, recipe, request = pooled.splits, pooled.rows, settings.recipe, settings.ablation
    source, run = find_model(recipe.model, settings.base), settings.run
    n_folds = default_folds(recipe.diagnose.n_folds, len(rows))
    embeddings = embed_rows(rows, source, recipe.data.max_length, clock, settings.processes)
    vectors, seed = embeddings.vectors, recipe.train.seed
    epoch_logits, mode = (None, "") if run is None else read_epoch_logits(run, splits.train, splits.labels)

    def progress(done: int) -> None:
        clock.listener(Event("step", "cross-validation", done, n_folds))

    keep = bool(request.words_of_rows or request.word_lists)  # these predict further rows
    with clock.phase("cross-validation"):
        linear = out_of_fold(rows, splits.labels, vectors, pooled.near, n_folds, seed, progress=progress, keep_models=keep)
        predictions = linear
        if recipe.diagnose.method == FINETUNE:
            from tunesmith.training.epoch_logits import MODE

            tuned, fold_logits = finetune_folds(pooled, settings, source, linear.folds, progress)
            predictions = average_pred_probs(linear, tuned)
            epoch_logits, mode = (fold_logits, MODE) if epoch_logits is None else (epoch_logits, mode)
    embedder = lazy_embedder(source, recipe.data.max_length, embeddings.n_layers)
    ablation = ablate_inputs(request, rows, vectors, linear, embedder, seed=seed, clock=clock)
    if ablation.null_log2 is not None and recipe.diagnose.method == FINETUNE:
        with clock.phase("null model"):
            ablation = with_finetuned_null(ablation, pooled, settings, source, progress)
    flat = np.concatenate(vectors, axis=1) if isinstance(vectors, tuple) else vectors
    return CrossValidation(predictions, flat, pad_rows(epoch_logits, len(rows)), mode, ablation, embeddings.note)


def embed_rows(rows: Examples, source: ModelSource, max_length: int | None, clock: Clock, processes: int = 1) -> BaseEmbeddings:
    """Embeds all rows by the untouched base model."""
    with clock.phase("libraries"):
        from tunesmith.models.base_embeddings import embed
    with clock.phase("embeddings"):
        return embed(rows, source, max_length, processes)


def finetune_folds(
    pooled: PooledSplits, settings: CrossValidationSettings, source: ModelSource, folds: Array, progress: Callable[[int], None]
) -> tuple[OutOfFold, Array | None]:
    """Cross-validates fine-tuned models on all rows in the given folds (N); see ``fine_tuned``."""
    from tunesmith.diagnosis.fold_finetuning import fine_tuned

    rows, splits = pooled.rows, pooled.splits
    whole = LabelledData(replace(rows, split="train"), None, None, splits.labels, splits.columns)
    recipe = with_defaults(with_default_epochs(settings.recipe), source.n_bytes, len(rows))
    return fine_tuned(LabelledTaskData(recipe=recipe, splits=whole, source=source), folds, progress, settings.processes)


def with_finetuned_null(
    ablation: InputAblation,
    pooled: PooledSplits,
    settings: CrossValidationSettings,
    source: ModelSource,
    progress: Callable[[int], None],
) -> InputAblation:
    """Adds the base model, fine-tuned on texts without content in the same folds, to the null model.

    Ethayarajh et al. 2022, section 2: the null model is of the same family as the model of the texts. Here that is the mean of
    linear and fine-tuned models, so it is the null model, too.
    """
    assert ablation.null_log2 is not None
    blank = replace(pooled, rows=blank_rows(pooled.rows))
    tuned, _ = finetune_folds(blank, settings, source, ablation.linear.folds, progress)
    given = class_ids(pooled.rows)
    own = tuned.pred_probs[np.arange(len(given)), given]
    both = np.log2((2**ablation.null_log2 + own) / 2)
    return replace(ablation, null_log2=np.where(given == UNLABELLED, 0.0, both))


def average_pred_probs(linear: OutOfFold, tuned: OutOfFold) -> OutOfFold:
    """Averages the probabilities of linear and fine-tuned models of the same folds.

    A model fine-tuned on wrong labels is as confident of the noise as of the rest, and the share of wrong labels cannot be read
    from it alone: on SST-2 with a tenth of them changed it comes out as 0 %, from the mean as 9 % (``docs/experiments.md``).
    """
    if not np.array_equal(linear.folds, tuned.folds):
        raise ValueError("the linear and the fine-tuned models are of different folds")
    return replace(linear, pred_probs=(linear.pred_probs + tuned.pred_probs) / 2)


def pad_rows(epoch_logits: Array | None, n_rows: int) -> Array | None:
    """Extends the logits (E, n, K) of the first n rows to all rows (E, n_rows, K), with NaN for the others."""
    if epoch_logits is None or epoch_logits.shape[1] == n_rows:
        return epoch_logits
    after = np.full((len(epoch_logits), n_rows - epoch_logits.shape[1], epoch_logits.shape[2]), np.nan, dtype=np.float32)
    return np.concatenate([epoch_logits, after], axis=1)


def logged_row_ids(run: Path) -> frozenset[int] | None:
    """Returns the ids of the rows whose logits a run saved; None if it saved none."""
    if not (run / EPOCH_LOGITS).exists():
        return None
    with np.load(run / EPOCH_LOGITS) as arrays:
        return frozenset(arrays["row_ids"].tolist())


def read_epoch_logits(run: Path, rows: Examples, labels: Labels) -> tuple[Array | None, str]:
    """Reads a run's logits (E, N, K) of these rows, NaN for rows it was not trained on, and their mode; None if it saved none."""
    if not (run / EPOCH_LOGITS).exists():
        return None, ""
    with np.load(run / EPOCH_LOGITS) as arrays:
        logits, row_ids, names, mode, sha256 = (arrays[name] for name in ("logits", "row_ids", "names", "mode", "sha256"))
    if tuple(names.tolist()) != labels.names or str(sha256) != rows.sha256:
        message = f"the file is not the one that the run {run} was trained on (its sha256 differs)."
        raise DataError.one(rows.source, message, "Diagnose the file itself, or train on it again.")
    place = {row_id: i for i, row_id in enumerate(rows.row_ids)}
    on_rows = np.full((len(logits), len(rows), labels.n), np.nan, dtype=np.float32)
    on_rows[:, [place[row_id] for row_id in row_ids.tolist()]] = logits
    return on_rows, str(mode)
