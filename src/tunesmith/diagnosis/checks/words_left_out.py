"""Leave-one-word-out attribution: a row's PVI without a word minus its PVI with it, in bits.

Ethayarajh et al. 2022, section 4.3, with the sign of PVI: a word below 0 points to the given label, one above 0 away from it. The
null model cancels out, so that only the log probabilities of the given label count.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed
from tunesmith.diagnosis.checks.input_variants import OmittedWord
from tunesmith.diagnosis.checks.pvi import conditional_information, evidence_information
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, skip

NAME = "words_left_out"
SHOWN = 3
MIN_OCCURRENCES = 6
"""Rows of a class that must hold a word before its mean is reported; the paper requires more than five."""


def lowest_pvi(evidence: Evidence, count: int, hidden: Collection[int]) -> list[int]:
    """Positions of the labelled rows with the lowest PVI, the lowest first, without those in ``hidden``."""
    if evidence.pred_probs is None or not len(evidence.labelled):
        return []
    order = evidence.labelled[np.argsort(evidence_information(evidence, evidence.pred_probs).pvi, kind="stable")]
    return [i for i in order.tolist() if i not in hidden][:count]


def words_left_out(
    evidence: Evidence, omitted: Sequence[OmittedWord], without: Array, whole: Array, n_cut: int = 0, n_hidden: int = 0
) -> Diagnosis:
    """Names for each selected row the words that change its PVI most. Flags the selected rows and ranks none.

    Args:
        omitted: the words (M).
        without: probabilities (M, K) of the rows without them, by the models of the row's own fold.
        whole: probabilities (N, K) of the whole rows by the same models.
        n_cut: rows that have more words than were left out.
        n_hidden: requested rows that were not gone through, since they hold personal data.
    """
    hidden = f"{n_hidden:,} rows hold personal data and were not gone through" if n_hidden else ""
    if not omitted:
        return skip(NAME, hidden or "no row to go through has a label and a word")
    rows = np.array([word.row for word in omitted])
    given = evidence.given[rows]
    change = conditional_information(without[np.arange(len(omitted)), given], whole[rows, given])
    flagged = np.zeros(len(evidence), dtype=bool)
    flagged[rows] = True
    table = [
        {
            "row_id": evidence.row_ids[word.row],
            "side": word.side,
            "position": word.place,
            "word": word.word,
            "given": evidence.class_name(int(label)),
            "pvi_change_bits": float(bits),
        }
        for word, label, bits in zip(omitted, given, change, strict=True)
    ]
    reasons = {int(i): strongest_words([table[m] for m in np.flatnonzero(rows == i)]) for i in np.unique(rows)}
    cut = f"{n_cut:,} rows have more words than were left out" if n_cut else ""
    parts = [f"{len(omitted):,} words of {len(reasons):,} rows were left out, one at a time", cut, hidden, typical_words(table)]
    summary = f"{'; '.join(filter(None, parts))}."
    return Diagnosis(NAME, summary, ("pred_probs",), flagged=flagged, reasons=reasons, figures={"table": table})


def strongest_words(words: Sequence[dict[str, Any]]) -> str:
    """Names the words of one row whose omission changes its PVI most."""
    first = sorted(words, key=lambda word: -abs(word["pvi_change_bits"]))[:SHOWN]
    shown = listed(f'"{word["word"]}" {word["pvi_change_bits"]:+.2f}' for word in first)
    return f"PVI without {shown} bits"


def typical_words(table: Sequence[dict[str, Any]]) -> str:
    """Names the words with the largest mean change over the rows of a class; empty if no word is frequent."""
    changes: dict[tuple[str, str], list[float]] = {}
    for word in table:
        changes.setdefault((word["word"].lower(), word["given"]), []).append(word["pvi_change_bits"])
    means = {key: float(np.mean(bits)) for key, bits in changes.items() if len(bits) >= MIN_OCCURRENCES}
    first = sorted(means, key=lambda key: -abs(means[key]))[:SHOWN]
    if not first:
        return ""
    shown = listed(f'"{w}" {means[w, k]:+.2f} in {k} ({len(changes[w, k])} times)' for w, k in first)
    return f"mean change where a word is frequent: {shown}"


def labelled_positions(evidence: Evidence, row_ids: Sequence[int]) -> list[int]:
    """Positions of the labelled rows with those ids, in that order."""
    place = {row_id: i for i, row_id in enumerate(evidence.row_ids)}
    return [place[row_id] for row_id in row_ids if row_id in place and evidence.given[place[row_id]] != UNLABELLED]
