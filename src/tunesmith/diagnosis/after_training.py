"""Checks the training rows after training, in at most a tenth of the training time."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tunesmith.data.arrays import Array
from tunesmith.data.checks.labelled import with_files
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.near_duplicates import RELATED, near_duplicates
from tunesmith.diagnosis.checks.rows import NO_LABEL
from tunesmith.diagnosis.checks.table import CHECKS
from tunesmith.diagnosis.evidence import Evidence, EvidenceArrays, make_evidence, skip
from tunesmith.diagnosis.out_of_fold import default_folds, out_of_fold
from tunesmith.diagnosis.outcome import make_finding
from tunesmith.errors import DataError
from tunesmith.evaluation.baselines.frozen import Embedded
from tunesmith.progress import Event, Listener
from tunesmith.results import Finding, merge_findings
from tunesmith.tasks.classification.data import LabelledTaskData
from tunesmith.tasks.task import Evaluation, TaskData
from tunesmith.training.epoch_logits import MODE

LEFT_OUT = frozenset({NO_LABEL, "loss_rank", "confident_learning", "pvi", "knn_shapley", "aum", "forgetting"})
"""Checks that rank suspect labels by other methods, or need unlabelled rows; ``tunesmith diagnose RUN`` runs them all."""
BUDGET_SHARE = 0.1
MIN_BUDGET_SECONDS = 15.0
"""A diagnosis may take a tenth of the training time, and at least this."""


class OverBudget(Exception):
    """The diagnosis would exceed its time budget."""


@dataclass(frozen=True)
class Budget:
    """The time a diagnosis may take from its start."""

    limit_seconds: float
    started_seconds: float

    def spent_seconds(self) -> float:
        return time.perf_counter() - self.started_seconds

    def too_long(self) -> str:
        """Returns the reason for a check that was left out."""
        return f"it would have taken more than {self.limit_seconds:.0f} s, a tenth of the training time; see tunesmith diagnose"


def training_findings(
    inputs: LabelledTaskData, vectors: Embedded | None, epoch_logits: Array | None, training_seconds: float, listener: Listener
) -> list[Finding]:
    """Runs the checks that are not in ``LEFT_OUT`` on the training rows; those over the time budget are skipped with a reason.

    Args:
        vectors: embeddings of train by the untouched base model; None if no baseline needed them.
        epoch_logits: (E, N, K) of train.
    """
    budget = Budget(max(MIN_BUDGET_SECONDS, BUDGET_SHARE * training_seconds), time.perf_counter())
    evidence, no_probabilities = evidence_within(inputs, vectors, epoch_logits, budget, listener)
    findings = []
    for name, check in CHECKS:
        if name not in LEFT_OUT:
            is_late = budget.spent_seconds() > budget.limit_seconds
            diagnosis = skip(name, budget.too_long()) if is_late else check(evidence)
            if no_probabilities and diagnosis.skipped and "pred_probs" in diagnosis.needed:
                diagnosis = skip(name, no_probabilities)
            findings.append(make_finding(diagnosis, evidence))
    return findings


def evidence_within(
    inputs: LabelledTaskData, vectors: Embedded | None, epoch_logits: Array | None, budget: Budget, listener: Listener
) -> tuple[Evidence, str]:
    """Builds the evidence of train; the second value is why it has no out-of-fold probabilities, where it could have some."""
    train, labels = inputs.splits.train, inputs.splits.labels
    near = near_duplicates(train.texts, train.pairs, RELATED)
    arrays = EvidenceArrays(near=near)
    if epoch_logits is not None:
        arrays |= {"epoch_logits": epoch_logits, "epoch_mode": MODE}
    if labels.problem_type != SINGLE or vectors is None:
        return make_evidence(train, labels, **arrays), ""
    n_folds, seed = default_folds(inputs.recipe.diagnose.n_folds, len(train)), inputs.recipe.train.seed
    spent: list[float] = []

    def progress(done: int) -> None:
        listener(Event("step", "diagnosis", done, n_folds))
        spent.append(budget.spent_seconds())
        fold_seconds = (spent[-1] - spent[0]) / max(1, done - 1)  # the first fold also makes the features
        if spent[-1] + fold_seconds * (n_folds - done) > budget.limit_seconds:
            raise OverBudget

    try:
        predictions = out_of_fold(train, labels, vectors, near, n_folds, seed, progress=progress)
    except OverBudget:
        return make_evidence(train, labels, **arrays), budget.too_long()
    except DataError as error:  # fewer rows than folds
        return make_evidence(train, labels, **arrays), " ".join(problem.message for problem in error.problems)
    arrays |= {"method": "frozen", "pred_probs": predictions.pred_probs, "folds": predictions.folds}
    return make_evidence(train, labels, **arrays), ""


def findings_after_training(data: TaskData, evaluation: Evaluation, listener: Listener) -> tuple[Finding, ...]:
    """Returns the findings of the data checks with those about the training rows; tasks without labels have the former only."""
    if not isinstance(data, LabelledTaskData):
        return data.findings
    base, fit = evaluation.systems.base.get("train"), evaluation.seeds[0].fit
    vectors: Embedded | None = None
    if base is not None:
        vectors = base.embeddings[0] if len(base.embeddings) == 1 else (base.embeddings[0], base.embeddings[1])
    found = training_findings(data, vectors, fit.epoch_logits, fit.train_seconds * len(evaluation.seeds), listener)
    return tuple(with_files(merge_findings(data.findings, found), data.splits.named().values()))
