"""Training dynamics of rows from their logits (E, N, K) in each epoch: AUM, forgetting events, the data map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.diagnosis.evidence import UNINFORMED, UNLABELLED, Diagnosis, Evidence, ranks, scatter_rows, skip, skip_if_missing

NEVER_LEARNT = 1000
"""Forgetfulness of a row that was never classified correctly (Swayamdipta et al., released code)."""


@dataclass(frozen=True)
class DataMap:
    """The coordinates of each row on the data map (Swayamdipta et al. 2020, "Dataset Cartography", section 2).

    Attributes:
        confidence: mean over epochs of the probability of the given label (N), in [0, 1].
        variability: its standard deviation over epochs (N), population form.
        correctness: epochs in which the given label was the most probable (N), 0 to E.
        forgetting: times a row went from right to wrong (N) (Toneva et al. 2019); ``NEVER_LEARNT`` if it was never right.
    """

    confidence: Array
    variability: Array
    correctness: Array
    forgetting: Array


def area_under_margin(epoch_logits: Array, given: Array) -> Array:
    """AUM (N): the given label's logit minus the largest other, mean over epochs; low is suspect (Pleiss et al. 2020, eq. 1)."""
    rows = np.arange(len(given))
    own = epoch_logits[:, rows, given]
    rest = epoch_logits.astype(np.float64, copy=True)
    rest[:, rows, given] = -np.inf
    return np.asarray((own - rest.max(axis=2)).mean(axis=0))


def data_map(epoch_logits: Array, given: Array) -> DataMap:
    """Computes the data map of rows with these labels (N)."""
    raised = np.exp(epoch_logits - epoch_logits.max(axis=-1, keepdims=True))
    chance = (raised / raised.sum(axis=-1, keepdims=True))[:, np.arange(len(given)), given]  # (E, N), by softmax
    right = epoch_logits.argmax(axis=2) == given
    lost = (right[:-1] & ~right[1:]).sum(axis=0)
    forgetting = np.where(right.any(axis=0), lost, NEVER_LEARNT)
    return DataMap(chance.mean(axis=0), chance.std(axis=0), right.sum(axis=0), forgetting)


def skip_if_untracked(name: str, evidence: Evidence) -> Diagnosis | None:
    """Returns the skipped result if no training run recorded logits of these rows, else None."""
    if skipped := skip_if_missing(name, evidence, "epoch_logits"):
        return skipped
    return None if len(evidence.tracked) else skip(name, "no training run had these rows", "epoch_logits")


def tracked_logits(evidence: Evidence) -> tuple[Array, Array, Array]:
    """Returns positions (M), logits (E, M, K) float64 and labels (M) of the rows with logits of a training run."""
    assert evidence.epoch_logits is not None
    rows = evidence.tracked
    return rows, evidence.epoch_logits[:, rows].astype(np.float64), evidence.given[rows]


def aum(evidence: Evidence) -> Diagnosis:
    """Ranks rows by AUM and flags those with a negative mean margin: another class led for most of training."""
    name = "aum"
    if skipped := skip_if_untracked(name, evidence):
        return skipped
    rows, logits, given = tracked_logits(evidence)
    values = area_under_margin(logits, given)
    badness, flagged = scatter_rows(evidence, -values, evidence.may_flag & (values < 0), rows)
    proposed = np.full(len(evidence), UNLABELLED)
    proposed[rows] = logits.mean(axis=0).argmax(axis=1)
    proposed[~flagged] = UNLABELLED
    led = np.flatnonzero(flagged).tolist()
    return Diagnosis(
        name,
        f"{len(led):,} of {plural(len(rows), 'row')} have a negative mean margin over {plural(len(logits), 'epoch')}."
        if evidence.may_flag
        else UNINFORMED,
        ("epoch_logits",),
        scores=ranks(badness),
        flagged=flagged,
        proposed=proposed,
        reasons={i: f"mean logit of {evidence.class_name(int(proposed[i]))} higher by {badness[i]:.2f} logits" for i in led},
    )


def forgetting(evidence: Evidence) -> Diagnosis:
    """Ranks rows by forgetting events and flags rows that were never learnt."""
    name = "forgetting"
    if skipped := skip_if_untracked(name, evidence):
        return skipped
    rows, logits, given = tracked_logits(evidence)
    events, n_epochs = data_map(logits, given).forgetting, len(logits)
    badness, flagged = scatter_rows(evidence, events, evidence.may_flag & (events == NEVER_LEARNT), rows)
    forgotten = int(((events > 0) & (events < NEVER_LEARNT)).sum())
    epochs = plural(n_epochs, "epoch")
    never = plural(int((events == NEVER_LEARNT).sum()), "row", "was", "were")
    summary = f"{never} never learnt, {forgotten:,} were learnt and lost again, in {epochs}."
    summary += "" if evidence.may_flag else f" {UNINFORMED}"
    reasons = {int(i): f"never learnt in {epochs}" for i in np.flatnonzero(flagged)}
    return Diagnosis(name, summary, ("epoch_logits",), scores=ranks(badness), flagged=flagged, reasons=reasons)


def cartography(evidence: Evidence) -> Diagnosis:
    """Draws the data map. The score is the confidence; no row is flagged: a hard row may be right, an easy one wrong."""
    name = "cartography"
    if skipped := skip_if_untracked(name, evidence):
        return skipped
    rows, logits, given = tracked_logits(evidence)
    drawn, n_epochs = data_map(logits, given), len(logits)
    confidence, variability, correctness = (np.full(len(evidence), np.nan) for _ in range(3))
    confidence[rows], variability[rows], correctness[rows] = drawn.confidence, drawn.variability, drawn.correctness
    figures = {
        "confidence": confidence,
        "variability": variability,
        "correctness": correctness,
        "mode": evidence.epoch_mode,
        "n_epochs": n_epochs,
        "correctness_histogram": np.bincount(drawn.correctness, minlength=n_epochs + 1).tolist(),
    }
    summary = (
        f"Mean confidence {drawn.confidence.mean():.3f}, variability {drawn.variability.mean():.3f} over "
        f"{plural(n_epochs, 'epoch')} "
        f"(probabilities of the {evidence.epoch_mode} passes); "
        f"{plural(int((drawn.correctness == 0).sum()), 'row', 'was', 'were')} never right, "
        f"{int((drawn.correctness == n_epochs).sum()):,} always."
    )
    return Diagnosis(name, summary, ("epoch_logits",), scores=confidence, figures=figures)
