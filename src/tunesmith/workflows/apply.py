"""Applies proposed corrections to a data file, or to a copy of a table in memory, and measures what they are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tunesmith.data.cells import listed
from tunesmith.data.corrections.apply import apply_corrections, checked_changes
from tunesmith.data.corrections.changes import LabelChanges
from tunesmith.data.corrections.corrections_csv import Correction, corrections_of, read_corrections
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.diagnosis.ablation import run_ablation
from tunesmith.diagnosis.rows import CORRECTIONS, DIAGNOSIS_FILE, DataDiagnosis
from tunesmith.errors import DataError, OutputError, RecipeError
from tunesmith.progress import Listener
from tunesmith.recipe.files import is_file_name, locate
from tunesmith.recipe.given_labels import labels_of_file, read_label_map
from tunesmith.recipe.load import IN_MEMORY, LoadedRecipe, load_recipe
from tunesmith.workflows.notebook import listener_here

DEFAULT_RECIPE, RESOLVED_RECIPE = "recipe.yaml", "resolved.yaml"


def apply(
    corrections: object,
    data: Any,
    output: str | Path | None = None,
    *,
    label: str | None = None,
    split: str = "train",
    allow_many: bool = False,
    measure: str | Path | bool = False,
    overwrite: bool = False,
    labels: str | Path | Mapping[Any, Any] | None = None,
    listener: Listener | None = None,
) -> Any:
    """Writes the corrected copy of a data file, or returns that of a table in memory; ``data`` itself is not changed.

    With ``measure`` it also compares models trained on the original rows, on the corrected ones, and without the rows to correct.

    Args:
        corrections: a diagnosis, the path of a ``corrections.csv``, or such rows in memory.
        data: the path of the file that was diagnosed, or the table.
        output: the new file; default: ``NAME.corrected.SUFFIX`` beside the old one.
        label: the label column, if several columns hold the same labels.
        split: the split of the diagnosis that a table in memory was; ``also[0]`` for the first of ``data.also``.
        allow_many: change more than a tenth of the labels, or all of a class.
        measure: the recipe to train with, whose training file is ``data``; True for the ``recipe.yaml`` beside the corrections.
        labels: label of the file -> class, as it was diagnosed; by default, and with ``measure``, that of the recipe.
        overwrite, listener: with ``measure``, replace an earlier measurement; and as for ``train``.

    Returns:
        ``AppliedCorrections`` for a path; with ``measure`` an ``AblationResult``. For a table in memory one of its kind.

    Raises DataError for corrections that do not fit the data or are many, and OutputError if the output exists.

    Example::

        found = tunesmith.diagnose(frame, output="runs/tickets")
        corrected = tunesmith.apply(found, frame)
    """
    rows, target = rows_of(corrections), None if output is None else Path(output)
    if measure is not False:
        recipe, path = measured_recipe(corrections, measure), measured_file(data)
        measured = partial(run_ablation, output=target, column=label, allow_many=allow_many, overwrite=overwrite)
        with listener_here(listener) as shown:
            return measured(recipe, rows, path, listener=shown)
    own = labels_beside(corrections, data, split) if labels is None else read_label_map(labels)
    if isinstance(data, str | Path):
        return apply_corrections(rows, Path(data), target, label, allow_many=allow_many, labels=own)
    if output is not None:
        raise OutputError.one(str(output), "a table in memory is returned, not written.", "Write what apply() returns.")
    return corrected_table(rows, data, label, split, allow_many=allow_many, labels=own)


def labels_beside(corrections: object, data: object, split: str = "train") -> Mapping[str, Any]:
    """Returns the map of labels that the recipe in the folder of the corrections has for this file; empty if there is none."""
    folder = corrections.folder if isinstance(corrections, DataDiagnosis) else None
    if isinstance(corrections, str | Path):
        folder = Path(corrections).parent
    if folder is None or not (folder / DIAGNOSIS_FILE).is_file() or not (folder / RESOLVED_RECIPE).is_file():
        return {}
    file = Path(data) if isinstance(data, str | Path) else None
    return labels_of_file(load_recipe(folder / RESOLVED_RECIPE).recipe.data, file, split)


def corrected_table(
    rows: Sequence[Correction], data: Any, label: str | None, split: str, *, allow_many: bool, labels: Mapping[str, Any]
) -> Any:
    """Returns the corrected copy of a table in memory. Raises DataError if no correction is of its split."""
    table = table_from_frame(data, IN_MEMORY)
    own = [row for row in rows if (row.source or row.split) in ("", split)]
    if rows and not own:
        splits = listed(dict.fromkeys(row.source or row.split for row in rows))
        raise DataError.one(IN_MEMORY, f"no correction is of the split {split}; they are of {splits}.", "Name it: split=NAME.")
    return corrected(data, table.columns, checked_changes(own, table, label, allow_many=allow_many, labels=labels)[0])


def measured_file(data: object) -> Path:
    """Returns the path of the file to correct and train on. Raises DataError for a table in memory."""
    if isinstance(data, str | Path):
        return Path(data)
    message = f"measure trains on the file that the recipe names; {type(data).__name__} was given."
    raise DataError.one(IN_MEMORY, message, "Give the path of the file.")


def measured_recipe(corrections: object, measure: str | Path | bool) -> LoadedRecipe:
    """Loads the recipe of a measurement: the named one, or the one beside the corrections."""
    if not isinstance(measure, bool):
        return load_recipe(Path(measure))
    if isinstance(corrections, DataDiagnosis):
        return recipe_beside(corrections.folder / CORRECTIONS)
    if isinstance(corrections, str | Path):
        return recipe_beside(Path(corrections))
    raise RecipeError.one("apply()", "corrections in memory have no recipe beside them.", "Name it: measure='recipe.yaml'.")


def recipe_beside(corrections: Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Loads the recipe in the folder of the corrections.

    Raises RecipeError if there is none, or a file that it names does not exist.
    """
    recipe = corrections.parent / DEFAULT_RECIPE
    if not recipe.is_file():
        message = f"there is no {DEFAULT_RECIPE} in its folder."
        raise RecipeError.one(str(corrections), message, "Name the recipe to train with: --measure RECIPE.")
    loaded = load_recipe(recipe, overrides)
    names = [*(loaded.recipe.data.file(split) for split in ("train", "validation", "test")), *loaded.recipe.data.also]
    missing = [name for name in names if name is not None and is_file_name(name) and not locate(name, loaded.base).exists()]
    if missing:
        message = f"{', '.join(missing)} is not found from the current directory."
        raise RecipeError.one(str(recipe), message, "Name the recipe that was diagnosed: --measure RECIPE.")
    return loaded


def rows_of(corrections: object) -> list[Correction]:
    """Returns the corrections of a diagnosis, a file or a table in memory."""
    if isinstance(corrections, DataDiagnosis):
        return read_corrections(corrections.folder / CORRECTIONS)
    if isinstance(corrections, str | Path):
        return read_corrections(Path(corrections))
    return corrections_of(table_from_frame(corrections, "corrections"))


def corrected(data: Any, columns: dict[str, list[Any]], changes: LabelChanges) -> Any:
    """Returns a corrected copy of a table in memory."""
    n_rows = len(columns[changes.column])
    keep = [i for i in range(n_rows) if i not in changes.removed]
    if hasattr(data, "iloc"):
        frame, place = data.copy(), list(map(str, data.columns)).index(changes.column)
        for i, value in changes.labels.items():
            frame.iloc[i, place] = value
        return frame.iloc[keep]
    cells = [changes.labels.get(i, cell) for i, cell in enumerate(columns[changes.column])]
    whole = {name: [column[i] for i in keep] for name, column in {**columns, changes.column: cells}.items()}
    is_list = isinstance(data, list | tuple)
    return [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)] if is_list else whole
