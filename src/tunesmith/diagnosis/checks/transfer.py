"""Comparison of data sets: the same texts with different labels, and MCC of models trained on one and tested on another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.near_duplicates import NearDuplicates
from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.baselines.frozen import Embedded, linear_on_embeddings
from tunesmith.evaluation.baselines.tfidf import tfidf_linear
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.predictions import Predictions, concatenate, from_scores
from tunesmith.evaluation.metrics.resample import DEFAULT_RESAMPLING, Resampling, cluster_numbers
from tunesmith.results import Metric

METRIC = "mcc"


@dataclass(frozen=True)
class Opposite:
    """The same or nearly the same text in two data sets with different labels.

    Attributes:
        first, second: positions among the pooled rows: the first row of its set with that text and that label.
        n_first, n_second: rows of each set with that text and that label.
        overlap: of the texts' pieces, see ``NearDuplicates``; 1 is the same text.
    """

    first: int
    second: int
    n_first: int
    n_second: int
    overlap: float


@dataclass(frozen=True)
class TransferData:
    """One data set of a transfer matrix.

    Attributes:
        rows: with the class ids of the shared labels.
        embedded: embeddings of the untouched base model, see ``baselines.frozen``.
        folds: the fold of each row (N); near-duplicates share one.
        units: the unit of each row (N): of one group, or near-duplicates.
        near_duplicates: whether each row has the same or nearly the same text in each data set (N, S).
    """

    name: str
    rows: Examples
    embedded: Embedded
    folds: Array
    units: Array
    near_duplicates: Array


@dataclass(frozen=True)
class Transfer:
    """One cell of the transfer matrix: MCC on one data set of models trained on one data set.

    Attributes:
        low, high: ends of the 95 % interval; None if there is none.
        n: rows of ``tested_on``.
        n_trained: rows of ``trained_on`` used for training; on the diagonal the mean over the folds.
        n_left_out: rows of ``trained_on`` left out of training, since ``tested_on`` has them, too, exactly or nearly.
        held_out: True on the diagonal: each row was predicted by a model of the other folds.
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


def near_duplicate_sets(near: NearDuplicates, owner: Array, n_sets: int) -> Array:
    """Marks for each pooled row the data sets with the same or nearly the same text (N, S) bool, its own set among them.

    Args:
        owner: the data set of each row (N), 0 to S - 1.
    """
    present = np.zeros((len(near.first_row), n_sets), dtype=bool)
    present[near.text_ids, owner] = True
    present_near = present.copy()
    np.logical_or.at(present_near, near.a, present[near.b])
    np.logical_or.at(present_near, near.b, present[near.a])
    return np.asarray(present_near[near.text_ids])


def opposite_labels(near: NearDuplicates, owner: Array, given: Array) -> tuple[list[Opposite], Array]:
    """Finds texts with different labels in two data sets, the closest first; and flags their rows (N) bool.

    Args:
        near: of the pooled rows.
        owner: the data set of each row (N).
        given: its class id (N), the same ids in all data sets.
    """
    kinds, first, row_kind, counts = np.unique(
        np.stack([near.text_ids, owner, given]), axis=1, return_index=True, return_inverse=True, return_counts=True
    )
    row_kind, flagged = row_kind.ravel(), np.zeros(len(counts), dtype=bool)
    text_kinds: list[list[int]] = [[] for _ in near.first_row]
    for kind, text in enumerate(kinds[0].tolist()):
        text_kinds[text].append(kind)
    pairs: list[Opposite] = []
    same = ((text, text, 1.0) for text in range(len(near.first_row)))
    for a, b, overlap in itertools.chain(same, zip(near.a.tolist(), near.b.tolist(), near.overlap.tolist(), strict=True)):
        for x, y in itertools.product(text_kinds[a], text_kinds[b]):
            if kinds[1, x] == kinds[1, y] or kinds[2, x] == kinds[2, y] or (a == b and x > y):
                continue
            flagged[[x, y]] = True
            x, y = (x, y) if kinds[1, x] < kinds[1, y] else (y, x)
            pairs.append(Opposite(int(first[x]), int(first[y]), int(counts[x]), int(counts[y]), overlap))
    return sorted(pairs, key=lambda pair: (-pair.overlap, pair.first, pair.second)), flagged[row_kind]


def transfer_matrix(
    sets: Sequence[TransferData], labels: Labels, progress: Callable[[int], None] = lambda done: None
) -> list[Transfer]:
    """Computes MCC of models trained on each data set and tested on each, row by row.

    Off the diagonal: one model of all rows of ``trained_on`` without those that ``tested_on`` has, too. On it: cross-validation.

    Args:
        progress: called with the number of models fitted.
    """
    matrix, count = [], itertools.count(1)
    for (i, trained), (j, tested) in itertools.product(enumerate(sets), enumerate(sets)):
        if i == j:
            matrix.append(cross_validated(trained, labels, lambda: progress(next(count))))
        else:
            matrix.append(transferred(trained, tested, j, labels))
            progress(next(count))
    return matrix


def transferred(trained: TransferData, tested: TransferData, place: int, labels: Labels) -> Transfer:
    """Trains on one data set and tests on another, which is at position ``place`` among the data sets."""
    kept = np.flatnonzero(~trained.near_duplicates[:, place])
    n_left_out = len(trained.rows) - len(kept)
    if not len(kept):
        note = f"{tested.name} has every text of {trained.name}: no row is left to train on"
        return make_cell(trained, tested, Metric(METRIC, "", None, None, None, len(tested.rows), note=note), 0, n_left_out)
    predictions = predict_rows(trained, kept, tested, np.arange(len(tested.rows)), labels)
    (metric,) = metric_intervals(SINGLE, predictions, tested.name, (METRIC,), in_units(tested.units))
    return make_cell(trained, tested, metric, len(kept), n_left_out)


def cross_validated(data: TransferData, labels: Labels, progress: Callable[[], None]) -> Transfer:
    """Trains and tests on one data set: each fold with a model of the others."""
    predictions: Predictions | None = None
    n_folds = int(data.folds.max()) + 1
    for fold in range(n_folds):
        held = np.flatnonzero(data.folds == fold)
        part = predict_rows(data, np.flatnonzero(data.folds != fold), data, held, labels)
        predictions = part if predictions is None else concatenate(predictions, part)
        progress()
    assert predictions is not None
    by_fold = np.argsort(data.folds, kind="stable")  # the order of the predictions
    (metric,) = metric_intervals(SINGLE, predictions, data.name, (METRIC,), in_units(data.units[by_fold]))
    return make_cell(data, data, metric, round(len(predictions) * (n_folds - 1) / n_folds), 0)


def in_units(units: Array) -> Resampling:
    """Returns the resampling of rows that belong to units (N)."""
    return DEFAULT_RESAMPLING.of_rows(cluster_numbers(units))


def make_cell(trained: TransferData, tested: TransferData, metric: Metric, n_trained: int, n_left_out: int) -> Transfer:
    return Transfer(
        trained_on=trained.name,
        tested_on=tested.name,
        value=metric.value,
        low=metric.low,
        high=metric.high,
        n=metric.n,
        n_trained=n_trained,
        n_left_out=n_left_out,
        held_out=trained is tested,
        note="" if metric.value is not None and metric.low is not None else metric.note,
    )


def predict_rows(
    trained: TransferData, training_rows: Array, tested: TransferData, test_rows: Array, labels: Labels
) -> Predictions:
    """Predicts some rows of one data set by models of some rows of another.

    The mean of two linear models' probabilities, one on the embeddings and one on words. Both fit their vocabulary and scale to
    the training rows only.
    """
    train, test = trained.rows.take(training_rows.tolist(), "train"), tested.rows.take(test_rows.tolist(), "test")
    embedded = {"train": take_embeddings(trained.embedded, training_rows), "test": take_embeddings(tested.embedded, test_rows)}
    on_embeddings = linear_on_embeddings(labels, train, [test], embedded).outputs["test"].predictions
    on_words = tfidf_linear(labels, train, [test]).outputs["test"].predictions
    assert on_embeddings is not None
    assert on_words is not None
    return from_scores(SINGLE, on_embeddings.labels, (on_embeddings.scores + on_words.scores) / 2)


def take_embeddings(embedded: Embedded, positions: Array) -> Embedded:
    if isinstance(embedded, tuple):
        return embedded[0][positions], embedded[1][positions]
    return embedded[positions]
