"""Information of parts of a row in bits of the label: partial-input baselines, such as hypothesis-only, and single words.

Gururangan et al. 2018 and Poliak et al. 2018 on hypotheses alone; Ethayarajh et al. 2022 on transformed inputs t(x): the
information of the whole beyond t(x) is the mean of log2 p(y | x) - log2 p(y | t(x)).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed, plural
from tunesmith.diagnosis.checks.input_variants import SHUFFLED, OmittedWord, describe
from tunesmith.diagnosis.checks.pvi import conditional_information, evidence_information, mean_interval
from tunesmith.diagnosis.evidence import Diagnosis, Evidence, ranks, scatter_rows, skip

MIN_PROBABILITY = 0.9
"""Flags rows whose label the partial input predicts with at least this probability."""
REPORTED_SHARE = 0.1
"""Share of the label's entropy from which an informative partial input gets a remedy."""
PARTIAL_REMEDY = (
    "If it should not predict the label: evaluate models on the rows it gets wrong as well, and write rows in which the same "
    "words have another label."
)
LEFT_OUT = "words_left_out"
SHOWN = 3
MIN_OCCURRENCES = 6
"""Rows of a class that must hold a word before its mean is reported; the paper requires more than five."""


def partial_input(
    evidence: Evidence, name: str, part: Array, whole: Array, within: Mapping[str, Array] | None = None
) -> Diagnosis:
    """Measures the information of t(x) and of the whole text beyond it. Score 0: the label that t(x) predicts most surely.

    Flagged are rows whose given label t(x) predicts with ``MIN_PROBABILITY`` or more, except for shuffled words, which hold all
    of the row: a model can get these right without the rest, so they are the weakest test of whether it reads the rest.

    Args:
        part: out-of-fold probabilities (N, K) by models of t(x).
        whole: the same by the same kind of models of the whole text.
        within: name -> the same of inputs that t(x) contains, e.g. ``source`` for ``source+author``.
    """
    rows, given = evidence.labelled, evidence.given[evidence.labelled]
    if not len(rows):
        return Diagnosis(f"input_{name}", "", skipped="no row has a label")
    own = part[rows, given]
    scores, flagged = scatter_rows(evidence, own, (own >= MIN_PROBABILITY) & (name != SHUFFLED))
    sure, words = np.flatnonzero(flagged).tolist(), describe(name)
    figures = partial_figures(evidence, name, part, whole) | {"n_sure": len(sure)}
    added = [added_figures(evidence, name, part, inner, probs) for inner, probs in (within or {}).items()]
    on_top = "".join(f" {added_words(row)}" for row in added)
    is_informative = name != SHUFFLED and figures["v_information_bits"] >= REPORTED_SHARE * figures["entropy_bits"]
    return Diagnosis(
        f"input_{name}",
        f"{partial_summary(words, figures)}{on_top}",
        ("pred_probs",),
        scores=ranks(scores),
        flagged=flagged,
        reasons={i: f"{words} gives {evidence.class_name(int(evidence.given[i]))} {scores[i]:.0%}" for i in sure},
        remedy=PARTIAL_REMEDY if is_informative else "",
        figures={"table": [figures], "added": added},
    )


def partial_figures(evidence: Evidence, name: str, part: Array, whole: Array) -> dict[str, Any]:
    """Bits and accuracy of t(x) and of the whole on the labelled rows, and the whole on the rows that t(x) gets wrong."""
    rows, given = evidence.labelled, evidence.given[evidence.labelled]
    of_part, of_whole = evidence_information(evidence, part), evidence_information(evidence, whole)
    gain = conditional_information(whole[rows, given], part[rows, given])
    low, high = mean_interval(gain, evidence.clusters[rows])
    part_low, part_high = mean_interval(of_part.pvi, evidence.clusters[rows])
    missed = part[rows].argmax(axis=1) != given
    right = whole[rows].argmax(axis=1) == given
    return {
        "input": name,
        "n": len(rows),
        "v_information_bits": of_part.v_information,
        "low": part_low,
        "high": part_high,
        "accuracy": of_part.accuracy,
        "majority_accuracy": float(np.bincount(given).max() / len(rows)),
        "entropy_bits": float(of_part.null_entropy.mean()),
        "whole_v_information_bits": of_whole.v_information,
        "whole_accuracy": of_whole.accuracy,
        "whole_adds_bits": float(gain.mean()),
        "whole_adds_low": low,
        "whole_adds_high": high,
        "n_missed": int(missed.sum()),
        "whole_accuracy_on_missed": float(right[missed].mean()) if missed.any() else None,
    }


def added_figures(evidence: Evidence, name: str, part: Array, inner: str, inner_part: Array) -> dict[str, Any]:
    """Bits that an input adds to one that it contains, with their 95 % interval."""
    rows, given = evidence.labelled, evidence.given[evidence.labelled]
    gain = conditional_information(part[rows, given], inner_part[rows, given])
    low, high = mean_interval(gain, evidence.clusters[rows])
    return {"input": name, "on_top_of": inner, "n": len(rows), "bits": float(gain.mean()), "low": low, "high": high}


def added_words(row: dict[str, Any]) -> str:
    return f"On top of {row['on_top_of']} it adds {row['bits']:z.3f} bits [{row['low']:z.3f}, {row['high']:z.3f}]."


def partial_summary(words: str, figures: dict[str, Any]) -> str:
    """Bits and accuracy of t(x), the gain of the whole, and the whole on the rows that t(x) gets wrong."""
    f = figures
    part = (
        f"{words[0].upper()}{words[1:]} gives {f['v_information_bits']:z.3f} [{f['low']:z.3f}, {f['high']:z.3f}] of "
        f"{f['entropy_bits']:.3f} bits of the label (accuracy {f['accuracy']:.3f}; the largest class "
        f"{f['majority_accuracy']:.3f})."
    )
    adds = f"The whole adds {f['whole_adds_bits']:z.3f} bits [{f['whole_adds_low']:z.3f}, {f['whole_adds_high']:z.3f}]"
    accuracy = f"accuracy {f['whole_accuracy']:.3f}"
    if f["whole_accuracy_on_missed"] is not None:
        accuracy += f", and {f['whole_accuracy_on_missed']:.3f} on the {plural(f['n_missed'], 'row')} that the part gets wrong"
    return f"{part} {adds} ({accuracy})."


def lowest_pvi(evidence: Evidence, count: int, hidden: Collection[int]) -> list[int]:
    """Returns positions of the labelled rows with the lowest PVI, the lowest first, without those in ``hidden``."""
    if evidence.pred_probs is None or not len(evidence.labelled):
        return []
    order = evidence.labelled[np.argsort(evidence_information(evidence, evidence.pred_probs).pvi, kind="stable")]
    return [i for i in order.tolist() if i not in hidden][:count]


def words_left_out(
    evidence: Evidence, omitted: Sequence[OmittedWord], without: Array, whole: Array, n_cut: int = 0, n_hidden: int = 0
) -> Diagnosis:
    """Names for each selected row the words that change its PVI most. Flags the selected rows and ranks none.

    Leave-one-word-out attribution (Ethayarajh et al. 2022, section 4.3) with the sign of PVI: the PVI without a word minus the
    PVI with it, in bits, is below 0 for a word that points to the given label. The null model cancels out, so that only the log
    probabilities of the given label count.

    Args:
        omitted: the words (M).
        without: probabilities (M, K) of the rows without them, by the models of the row's own fold.
        whole: probabilities (N, K) of the whole rows by the same models.
        n_cut: rows that have more words than were left out.
        n_hidden: requested rows that were not gone through, since they hold personal data.
    """
    hidden = f"{plural(n_hidden, 'row')} with personal data not gone through" if n_hidden else ""
    if not omitted:
        return skip(LEFT_OUT, hidden or "no row to go through has a label and a word")
    rows = np.array([word.row for word in omitted])
    given = evidence.given[rows]
    change = conditional_information(without[np.arange(len(omitted)), given], whole[rows, given])
    flagged = np.zeros(len(evidence), dtype=bool)
    flagged[rows] = True
    table: list[dict[str, Any]] = [
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
    reasons = {}
    for i in np.unique(rows).tolist():
        strongest = sorted((table[m] for m in np.flatnonzero(rows == i)), key=lambda word: -abs(word["pvi_change_bits"]))[:SHOWN]
        shown = listed(f'"{word["word"]}" {word["pvi_change_bits"]:+.2f}' for word in strongest)
        reasons[i] = f"PVI without {shown} bits"
    cut = f"{plural(n_cut, 'row', 'has', 'have')} more words than were left out" if n_cut else ""
    parts = [
        f"{plural(len(omitted), 'word')} of {plural(len(reasons), 'row')} were left out, one at a time",
        cut,
        hidden,
        typical_words(table),
    ]
    summary = f"{'; '.join(filter(None, parts))}."
    return Diagnosis(LEFT_OUT, summary, ("pred_probs",), flagged=flagged, reasons=reasons, figures={"table": table})


def typical_words(table: Sequence[dict[str, Any]]) -> str:
    """Names the words with the largest mean change over the rows of a class; empty if no word is frequent."""
    changes: dict[tuple[str, str], list[float]] = {}
    for word in table:
        changes.setdefault((word["word"].lower(), word["given"]), []).append(word["pvi_change_bits"])
    means = {key: float(np.mean(bits)) for key, bits in changes.items() if len(bits) >= MIN_OCCURRENCES}
    first = sorted(means, key=lambda key: -abs(means[key]))[:SHOWN]
    if not first:
        return ""
    shown = listed(f'"{w}" {means[w, k]:+.2f} in {k} ({plural(len(changes[w, k]), "time")})' for w, k in first)
    return f"mean change where a word is frequent: {shown}"
