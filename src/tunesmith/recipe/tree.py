"""Walks the tree of recipe sections: lists the keys and the JSON Schema of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, get_args

from tunesmith.recipe.sections import Recipe, Section

Schema = dict[str, Any]


def subsection(section: type[Section], key: str) -> type[Section] | None:
    """Returns the section class of a key; None if the key is a value or unknown."""
    field = section.model_fields.get(key)
    if field is None:
        return None
    for annotation in (field.annotation, *get_args(field.annotation)):
        if isinstance(annotation, type) and issubclass(annotation, Section):
            return annotation
    return None


def field_path(path: Sequence[str | int]) -> tuple[str, ...]:
    """Cuts a path after the first key that is a value or unknown, e.g. after ``labels`` in ``sft.labels[0]``."""
    section: type[Section] | None = Recipe
    keys: list[str] = []
    for part in path:
        if section is None:
            break
        keys.append(str(part))
        section = subsection(section, str(part))
    return tuple(keys)


def section_at(path: Sequence[str]) -> type[Section] | None:
    """Returns the section class at a path; None for a value or an unknown key."""
    section: type[Section] | None = Recipe
    for part in path:
        if section is None:
            return None
        section = subsection(section, part)
    return section


def sections(section: type[Section] = Recipe, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type[Section]]]:
    """Yields every section with its path in the order of declaration; the recipe itself (path ``()``) is the first."""
    yield path, section
    for key in section.model_fields:
        inner = subsection(section, key)
        if inner is not None:
            yield from sections(inner, (*path, key))


def all_keys() -> list[tuple[str, ...]]:
    """Lists the path of every key, sections included, in the order of declaration."""
    return [(*path, key) for path, section in sections() for key in section.model_fields]


@cache
def recipe_schema() -> Schema:
    """Returns pydantic's JSON Schema of the recipe."""
    return Recipe.model_json_schema()


def key_schema(path: Sequence[str]) -> Schema:
    """Returns the JSON Schema of one key. Raises KeyError if there is no such key."""
    schema = recipe_schema()
    for part in path:
        schema = next(branch for branch in branches(schema) if "properties" in branch)["properties"][part]
    return schema


def branches(schema: Schema) -> list[Schema]:
    """Lists the alternatives of a key's schema without ``null``, with references resolved."""
    resolved = [_resolve(branch) for branch in schema.get("anyOf", [schema])]
    return [branch for branch in resolved if branch.get("type") != "null"]


def nullable(schema: Schema) -> bool:
    """Whether the key takes ``null``."""
    return any(branch.get("type") == "null" for branch in schema.get("anyOf", []))


def _resolve(schema: Schema) -> Schema:
    reference = schema.get("$ref")
    return recipe_schema()["$defs"][reference.rsplit("/", 1)[1]] if reference else schema
