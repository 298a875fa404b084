"""Compares the labels that several data sets share: texts with other labels, a transfer matrix, an oracle's labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.data.arrays import Array
from tunesmith.data.near_duplicates import RELATED, NearDuplicates, near_duplicates
from tunesmith.data.row_clusters import example_clusters, row_clusters
from tunesmith.diagnosis.checks.agreement import OracleAnswers
from tunesmith.diagnosis.checks.criteria import Criteria
from tunesmith.diagnosis.checks.transfer import (
    Opposite,
    Transfer,
    TransferData,
    near_duplicate_sets,
    opposite_labels,
    transfer_matrix,
)
from tunesmith.diagnosis.criteria import ComparedSets, criteria_finding, explain_all
from tunesmith.diagnosis.difficulty import MeasuredSet
from tunesmith.diagnosis.evidence import class_ids
from tunesmith.diagnosis.out_of_fold import FOLDS, assign_folds
from tunesmith.diagnosis.pool import (
    OracleComparison,
    Pool,
    SharedData,
    compare_oracle,
    opposite_finding,
    oracle_finding,
    pool_splits,
    same_texts,
    transfer_finding,
    write_opposite,
    write_oracle,
)
from tunesmith.evaluation.baselines.frozen import Embedded
from tunesmith.progress import Clock, Event
from tunesmith.recipe.sections import Recipe
from tunesmith.results import Finding

if TYPE_CHECKING:
    from tunesmith.generation.generator import TextGenerator

OPPOSITE, ORACLE = "opposite.csv", "oracle.csv"


@dataclass(frozen=True)
class DatasetComparison:
    """The comparison of the labels that all data sets have."""

    pool: Pool
    opposite: list[Opposite]
    matrix: list[Transfer]
    oracle: list[OracleComparison]
    criteria: list[Criteria]
    findings: tuple[Finding, ...]

    def write(self, folder: Path) -> None:
        """Writes the rows with other labels, and with an oracle those on which it differs."""
        write_opposite(self.pool, self.opposite, folder / OPPOSITE)
        if self.oracle:
            write_oracle(self.pool, self.oracle, folder / ORACLE)


def compare_labels(
    shared: SharedData,
    measured: Sequence[MeasuredSet],
    recipe: Recipe,
    answers: Sequence[OracleAnswers] | None,
    clock: Clock,
    explainer: TextGenerator | None = None,
) -> DatasetComparison:
    """Finds the same texts with other labels, computes the transfer matrix, and compares the labels with those of an oracle.

    Args:
        explainer: a language model that chooses among the conditions on which labels depend.
    """
    rows = tuple(pool_splits(x)[0] for x in shared.data)
    splits = tuple([part.split for part in x.named().values() for _ in range(len(part))] for x in shared.data)
    pool = Pool(tuple(part.name for part in measured), shared.labels, rows, splits)
    with clock.phase("near-duplicates"):
        pooled = pool.rows()
        near = near_duplicates(pooled.texts, pooled.pairs, RELATED)
        same = near.nearly_same()
        in_sets = near_duplicate_sets(same, pool.owner, len(pool.sets))
        opposite, flagged = opposite_labels(same, pool.owner, class_ids(pooled))
    vectors = [part.vectors_of(shared.labels.names) for part in measured]
    matrix = transfer_between(pool, vectors, near, in_sets, recipe, clock)
    with clock.phase("criteria"):
        clusters = row_clusters(pooled.texts, pooled.pairs, None, near)
        columns = tuple(dict.fromkeys(recipe.diagnose.slices))
        explained = list(explain_all(ComparedSets(pool, vectors, clusters, columns, recipe.train.seed, explainer)))
    compared = [] if answers is None else compare_oracle(pool, answers)
    findings = [opposite_finding(pool, opposite, flagged, in_sets), same_texts(pool, in_sets), transfer_finding(matrix)]
    findings += [criteria_finding(*result) for result in explained]
    findings += [oracle_finding(pool, i, item) for i, item in enumerate(compared)]
    criteria = [result for result, _ in explained if result is not None]
    return DatasetComparison(pool, opposite, matrix, compared, criteria, tuple(findings))


def transfer_between(
    pool: Pool, vectors: Sequence[Embedded], near: NearDuplicates, in_sets: Array, recipe: Recipe, clock: Clock
) -> list[Transfer]:
    """Computes the transfer matrix.

    Args:
        vectors: embeddings of the rows of each data set.
        near: near-duplicates among the pooled rows, from ``RELATED`` on.
        in_sets: see ``near_duplicate_sets``.
    """
    n_folds, seed = recipe.diagnose.n_folds or FOLDS, recipe.train.seed
    sets = []
    for name, own, at, embedded in zip(pool.names, pool.sets, pool.slices(), vectors, strict=True):
        units = example_clusters(own, near.part(at.start, at.stop))
        folds = assign_folds(class_ids(own), units, n_folds, seed, own.source)
        sets.append(TransferData(name, own, embedded, folds, units, in_sets[at]))
    with clock.phase("transfer"):
        n_models = len(sets) * (n_folds + len(sets) - 1)
        return transfer_matrix(sets, pool.labels, lambda done: clock.listener(Event("step", "transfer", done, n_models)))
