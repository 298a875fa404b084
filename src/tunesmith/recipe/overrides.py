"""``train.seed=1`` on the command line, merged over the file.

The key is everything before the first ``=``; the value is YAML, so lists, maps and ``null`` work. Giving a section
(``adapter=null``, ``train={seed: 1}``) replaces the whole section.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunesmith.recipe.phrases import found, shortened, takes
from tunesmith.recipe.source import Fault, KeyPath, Parsed, Place, Places, parse
from tunesmith.recipe.tree import all_keys, branches, key_schema, section_at


def merge_overrides(given: dict[str, Any], places: Places, overrides: Sequence[str]) -> list[Fault]:
    """What is wrong with the overrides; those that are right are written into ``given`` and ``places``."""
    faults: list[Fault] = []
    seen: set[KeyPath] = set()
    for index, text in enumerate(overrides):
        place = Place(f"override {shortened(text)}", (1, index))
        key, equals, value_text = text.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        parsed = parse(value_text)
        problem = (
            _malformed(text, equals, path, seen)
            or _not_a_section(path)
            or _bad_value(path, value_text, parsed)
            or _blocked(given, path)
        )
        if problem:
            faults.append(Fault(path, problem.message, problem.remedy, place=place))
            continue
        seen.add(path)
        _set(given, places, path, parsed, place)
    return faults


def _malformed(text: str, equals: str, path: tuple[str, ...], seen: set[KeyPath]) -> Fault | None:
    if not equals or not all(path):
        return Fault(path, "is no override", "Write key=value, for example train.seed=1.")
    if path in seen:
        return Fault(path, f"{'.'.join(path)} is given twice on the command line", "Remove one of the two.")
    return None


def _not_a_section(path: tuple[str, ...]) -> Fault | None:
    """The fault of a path that goes on below a single value; unknown keys are left to the check of the values."""
    known = set(all_keys())
    for end in range(1, len(path)):
        prefix = path[:end]
        if prefix not in known:
            return None
        if section_at(prefix) is None:
            schema = key_schema(prefix)
            if any(branch.get("type") == "object" for branch in branches(schema)):
                return None
            name = ".".join(prefix)
            return Fault(path, f"{name} has no keys below it: it takes {takes(schema)}", f"Write {name}=VALUE.")
    return None


def _bad_value(path: tuple[str, ...], text: str, parsed: Parsed) -> Fault | None:
    if parsed.faults:
        return Fault(path, f"the value: {parsed.faults[0].message}", parsed.faults[0].remedy)
    if text[parsed.length :].strip():
        return Fault(
            path,
            "a # begins a comment in YAML, so part of the value is lost",
            f"""Put the value in quotes: '{".".join(path)}="..."'""",
        )
    return None


def _blocked(given: dict[str, Any], path: tuple[str, ...]) -> Fault | None:
    """The fault of a path through something in the file that holds no keys."""
    inner: Any = given
    for end, part in enumerate(path[:-1], start=1):
        inner = inner.get(part)
        if inner is None:
            return None
        if not isinstance(inner, dict):
            name = ".".join(path[:end])
            return Fault(path, f"{name} is {found(inner)} in the recipe and has no keys", f"Give it as a whole: {name}=VALUE.")
    return None


def _set(given: dict[str, Any], places: Places, path: tuple[str, ...], parsed: Parsed, place: Place) -> None:
    section: dict[str, Any] = given
    for end, part in enumerate(path[:-1], start=1):
        if section.get(part) is None:
            section[part] = {}
            places[path[:end]] = place
        section = section[part]
    section[path[-1]] = parsed.value
    for old in [known for known in places if known[: len(path)] == path]:
        del places[old]
    places[path] = Place(place.where, place.order, parsed.written.get(()))
    for inner in parsed.lines:
        places[(*path, *inner)] = Place(place.where, place.order, parsed.written.get(inner))
