"""What a user gets of several diagnoses of one row."""

from __future__ import annotations

import numpy as np

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.label_errors import loss_rank, suspect_labels
from tunesmith.diagnosis.evidence import Diagnosis
from tunesmith.diagnosis.outcome import row_reason


def diagnosis_of(name: str, reason: str | None) -> Diagnosis:
    return Diagnosis(name, "", reasons={} if reason is None else {0: reason})


def test_what_one_diagnosis_reports_is_not_reported_again() -> None:
    main = diagnosis_of("main", "90% to be wrong: given a (1%), looks like b (98%)")
    others = [
        diagnosis_of("rank", "given a (1%), looks like b (98%)"),
        main,
        diagnosis_of("duplicates", "same text as row 3"),
        diagnosis_of("none", None),
    ]
    assert row_reason(0, main, others) == "90% to be wrong: given a (1%), looks like b (98%); same text as row 3"


def test_the_leading_diagnosis_comes_first_and_may_be_silent() -> None:
    main = diagnosis_of("main", None)
    assert row_reason(0, main, [diagnosis_of("duplicates", "same text as row 3"), main]) == "same text as row 3"
    assert row_reason(0, main, [main]) == ""


def test_suspect_labels_and_loss_rank_share_their_words() -> None:
    probs = np.array([[0.999, 0.001]] * 100 + [[0.001, 0.999]] * 100)
    rows = evidence([0] * 97 + [1] * 103, pred_probs=probs)
    main = suspect_labels(rows)
    assert row_reason(99, main, [main, loss_rank(rows)]).count("looks like a") == 1
