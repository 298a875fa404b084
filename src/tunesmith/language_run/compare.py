"""The verdict between finished runs of language models, on the rows that both were judged on."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.errors import InputError
from tunesmith.metrics.language import token_mean_verdict
from tunesmith.metrics.predictions import Predictions
from tunesmith.metrics.row_means import mean_verdict
from tunesmith.metrics.verdict import verdict
from tunesmith.recipe.language_rules import OF_LABELS
from tunesmith.recipe.metric_names import LOSSES
from tunesmith.report.saved import load
from tunesmith.report.words import main_metric, main_split
from tunesmith.results import Verdict
from tunesmith.trained import Run


def against(ours: Run, other: Run, metric: str | None, split: str) -> Verdict:
    """The verdict on a metric of a split; the leading one where none is named.

    Raises:
        InputError: the other run was judged on other rows, has another vocabulary, or the metric is not kept for each row.
    """
    split = split if split in {m.split for m in ours.result.metrics} else main_split(ours.result)
    leading = main_metric(ours.result)
    name = metric or (leading.name if leading is not None else "loss")
    mine, theirs = (load(run.folder).rows(split) for run in (ours, other))
    if not mine.get("row_id") or (mine["row_id"], mine["label"]) != (theirs.get("row_id"), theirs.get("label")):
        message = f"it was not judged on the same {split} rows as {ours.folder}."
        raise InputError.one(str(other.folder), message, "Train both with the same test file.")
    if name in LOSSES:
        return of_losses(name, mine, theirs, str(other.folder), split)
    if name in OF_LABELS and "pred_probs" in mine and "pred_probs" in theirs:
        said = [of_labels(rows, list(ours.result.recipe["sft"]["labels"])) for rows in (mine, theirs)]
        return verdict(name, [said[0]], [said[1]], str(other.folder), split)
    if name not in mine or name not in theirs:
        raise InputError.one("--metric", f"the runs keep no {name} of their {split} rows.", "Ask for loss.")
    return of_answers(name, mine, theirs, str(other.folder), split)


def of_losses(name: str, mine: dict[str, list[Any]], theirs: dict[str, list[Any]], against: str, split: str) -> Verdict:
    """Of token means. Raises InputError where the two count other tokens: a loss per token is one of a vocabulary."""
    if mine["n_tokens"] != theirs["n_tokens"]:
        message = "its tokens are not those of the first run: losses of other vocabularies cannot be compared token by token."
        raise InputError.one(against, message, "Compare what is written: --metric exact_match, token_f1 or rouge_l.")
    pairs = []
    for rows in (mine, theirs):
        counts = np.array(rows["n_tokens"], dtype=np.int64)
        pairs.append((np.array(rows["loss"], dtype=np.float64) * counts, counts))
    return token_mean_verdict([pairs[0]], [pairs[1]], against, split, name)


def of_answers(name: str, mine: dict[str, list[Any]], theirs: dict[str, list[Any]], against: str, split: str) -> Verdict:
    """Of the rows whose answers both wrote."""
    both = [i for i, (a, b) in enumerate(zip(mine[name], theirs[name], strict=True)) if a is not None and b is not None]
    if not both:
        raise InputError.one(against, f"no row of {split} was answered by both.", "Train both with the same evaluate.answers.")
    first, second = (np.array([rows[name][i] for i in both], dtype=np.float64) for rows in (mine, theirs))
    return mean_verdict(name, [first], [second], against, split)


def of_labels(rows: dict[str, list[Any]], labels: list[str]) -> Predictions:
    """Rows answered by a label, as the metrics read them."""
    index = {name: i for i, name in enumerate(labels)}
    truth = np.array([index[name] for name in rows["label"]])
    decided = np.array([index[name] for name in rows["prediction"]])
    return Predictions(truth, np.array(rows["pred_probs"], dtype=np.float64), decided)
