"""Reads the class names that the ``datasets`` library declares beside numbered labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.data.cells import listed, plural


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

    -1 (no label) becomes None, and is left out of a list. Another number without a name stays.
    """

    def named(cell: Any) -> Any:
        if isinstance(cell, list | tuple):
            return [named(item) for item in cell if item != -1]
        if isinstance(cell, bool) or not isinstance(cell, int):
            return cell
        return names[cell] if 0 <= cell < len(names) else None if cell == -1 else cell

    return [named(cell) for cell in cells] if names else list(cells)


def classes_note(classes: Mapping[str, Sequence[str]], columns: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """Describes the declared names in a sentence a column, and counts the numbers in the cells that have none."""
    notes = []
    for name in classes:
        notes.append(f"The column {name} holds numbers of classes that the file names; the names are used.")
        items = [item for cell in columns[name] for item in (cell if isinstance(cell, list) else [cell])]
        unnamed = [item for item in items if isinstance(item, int) and not isinstance(item, bool)]
        if unnamed:
            numbers = f"{plural(len(unnamed), 'number')} of {name} without a name ({listed(sorted(set(unnamed)), 5)})"
            notes.append(
                f"{numbers}: the file declares {plural(len(classes[name]), 'name')}, from 0 on. Correct the numbers or the names."
            )
    return tuple(notes)
