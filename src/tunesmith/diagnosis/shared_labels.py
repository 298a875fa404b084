"""Several data sets that are to be compared: whether they can be, and their rows with the labels they share."""

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

FEWEST = 2
KINDS = {REGRESSION: "numbers as labels", MULTI: "several labels a row"}


@dataclass(frozen=True)
class Shared:
    """Data sets with the rows of their common labels.

    Attributes:
        labels: those that every data set has; the ids of all rows.
        data: in the order given.
        left_out: for each data set label -> rows that were left out, since not every set has the label.
    """

    labels: Labels
    data: tuple[LabelledData, ...]
    left_out: tuple[Mapping[str, int], ...]


def shared_rows(names: Sequence[str], data: Sequence[LabelledData]) -> Shared:
    """The rows of the labels that all data sets have.

    Raises:
        DataError: a data set has numbers or several labels a row, some have pairs and others single texts, one was given twice,
            or they have fewer than two labels in common.
    """
    problems = [*task_problems(data), *shape_problems(data)] or twice_problems(names, data)
    if problems:
        raise DataError(problems)
    common = [name for name in data[0].labels.names if all(name in splits.labels.names for splits in data)]
    if len(common) < FEWEST:
        raise too_few(common, names, data)
    labels = Labels(SINGLE, tuple(common))
    return Shared(labels, tuple(restricted(x, labels) for x in data), tuple(left_out(x, labels) for x in data))


def task_problems(data: Sequence[LabelledData]) -> list[Problem]:
    return [
        Problem("data", x.train.source, f"It has {KINDS[x.labels.problem_type]}; data sets are compared by one label a row.")
        for x in data if x.labels.problem_type != SINGLE
    ]  # fmt: skip


def shape_problems(data: Sequence[LabelledData]) -> list[Problem]:
    """Pairs of texts beside single ones."""
    pairs = [x.train.source for x in data if x.train.pairs is not None]
    single = [x.train.source for x in data if x.train.pairs is None]
    if not pairs or not single:
        return []
    message = f"It has pairs of texts, {listed(single)} has single texts; these cannot be compared."
    remedy = "If it has one text a row, say which in a recipe: columns: {text: NAME}."
    return [Problem("data", source, message, remedy) for source in pairs]


def twice_problems(names: Sequence[str], data: Sequence[LabelledData]) -> list[Problem]:
    """One file, or the same rows, in two data sets."""
    found = []
    for (one, first), (other, second) in itertools.combinations(zip(names, data, strict=True), 2):
        files = {part.sha256: part.source for part in first.named().values() if part.sha256}
        again = [part for part in second.named().values() if part.sha256 in files]
        if again:
            source = files[again[0].sha256]
            what = f"{source} was given twice" if source == again[0].source else f"it has the same bytes as {source}"
            found.append(
                Problem("data", again[0].source, f"{what}; a data set is compared with others.", "Give different files.")
            )
        elif contents(first) == contents(second):
            found.append(Problem("data", other, f"it has the same rows as {one}; a data set is compared with others."))
    return found


def contents(data: LabelledData) -> list[tuple[str, object]]:
    """Text and label name of every row."""
    return [
        (text, data.labels.names[label])
        for part in data.named().values() for text, label in zip(part.texts, part.labels, strict=True)
    ]  # fmt: skip


def too_few(common: Sequence[str], names: Sequence[str], data: Sequence[LabelledData]) -> DataError:
    """The error that data sets have too few labels in common to be compared."""
    own = "; ".join(f"{name}: {listed(x.labels.names, 8)}" for name, x in zip(names, data, strict=True))
    what = f"only the label {common[0]}" if common else "no label"
    spelling = Counter(plain for x in data for plain in {name.strip().casefold() for name in x.labels.names})
    alike = [
        plain for plain, n in sorted(spelling.items()) if n == len(data) and plain not in {name.casefold() for name in common}
    ]
    hint = f" They differ in case only: {listed(alike, 4)}." if alike else ""
    message = f"The data sets have {what} in common ({own}); at least {FEWEST} are needed.{hint}"
    return DataError([Problem("labels", listed(names), message, "Give the same meaning the same name in every file.")])


def restricted(data: LabelledData, labels: Labels) -> LabelledData:
    """The rows with one of these labels, under their ids."""
    parts = {part.split: kept_rows(part, data.labels, labels) for part in data.named().values()}
    filled = {split: part if len(part) or split == "train" else None for split, part in parts.items()}
    return replace(data, labels=labels, **filled)  # type: ignore[arg-type]


def kept_rows(part: Examples, old: Labels, new: Labels) -> Examples:
    ids = {old.names.index(name): i for i, name in enumerate(new.names)}
    kept = part.take([i for i, label in enumerate(part.labels) if label in ids], part.split)
    return replace(kept, labels=[ids[label] for label in kept.labels])


def left_out(data: LabelledData, labels: Labels) -> dict[str, int]:
    """Label -> rows, for the labels that are not among these."""
    counts = Counter(data.labels.names[label] for part in data.named().values() for label in part.labels)
    return {name: counts[name] for name in data.labels.names if name not in labels.names}
