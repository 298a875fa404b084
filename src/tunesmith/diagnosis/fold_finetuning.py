"""Out-of-fold probabilities by fine-tuning: each row is judged by a model that was trained on the other folds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from tunesmith.data.near_duplicates import Near
from tunesmith.diagnosis.evidence import UNLABELLED, class_ids
from tunesmith.diagnosis.folds import fold_of, units_of
from tunesmith.diagnosis.out_of_fold import OutOfFold, alone_in_fold
from tunesmith.evaluation.metrics.predictions import Array
from tunesmith.models.encode import encode, used_token_ids
from tunesmith.progress import silent
from tunesmith.recipe.sections import Recipe
from tunesmith.tasks.classification.data import Inputs
from tunesmith.tasks.classification.model import load_model
from tunesmith.tasks.classification.training import Prepared, predict, trainer_of
from tunesmith.training.fit import FitPlan, fit
from tunesmith.training.signals import StopRequest


def fine_tuned(
    inputs: Inputs, near: Near, n_folds: int, progress: Callable[[int], None] = lambda done: None
) -> tuple[OutOfFold, Array | None]:
    """Probabilities of every row of train by fine-tuned models, and each row's logits over the epochs.

    A model is trained once for each fold by the recipe's own settings and has the weights of its last step: no evaluation
    chooses them, so that no row has a say in the model that judges it. A row is in the training set of all fits but one; its
    logits (E, N, K) are their mean over those fits, None where they were not kept.

    Raises:
        DataError: there are fewer sets of rows that must stay together than folds.
        TrainingFailed: a fit left no usable model.
    """
    rows, labels, seed = inputs.splits.train, inputs.splits.labels, inputs.recipe.train.seed
    given = class_ids(rows)
    folds = fold_of(given, units_of(rows, near), n_folds, seed, rows.source)
    quiet = replace(inputs, recipe=without_evaluations(inputs.recipe))
    whole = prepared_rows(quiet, given)
    pred_probs, total = np.zeros((len(given), labels.n)), None
    for fold in range(n_folds):
        held, rest = np.flatnonzero(folds == fold), np.flatnonzero((folds != fold) & (given != UNLABELLED))
        pred_probs[held], followed = judged(quiet, part_of(whole, rest, held))
        if followed is not None:
            total = np.zeros((len(followed), len(given), labels.n), dtype=np.float32) if total is None else total
            total[:, rest] += followed.astype(np.float32) / (n_folds - 1)
        progress(fold + 1)
    return OutOfFold(pred_probs, folds, alone_in_fold(given, folds)), total


def prepared_rows(inputs: Inputs, given: Array) -> Prepared:
    """All rows tokenised, with the loss of the labelled ones; unlabelled rows, which are only judged, have class 0."""
    rows, seed = inputs.splits.train, inputs.recipe.train.seed
    labelled = rows.take(np.flatnonzero(given != UNLABELLED).tolist(), "train")
    ready = load_model(replace(inputs, splits=replace(inputs.splits, train=labelled)), seed)
    filled = replace(rows, labels=np.maximum(given, 0).tolist())
    return replace(ready.prepared, encoded={"train": encode(ready.loaded.tokenizer, filled, ready.prepared.max_length)})


def without_evaluations(recipe: Recipe) -> Recipe:
    """The recipe with one evaluation and one log line, and no early stop: a fit of a fold is steered by nothing."""
    train = recipe.train.model_copy(update={"n_evaluations": 1, "n_logs": 1, "early_stopping": None, "report_to": "none"})
    return recipe.model_copy(update={"train": train})


def part_of(whole: Prepared, rest: Array, held: Array) -> Prepared:
    """The rows to train on, and the rows to judge as ``validation``."""
    encoded = whole.encoded["train"]
    return replace(whole, encoded={"train": encoded.take(rest), "validation": encoded.take(held)})


def judged(inputs: Inputs, prepared: Prepared) -> tuple[Array, Array | None]:
    """Probabilities of the held rows (M, K) by a model trained on the others, and the others' logits (E, N - M, K)."""
    recipe, seed = inputs.recipe, inputs.recipe.train.seed
    ready = load_model(inputs, seed, prepared)
    said: list[Array] = []

    def measure(model: object) -> dict[str, float]:
        predictions, losses = predict(model, prepared.encoded["validation"], prepared.pad_id, prepared.labels, ready.kernels)
        said.append(predictions.scores)
        return {"loss": float(losses.mean())}

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        train = prepared.encoded["train"]
        plan = FitPlan(
            recipe, len(train), trainer_of(ready.model, prepared, ready.kernels, measure), "loss", False, folder,
            folder / "metrics.jsonl", ready.kernels, seed, reached=used_token_ids(train, prepared.pad_id), smoke=True,
        )  # fmt: skip
        done = fit(ready.model, plan, StopRequest(), silent)
    return said[-1], done.epoch_logits
