"""Whether someone or something else would give the rows the labels they have: shares by class, kappa, the rows that differ."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, class_ids, skip
from tunesmith.evaluation.metrics.intervals import score_interval

Z95 = NormalDist().inv_cdf(0.975)
NAME = "oracle"
LOWEST = 3
"""Classes named in a summary, those with the least agreement."""


@dataclass(frozen=True)
class Answers:
    """What an oracle says of N rows.

    Attributes:
        names: class name of each row (N); None where it says nothing.
        confidence: the probability of each answer (N) in [0, 1]; None where the oracle gives none.
        known: every class it can say; None where that cannot be known.
        remarks: what makes these answers worth less, or how they were matched, as sentences.
    """

    names: Sequence[str | None]
    confidence: Array | None = None
    known: frozenset[str] | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassAgreement:
    """How often an oracle gives the rows of one class that class.

    Attributes:
        low, high: Wilson's 95 % interval of the share.
    """

    name: str
    n: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How often an oracle gives the rows of one data set the label they have.

    Attributes:
        data: name of the data set; of the split where there is one data set only.
        n: rows with a label that the oracle knows and an answer.
        share: of these rows on which both say the same; None without rows.
        low, high: Wilson's 95 % interval of the share.
        kappa: Cohen's kappa; None where it is not defined.
        n_unanswered: rows of which the oracle says nothing.
        n_unknown: rows with a label that the oracle cannot say.
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

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927); (0, 1) without rows."""
    if not n:
        return 0.0, 1.0
    share = successes / n
    return score_interval(share, (share * (1 - share) / n) ** 0.5, n, Z95)


def class_agreement(given: Sequence[str], said: Sequence[str]) -> tuple[ClassAgreement, ...]:
    """For each given class the share of its rows on which the oracle says the same, classes in alphabetical order."""
    rows, hits = Counter(given), Counter(label for label, answer in zip(given, said, strict=True) if label == answer)
    return tuple(
        ClassAgreement(name, rows[name], hits[name] / rows[name], *wilson(hits[name], rows[name])) for name in sorted(rows)
    )


def kappa(given: Sequence[str], said: Sequence[str]) -> float | None:
    """Cohen's kappa (1960): agreement beyond chance. None where chance alone is certain: one class and one answer."""
    from sklearn.metrics import cohen_kappa_score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is not defined is what None says
        value = float(cohen_kappa_score(given, said)) if len(given) else float("nan")
    return None if np.isnan(value) else value


def given_names(rows: Examples, labels: Labels) -> list[str | None]:
    """The label of each row as the user knows it (N)."""
    return [None if label == UNLABELLED else labels.names[label] for label in class_ids(rows).tolist()]


def comparable(given: Sequence[str | None], answers: Answers) -> Array:
    """Positions of the rows with a label that the oracle could say and an answer."""
    return np.array(
        [
            i
            for i, (label, answer) in enumerate(zip(given, answers.names, strict=True))
            if label is not None and answer is not None and (answers.known is None or label in answers.known)
        ],
        dtype=np.int64,
    )


def agreement(data: str, oracle: str, given: Sequence[str | None], answers: Answers, label_names: Sequence[str]) -> Agreement:
    """How often the oracle says what the rows (N) are labelled, over all and by class."""
    rows = comparable(given, answers).tolist()
    labels, said = [str(given[i]) for i in rows], [str(answers.names[i]) for i in rows]
    hits = sum(a == b for a, b in zip(labels, said, strict=True))
    unknown = 0 if answers.known is None else sum(label is not None and label not in answers.known for label in given)
    foreign = Counter(answer for answer in said if answer not in label_names)
    return Agreement(
        data, oracle, len(rows), hits / len(rows) if rows else None, *wilson(hits, len(rows)), kappa(labels, said),
        class_agreement(labels, said), sum(answer is None for answer in answers.names), unknown, dict(foreign.most_common()),
    )  # fmt: skip


def differing(evidence: Evidence, found: Agreement, answers: Answers) -> Diagnosis:
    """The rows on which the oracle says something else.

    Score: (1 - c) / 2 where they differ and (1 + c) / 2 where they agree, c being the oracle's probability of its answer; no
    score where it gives none. So the row it is surest to be wrong comes first.
    """
    if not found.n:
        return skip(NAME, f"{found.oracle} says nothing of these rows")
    given = given_names(evidence.rows, evidence.labels)
    compared = comparable(given, answers)
    flagged = np.zeros(len(given), dtype=bool)
    flagged[compared] = [given[i] != answers.names[i] for i in compared.tolist()]
    ids = {name: i for i, name in enumerate(evidence.labels.names)}
    proposed = np.full(len(given), UNLABELLED)
    reasons = {}
    for i in np.flatnonzero(flagged).tolist():
        proposed[i] = ids.get(str(answers.names[i]), UNLABELLED)
        sure = "" if answers.confidence is None or np.isnan(answers.confidence[i]) else f" ({answers.confidence[i]:.0%})"
        reasons[i] = f"labelled {given[i]}, {found.oracle} says {answers.names[i]}{sure}"
    scores = None
    if answers.confidence is not None:
        scores = np.full(len(given), np.nan)
        scores[compared] = ((1 + np.where(flagged, -1, 1) * answers.confidence) / 2)[compared]
    remedy = "Read the rows on which they differ: either may be wrong, or the two may mean different things by a label."
    return Diagnosis(
        NAME, in_words(found, answers.remarks), (), scores, flagged, proposed, reasons, remedy=remedy if flagged.any() else ""
    )  # fmt: skip


def in_words(found: Agreement, remarks: Sequence[str] = ()) -> str:
    """The agreement as sentences: over all, the classes with the least of it, and what was not compared."""
    assert found.share is not None
    kappa_words = "kappa is not defined" if found.kappa is None else f"kappa {found.kappa:.2f}"
    between = f"(95 %: {found.low:.1%} to {found.high:.1%})"
    parts = [f"{found.oracle} agrees with the label of {found.share:.1%} of {found.n:,} rows {between}, {kappa_words}."]
    lowest = sorted((item for item in found.classes if item.share < 1), key=lambda item: item.share)[:LOWEST]
    if lowest and len(found.classes) > 1:
        shown = listed(f"{item.name} {item.share:.0%} ({item.low:.0%} to {item.high:.0%})" for item in lowest)
        parts.append(f"Least on {shown}.")
    if found.foreign:
        shown = listed((f"{name} ({n:,})" for name, n in found.foreign.items()), 5)
        parts.append(f"It also says what is no label here, which counts as different: {shown}.")
    if found.n_unanswered:
        parts.append(f"It says nothing of {found.n_unanswered:,} rows.")
    if found.n_unknown:
        parts.append(f"{found.n_unknown:,} rows have labels that it does not know.")
    return " ".join([*parts, *remarks])


@dataclass(frozen=True)
class Asked:
    """What an oracle said of a data set, split by split."""

    oracle: str
    answers: Mapping[str, Answers]

    def agreement(self, rows: Examples, labels: Labels) -> Agreement:
        """The agreement on one split."""
        return agreement(rows.split, self.oracle, given_names(rows, labels), self.answers[rows.split], labels.names)

    def agreements(self, parts: Mapping[str, Examples], labels: Labels) -> tuple[Agreement, ...]:
        """The agreement on each split."""
        return tuple(self.agreement(rows, labels) for rows in parts.values())

    def diagnosis(self, evidence: Evidence) -> Diagnosis:
        """The rows of one split on which it says something else."""
        rows = evidence.rows
        return differing(evidence, self.agreement(rows, evidence.labels), self.answers[rows.split])
