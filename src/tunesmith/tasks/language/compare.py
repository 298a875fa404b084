"""The verdict between finished runs of language models, or one and a classifier, on the rows that both were judged on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.errors import InputError
from tunesmith.evaluation.metrics.language import token_mean_verdict
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.row_means import mean_verdict
from tunesmith.evaluation.metrics.verdict import verdict
from tunesmith.recipe.language_rules import LABEL_METRICS
from tunesmith.recipe.metric_names import LABEL_METRIC, LOSS_METRICS, TEXT_METRICS
from tunesmith.report.words import main_metric, main_split
from tunesmith.results import Verdict
from tunesmith.saved_run import load
from tunesmith.tasks.finished import Run

BITS = "bits_per_byte"


def against(ours: Run, other: Run, metric: str | None, split: str) -> Verdict:
    """The verdict on a metric of a split; the leading one where none is named.

    Raises:
        InputError: the other run was judged on other rows, has another vocabulary, or the metric is not kept for each row.
    """
    split = split if split in {m.split for m in ours.result.metrics} else main_split(ours.result)
    mine, theirs = (load(run.folder).rows(split) for run in (ours, other))
    if not mine.get("row_id") or (mine["row_id"], mine["label"]) != (theirs.get("row_id"), theirs.get("label")):
        message = f"it was not judged on the same {split} rows as {ours.folder}."
        raise InputError.one(str(other.folder), message, "Train both with the same test file.")
    known = [name for name in kept_metrics(mine) if name in kept_metrics(theirs)]
    leading = main_metric(ours.result)
    name = metric or (leading.name if leading is not None and leading.name in known else LABEL_METRIC)
    if name not in known:
        remedy = f"Both keep: {', '.join(known)}." if known else "They keep none together."
        raise InputError.one("--metric", f"the runs do not both keep {name} of their {split} rows.", remedy)
    if name in LOSS_METRICS:
        return of_losses(name, mine, theirs, str(other.folder), split)
    if name in LABEL_METRICS:
        labels = same_labels(ours, other)
        said = [of_labels(rows, run.result.data["labels"], labels) for rows, run in ((mine, ours), (theirs, other))]
        return verdict(name, [said[0]], [said[1]], str(other.folder), split)
    return of_answers(name, mine, theirs, str(other.folder), split)


def kept_metrics(rows: Mapping[str, Sequence[Any]]) -> list[str]:
    """The metrics that can be found again from the columns of a run's predictions."""
    of_tokens = [name for name in LOSS_METRICS if "n_tokens" in rows and (name != BITS or "n_bytes" in rows)]
    of_labels = [name for name in LABEL_METRICS if "pred_probs" in rows]
    return [*of_tokens, *of_labels, *(name for name in TEXT_METRICS if name in rows)]


def same_labels(ours: Run, other: Run) -> list[str]:
    """The labels of both. Raises InputError where one knows others."""
    mine, theirs = (list(run.result.data.get("labels") or ()) for run in (ours, other))
    if sorted(mine) != sorted(theirs):
        raise InputError.one(
            str(other.folder), f"its labels are not those of {ours.folder}; the two cannot be compared.",
            f"Labels: {', '.join(theirs) or 'none'}.",
        )  # fmt: skip
    return mine


def of_losses(name: str, mine: dict[str, list[Any]], theirs: dict[str, list[Any]], against: str, split: str) -> Verdict:
    """Of token means. Raises InputError where the two count other tokens (or bytes): a loss per token is one of a vocabulary."""
    counted = "n_bytes" if name == BITS else "n_tokens"
    if mine[counted] != theirs[counted]:
        message = "its tokens are not those of the first run: losses of other vocabularies cannot be compared token by token."
        remedy = "Compare what is written: --metric exact_match, token_f1 or rouge_l."
        raise InputError.one(against, message, remedy if name == BITS else f"Ask for {BITS}, or c{remedy[1:]}")
    pairs = []
    for rows in (mine, theirs):
        counts = np.array(rows["n_tokens"], dtype=np.int64)
        pairs.append((np.array(rows["loss"], dtype=np.float64) * counts, counts))
    n_bytes = np.array(mine["n_bytes"], dtype=np.int64) if name == BITS else None
    return token_mean_verdict([pairs[0]], [pairs[1]], against, split, name, n_bytes)


def of_answers(name: str, mine: dict[str, list[Any]], theirs: dict[str, list[Any]], against: str, split: str) -> Verdict:
    """Of the rows whose answers both wrote."""
    both = [i for i, (a, b) in enumerate(zip(mine[name], theirs[name], strict=True)) if a is not None and b is not None]
    if not both:
        raise InputError.one(against, f"no row of {split} was answered by both.", "Train both with the same evaluate.answers.")
    first, second = (np.array([rows[name][i] for i in both], dtype=np.float64) for rows in (mine, theirs))
    return mean_verdict(name, [first], [second], against, split)


def of_labels(rows: dict[str, list[Any]], own: list[str], labels: list[str]) -> Predictions:
    """Rows answered by a label, as the metrics read them.

    Args:
        own: the order of the run's probabilities.
        labels: the order that is wanted.
    """
    index = {name: i for i, name in enumerate(labels)}
    truth = np.array([index[name] for name in rows["label"]])
    decided = np.array([index[name] for name in rows["prediction"]])
    scores = np.array(rows["pred_probs"], dtype=np.float64)[:, [own.index(name) for name in labels]]
    return Predictions(truth, scores, decided)
