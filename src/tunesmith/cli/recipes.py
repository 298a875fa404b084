"""Loads the RECIPE argument: a YAML file with overrides, or a data file, which stands for a recipe of defaults."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.recipe.load import LoadedRecipe

OVERRIDES = "overrides of recipe keys, e.g. train.seed=1 or train.learning_rate=1e-4"


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments RECIPE and KEY=VALUE."""
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe file, or a data file or folder (all keys have their defaults)")
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help=OVERRIDES)


def add_labels(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Adds the option --labels, a map of labels as ``recipe.given_labels`` reads it."""
    text = f"{meaning}: label to class in YAML, such as '{{0: bad, 1: good}}', or a YAML file"
    parser.add_argument("--labels", metavar="MAP", help=text)


def is_data(source: str) -> bool:
    """Returns whether the argument is a data source, not a recipe."""
    from tunesmith.data.readers.read import READERS

    if source.startswith(("builtin:", "hub:")):
        return True
    return source.lower().removesuffix(".gz").endswith(tuple(READERS)) or Path(source).is_dir()


def load(source: str, overrides: Sequence[str]) -> LoadedRecipe:
    """Loads a recipe file, or makes a recipe of defaults for a data file.

    Raises RecipeError, which lists every problem of the recipe and the overrides.
    """
    import yaml

    from tunesmith.recipe.draft import stem
    from tunesmith.recipe.load import LoadedRecipe, load_recipe, override, recipe_from_mapping

    if not is_data(source):
        return load_recipe(Path(source), overrides)
    given: dict[str, Any] = {"data": {"train": source}, "output": f"runs/{stem(source)}"}
    override(given, overrides)
    recipe = recipe_from_mapping(given, source)
    return LoadedRecipe(recipe, None, given, yaml.safe_dump(given, sort_keys=False, allow_unicode=True), Path())
