"""Small tables for the tests of this folder."""

from __future__ import annotations

from typing import Any

from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.payload import Payload
from tunesmith.data.table import Columns, Examples, Table


def table(**columns: list[Any]) -> Table:
    return table_from_frame(columns, "table")


def payload(data: bytes | str, suffix: str = ".csv") -> Payload:
    return Payload("file" + suffix, data.encode() if isinstance(data, str) else data, suffix, "0" * 64)


def examples(texts: list[str], labels: list[Any], split: str = "train", **more: Any) -> Examples:
    return Examples(split, "table", list(range(len(texts))), texts, labels, **{"rows_read": len(texts), **more})


TEXT_LABEL = Columns(text="text", label=("label",))
