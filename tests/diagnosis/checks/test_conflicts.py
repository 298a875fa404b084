"""Duplicates, contradictions, and annotators who disagreed."""

from __future__ import annotations

import numpy as np

from tests.diagnosis.rows import evidence
from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.diagnosis.checks.conflicts import annotator_disagreement, conflicts, duplicates

TEXT = "the parcel has not arrived and I have been waiting for days"
NEAR = "the parcel has not arrived and I have been waiting for weeks"
OTHER = "how do I change the address of my order"


def with_near(given: list[int | None], texts: list[str]):
    return evidence(given, texts, n_classes=3, near=near_duplicates(texts))


def test_repeats_point_to_the_first_row() -> None:
    found = duplicates(with_near([0, 1, 0, 0], [TEXT, OTHER, TEXT.upper(), NEAR]))
    assert found.flagged is not None
    assert found.scores is not None
    assert found.flagged.tolist() == [False, False, True, True]
    assert found.reasons[2] == "same text as row 100"
    assert found.reasons[3].endswith("the text of row 100")
    assert found.scores[2] == 0 < found.scores[3] < 1 == found.scores[0]
    assert found.figures == {"exact": 1, "near": 1}


def test_the_minority_of_near_duplicates_is_worst_and_gets_the_majority_as_proposal() -> None:
    found = conflicts(with_near([0, 0, 1, 2], [TEXT, TEXT, TEXT + "!", OTHER]))
    assert found.flagged is not None
    assert found.scores is not None
    assert found.proposed is not None
    assert found.flagged.tolist() == [True, True, True, False]
    assert found.scores.argmin() == 2
    assert found.proposed.tolist() == [-1, -1, 0, -1]
    assert "row 100 a" in found.reasons[2]


def test_near_duplicates_count_by_their_overlap() -> None:
    found = conflicts(with_near([0, 1], [TEXT, NEAR]))
    assert found.scores is not None
    assert found.proposed is not None
    assert 0.5 < found.scores[0] == found.scores[1] < 0.6
    assert found.proposed.tolist() == [-1, -1]


def test_same_labels_and_unlabelled_rows_do_not_contradict() -> None:
    assert conflicts(with_near([0, 0, None], [TEXT, TEXT, TEXT])).flagged.tolist() == [False] * 3


def test_pairs_with_one_text_in_common_are_neither_repeated_nor_in_conflict() -> None:
    texts, pairs = [TEXT, TEXT, TEXT], ["it is late", "it came", "It is late!"]
    found = evidence([0, 1, 2], texts, n_classes=3, near=near_duplicates(texts, pairs), pairs=pairs)
    for check in (duplicates, conflicts):
        flagged = check(found).flagged
        assert flagged is not None
        assert flagged.tolist() == [check is conflicts, False, True]


def test_annotators_who_chose_another_class() -> None:
    votes = np.array([[3, 0], [2, 1], [1, 2], [0, 0]])
    found = annotator_disagreement(evidence([0, 0, 0, 1], annotations=votes))
    assert found.scores is not None
    assert found.flagged is not None
    assert found.proposed is not None
    assert found.scores[:3].tolist() == [1.0, 2 / 3, 1 / 3]
    assert np.isnan(found.scores[3])
    assert found.flagged.tolist() == [False, True, True, False]
    assert found.proposed.tolist() == [-1, -1, 1, -1]
    assert found.reasons[2] == "annotators: b 2, a 1"
