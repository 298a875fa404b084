"""Measures the difficulty of whole data sets, each with its own labels: cross-validation and the online code of linear models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.near_duplicates import RELATED, NearDuplicates, near_duplicates
from tunesmith.data.row_clusters import example_clusters
from tunesmith.data.table import Examples
from tunesmith.diagnosis.checks.codelength import Codelength, online_code
from tunesmith.diagnosis.checks.difficulty import Difficulty, difficulty
from tunesmith.diagnosis.checks.pvi import evidence_information, tempered
from tunesmith.diagnosis.checks.transfer import take_embeddings
from tunesmith.diagnosis.cross_validation import CrossValidation, CrossValidationSettings, cross_validate
from tunesmith.diagnosis.evidence import UNLABELLED, Evidence, make_evidence
from tunesmith.diagnosis.input_ablation import AblationRequest
from tunesmith.diagnosis.out_of_fold import FOLDS, default_folds, fit_both, linear_features, mean_scores
from tunesmith.diagnosis.pool import PooledSplits, pool_splits
from tunesmith.evaluation.baselines.frozen import Embedded
from tunesmith.models.many_processes import count_processes
from tunesmith.progress import Clock
from tunesmith.recipe.sections import Recipe

TRAINED = "trained"


@dataclass(frozen=True)
class MeasuredSet:
    """One data set with the arrays that its difficulty was computed from.

    Attributes:
        rows: of all splits, with the ids of its own labels.
        vectors: embeddings of the rows by the untouched base model.
        notes: what was left out or assumed, as sentences.
    """

    name: str
    data: LabelledData
    rows: Examples
    vectors: Embedded
    difficulty: Difficulty
    notes: tuple[str, ...]

    def vectors_of(self, labels: Sequence[str]) -> Embedded:
        """Returns the embeddings of the rows that have one of these labels, in their order."""
        ids = {self.data.labels.names.index(name) for name in labels}
        return take_embeddings(self.vectors, np.array([i for i, label in enumerate(self.rows.labels) if label in ids]))


def measure_sets(
    names: Sequence[str], data: Sequence[LabelledData], recipe: Recipe, base: Path, clock: Clock, processes: int | str = 1
) -> Iterator[MeasuredSet]:
    """Measures each data set by the same kind of models, those of one recipe.

    Raises InputError for more processes than the smallest set has rows, see ``count_processes``.
    """
    n_processes = count_processes(processes, min(sum(map(len, splits.named().values())) for splits in data))
    for name, splits in zip(names, data, strict=True):
        clock.part(name)
        yield measure_set(name, splits, recipe, base, clock, n_processes)


def measure_set(name: str, splits: LabelledData, recipe: Recipe, base: Path, clock: Clock, processes: int) -> MeasuredSet:
    """Cross-validates the rows of all splits, and computes V-information and the online code of their labels."""
    rows, starts = pool_splits(splits)
    with clock.phase("near-duplicates"):
        pooled = PooledSplits(splits, rows, starts, near_duplicates(rows.texts, rows.pairs, RELATED))
    recipe = with_folds(recipe, rows, pooled.near)
    request = AblationRequest(trained_null=recipe.diagnose.null_model == TRAINED)
    arrays = cross_validate(pooled, CrossValidationSettings(recipe, base, request, processes=processes), clock)
    evidence, notes = tempered_evidence(name, pooled, arrays, recipe.diagnose.method)
    vectors = sides(arrays.embeddings, is_pairs=rows.pairs is not None)
    with clock.phase("codelength"):
        code = codelength(evidence, vectors, recipe.train.seed)
    assert evidence.pred_probs is not None
    values = evidence_information(evidence, evidence.pred_probs)
    notes = tuple(filter(None, (f"{name}: {arrays.note}." if arrays.note else "", *notes)))
    return MeasuredSet(name, splits, rows, vectors, difficulty(name, evidence, values, code), notes)


def with_folds(recipe: Recipe, rows: Examples, near: NearDuplicates) -> Recipe:
    """Returns the recipe with a number of folds: five where the default of ten is more than the rows that may be separated."""
    n_folds = default_folds(recipe.diagnose.n_folds, len(rows))
    if recipe.diagnose.n_folds is None and n_folds > len(np.unique(example_clusters(rows, near))):
        n_folds = FOLDS
    return recipe.model_copy(update={"diagnose": recipe.diagnose.model_copy(update={"n_folds": n_folds})})


def tempered_evidence(name: str, pooled: PooledSplits, arrays: CrossValidation, method: str) -> tuple[Evidence, tuple[str, ...]]:
    """Builds the evidence of all rows, with probabilities shrunk towards the class frequencies (see ``tempered``).

    Rows of classes that one fold holds alone count as unlabelled, since no model could learn their class; a note counts them.
    """
    fields = arrays.part(slice(0, len(pooled.rows))) | {"near": pooled.near, "method": method}
    evidence = make_evidence(pooled.rows, pooled.splits.labels, **fields)
    unseen = arrays.out_of_fold.unseen_class
    notes: tuple[str, ...] = ()
    given = np.where(unseen, UNLABELLED, evidence.given)
    if unseen.any():
        notes = (f"{name}: {plural(int(unseen.sum()), 'row')} of classes that one fold holds alone were not measured.",)
    pred_probs = tempered(arrays.out_of_fold.pred_probs, given, arrays.out_of_fold.folds)
    return replace(evidence, given=given, pred_probs=pred_probs), notes


def sides(embeddings: Array, *, is_pairs: bool) -> Embedded:
    """Divides embeddings of pairs, which stand side by side (N, 2 D), into those of both texts."""
    if not is_pairs:
        return embeddings
    first, second = np.split(embeddings, 2, axis=1)
    return first, second


def codelength(evidence: Evidence, vectors: Embedded, seed: int) -> Codelength:
    """Computes the online code of the labelled rows by the linear models of the cross-validation."""
    rows = evidence.labelled
    features, n_classes = linear_features(evidence.rows, vectors), evidence.labels.n

    def fit_and_predict(seen: Array, block: Array) -> Array:
        models = fit_both(features, evidence.given, rows[seen], n_classes)
        return mean_scores(models, features, rows[block])

    _, units = np.unique(evidence.clusters[rows], return_inverse=True)
    return online_code(fit_and_predict, evidence.given[rows], n_classes, units, seed)
