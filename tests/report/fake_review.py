"""Made-up reviews for the tests of the review page: a handful of rows, a realistic set, and many long ones."""

from __future__ import annotations

import random

from tunesmith.report.review_data import Review, ReviewRows
from tunesmith.results import Finding

ATTACK = "</script><script>document.title='broken'</script><!-- <img src=x onerror=document.title='broken'> \u2028 ,\"quoted\""
LABELS = ("refund", "delivery", "login", 'other, or "none"')
DIAGNOSES = ("suspect_labels", "near_duplicates")
DIGEST = "0123456789abcdef" * 4

FINDINGS = (
    Finding("suspect_labels", "41 of 300 rows look more like another class", 41, remedy="Look through them, worst first."),
    Finding("near_duplicates", "12 rows say nearly the same as another", 12),
    Finding("leakage", "", skipped="there is no test split"),
    Finding("odd_lengths", "no row is unusually long or short"),
)


def small() -> Review:
    """Six rows, in the file's order; by score the rows are 3, 0, 5, 1, 2, 4. Each corner of the data map has one."""
    return Review(
        "tickets",
        "tickets.csv",
        DIGEST,
        LABELS,
        DIAGNOSES,
        FINDINGS,
        ReviewRows(
            row_ids=[0, 1, 2, 3, 4, 0],
            splits=["train"] * 5 + ["test"],
            texts=["where is my money", "the parcel\nis late", "cannot log in", "zebra", "hello", "my PARCEL came open"],
            pairs=None,
            given=[0, 1, 2, 1, -1, 0],
            proposed=[1, 0, 2, 0, -1, 1],
            scores=[0.1, 0.4, 0.5, 0.0, None, 0.2],
            flagged=[True, True, False, True, False, True],
            diagnoses=[[0], [0, 1], [], [0], [], [1]],
            reasons=["looks like delivery", 'says "late", twice', "", "looks like refund", "", "near row 1"],
            confidence=[0.0, 1.0, 0.5, 0.0, float("nan"), 1.0],
            variability=[0.0, 0.0, 0.25, 0.5, float("nan"), 0.5],
            correctness=[0, 4, 2, 0, 0, 3],
        ),
    )


def hostile() -> Review:
    """One row and everything around it made of code."""
    return Review(
        ATTACK,
        ATTACK,
        DIGEST,
        (ATTACK, "plain"),
        (ATTACK,),
        (Finding(ATTACK, ATTACK, 1, remedy=ATTACK),),
        ReviewRows([7], [ATTACK], [ATTACK], [ATTACK], [0], [1], [0.5], [True], [[0]], [ATTACK], [0.5], [0.1], [1]),
    )


def many(n: int, length: int, seed: int = 0) -> Review:
    """``n`` rows of ``length`` characters each, one in twenty flagged; 12 labels, with a data map."""
    rng = random.Random(seed)
    words = ["parcel", "refund", "login", "invoice", "cancel", "where", "late", "open", "broken", "please", "thanks", "order"]
    labels = tuple(f"label_{k:02d}" for k in range(12))
    prose = [" ".join(rng.choices(words, k=length // 4))[:length] for _ in range(50)]
    given = [rng.randrange(12) for _ in range(n)]
    wrong = [rng.random() < 0.05 for _ in range(n)]
    correct = [rng.randrange(3) if bad else 6 - min(6, int(rng.expovariate(1))) for bad in wrong]
    rows = ReviewRows(
        row_ids=list(range(n)),
        splits=["train" if i % 10 else "validation" for i in range(n)],
        texts=[f"{i} {prose[i % 50]}"[:length] for i in range(n)],
        pairs=None,
        given=given,
        proposed=[(given[i] + 1 + rng.randrange(11)) % 12 if bad else given[i] for i, bad in enumerate(wrong)],
        scores=[rng.random() * (0.3 if bad else 1) for bad in wrong],
        flagged=wrong,
        diagnoses=[[rng.randrange(2)] if bad else [] for bad in wrong],
        reasons=[f"given (3%), looks like {labels[i % 12]} (91%)" if bad else "" for i, bad in enumerate(wrong)],
        confidence=[min(1.0, max(0.0, c / 6 + rng.gauss(0, 0.08))) for c in correct],
        variability=[abs(rng.gauss(0.08 + 0.25 * (c / 6) * (1 - c / 6) * 4 / 2, 0.05)) for c in correct],
        correctness=correct,
    )
    return Review("many rows", "many.csv", DIGEST, labels, DIAGNOSES, FINDINGS, rows)
