from __future__ import annotations

import hashlib
import itertools
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.tables import examples, table
from tunesmith.data.checks.labelled import check_rows
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.near_duplicates import SearchedTexts
from tunesmith.data.normalise import normalise
from tunesmith.data.split import split_by_column, split_examples, spread_positions, take_shares
from tunesmith.data.table import BadRow, Examples, Labels, Table
from tunesmith.errors import DataError
from tunesmith.recipe.load import recipe_from_mapping


def many(labels: list[object], **more: object) -> Examples:
    texts = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(len(labels))]  # no two of them nearly the same
    return examples(texts, labels, **more)  # type: ignore[arg-type]


@st.composite
def rows(draw: st.DrawFn) -> Examples:
    n = draw(st.integers(12, 60))
    labels = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    texts = draw(
        st.lists(st.sampled_from([f"Text {i}!" for i in range(40)] + [f"text {i}" for i in range(40)]), min_size=n, max_size=n)
    )
    groups = draw(st.one_of(st.none(), st.lists(st.sampled_from([f"g{i}" for i in range(30)]), min_size=n, max_size=n)))
    return examples(texts, labels, groups=groups)


@settings(max_examples=150, deadline=None)
@given(made=rows(), share=st.floats(0.1, 0.6), seed=st.integers(0, 99))
def test_what_always_holds(made: Examples, share: float, seed: int) -> None:
    try:
        train, other = split_examples(made, share, seed)
    except DataError as error:
        assert "at least 2 are needed on both sides" in str(error)  # noqa: PT017
        return
    assert (train.split, other.split) == ("train", "validation")
    assert sorted(train.row_ids + other.row_ids) == made.row_ids
    assert train.row_ids == sorted(train.row_ids)
    assert other.row_ids == sorted(other.row_ids)
    assert not {normalise(text) for text in train.texts} & {normalise(text) for text in other.texts}
    if made.groups is not None:
        assert not set(train.groups or ()) & set(other.groups or ())
    again = split_examples(made, share, seed)
    assert (again[0].row_ids, again[1].row_ids) == (train.row_ids, other.row_ids)


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_variants_of_a_text_stay_on_one_side(share: float) -> None:
    """Else coin-flip labels of 200 texts with five variants each are predicted with accuracy 1.000."""
    bases = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(200)]
    made = examples([f"{base} {mark}" for base in bases for mark in "abcde"], [i % 2 for i in range(200) for _ in range(5)])
    train, other = split_examples(made, share, 0)
    assert not {text[:64] for text in train.texts} & {text[:64] for text in other.texts}
    assert len(other) == pytest.approx(1000 * share, abs=5)


@pytest.mark.parametrize(("n_words", "n_replaced", "with_original"), [(12, 1, False), (20, 2, False), (10, 1, True)])
def test_copies_with_other_words_stay_on_one_side(n_words: int, n_replaced: int, with_original: bool) -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randrange(3, 9))) for _ in range(3000)]

    def copies() -> list[str]:
        original = draw.choices(words, k=n_words)
        made = [list(original) for _ in range(5)]
        for copy in made[with_original:]:
            for place in draw.sample(range(n_words), n_replaced):
                copy[place] = draw.choice(words)
        return [" ".join(copy) for copy in made]

    made = examples([text for _ in range(200) for text in copies()], [i % 2 for i in range(200) for _ in range(5)])
    train, test = split_examples(made, 0.2, 0)
    origins = {row_id // 5 for row_id in train.row_ids}
    assert sum(row_id // 5 in origins for row_id in test.row_ids) <= 4  # of 200; those of the shortest words
    assert len(test) == pytest.approx(200, abs=5)


def test_texts_of_one_template_do_not_prevent_a_split() -> None:
    """Near-duplicates would link all rows into one set."""
    made = examples(
        [f"Please book flight {i} from Oslo to Rome for me and my family, thank you." for i in range(300)], [0, 1] * 150
    )
    train, other = split_examples(made, 0.1, 0)
    assert (len(train), len(other)) == (270, 30)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_classes_keep_their_shares_to_the_row(share: float) -> None:
    train, other = split_examples(many([0] * 600 + [1] * 300 + [2] * 100), share, 0)
    assert Counter(other.labels) == {0: 600 * share, 1: 300 * share, 2: 100 * share}
    assert len(train) + len(other) == 1000


def test_rounding_loses_no_row() -> None:
    _, other = split_examples(many([i % 7 for i in range(100)]), 0.1, 0)
    assert len(other) == 10
    assert set(other.labels) == set(range(7))


def test_rare_classes_are_on_both_sides_and_a_single_row_is_trained_on() -> None:
    train, other = split_examples(many([0] * 100 + [1] * 2 + [2]), 0.1, 0)
    assert Counter(other.labels)[1] == Counter(train.labels)[1] == 1
    assert 2 not in other.labels


def test_another_seed_or_name_is_another_split() -> None:
    made = many([0, 1] * 100)
    drawn = [
        split_examples(made, 0.2, seed, name)[1].row_ids for seed, name in ((0, "validation"), (1, "validation"), (0, "test"))
    ]
    assert len({tuple(ids) for ids in drawn}) == 3


def test_every_row_is_drawn_equally_often() -> None:
    """Duplicates are units of two rows; they must be drawn neither more nor less often than single rows."""
    made = examples([f"text {i}" for i in range(40)] + [f"TEXT {i}" for i in range(10)], [0, 1] * 25)
    drawn = Counter(i for seed in range(400) for i in split_examples(made, 0.2, seed)[1].row_ids)
    in_twos = np.mean([drawn[i] for i in [*range(10), *range(40, 50)]]) / 400
    single = np.mean([drawn[i] for i in range(10, 40)]) / 400
    assert in_twos == pytest.approx(0.2, abs=0.04)
    assert single == pytest.approx(0.2, abs=0.04)


def test_groups_of_many_rows_come_near_the_share() -> None:
    made = many([i % 2 for i in range(1000)], groups=[f"g{i // 20}" for i in range(1000)])
    train, other = split_examples(made, 0.2, 3)
    assert 160 <= len(other) <= 240
    assert not set(train.groups or ()) & set(other.groups or ())


def test_a_class_of_few_groups_is_on_both_sides() -> None:
    made = many([0] * 100 + [1] * 6, groups=[f"g{i}" for i in range(100)] + ["x"] * 3 + ["y"] * 3)
    train, other = split_examples(made, 0.1, 0)
    assert Counter(other.labels)[1] == Counter(train.labels)[1] == 3


def test_scores_are_divided_by_their_deciles() -> None:
    scores = np.random.default_rng(0).gamma(2.0, size=1000).tolist()
    train, other = split_examples(many(scores), 0.1, 0)
    assert len(other) == 100
    np.testing.assert_allclose(
        np.quantile(other.labels, [0.25, 0.5, 0.75]), np.quantile(train.labels, [0.25, 0.5, 0.75]), rtol=0.15
    )


def test_several_labels_keep_their_shares() -> None:
    rng = np.random.default_rng(0)
    labels = [tuple(int(x) for x in rng.random(4) < [0.5, 0.2, 0.1, 0.02]) for _ in range(1000)]
    train, other = split_examples(many(labels), 0.2, 0)
    assert 180 <= len(other) <= 220
    for k in range(4):
        assert sum(label[k] for label in other.labels) == pytest.approx(0.2 * sum(label[k] for label in labels), rel=0.15, abs=1)
    assert len(train) + len(other) == 1000


def test_dropped_rows_stay_with_train() -> None:
    made = many([0, 1] * 20, bad_rows=(BadRow(40, None, "text is empty"),))
    train, other = split_examples(made, 0.1, 0)
    assert (train.rows_read, other.rows_read) == (37, 4)
    assert (len(train.bad_rows), len(other.bad_rows)) == (1, 0)


def test_too_few_rows() -> None:
    with pytest.raises(
        DataError, match=r"A validation fraction of 0\.1 of 5 rows gives 1 row; at least 2 are needed on both sides\."
    ):
        split_examples(many([0] * 5), 0.1, 0)
    with pytest.raises(DataError) as caught:
        split_examples(many([0, 1] * 20, groups=["one"] * 40), 0.1, 0)
    assert str(caught.value) == (
        "table: A validation fraction of 0.1 of 40 rows gives 0 rows; at least 2 are needed on both sides. "
        "The largest group of rows that must stay together has 40. "
        "Give more rows, another fraction, or a file of its own (data.validation)."
    )


def split_table(words: list[object]) -> Table:
    return table(text=[f"t {i}" for i in range(len(words))], split=words)


def test_split_column() -> None:
    parts = split_by_column(split_table(["train", "dev", "TEST", "", "training"]), "split")
    assert {split: part.row_ids for split, part in parts.items()} == {"train": [0, 4], "validation": [1], "test": [2]}
    assert [(row.row_id, row.reason) for row in parts["train"].bad_rows] == [(3, "no split named")]
    assert sum(part.rows_read for part in parts.values()) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "north", "test"], "table: The split column 'split' holds words that are not names of splits: "
                                     "'north' in row 1. "
                                     "Use train, validation and test, or remove the column from the recipe."),
        (["dev", "test"], "table: The split column 'split' marks no row as train. Use train, validation and test."),
    ],
)  # fmt: skip
def test_split_column_with_other_words(words: list[object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        split_by_column(split_table(words), "split")
    assert str(caught.value) == message


@given(n_rows=st.integers(0, 200), count=st.integers(0, 220))
def test_spread_positions_ascend_from_the_first_row_and_leave_even_gaps(n_rows: int, count: int) -> None:
    positions = spread_positions(n_rows, count)
    assert len(positions) == min(n_rows, count)
    assert positions[:1] in ([], [0])
    gaps = {after - before for before, after in itertools.pairwise([*positions, n_rows])} if positions else {1}
    assert min(gaps) >= 1
    assert max(gaps) - min(gaps) <= 1


def test_shares_are_of_all_training_rows_and_leave_given_splits_alone() -> None:
    recipe = recipe_from_mapping({"task": "classification", "data": {"train": "t.csv", "validation": 0.2, "test": 0.3}}, "recipe")
    splits = {"train": many([0, 1] * 50)}
    take_shares(splits, recipe, Path(), split_examples, [])
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 50, "test": 30, "validation": 20}
    assert {name: rows.split for name, rows in splits.items()} == {name: name for name in splits}
    given_test = {"train": many([0, 1] * 50), "test": many([0, 1], split="test")}
    take_shares(given_test, recipe, Path(), split_examples, [])
    assert {name: len(rows) for name, rows in given_test.items()} == {"train": 80, "test": 2, "validation": 20}


def test_shares_that_leave_no_training_row_are_an_error() -> None:
    recipe = recipe_from_mapping({"task": "classification", "data": {"train": "t.csv", "validation": 0.6}}, "recipe")
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"test": 0.5})})
    with pytest.raises(DataError, match=r"t\.csv: The fractions for validation and test leave no training row"):
        take_shares({"train": many([0, 1] * 50)}, recipe, Path(), split_examples, [])


@pytest.mark.parametrize(("n_rows", "n_test"), [(198, 0), (200, 40), (1000, 200), (8000, 1000)])
def test_test_rows_are_held_out_by_default_where_they_suffice(n_rows: int, n_test: int) -> None:
    recipe = recipe_from_mapping({"task": "classification", "data": {"train": "t.csv"}}, "recipe")
    splits, notes = {"train": many([0, 1] * (n_rows // 2))}, list[str]()
    take_shares(splits, recipe, Path(), split_examples, notes)
    assert len(splits.get("test", ())) == n_test
    assert len(notes) == (n_test > 0)
    assert sum(map(len, splits.values())) == n_rows
    none = {"train": many([0, 1] * (n_rows // 2))}
    data = recipe.data.model_copy(update={"test": None})
    take_shares(none, recipe.model_copy(update={"data": data}), Path(), split_examples, notes)
    assert "test" not in none


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(60, 300))
def test_shares_and_leaks_are_those_of_separate_searches(seed: int, n: int) -> None:
    draw = random.Random(seed)
    texts = [f"the {draw.choice('abcdefghij')}{draw.randrange(40)} of a template that all of these rows have" for _ in range(n)]
    texts[::3] = [" ".join(draw.choices("abcdefgh", k=30)) for _ in texts[::3]]
    made = Examples("train", "rows.csv", list(range(n)), texts, [i % 3 for i in range(n)])
    sections = {"data": {"train": "rows.csv", "validation": 0.2, "test": 0.2}, "train": {"seed": seed}}
    recipe = recipe_from_mapping({"task": "classification", **sections}, "recipe")
    searched, splits = SearchedTexts(), {"train": made}
    take_shares(splits, recipe, Path(), split_examples, [], searched)
    rest, test = split_examples(made, 0.2, seed, "test")
    train, validation = split_examples(rest, 0.2 * n / len(rest), seed, "validation")
    assert splits == {"train": train, "validation": validation, "test": test}
    labels = Labels(SINGLE, ("a", "b", "c"))
    assert check_rows(train, validation, test, labels, searched) == check_rows(train, validation, test, labels)
