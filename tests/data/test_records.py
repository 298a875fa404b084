from __future__ import annotations

from tests.data.tables import examples
from tunesmith.data.records import SplitData, split_record
from tunesmith.data.table import BadRow, Examples


def test_splits_are_named_and_their_rows_add_up() -> None:
    bad = (BadRow(3, None, "text is empty"), BadRow(4, None, "text was a number", dropped=False))
    train = examples(["a", "b"], [0, 1], bad_rows=bad)
    data: SplitData[Examples] = SplitData(train, None, examples(["c"], [0], split="test"), not_sampled=7)
    assert list(data.named()) == ["train", "test"]
    record = split_record(train, data, {"own": 1})
    assert (record["rows"], record["dropped"], record["not_sampled"], record["own"]) == (2, {"text is empty": 1}, 7, 1)
    assert split_record(data.named()["test"], data, {})["not_sampled"] == 0
