"""What the course of a training run says of its rows: AUM, forgetting, the data map. Arrays of logits (E, N, K) in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, lacking, on_all_rows, ranks, skip

NEVER_LEARNT = 1000
"""Forgetfulness of a row that was never right (Swayamdipta et al., released code)."""
CORNER = 1 / 3
"""Share of the rows that the paper calls the corner of a map: the least confident (hard), the most variable (ambiguous)."""


@dataclass(frozen=True)
class DataMap:
    """Where each row lies on the data map (Swayamdipta et al. 2020, "Dataset Cartography", section 2).

    Attributes:
        confidence: mean over epochs of the probability of the given label (N), in [0, 1].
        variability: its standard deviation over epochs (N), population form.
        correctness: epochs in which the given label was the most probable (N), 0 to E.
        forgetting: times a row went from right to wrong (N) (Toneva et al. 2019); ``NEVER_LEARNT`` where it was never right.
    """

    confidence: Array
    variability: Array
    correctness: Array
    forgetting: Array


def softmax(logits: Array) -> Array:
    """Probabilities over the last axis."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def margins(epoch_logits: Array, given: Array) -> Array:
    """Logit of the given label minus the largest of the others: (E, N)."""
    rows = np.arange(len(given))
    own = epoch_logits[:, rows, given]
    rest = epoch_logits.astype(np.float64, copy=True)
    rest[:, rows, given] = -np.inf
    return np.asarray(own - rest.max(axis=2))


def area_under_margin(epoch_logits: Array, given: Array) -> Array:
    """AUM (N): the margin's mean over epochs; low is suspect (Pleiss et al. 2020, equation 1)."""
    return np.asarray(margins(epoch_logits, given).mean(axis=0))


def data_map(epoch_logits: Array, given: Array) -> DataMap:
    """The map of rows with these labels (N)."""
    rows = np.arange(len(given))
    chance = softmax(epoch_logits)[:, rows, given]  # (E, N)
    right = epoch_logits.argmax(axis=2) == given
    lost = (right[:-1] & ~right[1:]).sum(axis=0)
    forgetting = np.where(right.any(axis=0), lost, NEVER_LEARNT)
    return DataMap(chance.mean(axis=0), chance.std(axis=0), right.sum(axis=0), forgetting)


def unfollowed(name: str, evidence: Evidence) -> Diagnosis | None:
    """The skipped diagnosis where no training run had any of these rows, else None."""
    if skipped := lacking(name, evidence, "epoch_logits"):
        return skipped
    return None if len(evidence.followed) else skip(name, "no training run had these rows", "epoch_logits")


def followed(evidence: Evidence) -> tuple[Array, Array, Array]:
    """Of the rows that a training run had: their positions (M), logits (E, M, K) float64 and labels (M)."""
    assert evidence.epoch_logits is not None
    rows = evidence.followed
    return rows, evidence.epoch_logits[:, rows].astype(np.float64), evidence.given[rows]


def aum(evidence: Evidence) -> Diagnosis:
    """AUM as a ranking. Flagged: rows whose mean margin is negative, i.e. that another class led for most of training."""
    name = "aum"
    if skipped := unfollowed(name, evidence):
        return skipped
    rows, logits, given = followed(evidence)
    values = area_under_margin(logits, given)
    badness, flagged = on_all_rows(evidence, -values, values < 0, rows)
    proposed = np.full(len(evidence), UNLABELLED)
    proposed[rows] = logits.mean(axis=0).argmax(axis=1)
    proposed[~flagged] = UNLABELLED
    reasons = {
        int(i): f"over training {evidence.name(int(proposed[i]))} was ahead by {badness[i]:.2f} logits"
        for i in np.flatnonzero(flagged)
    }
    n_epochs = len(logits)
    summary = f"{int(flagged.sum()):,} of {len(rows):,} rows were led by another class for most of {n_epochs} epochs."
    return Diagnosis(name, summary, ("epoch_logits",), ranks(badness), flagged, proposed, reasons)


def forgetting(evidence: Evidence) -> Diagnosis:
    """How often a row was learnt and lost. Flagged: rows that were never learnt."""
    name = "forgetting"
    if skipped := unfollowed(name, evidence):
        return skipped
    rows, logits, given = followed(evidence)
    found = data_map(logits, given)
    badness, flagged = on_all_rows(evidence, found.forgetting, found.forgetting == NEVER_LEARNT, rows)
    forgotten = int(((found.forgetting > 0) & (found.forgetting < NEVER_LEARNT)).sum())
    n_epochs = len(logits)
    summary = f"{int(flagged.sum()):,} rows were never learnt, {forgotten:,} were learnt and lost again, in {n_epochs} epochs."
    reasons = {int(i): f"never learnt in {n_epochs} epochs" for i in np.flatnonzero(flagged)}
    return Diagnosis(name, summary, ("epoch_logits",), ranks(badness), flagged, reasons=reasons)


def cartography(evidence: Evidence) -> Diagnosis:
    """The data map. Its score is the confidence itself; nothing is flagged: a hard row may be right, an easy one wrong."""
    name = "cartography"
    if skipped := unfollowed(name, evidence):
        return skipped
    rows, logits, given = followed(evidence)
    found = data_map(logits, given)
    scores, spread, right = (np.full(len(evidence), np.nan) for _ in range(3))
    scores[rows], spread[rows], right[rows] = found.confidence, found.variability, found.correctness
    n_epochs = len(logits)
    figures = {
        "confidence": scores, "variability": spread, "correctness": right, "mode": evidence.epoch_mode, "n_epochs": n_epochs,
        "correctness_histogram": np.bincount(found.correctness, minlength=n_epochs + 1).tolist(),
    }  # fmt: skip
    summary = (
        f"Mean confidence {found.confidence.mean():.3f}, variability {found.variability.mean():.3f} over {n_epochs} epochs "
        f"(probabilities of the {evidence.epoch_mode} passes); {int((found.correctness == 0).sum()):,} rows were never right, "
        f"{int((found.correctness == n_epochs).sum()):,} always."
    )
    return Diagnosis(name, summary, ("epoch_logits",), scores, figures=figures)
