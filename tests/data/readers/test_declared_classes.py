"""Names that a file declares for the numbers of its classes."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.data.readers.declared_classes import classes_note, named_classes

NAMES = ["ham", "spam", "ads"]


@pytest.mark.parametrize("cells", [[0, 1, 2, -1], [0.0, 1.0, 2.0, -1.0], ["0", "1", "2", "-1"], ["0.0", "1.0", "2.0", "-1"]])
def test_numbers_in_every_notation_get_their_names(cells: list[Any]) -> None:
    columns = {"label": named_classes(cells, NAMES)}
    assert columns["label"] == [*NAMES, None]
    (note,) = classes_note({"label": NAMES}, {"label": cells}, columns)
    assert note == "The column label holds numbers of classes that the file names; the names are used."


def test_names_stay_and_are_not_called_numbers() -> None:
    for cells, names in (
        (["ham", None, "spam"], NAMES),
        (["1", "2", "1"], ["1", "2"]),
        (["ham", "0"], NAMES),
        (["1", "4"], list("1234")),
    ):
        columns = {"label": named_classes(cells, names)}
        assert columns["label"] == cells
        assert not classes_note({"label": names}, {"label": cells}, columns)


def test_truth_values_lists_and_numbers_without_a_name() -> None:
    assert named_classes([True, False], NAMES) == ["spam", "ham"]
    assert named_classes([[0, -1, 2]], NAMES) == [["ham", "ads"]]
    cells: list[Any] = [0, 7, "9"]
    columns = {"label": named_classes(cells, NAMES)}
    assert columns["label"] == ["ham", 7, "9"]
    assert "2 numbers of label without a name (7, 9)" in classes_note({"label": NAMES}, {"label": cells}, columns)[1]
