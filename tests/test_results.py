"""Findings: their texts, and two lists merged into one."""

from __future__ import annotations

import pytest

from tunesmith.results import Finding, merge_findings


def test_of_two_findings_of_a_name_the_larger_one_stays() -> None:
    of_rows = [Finding("labels", "2 classes"), Finding("duplicates", "exact", 3), Finding("encoding_damage", "two", 2)]
    of_training = [
        Finding("suspect_labels", "some", 4),
        Finding("duplicates", "near", 5),
        Finding("encoding_damage", "", skipped="no"),
    ]
    kept = merge_findings(of_rows, of_training)
    assert [(finding.name, finding.summary) for finding in kept] == [
        ("suspect_labels", "some"), ("labels", "2 classes"), ("duplicates", "near"), ("encoding_damage", "two"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("places", "flagged", "text"),
    [
        ([("train", 3)], 1, "found. Row 3 of train."),
        ([("train", 3), ("train", 8), ("test", 5)], 3, "found. Rows 3, 8 of train, 5 of test."),
        ([("train", i) for i in range(50)], 120, "found. Rows 0, 1, 2, 3, 4 of train and 115 more."),
        ([("train", 3)], 0, "found."),
        ([], 7, "found."),
    ],
)
def test_the_text_of_a_finding_names_its_first_rows(places: list[tuple[str, int]], flagged: int, text: str) -> None:
    rows = tuple({"row_id": row_id, "split": split} for split, row_id in places)
    assert Finding("x", "found.", flagged, rows=rows).text == text
