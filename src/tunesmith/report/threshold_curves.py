"""Plots ROC and precision-recall curves of the classes from the saved probabilities of the evaluated split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.cells import plural
from tunesmith.report import counts
from tunesmith.report.drawing import SERIES_COLORS, Axis, Figure, Series, label
from tunesmith.report.evidence import class_names, evaluated_rows, grid, plot, problem_type
from tunesmith.report.markup import Markup, isolated, join, tag
from tunesmith.report.numbers import number
from tunesmith.report.saved_run import SavedRun

MOST_CLASSES, MOST_POINTS = len(SERIES_COLORS), 200
ENDS = (-0.02, 1.02)


def threshold_curves(run: SavedRun) -> Markup | None:
    """Plots one curve per class against the others, of two classes only the second; None without probabilities."""
    rows, split = evaluated_rows(run)
    if not rows or "pred_probs" not in rows:
        return None
    names = class_names(run, rows)
    probabilities = counts.probabilities(rows["pred_probs"], len(names))
    if probabilities is None:
        return None
    is_several = problem_type(run) == "multi_label_classification"
    truth = counts.indicators([cell if is_several else [cell] * (cell is not None) for cell in rows["label"]], names)
    known = np.isfinite(probabilities).all(1) & np.array([cell is not None for cell in rows["label"]])
    truth, probabilities = truth[known], probabilities[known]
    usable = [i for i in range(len(names)) if truth[:, i].any() and not truth[:, i].all()]
    usable = usable[-1:] if len(names) == 2 and not is_several else sorted(usable, key=lambda i: -int(truth[:, i].sum()))
    shown = usable[:MOST_CLASSES]
    if not shown:
        return None
    both = [of_class(truth[:, i], probabilities[:, i], names[i], n) for n, i in enumerate(shown)]
    note = f"On {split}; each class against the others, over all thresholds. In the legend: the area under the curve."
    note += f" The {MOST_CLASSES} most frequent of {plural(len(usable), 'class')}." if len(usable) > MOST_CLASSES else ""
    chance = Series([0, 1], [0, 1], color="muted", dashed=True)
    axes = [Axis(title, *ENDS) for title in ("false positive rate", "true positive rate", "recall", "precision")]
    roc = Figure([chance, *(roc for roc, _ in both)], axes[0], axes[1], 380, legend=True)
    pr = Figure([pr for _, pr in both], axes[2], axes[3], 380, legend=True)
    figures = grid(plot(roc, "ROC curve", "dotted: chance"), plot(pr, "Precision-recall curve", "area: average precision"))
    return join([tag("p", note), figures])


def of_class(truth: NDArray[np.bool_], scores: NDArray[np.float64], name: str, place: int) -> tuple[Series, Series]:
    """Computes the ROC curve and the precision-recall curve of one class, thinned to 200 points."""
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    short, color = label(name), SERIES_COLORS[place]
    false, true, _ = roc_curve(truth, scores)
    precision, recall, _ = precision_recall_curve(truth, scores)
    area, average = roc_auc_score(truth, scores), average_precision_score(truth, scores)
    return (
        Series(*thinned(false, true), f"{isolated(short)} {number(float(area))}", color),
        Series(*thinned(recall, precision), f"{isolated(short)} {number(float(average))}", color),
    )


def thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Keeps at most 200 points, evenly spaced over the positions, with both ends."""
    at = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).round().astype(int))
    return x[at].tolist(), y[at].tolist()
