"""Which of its training rows a run should not have been given: diagnosed after training, where that costs little of its time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.data.arrays import Array
from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.diagnosis.checks.table import DIAGNOSES, MAIN
from tunesmith.diagnosis.evidence import Evidence, evidence_of, skip
from tunesmith.diagnosis.folds import folds_for
from tunesmith.diagnosis.out_of_fold import out_of_fold
from tunesmith.diagnosis.outcome import finding_of
from tunesmith.evaluation.baselines.frozen import Embedded
from tunesmith.evaluation.metrics.predictions import SINGLE
from tunesmith.progress import Event, Listener
from tunesmith.results import Finding
from tunesmith.tasks.classification.data import LabelledTaskData
from tunesmith.tasks.task import Evaluation, TaskData
from tunesmith.training.epoch_logits import MODE

TOLD = (
    MAIN, "conflicting_labels", "annotator_disagreement", "duplicates", "cartography", "class_pairs", "shortcut_words",
    "surface_form", "encoding_damage", "language", "personal_data",
)  # fmt: skip
"""The others answer the question of suspect labels once more; ``tunesmith diagnose RUN`` gives them all."""
SHARE = 0.1
FREE_SECONDS = 15.0
"""A diagnosis may take a tenth of the training time, or this where that is less: nobody minds a few seconds."""


class OverBudget(Exception):
    """The diagnosis would take longer than it may."""


@dataclass(frozen=True)
class Budget:
    """The time a diagnosis may take, from its making on."""

    limit_seconds: float
    started_seconds: float

    def spent_seconds(self) -> float:
        return time.perf_counter() - self.started_seconds

    def too_long(self) -> str:
        """Why a diagnosis was left out."""
        return f"it would have taken more than {self.limit_seconds:.0f} s, a tenth of the training time; see tunesmith diagnose"


def training_findings(
    inputs: LabelledTaskData, vectors: Embedded | None, epoch_logits: Array | None, training_seconds: float, listener: Listener
) -> list[Finding]:
    """What the diagnoses of ``TOLD`` say of the training rows; those that would take too long are skipped and say so.

    Args:
        vectors: embeddings of train by the untouched base model; None where no baseline needed them.
        epoch_logits: (E, N, K) of train.
    """
    budget = Budget(max(FREE_SECONDS, SHARE * training_seconds), time.perf_counter())
    evidence, unjudged = evidence_within(inputs, vectors, epoch_logits, budget, listener)
    findings = []
    for name, diagnosis in DIAGNOSES:
        if name in TOLD:
            late = budget.spent_seconds() > budget.limit_seconds
            found = skip(name, budget.too_long()) if late else diagnosis(evidence)
            if unjudged and found.skipped and "pred_probs" in found.needed:
                found = skip(name, unjudged)
            findings.append(finding_of(found, evidence))
    return findings


def evidence_within(
    inputs: LabelledTaskData, vectors: Embedded | None, epoch_logits: Array | None, budget: Budget, listener: Listener
) -> tuple[Evidence, str]:
    """The evidence of train, and why it has no out-of-fold probabilities where they would have taken too long."""
    train, labels = inputs.splits.train, inputs.splits.labels
    known: dict[str, Any] = {"near": near_duplicates(train.texts, train.pairs)}
    if epoch_logits is not None:
        known |= {"epoch_logits": epoch_logits, "epoch_mode": MODE}
    if labels.problem_type != SINGLE or vectors is None:
        return evidence_of(train, labels, **known), ""
    n_folds = folds_for(inputs.recipe.diagnose.n_folds, len(train))
    spent: list[float] = []

    def progress(done: int) -> None:
        listener(Event("step", "diagnosis", done, n_folds))
        spent.append(budget.spent_seconds())
        a_fold = (spent[-1] - spent[0]) / max(1, done - 1)  # the first one also makes the features
        if spent[-1] + a_fold * (n_folds - done) > budget.limit_seconds:
            raise OverBudget

    try:
        said = out_of_fold(train, labels, vectors, known["near"], n_folds, inputs.recipe.train.seed, progress)
    except OverBudget:
        return evidence_of(train, labels, **known), budget.too_long()
    return evidence_of(train, labels, method="frozen", pred_probs=said.pred_probs, folds=said.folds, **known), ""


def without_repeats(of_rows: Sequence[Finding], of_training: Sequence[Finding]) -> list[Finding]:
    """Both lists; where both have a finding, the one that points at more rows."""
    better = {found.name: found for found in of_training if not found.skipped}
    names = {found.name for found in of_rows}
    kept = [max((found, better.get(found.name, found)), key=lambda one: one.flagged) for found in of_rows]
    return [*(found for found in of_training if found.name not in names), *kept]


def findings_after_training(data: TaskData, evaluation: Evaluation, listener: Listener) -> tuple[Finding, ...]:
    """Returns the findings of the data checks with those about the training rows; other tasks have the former only."""
    if not isinstance(data, LabelledTaskData):
        return data.findings
    base, fit = evaluation.systems.base.get("train"), evaluation.seeds[0].fit
    vectors: Embedded | None = None
    if base is not None:
        vectors = base.embeddings[0] if len(base.embeddings) == 1 else (base.embeddings[0], base.embeddings[1])
    found = training_findings(data, vectors, fit.epoch_logits, fit.train_seconds * len(evaluation.seeds), listener)
    return tuple(without_repeats(data.findings, found))
