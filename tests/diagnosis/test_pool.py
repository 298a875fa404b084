"""The rows of several data sets as one, and what was found between them in words."""

from __future__ import annotations

import numpy as np

from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.checks.agreement import OracleAnswers, OracleLabels
from tunesmith.diagnosis.checks.transfer import Transfer, opposite_labels, twin_sets
from tunesmith.diagnosis.evidence import class_ids
from tunesmith.diagnosis.pool import Pool, compare_oracle, opposite_finding, oracle_finding, same_texts, transfer_finding

FIRST = Examples("all", "a.csv", [7, 0], ["the very same text", "something else"], [1, 0])
SECOND = Examples("all", "b.csv", [4, 5, 6], ["The very same text!", "and one more", "and another of them"], [0, 0, 1])
POOL = Pool(("a", "b"), Labels(SINGLE, ("no", "yes")), (FIRST, SECOND), (["train", "test"], ["train"] * 3))


def test_every_row_is_found_again() -> None:
    assert POOL.owner.tolist() == [0, 0, 1, 1, 1]
    assert POOL.slices() == [slice(0, 2), slice(2, 5)]
    assert POOL.rows().texts == FIRST.texts + SECOND.texts
    assert [POOL.locate(i) for i in range(5)] == [
        ("a", 7, "train", "yes"), ("a", 0, "test", "no"),
        ("b", 4, "train", "no"), ("b", 5, "train", "no"), ("b", 6, "train", "yes"),
    ]  # fmt: skip


def test_the_same_texts_and_their_labels_in_words() -> None:
    near = near_duplicates(POOL.rows().texts)
    reached = twin_sets(near, POOL.owner, 2)
    found = opposite_finding(POOL, *opposite_labels(near, POOL.owner, class_ids(POOL.rows())), reached)
    assert (found.flagged, found.summary) == (
        2, "2 of the 2 rows whose text another data set has (100%) are labelled differently there.",
    )  # fmt: skip
    assert found.rows[0]["other_row_id"] == 4
    shared = same_texts(POOL, reached)
    assert (shared.flagged, shared.summary) == (2, "1 of 2 rows of a are in b; 1 of 3 rows of b are in a: exactly, or nearly.")


def test_without_a_shared_text_that_is_said() -> None:
    reached = np.array([[True, False], [True, False], [False, True], [False, True], [False, True]])
    assert opposite_finding(POOL, [], np.zeros(5, dtype=bool), reached).summary.startswith("No text is in two data sets")
    assert same_texts(POOL, reached).summary == "No data set has a text of another one."


def test_a_model_far_below_the_own_one_gets_a_remedy() -> None:
    own, none = Transfer("b", "b", 0.9, 0.8, 0.95, 3, 2, 0, True), Transfer("b", "a", None, None, None, 2, 0, 3, False, "no row")
    good, bad = (Transfer("a", "b", value, value - 0.1, value + 0.1, 3, 2, 0, False) for value in (0.8, -0.001))
    assert transfer_finding([own, good, none, Transfer("a", "a", 1.0, 0.9, 1.0, 2, 2, 0, True)]).remedy == ""
    found = transfer_finding([own, bad])
    assert found.summary == "Trained on a: MCC 0.00 (-0.10 to 0.10) on b, its own 0.90 (0.80 to 0.95)."
    assert found.remedy


def test_the_answers_to_all_splits_are_one_agreement() -> None:
    asked = [
        OracleAnswers(
            "an oracle", {"train": OracleLabels(["no"], np.array([0.9])), "test": OracleLabels(["yes"], np.array([0.99]))}
        ),
        OracleAnswers("an oracle", {"train": OracleLabels([None, None, None])}),
    ]
    first, second = compare_oracle(POOL, asked)
    assert (first.agreement.data, first.agreement.n, first.agreement.share) == ("a", 2, 0.0)
    found = oracle_finding(POOL, 0, first)
    assert (found.name, found.flagged) == ("oracle_a", 2)
    assert [(row["row_id"], row["split"]) for row in found.rows] == [(0, "test"), (7, "train")]  # the surest first
    assert oracle_finding(POOL, 1, second).skipped == "an oracle has no label for these rows"
