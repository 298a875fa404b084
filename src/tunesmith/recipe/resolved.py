"""Writes the resolved recipe: every default filled in, every key with its documentation above it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from tunesmith.recipe.language_rules import LANGUAGE_TASKS
from tunesmith.recipe.sections import Recipe, Section
from tunesmith.recipe.source import RecipeDumper

_WIDTH = 118
# PyYAML writes these characters unescaped but does not read them back; values with them are escaped to ASCII.
_LINE_BREAKS = "\x85\u2028\u2029\ufeff"


def resolved_yaml(recipe: Recipe) -> str:
    """Formats the recipe as YAML that loads back to an equal recipe, with a comment for each key.

    A key that has no effect (``num_train_epochs`` beside ``max_steps``, ``tune_threshold`` in a
    regression) is written as a comment, because giving it is an error.
    """
    return "\n".join(["# The resolved recipe: every default filled in.", *_section_lines(recipe, (), _unused(recipe))]) + "\n"


def _unused(recipe: Recipe) -> dict[tuple[str, ...], str]:
    unused: dict[tuple[str, ...], str] = {}
    if recipe.train.max_steps is not None:
        unused["train", "num_train_epochs"] = "max_steps sets the length of training"
    if recipe.task == "regression":
        unused["evaluate", "tune_threshold"] = "regression has no decision threshold"
    if recipe.task == "embedding":
        unused["evaluate", "tune_threshold"] = "embedding models have no decision threshold"
    if recipe.task in LANGUAGE_TASKS:
        unused["evaluate", "tune_threshold"] = "language models have no decision threshold"
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


def _value_line(key: str, value: object) -> str:
    """Formats one key and its value, with lists and maps in flow style, which is valid at any indentation."""
    dumped = _dumped({key: value}, readable=True)
    if any(character in dumped for character in _LINE_BREAKS):
        dumped = _dumped({key: value}, readable=False)
    return dumped.strip().removeprefix("{").removesuffix("}")


def _dumped(value: dict[str, Any], readable: bool) -> str:
    text: str = yaml.dump(
        value, Dumper=RecipeDumper, sort_keys=False, allow_unicode=readable, width=float("inf"), default_flow_style=True
    )
    return text
