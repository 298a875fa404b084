"""Rows that contradict each other: the same or nearly the same text, different labels; and annotators who disagreed."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from tunesmith.data.cells import listed
from tunesmith.data.near_duplicates import NearDuplicates
from tunesmith.diagnosis.checks.leakage import how_much
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, lacking

SHOWN = 3


def duplicates(evidence: Evidence) -> Diagnosis:
    """Rows that repeat an earlier row, or nearly. The score is 1 minus the largest overlap with one."""
    name = "duplicates"
    if skipped := lacking(name, evidence, "near"):
        return skipped
    assert evidence.near is not None
    overlap, partner = evidence.near.nearest_earlier()
    flagged = partner >= 0
    exact = int((overlap == 1).sum())
    reasons = {int(i): same_as(evidence, int(partner[i]), float(overlap[i])) for i in np.flatnonzero(flagged)}
    summary = (
        f"{int(flagged.sum()):,} of {len(evidence):,} rows repeat an earlier one: "
        f"{exact:,} exactly (case, spaces and punctuation aside), the rest nearly."
    )
    figures = {"exact": exact, "near": int(flagged.sum()) - exact}
    remedy = "Remove them, or give them one group: on both sides of a split they make a figure too good."
    return Diagnosis(name, summary, ("near",), 1 - overlap, flagged, reasons=reasons, remedy=remedy, figures=figures)


def same_as(evidence: Evidence, other: int, overlap: float) -> str:
    """How a row repeats another."""
    return f"{how_much(overlap)} row {evidence.row_ids[other]}"


def conflicts(evidence: Evidence) -> Diagnosis:
    """Rows with the same or nearly the same text and different labels.

    The score is the share of a row's twins (itself among them, weighted by overlap) that bear its label; the proposal is the
    label with more of them, where there is one.
    """
    name = "conflicting_labels"
    if skipped := lacking(name, evidence, "near"):
        return skipped
    assert evidence.near is not None
    votes, against = twin_votes(evidence, evidence.near)
    scores, flagged = np.ones(len(evidence)), np.zeros(len(evidence), dtype=bool)
    proposed, reasons = np.full(len(evidence), UNLABELLED), {}
    for i, others in sorted(against.items()):
        said, own = votes[i], int(evidence.given[i])
        scores[i], flagged[i] = said[own] / sum(said.values()), True
        most = max(said, key=lambda label: said[label])
        proposed[i] = most if said[most] > said[own] else UNLABELLED
        shown = listed((f"row {evidence.row_ids[j]} {evidence.name(int(evidence.given[j]))}" for j in others), SHOWN)
        reasons[i] = f"labelled {evidence.name(own)}; with the same text, or nearly: {shown}"
    summary = f"{int(flagged.sum()):,} of {len(evidence):,} rows have another label than a row with the same text, or nearly."
    remedy = "Decide which label is right; near pairs may differ in the word that matters."
    return Diagnosis(name, summary, ("near",), scores, flagged, proposed, reasons, remedy=remedy)


def twin_votes(evidence: Evidence, near: NearDuplicates) -> tuple[dict[int, dict[int, float]], dict[int, list[int]]]:
    """For each row with a twin of another label: how often each label stands on its text and on near ones, and those twins.

    A row of a near text counts with its overlap, one of the same text with 1.
    """
    twins: dict[int, dict[int, float]] = defaultdict(dict)  # text -> near text -> overlap
    for a, b, overlap in zip(near.a.tolist(), near.b.tolist(), near.overlap.tolist(), strict=True):
        twins[a][b] = twins[b][a] = overlap
    copied = np.flatnonzero(np.bincount(near.text_ids) > 1).tolist()
    rows_of: dict[int, list[int]] = {text: [] for text in {*twins, *copied}}
    for row, text in enumerate(near.text_ids.tolist()):
        if text in rows_of and evidence.given[row] != UNLABELLED:
            rows_of[text].append(row)
    votes: dict[int, dict[int, float]] = {}
    against: dict[int, list[int]] = {}
    for text, own in rows_of.items():
        near_rows = [(row, 1.0) for row in own]
        near_rows += [(row, overlap) for other, overlap in twins.get(text, {}).items() for row in rows_of[other]]
        said: dict[int, float] = defaultdict(float)
        for row, weight in near_rows:
            said[int(evidence.given[row])] += weight
        if len(said) > 1:
            for row in own:
                votes[row] = said
                against[row] = [other for other, _ in near_rows if evidence.given[other] != evidence.given[row]]
    return votes, against


def annotator_disagreement(evidence: Evidence) -> Diagnosis:
    """Rows whose annotators were not of one mind. The score is the share of them that chose the given label."""
    name = "annotator_disagreement"
    if skipped := lacking(name, evidence, "annotations"):
        return skipped
    assert evidence.annotations is not None
    counts, given = evidence.annotations, evidence.given
    total = counts.sum(axis=1)
    scores = np.full(len(evidence), np.nan)
    known = np.flatnonzero((total > 0) & (given != UNLABELLED))
    scores[known] = counts[known, given[known]] / total[known]
    flagged = np.nan_to_num(scores, nan=1.0) < 1
    majority = counts.argmax(axis=1)
    proposed = np.where(
        flagged & (counts.max(axis=1) > counts[np.arange(len(given)), np.maximum(given, 0)]), majority, UNLABELLED
    )
    reasons = {int(i): split_words(evidence, int(i)) for i in np.flatnonzero(flagged)}
    summary = (
        f"{int(flagged.sum()):,} of {len(known):,} rows had annotators of another mind; mean agreement {np.nanmean(scores):.3f}."
        if len(known)
        else "No row has annotators."
    )
    return Diagnosis(
        name,
        summary,
        ("annotations",),
        scores,
        flagged,
        proposed,
        reasons,
        figures={"agreement": float(np.nanmean(scores)) if len(known) else None},
    )


def split_words(evidence: Evidence, position: int) -> str:
    """How the annotators of a row voted."""
    assert evidence.annotations is not None
    votes = evidence.annotations[position]
    return "annotators: " + ", ".join(
        f"{evidence.name(k)} {votes[k]:g}" for k in np.argsort(-votes, kind="stable").tolist() if votes[k]
    )
