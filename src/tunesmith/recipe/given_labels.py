"""Reads a map of labels that is given beside a recipe: on the command line, in a YAML file, or in Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.errors import RecipeError
from tunesmith.recipe.load import IN_MEMORY, recipe_from_mapping
from tunesmith.recipe.sections import DataSection
from tunesmith.recipe.source import parse

SUFFIXES = (".yaml", ".yml", ".json")
EXAMPLE = "For example '{0: unacceptable, 1: acceptable}'; null leaves rows out."
WHERE = "labels"


def read_label_map(given: str | Path | Mapping[Any, Any]) -> dict[str, Any]:
    """Returns label -> class from a mapping, a YAML text, or the path of a YAML file.

    Raises RecipeError for anything that ``data.labels`` would refuse, and for a map for each file.
    """
    classes = given if isinstance(given, Mapping) else parse_map(str(given))
    if any(isinstance(value, Mapping) for value in classes.values()):
        raise RecipeError.one(WHERE, "a map for each file was given; here is one file.", EXAMPLE)
    return recipe_from_mapping({"data": {"train": IN_MEMORY, "labels": classes}}, WHERE).data.labels


def parse_map(text: str) -> Mapping[str, Any]:
    """Parses a map of YAML, or the file of that name."""
    where = WHERE
    if text.lower().endswith(SUFFIXES):
        path, where = Path(text), text
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise RecipeError.one(where, f"the file of labels cannot be read: {reason}.", EXAMPLE) from None
    parsed = parse(text)
    if parsed.faults:
        raise RecipeError.one(where, f"{parsed.faults[0].message}.", parsed.faults[0].remedy)
    if not isinstance(parsed.value, dict):
        raise RecipeError.one(where, "a map from labels to classes was expected.", EXAMPLE)
    return parsed.value


def labels_of_file(data: DataSection, file: Path | None, split: str = "train") -> Mapping[str, Any]:
    """Returns the map that a recipe has for a data file; empty if it has none.

    Args:
        file: compared by its name, since the recipe may have another path to it; None for the table in memory of ``split``.
    """
    if not any(isinstance(value, Mapping) for value in data.labels.values()):
        return data.labels
    named = {name: source for name in ("train", "validation", "test") if (source := data.file(name))}
    named |= {f"also[{i}]": source for i, source in enumerate(data.also)}
    keys = [(key, source) for key, source in named.items() if (key == split if file is None else Path(source).name == file.name)]
    return next((data.labels[name] for pair in keys for name in pair if name in data.labels), {})
