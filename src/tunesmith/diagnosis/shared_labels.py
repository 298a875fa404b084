"""Checks that data sets can be compared, and selects their rows with the labels they share."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tunesmith.data.cells import listed
from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.table import Examples, Labels
from tunesmith.errors import DataError, Problem

MIN_LABELS = 2
KINDS = {REGRESSION: "numbers as labels", MULTI: "several labels a row"}


@dataclass(frozen=True)
class SharedData:
    """Data sets with the rows of their common labels.

    Attributes:
        labels: those that every data set has; the ids of all rows.
        data: in the order of the input.
        left_out: for each data set label -> rows left out, since not every set has the label.
    """

    labels: Labels
    data: tuple[LabelledData, ...]
    left_out: tuple[Mapping[str, int], ...]


def select_shared_labels(names: Sequence[str], data: Sequence[LabelledData]) -> SharedData:
    """Selects the rows of the labels that all data sets have.

    Raises DataError if a data set has numbers or several labels a row, some have pairs and others single texts, one was
    given twice, or they have fewer than two labels in common.
    """
    problems = [*task_problems(data), *shape_problems(data)] or repeat_problems(names, data)
    if problems:
        raise DataError(problems)
    common = [name for name in data[0].labels.names if all(name in splits.labels.names for splits in data)]
    if len(common) < MIN_LABELS:
        raise too_few_labels(common, names, data)
    labels = Labels(SINGLE, tuple(common))
    return SharedData(labels, tuple(select_labels(x, labels) for x in data), tuple(count_left_out(x, labels) for x in data))


def task_problems(data: Sequence[LabelledData]) -> list[Problem]:
    kinds = [(x.train.source, KINDS.get(x.labels.problem_type)) for x in data]
    return [Problem("data", name, f"It has {kind}; data sets are compared by one label a row.") for name, kind in kinds if kind]


def shape_problems(data: Sequence[LabelledData]) -> list[Problem]:
    """Data sets with pairs of texts beside others with single ones."""
    pairs, single = ([x.train.source for x in data if (x.train.pairs is None) == is_single] for is_single in (False, True))
    if not pairs or not single:
        return []
    message = f"It has pairs of texts, {listed(single)} has single texts; these cannot be compared."
    remedy = "If it has one text a row, name its column in a recipe: columns: {text: NAME}."
    return [Problem("data", source, message, remedy) for source in pairs]


def repeat_problems(names: Sequence[str], data: Sequence[LabelledData]) -> list[Problem]:
    """Pairs of data sets with the same file or the same rows."""
    problems = []
    for (name, first), (other, second) in itertools.combinations(zip(names, data, strict=True), 2):
        files = {part.sha256: part.source for part in first.named().values() if part.sha256}
        again = next((part for part in second.named().values() if part.sha256 in files), None)
        if again is not None:
            source = files[again.sha256]
            what = f"{source} was given twice" if source == again.source else f"it has the same bytes as {source}"
            message = f"{what}; a data set is compared with others."
            problems.append(Problem("data", again.source, message, "Give different files."))
        elif contents(first) == contents(second):
            problems.append(Problem("data", other, f"it has the same rows as {name}; a data set is compared with others."))
    return problems


def contents(data: LabelledData) -> list[tuple[str, object]]:
    """Text and label name of every row."""
    names = data.labels.names
    parts = data.named().values()
    return [(text, names[label]) for part in parts for text, label in zip(part.texts, part.labels, strict=True)]


def too_few_labels(common: Sequence[str], names: Sequence[str], data: Sequence[LabelledData]) -> DataError:
    """The error that data sets have too few labels in common to be compared."""
    own = "; ".join(f"{name}: {listed(x.labels.names, 8)}" for name, x in zip(names, data, strict=True))
    what = f"only the label {common[0]}" if common else "no label"
    spelling = Counter(plain for x in data for plain in {name.strip().casefold() for name in x.labels.names})
    same = {name.casefold() for name in common}
    alike = [plain for plain, n in sorted(spelling.items()) if n == len(data) and plain not in same]
    hint = f" They differ in case only: {listed(alike, 4)}." if alike else ""
    message = f"The data sets have {what} in common ({own}); at least {MIN_LABELS} are needed.{hint}"
    return DataError([Problem("labels", listed(names), message, "Give the same meaning the same name in every file.")])


def select_labels(data: LabelledData, labels: Labels) -> LabelledData:
    """The rows with one of these labels, under their ids."""
    parts = {part.split: select_rows(part, data.labels, labels) for part in data.named().values()}
    present = {split: part if len(part) or split == "train" else None for split, part in parts.items()}
    return replace(data, labels=labels, **present)  # type: ignore[arg-type]


def select_rows(part: Examples, old: Labels, new: Labels) -> Examples:
    ids = {old.names.index(name): i for i, name in enumerate(new.names)}
    selected = part.take([i for i, label in enumerate(part.labels) if label in ids], part.split)
    return replace(selected, labels=[ids[label] for label in selected.labels])


def count_left_out(data: LabelledData, labels: Labels) -> dict[str, int]:
    """Label -> rows, for the labels that are not shared."""
    counts = Counter(data.labels.names[label] for part in data.named().values() for label in part.labels)
    return {name: counts[name] for name in data.labels.names if name not in labels.names}
