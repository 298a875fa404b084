"""Bootstrap resamples as row weights: how often each row (or group of equal rows) was drawn.

A metric of decisions depends only on the number of rows of each combination of label and decisions. Those combinations are
the cells: 10,000 resamples of 3,000 rows then cost as much as their few hundred cells.

Rows that depend on each other (of one group, or near-duplicates) form clusters, which are drawn whole (the cluster bootstrap;
Field and Welsh 2007, "Bootstrapping clustered data", section 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.classification import Statistic, Values
from tunesmith.evaluation.metrics.predictions import Predictions

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LEVEL = 0.95
BLOCK_ELEMENTS = 2_000_000
"""Weights in memory at once: 16 MB, and a few times that while a metric is computed."""
MAX_ELEMENTS = {"decisions": 1_000_000_000, "scores": 100_000_000, "ranks": 20_000_000}
"""Largest total of weights per metric, by what it reads. Decisions are grouped into cells and rarely reach it."""
MIN_RESAMPLES = 400
"""A standard error from 400 resamples is within 3.5 % (1 / sqrt(2 * 400)); it moves an interval's end by as much."""


@dataclass(frozen=True)
class Resampling:
    """The resamples that intervals and verdicts are computed from.

    Attributes:
        n_resamples: their number; their random numbers follow from ``seed``.
        clusters: (N,) the cluster of each row, 0 to M - 1. None: all rows are independent.
        n_candidates: the number of checkpoints of which the best on these very rows is evaluated. Its intervals hold for all of
            them together, so for whichever was the best (Bonferroni).
    """

    n_resamples: int = 10_000
    seed: int = 0
    clusters: Array | None = None
    n_candidates: int = 1

    @property
    def level(self) -> float:
        """Returns the confidence level of one interval, 0.95 without a selection."""
        return 1 - (1 - LEVEL) / self.n_candidates

    @property
    def n_clusters(self) -> int | None:
        """Returns the number of clusters; None where all rows are independent."""
        return None if self.clusters is None else int(self.clusters.max()) + 1

    def of_rows(self, clusters: Array | None) -> Resampling:
        """Returns the same resampling for rows in these clusters."""
        return replace(self, clusters=clusters)


DEFAULT_RESAMPLING = Resampling()


@dataclass(frozen=True)
class Cells:
    """Rows grouped into cells of equal label and decisions.

    Attributes:
        systems: one Predictions a system, with one row a cell (C).
        of_row: (N,) the cell of each row.
        counts: (C,) rows in each cell.
        members: (M, C) rows of each cluster in each cell; None where all rows are independent.
    """

    systems: tuple[Predictions, ...]
    of_row: Array
    counts: Values
    members: csr_matrix | None = None

    @property
    def n_clusters(self) -> int | None:
        """Returns the number of clusters; None where all rows are independent."""
        return None if self.members is None else int(self.members.shape[0])

    @property
    def n_units(self) -> int:
        """Returns the effective number of independent units: rows, or clusters of equal size (Kish 1965)."""
        return len(self.of_row) if self.members is None else effective_number(np.asarray(self.members.sum(axis=1)).ravel())


def effective_number(sizes: Values) -> int:
    """Returns the number of units of equal size with the same precision: (sum of sizes)^2 / sum of sizes^2 (Kish 1965)."""
    return max(1, round(float(sizes.sum() ** 2 / (sizes**2).sum())))


def make_cells(systems: Sequence[Predictions], clusters: Array | None = None, *, of_decisions: bool) -> Cells:
    """Groups the rows of several systems into cells; with scores every row is its own cell.

    Args:
        clusters: (N,) the cluster of each row, see ``Resampling``.
    """
    cells = (
        _decision_cells(systems) if of_decisions else Cells(tuple(systems), np.arange(len(systems[0])), np.ones(len(systems[0])))
    )
    if clusters is None:
        return cells
    return replace(cells, members=_members(cells, clusters))


def _members(cells: Cells, clusters: Array) -> csr_matrix:
    from scipy.sparse import coo_matrix  # type: ignore[import-untyped]

    if len(clusters) != len(cells.of_row):
        raise ValueError(f"the clusters are those of {len(clusters)} rows, the systems predicted {len(cells.of_row)}")
    shape = int(clusters.max()) + 1, len(cells.counts)
    return coo_matrix((np.ones(len(clusters)), (clusters, cells.of_row)), shape=shape).tocsr()


def _decision_cells(systems: Sequence[Predictions]) -> Cells:
    n = len(systems[0])
    parts = [systems[0].labels, *(system.decisions for system in systems)]
    code = np.zeros(n, dtype=np.int64)
    for part in parts:
        for column in part.reshape(n, -1).T:
            _, code = np.unique(code * (int(column.max(initial=0)) + 1) + column, return_inverse=True)
    _, first, of_row, counts = np.unique(code, return_index=True, return_inverse=True, return_counts=True)
    return Cells(tuple(system.take(first) for system in systems), of_row, counts.astype(np.float64))


def weight_blocks(cells: Cells, n_resamples: int, rng: np.random.Generator) -> Iterator[Values]:
    """Yields weights (b, C) of resamples drawn with replacement, ``n_resamples`` in all, in blocks of bounded size."""
    if cells.members is not None:
        yield from _cluster_weights(cells.members, n_resamples, rng)
        return
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


def _cluster_weights(members: csr_matrix, n_resamples: int, rng: np.random.Generator) -> Iterator[Values]:
    n_clusters, n_cells = members.shape
    size = max(1, BLOCK_ELEMENTS // max(n_clusters, n_cells))
    for start in range(0, n_resamples, size):
        block = min(size, n_resamples - start)
        flat = rng.integers(0, n_clusters, size=(block, n_clusters)) + n_clusters * np.arange(block)[:, None]
        drawn = np.bincount(flat.ravel(), minlength=block * n_clusters).reshape(block, n_clusters)
        yield np.ascontiguousarray((members.T @ drawn.T.astype(np.float64)).T)


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


def cluster_numbers(clusters: Array | None, kept: Array | None = None) -> Array | None:
    """Numbers the clusters of the kept rows from 0 on; None where no two of these rows share one.

    Args:
        clusters: (N,) a value of any kind for each row; rows with equal values are one cluster.
        kept: (N,) booleans, or positions.
    """
    if clusters is None:
        return None
    own = clusters if kept is None else clusters[kept]
    names, numbers = np.unique(own, return_inverse=True)
    return None if len(names) == len(own) else numbers.reshape(-1)


def cluster_sums(table: Values, clusters: Array | None) -> Values:
    """Sums the rows of a table (N, ...) by cluster: (M, ...); returns the table itself where the rows are independent."""
    if clusters is None:
        return table
    sums = np.zeros((int(clusters.max()) + 1, *table.shape[1:]))
    np.add.at(sums, clusters, table)
    return sums


def resampled_sums(table: Values, resampling: Resampling) -> Values:
    """Sums a table (N, ...) over resampled rows or clusters: (B, ...)."""
    table = cluster_sums(table, resampling.clusters)
    n, rng = len(table), np.random.default_rng(resampling.seed)
    units, n_drawn = Cells((), np.arange(n), np.ones(n)), affordable(n, resampling.n_resamples, "scores", 1)
    return np.concatenate([weights @ table for weights in weight_blocks(units, n_drawn, rng)])


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
