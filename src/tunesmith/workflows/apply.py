"""Applies proposed corrections to a data file, or to a copy of a table in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunesmith.data.cells import listed
from tunesmith.data.corrections.apply import LabelChanges, apply_corrections, checked_changes
from tunesmith.data.corrections.corrections_csv import Correction, corrections_of, read_corrections
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.diagnosis.rows import CORRECTIONS, DataDiagnosis
from tunesmith.errors import DataError, OutputError
from tunesmith.recipe.load import IN_MEMORY


def apply(
    corrections: object,
    data: Any,
    output: str | Path | None = None,
    *,
    label: str | None = None,
    split: str = "train",
    allow_many: bool = False,
) -> Any:
    """Writes the corrected copy of a data file, or returns that of a table in memory; ``data`` itself is not changed.

    Args:
        corrections: a diagnosis, the path of a ``corrections.csv``, or such rows in memory.
        data: the path of the file that was diagnosed, or the table.
        output: the new file; default: ``NAME.corrected.SUFFIX`` beside the old one.
        label: the label column, if several columns hold the same labels.
        split: the split of the diagnosis that a table in memory was.
        allow_many: change more than a tenth of the labels, or all of a class.

    Returns:
        ``AppliedCorrections`` for a path. A DataFrame for a DataFrame, a list of dicts for such a list, else a dict of columns.

    Raises:
        DataError: a correction does not fit the data, or they are many.
        OutputError: the output exists, or is the old file.

    Example::

        found = tunesmith.diagnose(frame, output="runs/tickets")
        corrected = tunesmith.apply(found, frame)
    """
    rows = rows_of(corrections)
    if isinstance(data, str | Path):
        return apply_corrections(rows, Path(data), None if output is None else Path(output), label, allow_many=allow_many)
    if output is not None:
        raise OutputError.one(str(output), "a table in memory is returned, not written.", "Write what apply() returns.")
    table = table_from_frame(data, IN_MEMORY)
    own = [row for row in rows if row.split in ("", split)]
    if rows and not own:
        splits = listed(dict.fromkeys(row.split for row in rows))
        raise DataError.one(IN_MEMORY, f"no correction is of the split {split}; they are of {splits}.", "Name it: split=NAME.")
    return corrected(data, table.columns, checked_changes(own, table, label, allow_many=allow_many)[0])


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
