"""The rows of several data sets as one, and what was found between them in words."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data.tables import examples
from tunesmith.data.labelled.labels import MULTI, SINGLE
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.table import Columns, Examples, Labels
from tunesmith.diagnosis.checks.agreement import OracleAnswers, OracleLabels
from tunesmith.diagnosis.checks.transfer import Transfer, near_duplicate_sets, opposite_labels
from tunesmith.diagnosis.evidence import class_ids
from tunesmith.diagnosis.pool import (
    Pool,
    compare_oracle,
    opposite_finding,
    oracle_finding,
    require_measurable,
    same_texts,
    select_shared_labels,
    transfer_finding,
)
from tunesmith.errors import DataError

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
    reached = near_duplicate_sets(near, POOL.owner, 2)
    found = opposite_finding(POOL, *opposite_labels(near, POOL.owner, class_ids(POOL.rows())), reached)
    assert (found.flagged, found.summary) == (
        2, "2 of the 2 rows whose text another data set has (100%) are labelled differently there.",
    )  # fmt: skip
    assert found.rows[0]["other_row_id"] == 4
    shared = same_texts(POOL, reached)
    assert (shared.flagged, shared.summary) == (2, "1 of 2 rows of a are in b; 1 of 3 rows of b are in a: exactly, or nearly.")


def test_without_a_shared_text_that_is_reported() -> None:
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
    queries = [
        OracleAnswers(
            "an oracle", {"train": OracleLabels(["no"], np.array([0.9])), "test": OracleLabels(["yes"], np.array([0.99]))}
        ),
        OracleAnswers("an oracle", {"train": OracleLabels([None, None, None])}),
    ]
    first, second = compare_oracle(POOL, queries)
    assert (first.agreement.data, first.agreement.n, first.agreement.share) == ("a", 2, 0.0)
    found = oracle_finding(POOL, 0, first)
    assert (found.name, found.flagged) == ("oracle_a", 2)
    assert [(row["row_id"], row["split"]) for row in found.rows] == [(0, "test"), (7, "train")]  # the surest first
    assert oracle_finding(POOL, 1, second).skipped == "an oracle has no label for these rows"


def data(names: tuple[str, ...], labels: list[int], kind: str = SINGLE, **more) -> LabelledData:
    rows = examples([f"text {i} of {names}" for i in range(len(labels))], labels, **more)
    return LabelledData(rows, None, None, Labels(kind, names), Columns("text"))


def test_rows_of_shared_labels_stay_under_the_ids_of_the_first() -> None:
    first, second = data(("a", "b", "c"), [0, 1, 2, 2]), data(("b", "c", "d", "e"), [0, 1, 2, 2, 3])
    found = select_shared_labels(("one", "two"), (first, second))
    assert found.labels.names == ("b", "c")
    assert [x.train.labels for x in found.data] == [[0, 1, 1], [0, 1]]
    assert [x.train.row_ids for x in found.data] == [[1, 2, 3], [0, 1]]
    assert found.left_out == ({"a": 1}, {"d": 2, "e": 1})


def test_a_split_without_a_shared_label_is_left_out() -> None:
    whole = data(("a", "b", "c"), [0, 1, 2])
    test = examples(["more"], [2], "test")
    found = select_shared_labels(
        ("one", "two"), (LabelledData(whole.train, None, test, whole.labels, whole.columns), data(("a", "b"), [0, 1]))
    )
    assert list(found.data[0].named()) == ["train"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (data(("a", "b", "c"), [0, 1], pairs=["x", "y"]), "two has pairs of texts, one single ones"),
        (data(("a", "b"), [(0, 1), (1, 1)], MULTI), "It has several labels a row"),
        (data(("c", "d"), [0, 1]), "have no label in common .one: a, b; two: c, d.; at least 2 are needed"),
        (data(("b", "c"), [0, 1]), "have only the label b in common"),
        (data(("A", "B "), [0, 1]), "They differ in case only: a, b"),
        (data(("a", "b"), [0, 1]), "it has the same rows as one"),
        (data(("b", "a"), [0, 1], sha256="1"), "it has the same bytes as table|table was given twice"),
    ],
)
def test_what_cannot_be_compared_is_an_error(second: LabelledData, message: str) -> None:
    compared = data(("a", "b"), [0, 1], sha256="1" if second.train.sha256 else ""), second

    def compare() -> None:
        require_measurable(("one", "two"), compared)
        select_shared_labels(("one", "two"), compared)

    with pytest.raises(DataError, match=message):
        compare()
