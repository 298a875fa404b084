"""Label errors from out-of-fold probabilities: loss ranking, confident learning, and the probability that a label is wrong."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.diagnosis.checks.dynamics import area_under_margin, tracked_logits
from tunesmith.diagnosis.checks.label_noise import MARGIN, Knowledge, label_noise
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, scatter_rows, skip, skip_if_missing

SUSPECTS, LOSS_RANK, CONFIDENT = "suspect_labels", "loss_rank", "confident_learning"
SUSPECT = 0.2
"""Flags rows from this probability of a wrong label: at most five are read to find one."""
SMALLEST = 1e-9


def loss_rank(evidence: Evidence) -> Diagnosis:
    """Ranks rows by out-of-fold loss and flags labels with a probability below 1 / K.

    The baseline that is hard to beat (Chong et al. 2022, "Detecting Label Errors by using Pre-Trained Language Models").
    Its score is the probability of the given label.
    """
    if skipped := skip_if_uninformed(LOSS_RANK, evidence):
        return skipped
    probs, given = labelled_probabilities(evidence)
    flags = own_probability(probs, given) < 1 / evidence.labels.n
    return label_diagnosis(LOSS_RANK, evidence, flags, "are less likely than chance to a model that was not trained on the row")


def confident_learning(evidence: Evidence) -> Diagnosis:
    """Flags the rows that cleanlab prunes by noise rate, ranked by self-confidence.

    Northcutt et al. 2021, "Confident Learning": the joint of given and true labels is counted from confident rows, and as many
    rows of each pair of classes are flagged as the joint holds.
    """
    if skipped := skip_if_uninformed(CONFIDENT, evidence):
        return skipped
    if find_spec("cleanlab") is None:
        return skip(CONFIDENT, "it needs the library cleanlab: pip install 'tunesmith[diagnosis]'", "pred_probs")
    flags = pruned_by_noise_rate(*labelled_probabilities(evidence))
    return label_diagnosis(CONFIDENT, evidence, flags, "are probably wrong, by the noise counted between each two classes")


def skip_if_uninformed(name: str, evidence: Evidence) -> Diagnosis | None:
    """Returns the skipped result without predictions, or if these explain too little of the labels; else None.

    A model that has learnt nothing disagrees with right labels as often as with wrong ones.
    """
    if skipped := skip_if_missing(name, evidence, "pred_probs"):
        return skipped
    if len(np.unique(evidence.given[evidence.labelled])) < 2:
        return skip(name, "it needs rows of two classes", "pred_probs")
    known = evidence.knowledge
    return None if known.is_enough else skip(name, uninformed_words(known), "pred_probs")


def uninformed_words(knowledge: Knowledge) -> str:
    """Explains why predictions tell nothing about labels: what was measured, its lower limit, and what is needed."""
    share = f"on rows it was not trained on, the model explains {max(knowledge.share, 0):.1%} of what the class shares leave open"
    return f"{share} (99 % sure of {max(knowledge.low, 0):.1%}); wrong labels can be told from right ones above {MARGIN:.0%}"


def labelled_probabilities(evidence: Evidence) -> tuple[Array, Array]:
    """Probabilities (M, K) and given labels (M) of the labelled rows."""
    assert evidence.pred_probs is not None
    return evidence.pred_probs[evidence.labelled], evidence.given[evidence.labelled]


def own_probability(pred_probs: Array, given: Array) -> Array:
    """Returns the probability of each row's given label (N)."""
    return np.asarray(pred_probs[np.arange(len(given)), given])


def label_diagnosis(name: str, evidence: Evidence, flags: Array, summary: str) -> Diagnosis:
    """Returns the diagnosis whose score is the probability of the given label and whose proposal is the most probable class.

    Args:
        flags: of the labelled rows (M) bool.
        summary: continues "... labels".
    """
    assert evidence.pred_probs is not None
    scores, flagged = scatter_rows(evidence, own_probability(*labelled_probabilities(evidence)), flags)
    proposed = np.where(flagged, evidence.pred_probs.argmax(axis=1), UNLABELLED)
    return Diagnosis(
        name,
        f"{int(flagged.sum()):,} of {plural(len(evidence), 'label')} {summary}.",
        ("pred_probs",),
        scores=scores,
        flagged=flagged,
        proposed=proposed,
        reasons={i: probability_words(evidence, i, int(proposed[i])) for i in np.flatnonzero(flagged).tolist()},
    )


def pruned_by_noise_rate(pred_probs: Array, given: Array) -> Array:
    """cleanlab's ``prune_by_noise_rate`` (N) bool. Classes without a row are removed first: cleanlab rejects them."""
    from cleanlab.filter import find_label_issues

    present, compact = np.unique(given, return_inverse=True)
    if len(present) < 2:
        return np.zeros(len(given), dtype=bool)
    probs = pred_probs[:, present]
    probs = probs / np.maximum(probs.sum(axis=1, keepdims=True), 1e-12)
    return np.asarray(find_label_issues(compact, probs, filter_by="prune_by_noise_rate", n_jobs=1))


def probability_words(evidence: Evidence, position: int, proposed: int) -> str:
    """Names the given and the proposed label of a row with the model's probability of each."""
    assert evidence.pred_probs is not None
    given, probs = int(evidence.given[position]), evidence.pred_probs[position]
    names = evidence.class_name(given), evidence.class_name(proposed)
    return f"given {names[0]} ({percent(probs[given])}), looks like {names[1]} ({percent(probs[proposed])})"


def percent(probability: float) -> str:
    """Formats a probability without ever claiming certainty: ``<1%``, ``12%``, ``>99%``."""
    if probability < 0.01:
        return "<1%"
    return ">99%" if probability > 0.99 else f"{probability:.0%}"


def update_by_margins(wrong: Array, margins: Array) -> Array:
    """Updates each row's probability (N) of a wrong label by its area under the margin (AUM), by Bayes' rule.

    AUM is taken to be normal among right and among wrong rows, of one variance, so that a larger margin always favours the
    label; means and variance are those of the rows weighted by the prior probabilities. The two kinds of evidence are taken to
    be independent given that a label is right or wrong: one comes from models that were not trained on the row, the other from
    a model that was.

    Args:
        wrong: prior probabilities (N) from out-of-fold models.
        margins: AUM (N), in logits; rows with NaN keep their prior.
    """
    present = np.isfinite(margins)
    if not present.any():
        return wrong
    prior, value = np.clip(wrong[present], SMALLEST, 1 - SMALLEST), margins[present]
    mean_wrong, mean_right = np.average(value, weights=prior), np.average(value, weights=1 - prior)
    variance = float(np.mean(prior * (value - mean_wrong) ** 2 + (1 - prior) * (value - mean_right) ** 2))
    if mean_wrong >= mean_right or variance == 0:  # margins do not separate right from wrong labels
        return wrong
    log_ratio = ((value - mean_right) ** 2 - (value - mean_wrong) ** 2) / (2 * variance)
    posterior = wrong.copy()
    posterior[present] = 1 / (1 + np.exp(-np.clip(np.log(prior / (1 - prior)) + log_ratio, -500, 500)))
    return posterior


def suspect_labels(evidence: Evidence) -> Diagnosis:
    """Computes each row's probability of a wrong label: ``label_noise``, then ``update_by_margins`` for tracked rows.

    The score is 1 minus it; the proposal is the most probable other class of the out-of-fold model. Rows from
    ``SUSPECT`` on are flagged.
    """
    if skipped := skip_if_uninformed(SUSPECTS, evidence):
        return skipped
    assert evidence.pred_probs is not None
    labelled = evidence.labelled
    given = evidence.given[labelled]
    noise = label_noise(evidence.pred_probs[labelled], given)
    margins = np.full(len(evidence), np.nan)  # AUM, NaN for rows without logits of a training run
    if evidence.epoch_logits is not None:
        rows, logits, tracked = tracked_logits(evidence)
        margins[rows] = area_under_margin(logits, tracked)
    wrong = update_by_margins(noise.wrong, margins[labelled])
    scores, flagged = scatter_rows(evidence, 1 - wrong, wrong >= SUSPECT)
    others = evidence.pred_probs.copy()
    others[labelled, given] = -1
    proposed = np.where(flagged, others.argmax(axis=1), UNLABELLED)
    reasons = {i: probability_words(evidence, i, int(proposed[i])) for i in np.flatnonzero(flagged).tolist()}
    figures = {
        "noise_rate": noise.rate,
        "noise_low": noise.low,
        "noise_high": noise.high,
        "temperature": noise.temperature,
        "wrong_among_flagged": float(wrong[flagged[labelled]].sum()),
        "wrong_among_others": float(wrong[~flagged[labelled]].sum()),
    }
    where = f"the {plural(len(labelled), 'label')} of {evidence.rows.split}"
    limits = f"Between {noise.low:.1%} and {noise.high:.1%} of {where} are wrong (95 %)."
    rate = f"{noise.rate:.1%} contradict their text; wrong labels and hard texts cannot be told apart without reading."
    flags = (
        f"{plural(len(reasons), 'row', 'is', 'are')} flagged for review: each contradicts its text with a "
        f"probability of at least {SUSPECT:.0%}, and by the sum of their probabilities about "
        f"{figures['wrong_among_flagged']:.0f} of them do, beside {figures['wrong_among_others']:.0f} of the other rows."
    )
    return Diagnosis(
        SUSPECTS,
        f"{limits} {rate} {flags if reasons else 'No row stands out.'}",
        ("pred_probs",),
        scores=scores,
        flagged=flagged,
        proposed=proposed,
        reasons=reasons,
        remedy="Look through them, worst first; correct the file and train again." if flagged.any() else "",
        figures=figures,
    )
