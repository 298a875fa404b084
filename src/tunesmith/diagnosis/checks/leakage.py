"""Rows of one split that training could know: same text, nearly the same text, or the same source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed
from tunesmith.data.near_duplicates import NearDuplicates
from tunesmith.data.personal import masked
from tunesmith.data.table import Examples
from tunesmith.diagnosis.evidence import Diagnosis


@dataclass(frozen=True)
class Leaks:
    """What the rows of one table (N) have of another (M).

    Attributes:
        overlap: largest overlap with a row of the other (N); 1 is the same text after normalisation, 0 none above the threshold.
        partner: that row (N); -1 where there is none.
    """

    overlap: Array
    partner: Array


def leaks(near: NearDuplicates, n_known: int) -> Leaks:
    """For each row after the first ``n_known`` the nearest of those, where one overlaps by the threshold or more.

    Args:
        near: of the known rows and then the others.
    """
    overlap, partner = near.nearest_earlier(n_first=n_known)
    return Leaks(overlap[n_known:], partner[n_known:])


def leakage(train: Examples, other: Examples, found: Leaks) -> Diagnosis:
    """Rows of ``other`` that train has, or nearly has, or that share a group with a row of train.

    The score is 1 minus the largest overlap; a shared group alone scores 0.5.
    """
    groups = set(train.groups or ())
    shared = np.array([group in groups for group in other.groups or [""] * len(other)])
    flagged = (found.partner >= 0) | shared
    scores = np.where(found.partner >= 0, 1 - found.overlap, np.where(shared, 0.5, 1.0))
    reasons = {int(i): leak_words(train, other, found, int(i)) for i in np.flatnonzero(flagged)}
    exact, near_only = int((found.overlap == 1).sum()), int(((found.overlap > 0) & (found.overlap < 1)).sum())
    there = [i for i in np.flatnonzero(found.partner >= 0).tolist() if other.labels[i] is not None]
    same = sum(other.labels[i] == train.labels[found.partner[i]] for i in there)
    parts = [f"{exact:,} exactly", f"{near_only:,} nearly", *([f"{int(shared.sum()):,} by their group"] if shared.any() else [])]
    shown = f"{listed(parts)}; {same:,} with the same label"
    summary = f"{int(flagged.sum()):,} of {len(other):,} rows of {other.split} are in train: {shown}."
    remedy = f"Remove them from {other.split} or from train: a figure on texts that were trained on is too good."
    figures = {"exact": exact, "near": near_only, "shared_group": int(shared.sum()), "same_label": same}
    return Diagnosis(
        f"leakage_{other.split}", summary, ("near",), scores, flagged, reasons=reasons,
        remedy=remedy if flagged.any() else "", figures=figures,
    )  # fmt: skip


def leak_words(train: Examples, other: Examples, found: Leaks, position: int) -> str:
    """Which row of train a row repeats, and how."""
    if found.partner[position] < 0:
        return f"same group as rows of train: {masked((other.groups or [])[position])}"
    return f"{how_much(float(found.overlap[position]))} train row {train.row_ids[found.partner[position]]}"


def how_much(overlap: float) -> str:
    """An overlap in words, before the row it is with."""
    return "same text as" if overlap == 1 else f"{overlap:.0%} the text of"
