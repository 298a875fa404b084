"""Merges overrides such as ``train.seed=1`` from the command line into the recipe file.

The key is everything before the first ``=``; the value is YAML, so lists, maps and ``null`` work. Overriding a section
(``adapter=null``, ``train={seed: 1}``) replaces the whole section.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tunesmith.recipe.source import Fault, KeyPath, Location, Locations, Parsed, broken_key, parse
from tunesmith.recipe.tree import all_keys, branches, describe_type, describe_value, key_schema, section_at, shorten

ALTERNATIVES = (("train", "max_steps"), ("train", "num_train_epochs"))
"""Two keys that exclude each other: one that is overridden replaces the other one of the file."""


def replace_alternative(given: dict[str, Any], locations: Locations, overrides: Sequence[str]) -> list[str]:
    """Removes the key of the file whose alternative an override gives, in place; returns a note about each.

    Given both on the command line, they stay, and a rule refuses them.
    """
    overridden = {tuple(part.strip() for part in text.partition("=")[0].split(".")) for text in overrides}
    notes = []
    for path, other in (ALTERNATIVES, ALTERNATIVES[::-1]):
        section = given[path[0]] if isinstance(given.get(path[0]), dict) else {}
        is_given = section.get(path[-1]) is not None and section.get(other[-1]) is not None
        if is_given and path in overridden and not {other, other[:1]} & overridden:
            notes.append(f"{'.'.join(path)} on the command line replaces {'.'.join(other)} of the recipe ({section[other[-1]]}).")
            del section[other[-1]]
            locations.pop(other, None)
    return notes


def merge_overrides(given: dict[str, Any], locations: Locations, overrides: Sequence[str]) -> list[Fault]:
    """Merges the valid overrides into ``given`` and ``locations``, in place; returns the faults of the others."""
    faults: list[Fault] = []
    seen: set[KeyPath] = set()
    for index, text in enumerate(overrides):
        location = Location(f"override {shorten(text)}", (1, index))
        key, equals, value_text = text.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        parsed = parse(value_text)
        fault = _broken_key(path) or _not_a_section(path) or _bad_value(given, path, value_text, parsed)
        if path in seen:
            fault = Fault(path, f"{'.'.join(path)} is given twice on the command line", "Remove one of the two.")
        if not equals or not all(path):
            fault = Fault(path, "is not an override", "Write key=value, for example train.seed=1.")
        if fault:
            faults.append(replace(fault, location=location))
            continue
        seen.add(path)
        _set(given, locations, path, parsed, location)
    return faults


def _broken_key(path: tuple[str, ...]) -> Fault | None:
    """Finds a key that cannot be saved, as in the file."""
    return next((fault for end, key in enumerate(path) if (fault := broken_key(path[:end], key))), None)


def _not_a_section(path: tuple[str, ...]) -> Fault | None:
    """Finds a path that continues below a single value; unknown keys are left to ``check_values``."""
    keys = set(all_keys())
    for end in range(1, len(path)):
        prefix = path[:end]
        if prefix not in keys:
            return None
        if section_at(prefix) is None:
            schema = key_schema(prefix)
            if any(branch.get("type") == "object" for branch in branches(schema)):
                return None
            name = ".".join(prefix)
            return Fault(path, f"{name} has no keys below it: it takes {describe_type(schema)}", f"Write {name}=VALUE.")
    return None


def _bad_value(given: dict[str, Any], path: tuple[str, ...], text: str, parsed: Parsed) -> Fault | None:
    """Finds a value that is not YAML or is cut by a comment, and a path through a value of the file that is not a mapping."""
    if parsed.faults:
        return Fault(path, f"the value: {parsed.faults[0].message}", parsed.faults[0].remedy)
    if text[parsed.length :].strip():
        remedy = f"""Put the value in quotes: '{".".join(path)}="..."'"""
        return Fault(path, "# begins a comment in YAML, so part of the value is lost", remedy)
    inner: Any = given
    for end, part in enumerate(path[:-1], start=1):
        inner = inner.get(part)
        if inner is None:
            return None
        if not isinstance(inner, dict):
            name = ".".join(path[:end])
            message = f"{name} is {describe_value(inner)} in the recipe and has no keys"
            return Fault(path, message, f"Override it as a whole: {name}=VALUE.")
    return None


def _set(given: dict[str, Any], locations: Locations, path: tuple[str, ...], parsed: Parsed, location: Location) -> None:
    section: dict[str, Any] = given
    for end, part in enumerate(path[:-1], start=1):
        if section.get(part) is None:
            section[part] = {}
            locations[path[:end]] = location
        section = section[part]
    section[path[-1]] = parsed.value
    for replaced in [key for key in locations if key[: len(path)] == path]:
        del locations[replaced]
    locations[path] = Location(location.where, location.order, parsed.written.get(()))
    for inner in parsed.lines:
        locations[(*path, *inner)] = Location(location.where, location.order, parsed.written.get(inner))
