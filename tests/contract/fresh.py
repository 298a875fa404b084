"""Uses finished runs in a process that did not train them: reads jobs as JSON on standard input, writes what they gave.

A job is ``{"words": [...]}``, a command line, or ``{"recipe": FILE, "run": FOLDER}``: the outputs on the recipe's splits of the
model that the run saved.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.contract import toy_task
from tunesmith.cli.main import main
from tunesmith.evaluation.outputs import metric_values
from tunesmith.progress import Clock, silent
from tunesmith.recipe.load import load_recipe
from tunesmith.tasks.steps import load, read
from tunesmith.tasks.table import task_for
from tunesmith.tasks.task import Request


def command(words: list[str]) -> dict[str, Any]:
    """Runs a command line; returns split -> metric -> value, and the geometry of vectors; of no measurement what it prints."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*words, "--json"])
    if code:
        return {"error": err.getvalue()}
    result = json.loads(out.getvalue())
    if "metrics" not in result:
        return dict(result)
    return {**by_split(result["metrics"]), "geometry": result["data"].get("geometry")}


def by_split(metrics: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for metric in metrics:
        found.setdefault(metric["split"], {})[metric["name"]] = metric["value"]
    return found


def saved_model(recipe: str, run: str) -> dict[str, Any]:
    """Returns split -> metric -> value of a run's model as a base model, on the rows of a recipe."""
    loaded = load_recipe(Path(recipe), [f"model.name={run}", f"output={run}-again"])
    whole = loaded.recipe.model_copy(update={"adapter": None, "quantisation": None})
    loaded, task = replace(loaded, recipe=whole), task_for(loaded.recipe)
    steps = task.load_steps()
    session = load(steps, read(task, Request(loaded, Clock(silent, {}))), 0)
    outputs = steps.outputs(session)
    return {split.split: metric_values(outputs[split.split], split) for split in steps.metrics(session)}


def toy_model(recipe: str, run: str) -> dict[str, Any]:
    """The same of the toy task, whose model is no base model."""
    loaded, folder = load_recipe(Path(recipe)), Path(run) / "model"
    data = toy_task.read(Request(loaded, Clock(silent, {})))
    words, limit = json.loads((folder / "words.json").read_text()), loaded.recipe.data.max_length or toy_task.LONGEST
    model, metrics = toy_task.reload_model(folder), toy_task.SETTINGS.metrics
    rows = {name: toy_task.count_words(rows, words, limit) for name, rows in data.splits.named().items()}
    return {
        name: metric_values(toy_task.predict(model, rows[name]), toy_task.SplitMetrics(name, metrics))
        for name in ("validation", "test")
    }


def do(job: dict[str, Any]) -> dict[str, Any]:
    if "words" in job:
        return command(job["words"])
    return toy_model(**job) if "/toy/" in job["run"] else saved_model(**job)


if __name__ == "__main__":
    import pytest

    toy_task.install(pytest.MonkeyPatch())
    jobs = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        given = {name: do(job) for name, job in jobs.items()}
    json.dump(given, sys.stdout)
