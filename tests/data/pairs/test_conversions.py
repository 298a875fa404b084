"""Rows as other rows: nothing invented, nothing lost without a word, nothing quadratic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.pairs.conversions import convert
from tunesmith.data.pairs.formats import PairFormat, PairKind
from tunesmith.data.pairs.pair_classes import NamedClasses
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.table import Table
from tunesmith.errors import DataError

NLI = PairFormat("labelled_pair", ("premise", "hypothesis"), ("label",), "")
DUPLICATES = PairFormat("labelled_pair", ("question1", "question2"), ("is_duplicate",), "")
TEXTS = PairFormat("labelled_text", ("text",), ("label",), "")


def nli(*rows: tuple[Any, Any, Any]) -> Table:
    return table_from_frame(
        dict(zip(("premise", "hypothesis", "label"), map(list, zip(*rows, strict=True)), strict=True)), "rows"
    )


def renamed(table: Table) -> Table:
    return replace(table, columns=dict(zip(DUPLICATES.columns, table.columns.values(), strict=True)))


ROWS = nli(
    ("a man sleeps", "someone sleeps", "entailment"), ("a man sleeps", "a man runs", "contradiction"),
    ("a man sleeps", "he is tired", "neutral"), ("a dog barks", "an animal barks", "entailment"),
    ("a cat", None, "entailment"),
)  # fmt: skip


def test_nli_becomes_pairs_that_mean_the_same() -> None:
    made = convert(ROWS, NLI, "positive_pair")
    assert made.rows == (("a man sleeps", "someone sleeps"), ("a dog barks", "an animal barks"))
    assert made.left_out == {"without a text or a label": 1, "labelled contradiction": 1, "labelled neutral": 1}
    assert made.summary().startswith("2 rows of anchor + positive from 5 (1 without a text or a label; ")


def test_nli_becomes_triplets_with_contradictions_never_with_neutral_texts() -> None:
    made = convert(ROWS, NLI, "triplet")
    assert made.rows == (("a man sleeps", "someone sleeps", "a man runs"),)
    assert made.left_out["without a negative"] == 1


@pytest.mark.parametrize(("same", "other"), [(1, 0), (1.0, 0.0), ("duplicate", "no")])
def test_duplicates_become_triplets_with_what_is_labelled_different(same: object, other: object) -> None:
    rows = nli(("how old", "what age", same), ("how old", "how tall", other), ("what age", "how old", same))
    made = convert(renamed(rows), DUPLICATES, "triplet")
    assert made.rows == (("how old", "what age", "how tall"),)


def coded(coding: dict[str, object]) -> Table:
    labels = [coding[name] for name in ROWS.columns["label"]]
    return replace(ROWS, columns={**ROWS.columns, "label": labels})


@pytest.mark.parametrize(
    ("coding", "same", "different"), [((0, 1, 2), "0", "2"), ((1, 2, 0), "1", "0"), ((0.0, 1.0, 2.0), "0", "2")]
)
def test_nli_in_numbers_becomes_what_it_is_in_names(coding: tuple[float, ...], same: str, different: str) -> None:
    table = coded(dict(zip(("entailment", "neutral", "contradiction"), coding, strict=True)))
    for to in ("positive_pair", "triplet"):
        with pytest.raises(
            DataError, match=r"the classes are 0, 1, 2; .*0 entailment, 1 neutral, 2 contradiction.* embedding\.same: LABEL"
        ):
            convert(table, NLI, to)
    pairs = convert(table, NLI, "positive_pair", named=NamedClasses(same))
    assert pairs.rows == convert(ROWS, NLI, "positive_pair").rows
    with pytest.raises(DataError, match=r"which of them means a contradiction .*embedding\.different: LABEL"):
        convert(table, NLI, "triplet", named=NamedClasses(same))
    triplets = convert(table, NLI, "triplet", named=NamedClasses(same, different))
    assert triplets.rows == convert(ROWS, NLI, "triplet").rows


def test_rows_without_agreement_are_left_out_of_conversions() -> None:
    rows = nli(("a", "b", "entailment"), ("a", "c", "contradiction"), ("a", "d", "-"), ("a", "e", -1))
    made = convert(rows, NLI, "triplet")
    assert made.rows == (("a", "b", "c"),)
    assert (made.left_out["labelled -"], made.left_out["labelled -1"]) == (1, 1)


def test_tuples_become_a_triplet_for_each_negative() -> None:
    table = table_from_frame({"a": ["q", "r"], "p": ["x", "y"], "n1": ["1", "2"], "n2": ["3", "4"]}, "rows")
    made = convert(table, PairFormat("tuple", ("a", "p", "n1", "n2"), (), ""), "triplet")
    assert made.rows == (("q", "x", "1"), ("q", "x", "3"), ("r", "y", "2"), ("r", "y", "4"))


labelled = st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.sampled_from("xyz")), min_size=6, max_size=40)


@given(labelled, st.integers(1, 3), st.integers(0, 5))
@settings(max_examples=80, deadline=None)
def test_triplets_of_classes_are_right_and_as_many_as_texts(rows: list[tuple[str, str]], per_text: int, seed: int) -> None:
    # a text has the class it is seen with, so that "right" has a meaning
    texts = [f"{text} {label}" for text, label in rows]
    table = table_from_frame({"text": texts, "label": [label for _, label in rows]}, "rows")
    label_of = dict(zip(texts, (label for _, label in rows), strict=True))
    sizes = {name: sum(label == name for label in label_of.values()) for name in set(label_of.values())}
    usable = {name for name, size in sizes.items() if size > 1}
    if len(usable) < 2:
        with pytest.raises(DataError, match="no triplet row can be made"):
            convert(table, TEXTS, "triplet", seed, per_text)
        return
    made = convert(table, TEXTS, "triplet", seed, per_text)
    n_texts = sum(sizes[name] for name in usable)
    assert 0 < len(made.rows) <= per_text * n_texts
    assert {row[0] for row in made.rows} == {text for text, label in label_of.items() if label in usable}
    for anchor, positive, negative in made.rows:
        assert anchor != positive
        assert label_of[anchor] == label_of[positive] != label_of[negative]
    assert made == convert(table, TEXTS, "triplet", seed, per_text)


def test_a_large_class_is_not_paired_with_itself() -> None:
    table = table_from_frame({"text": [f"text {i}" for i in range(20_000)], "label": ["a"] * 20_000}, "rows")
    assert len(convert(table, TEXTS, "positive_pair").rows) == 20_000


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("scored_pair", "labelled pair rows cannot become scored pair rows. They can become: positive_pair, triplet"),
        ("labelled_text", "cannot become labelled text rows"),
    ],
)
def test_what_cannot_be_converted_is_an_error(to: PairKind, message: str) -> None:
    with pytest.raises(DataError, match=message):
        convert(ROWS, NLI, to)
