"""The RECIPE of a command line: a YAML file with overrides, or a data file that is trained on with all defaults."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.recipe.load import LoadedRecipe

DATA_ENDINGS = (".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet")
OVERRIDES = "settings that win over the recipe, e.g. train.seed=1 or train.learning_rate=1e-4"


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """The arguments RECIPE and KEY=VALUE."""
    parser.add_argument(
        "recipe", metavar="RECIPE", help="a recipe file; a data file or folder stands for a recipe with every default"
    )
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help=OVERRIDES)


def is_data(source: str) -> bool:
    """Whether the text names data rather than a recipe."""
    if source.startswith(("builtin:", "hub:")):
        return True
    name = source.lower().removesuffix(".gz")
    return name.endswith(DATA_ENDINGS) or Path(source).is_dir()


def load(source: str, overrides: Sequence[str]) -> LoadedRecipe:
    """The checked recipe of a file, or of a data file with every default.

    Raises:
        RecipeError: with every problem of the recipe and the overrides.
    """
    from tunesmith.recipe.load import load_recipe

    return of_data(source, overrides) if is_data(source) else load_recipe(Path(source), overrides)


def of_data(source: str, overrides: Sequence[str]) -> LoadedRecipe:
    """The recipe that says no more than where the rows are."""
    import yaml

    from tunesmith.recipe.draft import stem
    from tunesmith.recipe.load import LoadedRecipe, override, recipe_from_mapping

    given: dict[str, Any] = {"data": {"train": source}, "output": f"runs/{stem(source)}"}
    override(given, overrides)
    recipe = recipe_from_mapping(given, source)
    return LoadedRecipe(recipe, None, given, yaml.safe_dump(given, sort_keys=False, allow_unicode=True), Path())
