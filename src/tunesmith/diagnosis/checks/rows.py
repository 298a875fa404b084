"""Checks of single rows: damaged encoding, personal data, missing labels, and texts or groups shared with train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed, plural
from tunesmith.data.checks.labelled import damage
from tunesmith.data.personal import masked, personal_data_kinds
from tunesmith.data.table import Examples
from tunesmith.diagnosis.checks.label_errors import percent, skip_if_uninformed
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence

PERSONAL_DATA, NO_LABEL = "personal_data", "unlabelled"
LIKELY = 0.8
"""Probability above which the summary counts a proposed label as likely."""


def both_texts(rows: Examples) -> Iterator[tuple[str, str]]:
    """Yields both texts of each row; the second is empty for single texts."""
    return zip(rows.texts, rows.pairs or [""] * len(rows), strict=True)


def flags_at(positions: list[int], n: int) -> Array:
    """True at these positions, False at the others of N rows."""
    flagged = np.zeros(n, dtype=bool)
    flagged[positions] = True
    return flagged


def encoding_damage(evidence: Evidence) -> Diagnosis:
    """Flags rows with characters typical of text decoded with the wrong encoding. The score is 0 for them, else 1."""
    matches = {i: damage(text) or damage(pair) for i, (text, pair) in enumerate(both_texts(evidence.rows))}
    reasons = {i: f"holds {match.group()!r}" for i, match in matches.items() if match}
    flagged = flags_at(list(reasons), len(evidence))
    summary = f"{len(reasons):,} of {plural(len(evidence), 'row')} hold characters that a wrong encoding leaves behind."
    remedy = "Read the source again with the right encoding, or repair these texts." if reasons else ""
    scores = np.where(flagged, 0.0, 1.0)
    return Diagnosis("encoding_damage", summary, scores=scores, flagged=flagged, reasons=reasons, remedy=remedy)


def personal_data(evidence: Evidence) -> Diagnosis:
    """Flags rows with an address, telephone or account number; neither the summary nor a reason repeats the match."""
    counts: Counter[str] = Counter()
    reasons: dict[int, str] = {}
    for i, (text, pair) in enumerate(both_texts(evidence.rows)):
        kinds = list(dict.fromkeys([*personal_data_kinds(text), *personal_data_kinds(pair)]))
        if kinds:
            counts.update(kinds)
            reasons[i] = f"holds what looks like {listed(kinds)}"
    flagged = flags_at(list(reasons), len(evidence))
    summary, remedy = "No row holds an address, telephone or account number.", ""
    if reasons:
        shown = listed(f"{kind}: {count:,}" for kind, count in counts.most_common())
        summary = f"{plural(len(reasons), 'row', 'holds', 'hold')} what looks like personal data ({shown})."
        remedy = "Replace it by a placeholder before training: a model can repeat its training data."
    figures = {"rows_of_kind": dict(counts)}
    return Diagnosis(PERSONAL_DATA, summary, flagged=flagged, reasons=reasons, remedy=remedy, figures=figures)


def unlabelled(evidence: Evidence) -> Diagnosis:
    """Flags rows without a label and proposes the class that the out-of-fold model finds most probable, if it knows enough.

    The score is 1 minus the probability of the proposed class, NaN for labelled rows. A class without a labelled row cannot
    be proposed.
    """
    flagged = np.array([label is None for label in evidence.rows.labels], dtype=bool)
    rows, where = np.flatnonzero(flagged).tolist(), f"{plural(len(evidence), 'row')} of {evidence.rows.split}"
    if not rows:
        return Diagnosis(NO_LABEL, f"All {where} have a label.", flagged=flagged)
    summary = f"{len(rows):,} of {where} have no label"
    if evidence.pred_probs is None or skip_if_uninformed(NO_LABEL, evidence):
        return Diagnosis(NO_LABEL, f"{summary}.", flagged=flagged, reasons=dict.fromkeys(rows, "no label"))
    best = evidence.pred_probs.argmax(axis=1)
    chance = evidence.pred_probs.max(axis=1)
    n_likely = int((chance[flagged] >= LIKELY).sum())
    return Diagnosis(
        NO_LABEL,
        f"{summary}; each has a proposed one, {n_likely:,} of them with a probability of {LIKELY:.0%} or more.",
        scores=np.where(flagged, np.clip(1 - chance, 0, 1), np.nan),
        flagged=flagged,
        proposed=np.where(flagged, best, UNLABELLED),
        reasons={i: f"no label, looks like {evidence.class_name(int(best[i]))} ({percent(chance[i])})" for i in rows},
        remedy="Label them, for instance on the review page; a proposal is no label.",
    )


def leakage(train: Examples, other: Examples, overlap: Array, partner: Array) -> Diagnosis:
    """Flags rows of ``other`` whose text, nearly the same text, or group is in train.

    The score is 1 minus the largest overlap; a shared group alone scores 0.5.

    Args:
        overlap: largest overlap with a row of train (N); 1 is the same normalised text, 0 none above the threshold.
        partner: position of that row (N); -1 if there is none.
    """
    groups = set(train.groups or ())
    shared = np.array([group in groups for group in other.groups or [""] * len(other)])
    flagged = (partner >= 0) | shared
    exact, near_only = int((overlap == 1).sum()), int(((overlap > 0) & (overlap < 1)).sum())
    compared = [i for i in np.flatnonzero(partner >= 0).tolist() if other.labels[i] is not None]
    same = sum(other.labels[i] == train.labels[partner[i]] for i in compared)
    parts = [f"{exact:,} exactly", f"{near_only:,} nearly", *([f"{int(shared.sum()):,} by their group"] if shared.any() else [])]
    shown = f"{listed(parts)}; {same:,} with the same label"
    remedy = f"Remove them from {other.split} or from train: a figure on texts that were trained on is too good."
    return Diagnosis(
        f"leakage_{other.split}",
        f"{int(flagged.sum()):,} of {plural(len(other), 'row')} of {other.split} are in train: {shown}.",
        ("near",),
        scores=np.where(partner >= 0, 1 - overlap, np.where(shared, 0.5, 1.0)),
        flagged=flagged,
        reasons={i: leak_words(train, other, i, overlap[i], partner[i]) for i in np.flatnonzero(flagged).tolist()},
        remedy=remedy if flagged.any() else "",
        figures={"exact": exact, "near": near_only, "shared_group": int(shared.sum()), "same_label": same},
    )


def leak_words(train: Examples, other: Examples, position: int, overlap: float, partner: int) -> str:
    """Names the row or group of train that a row repeats."""
    if partner < 0:
        return f"same group as rows of train: {masked((other.groups or [])[position])}"
    return f"{overlap_words(float(overlap))} train row {train.row_ids[partner]}"


def overlap_words(overlap: float) -> str:
    """Describes an overlap; the row it is with follows."""
    return "same text as" if overlap == 1 else f"{overlap:.0%} the text of"
