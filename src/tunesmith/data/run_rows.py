"""Finds the run that a model is of, and divides rows as that run did: what it learnt from is not evaluated on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.data.readers.read import resolve_path
from tunesmith.data.records import Rows, ids_of_ranges
from tunesmith.errors import DataError, RecipeError
from tunesmith.recipe.sections import AUTO, Recipe
from tunesmith.recipe.tasks import TASKS, task_settings
from tunesmith.run_folder import RESULT

CHECKPOINTS, METRICS_OF_STEP = "checkpoints", "metrics.json"


def run_of_model(path: Path) -> Path | None:
    """Returns the folder of the run that a model is of: the folder itself, or the run that kept the model of an evaluation.

    Kept models are in ``RUN/checkpoints/step-N``, or below ``RUN/checkpoints/seed-K`` of a run with several seeds. None for other
    models.
    """
    if (path / RESULT).is_file():
        return path
    if not (path / METRICS_OF_STEP).is_file():
        return None
    above = Path(os.path.abspath(path)).parents[:2]
    return next((place.parent for place in above if place.name == CHECKPOINTS and (place.parent / RESULT).is_file()), None)


@dataclass(frozen=True)
class RunSplits:
    """The rows of its training file that a run held out.

    Attributes:
        name: the run, as the recipe names it.
        row_ids: split -> positions in the file, of the splits that the run took from it.
    """

    name: str
    row_ids: Mapping[str, frozenset[int]]

    def divide(self, rows: Rows, split: str, notes: list[str]) -> tuple[Rows, Rows]:
        """Divides rows into those that the run did not hold out for a split, and those that it did.

        Raises DataError if one of the two is empty.
        """
        held = self.row_ids[split]
        chosen = [i for i, row_id in enumerate(rows.row_ids) if row_id in held]
        rest = [i for i, row_id in enumerate(rows.row_ids) if row_id not in held]
        if not chosen or not rest:
            message = f"{self.name} held out {len(chosen):,} of {plural(len(rows), 'row')} for {split}."
            raise DataError.one(rows.source, message, "Set data.split_as: null, and give test and validation rows of your own.")
        notes.append(f"The {plural(len(chosen), 'row')} of {split} are those that {self.name} held out.")
        return rows.take(rest, rows.split), rows.take(chosen, split)


def splits_of_run(recipe: Recipe, base: Path, sha256: str) -> RunSplits | None:
    """Finds the rows that a run held out of the recipe's training file; None if there is nothing to follow.

    ``data.split_as`` names the run; ``auto`` is that of ``model.name``, if it learnt from the same file, and not from its texts
    alone (``pretraining``), which says nothing of labels and answers.

    Args:
        base: the folder that the recipe's paths start from.
        sha256: of the training file.

    Raises RecipeError if ``data.split_as`` names a folder that is no run, or a run on another file.
    """
    named = recipe.data.split_as
    name = recipe.model.name if named == AUTO else named
    if name is None or name.startswith(("builtin:", "hub:")):
        return None
    run = run_of_model(resolve_path(name, base))
    record = {} if run is None else record_of(run)
    settings = TASKS.get(record.get("recipe", {}).get("task", ""))
    if named == AUTO and settings is not None and settings.plain_texts and not task_settings(recipe).plain_texts:
        return None
    found = None if run is None else held_out(record, sha256)
    if found:
        return RunSplits(name, found)
    if named == AUTO:
        return None
    what = "has no result.json: it is no finished run" if run is None else "held out no rows of this training file"
    raise RecipeError.one("data.split_as", f"{name} {what}.", "Name a run on the same file, or leave data.split_as out.")


def held_out(record: Mapping[str, Any], sha256: str) -> dict[str, frozenset[int]]:
    """Returns split -> rows of a file that a run held out of its training file; empty for a run on other rows.

    Args:
        record: ``result.json`` of the run.
        sha256: of the file.
    """
    splits: Mapping[str, Any] = record["data"].get("splits", {})
    if not sha256 or splits.get("train", {}).get("sha256") != sha256:
        return {}
    found = {name: ids_of_ranges(split.get("row_ids", "")) for name, split in splits.items() if split.get("sha256") == sha256}
    return {name: ids for name, ids in found.items() if ids}


def record_of(run: Path) -> dict[str, Any]:
    """Reads ``result.json`` of a run."""
    record: dict[str, Any] = json.loads((run / RESULT).read_text(encoding="utf-8"))
    return record
