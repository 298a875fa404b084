"""How much the texts tell in the rows with each value of a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.data.cells import is_missing, listed
from tunesmith.data.personal import masked
from tunesmith.diagnosis.checks.pvi import information_of, mean_interval
from tunesmith.diagnosis.evidence import Diagnosis, Evidence, lacking

FEWEST = 20
"""Labelled rows below which a value is counted and no mean is given."""
MISSING = "(missing)"
SHOWN = 3


def slices(evidence: Evidence, column: str, cells: Sequence[Any]) -> Diagnosis:
    """Mean PVI of the rows with each value of a column, the lowest first, with 95 % intervals over rows.

    It is no V-information of the slice: no model was trained for it, and the null model is that of all rows.

    Args:
        cells: of that column, one a row (N). Personal data in them are masked.
    """
    name = f"slices_{column}"
    if skipped := lacking(name, evidence, "pred_probs"):
        return skipped
    assert evidence.pred_probs is not None
    rows = evidence.labelled
    found = information_of(evidence, evidence.pred_probs)
    values = np.array([MISSING if is_missing(cells[i]) else str(cells[i]) for i in rows.tolist()], dtype=object)
    names, place, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
    large = np.flatnonzero(counts >= FEWEST)
    if not len(large):
        return Diagnosis(name, "", skipped=f"no value of {column} has {FEWEST} rows with a label")
    right = evidence.pred_probs[rows].argmax(axis=1) == evidence.given[rows]
    table: list[dict[str, Any]] = []
    for value in large.tolist():
        own = place == value
        low, high = mean_interval(found.pvi[own])
        table.append(
            {"column": column, "value": masked(str(names[value])), "n": int(counts[value]),
             "mean_pvi_bits": float(found.pvi[own].mean()), "low": low, "high": high, "accuracy": float(right[own].mean())}
        )  # fmt: skip
    table.sort(key=lambda row: row["mean_pvi_bits"])
    n_small, n_rows = len(names) - len(large), len(rows) - int(counts[large].sum())
    return Diagnosis(
        name, summary(column, table, found.v_information, n_small, n_rows), ("pred_probs",), figures={"table": table}
    )


def summary(column: str, table: Sequence[dict[str, Any]], overall: float, n_small: int, n_rows: int) -> str:
    """The values of which the texts tell least, the mean of all rows, and what was left out."""
    worst = listed(
        (f"{row['value']} {row['mean_pvi_bits']:z.2f} [{row['low']:z.2f}, {row['high']:z.2f}] (accuracy {row['accuracy']:.2f}, "
         f"{row['n']:,} rows)" for row in table[:SHOWN]), SHOWN,
    )  # fmt: skip
    more = f"; {len(table) - SHOWN:,} more" if len(table) > SHOWN else ""
    left = f" Left out: {n_small:,} values with fewer than {FEWEST} rows, {n_rows:,} rows in all." if n_small else ""
    return f"Mean PVI by {column}, in bits, lowest first: {worst}{more}; all rows {overall:.2f}.{left}"
