"""Reads and checks the rows and labels of classifiers and regressions without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tunesmith.data.checks.control_tokens import control_tokens
from tunesmith.data.labelled.load import LabelledData, load_labelled_data
from tunesmith.data.split import at_most
from tunesmith.models.source import find_model, special_tokens
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.static import columns, files, labels, read_as, sizes
from tunesmith.recipe.resolved import with_defaults
from tunesmith.tasks.task import Request, TaskData, TaskReading


@dataclass(frozen=True, kw_only=True)
class LabelledTaskData(TaskData):
    """The splits of a recipe, the base model's files, and the findings about the rows."""

    splits: LabelledData


def read(request: Request) -> LabelledTaskData:
    """Reads rows, columns, labels and the base model's files. Raises InputError if they cannot be used."""
    recipe, base = request.loaded.recipe, request.loaded.base
    splits = subsample(load_labelled_data(recipe, base, request.frames), request.max_rows)
    source = find_model(recipe.model, base)
    recipe = with_defaults(recipe, source.n_bytes, len(splits.train))
    held = control_tokens(splits.named().values(), special_tokens(source))
    return LabelledTaskData(recipe=recipe, source=source, base=base, findings=(*splits.findings, *held), splits=splits)


def subsample(splits: LabelledData, max_rows: int | None) -> LabelledData:
    """Returns at most so many rows of each split, spread evenly over it."""
    cut: dict[str, Any] = {name: at_most(rows, max_rows) for name, rows in splits.named().items()}
    return replace(splits, **cut)


def check_rows(data: LabelledTaskData) -> Iterator[CheckLine]:
    """Checks files, columns, labels and the size of the evaluation split."""
    for split in data.splits.named().values():
        yield files(split)
    yield from read_as(data.splits.notes)
    yield columns(data.splits)
    yield labels(data.splits)
    yield sizes(data.splits)


READING = TaskReading(read, check_rows)
