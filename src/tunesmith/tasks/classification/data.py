"""What a run reads before it loads the model: the rows, the model's files, and the checks that need no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.data.labelled.load import Splits, load_splits
from tunesmith.models.source import ModelSource, find_model, stay_offline_unless_needed
from tunesmith.preflight.report import CheckLine, CheckReport
from tunesmith.preflight.static import static_checks
from tunesmith.progress import Clock
from tunesmith.recipe.defaults import with_defaults
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.recipe.sections import Recipe
from tunesmith.run_folder import SMOKE_ROWS


@dataclass(frozen=True)
class Inputs:
    """What was read before the model was loaded.

    Attributes:
        base: the folder that the recipe's paths start from.
    """

    recipe: Recipe
    splits: Splits
    source: ModelSource
    checks: tuple[CheckLine, ...] = ()
    base: Path = Path()


def read_inputs(loaded: LoadedRecipe, clock: Clock, frames: Mapping[str, Any] | None = None, smoke: bool = False) -> Inputs:
    """Rows, columns, labels, splits and the base model's files, with the checks that need no torch."""
    recipe = loaded.recipe
    stay_offline_unless_needed(recipe)
    with clock.phase("data"):
        splits = load_splits(recipe, loaded.base, frames)
        if smoke:
            splits = first_rows(splits, SMOKE_ROWS)
        source = find_model(recipe.model, loaded.base)
        recipe = with_defaults(recipe, source.n_bytes, len(splits.train))
        checks = tuple(static_checks(recipe, splits, splits.findings, source, Path(recipe.output)))
    problems = CheckReport(checks)
    problems.refuse()
    return Inputs(recipe, splits, source, checks, loaded.base)


def first_rows(splits: Splits, count: int) -> Splits:
    """At most so many rows of each split, spread over it so that every label has its chance."""
    cut = {}
    for name in ("train", "validation", "test"):
        split = getattr(splits, name)
        if split is not None and len(split) > count:
            positions = [i * len(split) // count for i in range(count)]
            split = split.take(positions, name)
        cut[name] = split
    return replace(splits, **cut)
