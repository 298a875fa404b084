from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.data.tables import table
from tunesmith.data.corrections.changes import find_changes
from tunesmith.data.corrections.corrections_csv import Correction
from tunesmith.errors import DataError

BINARY = {"0": "bad", "1": "good", "2": "good", "3": None}


def fix(row_id: int, given: str, proposed: str, action: str = "relabel") -> Correction:
    return Correction(row_id, "train", given, proposed, 0.1, action=action)


def changed(
    labels: list[Any], label_map: dict[str, Any], *corrections: Correction, **more: Any
) -> tuple[dict[int, Any], frozenset[int]]:
    rows = table(text=[f"text {i}" for i in range(len(labels))], label=labels)
    changes = find_changes(corrections, replace(rows, **more), None, label_map)
    assert changes.column == "label"
    return dict(changes.labels), changes.removed


@pytest.mark.parametrize(("cells", "new"), [(["0", "1"], "0"), ([0, 1], 0), ([0.0, 1.0], 0.0), ([False, True], False)])
def test_a_class_is_written_as_the_label_of_the_file(cells: list[Any], new: Any) -> None:
    labels, removed = changed(cells, {"0": "bad", "1": "good"}, fix(1, "good", "bad"))
    assert labels == {1: new}
    assert type(labels[1]) is type(new)
    assert removed == frozenset()


def test_a_map_of_a_to_b_and_b_to_a_is_not_confused() -> None:
    assert changed(["a", "b"], {"a": "b", "b": "a"}, fix(0, "b", "a"))[0] == {0: "b"}
    with pytest.raises(DataError, match="label is 'b', the correction expects 'a'"):
        changed(["a", "b"], {"a": "b", "b": "a"}, fix(0, "a", "b"))


def test_a_class_of_several_labels_is_refused_until_the_user_says_which() -> None:
    with pytest.raises(DataError, match=r"1 correction proposes 'good', which data.labels makes of several labels: 1, 2"):
        changed(["0", "1", "2"], BINARY, fix(0, "bad", "good"), fix(1, "good", "bad"))
    assert changed(["0", "1", "2"], BINARY, fix(0, "bad", "2"), fix(1, "good", "bad"))[0] == {0: "2", 1: "0"}
    assert changed(["0", "1", "1"], BINARY, fix(0, "bad", "good"))[0] == {0: "1"}  # no row is a 2
    with pytest.raises(DataError, match=r"'fine', which data.labels makes of no label"):
        changed(["0", "1", "2"], BINARY, fix(0, "bad", "fine"))


def test_removed_rows_and_files_of_class_names_need_no_label() -> None:
    assert changed(["0", "1", "2"], BINARY, fix(0, "bad", "", "remove"))[1] == {0}
    assert changed(["bad", "good"], BINARY, fix(0, "bad", "good"))[0] == {0: "good"}


def test_declared_names_are_written_for_keys_that_are_numbers() -> None:
    labels, _ = changed(["neg", "pos"], {"0": "bad", "1": "good"}, fix(0, "bad", "good"), classes={"label": ["neg", "pos"]})
    assert labels == {0: "pos"}


def test_corrections_of_a_mapped_file_without_its_map_do_not_fit() -> None:
    with pytest.raises(DataError, match=r"do not fit|does not fit.*--labels"):
        changed(["0", "1"], {}, fix(0, "bad", "good"))
