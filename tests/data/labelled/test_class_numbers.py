"""Labels of two files that write the same classes in different ways."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.tables import TEXT_LABEL, table
from tunesmith.data.labelled.class_numbers import aligned
from tunesmith.data.labelled.labels import class_name, encode, infer_labels
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.read import read_table


def encoded(train: list[Any], other: list[Any]) -> tuple[list[Any], list[str]]:
    """The class ids of another file's labels, and the notes."""
    labels, notes = infer_labels(train * 8, "classification"), list[str]()
    rows = aligned(table(text=["t"] * len(other), label=other), TEXT_LABEL, labels, notes)
    return encode(rows.columns["label"], labels)[0], notes


@pytest.mark.parametrize(
    ("train", "other", "pairs"),
    [
        ([False, True], ["0", "1"], "0 is False, 1 is True"),
        ([False, True], ["0", "1.0"], "0 is False, 1 is True"),
        (["0", "1"], [False, True], "False is 0, True is 1"),
        (["FALSE", "TRUE"], [0, 1], "0 is FALSE, 1 is TRUE"),
        ([0, 1], ["false", "True"], "True is 1, false is 0"),
        (["1,5", "2,0"], [1.5, 2.0], "1.5 is 1,5, 2 is 2,0"),
        ([1.5, 2.0], ["1,5", "2,0"], "1,5 is 1.5, 2,0 is 2"),
    ],
)
def test_another_notation_is_aligned_with_a_note(train: list[Any], other: list[Any], pairs: str) -> None:
    ids, (note,) = encoded(train, other)
    assert ids == [0, 1]
    assert note.endswith(f"is aligned: {pairs}.")


@pytest.mark.parametrize(
    ("train", "other"),
    [
        (["1,0", "2,0"], ["1", "2"]),  # may be two labels each
        (["1,5", "2,0"], ["1.5", "3.0"]),
        (["1,500", "2,000"], ["1500.0", "2000.5"]),
        (["true", "false", "maybe"], ["1", "0"]),
        (["0", "1", "2"], ["true", "false"]),
    ],
)
def test_what_fits_two_readings_is_left_as_it_is(train: list[Any], other: list[Any]) -> None:
    ids, notes = encoded(train, other)
    assert (None in ids, notes) == (True, [])


def test_true_in_another_case_needs_no_note() -> None:
    assert encoded([False, True], ["false", "TRUE"]) == ([0, 1], [])


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_numbers_of_low_precision_are_their_shortest_decimals(kind: str, tmp_path: Any) -> None:
    numbers = np.array([0.1, 0.2, 1e-3], dtype=kind)
    column = pa.array(numbers)
    pq.write_table(pa.table({"label": column}), tmp_path / "rows.parquet")
    frames = (pd.DataFrame({"label": numbers}), {"label": numbers}, {"label": list(numbers)}, pa.table({"label": column}))
    for rows in (read_table(tmp_path / "rows.parquet"), *map(table_from_frame, frames)):
        assert rows.columns["label"] == [0.1, 0.2, 0.001]
    assert table_from_frame(pd.DataFrame({"label": [0.1, None]}, dtype="Float32")).columns["label"] == [0.1, None]


def test_numbers_of_low_precision_in_a_dataset() -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"x": [0.1]}, features=datasets.Features({"x": datasets.Value("float32")}))
    assert table_from_frame(rows).columns["x"] == [0.1]


def test_times_at_midnight_are_dates() -> None:
    days, text = [datetime.datetime(2020, 1, 1), datetime.datetime(2021, 1, 1)], ["2020-01-01", "2021-01-01"]
    for other in (days, pd.to_datetime(text).tolist(), [day.isoformat() for day in days], [str(day) for day in days], text):
        assert encoded(text, other) == ([0, 1], [])
        assert encoded(other, text) == ([0, 1], [])
    assert class_name(days[0]) == "2020-01-01"
    assert class_name(datetime.datetime(2020, 1, 1, 12)) == "2020-01-01 12:00:00"
