"""Writes the resolved recipe: every default filled in, every key with its documentation above it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from tunesmith.recipe.sections import Recipe, Section
from tunesmith.recipe.source import RecipeDumper
from tunesmith.recipe.tasks import refusal, task_settings

_WIDTH = 118
# PyYAML writes these unescaped and reads them back differently; a text with one of them is written in ASCII.
_LINE_BREAKS = "\x85\u2028\u2029\ufeff"


def resolved_yaml(recipe: Recipe) -> str:
    """Write the recipe as YAML that loads back to an equal recipe, with a comment for each key.

    A key that another one disables (``num_train_epochs`` beside ``max_steps``, ``tune_threshold`` in a regression) becomes a
    comment, because giving both is refused.
    """
    return "\n".join(["# The resolved recipe: every default filled in.", *_section_lines(recipe, (), _unused(recipe))]) + "\n"


def _unused(recipe: Recipe) -> dict[tuple[str, ...], str]:
    unused: dict[tuple[str, ...], str] = {}
    if recipe.train.max_steps is not None:
        unused["train", "num_train_epochs"] = "max_steps sets the length of training"
    settings, switch = task_settings(recipe), ("evaluate", "tune_threshold")
    if not settings.has_key(switch):  # on by default, and refused where it is written
        unused[switch] = refusal(switch, settings).message
    return unused


def _section_lines(section: Section, path: tuple[str, ...], unused: dict[tuple[str, ...], str]) -> Iterator[str]:
    indent = "  " * len(path)
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if not path:
            yield ""
        mark = f"{indent}# "
        help_text = field.description or ""
        yield from textwrap.wrap(help_text, _WIDTH, initial_indent=mark, subsequent_indent=mark, break_on_hyphens=False)
        if (*path, key) in unused:
            yield f"{indent}# {key}: not used, {unused[*path, key]}"
        elif isinstance(value, Section):
            yield f"{indent}{key}:"
            yield from _section_lines(value, (*path, key), unused)
        else:
            yield indent + _value_line(key, value)
    for key, value in (section.model_extra or {}).items():
        yield indent + _value_line(key, value)


def _value_line(key: str, value: Any) -> str:
    """Write one key and its value; lists and maps in one line, which YAML reads at any indentation."""
    dumped = _dumped({key: value}, readable=True)
    if any(character in dumped for character in _LINE_BREAKS):
        dumped = _dumped({key: value}, readable=False)
    return dumped.strip().removeprefix("{").removesuffix("}")


def _dumped(value: dict[str, Any], readable: bool) -> str:
    text: str = yaml.dump(
        value, Dumper=RecipeDumper, sort_keys=False, allow_unicode=readable, width=float("inf"), default_flow_style=True
    )
    return text
