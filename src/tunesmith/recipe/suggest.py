"""What a key that the recipe does not know may have meant."""

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
    """One sentence for an unknown key: where it belongs, what it is called here, or the closest spelling.

    In this order: a dotted key that names a real one, the same key in another section, what other tools call it, the
    closest spelling, and where nothing is near the keys there are.

    Args:
        key: the unknown key as written.
        section_path: the section it was written in, e.g. ``("train",)``; empty for the top of the recipe.
    """
    section = tuple(section_path)
    keys = all_keys()
    plain = _plain(key)
    return (
        _dotted(key, section, keys)
        or _elsewhere(plain, section, keys)
        or _other_tools(plain)
        or _closest(plain, section, keys)
        or _listed(section)
    )


def suggest_upstream(key: str) -> str:
    """One sentence for a name that may not stand under ``upstream``."""
    plain = _plain(key)
    if plain in RENAMED or plain in OWNED:
        return RENAMED.get(plain) or OWNED[plain]
    near = get_close_matches(plain, sorted(UPSTREAM_KEYS | OWNED.keys()), 1, _CLOSE)
    if near:
        return f"Did you mean {near[0]}? {OWNED.get(near[0], '')}".rstrip()
    outside = _elsewhere(plain, ("upstream",), all_keys()) or _other_tools(plain)
    return outside or "It takes the fields of transformers.TrainingArguments."


def closest(word: str, names: Iterable[str]) -> str:
    """``Did you mean NAME?`` for the closest spelling, or nothing."""
    spelled = {name.lower(): name for name in names}
    near = get_close_matches(word.lower(), spelled, 1, 0.6)
    return f"Did you mean {spelled[near[0]]}?" if near else ""


def _plain(key: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key.strip().lstrip("-"))
    return snake.lower().replace("-", "_").replace(" ", "_")


def _did_you_mean(paths: Sequence[tuple[str, ...]]) -> str:
    return f"Did you mean {' or '.join('.'.join(path) for path in paths)}?"


def _dotted(key: str, section: tuple[str, ...], keys: list[tuple[str, ...]]) -> str:
    path = (*section, *key.split("."))
    if "." not in key or (path not in keys and path[0] not in ("upstream", "adapter")):
        return ""
    return f"Sections are nested in the file: write {'.'.join(path[:-1])}: {{{path[-1]}: ...}}"


def _elsewhere(plain: str, section: tuple[str, ...], keys: list[tuple[str, ...]]) -> str:
    if (*section, plain) in keys:
        return _did_you_mean([(*section, plain)])
    same = [path for path in keys if path[-1] == plain]
    if same:
        also = [tuple(OTHER_NAMES[plain].split("."))] if plain in OTHER_NAMES else []
        return _did_you_mean([*also, *same])
    if plain in UPSTREAM_KEYS and section != ("upstream",) and plain not in SENTENCES:
        return f"It is a field of transformers.TrainingArguments: write upstream.{plain}."
    return ""


def _other_tools(plain: str) -> str:
    if plain in SENTENCES:
        return SENTENCES[plain]
    return f"Did you mean {OTHER_NAMES[plain]}?" if plain in OTHER_NAMES else ""


def _closest(plain: str, section: tuple[str, ...], keys: list[tuple[str, ...]]) -> str:
    own = {path[-1]: path for path in keys if path[:-1] == section}
    everywhere = {path[-1]: path for path in reversed(keys)} | own
    for names in (own, everywhere):
        near = get_close_matches(plain, names, 1, _CLOSE)
        if near:
            return _did_you_mean([names[near[0]]])
    near = get_close_matches(plain, [*OTHER_NAMES, *SENTENCES], 1, 0.85)
    return _other_tools(near[0]) if near else ""


def _listed(section: tuple[str, ...]) -> str:
    model = section_at(section)
    if model is not None and len(model.model_fields) <= _MANY_KEYS:
        return f"Keys of {'.'.join(section) or 'a recipe'}: {', '.join(model.model_fields)}."
    return "All keys: docs/reference/recipe.md"
