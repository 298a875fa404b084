"""V-information of the texts within the rows of each value of a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import is_missing, listed
from tunesmith.data.personal import masked
from tunesmith.diagnosis.checks.pvi import evidence_information, mean_interval
from tunesmith.diagnosis.evidence import Diagnosis, Evidence, skip, skip_if_missing

MIN_ROWS = 20
"""Fewest labelled rows of a value for a mean; rarer values are only counted."""
MISSING = "(missing)"
SHOWN = 3


def slices(evidence: Evidence, column: str, cells: Sequence[object]) -> Diagnosis:
    """Computes mean PVI of the rows with each value of a column, the lowest first, with 95 % intervals over rows.

    It is no V-information of the slice: no model was trained for it, and the null model is that of all rows.

    Args:
        cells: of that column, one a row (N). Personal data in them are masked.
    """
    name = f"slices_{column}"
    if skipped := skip_if_missing(name, evidence, "pred_probs"):
        return skipped
    assert evidence.pred_probs is not None
    rows = evidence.labelled
    values = np.array([MISSING if is_missing(cells[i]) else str(cells[i]) for i in rows.tolist()], dtype=object)
    names, place, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
    large = np.flatnonzero(counts >= MIN_ROWS).tolist()
    if not large:
        return skip(name, f"no value of {column} has {MIN_ROWS} rows with a label")
    information = evidence_information(evidence, evidence.pred_probs)
    right = evidence.pred_probs[rows].argmax(axis=1) == evidence.given[rows]
    table = [
        {"column": column, "value": masked(str(names[value])), **slice_figures(information.pvi, right, place == value)}
        for value in large
    ]
    table.sort(key=lambda row: row["mean_pvi_bits"])
    shown = f"{slice_words(column, table)}; all rows {information.v_information:.2f}."
    if n_small := len(names) - len(large):
        n_rows = len(rows) - int(counts[large].sum())
        shown += f" Left out: {n_small:,} values with fewer than {MIN_ROWS} rows, {n_rows:,} rows in all."
    return Diagnosis(name, shown, ("pred_probs",), figures={"table": table})


def slice_figures(pvi: Array, right: Array, own: Array) -> dict[str, Any]:
    """Mean PVI with its interval and accuracy of the rows of one value, given as a mask over the labelled rows."""
    low, high = mean_interval(pvi[own])
    mean, accuracy = float(pvi[own].mean()), float(right[own].mean())
    return {"n": int(own.sum()), "mean_pvi_bits": mean, "low": low, "high": high, "accuracy": accuracy}


def slice_words(column: str, table: Sequence[dict[str, Any]]) -> str:
    """Names the values with the lowest mean PVI."""
    worst = listed(
        f"{row['value']} {row['mean_pvi_bits']:z.2f} [{row['low']:z.2f}, {row['high']:z.2f}] (accuracy {row['accuracy']:.2f}, "
        f"{row['n']:,} rows)"
        for row in table[:SHOWN]
    )
    more = f"; {len(table) - SHOWN:,} more" if len(table) > SHOWN else ""
    return f"Mean PVI by {column}, in bits, lowest first: {worst}{more}"
