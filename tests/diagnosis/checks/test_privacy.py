"""Personal data: counted by row, never repeated by any diagnosis or finding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.diagnosis.rows import evidence
from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.diagnosis.checks.conflicts import duplicates
from tunesmith.diagnosis.checks.leakage import Leaks, leakage
from tunesmith.diagnosis.checks.privacy import personal_data
from tunesmith.diagnosis.checks.shortcuts import shortcut_words
from tunesmith.diagnosis.evidence import Diagnosis
from tunesmith.diagnosis.outcome import finding_of, row_columns, texts_to_read


def test_what_was_found_is_nowhere_in_the_diagnosis() -> None:
    found = personal_data(evidence([0, 1, 0], ["mail bob@example.org", "nothing", "call +44 20 7946 0958"]))
    assert found.flagged is not None
    assert found.flagged.tolist() == [True, False, True]
    assert found.reasons[0] == "holds what looks like e-mail address"
    assert "bob" not in str(found)
    assert "7946" not in str(found)
    assert found.figures["rows_of_kind"] == {"e-mail address": 1, "telephone number": 1}


def test_both_texts_of_a_pair_are_looked_at() -> None:
    assert personal_data(evidence([0], ["nothing"], n_classes=2, pairs=["bob@example.org"])).reasons == {
        0: "holds what looks like e-mail address"
    }


def test_no_finding_repeats_the_text_of_such_a_row() -> None:
    texts = [
        "mail bob@example.org about the parcel",
        "mail bob@example.org about the parcel",
        "no address here",
        "no address here",
    ]
    rows = evidence([0, 1, 0, 1], texts, near=near_duplicates(texts))
    found = finding_of(duplicates(rows), rows)
    assert [row.get("text") for row in found.rows] == [None, "no address here"]


def test_nor_the_text_of_a_row_whose_second_text_holds_them() -> None:
    rows = evidence([0], ["nothing"], n_classes=2, pairs=["bob@example.org"])
    assert "text" not in finding_of(Diagnosis("any", "", (), None, np.array([True])), rows).rows[0]


def test_the_table_of_rows_has_no_text_of_them_and_the_review_page_a_masked_one() -> None:
    rows = evidence([0, 1], ["mail bob@example.org " + "x" * 400, "no address here"])
    found = [personal_data(rows)]
    assert row_columns(rows, found, found[0])["text"] == ["", "no address here"]
    assert texts_to_read(rows.rows.texts, found, 14) == ["mail [email] x", "no address her"]


def test_words_of_an_address_are_not_named_as_shortcuts() -> None:
    texts = [f"{'write to bob@example.org or 0049171123456 alas' if i % 2 else 'nothing'} w{i}" for i in range(100)]
    found = shortcut_words(evidence([i % 2 for i in range(100)], texts))
    assert {"alas", "nothing"} <= {row["word"] for row in found.figures["words"]}
    assert not {"bob", "example", "org", "0049171123456"} & {row["word"] for row in found.figures["words"]}


def test_a_group_that_is_an_address_is_masked() -> None:
    train, other = (evidence([0], n_classes=2).rows for _ in range(2))
    groups = [replace(rows, groups=["bob@example.org"]) for rows in (train, other)]
    found = leakage(*groups, Leaks(np.zeros(1), np.array([-1])))
    assert found.reasons[0] == "same group as rows of train: [email]"
