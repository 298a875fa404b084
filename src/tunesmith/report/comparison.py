"""Writes one self-contained page that compares several saved runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.disk import write_text
from tunesmith.errors import InputError
from tunesmith.report import curves, record, tables
from tunesmith.report import saved_run as saved
from tunesmith.report.equal_kl import equal_kl, reward_curves
from tunesmith.report.evidence import grid, plot
from tunesmith.report.figures import distinct, systems
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import ABSENT, count, duration, fraction, is_number, percent, significant
from tunesmith.report.page import document
from tunesmith.report.recommendation import recommendation
from tunesmith.report.saved_run import SavedRun
from tunesmith.report.words import (
    display_name,
    find,
    headline,
    main_metric,
    main_split,
    memory_words,
    notes_on_comparison,
    part,
    total_seconds,
)
from tunesmith.results import Verdict


def write_comparison(runs: Sequence[Path], out: Path, verdicts: Sequence[Verdict] = ()) -> Path:
    """Writes the comparison page and returns its path.

    Args:
        verdicts: verdicts of one run against the others, if computed; each ``against`` names a run.

    Raises InputError if there are no runs, or a folder is not a finished run.
    """
    if not runs:
        raise InputError.one("", "there is no run to show.", "Name at least one run folder.")
    loaded = [saved.load(Path(run)) for run in runs]
    loaded = [replace(run, name=name) for run, name in zip(loaded, distinct([run.name for run in loaded]), strict=True)]
    own = [join([tag("h3", run.name), tables.verdict_table(run.result.verdicts)]) for run in loaded if run.result.verdicts]
    sections = (
        ("between", "Verdicts between the runs", between(loaded, verdicts) if verdicts else None),
        ("metrics", "Metrics", metrics(loaded)),
        ("equal_kl", "Rewards at equal KL", equal_kl([(run.name, run.result) for run in loaded])),
        ("baselines", "Verdicts against the baselines", join(own) if own else None),
        ("curves", "Training curves", run_curves(loaded)),
        ("runs", "Runs", overview(loaded)),
        ("recipes", "Differences between the recipes", recipe_differences(loaded)),
    )
    present = [(name, title, content) for name, title, content in sections if content]
    title = f"{', '.join(run.name for run in loaded)} · tunesmith comparison"
    write_text(Path(out), document(title, opening(loaded), present, None))
    return Path(out)


def between(runs: Sequence[SavedRun], verdicts: Sequence[Verdict]) -> Markup:
    """Builds the table of the verdicts between the runs, and what limits them."""
    notes = notes_on_comparison([run.result for run in runs], verdicts)
    return join([tables.verdict_table(verdicts), *(tag("p", note) for note in notes)])


def opening(runs: Sequence[SavedRun]) -> Markup:
    """Builds the header: recommendation, headline and alarms of each run, and why their metrics cannot be compared."""
    advice = [recommendation(run.result).sentence for run in runs]
    lines = [
        tag("li", tag("strong", f"{run.name}: {sentence}"), tag("p", headline(run.result).sentence))
        for run, sentence in zip(runs, advice, strict=True)
    ]
    split = main_split(runs[0].result)
    are_policies = bool(reward_curves([(run.name, run.result) for run in runs]))  # ppo and grpo have the same metrics
    facts: dict[str, list[Any]] = {
        f"were not evaluated on the same {split} rows": [part(run.result.data, "splits", split).get("sha256") for run in runs],
        "do not have the same labels": [run.result.data.get("labels") for run in runs],
        "do not have the same task": [are_policies or run.result.task for run in runs],
        "do not have the same rewards": [part(run.result.recipe, "rewards") for run in runs],
    }
    different = [difference for difference, values in facts.items() if any(value != values[0] for value in values)]
    texts = [f"The runs {difference}: their metrics cannot be compared." for difference in different]
    warnings = [tag("li", tag("strong", "⚠ ", text)) for text in texts]
    found = [(run.name, alarm) for run in runs for alarm in run.result.alarms]
    warnings += [tag("li", tag("strong", f"⚠ {name}: {alarm.message}"), tag("p", alarm.remedy)) for name, alarm in found]
    alarms = tag("ul", *warnings, class_="alarms", aria_label="Alarms") if warnings else None
    return tag("header", tag("h1", f"Comparison of {plural(len(runs), 'run')}"), tag("ul", *lines, class_="headlines"), alarms)


def metrics(runs: Sequence[SavedRun]) -> Markup | None:
    """Builds a table with one row per metric and one column per run, and a figure of the primary metric."""
    split = main_split(runs[0].result)
    names = list(dict.fromkeys(name for run in runs for name in tables.metric_names(run.result, split)))
    if not names:
        return None
    rows = [
        (
            tables.metric_name(runs[0].result, name, split),
            *(tables.metric_cell(find(run.result.metrics, name, split)) for run in runs),
        )
        for name in names
    ]
    table = tables.table(("metric", *(run.name for run in runs)), rows, caption=split)
    note = (
        "In brackets: 95 % intervals of each run. To see whether two runs differ, use the verdict between them, "
        "not the overlap of these intervals."
    )
    main, figure = main_metric(runs[0].result), None
    values = [] if main is None else [(run.name, find(run.result.metrics, main.name, split)) for run in runs]
    shown = [(name, value) for name, value in values if value is not None and is_number(value.value)]
    if main is not None and shown:
        figure = plot(systems(shown), f"{split.capitalize()} {display_name(main.name)}", "with 95 % intervals")
    return join([table, tag("p", note, class_="note"), tag("div", figure, class_="single")])


def run_curves(runs: Sequence[SavedRun]) -> Markup | None:
    """Plots training loss, validation loss, primary metric and learning rate of every run."""
    metric, logs = main_metric(runs[0].result), [(run.name, run.events) for run in runs]
    name = display_name(metric.name) if metric else ""
    return grid(
        plot(curves.run_curves(logs, "train", "loss", "loss"), "Training loss"),
        plot(curves.run_curves(logs, "evaluate", "loss", "loss"), "Validation loss"),
        plot(curves.run_curves(logs, "evaluate", metric.name, name), f"Validation {name}") if metric else None,
        plot(curves.run_curves(logs, "train", "learning_rate", "learning rate"), "Learning rate"),
    )


def overview(runs: Sequence[SavedRun]) -> Markup:
    """Builds a table of model, rows, steps, time and memory of each run."""
    facts = []
    for run in runs:
        training, result = run.result.training, run.result
        total, trained = training.get("n_parameters"), training.get("n_trainable_parameters")
        of_run = {
            "base model": str(part(result.recipe, "model").get("name") or ABSENT),
            "training rows": count(record.splits(run).get("train", {}).get("rows")),
            "parameters": count(total),
            "trained": percent(fraction(trained, total)),
            "steps": count(training.get("steps")),
            "epochs": significant(training.get("epochs")),
            "learning rate": significant(training.get("learning_rate")),
            "rows/s": significant(training.get("rows_per_second")),
            "time": duration(total_seconds(result) or None),
            "peak memory": memory_words(result) or ABSENT,
            "device": str(result.environment.get("gpu") or result.environment.get("device") or ABSENT),
        }
        facts.append(of_run)
    rows = [(name, *(tables.num(of_run[name]) for of_run in facts)) for name in facts[0]]
    return tables.table(("", *(run.name for run in runs)), rows)


def recipe_differences(runs: Sequence[SavedRun]) -> Markup | None:
    """Builds a table of the recipe keys whose values differ."""
    flat = [flattened(run.result.recipe) for run in runs]
    every = dict.fromkeys(key for recipe in flat for key in recipe)
    keys = [key for key in every if len({repr(recipe.get(key)) for recipe in flat}) > 1]
    rows = [(tag("code", key), *(tables.Cell(tables.value_text(recipe.get(key)), "name") for recipe in flat)) for key in keys]
    return tables.table(("key", *(run.name for run in runs)), rows) if rows else None


def flattened(recipe: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens a recipe to ``section.key -> value``."""
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        name = f"{prefix}{key}"
        flat |= flattened(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat
