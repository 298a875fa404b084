"""What every diagnosis reads, and what every diagnosis gives back: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.near_duplicates import NearDuplicates
from tunesmith.data.table import Examples, Labels
from tunesmith.errors import DataError
from tunesmith.evaluation.metrics.predictions import SINGLE

LISTED = 50
"""Rows named in a finding; all are counted."""
UNLABELLED = -1
ROUNDING = 1e-3
"""How far from 1 the probabilities of a row may add up."""


@dataclass(frozen=True)
class Evidence:
    """The rows of one split and what is known of each. What is None was not computed.

    Attributes:
        given: class ids (N); ``UNLABELLED`` where a row has none, and everywhere where a row has not exactly one class.
        pred_probs: probabilities (N, K) by a model that did not see the row.
        folds: the fold of each row (N), for ``pred_probs`` from cross-validation.
        method: where ``pred_probs`` come from: ``frozen``, ``finetune``, or the name of a run or file.
        embeddings: (N, D).
        epoch_logits: (E, N, K), of a training run; NaN for rows that were not in its training set.
        epoch_mode: ``train`` (during the epoch, dropout on) or ``evaluation`` (after it).
        null_log2: log2 of the null model's probability of each row's label (N); None: the class prior is taken.
        annotations: how many annotators chose each class (N, K).
        near: which rows have the same or nearly the same text.
    """

    rows: Examples
    labels: Labels
    given: Array
    pred_probs: Array | None = None
    folds: Array | None = None
    method: str = ""
    embeddings: Array | None = None
    epoch_logits: Array | None = None
    epoch_mode: str = ""
    null_log2: Array | None = None
    annotations: Array | None = None
    near: NearDuplicates | None = None

    def __len__(self) -> int:
        return len(self.given)

    @property
    def row_ids(self) -> list[int]:
        return self.rows.row_ids

    @property
    def labelled(self) -> Array:
        """Positions of the rows that have a label."""
        return np.flatnonzero(self.given != UNLABELLED)

    @property
    def followed(self) -> Array:
        """Positions of the labelled rows that were followed through a training run."""
        assert self.epoch_logits is not None
        return np.asarray(self.labelled[np.isfinite(self.epoch_logits[0, self.labelled, 0])])

    def name(self, label: int) -> str:
        """A class as the user knows it."""
        return self.labels.names[label] if label >= 0 else "(none)"


@dataclass(frozen=True)
class Diagnosis:
    """What one diagnosis says of the rows of a split.

    Attributes:
        name: also the column ``<name>_score`` of the rows' table.
        needed: the fields of ``Evidence`` it used.
        scores: (N) in [0, 1], 0 is the worst row; NaN where it has nothing to say; None where it ranks nothing.
        flagged: (N) bool.
        proposed: (N) class ids in place of the given ones, ``UNLABELLED`` where there is no proposal.
        reasons: position -> why that row is flagged.
        skipped: why it did not run; empty where it ran.
        figures: what else was measured, by name.
    """

    name: str
    summary: str
    needed: tuple[str, ...] = ()
    scores: Array | None = None
    flagged: Array | None = None
    proposed: Array | None = None
    reasons: Mapping[int, str] = field(default_factory=dict)
    skipped: str = ""
    remedy: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


def evidence_of(rows: Examples, labels: Labels, **known: Any) -> Evidence:
    """The evidence of one split, checked.

    Raises:
        DataError: an array does not fit the rows, or probabilities are none.
    """
    given = class_ids(rows) if labels.problem_type == SINGLE else np.full(len(rows), UNLABELLED)
    if rows.annotations is not None:
        known = {"annotations": np.array(rows.annotations), **known}
    evidence = Evidence(rows, labels, given, **known)
    if evidence.pred_probs is not None:
        check_probabilities(evidence.pred_probs, len(given), labels.n, rows.source)
    for name in ("folds", "embeddings", "annotations"):
        array = getattr(evidence, name)
        if array is not None and len(array) != len(given):
            raise DataError.one(rows.source, f"{name} were given for {len(array):,} rows, {rows.split} has {len(given):,}.")
    return evidence


def class_ids(rows: Examples) -> Array:
    """The class of each row (N), ``UNLABELLED`` where it has none."""
    return np.array([UNLABELLED if label is None else int(label) for label in rows.labels], dtype=np.int64)


def on_all_rows(evidence: Evidence, values: Array, flags: Array, rows: Array | None = None) -> tuple[Array, Array]:
    """What was found of some rows as arrays over all rows (N): NaN, and no flag, elsewhere.

    Args:
        rows: positions of the values and flags; all labelled rows where not said.
    """
    over_all, flagged = np.full(len(evidence), np.nan), np.zeros(len(evidence), dtype=bool)
    rows = evidence.labelled if rows is None else rows
    over_all[rows], flagged[rows] = values, flags
    return over_all, flagged


def check_probabilities(pred_probs: Array, n_rows: int, n_classes: int, source: str) -> None:
    """Raise DataError with the first row whose probabilities are none: not finite, outside [0, 1], or not adding up to 1."""
    if pred_probs.shape != (n_rows, n_classes):
        message = f"probabilities of shape {pred_probs.shape} were given, ({n_rows}, {n_classes}) were expected: rows x classes."
        raise DataError.one(source, message)
    sums = pred_probs.sum(axis=1)
    bad = (
        ~np.isfinite(sums)
        | (np.abs(sums - 1) > ROUNDING)
        | (pred_probs < 0).any(axis=1)
        | (pred_probs > 1 + ROUNDING).any(axis=1)
    )
    if bad.any():
        first = int(bad.argmax())
        message = (
            f"the probabilities of {int(bad.sum()):,} rows do not add up to 1; in row {first} they add up to {sums[first]:g}."
        )
        raise DataError.one(source, message, "Give probabilities after a softmax, not logits, one column a class.")


def skip(name: str, why: str, *needed: str) -> Diagnosis:
    """A diagnosis that did not run."""
    return Diagnosis(name, "", needed, skipped=why)


def lacking(name: str, evidence: Evidence, *needed: str) -> Diagnosis | None:
    """The skipped diagnosis where the evidence lacks one of these fields, or the labels to judge with them; else None."""
    missing = [field for field in needed if getattr(evidence, field) is None]
    if missing:
        return skip(name, f"it needs {' and '.join(WORDS[field] for field in missing)}", *needed)
    if {"pred_probs", "epoch_logits"} & {*needed} and not len(evidence.labelled):
        return skip(name, "no row has a label that a model could judge", *needed)
    return None


WORDS = {
    "pred_probs": "out-of-fold probabilities",
    "embeddings": "embeddings",
    "epoch_logits": "logits of every epoch of a training run",
    "near": "the near-duplicates among the rows",
    "annotations": "the annotators' columns (data.columns.annotators)",
}


def ranks(badness: Array) -> Array:
    """Scores in [0, 1] from any measure of badness (N): 0 for the worst row, 1 for the best; ties share theirs, NaN stays."""
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    scores = np.full(len(badness), np.nan)
    known = np.flatnonzero(~np.isnan(badness))
    if len(known) > 1:
        scores[known] = (rankdata(-badness[known]) - 1) / (len(known) - 1)
    elif len(known):
        scores[known] = 1.0
    return scores


def worst_first(diagnosis: Diagnosis) -> Sequence[int]:
    """Positions of the flagged rows, the worst first."""
    if diagnosis.flagged is None:
        return []
    flagged = np.flatnonzero(diagnosis.flagged)
    if diagnosis.scores is None:
        return [int(i) for i in flagged]
    return [int(i) for i in flagged[np.argsort(diagnosis.scores[flagged], kind="stable")]]
