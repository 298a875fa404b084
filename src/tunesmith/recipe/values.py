"""Validates the values of a recipe against the sections; describes every wrong value in plain words."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

from pydantic import ValidationError

from tunesmith.recipe.section import Section
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.source import MAX_DEPTH, Fault, KeyPath, Locations
from tunesmith.recipe.suggest import TASK_OF_METHOD, closest, suggest
from tunesmith.recipe.tree import (
    Schema,
    branches,
    choices,
    describe_range,
    describe_type,
    describe_value,
    field_path,
    format_number,
    key_schema,
    nullable,
    section_at,
)

_EXPONENT = re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$")
_NUMBER = re.compile(r"^[-+]?(?:[0-9]+(?:[.,][0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\s*%?$")
_HUGE = 10**300
_NOTHING = (None, False, 0, "none", "None", "no", "off", "")

# Section -> the suggestion for a single word in its place.
_INTENDED = {
    ("model",): "model: {{name: {}}}",
    ("data",): "data: {{train: {}}}",
    ("train",): "data: {{train: {}}}",
    ("adapter",): "adapter: {{method: {}}}",
    ("evaluate",): "evaluate: {{metric: {}}}",
    ("data", "columns"): "columns: {{text: {}}}",
}

# Key -> the remedy where no more specific one applies.
_REMEDIES = {
    ("data",): "Write at least data: {train: FILE}.",
    ("data", "train"): "Write the file with the training rows.",
    ("data", "validation"): "Write a fraction such as 0.1, or null for none.",
    ("data", "test"): "Write a fraction such as 0.1, auto, or null for none.",
    ("data", "template"): 'Put it in quotes: "{title}. {body}".',
    ("data", "columns", "text"): "The second text of a pair goes to data.columns.pair.",
    ("quantisation",): "For example quantisation: nf4, or {bnb_4bit_quant_type: fp4}.",
    ("adapter", "method"): "For example adapter: {method: lora}.",
    ("train", "early_stopping"): "Write early_stopping: {} for the defaults, or null for none.",
}


def to_plain(value: object, path: KeyPath, faults: list[Fault]) -> Any:
    """Converts a value to dict, list, str, int, float, bool and None; values of other types become faults."""
    if len(path) > MAX_DEPTH:
        faults.append(Fault(path, f"lists and maps are nested more than {MAX_DEPTH} deep"))
    elif isinstance(value, Section):
        return value
    elif isinstance(value, Mapping):
        return _plain_mapping(value, path, faults)
    elif isinstance(value, list | tuple):
        return [to_plain(item, (*path, index), faults) for index, item in enumerate(value)]
    elif isinstance(value, os.PathLike):
        return to_plain(os.fspath(value), path, faults)
    elif isinstance(value, str):
        return _plain_text(value, path, faults)
    elif value is None or isinstance(value, bool):
        return value
    elif isinstance(value, Real):
        return _plain_number(value, path, faults)
    else:
        message = f"expected plain values, found {describe_value(value)}"
        faults.append(Fault(path, message, "Use text, numbers, true, false, null, lists, maps."))
    return None


def _plain_number(value: Real, path: KeyPath, faults: list[Fault]) -> int | float | None:
    """Converts a number, also a numpy scalar from a DataFrame, to int or float."""
    plain_value = int(value) if isinstance(value, Integral) else float(value)
    if isinstance(plain_value, float) and not math.isfinite(plain_value):
        faults.append(Fault(path, f"must be a finite number, found {plain_value}"))
    elif isinstance(plain_value, int) and abs(plain_value) >= _HUGE:
        faults.append(Fault(path, "has more than 300 digits"))
    else:
        return plain_value
    return None


def _plain_mapping(value: Mapping[Any, Any], path: KeyPath, faults: list[Fault]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, inner in value.items():
        is_whole = isinstance(key, int) and not isinstance(key, bool)
        if not isinstance(key, str) and not is_whole:
            faults.append(Fault(path, f"a key is {describe_value(key)}; keys are text"))
        elif str(key) in result:
            faults.append(Fault((*path, str(key)), "is given twice, as text and as a number", "Remove one of the two."))
        else:
            result[str(key)] = to_plain(inner, (*path, str(key)), faults)
    return result


def _plain_text(value: str, path: KeyPath, faults: list[Fault]) -> str | float:
    """Converts a text to plain str, or to a float if it is one that YAML 1.1 reads as text (``1e-4``) and the key is numeric."""
    if any("\ud800" <= character <= "\udfff" for character in value):
        faults.append(Fault(path, "the text contains half of a surrogate pair and cannot be saved as UTF-8"))
        return ""
    value = str.__str__(value)  # members of a StrEnum become plain text
    if not _EXPONENT.match(value) or not math.isfinite(float(value)):
        return value
    keys = [str(part) for part in path]
    section = section_at(keys[:-1])
    if field_path(keys) != tuple(keys) or section is None or keys[-1] not in section.model_fields:
        return value
    kinds = {branch.get("type") for branch in branches(key_schema(keys))}
    return float(value) if "number" in kinds and "string" not in kinds else value


def check_values(given: Mapping[str, Any], locations: Locations) -> tuple[Recipe | None, list[Fault]]:
    """Validates all keys; returns the recipe, or None and a fault for every unknown, missing or wrong key."""
    faults: list[Fault] = []
    for place, location in locations.items():
        keys = tuple(str(part) for part in place)
        # In an empty section the user has to choose between null and {} (the defaults).
        if keys and location.written == "" and section_at(keys) is not None and value_at(given, place) is None:
            faults.append(Fault(place, "the section is empty", _REMEDIES.get(keys) or _empty_remedy(keys)))
    try:
        recipe = Recipe.model_validate(given, strict=True)
    except ValidationError as error:
        seen: dict[KeyPath, None] = {}
        for entry in error.errors(include_url=False, include_context=False, include_input=False):
            path = field_path(entry["loc"])
            if entry["type"] == "literal_error" and isinstance(value_at(given, path), Mapping) and section_at(path) is not None:
                continue  # the section was written in place of one of the words; its own keys have the fault
            if path not in seen and not any(fault.path == path for fault in faults):
                seen[path] = None
                faults += _fault(entry["type"], path, given, locations) or [Fault(path, entry["msg"])]
        return None, faults
    return (None if faults else recipe), faults


def _empty_remedy(path: tuple[str, ...]) -> str:
    if path == ("adapter",):
        return "Write null for none, or for example adapter: {method: lora}."
    return f"Delete the line, or write {path[-1]}: {{}} for the defaults."


def _fault(kind: str, path: tuple[str, ...], given: Mapping[str, Any], locations: Locations) -> list[Fault]:
    if kind == "extra_forbidden":
        name = ".".join(path[:-1])
        message = f"there is no key {path[-1]} in {name}" if name else f"a recipe has no key {path[-1]}"
        return [Fault(path, message, suggest(path[-1], path[:-1]))]
    if kind == "missing":
        siblings, remedy = value_at(given, path[:-1]), _REMEDIES.get(path, "")
        if path == ("adapter", "method") and isinstance(siblings, Mapping):
            other_names = ("type", "name", "peft_type", "adapter_type", "finetuning_type")
            used = next((key for key in other_names if key in siblings), None)
            remedy = f"Write method instead of {used}." if used else remedy
        return [Fault(path, f"{'.'.join(path)} is missing", remedy)]
    value = value_at(given, path)
    written = locations[path].written if path in locations else None
    has_words = any(choices(branch) for branch in branches(key_schema(path))) if section_at(path) is not None else False
    if section_at(path) is not None and not has_words:
        remedy = _REMEDIES.get(path, f"Write {path[-1]}: {{key: value}}.")
        if value is None:
            remedy = _REMEDIES.get(path) or _empty_remedy(path)
        elif isinstance(value, str) and path in _INTENDED:
            remedy = f"Did you mean {_INTENDED[path].format(value)}?"
        return [Fault(path, f"expected keys and values, found {describe_value(value, written)}", remedy)]
    return wrong_value(path, value, key_schema(path), written, locations)


def wrong_value(path: KeyPath, value: object, schema: Schema, written: str | None, locations: Locations) -> list[Fault]:
    """Describes a value that its schema refuses; one fault for each wrong item of a list or map."""
    for branch in branches(schema):
        if isinstance(value, list) and branch.get("type") == "array":
            return _wrong_items(path, list(enumerate(value)), branch["items"], locations)
        if isinstance(value, dict) and isinstance(branch.get("additionalProperties"), dict):
            return [
                *_wrong_keys(path, value, choices(branch.get("propertyNames", {}))),
                *_wrong_items(path, list(value.items()), branch["additionalProperties"], locations),
            ]
    options = branches(schema)
    if len(options) == 1 and _is_number(value, options[0]):
        return [Fault(path, f"must be {describe_range(options[0])}, found {format_number(value, written)}")]
    message = f"expected {describe_type(schema)}, found {describe_value(value, written)}"
    return [Fault(path, message, _value_remedy(path, value, schema, written))]


def _wrong_keys(path: KeyPath, value: Mapping[str, object], allowed: list[str] | None) -> list[Fault]:
    """Describes each key of a map that is not one of the allowed ones; None allows every key."""
    name = ".".join(map(str, path))
    return [
        Fault((*path, key), f"there is no key {key} in {name}", closest(key, allowed) or f"Keys: {', '.join(allowed)}.")
        for key in value
        if allowed is not None and key not in allowed
    ]


def _wrong_items(path: KeyPath, items: list[tuple[Any, Any]], schema: Schema, locations: Locations) -> list[Fault]:
    faults = []
    for key, item in items:
        if not _fits(item, schema):
            inner = (*path, key)
            written = locations[inner].written if inner in locations else None
            faults += wrong_value(inner, item, schema, written, locations)
    return faults


def _fits(value: object, schema: Schema) -> bool:
    options = branches(schema)
    if len(options) > 1:
        return any(_fits(value, option) for option in options)
    listed = choices(schema)
    if listed is not None:
        return value in listed
    if schema["type"] == "array":
        return isinstance(value, list) and all(_fits(item, schema["items"]) for item in value)
    if schema["type"] in ("number", "integer"):
        is_in_range = _is_number(value, schema) and schema.get("minimum", value) <= value <= schema.get("maximum", value)
        return is_in_range and value > schema.get("exclusiveMinimum", -math.inf)
    return isinstance(value, str)


def _is_number(value: object, schema: Schema) -> TypeGuard[float]:
    kinds = (int, float) if schema.get("type") == "number" else (int,) if schema.get("type") == "integer" else ()
    return isinstance(value, kinds) and not isinstance(value, bool)


def _value_remedy(path: KeyPath, value: object, schema: Schema, written: str | None) -> str:
    options = branches(schema)
    kinds = {branch.get("type") for branch in options}
    listed = [name for branch in options for name in choices(branch) or []]
    numeric = bool(kinds & {"number", "integer"})
    exact = ""
    if isinstance(value, str):
        task = TASK_OF_METHOD.get(value.casefold()) if path == ("task",) else None
        exact = f"Did you mean {task}?" if task else closest(value, listed) or (_number_remedy(value) if numeric else "")
    elif isinstance(value, float) and "integer" in kinds and value.is_integer():
        exact = f"Write {int(value)}."
    elif isinstance(value, bool | int | float) and "string" in kinds and not listed and not numeric:
        exact = f'Put it in quotes: "{written or value}".'
    if not exact and value in _NOTHING and ("none" in listed or (nullable(schema) and "string" not in kinds)):
        exact = "Write none." if "none" in listed else "Write null for none."
    general = "Remove the key to use its default." if value is None else ""
    return exact or _REMEDIES.get(tuple(str(part) for part in path)) or general


def _number_remedy(text: str) -> str:
    """Suggests the number for a text that contains one."""
    if not _NUMBER.match(text.strip()):
        return ""
    bare = text.strip().rstrip("%").rstrip().replace(",", ".")
    if text.strip().endswith("%"):
        return f"Write {float(bare) / 100:g}."
    return "Remove the quotes." if bare == text.strip() else f"Write {bare}."


def value_at(given: object, path: Sequence[str | int]) -> Any:
    """Looks up a path in nested maps and lists; None if it does not exist."""
    for part in path:
        if isinstance(given, Mapping):
            given = given.get(str(part))
        elif isinstance(given, list) and isinstance(part, int) and part < len(given):
            given = given[part]
        else:
            return None
    return given
