"""Checks preference rows without a model: the rows that are used, and the bias of the answers' lengths."""

from __future__ import annotations

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.evaluation.baselines.preferences import log_length_differences
from tunesmith.evaluation.metrics.means import mean_metric
from tunesmith.evaluation.preferences import pair_accuracy
from tunesmith.preflight.report import CheckLine

STRONG_BIAS = 0.65
"""Share of pairs that the length alone decides rightly, from which on a note warns that a model may learn little else."""


def rows_line(rows: PreferencePairs | JudgedAnswers) -> CheckLine:
    """Counts the used and left-out rows of one split."""
    n_left = sum(map(len, rows.left_out.values()))
    why = "; ".join(f"{len(ids):,} {reason}" for reason, ids in rows.left_out.items())
    columns = " + ".join(rows.columns)
    return CheckLine(
        f"rows of {rows.split}", f"{len(rows):,} used, {n_left:,} left out ({rows.source}; {columns}){': ' if why else ''}{why}"
    )


def length_line(rows: PreferencePairs) -> CheckLine:
    """Says in which share of the pairs the longer, or the shorter, answer is the chosen one; a note warns of a strong bias."""
    accuracy = pair_accuracy(log_length_differences(rows))
    share = float(accuracy.mean())
    longer, values = ("longer", accuracy) if share >= 0.5 else ("shorter", 1.0 - accuracy)
    metric = mean_metric("accuracy", rows.split, [np.asarray(values)])
    figure = f"the {longer} answer is chosen in {metric.value:.1%} of {plural(len(rows), 'pair')}"
    if metric.low is not None and metric.high is not None:
        figure += f" [{metric.low:.1%}, {metric.high:.1%}]"
    note = f"{figure}: a model may learn the length and little else" if (metric.low or 0.0) >= STRONG_BIAS else ""
    remedy = "Compare the model with the baseline of length (it is in the report), and add pairs of equal length."
    return CheckLine("length of answers", figure, note=note, remedy=remedy)
