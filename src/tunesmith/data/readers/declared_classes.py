"""Reads the class names that the ``datasets`` library declares beside numbered labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.data.cells import is_whole, listed, plural


def classes_of_metadata(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """Reads column -> class names in id order, from the metadata of an Arrow schema (also of a parquet file)."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {str(name): names for name, feature in features.items() if (names := classes_of_feature(feature))}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def classes_of_feature(feature: Any) -> list[str]:
    """Returns the names of a ``ClassLabel`` or of a list of them, as the library's object or as JSON; empty for others."""
    if isinstance(feature, list):
        return classes_of_feature(feature[0]) if feature else []
    for part in (feature, part_of(feature, "feature")):
        names = part_of(part, "names")
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
    return []


def part_of(feature: Any, name: str) -> Any:
    return feature.get(name) if isinstance(feature, Mapping) else getattr(feature, name, None)


def named_classes(cells: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """Replaces class numbers, single or in lists, by their names, if there are any.

    Numbers may also be floats (pandas, beside empty cells) or truth values, and texts if no text of the column is a name. -1 (no
    label) becomes None, and is left out of a list. Another number without a name stays.
    """
    if not names:
        return list(cells)
    has_names = hold_names(cells, names)

    def named(cell: Any) -> Any:
        if isinstance(cell, list | tuple):
            return [named(item) for item in cell if class_number(item, has_names) != -1]
        number = class_number(cell, has_names)
        return cell if number is None else names[number] if 0 <= number < len(names) else None if number == -1 else cell

    return [named(cell) for cell in cells]


def hold_names(cells: Sequence[Any], names: Sequence[str]) -> bool:
    """Returns whether a text among the cells is a name, so that all texts are meant as names."""
    known = {*names}
    return any(item in known for item in flat(cells) if isinstance(item, str))


def class_number(cell: Any, has_names: bool) -> int | None:
    """Returns the number of a class; None for every other cell, and for a text in a column that ``has_names``."""
    if isinstance(cell, bool):
        return int(cell)
    return int(float(cell)) if is_whole(cell) and not (isinstance(cell, str) and has_names) else None


def classes_note(
    classes: Mapping[str, Sequence[str]], cells: Mapping[str, Sequence[Any]], columns: Mapping[str, Sequence[Any]]
) -> tuple[str, ...]:
    """Describes the declared names in a sentence a column that had numbers, and counts the numbers that have no name.

    Args:
        cells, columns: the columns before and after ``named_classes``.
    """
    notes = []
    for name, names in classes.items():
        has_names = hold_names(cells[name], names)
        if all(class_number(item, has_names) is None for item in flat(cells[name])):
            continue
        notes.append(f"The column {name} holds numbers of classes that the file names; the names are used.")
        unnamed = [item for item in flat(columns[name]) if class_number(item, has_names) is not None and item not in names]
        if unnamed:
            numbers = f"{plural(len(unnamed), 'number')} of {name} without a name ({listed(sorted(set(unnamed), key=str), 5)})"
            notes.append(
                f"{numbers}: the file declares {plural(len(names), 'name')}, from 0 on. Correct the numbers or the names."
            )
    return tuple(notes)


def flat(cells: Sequence[Any]) -> list[Any]:
    """Returns the cells, and the items of those that are lists."""
    return [item for cell in cells for item in (cell if isinstance(cell, list | tuple) else [cell])]
