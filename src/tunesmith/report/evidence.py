"""The sections of a report that say how good the model is: verdict, metrics, curves, classes, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluation.metrics.predictions import REGRESSION
from tunesmith.report import counts, figures, tables
from tunesmith.report import curves as over_steps
from tunesmith.report.markup import Markup, embedded_json, join, tag
from tunesmith.report.numbers import count, percent, with_interval
from tunesmith.report.words import CAUSAL, MASKED, main_metric, main_split, plain_name, verdicts_on
from tunesmith.results import Metric, RunResult
from tunesmith.saved_run import SavedRun


def plot(spec: figures.Figure | None, title: str, note: str = "", wide: bool = False) -> Markup | None:
    """A figure with its caption; the page's script draws it. ``wide`` lets it scroll on a narrow screen."""
    if spec is None:
        return None
    caption = tag("figcaption", tag("strong", title), f" {note}" if note else None)
    data = tag("script", embedded_json(spec), type="application/json")
    height = spec["layout"]["height"]
    shape = f"height:{height}px" + (f";min-width:{height - 60}px" if wide else "")
    box = tag("div", data, class_="plot", role="img", aria_label=f"{title}. {note}".strip(), style=shape)
    return tag("figure", caption, tag("div", box, class_="wide") if wide else box)


def grid(*shown: Markup | None) -> Markup | None:
    """Figures side by side where there is room; None where there are none."""
    kept = [one for one in shown if one is not None]
    return tag("div", *kept, class_="figures") if kept else None


def verdict(run: SavedRun) -> Markup | None:
    """The comparison with each simpler system, as a table and as intervals."""
    result, metric = run.result, main_metric(run.result)
    if not result.verdicts:
        return None
    explained = (
        "Difference: this run minus the other on the same rows, with a 95 % interval by paired bootstrap. "
        "An interval that holds zero is “cannot tell”. "
        "Smallest visible: the difference this many rows would probably (80 %) have shown."
    )
    shown = grid(*interval_plots(result, metric)) if metric else None
    return join([tables.verdict_table(result.verdicts), tag("p", explained, class_="note"), shown])


def interval_plots(result: RunResult, metric: Metric) -> tuple[Markup | None, Markup | None]:
    """The differences to each other system, and the values of all systems, in the main metric."""
    name, mine = plain_name(metric.name), verdicts_on(result, metric)
    systems = list_systems(result, metric.name, metric.split)
    apart = plot(figures.differences(mine), f"Difference in {name}", "this run minus the other") if mine else None
    values = plot(figures.systems(systems), f"{metric.split.capitalize()} {name}", "this run and the others") if systems else None
    return apart, values


def metrics(run: SavedRun) -> Markup | None:
    """The run and its baselines on each split, the main split first; splits without a baseline stand beside it."""
    result, first = run.result, main_split(run.result)
    others = [split for split in dict.fromkeys(metric.split for metric in result.metrics) if split != first]
    compared = [split for split in others if any(metric.split == split for b in result.baselines for metric in b.metrics)]
    alone = [split for split in others if split not in compared]
    shown = [tables.metrics_table(result, first, alone), *(tables.metrics_table(result, split) for split in compared)]
    if not any(shown):
        return None
    note = "In brackets: 95 % intervals. ↓: less is better. A dash: not measured or not defined."
    remarks = [f"{plain_name(b.name)}: {b.note}" for b in result.baselines if b.note]
    return join([*shown, *(tag("p", text, class_="note") for text in (note, *remarks))])


def curves(run: SavedRun) -> Markup | None:
    """Loss, metric and learning rate over the steps."""
    best, main = run.result.training.get("best_step"), main_metric(run.result)
    kept = "dotted: the step that was kept" if best is not None else ""
    shown = grid(
        plot(over_steps.loss_curves(run.events, best), "Loss", kept),
        plot(
            over_steps.metric_curves(run.events, main.name if main else None, best),
            "Validation metrics",
            "a click on a legend entry shows or hides it",
        ),
        plot(over_steps.pace_curve(run.events, "learning_rate", "learning rate"), "Learning rate"),
        plot(over_steps.pace_curve(run.events, "grad_norm", "gradient norm"), "Gradient norm", "before clipping"),
    )
    notes = [tag("p", note, class_="note") for note in run.notes]
    return join([shown, *notes]) if shown or notes else None


def judged(run: SavedRun) -> tuple[dict[str, list[Any]], str]:
    """The predictions on the main split (or the only one there is) and that split's name."""
    split = main_split(run.result)
    rows = run.rows(split)
    if not rows.get("label") and run.predictions and run.predictions.get("split"):
        others = list(dict.fromkeys(run.predictions["split"]))
        split = next((name for name in ("test", "validation") if name in others), others[0])
        rows = run.rows(split)
    usable = {"label", "prediction"} <= rows.keys() and any(cell is not None for cell in rows["label"])
    return (rows if usable else {}), split


def problem(run: SavedRun) -> str:
    """The problem type, from the data record or else from the shape of the predictions."""
    told = run.result.data.get("problem_type")
    if told:
        return str(told)
    cells = [cell for cell in (run.predictions or {}).get("label", ()) if cell is not None]
    if cells and isinstance(cells[0], list):
        return "multi_label_classification"
    return "regression" if cells and isinstance(cells[0], float) else "single_label_classification"


def has_classes(run: SavedRun) -> bool:
    """Whether predictions are classes; what a language model writes is one only where the recipe names labels."""
    kind = problem(run)
    return kind != REGRESSION and (kind not in (CAUSAL, MASKED) or bool(run.result.data.get("labels")))


def names_of(run: SavedRun, rows: dict[str, list[Any]]) -> list[str]:
    return counts.class_names([str(name) for name in run.result.data.get("labels") or ()], rows["label"], rows["prediction"])


def classes(run: SavedRun) -> Markup | None:
    """Precision, recall and F1 of each class."""
    rows, split = judged(run)
    if not rows or not has_classes(run):
        return None
    names = names_of(run, rows)
    if problem(run) == "multi_label_classification":
        given, said = counts.indicators(rows["label"], names), counts.indicators(rows["prediction"], names)
        scores = counts.class_scores(names, (given & said).sum(0), given.sum(0), said.sum(0))
    else:
        matrix = counts.confusion(rows["label"], rows["prediction"], names)
        scores = counts.class_scores(names, np.diag(matrix), matrix.sum(1), matrix.sum(0))
    note = f"On {split}. In brackets: 95 % intervals (Wilson; F1 through F* = TP / (TP + FP + FN)). A heading sorts."
    return join([tables.class_table(scores), tag("p", note, class_="note")])


def mistakes(run: SavedRun) -> Markup | None:
    """The confusion matrix and its largest cells."""
    rows, split = judged(run)
    if not rows or not has_classes(run) or problem(run) == "multi_label_classification":
        return None
    names = names_of(run, rows)
    matrix = counts.confusion(rows["label"], rows["prediction"], names)
    top = counts.top_confusions(matrix, names)
    wrong = int(matrix.sum() - np.trace(matrix))
    said = f"{count(wrong)} of {count(int(matrix.sum()))} {split} rows are classified differently from their label."
    picture = plot(
        figures.heat_map(matrix, names), "Confusion matrix", "a row is a given class; the darker, the larger its share", wide=True
    )
    return join(
        [
            tag("p", said),
            picture,
            tag("h3", "Most frequent mistakes") if top else None,
            tables.confusion_list(top) if top else None,
        ]
    )


def calibration(run: SavedRun) -> Markup | None:
    """Whether a confidence of 0.8 is right in 8 of 10 cases."""
    rows, split = judged(run)
    if not rows or problem(run) == REGRESSION or "pred_probs" not in rows:
        return None
    names = names_of(run, rows)
    chances = counts.probabilities(rows["pred_probs"], len(names))
    if chances is None:
        return None
    several = problem(run) == "multi_label_classification"
    confidence, right = (
        (chances.ravel(), counts.indicators(rows["label"], names).ravel())
        if several
        else most_likely(chances, rows["label"], names)
    )
    bins = counts.reliability(confidence, right)
    if not bins:
        return None
    subject = "each label's probability" if several else "the probability of the most likely class"
    measured = tables.find(run.result.metrics, "calibration_error", split)
    value = "" if measured is None else with_interval(measured.value, measured.low, measured.high)
    note = f"Confidence is {subject}.{f' Calibration error: {value}.' if value else ''}"
    picture = plot(figures.reliability_diagram(bins), "Reliability", "on the dotted line, confidence is what it says")
    return join([tag("p", note), tag("div", picture, class_="single")])


def most_likely(
    chances: NDArray[np.float64], given: Sequence[Any], names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The largest probability of each row and whether its class is the label."""
    usable = np.isfinite(chances).all(1)
    best = np.where(usable, np.nan_to_num(chances).argmax(1), 0)
    right = np.array([names[i] == str(label) for i, label in zip(best, given, strict=True)], bool)
    return np.where(usable, np.nan_to_num(chances).max(1), np.nan), right


def numbers_given(run: SavedRun) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Labels and predictions of a regression where both are finite numbers."""
    rows, _ = judged(run)
    if not rows or problem(run) != REGRESSION:
        return None
    both = np.array([rows["label"], rows["prediction"]], dtype=np.float64)
    both = both[:, np.isfinite(both).all(0)]
    return (both[0], both[1]) if both.shape[1] else None


def regression(run: SavedRun) -> Markup | None:
    """Given against predicted values, and how far off the predictions are."""
    both = numbers_given(run)
    if both is None:
        return None
    given, predicted = both
    off = predicted - given
    mean, half = float(off.mean()), 1.96 * float(off.std(ddof=1)) / len(off) ** 0.5 if len(off) > 1 else float("nan")
    near = float((np.abs(off) <= np.std(given) / 2).mean()) if len(given) > 1 else float("nan")
    said = (
        f"On average the prediction is {with_interval(mean, mean - half, mean + half, signed=True)} away from the label; "
        f"{percent(near)} of the rows are within half a standard deviation of it."
    )
    shown = grid(
        plot(figures.given_against_predicted(given, predicted), "Given and predicted", "on the dotted line both agree"),
        plot(figures.residuals(given, predicted), "Residuals", "predicted minus given"),
    )
    return join([tag("p", said), shown])


def list_systems(result: RunResult, name: str, split: str) -> list[tuple[str, Metric]]:
    """This run and every baseline that measured the metric."""
    own = tables.find(result.metrics, name, split)
    rivals = [(plain_name(b.name), tables.find(b.metrics, name, split)) for b in result.baselines]
    found = [("this run", own), *rivals]
    return [(label, metric) for label, metric in found if metric is not None and metric.value is not None] if own else []
