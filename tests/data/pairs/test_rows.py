"""The usable rows of an embedding data set: what is left out and why, targets, and fair splits."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tunesmith.data.pairs.formats import PairFormat, detect_pair_format
from tunesmith.data.pairs.rows import EmbeddingRows, split_embedding_rows, usable_rows
from tunesmith.data.table import Table
from tunesmith.errors import DataError


def table(**columns: list[Any]) -> Table:
    n = len(next(iter(columns.values())))
    return Table("rows.csv", columns, [10 + i for i in range(n)], rows_read=n)


def rows_of(given: dict[str, str] | None = None, score_range: list[float] | None = None, **columns: list[Any]):
    found = table(**columns)
    return usable_rows(found, detect_pair_format(found, given or {}), "train", score_range=score_range)


def test_rows_without_a_text_or_with_the_answer_as_negative_are_left_out() -> None:
    rows = rows_of(
        anchor=["who", " ", "why", None, "when"],
        positive=["he", "b", "so", "d", "now"],
        negative=["she", "c", "so", "e", "later"],
    )
    assert rows.row_ids == (10, 14)
    assert rows.sides == (("who", "when"), ("he", "now"), ("she", "later"))
    assert rows.left_out == {"without a text": (11, 13), "with a negative equal to the positive": (12,)}


def test_rows_labelled_minus_one_are_left_out_and_numbers_are_names() -> None:
    texts = [f"a man walks {i}" for i in range(12)]
    rows = rows_of(premise=texts, hypothesis=[f"he {text}" for text in texts], label=[0.0, -1, 2.0, 0.0] * 3)
    assert rows.target == ("0", "2", "0") * 3
    assert rows.classes == ("0", "2")
    assert rows.left_out == {"labelled -1": (11, 15, 19)}


def test_scores_become_a_share_of_their_range() -> None:
    columns: dict[str, list[Any]] = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "score": ["2.5", 5]}
    parts = {"text": "sentence1", "pair": "sentence2", "score": "score"}
    assert rows_of(parts, **columns).target == (2.5, 5.0)
    assert rows_of(parts, [0, 5], **columns).target == (0.5, 1.0)
    with pytest.raises(DataError, match="row 11: the score 5 is outside 0 to 4"):
        rows_of(parts, [0, 4], **columns)
    with pytest.raises(DataError, match="row 10: the score 'x' is no number"):
        rows_of(parts, **columns | {"score": ["x", 1]})


def test_a_teacher_may_give_a_list_or_several_columns() -> None:
    texts: dict[str, list[Any]] = {"anchor": ["a", "b"], "positive": ["c", "d"], "negative": ["e", "f"]}
    parts = {part: part for part in texts}
    assert rows_of(parts | {"score": "score"}, **texts, score=[[1, 2], [3, 4]]).target == ((1.0, 2.0), (3.0, 4.0))
    several = usable_rows(
        made := table(**texts, score_1=[1, 2], score_2=[3, 4]),
        detect_pair_format(made, {**parts, "score": ["score_1", "score_2"]}),
        "train",
    )
    assert several.target == ((1.0, 3.0), (2.0, 4.0))
    with pytest.raises(DataError, match="row 11: it has 1 number in score; the first row has 2"):
        rows_of(parts | {"score": "score"}, **texts, score=[[1, 2], [3]])


def test_a_split_keeps_rows_with_one_anchor_together() -> None:
    rows = rows_of(anchor=[f"question {i // 3}" for i in range(60)], positive=[f"answer {i}" for i in range(60)])
    rest, other = split_embedding_rows(rows, 0.2, 0, "validation")
    assert not set(rest.sides[0]) & set(other.sides[0])
    assert sorted((*rest.row_ids, *other.row_ids)) == list(rows.row_ids)
    assert 9 <= len(other) <= 15
    assert (other.split, rest.split) == ("validation", "train")
    assert split_embedding_rows(rows, 0.2, 0, "validation")[1].row_ids == other.row_ids
    assert split_embedding_rows(rows, 0.2, 1, "validation")[1].row_ids != other.row_ids


def test_rows_without_a_group_are_groups_of_their_own() -> None:
    made = table(anchor=["who", "why", "when"], positive=["he", "so", "now"], user=[None, "u", None])
    rows = usable_rows(made, detect_pair_format(made, {"anchor": "anchor", "positive": "positive"}), "train", group="user")
    assert rows.groups == ("row 10 without a group", "u", "row 12 without a group")


def test_a_pair_and_the_same_pair_in_the_other_order_stay_together() -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=12)) for _ in range(120)]
    firsts, seconds = words[:60], words[60:]
    shape = PairFormat("scored_pair", ("sentence1", "sentence2"), ("score",), "")
    sides = (tuple(firsts + seconds), tuple(seconds + firsts))
    rows = EmbeddingRows("train", "a.csv", tuple(range(120)), shape, sides, (0.5,) * 120)
    rest, other = split_embedding_rows(rows, 0.2, 0, "validation")
    assert len(other) == 24
    assert not {i % 60 for i in rest.row_ids} & {i % 60 for i in other.row_ids}
