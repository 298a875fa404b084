"""Findings of two lists merged into one."""

from __future__ import annotations

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
