"""Rows whose positives and negatives are lists of texts, as FlagEmbedding writes them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.data.tables import table
from tunesmith.data.pairs.conversions import convert
from tunesmith.data.pairs.formats import detect_pair_format
from tunesmith.data.pairs.rows import usable_rows
from tunesmith.data.pairs.text_lists import divide_text_lists
from tunesmith.data.table import Table
from tunesmith.errors import DataError

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


def test_passages_with_a_title_are_texts() -> None:
    query = [f"who asks for {i}" for i in range(N)]
    good = [[{"docid": f"{i}", "title": "Says", "text": f"they say {i}"}] for i in range(N)]
    bad = [[{"text": "not that"}, {"title": None, "text": "nor this"}]] * N
    for names in (("pos", "neg"), ("positive_passages", "negative_passages"), ("positive_ctxs", "hard_negative_ctxs")):
        rows, note = divide_text_lists(table(**{"query": query, names[0]: good, names[1]: bad}))
        row_format = detect_pair_format(rows)
        assert (row_format.kind, row_format.texts) == ("tuple", ("query", names[0], f"{names[1]}_1", f"{names[1]}_2"))
        assert [rows.columns[name][0] for name in row_format.texts[1:]] == ["Says they say 0", "not that", "nor this"]
        assert "FlagEmbedding, Tevatron and DPR: 12 rows from 12" in note


def test_lists_of_anything_else_are_refused() -> None:
    for cell in ([{"docid": "7"}], [7], [["text"]]):
        rows, _ = divide_text_lists(table(query=[f"who asks for {i}" for i in range(N)], pos=[cell] * N))
        with pytest.raises(DataError, match="'pos' holds lists that are neither texts nor objects with a text, such as"):
            detect_pair_format(rows)


def test_missing_texts_of_a_list_are_left_out() -> None:
    rows, note = divided([["not that", None], [None, "nor this"], [None], [float("nan"), "no", " "]] * 3)
    assert rows.columns["neg"][:4] == ["not that", "nor this", None, "no"]
    assert "3 rows have no negatives (neg is empty)" in note
    rows, note = divided(['["not that", null]', '["no"]'] * 6)
    assert rows.columns["neg"][:2] == ["not that", "no"]
    query = [f"who asks for {i}" for i in range(N)]
    rows, _ = divide_text_lists(table(query=query, pos=[[None, f"they say {i}"] for i in range(N)]))
    assert rows.columns["pos"] == [f"they say {i}" for i in range(N)]


def test_a_broken_list_costs_its_row_and_lists_beside_a_positive_are_no_texts() -> None:
    query, answer = [f"who asks for {i}" for i in range(N)], [f"they say {i}" for i in range(N)]
    assert detect_pair_format(table(query=query, answer=answer, pos=[[3, 4]] * N)).texts == ("query", "answer")
    rows = table(query=query, positive=answer, negative=[*[f"not {i}" for i in range(N - 1)], [1, 2]])
    with pytest.raises(DataError, match="negative"):
        usable_rows(rows, detect_pair_format(rows), "train")


def test_a_cell_among_lists_that_is_no_list_of_texts_is_named_and_empty() -> None:
    rows, note = divided([*[[f"not {i}"] for i in range(N - 2)], [3], {"a": 1}])
    assert rows.columns["neg"][-3:] == [f"not {N - 3}", None, None]
    assert f"neg is neither a text nor a list of texts in 2 rows, first row {N - 2}, and counts as empty there" in note
    assert list(usable_rows(rows, detect_pair_format(rows), "train").row_ids) == list(range(N - 2))


def test_the_example_of_a_refusal_is_a_list_that_is_no_text() -> None:
    rows, _ = divided([["not that"], [3], [4]] * 4)
    with pytest.raises(DataError, match=r"such as '?\[3\]"):
        detect_pair_format(rows)
