"""The page "from the notebook to tunesmith": every command parses, every recipe is valid, every Python line calls what exists."""

from __future__ import annotations

import ast
import inspect
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import tunesmith
from tunesmith.cli.main import VERBS
from tunesmith.cli.parsing import parse
from tunesmith.recipe.load import override, recipe_from_mapping

TABLE = Path(__file__).parents[1] / "docs" / "from_the_notebook.yaml"
GROUPS: list[dict[str, Any]] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
KEYS = {"there", "command", "recipe", "python", "note"}
FEWEST = 150


def lines(form: str) -> Iterator[str]:
    for group in GROUPS:
        for row in group["rows"]:
            yield from row.get(form, "").strip().splitlines() if form == "command" else filter(None, [row.get(form)])


def test_every_row_says_what_is_written_there_and_here() -> None:
    rows = [row for group in GROUPS for row in group["rows"]]
    assert all(row.keys() <= KEYS and row["there"] and row.keys() & {"command", "recipe", "python"} for row in rows)
    assert len({row["there"] for row in rows}) == len(rows) >= FEWEST


@pytest.mark.parametrize("line", lines("command"))
def test_commands_parse(line: str) -> None:
    *_, own = line.split(" | ")
    name, verb_name, *rest = shlex.split(own, comments=True)
    assert name == "tunesmith"
    verb = next(verb for verb in VERBS if verb.name == verb_name)
    args = parse(verb, rest)
    overrides = getattr(args, "overrides", None)
    if overrides:
        given: dict[str, Any] = {"data": {"train": "rows.csv"}}
        override(given, overrides)
        recipe_from_mapping(given)


@pytest.mark.parametrize("text", lines("recipe"))
def test_recipes_are_valid(text: str) -> None:
    given = yaml.safe_load(text)
    given["data"] = {"train": "rows.csv", **given.get("data", {})}
    recipe_from_mapping(given)


@pytest.mark.parametrize("text", lines("python"))
def test_python_calls_what_exists(text: str) -> None:
    tree = ast.parse(text)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and is_public(node.func)]
    assert calls
    for call in calls:
        assert isinstance(call.func, ast.Attribute)
        function = getattr(tunesmith, call.func.attr)
        inspect.signature(function).bind(*call.args, **{word.arg: word.value for word in call.keywords if word.arg is not None})


def is_public(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tunesmith"
