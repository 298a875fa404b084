"""Several saved runs side by side on one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith import saved_run as saved
from tunesmith.errors import InputError
from tunesmith.report import curves, record, tables
from tunesmith.report.evidence import grid, plot
from tunesmith.report.figures import systems
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import count, duration, is_number, percent, significant, size
from tunesmith.report.page import document
from tunesmith.report.words import headline, main_metric, main_split, part, plain_name, total_seconds
from tunesmith.results import Metric, Verdict
from tunesmith.saved_run import SavedRun


def write_comparison(runs: Sequence[Path], out: Path, verdicts: Sequence[Verdict] = ()) -> Path:
    """Write a page that shows runs side by side and return its path.

    Args:
        verdicts: of one run against the others, where they were computed; each ``against`` names a run.

    Raises:
        InputError: no runs, or a folder that holds no finished run.
    """
    if not runs:
        raise InputError.one("", "there is no run to show.", "Name at least one run folder.")
    loaded = distinct([saved.load(Path(run)) for run in runs])
    sections = [(name, title, content) for name, title, content in comparison_sections(loaded, verdicts) if content]
    names = ", ".join(run.name for run in loaded)
    Path(out).write_text(
        document(f"{names} · tunesmith comparison", opening(loaded), sections, None), encoding="utf-8", newline="\n"
    )
    return Path(out)


def distinct(runs: Sequence[SavedRun]) -> list[SavedRun]:
    """The runs, with a number behind names that occur twice."""
    seen: dict[str, int] = {}
    kept = []
    for run in runs:
        seen[run.name] = seen.get(run.name, 0) + 1
        kept.append(run if seen[run.name] == 1 else replace(run, name=f"{run.name} ({seen[run.name]})"))
    return kept


def comparison_sections(runs: Sequence[SavedRun], verdicts: Sequence[Verdict]) -> list[tuple[str, str, Markup | None]]:
    """Every section of the page, None where there is nothing to show."""
    return [
        ("between", "Verdict between the runs", tables.verdict_table(verdicts) if verdicts else None),
        ("metrics", "Metrics", metrics(runs)),
        ("baselines", "Verdicts against the baselines", against_baselines(runs)),
        ("curves", "Training curves", run_curves(runs)),
        ("runs", "Runs", overview(runs)),
        ("recipes", "Where the recipes differ", recipe_differences(runs)),
    ]


def opening(runs: Sequence[SavedRun]) -> Markup:
    """The runs' own headlines, what forbids a comparison, and the alarms of each."""
    lines = [tag("li", tag("strong", run.name), f": {headline(run.result).sentence}") for run in runs]
    warnings = [tag("li", tag("strong", "⚠ ", text)) for text in not_comparable(runs)]
    warnings += [
        tag("li", tag("strong", f"⚠ {run.name}: {a.message}"), tag("p", a.remedy)) for run in runs for a in run.result.alarms
    ]
    loud = tag("ul", *warnings, class_="alarms", aria_label="Alarms") if warnings else None
    return tag("header", tag("h1", f"Comparison of {len(runs)} runs"), tag("ul", *lines, class_="headlines"), loud)


def not_comparable(runs: Sequence[SavedRun]) -> list[str]:
    """Why figures of these runs must not be compared: other test rows, other labels, other tasks."""
    split = main_split(runs[0].result)
    facts: dict[str, list[Any]] = {
        f"were not measured on the same {split} rows": [part(run.result.data, "splits", split).get("sha256") for run in runs],
        "do not have the same labels": [run.result.data.get("labels") for run in runs],
        "do not have the same task": [run.result.task for run in runs],
    }
    different = [what for what, values in facts.items() if any(value != values[0] for value in values)]
    return [f"The runs {what}: their figures cannot be compared." for what in different]


def metrics(runs: Sequence[SavedRun]) -> Markup | None:
    """One line per metric, one column per run, and the main metric as a figure."""
    split = main_split(runs[0].result)
    names = list(dict.fromkeys(name for run in runs for name in tables.metric_names(run.result, split)))
    if not names:
        return None
    rows = [
        (
            tables.named(runs[0].result, name, split),
            *(tables.metric_cell(tables.find(run.result.metrics, name, split)) for run in runs),
        )
        for name in names
    ]
    table = tables.table(("metric", *(run.name for run in runs)), rows, caption=split)
    note = (
        "In brackets: 95 % intervals of each run by itself. "
        "Whether two runs differ is said by the verdict between them, not by whether these overlap."
    )
    return join([table, tag("p", note, class_="note"), tag("div", main_figure(runs, split), class_="single")])


def main_figure(runs: Sequence[SavedRun], split: str) -> Markup | None:
    """The main metric of the first run for every run."""
    metric = main_metric(runs[0].result)
    if metric is None:
        return None
    found = [(run.name, tables.find(run.result.metrics, metric.name, split)) for run in runs]
    shown: list[tuple[str, Metric]] = [(name, value) for name, value in found if value is not None and is_number(value.value)]
    return plot(systems(shown), f"{split.capitalize()} {plain_name(metric.name)}", "with 95 % intervals") if shown else None


def against_baselines(runs: Sequence[SavedRun]) -> Markup | None:
    """Each run's own verdicts."""
    shown = [join([tag("h3", run.name), tables.verdict_table(run.result.verdicts)]) for run in runs if run.result.verdicts]
    return join(shown) if shown else None


def run_curves(runs: Sequence[SavedRun]) -> Markup | None:
    """Training loss, validation loss and the main metric of every run."""
    metric, logs = main_metric(runs[0].result), [(run.name, run.events) for run in runs]
    name = plain_name(metric.name) if metric else ""
    return grid(
        plot(curves.run_curves(logs, "train", "loss", "loss"), "Training loss"),
        plot(curves.run_curves(logs, "evaluate", "loss", "loss"), "Validation loss"),
        plot(curves.run_curves(logs, "evaluate", metric.name, name), f"Validation {name}") if metric else None,
        plot(curves.run_curves(logs, "train", "learning_rate", "learning rate"), "Learning rate"),
    )


def overview(runs: Sequence[SavedRun]) -> Markup:
    """Model, rows, steps, time and memory of each run."""
    facts = [run_facts(run) for run in runs]
    rows = [(name, *(tables.num(fact[name]) for fact in facts)) for name in facts[0]]
    return tables.table(("", *(run.name for run in runs)), rows)


def run_facts(run: SavedRun) -> dict[str, str]:
    """What the run was and cost, name -> text."""
    found, result = run.result.training, run.result
    total, trained = found.get("n_parameters"), found.get("n_trainable_parameters")
    return {
        "base model": str(part(result.recipe, "model").get("name") or "–"),
        "training rows": count(record.splits(run).get("train", {}).get("rows")),
        "parameters": count(total),
        "trained": percent(trained / total) if is_number(trained) and is_number(total) and total else "–",
        "steps": count(found.get("steps")),
        "epochs": significant(found.get("epochs")),
        "learning rate": significant(found.get("learning_rate")),
        "rows/s": significant(found.get("rows_per_second")),
        "time": duration(total_seconds(result) or None),
        "peak memory": size(result.peak_memory_bytes),
        "device": str(result.environment.get("gpu") or result.environment.get("device") or "–"),
    }


def recipe_differences(runs: Sequence[SavedRun]) -> Markup | None:
    """The keys whose values are not the same in all runs."""
    flat = [flattened(run.result.recipe) for run in runs]
    keys = [
        key
        for key in dict.fromkeys(key for recipe in flat for key in recipe)
        if len({repr(recipe.get(key)) for recipe in flat}) > 1
    ]
    rows = [(tag("code", key), *(tables.Cell(tables.value_text(recipe.get(key)), "name") for recipe in flat)) for key in keys]
    return tables.table(("key", *(run.name for run in runs)), rows) if rows else None


def flattened(recipe: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A recipe as ``section.key -> value``."""
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        name = f"{prefix}{key}"
        flat |= flattened(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat
