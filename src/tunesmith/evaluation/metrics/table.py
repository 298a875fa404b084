"""The metrics of each problem type, their directions, and their values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.evaluation.metrics import classification as c
from tunesmith.evaluation.metrics import clustering as cl
from tunesmith.evaluation.metrics import few_rows as few
from tunesmith.evaluation.metrics import regression as r
from tunesmith.evaluation.metrics.predictions import CLUSTERING, Predictions
from tunesmith.evaluation.metrics.resample import make_cells

Reads = Literal["decisions", "scores", "ranks"]
Interval = Literal["wilson", "bca", "share", "correlation", "positive", "folded", "at_most_one", "unbounded"]


@dataclass(frozen=True)
class MetricKind:
    """One metric of one problem type.

    Attributes:
        statistic: see ``classification``.
        reads: the decisions (so that a threshold changes it), the scores, or only their ranks.
        interval: the form of its 95 % interval, see ``intervals``.
        undefined: the reason to report if it has no value.
        few_rows: the correction of its interval for few rows.
        exchangeable: the decisions of two systems on a row can be swapped; cluster numbers cannot.
    """

    statistic: Callable[[Predictions], c.Statistic]
    higher_is_better: bool
    reads: Reads
    interval: Interval
    undefined: str = "there are no rows"
    exchangeable: bool = True
    few_rows: few.Correction | None = None

    @property
    def of_decisions(self) -> bool:
        return self.reads == "decisions"

    @property
    def ends(self) -> tuple[float, float]:
        """Returns the smallest and the largest value: of shares 0 and 1, of correlations -1 and 1; infinite for the others."""
        if self.interval in ("positive", "at_most_one", "unbounded"):
            return -math.inf, math.inf
        return (-1.0, 1.0) if self.interval == "correlation" else (0.0, 1.0)


_ONE_CLASS = "no class has both positive and negative rows here"
_NO_POSITIVE = "no label occurs here and none is predicted"
_CONSTANT = "the labels or the scores are all the same"

_NO_POSITIVE_ROW = "no positive class is named, or no row has it and it is never predicted"

_SCORED = {
    "auroc": MetricKind(c.auroc, True, "ranks", "share", _ONE_CLASS, few_rows=few.of_ranks),
    "average_precision": MetricKind(c.average_precision, True, "ranks", "share", _ONE_CLASS, few_rows=few.of_ranks),
    "log_loss": MetricKind(c.log_loss, False, "scores", "positive"),
    "v_information": MetricKind(c.v_information, True, "scores", "unbounded"),
    "calibration_error": MetricKind(c.calibration_error, False, "scores", "folded"),
}

TABLE: Mapping[str, Mapping[str, MetricKind]] = {
    SINGLE: {
        "accuracy": MetricKind(c.accuracy, True, "decisions", "wilson"),
        "macro_f1": MetricKind(c.macro_f1, True, "decisions", "bca", few_rows=few.of_mean_f1),
        "micro_f1": MetricKind(c.micro_f1, True, "decisions", "wilson"),
        "mcc": MetricKind(c.mcc, True, "decisions", "correlation", few_rows=few.of_correlation),
        "f1": MetricKind(c.f1, True, "decisions", "bca", _NO_POSITIVE_ROW, few_rows=few.of_f1),
        "accuracy_f1": MetricKind(c.accuracy_f1, True, "decisions", "bca", _NO_POSITIVE_ROW, few_rows=few.of_accuracy_f1),
        **_SCORED,
    },
    MULTI: {
        "accuracy": MetricKind(c.accuracy, True, "decisions", "wilson"),
        "macro_f1": MetricKind(c.macro_f1, True, "decisions", "bca", _NO_POSITIVE, few_rows=few.of_mean_f1),
        "micro_f1": MetricKind(c.micro_f1, True, "decisions", "bca", _NO_POSITIVE),
        "mcc": MetricKind(c.mcc, True, "decisions", "correlation", _NO_POSITIVE, few_rows=few.of_correlation),
        **_SCORED,
    },
    CLUSTERING: {
        "v_measure": MetricKind(cl.v_measure, True, "decisions", "bca", exchangeable=False),
        "adjusted_rand": MetricKind(cl.adjusted_rand, True, "decisions", "bca", exchangeable=False),
    },
    REGRESSION: {
        "pearson": MetricKind(r.pearson, True, "scores", "correlation", _CONSTANT, few_rows=few.of_pearson),
        "spearman": MetricKind(r.spearman, True, "ranks", "correlation", _CONSTANT),
        "pearson_spearman": MetricKind(
            r.pearson_spearman, True, "ranks", "correlation", _CONSTANT, few_rows=few.of_mean_correlation
        ),
        "rmse": MetricKind(r.rmse, False, "scores", "positive", few_rows=few.of_rmse),
        "mae": MetricKind(r.mae, False, "scores", "positive"),
        "r2": MetricKind(r.r2, True, "scores", "at_most_one", "the labels are all the same", few_rows=few.of_r2),
    },
}


def metric_kind(problem_type: str, name: str) -> MetricKind:
    """Looks up a metric. Raises ValueError with the available names."""
    if problem_type not in TABLE or name not in TABLE[problem_type]:
        known = ", ".join(TABLE.get(problem_type, {})) or f"none; problem types are {', '.join(TABLE)}"
        raise ValueError(f"{problem_type} has no metric {name!r}; it has {known}")
    return TABLE[problem_type][name]


def compute(problem_type: str, predictions: Predictions) -> dict[str, float | None]:
    """Computes every metric of the problem on these rows; None for an undefined one."""
    return {name: metric_value(kind, predictions) for name, kind in TABLE[problem_type].items()}


def metric_value(kind: MetricKind, predictions: Predictions) -> float | None:
    """Computes one metric on these rows; None if it is undefined."""
    if not len(predictions):
        return None
    if kind.of_decisions:
        cells = make_cells([predictions], of_decisions=True)
        predictions, weights = cells.systems[0], cells.counts
    else:
        weights = np.ones(len(predictions))
    value = float(kind.statistic(predictions)(weights[None])[0])
    return None if np.isnan(value) else value
