"""Which labels are probably wrong, from the probabilities of a model that did not see the row."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, lacking, on_all_rows, ranks, skip

LOSS_RANK, CONFIDENT = "loss_rank", "confident_learning"


def own_probability(pred_probs: Array, given: Array) -> Array:
    """The probability of each row's given label (N)."""
    return np.asarray(pred_probs[np.arange(len(given)), given])


def loss_rank(evidence: Evidence) -> Diagnosis:
    """Rows by their held-out loss. Flagged: rows whose label is not the model's first choice and less likely than one in K.

    The baseline that is hard to beat (Chong et al. 2022, "Detecting Label Errors by using Pre-Trained Language Models").
    Its score is the probability of the given label.
    """
    if skipped := lacking(LOSS_RANK, evidence, "pred_probs"):
        return skipped
    assert evidence.pred_probs is not None
    labelled = evidence.labelled
    probs, given = evidence.pred_probs[labelled], evidence.given[labelled]
    own = own_probability(probs, given)
    scores, flagged = on_all_rows(evidence, own, own < 1 / evidence.labels.n)
    proposed = np.where(flagged, evidence.pred_probs.argmax(axis=1), UNLABELLED)
    reasons = {int(i): chance_words(evidence, int(i), int(proposed[i])) for i in np.flatnonzero(flagged)}
    summary = (
        f"{int(flagged.sum()):,} of {len(evidence):,} labels are less likely than chance to a model that did not see the row."
    )
    return Diagnosis(LOSS_RANK, summary, ("pred_probs",), scores, flagged, proposed, reasons)


def confident_learning(evidence: Evidence) -> Diagnosis:
    """The rows that cleanlab prunes by noise rate, ranked by self-confidence.

    Northcutt et al. 2021, "Confident Learning": the joint of given and true labels is counted from confident rows, and as many
    rows of each pair of classes are flagged as the joint holds.
    """
    if skipped := lacking(CONFIDENT, evidence, "pred_probs"):
        return skipped
    if find_spec("cleanlab") is None:
        return skip(CONFIDENT, "it needs the library cleanlab: pip install 'tunesmith[diagnosis]'", "pred_probs")
    assert evidence.pred_probs is not None
    labelled = evidence.labelled
    probs, given = evidence.pred_probs[labelled], evidence.given[labelled]
    scores, flagged = on_all_rows(evidence, own_probability(probs, given), pruned_by_noise_rate(probs, given))
    proposed = np.where(flagged, evidence.pred_probs.argmax(axis=1), UNLABELLED)
    reasons = {int(i): chance_words(evidence, int(i), int(proposed[i])) for i in np.flatnonzero(flagged)}
    summary = (
        f"{int(flagged.sum()):,} of {len(evidence):,} labels are probably wrong, by the noise counted between each two classes."
    )
    return Diagnosis(CONFIDENT, summary, ("pred_probs",), scores, flagged, proposed, reasons)


def pruned_by_noise_rate(pred_probs: Array, given: Array) -> Array:
    """cleanlab's ``prune_by_noise_rate`` (N) bool. Classes without a row are taken out first: cleanlab refuses them."""
    from cleanlab.filter import find_label_issues

    present, compact = np.unique(given, return_inverse=True)
    if len(present) < 2:
        return np.zeros(len(given), dtype=bool)
    probs = pred_probs[:, present]
    probs = probs / np.maximum(probs.sum(axis=1, keepdims=True), 1e-12)
    return np.asarray(find_label_issues(compact, probs, filter_by="prune_by_noise_rate", n_jobs=1))


def chance_words(evidence: Evidence, position: int, proposed: int) -> str:
    """Why a row is flagged: what the model thinks of the given label and of the proposed one."""
    assert evidence.pred_probs is not None
    given, chances = int(evidence.given[position]), evidence.pred_probs[position]
    return f"given {evidence.name(given)} ({chances[given]:.0%}), looks like {evidence.name(proposed)} ({chances[proposed]:.0%})"


def combined(diagnoses: list[Diagnosis], n: int) -> Array:
    """The mean of the ranks of several scores (N), in [0, 1]; a score that says nothing of a row is left out for it."""
    known = [ranks(-diagnosis.scores) for diagnosis in diagnoses if diagnosis.scores is not None]
    if not known:
        return np.full(n, np.nan)
    stacked = np.stack(known)
    counted = (~np.isnan(stacked)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return ranks(-np.where(counted > 0, np.nansum(stacked, axis=0) / counted, np.nan))
