"""Checks the options of an adapter against the fields of its peft config, which accepts values of any type."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from tunesmith.errors import Problem, RecipeError, first_line
from tunesmith.recipe.tree import shorten

KINDS: Mapping[type, str] = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list", dict: "a map",
    NoneType: "null",
}  # fmt: skip
EXPRESSIONS = ("target_modules", "exclude_modules", "feedforward_modules", "layers_pattern")
"""Options whose texts are regular expressions; lists of names are compared as they are, except in ``layers_pattern``."""
POSITIVE = ("r", "init_r", "target_r", "lora_alpha", "alpha", "num_virtual_tokens")
"""Numbers that train nothing at 0; a method whose default is 0 has a meaning for it."""

NOT_CALLED: Mapping[tuple[str, str], str] = {("adamss", "use_asa"): "its subspaces would have to be chosen between the steps."}
"""A method and an option that needs calls during the training which no part of it makes, with what they would do."""


def check_options(method: str, config_class: type, options: Mapping[str, object]) -> None:
    """Raises RecipeError that lists every option that the method's peft config does not have, or whose value it cannot use."""
    known = {field.name: field.default for field in fields(config_class)}
    hints, problems = type_hints(config_class), []
    for name in sorted(options):
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            remedy = (
                f"Did you mean {close[0]}?" if close else f"Known: {', '.join(sorted({*known} - {'peft_type', 'auto_mapping'}))}."
            )
            message = f"the method {method} has no option of that name."
            problems.append(Problem("recipe", f"adapter.{name}", message, remedy))
        elif fault := next(faults(name, options[name], hints.get(name, Any), known[name]), None):
            problems.append(Problem("recipe", f"adapter.{name}", *fault))
        elif options[name] and (method, name) in NOT_CALLED:
            message = f"it would have no effect: {NOT_CALLED[method, name]}"
            problems.append(Problem("recipe", f"adapter.{name}", message, "Remove the option."))
    if problems:
        raise RecipeError(problems)


def type_hints(config_class: type) -> dict[str, Any]:
    """Returns the type of each option of a peft config; empty if peft names types that only type checkers import."""
    try:
        return get_type_hints(config_class)
    except NameError:
        return {}


def faults(name: str, value: object, hint: Any, default: object) -> Iterator[tuple[str, str]]:
    """Yields what is wrong with the value of an option, and the remedy."""
    kinds = kinds_of(float if hint is int and "alpha" in name else hint)  # peft calls alpha an int, and divides it as a float
    if kinds and not has_kind(value, kinds):
        expected = " or ".join(words for kind, words in KINDS.items() if kind in kinds)  # typing keeps no order
        yield f"expected {expected}, found {shorten(repr(value))}.", "Write such a value, or remove the option."
        return
    yield from faults_of_numbers(name, value, default)
    for text in expressions(name, value):
        try:
            re.compile(text)
        except re.error as error:
            message = f"{shorten(repr(text))} is no regular expression: {first_line(error)}."
            yield message, "Write a valid one, such as .*q_proj; for plain names a list, such as [q_proj, v_proj]."


def faults_of_numbers(name: str, value: Any, default: Any) -> Iterator[tuple[str, str]]:
    """Yields numbers out of their range, in an option or in the map of a pattern."""
    if name in POSITIVE and is_number(value) and value <= 0 and not (is_number(default) and default <= 0):
        yield f"must be above 0, found {value}: nothing would be trained.", "Write a positive number."
    if name.endswith("dropout") and is_number(value) and not 0 <= value < 1:
        yield f"must be at least 0 and below 1, found {value}.", "Write a share, such as 0.1."
    if name in ("rank_pattern", "alpha_pattern") and isinstance(value, dict):
        expected = "a positive whole number" if name == "rank_pattern" else "a positive number"
        for pattern, number in value.items():
            is_whole = name != "rank_pattern" or isinstance(number, int)
            if not (is_number(number) and is_whole and number > 0):
                message = f"expected {expected} for {shorten(str(pattern))}, found {shorten(repr(number))}."
                yield message, "Write such a number, or remove it."


def expressions(name: str, value: object) -> list[str]:
    """Lists the regular expressions in the value of an option."""
    if isinstance(value, dict):
        return [str(key) for key in value] if name.endswith("_pattern") else []
    if name not in EXPRESSIONS:
        return []
    listed = list(value) if name == "layers_pattern" and isinstance(value, list | tuple) else [value]
    return [text for text in listed if isinstance(text, str)]


def is_number(value: Any) -> bool:
    """Tells whether a value is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def kinds_of(hint: Any) -> tuple[type, ...]:
    """Returns the plain types that a type hint allows; empty if it allows others as well, which peft itself checks."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        parts = [kinds_of(part) for part in get_args(hint)]
        return tuple(kind for part in parts for kind in part) if all(parts) else ()
    plain = origin or hint
    return (plain,) if isinstance(plain, type) and plain in KINDS else ()


def has_kind(value: object, kinds: tuple[type, ...]) -> bool:
    """Tells whether a value has one of these types: a whole number is also a number, a tuple or set also a list."""
    if isinstance(value, bool):
        return bool in kinds
    also: dict[type, tuple[type, ...]] = {float: (float, int), list: (list, tuple, set)}
    return any(isinstance(value, also.get(kind, (kind,))) for kind in kinds)
