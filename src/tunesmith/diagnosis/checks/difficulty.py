"""Difficulty of a data set in figures that are comparable between label sets: V-information, its share of the entropy, MDL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.diagnosis.checks.codelength import Codelength
from tunesmith.diagnosis.checks.pvi import Information, ratio_interval
from tunesmith.diagnosis.evidence import Evidence
from tunesmith.results import Finding


@dataclass(frozen=True)
class Difficulty:
    """Difficulty of one data set for one kind of model; all splits together.

    Attributes:
        data: its name.
        n, n_classes: rows with a label, and classes that occur.
        entropy_bits: H(Y), the surprisal of the labels under the null model, per label.
        v_information_bits, low, high: mean PVI and its 95 % interval, bits per label.
        share, share_low, share_high: V-information as a share of ``entropy_bits``, comparable between label sets.
        accuracy, majority_accuracy: of the model, and of the largest class.
        hard_share: share of the rows with a PVI below 0, whose text makes their label less likely.
        codelength_bits: bits of the online code per label, the mean over orders of the rows.
        codelength_low, codelength_high: the smallest and the largest over these orders; no interval.
        compression: bits of a uniform code divided by those of the online code.
    """

    data: str
    n: int
    n_classes: int
    entropy_bits: float
    v_information_bits: float
    low: float
    high: float
    share: float
    share_low: float
    share_high: float
    accuracy: float
    majority_accuracy: float
    hard_share: float
    codelength_bits: float
    codelength_low: float
    codelength_high: float
    compression: float


def difficulty(name: str, evidence: Evidence, values: Information, code: Codelength) -> Difficulty:
    """Summarises PVI and the online code of the labelled rows.

    Args:
        values: of the labelled rows.
    """
    given, clusters = evidence.given[evidence.labelled], evidence.clusters[evidence.labelled]
    counts = np.bincount(given)
    low, high = ratio_interval(values.pvi, np.ones(len(given)), clusters)
    share_low, share_high = ratio_interval(values.pvi, values.null_entropy, clusters)
    entropy = float(values.null_entropy.mean())
    return Difficulty(
        data=name,
        n=len(given),
        n_classes=int((counts > 0).sum()),
        entropy_bits=entropy,
        v_information_bits=values.v_information,
        low=low,
        high=high,
        share=values.v_information / entropy if entropy else float("nan"),
        share_low=share_low,
        share_high=share_high,
        accuracy=values.accuracy,
        majority_accuracy=float(counts.max() / len(given)),
        hard_share=float((values.pvi < 0).mean()),
        codelength_bits=code.bits_per_label,
        codelength_low=code.ends[0],
        codelength_high=code.ends[1],
        compression=code.compression,
    )


def hardest_first(table: Sequence[Difficulty]) -> list[Difficulty]:
    """Sorts data sets by the share of the label's entropy that the text explains, the smallest first."""
    return sorted(table, key=lambda row: (row.share if np.isfinite(row.share) else -np.inf, row.data))


def difficulty_finding(table: Sequence[Difficulty]) -> Finding:
    """Describes each data set in a sentence, the hardest first."""
    sentences = [
        f"{row.data}: the text gives {row.v_information_bits:z.3f} of {row.entropy_bits:.3f} bits of the label "
        f"({row.share:z.0%} [{row.share_low:z.0%}, {row.share_high:z.0%}]), accuracy {row.accuracy:.3f}."
        for row in table
    ]
    return Finding("difficulty", " ".join(sentences))
