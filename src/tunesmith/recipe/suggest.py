"""Suggests the right key for an unknown one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from tunesmith.recipe.other_names import OTHER_NAMES, SENTENCES
from tunesmith.recipe.tree import all_keys, section_at
from tunesmith.recipe.upstream_names import OWNED, RENAMED, UPSTREAM_KEYS

_CLOSE = 0.72
_MANY_KEYS = 15


def suggest(key: str, section_path: Sequence[str] = ()) -> str:
    """Suggests a key in one sentence.

    Tries in this order: a dotted key, the same key in another section, the name in other tools, the closest spelling,
    and finally the list of keys.

    Args:
        key: the unknown key as written.
        section_path: the section of the key, e.g. ``("train",)``; empty for the top level.
    """
    section, keys, name = tuple(section_path), all_keys(), _snake_case(key)
    exact = _dotted(key, section, keys) or _elsewhere(name, section, keys) or _other_tools(name)
    return exact or _closest_key(name, section, keys) or _list_keys(section)


def suggest_upstream(key: str) -> str:
    """Suggests a field for a name that is not allowed under ``upstream``, in one sentence."""
    name = _snake_case(key)
    if name in RENAMED or name in OWNED:
        return RENAMED.get(name) or OWNED[name]
    near = get_close_matches(name, sorted(UPSTREAM_KEYS | OWNED.keys()), 1, _CLOSE)
    if near:
        return f"Did you mean {near[0]}? {OWNED.get(near[0], '')}".rstrip()
    outside = _elsewhere(name, ("upstream",), all_keys()) or _other_tools(name)
    return outside or "It takes the fields of transformers.TrainingArguments."


def closest(word: str, names: Iterable[str]) -> str:
    """Returns ``Did you mean NAME?`` for the closest spelling; empty if no name is similar."""
    spelled = {name.lower(): name for name in names}
    near = get_close_matches(word.lower(), spelled, 1, 0.6)
    return f"Did you mean {spelled[near[0]]}?" if near else ""


def _snake_case(key: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key.strip().lstrip("-"))
    return snake.lower().replace("-", "_").replace(" ", "_")


def _did_you_mean(paths: Sequence[tuple[str, ...]]) -> str:
    return f"Did you mean {' or '.join('.'.join(path) for path in paths)}?"


def _dotted(key: str, section: tuple[str, ...], keys: list[tuple[str, ...]]) -> str:
    path = (*section, *key.split("."))
    if "." not in key or (path not in keys and path[0] not in ("upstream", "adapter")):
        return ""
    return f"Sections are nested in the file: write {'.'.join(path[:-1])}: {{{path[-1]}: ...}}"


def _elsewhere(name: str, section: tuple[str, ...], keys: list[tuple[str, ...]]) -> str:
    if (*section, name) in keys:
        return _did_you_mean([(*section, name)])
    same = [path for path in keys if path[-1] == name]
    if same:
        also = [tuple(OTHER_NAMES[name].split("."))] if name in OTHER_NAMES else []
        return _did_you_mean([*also, *same])
    if name in UPSTREAM_KEYS and section != ("upstream",) and name not in SENTENCES:
        return f"It is a field of transformers.TrainingArguments: write upstream.{name}."
    return ""


def _other_tools(name: str) -> str:
    if name in SENTENCES:
        return SENTENCES[name]
    return f"Did you mean {OTHER_NAMES[name]}?" if name in OTHER_NAMES else ""


def _closest_key(name: str, section: tuple[str, ...], keys: list[tuple[str, ...]]) -> str:
    own = {path[-1]: path for path in keys if path[:-1] == section}
    everywhere = {path[-1]: path for path in reversed(keys)} | own
    for names in (own, everywhere):
        near = get_close_matches(name, names, 1, _CLOSE)
        if near:
            return _did_you_mean([names[near[0]]])
    near = get_close_matches(name, [*OTHER_NAMES, *SENTENCES], 1, 0.85)
    return _other_tools(near[0]) if near else ""


def _list_keys(section: tuple[str, ...]) -> str:
    model = section_at(section)
    if model is not None and len(model.model_fields) <= _MANY_KEYS:
        return f"Keys of {'.'.join(section) or 'a recipe'}: {', '.join(model.model_fields)}."
    return "All keys: docs/reference/recipe.md"
