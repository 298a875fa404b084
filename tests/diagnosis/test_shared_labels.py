"""Data sets that are to be compared: their common labels, and what cannot be compared."""

from __future__ import annotations

import pytest

from tests.data.tables import examples
from tunesmith.data.labelled.labels import MULTI, SINGLE
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.table import Columns, Labels
from tunesmith.diagnosis.shared_labels import select_shared_labels
from tunesmith.errors import DataError


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
        (data(("a", "b"), [0, 1], pairs=["x", "y"]), "It has pairs of texts, table has single texts"),
        (data(("a", "b"), [(0, 1), (1, 1)], MULTI), "It has several labels a row"),
        (data(("c", "d"), [0, 1]), "have no label in common .one: a, b; two: c, d.; at least 2 are needed"),
        (data(("b", "c"), [0, 1]), "have only the label b in common"),
        (data(("A", "B "), [0, 1]), "They differ in case only: a, b"),
        (data(("a", "b"), [0, 1]), "it has the same rows as one"),
        (data(("b", "a"), [0, 1], sha256="1"), "it has the same bytes as table|table was given twice"),
    ],
)
def test_what_cannot_be_compared_is_said(second: LabelledData, message: str) -> None:
    with pytest.raises(DataError, match=message):
        select_shared_labels(("one", "two"), (data(("a", "b"), [0, 1], sha256="1" if second.train.sha256 else ""), second))
