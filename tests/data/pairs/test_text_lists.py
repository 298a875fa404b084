"""Rows whose positives and negatives are lists of texts, as FlagEmbedding writes them."""

from __future__ import annotations

from typing import Any

from tests.data.tables import table
from tunesmith.data.pairs.conversions import convert
from tunesmith.data.pairs.formats import detect_pair_format
from tunesmith.data.pairs.rows import usable_rows
from tunesmith.data.pairs.text_lists import divide_text_lists
from tunesmith.data.table import Table

N = 12


def divided(neg: list[Any]) -> tuple[Table, str]:
    query, pos = [f"who asks for {i}" for i in range(N)], [[f"they say {i}"] for i in range(N)]
    return divide_text_lists(table(query=query, pos=pos, neg=neg))


def test_empty_lists_in_every_row_are_no_negatives() -> None:
    for empty in ([[] for _ in range(N)], ["[]"] * N):
        rows, note = divided(empty)
        assert list(rows.columns) == ["query", "pos"]
        assert "12 rows from 12; neg is an empty list in every row, so there are no negatives." in note
        assert len(usable_rows(rows, detect_pair_format(rows), "train")) == N


def test_rows_with_an_empty_list_are_counted_and_a_conversion_uses_them() -> None:
    rows, note = divided([[], ["not that"], "nor this"] * 4)
    assert "4 rows have no negatives (neg is empty) and cannot be a triplet; embedding.convert: positive_pair uses" in note
    row_format = detect_pair_format(rows)
    assert usable_rows(rows, row_format, "train").left_out == {"without a negative": (0, 3, 6, 9)}
    assert rows.columns["neg"][:3] == [None, "not that", "nor this"]
    assert len(convert(rows, row_format, "positive_pair").rows) == N
