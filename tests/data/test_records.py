from __future__ import annotations

from tests.data.tables import examples
from tunesmith.data.records import SplitData, sample_rows, split_record
from tunesmith.data.table import BadRow, Examples


def test_splits_are_named_and_their_rows_add_up() -> None:
    bad = (BadRow(3, None, "text is empty"), BadRow(4, None, "text was a number", dropped=False))
    train = examples(["a", "b", "c"], [0, 1, 0], bad_rows=bad, rows_read=4)
    data: SplitData[Examples] = SplitData(train, None, examples(["c"], [0], split="test"))
    assert list(data.named()) == ["train", "test"]
    record = split_record(sample_rows(sample_rows(train, [0, 2]), [1]), {"own": 1})
    counts = {name: record[name] for name in ("rows_read", "rows", "dropped", "not_sampled", "own")}
    assert counts == {"rows_read": 4, "rows": 1, "dropped": {"text is empty": 1}, "not_sampled": 2, "own": 1}
    assert split_record(data.named()["test"], {})["not_sampled"] == 0
