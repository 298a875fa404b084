"""Agreement of an oracle with the given labels: shares by class, Cohen's kappa, the rows that differ."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed, plural
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, class_ids, skip
from tunesmith.evaluation.metrics.intervals import score_interval
from tunesmith.evaluation.metrics.resample import cluster_numbers, cluster_sums

Z95 = NormalDist().inv_cdf(0.975)
NAME = "oracle"
LOWEST = 3
"""Classes named in a summary, those with the least agreement."""


@dataclass(frozen=True)
class OracleLabels:
    """An oracle's labels of N rows.

    Attributes:
        names: class name of each row (N); None for rows without an answer.
        confidence: the probability of each answer (N) in [0, 1]; None if the oracle gives none.
        known: every class it can answer; None if that is unknown.
        remarks: limits of these labels, or how they were matched to rows, as sentences.
    """

    names: Sequence[str | None]
    confidence: Array | None = None
    known: frozenset[str] | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassAgreement:
    """The share of the rows of one class that an oracle gives that class.

    Attributes:
        low, high: 95 % interval of the share, see ``share_interval``.
    """

    name: str
    n: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """The share of the rows of one data set that an oracle gives their own label.

    Attributes:
        data: name of the data set; of the split if there is one data set only.
        n: rows with an answer of the oracle and a label that the oracle has.
        share: of these rows on which both agree; None without rows.
        low, high: 95 % interval of the share, see ``share_interval``.
        kappa: Cohen's kappa; None if it is not defined.
        n_unanswered: rows without an answer.
        n_unknown: rows with a label that the oracle cannot answer.
        foreign: answers that are no label of the data -> rows; they count as different.
    """

    data: str
    oracle: str
    n: int
    share: float | None
    low: float
    high: float
    kappa: float | None
    classes: tuple[ClassAgreement, ...]
    n_unanswered: int
    n_unknown: int
    foreign: Mapping[str, int]


def share_interval(right: Array, clusters: Array | None = None) -> tuple[float, float]:
    """95 % score interval of the share of ``right`` (N): Wilson's (1927) for independent rows; (0, 1) without rows.

    Args:
        clusters: the cluster of each row (N), whose rows depend on each other. The standard error is then that of a ratio of
            cluster totals (Cochran 1977, "Sampling Techniques", section 9A.2), with Student's t; of one cluster it is unknown.
    """
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    clusters, n = cluster_numbers(clusters), len(right)
    if not n:
        return 0.0, 1.0
    share = float(right.mean())
    if clusters is None:
        return score_interval(share, (share * (1 - share) / n) ** 0.5, n, Z95)
    units = cluster_sums(right - share, clusters)
    if len(units) < 2:
        return 0.0, 1.0
    error = float((units**2).sum() * len(units) / (len(units) - 1)) ** 0.5 / n
    return score_interval(share, error, len(units), float(stdtrit(len(units) - 1, 0.975)))


def kappa(given: Sequence[str], answers: Sequence[str]) -> float | None:
    """Cohen's kappa (1960): agreement beyond chance. None if chance alone is certain: one class and one answer."""
    from sklearn.metrics import cohen_kappa_score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an undefined kappa is returned as None
        value = float(cohen_kappa_score(given, answers)) if len(given) else float("nan")
    return None if np.isnan(value) else value


def given_names(rows: Examples, labels: Labels) -> list[str | None]:
    """Returns the class name of each row's label (N); None for rows without one."""
    return [None if label == UNLABELLED else labels.names[label] for label in class_ids(rows).tolist()]


def comparable_rows(given: Sequence[str | None], oracle_labels: OracleLabels) -> Array:
    """Returns the positions of the rows with an answer of the oracle and a label that the oracle has."""
    known, pairs = oracle_labels.known, zip(given, oracle_labels.names, strict=True)
    return np.flatnonzero([None not in (label, answer) and (known is None or label in known) for label, answer in pairs])


def measure_agreement(
    data: str,
    oracle: str,
    given: Sequence[str | None],
    oracle_labels: OracleLabels,
    label_names: Sequence[str],
    clusters: Array | None = None,
) -> Agreement:
    """Measures the agreement of an oracle's labels with the given ones (N), over all rows and by class in alphabetical order.

    Args:
        clusters: the cluster of each row (N), see ``share_interval``.
    """
    rows, known = comparable_rows(given, oracle_labels), oracle_labels.known
    labels, answers = [str(given[i]) for i in rows], [str(oracle_labels.names[i]) for i in rows]
    right = np.array([label == answer for label, answer in zip(labels, answers, strict=True)], dtype=bool)
    units = None if clusters is None else clusters[rows]
    low, high = share_interval(right, units)
    positions: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        positions.setdefault(label, []).append(i)
    classes = []
    for name, own in sorted(positions.items()):
        ends = share_interval(right[own], None if units is None else units[own])
        classes.append(ClassAgreement(name, len(own), float(right[own].mean()), *ends))
    return Agreement(
        data=data,
        oracle=oracle,
        n=len(rows),
        share=float(right.mean()) if len(rows) else None,
        low=low,
        high=high,
        kappa=kappa(labels, answers),
        classes=tuple(classes),
        n_unanswered=sum(answer is None for answer in oracle_labels.names),
        n_unknown=0 if known is None else sum(label is not None and label not in known for label in given),
        foreign=dict(Counter(answer for answer in answers if answer not in label_names).most_common()),
    )


def disagreement(evidence: Evidence, agreement: Agreement, oracle_labels: OracleLabels) -> Diagnosis:
    """Flags the rows on which the oracle's label differs.

    Score: (1 - c) / 2 for rows that differ and (1 + c) / 2 for rows that agree, c being the oracle's probability of its answer;
    no score without probabilities. So the row with the most confident contradiction comes first.
    """
    if not agreement.n:
        return skip(NAME, f"{agreement.oracle} has no label for these rows")
    given, names, confidence = given_names(evidence.rows, evidence.labels), oracle_labels.names, oracle_labels.confidence
    compared = comparable_rows(given, oracle_labels)
    flagged = np.zeros(len(given), dtype=bool)
    flagged[compared] = [given[i] != names[i] for i in compared.tolist()]
    ids = {name: i for i, name in enumerate(evidence.labels.names)}
    proposed = np.full(len(given), UNLABELLED)
    reasons = {}
    for i in np.flatnonzero(flagged).tolist():
        proposed[i] = ids.get(str(names[i]), UNLABELLED)
        probability = "" if confidence is None or np.isnan(confidence[i]) else f" ({confidence[i]:.0%})"
        reasons[i] = f"labelled {given[i]}, {agreement.oracle} answers {names[i]}{probability}"
    scores = None
    if confidence is not None:
        scores = np.full(len(given), np.nan)
        scores[compared] = ((1 + np.where(flagged, -1, 1) * confidence) / 2)[compared]
    summary, remedy = agreement_words(agreement, oracle_labels.remarks), ""
    if flagged.any():
        remedy = "Read the rows on which they differ: either may be wrong, or the two may mean different things by a label."
    return Diagnosis(NAME, summary, scores=scores, flagged=flagged, proposed=proposed, reasons=reasons, remedy=remedy)


def agreement_words(agreement: Agreement, remarks: Sequence[str] = ()) -> str:
    """Describes the agreement over all rows, the classes with the least of it, and the rows left out."""
    assert agreement.share is not None
    kappa_words = "kappa is not defined" if agreement.kappa is None else f"kappa {agreement.kappa:.2f}"
    rows = f"{agreement.share:.1%} of {plural(agreement.n, 'row')} (95 %: {agreement.low:.1%} to {agreement.high:.1%})"
    parts = [f"{agreement.oracle} agrees with the label of {rows}, {kappa_words}."]
    lowest = sorted((item for item in agreement.classes if item.share < 1), key=lambda item: item.share)[:LOWEST]
    if lowest and len(agreement.classes) > 1:
        shown = listed(f"{item.name} {item.share:.0%} ({item.low:.0%} to {item.high:.0%})" for item in lowest)
        parts.append(f"Least on {shown}.")
    if agreement.foreign:
        shown = listed((f"{name} ({n:,})" for name, n in agreement.foreign.items()), 5)
        parts.append(f"It also answers what is no label here, which counts as different: {shown}.")
    if agreement.n_unanswered:
        parts.append(f"It has no answer for {plural(agreement.n_unanswered, 'row')}.")
    if agreement.n_unknown:
        parts.append(f"{plural(agreement.n_unknown, 'row', 'has', 'have')} labels that it does not have.")
    return " ".join([*parts, *remarks])


@dataclass(frozen=True)
class OracleAnswers:
    """An oracle's labels for the splits of one data set."""

    oracle: str
    labels: Mapping[str, OracleLabels]

    def agreement(self, evidence: Evidence) -> Agreement:
        rows, labels = evidence.rows, evidence.labels
        given, answers = given_names(rows, labels), self.labels[rows.split]
        return measure_agreement(rows.split, self.oracle, given, answers, labels.names, evidence.clusters)

    def diagnosis(self, evidence: Evidence) -> Diagnosis:
        """Returns the rows of one split on which the oracle differs."""
        return disagreement(evidence, self.agreement(evidence), self.labels[evidence.rows.split])
