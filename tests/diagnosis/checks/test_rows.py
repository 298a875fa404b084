"""Checks of single rows: encoding, personal data that no finding repeats, missing labels, leakage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.diagnosis.rows import evidence
from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.table import Examples
from tunesmith.diagnosis.checks.conflicts import duplicates
from tunesmith.diagnosis.checks.label_errors import suspect_labels
from tunesmith.diagnosis.checks.rows import (
    encoding_damage,
    leakage,
    personal_data,
    unlabelled,
)
from tunesmith.diagnosis.checks.shortcuts import shortcut_words
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis
from tunesmith.diagnosis.outcome import leading_diagnosis, make_corrections, make_finding, review_texts, row_columns

KNOWN = ["a man is sleeping on the green bench in the park", "two dogs run over the wet field after a ball"]
PROBS = np.array([[0.9, 0.1], [0.3, 0.7], [0.05, 0.95], [0.2, 0.8]])


def test_damaged_texts_are_flagged_on_either_side() -> None:
    found = encoding_damage(evidence([0, 1, 0], ["a cafÃ© in town", "a café in town", "whole"], pairs=["x", "y", "itâ€™s"]))
    assert found.flagged is not None
    assert found.flagged.tolist() == [True, False, True]
    assert "2 of 3 rows" in found.summary
    assert found.reasons[0].startswith("holds 'Ã")


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
    found = make_finding(duplicates(rows), rows)
    assert [row.get("text") for row in found.rows] == [None, "no address here"]


def test_nor_the_text_of_a_row_whose_second_text_holds_them() -> None:
    rows = evidence([0], ["nothing"], n_classes=2, pairs=["bob@example.org"])
    assert "text" not in make_finding(Diagnosis("any", "", flagged=np.array([True])), rows).rows[0]


def test_the_table_of_rows_has_no_text_of_them_and_the_review_page_a_masked_one() -> None:
    rows = evidence([0, 1], ["mail bob@example.org " + "x" * 400, "no address here"])
    found = [personal_data(rows)]
    assert row_columns(rows, found, found[0])["text"] == ["", "no address here"]
    assert review_texts(rows.rows.texts, found, 14) == ["mail [email] x", "no address her"]


def test_words_of_an_address_are_not_named_as_shortcuts() -> None:
    texts = [f"{'write to bob@example.org or 0049171123456 alas' if i % 2 else 'nothing'} w{i}" for i in range(100)]
    found = shortcut_words(evidence([i % 2 for i in range(100)], texts))
    assert {"alas", "nothing"} <= {row["word"] for row in found.figures["words"]}
    assert not {"bob", "example", "org", "0049171123456"} & {row["word"] for row in found.figures["words"]}


def test_a_group_that_is_an_address_is_masked() -> None:
    train, other = (evidence([0], n_classes=2).rows for _ in range(2))
    groups = [replace(rows, groups=["bob@example.org"]) for rows in (train, other)]
    found = leakage(*groups, np.zeros(1), np.array([-1]))
    assert found.reasons[0] == "same group as rows of train: [email]"


def test_the_likeliest_class_is_proposed_with_its_chance() -> None:
    found = unlabelled(evidence([0, None, None, 1], pred_probs=PROBS))
    assert found.flagged is not None
    assert found.scores is not None
    assert found.proposed is not None
    assert found.flagged.tolist() == [False, True, True, False]
    assert found.proposed.tolist() == [UNLABELLED, 1, 1, UNLABELLED]
    assert np.allclose(found.scores, [np.nan, 0.3, 0.05, np.nan], equal_nan=True)
    assert found.reasons == {1: "no label, looks like b (70%)", 2: "no label, looks like b (95%)"}
    assert found.summary == (
        "2 of 4 rows of train have no label; each has a proposed one, 1 of them with a probability of 80% or more."
    )


def test_without_a_model_they_are_only_named() -> None:
    found = unlabelled(evidence([0, None], n_classes=2))
    assert (found.summary, found.reasons, found.proposed) == ("1 of 2 rows of train have no label.", {1: "no label"}, None)
    assert unlabelled(evidence([0, 1])).summary == "All 2 rows of train have a label."


def test_a_label_that_was_put_aside_for_the_model_is_still_one() -> None:
    """Rows of a class that one fold holds alone are given as UNLABELLED to the diagnoses."""
    rows = evidence([0, 1], pred_probs=PROBS[:2])
    rows.given[0] = UNLABELLED
    assert not unlabelled(rows).flagged.any()


def test_proposals_for_unlabelled_rows_come_behind_the_suspect_labels() -> None:
    probs = np.array([[0.999, 0.001]] * 98 + [[0.001, 0.999]] * 98 + [[0.999, 0.001]] * 4)
    rows = evidence([0] * 97 + [1] + [1] * 98 + [1, None, None, None], pred_probs=probs)
    found = [suspect_labels(rows), unlabelled(rows)]
    corrections = make_corrections(rows, found, leading_diagnosis(found))
    assert [(c.row_id, c.given, c.proposed) for c in corrections] == [
        (197, "b", "a"), (296, "b", "a"), (297, "", "a"), (298, "", "a"), (299, "", "a"),
    ]  # fmt: skip
    assert corrections[4].reason == "no label, looks like a (>99%)"
    assert corrections[4].diagnoses == ("unlabelled",)


@pytest.mark.parametrize("labels", [[0, 0, None], [0, 1] * 30 + [None]])
def test_unlabelled_rows_get_no_proposal_of_a_model_that_is_not_known_to_know_anything(labels: list[int | None]) -> None:
    rows = evidence(labels, n_classes=2, pred_probs=np.tile([0.6, 0.4], (len(labels), 1)))
    found = [suspect_labels(rows), unlabelled(rows)]
    assert found[0].skipped
    assert found[1].flagged is not None
    assert found[1].flagged.sum() == 1
    assert make_corrections(rows, found, leading_diagnosis(found)) == []


def examples(split: str, texts: list[str], labels: list[int], groups: list[str] | None = None) -> Examples:
    return Examples(split, f"{split}.csv", list(range(10, 10 + len(texts))), texts, labels, groups=groups)


def nearest_known(texts: list[str]) -> list[np.ndarray]:
    """The largest overlap of each text with one of ``KNOWN``, and the position of that one."""
    return [values[len(KNOWN) :] for values in near_duplicates(KNOWN + texts).nearest_earlier(n_first=len(KNOWN))]


def test_exact_near_and_new_rows() -> None:
    texts = [
        KNOWN[0].upper(),
        KNOWN[1].replace("wet", "grey"),
        "nobody knows what will come of it tomorrow",
        KNOWN[1].replace("wet", "grey"),
    ]
    found = leakage(
        examples("train", KNOWN, [0, 1]),
        examples("test", texts, [0, 0, 1, 1]),
        *nearest_known(texts),
    )
    assert found.flagged is not None
    assert found.flagged.tolist() == [True, True, False, True]
    assert found.figures == {"exact": 1, "near": 2, "shared_group": 0, "same_label": 2}
    assert found.reasons[0] == "same text as train row 10"
    assert "the text of train row 11" in found.reasons[1]


def test_a_shared_source_is_leakage_too() -> None:
    texts = ["one of the same author", "one of another"]
    train, test = examples("train", KNOWN, [0, 1], ["u1", "u2"]), examples("test", texts, [0, 1], ["u1", "u3"])
    found = leakage(train, test, *nearest_known(texts))
    assert found.flagged is not None
    assert found.flagged.tolist() == [True, False]
    assert found.reasons[0] == "same group as rows of train: u1"


def test_repeats_inside_the_other_rows_are_no_leak() -> None:
    text = "a long enough text that nobody trained on at all"
    assert nearest_known([text, text])[1].tolist() == [-1, -1]
