"""Checks preference rows without a model: the rows that are used, and the bias of the answers' lengths."""

from __future__ import annotations

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.data.preferences.load import prompt_clusters
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.evaluation.baselines.preferences import answer_text, log_length_differences
from tunesmith.evaluation.metrics.classification import column_auroc
from tunesmith.evaluation.metrics.means import mean_metric
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.out_of_distribution import detection
from tunesmith.evaluation.preferences import pair_accuracy
from tunesmith.preflight.report import CheckLine
from tunesmith.results import Metric

STRONG_BIAS = 0.65
"""Share of pairs that the length alone decides rightly, from which on a note warns that a model may learn little else."""
N_RESAMPLES = 2_000


def rows_line(rows: PreferencePairs | JudgedAnswers) -> CheckLine:
    """Counts the used and left-out rows of one split."""
    n_left = sum(map(len, rows.left_out.values()))
    why = "; ".join(f"{len(ids):,} {reason}" for reason, ids in rows.left_out.items())
    form = f"{rows.kind.replace('_', ' ')}: {' + '.join(rows.columns)}"
    figure = f"{len(rows):,} used{judged_words(rows)}, {n_left:,} left out ({rows.source}; {form}){': ' if why else ''}{why}"
    return CheckLine(f"rows of {rows.split}", figure)


def judged_words(rows: PreferencePairs | JudgedAnswers) -> str:
    """Counts the good and the bad answers; empty for pairs."""
    if isinstance(rows, PreferencePairs):
        return ""
    n_good = sum(rows.desirable)
    return f" ({n_good:,} good, {len(rows) - n_good:,} bad)"


def length_line(rows: PreferencePairs | JudgedAnswers) -> CheckLine:
    """Says how often the longer, or the shorter, answer is the better one; a note warns of a strong bias.

    Of pairs it is the share in which it is the chosen one, of judged answers the share of all comparisons of a good answer with a
    bad one, to whatever prompt. Rows of one prompt or group are resampled together.
    """
    resampling = Resampling(N_RESAMPLES, clusters=prompt_clusters(rows))
    if isinstance(rows, PreferencePairs):
        word, metric = chosen_by_length(rows, resampling)
        event, cases, lengths = f"the {word} answer is chosen", plural(len(rows), "pair"), ""
    else:
        word, metric = good_by_length(rows, resampling)
        event, cases, lengths = f"a good answer is {word} than a bad one", "all comparisons", f" ({mean_lengths(rows)})"
    interval = "" if metric.low is None or metric.high is None else f" [{metric.low:.1%}, {metric.high:.1%}]"
    figure = f"{event} in {metric.value or 0.0:.1%} of {cases}{interval}{lengths}"
    note = f"{figure}: a model may learn the length and little else" if (metric.low or 0.0) >= STRONG_BIAS else ""
    remedy = "Compare the model with the baseline of length (it is in the report), and add good and bad answers of equal length."
    return CheckLine("length of answers", figure, note=note, remedy=remedy)


def chosen_by_length(rows: PreferencePairs, resampling: Resampling) -> tuple[str, Metric]:
    """Returns the share of pairs whose longer, or shorter, answer is the chosen one, with the word for the more frequent."""
    accuracy = pair_accuracy(log_length_differences(rows))
    word, values = ("longer", accuracy) if accuracy.mean() >= 0.5 else ("shorter", 1.0 - accuracy)
    return word, mean_metric("accuracy", rows.split, [np.asarray(values)], resampling)


def good_by_length(rows: JudgedAnswers, resampling: Resampling) -> tuple[str, Metric]:
    """Returns the share of comparisons of a good with a bad answer in which the good one is longer, or shorter; ties are half."""
    lengths, good = answer_lengths(rows), np.array(rows.desirable)
    order = np.concatenate([np.flatnonzero(~good), np.flatnonzero(good)])
    clusters = None if resampling.clusters is None else resampling.clusters[order]
    word, sign = ("longer", 1.0) if column_auroc(good, lengths) >= 0.5 else ("shorter", -1.0)
    return word, detection(sign * lengths[~good], sign * lengths[good], resampling, clusters)


def answer_lengths(rows: JudgedAnswers) -> np.ndarray:
    """Returns the length of each judged answer (N) in characters."""
    return np.array([len(answer_text(answer)) for answer in rows.answers], dtype=np.float64)


def mean_lengths(rows: JudgedAnswers) -> str:
    """Returns the mean lengths of good and of bad answers in words."""
    lengths, good = answer_lengths(rows), np.array(rows.desirable)
    return f"{lengths[good].mean():,.0f} and {lengths[~good].mean():,.0f} characters on average"
