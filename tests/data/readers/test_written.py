"""Csv files that tunesmith wrote are read back as they were; the quotes of other files stay."""

from __future__ import annotations

import pytest

from tests.data.tables import payload
from tunesmith.data.readers.read import parse_table


@pytest.mark.parametrize("header", ["row_id,prediction,text", "row_id,id,prediction", "row_id,prediction,'=text"])
def test_files_of_predictions_are_read_as_they_were_before_they_were_written(header: str) -> None:
    table = parse_table(payload(f"{header}\n0,'=1+1,''@x\n1,b,it's\n2,-1,'plain\n"))
    first, second, third = table.columns
    assert (first, third) == ("row_id", header.rpartition(",")[2].removeprefix("'"))
    assert table.columns[second] == ["=1+1", "b", "-1"]
    assert table.columns[third] == ["'@x", "it's", "'plain"]


def test_quotes_in_files_of_others_stay() -> None:
    cells = parse_table(payload("id,prediction,text\n0,'=1+1,'@x\n1,b,c\n")).columns
    assert (cells["prediction"], cells["text"]) == (["'=1+1", "b"], ["'@x", "c"])
