"""What a part of each row tells of its label by itself: hypothesis-only and other partial-input baselines, in bits.

Gururangan et al. 2018 and Poliak et al. 2018 on hypotheses alone; Ethayarajh et al. 2022 on transformed inputs t(x): what the
whole adds beyond t(x) is the mean of log2 p(y | x) - log2 p(y | t(x)).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.diagnosis.checks.input_variants import SHUFFLED, in_words
from tunesmith.diagnosis.checks.pvi import conditional_information, information_of, mean_interval
from tunesmith.diagnosis.evidence import Diagnosis, Evidence, on_all_rows, ranks

SURE = 0.9
"""Probability from which the part alone gives a row's label away."""
WORTH_A_WORD = 0.1
"""Share of all bits from which it matters that a part alone tells them."""


def partial_input(evidence: Evidence, name: str, part: Array, whole: Array) -> Diagnosis:
    """What t(x) tells, and what the whole text adds. Score 0: the row whose label t(x) gives away most surely.

    Flagged are rows whose given label t(x) has with ``SURE`` or more, and not under shuffled words, which hold all of the row:
    a model can get these right without the rest, so they say least about whether it reads it.

    Args:
        part: out-of-fold probabilities (N, K) by models of t(x).
        whole: the same by the same kind of models of the whole text.
    """
    rows, given = evidence.labelled, evidence.given[evidence.labelled]
    if not len(rows):
        return Diagnosis(f"input_{name}", "", skipped="no row has a label")
    alone, all_of_it = information_of(evidence, part), information_of(evidence, whole)
    of_part, of_whole = part[rows, given], whole[rows, given]
    gain = conditional_information(of_whole, of_part)
    low, high = mean_interval(gain)
    scores, flagged = on_all_rows(evidence, of_part, (of_part >= SURE) & (name != SHUFFLED))
    missed = part[rows].argmax(axis=1) != given
    right = whole[rows].argmax(axis=1) == given
    figures = {
        "input": name, "n": len(rows), "v_information_bits": alone.v_information, "accuracy": alone.accuracy,
        "majority_accuracy": float(np.bincount(given).max() / len(rows)), "entropy_bits": float(alone.null_entropy.mean()),
        "whole_v_information_bits": all_of_it.v_information, "whole_accuracy": all_of_it.accuracy,
        "whole_adds_bits": float(gain.mean()), "whole_adds_low": low, "whole_adds_high": high, "n_missed": int(missed.sum()),
        "whole_accuracy_on_missed": float(right[missed].mean()) if missed.any() else None, "n_sure": int(flagged.sum()),
    }  # fmt: skip
    words = in_words(name)
    reasons = {int(i): f"{words} gives {evidence.name(int(evidence.given[i]))} {scores[i]:.0%}" for i in np.flatnonzero(flagged)}
    return Diagnosis(
        f"input_{name}", summary(words, figures), ("pred_probs",), ranks(scores), flagged, reasons=reasons,
        remedy=remedy(name, figures), figures={"table": [figures]},
    )  # fmt: skip


def summary(words: str, figures: dict[str, Any]) -> str:
    """Bits and accuracy of t(x), what the whole adds, and the whole on the rows that t(x) gets wrong."""
    f = figures
    told = (
        f"{words[0].upper()}{words[1:]} tells {f['v_information_bits']:z.3f} of {f['entropy_bits']:.3f} bits of the label "
        f"(accuracy {f['accuracy']:.3f}; the largest class {f['majority_accuracy']:.3f})."
    )
    adds = f"The whole adds {f['whole_adds_bits']:z.3f} bits [{f['whole_adds_low']:z.3f}, {f['whole_adds_high']:z.3f}]"
    where = f"accuracy {f['whole_accuracy']:.3f}"
    if f["whole_accuracy_on_missed"] is not None:
        where += f", and {f['whole_accuracy_on_missed']:.3f} on the {f['n_missed']:,} rows that the part gets wrong"
    return f"{told} {adds} ({where})."


def remedy(name: str, figures: dict[str, Any]) -> str:
    """What to do where the part tells more than a little."""
    if name == SHUFFLED or figures["v_information_bits"] < WORTH_A_WORD * figures["entropy_bits"]:
        return ""
    return (
        "Where it should not tell the label: judge models on the rows it gets wrong as well, and write rows in which the same "
        "words bear another label."
    )
