"""Measures the difficulty of each test row by the answers of several runs (item response theory), and the skill of each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.diagnosis.input_ablation import plain_cell
from tunesmith.diagnosis.pool import public_start, write_csv
from tunesmith.errors import InputError
from tunesmith.evaluation.item_response import MIN_MODELS, MODELS_FOR_DISCRIMINATION, ItemResponse, fit_item_response
from tunesmith.report.words import main_split
from tunesmith.tasks.finished import Run, folder_of
from tunesmith.workflows.saved_splits import SavedSplit, saved_seeds

COLUMNS = (
    "row_id", "label", "n_models", "n_right", "difficulty", "difficulty_low", "difficulty_high",
    "discrimination", "discrimination_low", "discrimination_high", "text",
)  # fmt: skip
SHOWN = 5
FEW_ANSWERS = 50
"""Wrong or right answers of all models below which the spread of the difficulties is hardly known."""


@dataclass(frozen=True)
class Items:
    """The rows of a split as items of a test that several models took.

    Attributes:
        models: one dictionary a model: ``run``, ``seed``, ``n_right``, ``skill``, ``low``, ``high``; the most skilled first.
        rows: one dictionary a row, the hardest first, with the keys ``COLUMNS``; discriminations are None for few models.
        note: what limits the estimates.
    """

    split: str
    models: tuple[dict[str, Any], ...]
    rows: tuple[dict[str, Any], ...]
    note: str

    def write(self, path: Path) -> None:
        """Writes one line a row, the hardest first."""
        write_csv(path, COLUMNS, (list(map(plain_cell, row.values())) for row in self.rows))

    def to_json(self) -> dict[str, Any]:
        hardest, n_rows = list(self.rows[:SHOWN]), len(self.rows)
        return {"split": self.split, "models": list(self.models), "hardest": hardest, "n_rows": n_rows, "note": self.note}


def measure_items(runs: Sequence[str | Path | Run], split: str | None = None) -> Items:
    """Fits difficulties of the rows and skills of the runs; every saved seed counts as a model.

    Args:
        split: default: the split that the first run is evaluated on.

    Raises InputError for fewer than three models, runs without one class a row, or runs of other rows or labels.
    """
    loaded = [Run.load(folder_of(run)) for run in runs]
    name = split or main_split(loaded[0].result)
    systems = [seed for run in loaded for seed in saved_seeds(run, name)]
    if len(systems) < MIN_MODELS:
        message = f"{plural(len(systems), 'model')} predicted {name}; the difficulty of single rows needs {MIN_MODELS}."
        raise InputError.one("--items", message, "Give more runs, or train with train.n_seeds: 3: every seed counts.")
    first = systems[0]
    for system in systems:
        require_same_rows(system, first)
    right = np.array([[a == b for a, b in zip(s.rows["prediction"], s.rows["label"], strict=True)] for s in systems])
    has_many = len(systems) >= MODELS_FOR_DISCRIMINATION
    response = fit_item_response(right, fits_discrimination=has_many)
    rows = item_rows(first, right, response, has_many)
    return Items(name, tuple(model_rows(systems, right, response)), tuple(rows), limits(systems, right))


def require_same_rows(system: SavedSplit, first: SavedSplit) -> None:
    """Raises InputError unless both predicted one class for each of the same rows."""
    folder = str(system.run.folder)
    if system.problem_type != SINGLE or "prediction" not in system.rows or "label" not in system.rows:
        message = "its rows do not have one class each, so that answers are not right or wrong."
        raise InputError.one(folder, message, "Leave --items out.")
    if any(system.rows.get(part) != first.rows.get(part) for part in ("row_id", "label")):
        message = f"it did not predict the same {first.split} rows with the same labels as {first.run.folder}."
        raise InputError.one(folder, message, "Give all runs the same test file.")


def model_rows(systems: Sequence[SavedSplit], right: Array, response: ItemResponse) -> list[dict[str, Any]]:
    """Returns the skill of each model with its 95 % posterior interval, the most skilled first."""
    models = [
        {
            "run": str(system.run.folder),
            "seed": next(iter(system.rows.get("seed", [])), None),
            "n_right": int(right[i].sum()),
            "skill": float(response.skill[i]),
            "low": float(response.skill[i] - 1.96 * response.skill_error[i]),
            "high": float(response.skill[i] + 1.96 * response.skill_error[i]),
        }
        for i, system in enumerate(systems)
    ]
    return sorted(models, key=lambda model: -float(model["skill"] or 0))


def item_rows(first: SavedSplit, right: Array, response: ItemResponse, has_many: bool) -> list[dict[str, Any]]:
    """Returns the figures of each row, the hardest first; texts with personal data are left out."""
    texts = first.rows.get("text", [""] * right.shape[1])
    rows = []
    for j in np.argsort(-response.difficulty, kind="stable").tolist():
        ends = (response.discrimination[j], response.discrimination_low[j], response.discrimination_high[j])
        discrimination = [float(end) if has_many else None for end in ends]
        difficulty = [float(end[j]) for end in (response.difficulty, response.difficulty_low, response.difficulty_high)]
        answers = first.rows["row_id"][j], first.rows["label"][j], len(right), int(right[:, j].sum())
        rows.append(dict(zip(COLUMNS, (*answers, *difficulty, *discrimination, public_start(texts[j] or "")), strict=True)))
    return rows


def limits(systems: Sequence[SavedSplit], right: Array) -> str:
    """Explains what the number and the kind of the models and of their answers (M, N) allow."""
    n, n_runs = len(systems), len({system.run.folder for system in systems})
    n_right, parts = int(right.sum()), []
    if n < MODELS_FOR_DISCRIMINATION:
        parts.append(
            f"{plural(n, 'model')}: too few for discriminations (from {MODELS_FOR_DISCRIMINATION} on); difficulties rank rows as "
            "the number of right answers does, with wide intervals."
        )
    for kind, count in (("wrong", right.size - n_right), ("right", n_right)):
        if count < FEW_ANSWERS:
            parts.append(f"Few answers are {kind} ({count} of {right.size:,}): the intervals of the rows may be too narrow.")
    if n_runs < n:
        parts.append(
            "Seeds of one run count as models of their own; they err on the same rows, so that intervals are too narrow."
        )
    parts.append("A hard row is one that these models get wrong: its label may be right.")
    return " ".join(parts)
