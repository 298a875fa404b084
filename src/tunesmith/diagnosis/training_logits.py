"""Logits that a finished run recorded of its training rows, and the recipe that reads these rows again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tunesmith.data.arrays import Array
from tunesmith.data.table import Examples, Labels
from tunesmith.errors import DataError
from tunesmith.recipe.files import is_file_name
from tunesmith.recipe.load import LoadedRecipe, override, recipe_from_mapping
from tunesmith.run_folder import EPOCH_LOGITS
from tunesmith.tasks.finished import Run


def recipe_of_run(run: Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """The recipe of a finished run, on the files it was trained on.

    Args:
        overrides: settings that replace it, as on the command line.

    Raises:
        ModelError: the folder holds no finished run.
        DataError: it was trained on a table in memory.
    """
    record = Run.load(run).result.data
    recipe: dict[str, Any] = yaml.safe_load((run / "resolved.yaml").read_text(encoding="utf-8"))
    data = recipe["data"]
    if is_file_name(data["train"]) and not record["splits"]["train"]["sha256"]:
        raise DataError.one(
            str(run), "the run was trained on a table in memory.", "Diagnose that table with the Python function."
        )
    for split in ("validation", "test"):
        if data.get(split) is None:
            data.pop(split, None)  # the source of train adds its own splits again
    override(recipe, overrides)
    text = (run / "recipe.yaml").read_text(encoding="utf-8")
    return LoadedRecipe(recipe_from_mapping(recipe, str(run)), run / "recipe.yaml", recipe, text, Path(record.get("base", ".")))


def read_epoch_logits(run: Path, rows: Examples, labels: Labels) -> tuple[Array | None, str]:
    """A run's logits (E, N, K) of these rows, NaN for rows it was not trained on, and their mode; None if it saved none.

    Raises:
        DataError: the rows or the classes are not those of the run.
    """
    if not (run / EPOCH_LOGITS).exists():
        return None, ""
    with np.load(run / EPOCH_LOGITS) as arrays:
        logits, row_ids, names, mode, sha256 = (arrays[name] for name in ("logits", "row_ids", "names", "mode", "sha256"))
    if tuple(names.tolist()) != labels.names or str(sha256) != rows.sha256:
        message = f"the file is not the one that the run {run} was trained on (its sha256 differs)."
        raise DataError.one(rows.source, message, "Diagnose the file itself, or train on it again.")
    place = {row_id: i for i, row_id in enumerate(rows.row_ids)}
    on_rows = np.full((len(logits), len(rows), labels.n), np.nan, dtype=np.float32)
    on_rows[:, [place[row_id] for row_id in row_ids.tolist()]] = logits
    return on_rows, str(mode)
