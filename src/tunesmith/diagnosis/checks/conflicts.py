"""Duplicate rows, rows of the same text with different labels, and rows on which annotators disagree."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from tunesmith.data.cells import listed, plural
from tunesmith.data.near_duplicates import NearDuplicates
from tunesmith.diagnosis.checks.rows import overlap_words
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, skip_if_missing

SHOWN = 3


def duplicates(evidence: Evidence) -> Diagnosis:
    """Flags rows that repeat an earlier row, exactly or nearly. The score is 1 minus the largest overlap with one."""
    name = "duplicates"
    if skipped := skip_if_missing(name, evidence, "near"):
        return skipped
    assert evidence.near is not None
    overlap, partner = evidence.near.nearly_same().nearest_earlier()
    flagged = partner >= 0
    exact, rows = int((overlap == 1).sum()), np.flatnonzero(flagged).tolist()
    repeated = f"{len(rows):,} of {plural(len(evidence), 'row')} repeat an earlier one"
    return Diagnosis(
        name,
        f"{repeated}: {exact:,} exactly (ignoring case, spaces and punctuation), the rest nearly.",
        ("near",),
        scores=1 - overlap,
        flagged=flagged,
        reasons={i: f"{overlap_words(float(overlap[i]))} row {evidence.row_ids[partner[i]]}" for i in rows},
        remedy="Remove them, or give them one group: on both sides of a split they make a figure too good.",
        figures={"exact": exact, "near": len(rows) - exact},
    )


def conflicts(evidence: Evidence) -> Diagnosis:
    """Flags rows with the same or nearly the same text and different labels.

    The score is the share of a row's near-duplicates (with itself, weighted by overlap) that have its label; the proposal is
    the most frequent label, if its weight exceeds that of the row's own label.
    """
    name = "conflicting_labels"
    if skipped := skip_if_missing(name, evidence, "near"):
        return skipped
    assert evidence.near is not None
    votes, opposed = near_duplicate_votes(evidence, evidence.near.nearly_same())
    scores, flagged = np.ones(len(evidence)), np.zeros(len(evidence), dtype=bool)
    proposed, reasons = np.full(len(evidence), UNLABELLED), {}
    for i, others in sorted(opposed.items()):
        weights, own = votes[i], int(evidence.given[i])
        scores[i], flagged[i] = weights[own] / sum(weights.values()), True
        most = max(weights, key=lambda label: weights[label])
        proposed[i] = most if weights[most] > weights[own] else UNLABELLED
        shown = listed((f"row {evidence.row_ids[j]} {evidence.class_name(int(evidence.given[j]))}" for j in others), SHOWN)
        reasons[i] = f"labelled {evidence.class_name(own)}; with the same text, or nearly: {shown}"
    return Diagnosis(
        name,
        f"{int(flagged.sum()):,} of {plural(len(evidence), 'row')} have another label than a row with the same text, or nearly.",
        ("near",),
        scores=scores,
        flagged=flagged,
        proposed=proposed,
        reasons=reasons,
        remedy="Decide which label is right; near pairs may differ in the word that matters.",
    )


def near_duplicate_votes(evidence: Evidence, near: NearDuplicates) -> tuple[dict[int, dict[int, float]], dict[int, list[int]]]:
    """Returns, for each row with a near-duplicate of another label, the weight of each label and those near-duplicates.

    A row of a near text counts with its overlap, one of the same text with 1.
    """
    overlaps: dict[int, dict[int, float]] = defaultdict(dict)  # text -> near text -> overlap
    for a, b, overlap in zip(near.a.tolist(), near.b.tolist(), near.overlap.tolist(), strict=True):
        overlaps[a][b] = overlaps[b][a] = overlap
    copied = np.flatnonzero(np.bincount(near.text_ids) > 1).tolist()
    rows_of_text: dict[int, list[int]] = {text: [] for text in {*overlaps, *copied}}
    for row, text in enumerate(near.text_ids.tolist()):
        if text in rows_of_text and evidence.given[row] != UNLABELLED:
            rows_of_text[text].append(row)
    votes: dict[int, dict[int, float]] = {}
    opposed: dict[int, list[int]] = {}
    for text, own in rows_of_text.items():
        near_rows = [(row, 1.0) for row in own]
        near_rows += [(row, overlap) for other, overlap in overlaps.get(text, {}).items() for row in rows_of_text[other]]
        weights: dict[int, float] = defaultdict(float)
        for row, weight in near_rows:
            weights[int(evidence.given[row])] += weight
        if len(weights) > 1:
            for row in own:
                votes[row] = weights
                opposed[row] = [other for other, _ in near_rows if evidence.given[other] != evidence.given[row]]
    return votes, opposed


def annotator_disagreement(evidence: Evidence) -> Diagnosis:
    """Flags rows whose annotators chose different labels. The score is the share that chose the given label."""
    name = "annotator_disagreement"
    if skipped := skip_if_missing(name, evidence, "annotations"):
        return skipped
    assert evidence.annotations is not None
    counts, given = evidence.annotations, evidence.given
    total = counts.sum(axis=1)
    scores = np.full(len(evidence), np.nan)
    annotated = np.flatnonzero((total > 0) & (given != UNLABELLED))
    scores[annotated] = counts[annotated, given[annotated]] / total[annotated]
    flagged = np.nan_to_num(scores, nan=1.0) < 1
    outvoted = counts.max(axis=1) > counts[np.arange(len(given)), np.maximum(given, 0)]
    agreement = float(np.nanmean(scores)) if len(annotated) else None
    summary = "No row has annotators."
    if agreement is not None:
        n = f"{int(flagged.sum()):,} of {plural(len(annotated), 'row')}"
        summary = f"{n} have annotators who disagree with the label; mean agreement {agreement:.3f}."
    return Diagnosis(
        name,
        summary,
        ("annotations",),
        scores=scores,
        flagged=flagged,
        proposed=np.where(flagged & outvoted, counts.argmax(axis=1), UNLABELLED),
        reasons={i: vote_words(evidence, counts[i]) for i in np.flatnonzero(flagged).tolist()},
        figures={"agreement": agreement},
    )


def vote_words(evidence: Evidence, votes: np.ndarray) -> str:
    """Lists the annotators' votes (K) for a row, most frequent first."""
    order = np.argsort(-votes, kind="stable").tolist()
    return "annotators: " + ", ".join(f"{evidence.class_name(k)} {votes[k]:g}" for k in order if votes[k])
