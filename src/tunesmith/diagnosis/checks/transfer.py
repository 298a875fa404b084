"""Data sets against each other: the same texts with other labels, and what a model of one makes of another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.near_duplicates import NearDuplicates
from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.baselines.frozen import Embedded, linear_on_embeddings
from tunesmith.evaluation.baselines.tfidf import tfidf_linear
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.predictions import SINGLE, Predictions, both, from_scores
from tunesmith.results import Metric

METRIC = "mcc"


@dataclass(frozen=True)
class Opposite:
    """The same or nearly the same text in two data sets with different labels.

    Attributes:
        first, second: positions among the pooled rows: the first row of its set with that text and that label.
        n_first, n_second: rows of either set with that text and that label.
        overlap: of the texts' pieces, see ``NearDuplicates``; 1 is the same text.
    """

    first: int
    second: int
    n_first: int
    n_second: int
    overlap: float


@dataclass(frozen=True)
class Compared:
    """One data set as the transfer matrix needs it.

    Attributes:
        rows: with the class ids of the shared labels.
        embedded: of the untouched base model, see ``baselines.frozen``.
        folds: the fold of each row (N), twins together.
        twins: whether each row has the same or nearly the same text in each data set (N, S).
    """

    name: str
    rows: Examples
    embedded: Embedded
    folds: Array
    twins: Array


@dataclass(frozen=True)
class Transfer:
    """MCC on one data set of models trained on one data set.

    Attributes:
        low, high: ends of the 95 % interval; None where there is none.
        n: rows of ``tested_on``.
        n_trained: rows of ``trained_on`` that were trained on; on the diagonal the mean over the folds.
        n_left_out: rows of ``trained_on`` that ``tested_on`` has, too, exactly or nearly, and that were not trained on.
        held_out: True on the diagonal: each row was judged by a model of the other folds.
        note: why there is no value or no interval.
    """

    trained_on: str
    tested_on: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_trained: int
    n_left_out: int
    held_out: bool
    note: str = ""


def twins(near: NearDuplicates, owner: Array, n_sets: int) -> Array:
    """Whether each pooled row has the same or nearly the same text in each data set (N, S); its own set counts it, too.

    Args:
        owner: the data set of each row (N), 0 to S - 1.
    """
    present = np.zeros((len(near.first_row), n_sets), dtype=bool)
    present[near.text_ids, owner] = True
    reached = present.copy()
    np.logical_or.at(reached, near.a, present[near.b])
    np.logical_or.at(reached, near.b, present[near.a])
    return np.asarray(reached[near.text_ids])


def opposite_labels(near: NearDuplicates, owner: Array, given: Array) -> tuple[list[Opposite], Array]:
    """Texts that two data sets have with different labels, the closest first; and the rows (N) bool that this is about.

    Args:
        near: of the pooled rows.
        owner: the data set of each row (N).
        given: its class id (N), the same ids in all data sets.
    """
    kinds, first, kind_of, counts = np.unique(
        np.stack([near.text_ids, owner, given]), axis=1, return_index=True, return_inverse=True, return_counts=True
    )
    kind_of, kinds_of_text = kind_of.ravel(), places(kinds[0])
    found: list[Opposite] = []
    flagged = np.zeros(len(counts), dtype=bool)
    for a, b, overlap in same_or_near(near):
        for x, y in itertools.product(kinds_of_text[a], kinds_of_text[b]):
            if kinds[1, x] == kinds[1, y] or kinds[2, x] == kinds[2, y] or (a == b and x > y):
                continue
            flagged[[x, y]] = True
            x, y = (x, y) if kinds[1, x] < kinds[1, y] else (y, x)
            found.append(Opposite(int(first[x]), int(first[y]), int(counts[x]), int(counts[y]), overlap))
    return sorted(found, key=lambda pair: (-pair.overlap, pair.first, pair.second)), flagged[kind_of]


def same_or_near(near: NearDuplicates) -> Iterator[tuple[int, int, float]]:
    """Pairs of texts that count as one: each with itself, and the near ones, with their overlap."""
    yield from ((text, text, 1.0) for text in range(len(near.first_row)))
    yield from zip(near.a.tolist(), near.b.tolist(), near.overlap.tolist(), strict=True)


def places(numbers: Array) -> list[list[int]]:
    """For each number from 0 its positions among ``numbers``."""
    found: list[list[int]] = [[] for _ in range(int(numbers.max(initial=-1)) + 1)]
    for i, number in enumerate(numbers.tolist()):
        found[number].append(i)
    return found


def transfer_matrix(
    sets: Sequence[Compared], labels: Labels, progress: Callable[[int], None] = lambda done: None
) -> list[Transfer]:
    """MCC of models trained on each data set and tested on each, row by row.

    Off the diagonal one model of all rows of ``trained_on`` but those that ``tested_on`` has, too. On it cross-validation.

    Args:
        progress: called with the number of models fitted.
    """
    found, done = [], itertools.count(1)
    for (i, trained), (j, tested) in itertools.product(enumerate(sets), enumerate(sets)):
        if i == j:
            found.append(within(trained, labels, lambda: progress(next(done))))
        else:
            found.append(across(trained, tested, j, labels))
            progress(next(done))
    return found


def across(trained: Compared, tested: Compared, place: int, labels: Labels) -> Transfer:
    """Trained on one data set and tested on another, which is at that place among the data sets."""
    kept = np.flatnonzero(~trained.twins[:, place])
    n_left_out = len(trained.rows) - len(kept)
    if not len(kept):
        note = f"{tested.name} has every text of {trained.name}: no row is left to train on"
        return Transfer(trained.name, tested.name, None, None, None, len(tested.rows), 0, n_left_out, False, note)
    said = answers(trained, kept, tested, np.arange(len(tested.rows)), labels)
    return cell(trained.name, tested.name, said, len(kept), n_left_out, held_out=False)


def within(compared: Compared, labels: Labels, progress: Callable[[], None]) -> Transfer:
    """Trained and tested on one data set: each fold by a model of the others."""
    said: Predictions | None = None
    n_folds = int(compared.folds.max()) + 1
    for fold in range(n_folds):
        held = np.flatnonzero(compared.folds == fold)
        part = answers(compared, np.flatnonzero(compared.folds != fold), compared, held, labels)
        said = part if said is None else both(said, part)
        progress()
    assert said is not None
    return cell(compared.name, compared.name, said, round(len(said) * (n_folds - 1) / n_folds), 0, held_out=True)


def cell(trained_on: str, tested_on: str, said: Predictions, n_trained: int, n_left_out: int, *, held_out: bool) -> Transfer:
    """A cell of the matrix from the predictions behind it."""
    (metric,) = metric_intervals(SINGLE, said, tested_on, (METRIC,))
    return Transfer(
        trained_on, tested_on, metric.value, metric.low, metric.high, metric.n, n_trained, n_left_out, held_out, note_of(metric)
    )  # fmt: skip


def note_of(metric: Metric) -> str:
    return "" if metric.value is not None and metric.low is not None else metric.note


def answers(trained: Compared, kept: Array, tested: Compared, asked: Array, labels: Labels) -> Predictions:
    """The predictions for some rows of one data set by models of some rows of another.

    The mean of two linear models' probabilities, one on the embeddings and one on words, both with everything that they
    learn (vocabulary, scale) from the rows they are trained on.
    """
    train, test = trained.rows.take(kept.tolist(), "train"), tested.rows.take(asked.tolist(), "test")
    embedded = {"train": taken(trained.embedded, kept), "test": taken(tested.embedded, asked)}
    by_meaning = linear_on_embeddings(labels, train, [test], embedded).predictions["test"]
    by_words = tfidf_linear(labels, train, [test]).predictions["test"]
    return from_scores(SINGLE, by_meaning.labels, (by_meaning.scores + by_words.scores) / 2)


def taken(embedded: Embedded, positions: Array) -> Embedded:
    """The embeddings of those rows."""
    if isinstance(embedded, tuple):
        return embedded[0][positions], embedded[1][positions]
    return embedded[positions]
