"""Changed inputs: what is left of a row, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tunesmith.data.table import Examples
from tunesmith.diagnosis.checks.input_variants import (
    NULL,
    describe,
    make_variant,
    n_words,
    variant_columns,
    without_each_word,
)

PAIRS = Examples(
    "train", "", [7, 8], ["A man, a plan!", "Nothing here"], [0, 1], ["A plan for the man", "Something else"],
    others={"title": ["Panama", None], "year": [1948, 2020]},
)  # fmt: skip
SINGLE = Examples("train", "", [7, 8, 9], ["don't panic now", "panic", "a b c d e f g h"], [0, 1, 1])


def test_one_side_of_a_pair() -> None:
    first, second = make_variant(PAIRS, "text_only"), make_variant(PAIRS, "pair_only")
    assert (first.texts, first.pairs) == (PAIRS.texts, None)
    assert (second.texts, second.pairs) == (PAIRS.pairs, None)
    assert second.row_ids == PAIRS.row_ids


def test_what_both_texts_share_and_the_null_input_where_they_share_nothing() -> None:
    shared = make_variant(PAIRS, "overlap_only")
    assert (shared.texts, shared.pairs) == (["a plan man", NULL], None)


def test_shuffled_words_are_the_same_words_and_the_same_order_for_a_seed() -> None:
    once, again, other = (make_variant(SINGLE, "shuffled_words", seed).texts for seed in (1, 1, 2))
    assert once == again != other
    assert [sorted(text.split()) for text in once] == [sorted(text.split()) for text in SINGLE.texts]
    assert once[2] != SINGLE.texts[2]
    both = make_variant(PAIRS, "shuffled_words", 3)
    assert both.pairs is not None
    assert sorted(both.pairs[0].split()) == sorted(["A", "plan", "for", "the", "man"])


def test_columns_are_joined_and_missing_cells_left_out() -> None:
    assert make_variant(PAIRS, "title+year").texts == ["Panama\n1948", "2020"]
    assert make_variant(PAIRS, "title").texts == ["Panama", NULL]
    assert variant_columns("title + year") == ("title", "year")
    assert describe("title + year") == "title and year alone"


def test_the_names_of_the_field_are_taken() -> None:
    assert variant_columns("hypothesis_only") == ()


def test_each_word_is_left_out_once() -> None:
    left, shorter = without_each_word(SINGLE, [0, 1], 2)
    assert [(word.row, word.side, word.place, word.word) for word in left] == [
        (0, "text", 0, "don't"), (0, "text", 1, "panic"), (1, "text", 0, "panic"),
    ]  # fmt: skip
    assert shorter.texts == ["panic now", "don't now", NULL]
    assert shorter.row_ids == [7, 7, 8]
    assert shorter.pairs is None


def test_of_a_pair_the_other_side_stays() -> None:
    left, shorter = without_each_word(replace(PAIRS, pairs=["A plan", "B"]), [1], 9)
    assert [word.side for word in left] == ["text", "text", "pair"]
    assert shorter.texts == ["here", "Nothing", "Nothing here"]
    assert shorter.pairs == ["B", "B", NULL]


@pytest.mark.parametrize(("rows", "position", "count"), [(SINGLE, 2, 8), (PAIRS, 0, 5)])
def test_the_words_of_the_longer_side_are_counted(rows: Examples, position: int, count: int) -> None:
    assert n_words(rows, position) == count
