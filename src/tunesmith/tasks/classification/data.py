"""Reads and checks the rows and labels of classifiers and regressions without torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tunesmith.data.checks.control_tokens import control_tokens
from tunesmith.data.labelled.load import LabelledData, load_labelled_data
from tunesmith.data.split import at_most
from tunesmith.evaluation.metrics.own_function import MeasuredRows, OwnFunction
from tunesmith.evaluation.outputs import Outputs
from tunesmith.models.source import find_model, special_tokens
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.static import columns, files, labels, own_metrics, read_as, sizes
from tunesmith.recipe.resolved import with_defaults
from tunesmith.tasks.classification.own_metrics import load_own_function, measured_rows, positive_class
from tunesmith.tasks.task import Request, TaskData, TaskReading
from tunesmith.training.logits_size import logits_bytes


@dataclass(frozen=True, kw_only=True)
class LabelledTaskData(TaskData):
    """The splits of a recipe, the base model's files, and the findings about the rows.

    Attributes:
        positive: the class id that F1 counts as positive; None if it is not computed.
        function: the user's function of metrics; None without one.
    """

    splits: LabelledData
    positive: int | None = None
    function: OwnFunction | None = None

    def own_rows(self, split: str) -> Callable[[Outputs], MeasuredRows | None]:
        """Returns the function from a system's outputs on a split to the rows that the user's function reads."""
        assert self.function is not None
        return partial(measured_rows, self.function, self.splits.named()[split], self.splits.labels)

    @property
    def logged_bytes(self) -> int:
        """Returns the bytes of the logits of all epochs, also in each checkpoint, and of the probabilities in the predictions."""
        train, n_rows, n_classes = self.recipe.train, len(self.splits.train), max(1, self.splits.labels.n)
        n_epochs = math.floor(train.num_train_epochs or (train.max_steps or 0) * train.batch_rows / max(1, n_rows))
        n_predicted = sum(len(rows) for name, rows in self.splits.named().items() if name != "train")
        of_seeds = train.n_seeds if train.n_seeds > 1 else 0
        return logits_bytes(n_epochs, n_rows, n_classes) * (train.n_seeds + 2) + 8 * n_predicted * n_classes * (1 + of_seeds)


def read(request: Request) -> LabelledTaskData:
    """Reads rows, columns, labels and the base model's files. Raises InputError if they cannot be used."""
    recipe, base = request.loaded.recipe, request.loaded.base
    splits = subsample(load_labelled_data(recipe, base, request.frames), request.max_rows)
    source = find_model(recipe.model, base)
    recipe = with_defaults(recipe, source.n_bytes, len(splits.train))
    held = control_tokens(splits.named().values(), special_tokens(source))
    return LabelledTaskData(
        recipe=recipe,
        source=source,
        base=base,
        findings=(*splits.findings, *held),
        splits=splits,
        positive=positive_class(recipe, splits.labels),
        function=load_own_function(recipe, base, splits),
    )


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
    yield from own_metrics(data.function)


READING = TaskReading(read, check_rows)
