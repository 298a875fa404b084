"""Partial-input baselines, such as hypothesis-only, in bits of the label.

Gururangan et al. 2018 and Poliak et al. 2018 on hypotheses alone; Ethayarajh et al. 2022 on transformed inputs t(x): the
information of the whole beyond t(x) is the mean of log2 p(y | x) - log2 p(y | t(x)).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.diagnosis.checks.input_variants import SHUFFLED, describe
from tunesmith.diagnosis.checks.pvi import conditional_information, evidence_information, mean_interval
from tunesmith.diagnosis.evidence import Diagnosis, Evidence, ranks, scatter_rows

MIN_PROBABILITY = 0.9
"""Flags rows whose label the partial input predicts with at least this probability."""
REPORTED_SHARE = 0.1
"""Share of the label's entropy from which an informative partial input gets a remedy."""


def partial_input(evidence: Evidence, name: str, part: Array, whole: Array) -> Diagnosis:
    """Measures the information of t(x) and of the whole text beyond it. Score 0: the label that t(x) predicts most surely.

    Flagged are rows whose given label t(x) predicts with ``MIN_PROBABILITY`` or more, except for shuffled words, which hold all
    of the row: a model can get these right without the rest, so they are the weakest test of whether it reads the rest.

    Args:
        part: out-of-fold probabilities (N, K) by models of t(x).
        whole: the same by the same kind of models of the whole text.
    """
    rows, given = evidence.labelled, evidence.given[evidence.labelled]
    if not len(rows):
        return Diagnosis(f"input_{name}", "", skipped="no row has a label")
    own = part[rows, given]
    scores, flagged = scatter_rows(evidence, own, (own >= MIN_PROBABILITY) & (name != SHUFFLED))
    figures = partial_figures(evidence, name, part, whole) | {"n_sure": int(flagged.sum())}
    words = describe(name)
    return Diagnosis(
        f"input_{name}",
        partial_summary(words, figures),
        ("pred_probs",),
        scores=ranks(scores),
        flagged=flagged,
        reasons={
            i: f"{words} gives {evidence.class_name(int(evidence.given[i]))} {scores[i]:.0%}"
            for i in np.flatnonzero(flagged).tolist()
        },
        remedy=partial_remedy(name, figures),
        figures={"table": [figures]},
    )


def partial_figures(evidence: Evidence, name: str, part: Array, whole: Array) -> dict[str, Any]:
    """Bits and accuracy of t(x) and of the whole on the labelled rows, and the whole on the rows that t(x) gets wrong."""
    rows, given = evidence.labelled, evidence.given[evidence.labelled]
    of_part, of_whole = evidence_information(evidence, part), evidence_information(evidence, whole)
    gain = conditional_information(whole[rows, given], part[rows, given])
    low, high = mean_interval(gain)
    missed = part[rows].argmax(axis=1) != given
    right = whole[rows].argmax(axis=1) == given
    return {
        "input": name,
        "n": len(rows),
        "v_information_bits": of_part.v_information,
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


def partial_summary(words: str, figures: dict[str, Any]) -> str:
    """Bits and accuracy of t(x), the gain of the whole, and the whole on the rows that t(x) gets wrong."""
    f = figures
    part = (
        f"{words[0].upper()}{words[1:]} gives {f['v_information_bits']:z.3f} of {f['entropy_bits']:.3f} bits of the label "
        f"(accuracy {f['accuracy']:.3f}; the largest class {f['majority_accuracy']:.3f})."
    )
    adds = f"The whole adds {f['whole_adds_bits']:z.3f} bits [{f['whole_adds_low']:z.3f}, {f['whole_adds_high']:z.3f}]"
    accuracy = f"accuracy {f['whole_accuracy']:.3f}"
    if f["whole_accuracy_on_missed"] is not None:
        accuracy += f", and {f['whole_accuracy_on_missed']:.3f} on the {f['n_missed']:,} rows that the part gets wrong"
    return f"{part} {adds} ({accuracy})."


def partial_remedy(name: str, figures: dict[str, Any]) -> str:
    """The remedy for a partial input with more than ``REPORTED_SHARE`` of the bits; else empty."""
    if name == SHUFFLED or figures["v_information_bits"] < REPORTED_SHARE * figures["entropy_bits"]:
        return ""
    return (
        "If it should not predict the label: evaluate models on the rows it gets wrong as well, and write rows in which the same "
        "words have another label."
    )
