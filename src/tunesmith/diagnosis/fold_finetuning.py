"""Out-of-fold probabilities by fine-tuning: one model a fold, trained on the other folds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.diagnosis.evidence import UNLABELLED, class_ids
from tunesmith.diagnosis.out_of_fold import OutOfFold, in_one_fold
from tunesmith.models.encode import encode
from tunesmith.models.many_processes import in_processes
from tunesmith.progress import silent
from tunesmith.recipe.sections import Recipe
from tunesmith.tasks.classification.data import LabelledTaskData
from tunesmith.tasks.classification.model import TokenisedSplits, load
from tunesmith.tasks.classification.scoring import predict
from tunesmith.tasks.classification.training import trainer_spec
from tunesmith.training.fit import FitPlan, fit
from tunesmith.training.signals import StopRequest

FoldRows = tuple[Array, Array]
"""Positions of the rows of a fold (M), and of the rows that its model is trained on."""


def fine_tuned(
    inputs: LabelledTaskData, folds: Array, progress: Callable[[int], None] = lambda done: None, processes: int = 1
) -> tuple[OutOfFold, Array | None]:
    """Predicts every row of train by fine-tuned models, and averages each row's logits over the epochs.

    The recipe's own settings train one model a fold, and the weights of the last step are used: no evaluation selects them, so
    that no row influences the model that predicts it. A row is in the training set of all fits but one; its logits (E, N, K)
    are their mean over those fits, None if they were not recorded.

    Args:
        folds: the fold of each row (N), see ``assign_folds``.
        processes: each trains one fold at a time; the results are those of one process with as many threads.

    Raises TrainingFailed if a fit left no usable model.
    """
    rows, labels = inputs.splits.train, inputs.splits.labels
    given = class_ids(rows)
    n_folds = int(folds.max()) + 1
    quiet = replace(inputs, recipe=without_evaluations(inputs.recipe))
    rows_of = [
        (np.flatnonzero(folds == fold), np.flatnonzero((folds != fold) & (given != UNLABELLED))) for fold in range(n_folds)
    ]
    outputs: dict[int, tuple[Array, Array | None]] = {}
    with in_processes(min(processes, n_folds), partial(fold_training, quiet, given)) as outputs_of:
        for fold, output in outputs_of(rows_of):
            outputs[fold] = output
            progress(len(outputs))
    pred_probs, logits = np.zeros((len(given), labels.n)), None
    for fold, (held, rest) in enumerate(rows_of):  # in this order, on which the rounding of the sums depends
        pred_probs[held], fold_logits = outputs[fold]
        if fold_logits is not None:
            logits = np.zeros((len(fold_logits), len(given), labels.n), dtype=np.float32) if logits is None else logits
            logits[:, rest] += fold_logits.astype(np.float32) / (n_folds - 1)
    return OutOfFold(pred_probs, folds, in_one_fold(given, folds)), logits


@contextmanager
def fold_training(inputs: LabelledTaskData, given: Array) -> Iterator[Callable[[FoldRows], tuple[Array, Array | None]]]:
    """Tokenises all rows, and yields the function that trains one fold; see ``train_fold``."""
    whole = prepared_rows(inputs, given)
    tokens = whole.encoded["train"]

    def train(rows: FoldRows) -> tuple[Array, Array | None]:
        held, rest = rows
        encoded = {"train": tokens.take(rest), "validation": tokens.take(held)}
        return train_fold(inputs, replace(whole, encoded=encoded))

    yield train


def prepared_rows(inputs: LabelledTaskData, given: Array) -> TokenisedSplits:
    """Tokenises all rows, with the loss of the labelled ones; unlabelled rows, which are only predicted, get class 0."""
    rows, seed = inputs.splits.train, inputs.recipe.train.seed
    labelled = rows.take(np.flatnonzero(given != UNLABELLED).tolist(), "train")
    session = load(replace(inputs, splits=replace(inputs.splits, train=labelled)), seed)
    labelled_rows = replace(rows, labels=np.maximum(given, 0).tolist())
    tokens = session.tokens
    return replace(tokens, encoded={"train": encode(session.loaded.tokenizer, labelled_rows, tokens.max_length)})


def without_evaluations(recipe: Recipe) -> Recipe:
    """Returns the recipe with one evaluation and one log line, and no early stopping: nothing selects the weights of a fold.

    Its head starts random: one that was fitted to the labels beforehand would know the wrong ones from the first epoch on.
    """
    unselected = {"n_evaluations": 1, "n_logs": 1, "early_stopping": None, "report_to": "none", "head_init": "random"}
    train = recipe.train.model_copy(update=unselected)
    return recipe.model_copy(update={"train": train})


def train_fold(inputs: LabelledTaskData, tokens: TokenisedSplits) -> tuple[Array, Array | None]:
    """Trains on ``train``; returns probabilities (M, K) of the rows of ``validation``, and logits (E, N - M, K) of ``train``."""
    recipe, seed = inputs.recipe, inputs.recipe.train.seed
    session = load(inputs, seed, tokens=tokens)
    scores: list[Array] = []

    def evaluate(model: torch.nn.Module) -> dict[str, float]:
        found = predict(model, tokens.encoded["validation"], session)
        assert found.predictions is not None
        assert found.losses is not None
        scores.append(found.predictions.scores)
        return {"loss": float(found.losses.mean())}

    with tempfile.TemporaryDirectory() as place:
        plan = FitPlan(
            recipe=recipe,
            spec=trainer_spec(session, evaluate, seed),
            n_rows=session.rows_per_epoch,
            metric="loss",
            higher_is_better=False,
            stopping_metric="loss",
            stops_at_higher=False,
            checkpoints=Path(place),
            metrics_log=Path(place) / "metrics.jsonl",
            fast_path=session.fast_path,
            body=session.body,
            used_token_ids=session.used_token_ids,
            seed=seed,
            smoke=True,
        )
        result = fit(session.model, plan, StopRequest(), silent)
    return scores[-1], result.epoch_logits
