"""Builds the report sections about model quality: verdict, metrics, curves, classes, calibration."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.report import counts, figures, tables
from tunesmith.report import curves as over_steps
from tunesmith.report.drawing import Figure, draw
from tunesmith.report.heat_map import confusion_map
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import count, percent, with_interval
from tunesmith.report.saved_run import SavedRun
from tunesmith.report.words import (
    LANGUAGE_TYPES,
    display_name,
    find,
    main_metric,
    main_split,
    metric_interval,
    range_notes,
    unmeasured_notes,
    verdict_notes,
    verdicts_on,
)


def plot(figure: Figure | Markup | None, title: str, note: str = "", wide: bool = False) -> Markup | None:
    """Builds a figure with its caption. ``wide`` lets it scroll on a narrow screen."""
    if figure is None:
        return None
    caption = tag("figcaption", tag("strong", title), f" {note}" if note else None)
    drawing = figure if isinstance(figure, Markup) else draw(figure)
    box = tag("div", drawing, class_="plot", role="img", aria_label=f"{title}. {note}".strip())
    return tag("figure", caption, tag("div", box, class_="wide", tabindex=0) if wide else box)


def grid(*shown: Markup | None) -> Markup | None:
    """Arranges figures side by side; None if there are none."""
    figures = [figure for figure in shown if figure is not None]
    return tag("div", *figures, class_="figures") if figures else None


def verdict(run: SavedRun) -> Markup | None:
    """Compares the run with each baseline: a table, and plots of the primary metric's differences and of its values."""
    result, metric = run.result, main_metric(run.result)
    if not result.verdicts:
        return None
    note = (
        "Difference: this run minus the baseline on the same rows, with a 95 % interval by paired bootstrap. "
        "If the interval contains zero, the verdict is “cannot tell”. "
        "Smallest detectable: the difference that this many rows would detect with a probability of 80 %."
    )
    note = " ".join([note, *verdict_notes(result)])
    plots: list[Markup | None] = []
    if metric is not None:
        name, verdicts = display_name(metric.name), verdicts_on(result, metric)
        if verdicts:
            plots.append(plot(figures.differences(verdicts), f"Difference in {name}", "this run minus the baseline"))
        theirs = [(display_name(b.name), find(b.metrics, metric.name, metric.split)) for b in result.baselines]
        systems = [(label, m) for label, m in [("this run", metric), *theirs] if m is not None and m.value is not None]
        if systems:
            title = f"{metric.split.capitalize()} {name}"
            plots.append(plot(figures.systems(systems), title, "this run and the baselines"))
    return join([tables.verdict_table(result.verdicts), tag("p", note, class_="note"), grid(*plots)])


def metrics(run: SavedRun) -> Markup | None:
    """Builds one table per split with baselines, the primary split first; it also contains the splits without baselines."""
    result, first = run.result, main_split(run.result)
    others = [split for split in dict.fromkeys(metric.split for metric in result.metrics) if split != first]
    compared = [split for split in others if any(metric.split == split for b in result.baselines for metric in b.metrics)]
    alone = [split for split in others if split not in compared]
    shown = [tables.metrics_table(result, first, alone), *(tables.metrics_table(result, split) for split in compared)]
    if not any(shown):
        return None
    note = "In brackets: 95 % intervals. ↓: lower is better. A dash: not computed or not defined."
    remarks = [*unmeasured_notes(result.metrics), *range_notes(result)]
    remarks += [f"{display_name(b.name)}: {b.note}" for b in result.baselines if b.note]
    return join([*shown, *(tag("p", text, class_="note") for text in (note, *remarks))])


def curves(run: SavedRun) -> Markup | None:
    """Plots loss, metrics and learning rate over the optimizer steps."""
    best, main = run.result.training.get("best_step"), main_metric(run.result)
    dashed = "dashed: the selected checkpoint" if best is not None else ""
    metrics = over_steps.metric_curves(run.events, main.name if main else None, best)
    first, *others = [plot(figure, f"Validation {name}", dashed) for name, figure in metrics.items()] or [None]
    shown = grid(
        plot(over_steps.loss_curves(run.events, best), "Loss", dashed),
        first,
        plot(over_steps.training_curve(run.events, "learning_rate", "learning rate"), "Learning rate"),
        plot(over_steps.training_curve(run.events, "grad_norm", "gradient norm"), "Gradient norm", "before clipping"),
    )
    more = tag("details", tag("summary", "Other validation metrics"), tag("div", grid(*others))) if others else None
    notes = [tag("p", note, class_="note") for note in run.notes]
    return join([shown, more, *notes]) if shown or notes else None


def evaluated_rows(run: SavedRun) -> tuple[dict[str, list[Any]], str]:
    """Returns the predictions on the primary split, or else on another one, and the name of that split."""
    split = main_split(run.result)
    rows = run.rows(split)
    if not has_labels(rows) and run.predictions and run.predictions.get("split"):
        others = list(dict.fromkeys(run.predictions["split"]))
        split = next((name for name in ("test", "validation") if name in others), others[0])
        rows = run.rows(split)
    return (rows if has_labels(rows) and "prediction" in rows else {}), split


def has_labels(rows: dict[str, list[Any]]) -> bool:
    """Returns whether any row has a label; the queries of a search have none."""
    return any(cell is not None for cell in rows.get("label", ()))


TEXT_TYPES = (*LANGUAGE_TYPES, "reward", "preference")
"""Problem types whose labels and predictions are texts."""


def problem_type(run: SavedRun) -> str:
    """Returns the problem type of the data record, or infers it from the labels."""
    recorded = run.result.data.get("problem_type")
    if recorded:
        return str(recorded)
    cells = [cell for cell in (run.predictions or {}).get("label", ()) if cell is not None]
    if cells and isinstance(cells[0], list):
        return "multi_label_classification"
    return "regression" if cells and isinstance(cells[0], float) else "single_label_classification"


def has_classes(run: SavedRun) -> bool:
    """Returns whether predictions are classes; texts, such as answers, are classes only if the recipe lists labels."""
    kind = problem_type(run)
    return kind != "regression" and (kind not in TEXT_TYPES or bool(run.result.data.get("labels")))


def class_names(run: SavedRun, rows: dict[str, list[Any]]) -> list[str]:
    return counts.class_names([str(name) for name in run.result.data.get("labels") or ()], rows["label"], rows["prediction"])


def classes(run: SavedRun) -> Markup | None:
    """Builds the table of precision, recall and F1 per class."""
    rows, split = evaluated_rows(run)
    if not rows or not has_classes(run):
        return None
    names = class_names(run, rows)
    if problem_type(run) == "multi_label_classification":
        labels, predicted = counts.indicators(rows["label"], names), counts.indicators(rows["prediction"], names)
        scores = counts.class_scores(names, (labels & predicted).sum(0), labels.sum(0), predicted.sum(0))
    else:
        matrix = counts.confusion(rows["label"], rows["prediction"], names)
        scores = counts.class_scores(names, np.diag(matrix), matrix.sum(1), matrix.sum(0))
    note = f"On {split}. In brackets: 95 % intervals (Wilson; F1 via F* = TP / (TP + FP + FN)). Click a heading to sort."
    return join([tables.class_table(scores), tag("p", note, class_="note")])


def confusion(run: SavedRun) -> Markup | None:
    """Builds the confusion matrix and the table of the most frequent confusions."""
    rows, split = evaluated_rows(run)
    if not rows or not has_classes(run) or problem_type(run) == "multi_label_classification":
        return None
    names = class_names(run, rows)
    matrix = counts.confusion(rows["label"], rows["prediction"], names)
    top = counts.top_confusions(matrix, names)
    n_wrong = int(matrix.sum() - np.trace(matrix))
    summary = f"{count(n_wrong)} of {count(int(matrix.sum()))} {split} rows have a prediction that differs from the label."
    note = "rows: labels; columns: predictions; darker: a larger fraction of the label's rows"
    figure = plot(confusion_map(matrix, names), "Confusion matrix", note, wide=True)
    most_frequent = [tag("h3", "Most frequent confusions"), tables.confusion_list(top)] if top else []
    return join([tag("p", summary), figure, *most_frequent])


def calibration(run: SavedRun) -> Markup | None:
    """Builds the reliability diagram."""
    rows, split = evaluated_rows(run)
    if not rows or problem_type(run) == "regression" or "pred_probs" not in rows:
        return None
    names = class_names(run, rows)
    probabilities = counts.probabilities(rows["pred_probs"], len(names))
    if probabilities is None:
        return None
    if problem_type(run) == "multi_label_classification":
        confidence, right = probabilities.ravel(), counts.indicators(rows["label"], names).ravel()
        subject = "the probability of each label"
    else:
        is_finite, known = np.isfinite(probabilities).all(1), np.nan_to_num(probabilities)
        predicted = np.where(is_finite, known.argmax(1), 0)
        confidence = np.where(is_finite, known.max(1), np.nan)
        right = np.array([names[i] == str(label) for i, label in zip(predicted, rows["label"], strict=True)], bool)
        subject = "the probability of the most likely class"
    bins = counts.reliability(confidence, right)
    if not bins:
        return None
    error = find(run.result.metrics, "calibration_error", split)
    note = f"Confidence is {subject}.{f' Calibration error: {metric_interval(error)}.' if error else ''}"
    figure = plot(figures.reliability_diagram(bins), "Reliability diagram", "dotted: perfect calibration")
    return join([tag("p", note), tag("div", figure, class_="single")])


def regression(run: SavedRun) -> Markup | None:
    """Plots predictions against labels and the residuals."""
    rows, _ = evaluated_rows(run)
    if not rows or problem_type(run) != "regression":
        return None
    both = np.array([rows["label"], rows["prediction"]], dtype=np.float64)
    labels, predicted = both[:, np.isfinite(both).all(0)]
    if not len(labels):
        return None
    residuals, n = predicted - labels, len(labels)
    mean, half = float(residuals.mean()), 1.96 * float(residuals.std(ddof=1)) / n**0.5 if n > 1 else float("nan")
    near = float((np.abs(residuals) <= np.std(labels) / 2).mean()) if n > 1 else float("nan")
    summary = (
        f"The mean residual is {with_interval(mean, mean - half, mean + half, signed=True)}; "
        f"{percent(near)} of the predictions are within half a standard deviation of the label."
    )
    shown = grid(
        plot(figures.labels_and_predictions(labels, predicted), "Labels and predictions", "dotted: prediction equals label"),
        plot(figures.residuals(labels, predicted), "Residuals", "predicted minus label"),
    )
    return join([tag("p", summary), shown])
