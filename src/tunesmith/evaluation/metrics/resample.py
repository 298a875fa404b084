"""Bootstrap resamples as row weights: how often each row (or group of equal rows) was drawn.

A metric of decisions depends only on the number of rows of each combination of label and decisions. Those combinations are
the cells: 10,000 resamples of 3,000 rows then cost as much as their few hundred cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.classification import Statistic, Values
from tunesmith.evaluation.metrics.predictions import Predictions

BLOCK_ELEMENTS = 2_000_000
"""Weights in memory at once: 16 MB, and a few times that while a metric is computed."""
MAX_ELEMENTS = {"decisions": 1_000_000_000, "scores": 100_000_000, "ranks": 20_000_000}
"""Largest total of weights per metric, by what it reads. Decisions are grouped into cells and rarely reach it."""
MIN_RESAMPLES = 400
"""A standard error from 400 resamples is within 3.5 % (1 / sqrt(2 * 400)); it moves an interval's end by as much."""


@dataclass(frozen=True)
class Cells:
    """Rows grouped into cells of equal label and decisions.

    Attributes:
        systems: one Predictions a system, with one row a cell (C).
        of_row: (N,) the cell of each row.
        counts: (C,) rows in each cell.
    """

    systems: tuple[Predictions, ...]
    of_row: Array
    counts: Values


def make_cells(systems: Sequence[Predictions], *, of_decisions: bool) -> Cells:
    """Groups the rows of several systems into cells; with scores every row is its own cell."""
    n = len(systems[0])
    if not of_decisions:
        return Cells(tuple(systems), np.arange(n), np.ones(n))
    parts = [systems[0].labels, *(system.decisions for system in systems)]
    code = np.zeros(n, dtype=np.int64)
    for part in parts:
        for column in part.reshape(n, -1).T:
            _, code = np.unique(code * (int(column.max(initial=0)) + 1) + column, return_inverse=True)
    _, first, of_row, counts = np.unique(code, return_index=True, return_inverse=True, return_counts=True)
    return Cells(tuple(system.take(first) for system in systems), of_row, counts.astype(np.float64))


def weight_blocks(cells: Cells, n_resamples: int, rng: np.random.Generator) -> Iterator[Values]:
    """Yields weights (b, C) of resamples drawn with replacement, ``n_resamples`` in all, in blocks of bounded size."""
    n, n_cells = len(cells.of_row), len(cells.counts)
    few_cells = 10 * n_cells < n
    size = max(1, BLOCK_ELEMENTS // (n_cells if few_cells else max(n, n_cells)))
    for start in range(0, n_resamples, size):
        block = min(size, n_resamples - start)
        if few_cells:
            yield rng.multinomial(n, cells.counts / n, size=block).astype(np.float64)
        else:
            drawn = cells.of_row[rng.integers(0, n, size=(block, n))]
            flat = (drawn + n_cells * np.arange(block)[:, None]).ravel()
            yield np.bincount(flat, minlength=block * n_cells).reshape(block, n_cells).astype(np.float64)


def affordable(n_cells: int, n_resamples: int, reads: str, n_rankings: int) -> int:
    """Returns the number of resamples to use: all, or for scores of large data as many as ``MAX_ELEMENTS`` allows.

    The intervals of score metrics need only the standard error of the replicates, not their extreme quantiles, so
    large data, whose replicates are near normal, need fewer.

    Args:
        reads: see ``table.MetricKind``.
        n_rankings: the number of classes of a ranking metric.
    """
    work = max(1, n_cells * (n_rankings if reads == "ranks" else 1))
    return min(n_resamples, max(MIN_RESAMPLES, MAX_ELEMENTS[reads] // work))


def resampled_sums(table: Values, n_resamples: int, seed: int) -> Values:
    """Sums a table (N, ...) over resampled rows: (B, ...)."""
    n = len(table)
    rows, n_drawn = Cells((), np.arange(n), np.ones(n)), affordable(n, n_resamples, "scores", 1)
    return np.concatenate([weights @ table for weights in weight_blocks(rows, n_drawn, np.random.default_rng(seed))])


def replicate(cells: Cells, statistics: Sequence[Sequence[Statistic]], n_resamples: int, seed: int) -> list[Values]:
    """Computes the replicates (B, S) of each metric on the same resampled rows for all systems S and all metrics.

    Args:
        statistics: metric -> system -> function of weights.
    """
    blocks: list[list[Values]] = [[] for _ in statistics]
    for weights in weight_blocks(cells, n_resamples, np.random.default_rng(seed)):
        for collected, of_systems in zip(blocks, statistics, strict=True):
            collected.append(np.stack([statistic(weights) for statistic in of_systems], axis=1))
    return [np.concatenate(collected) for collected in blocks]
