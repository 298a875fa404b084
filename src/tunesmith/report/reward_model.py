"""Builds the report section of reward models: accuracy by the gap of the scores, and recognition of answers of another kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.report.drawing import Axis, Figure, Series
from tunesmith.report.evidence import grid, plot
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import count, number, with_interval
from tunesmith.report.saved_run import SavedRun
from tunesmith.report.tables import num, table
from tunesmith.report.words import part

SCORES: Mapping[str, str] = {
    "mahalanobis": "distance of the last hidden state to those of train (Mahalanobis)",
    "energy": "energy of the reward: low rewards first",
    "ensemble_spread": "spread of the rewards of the seeds",
}


def reward_model(run: SavedRun) -> Markup | None:
    """Shows the accuracy by the gap of the annotators' scores, and how well scores recognise answers of another kind."""
    record = part(run.result.training, "reward")
    parts = by_gap(record.get("accuracy_by_gap") or []), shifted(part(record, "out_of_distribution"))
    shown = [content for content in parts if content]
    return join(shown) if shown else None


def by_gap(groups: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Plots and lists the accuracy in groups of pairs; None without scores."""
    if not groups:
        return None
    rows = [
        (num(f"{number(g['lowest'])} to {number(g['highest'])}"), num(count(g["rows"])), num(number(g["accuracy"])))
        for g in groups
    ]
    middles = [(group["lowest"] + group["highest"]) / 2 for group in groups]
    hints = [f"{plural(group['rows'], 'pair')}: {number(group['accuracy'])}" for group in groups]
    series = Series(middles, [group["accuracy"] for group in groups], "accuracy", mode="both", hints=hints)
    figure = Figure([series], Axis("gap of the scores", from_zero=True), Axis("accuracy", 0.0, 1.03), 300)
    note = "A model that learned what the scores mean orders pairs of a large gap better than those of a small one."
    listed = table(("gap of the scores", "pairs", "accuracy"), rows, box="fit")
    return join(
        [tag("h3", "By the gap of the scores"), tag("p", note, class_="note"), grid(plot(figure, "Accuracy", "")), listed]
    )


def shifted(record: Mapping[str, Any]) -> Markup | None:
    """Lists the AUROC of each score; None without shifted answers."""
    if not record:
        return None
    rows = [
        (SCORES.get(score["score"], score["score"]), num(with_interval(score["auroc"], score["low"], score["high"])))
        for score in record["scores"]
    ]
    note = (
        f"{plural(record['shifted'], 'answer')} of {record['source']} against {count(record['answers'])} of {record['split']}: "
        "0.5 is chance. A reward is worth little where a score that recognises other answers is high."
    )
    listed = table(("score", "AUROC [95 %]"), rows, box="fit")
    return join([tag("h3", "Answers of another kind"), tag("p", note, class_="note"), listed])
