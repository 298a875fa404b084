"""The input of every check (``Evidence``: rows and arrays) and its output (``Diagnosis``: scores, flags, proposals)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any, TypedDict, Unpack

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.near_duplicates import NearDuplicates
from tunesmith.data.row_clusters import example_clusters
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.checks.label_noise import Knowledge, model_knowledge
from tunesmith.errors import DataError

ROWS_IN_FINDING = 50
"""Rows listed in a finding; all are counted."""
UNLABELLED = -1
UNINFORMED = "No row is flagged: the model explains too little of the labels to tell wrong ones from right ones."
ROUNDING = 1e-3
"""Tolerance for the sum of a row's probabilities."""
FIELD_WORDS = {
    "pred_probs": "out-of-fold probabilities",
    "embeddings": "embeddings",
    "epoch_logits": "logits of every epoch of a training run",
    "near": "the near-duplicates among the rows",
    "annotations": "the annotators' columns (data.columns.annotators)",
}


class EvidenceArrays(TypedDict, total=False):
    """The optional fields of ``Evidence``."""

    pred_probs: Array
    folds: Array
    method: str
    embeddings: Array
    epoch_logits: Array
    epoch_mode: str
    null_log2: Array
    annotations: Array
    near: NearDuplicates


@dataclass(frozen=True)
class Evidence:
    """The rows of one split and the arrays computed for them; None means not computed.

    Attributes:
        given: given class ids (N); ``UNLABELLED`` for rows without a label, and for all rows of other problem types.
        pred_probs: probabilities (N, K) by a model that was not trained on the row.
        folds: the fold of each row (N), if ``pred_probs`` come from cross-validation.
        method: source of ``pred_probs``: ``frozen``, ``finetune``, or the name of a run or file.
        embeddings: (N, D).
        epoch_logits: (E, N, K) of a training run; NaN for rows outside its training set.
        epoch_mode: ``train`` (during the epoch, dropout on) or ``evaluation`` (after it).
        null_log2: log2 of the null model's probability of each row's label (N); None: the class prior is taken.
        annotations: number of annotators per class (N, K).
        near: pairs of texts that overlap, from ``RELATED`` on.
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
    def tracked(self) -> Array:
        """Positions of the labelled rows that have logits of a training run."""
        assert self.epoch_logits is not None
        return np.asarray(self.labelled[np.isfinite(self.epoch_logits[0, self.labelled, 0])])

    @cached_property
    def clusters(self) -> Array:
        """The cluster of each row (N): rows of one group and near-duplicates depend on each other."""
        return example_clusters(self.rows, self.near)

    @cached_property
    def knowledge(self) -> Knowledge:
        """What ``pred_probs`` explain of the labels; several checks need it, and it is fitted once."""
        assert self.pred_probs is not None
        rows = self.labelled
        return model_knowledge(self.pred_probs[rows], self.given[rows], self.clusters[rows])

    @property
    def is_informed(self) -> bool:
        """Tells whether ``pred_probs`` explain enough of the labels for a row on which they differ to be worth a look."""
        several = len(np.unique(self.given[self.labelled])) > 1
        return self.pred_probs is not None and several and self.knowledge.is_enough

    @property
    def may_flag(self) -> bool:
        """Tells whether measures other than ``pred_probs`` may flag rows: not where these explain too little of the labels."""
        return self.pred_probs is None or self.is_informed

    def class_name(self, label: int) -> str:
        return self.labels.names[label] if label >= 0 else "(none)"


@dataclass(frozen=True)
class Diagnosis:
    """The result of one check on the N rows of a split.

    Attributes:
        name: also the column ``<name>_score`` of the rows' table.
        needed: the fields of ``Evidence`` it used.
        scores: (N) in [0, 1], 0 is the worst row; NaN for rows it does not rank; None if it ranks none.
        flagged: (N) bool.
        proposed: (N) class ids to replace the given ones, ``UNLABELLED`` for rows without a proposal.
        reasons: position -> why that row is flagged.
        skipped: why the check did not run; empty if it ran.
        figures: further values, by name.
    """

    name: str
    summary: str
    needed: tuple[str, ...] = ()
    _: KW_ONLY
    scores: Array | None = None
    flagged: Array | None = None
    proposed: Array | None = None
    reasons: Mapping[int, str] = field(default_factory=dict)
    skipped: str = ""
    remedy: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


def make_evidence(rows: Examples, labels: Labels, **arrays: Unpack[EvidenceArrays]) -> Evidence:
    """Builds the evidence of one split; a row's own annotations are used unless others are passed."""
    given = class_ids(rows) if labels.problem_type == SINGLE else np.full(len(rows), UNLABELLED)
    if rows.annotations is not None:
        arrays = {"annotations": np.array(rows.annotations), **arrays}
    evidence = Evidence(rows, labels, given, **arrays)
    if evidence.pred_probs is not None:
        check_probabilities(evidence.pred_probs, (len(given), labels.n), rows.source)
    for name in ("folds", "embeddings", "annotations"):
        array = getattr(evidence, name)
        if array is not None and len(array) != len(given):
            raise DataError.one(
                rows.source, f"{name} were given for {plural(len(array), 'row')}, {rows.split} has {len(given):,}."
            )
    return evidence


def class_ids(rows: Examples) -> Array:
    """Returns the class of each row (N), ``UNLABELLED`` for rows without one."""
    return np.array([UNLABELLED if label is None else int(label) for label in rows.labels], dtype=np.int64)


def scatter_rows(evidence: Evidence, values: Array, flags: Array, rows: Array | None = None) -> tuple[Array, Array]:
    """Scatters values and flags of some rows into arrays over all N rows; NaN and False elsewhere.

    Args:
        rows: positions of the values and flags; by default all labelled rows.
    """
    scattered, flagged = np.full(len(evidence), np.nan), np.zeros(len(evidence), dtype=bool)
    rows = evidence.labelled if rows is None else rows
    scattered[rows], flagged[rows] = values, flags
    return scattered, flagged


def check_probabilities(pred_probs: Array, shape: tuple[int, int], source: str) -> None:
    """Raises DataError with the first row whose probabilities are not finite, outside [0, 1], or do not add up to 1."""
    if pred_probs.shape != shape:
        message = f"probabilities of shape {pred_probs.shape} were given, {shape} were expected: rows x classes."
        raise DataError.one(source, message)
    sums = pred_probs.sum(axis=1)
    outside = (pred_probs < 0).any(axis=1) | (pred_probs > 1 + ROUNDING).any(axis=1)
    bad = ~np.isfinite(sums) | (np.abs(sums - 1) > ROUNDING) | outside
    if bad.any():
        first, rows = int(bad.argmax()), f"the probabilities of {plural(int(bad.sum()), 'row')} do not add up to 1"
        message = f"{rows}; in row {first} they add up to {sums[first]:g}."
        raise DataError.one(source, message, "Give probabilities after a softmax, not logits, one column a class.")


def skip(name: str, why: str, *needed: str) -> Diagnosis:
    """Returns the result of a check that did not run."""
    return Diagnosis(name, "", needed, skipped=why)


def skip_if_missing(name: str, evidence: Evidence, *needed: str) -> Diagnosis | None:
    """Returns the skipped result if the evidence lacks one of these fields, or labels to compare them with; else None."""
    missing = [field for field in needed if getattr(evidence, field) is None]
    if missing:
        return skip(name, f"it needs {' and '.join(FIELD_WORDS[field] for field in missing)}", *needed)
    if {"pred_probs", "epoch_logits"} & {*needed} and not len(evidence.labelled):
        return skip(name, "no row has a label to compare with the model", *needed)
    return None


def ranks(badness: Array) -> Array:
    """Maps a measure of badness (N) to rank scores in [0, 1]: 0 is the worst row; ties share their rank, NaN stays."""
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    scores = np.full(len(badness), np.nan)
    present = np.flatnonzero(~np.isnan(badness))
    if len(present) > 1:
        scores[present] = (rankdata(-badness[present]) - 1) / (len(present) - 1)
    elif len(present):
        scores[present] = 1.0
    return scores


def worst_first(diagnosis: Diagnosis) -> Sequence[int]:
    """Returns positions of the flagged rows, the worst first."""
    if diagnosis.flagged is None:
        return []
    flagged = np.flatnonzero(diagnosis.flagged)
    if diagnosis.scores is None:
        return [int(i) for i in flagged]
    return [int(i) for i in flagged[np.argsort(diagnosis.scores[flagged], kind="stable")]]
