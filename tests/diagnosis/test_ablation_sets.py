"""The training sets that corrections are measured with, and the rows that no variant touches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tunesmith.data.corrections.changes import LabelChanges, find_changes
from tunesmith.data.corrections.corrections_csv import Correction
from tunesmith.data.labelled.load import LabelledData, load_labelled_data
from tunesmith.data.readers.read import read_file
from tunesmith.data.table import Examples, Table
from tunesmith.diagnosis.ablation_sets import FileChanges, Variant, count_corrections, make_holdout, make_variants, random_rows
from tunesmith.errors import DataError
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.sections import Recipe

NAMES = "abc"


def fix(row_id: int, new: str = "", old: str = "", sha256: str = "") -> Correction:
    given = old or NAMES[row_id % 3]
    return Correction(row_id, "train", given, new, 0.0, action="relabel" if new else "remove", source_sha256=sha256)


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., tuple[LabelledData, Table, Recipe]]:
    """A function that writes 60 rows of three classes and reads them by a recipe with these sections."""
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "".join(f"text number {i},{NAMES[i % 3]}\n" for i in range(60)), encoding="utf-8")

    def read(train: dict[str, object] | None = None, **data: object) -> tuple[LabelledData, Table, Recipe]:
        recipe = recipe_from_mapping({"data": {"train": str(path), "validation": 0.2, **data}, "train": train or {}})
        return load_labelled_data(recipe, tmp_path), read_file(path, str(path)), recipe

    return read


def variants_of(splits: LabelledData, table: Table, changes: LabelChanges, recipe: Recipe) -> tuple[Variant, ...]:
    return make_variants(splits, FileChanges.of(splits, table, changes, {}), recipe)


def made(rows: tuple[LabelledData, Table, Recipe], corrections: list[Correction]) -> dict[str, Variant]:
    splits, table, recipe = rows
    return {v.name: v for v in variants_of(splits, table, find_changes(corrections, table, "label"), recipe)}


def labelled(train: Examples) -> dict[int, int]:
    return dict(zip(train.row_ids, train.labels, strict=True))


def other(row_id: int) -> str:
    return NAMES[(row_id + 1) % 3]


def test_the_four_training_sets(rows) -> None:
    read = rows({"n_seeds": 3})
    train = read[0].train
    relabelled, gone = train.row_ids[3:7], train.row_ids[10:12]
    found = made(read, [*(fix(i, other(i)) for i in relabelled), *(fix(i) for i in gone)])
    given = labelled(train)
    assert list(found) == ["as_given", "corrected", "removed", "random_removed"]
    assert all(len(variant.trains) == 3 for variant in found.values())
    assert labelled(found["as_given"].trains[0]) == given
    corrected = labelled(found["corrected"].trains[0])
    assert corrected == {i: (label + 1) % 3 if i in relabelled else label for i, label in given.items() if i not in gone}
    assert labelled(found["removed"].trains[0]) == {i: k for i, k in given.items() if i not in {*relabelled, *gone}}
    draws = [labelled(draw) for draw in found["random_removed"].trains]
    assert all(len(draw) == len(given) - 6 and draw.items() <= given.items() for draw in draws)
    assert draws[0] != draws[1] != draws[2] != draws[0]
    assert draws == [labelled(draw) for draw in made(read, [fix(i) for i in (*relabelled, *gone)])["random_removed"].trains]


def test_texts_stay_with_their_rows(rows) -> None:
    read = rows()
    row = read[0].train.row_ids[5]
    for variant in made(read, [fix(row, other(row))]).values():
        assert all(text == f"text number {i}" for i, text in zip(variant.trains[0].row_ids, variant.trains[0].texts, strict=True))


def test_corrections_that_all_remove_make_no_second_removal(rows) -> None:
    read = rows()
    found = made(read, [fix(i) for i in read[0].train.row_ids[:4]])
    assert list(found) == ["as_given", "corrected", "random_removed"]
    assert len(found["corrected"].trains[0]) == len(read[0].train) - 4


def test_rows_that_select_and_evaluate_stay_as_they_are(rows) -> None:
    splits, table, recipe = rows(test=0.2)
    in_train, selecting, evaluated = splits.train.row_ids[0], splits.validation.row_ids[:3], splits.test.row_ids[:2]
    corrections = [fix(i, other(i)) for i in (in_train, *selecting, *evaluated)]
    changes = find_changes(corrections, table, "label")
    held = make_holdout(splits, corrections, table.sha256)
    assert held.split == "test"
    assert labelled(held.evaluation) == labelled(splits.test)
    assert [held.evaluation.row_ids[i] for i in np.flatnonzero(held.disputed)] == evaluated
    assert labelled(held.selection) == {i: k for i, k in labelled(splits.validation).items() if i not in selecting}
    trains = [set(v.trains[0].row_ids) for v in variants_of(splits, table, changes, recipe)]
    assert not any(train & {*splits.validation.row_ids, *splits.test.row_ids} for train in trains)
    places = count_corrections(splits, FileChanges.of(splits, table, changes, {}))
    assert (places.train, places.validation, places.test, places.unused) == (1, 3, 2, 0)


def test_without_test_rows_the_validation_rows_evaluate(rows) -> None:
    splits, table, _ = rows()
    row = splits.validation.row_ids[1]
    held = make_holdout(splits, [fix(row, other(row))], table.sha256)
    assert (held.split, held.evaluation.split, held.selection.split) == ("validation", "test", "validation")
    assert held.evaluation.row_ids == splits.validation.row_ids
    assert row not in held.selection.row_ids


def test_a_correction_of_another_file_is_none_of_this_one(rows) -> None:
    splits, table, _ = rows()
    held = make_holdout(splits, [fix(splits.validation.row_ids[0], "a", sha256="0" * 64)], table.sha256)
    assert not held.disputed.any()


def test_rows_that_are_not_sampled_are_counted(rows) -> None:
    splits, table, recipe = rows(max_rows=20)
    held = {*splits.train.row_ids, *splits.validation.row_ids}
    unused = next(i for i in range(60) if i not in held)
    changes = find_changes([fix(unused, other(unused))], table, "label")
    assert count_corrections(splits, FileChanges.of(splits, table, changes, {})).unused == 1
    with pytest.raises(DataError, match="None of the corrections is of a row that the recipe trains on"):
        variants_of(splits, table, changes, recipe)


def test_the_last_row_of_a_class_is_not_drawn_while_there_are_others() -> None:
    train = Examples("train", "", list(range(12)), [""] * 12, [0] * 9 + [1, 1, 2])
    for seed in range(30):
        left = {label for i, label in enumerate(train.labels) if i not in random_rows(train, 9, seed)}
        assert left == {0, 1, 2}
    assert len(set(random_rows(train, 11, 0))) == 11


def test_any_row_may_be_drawn_and_about_equally_often() -> None:
    train = Examples("train", "", list(range(40)), [""] * 40, [i % 2 for i in range(40)])
    drawn = np.bincount([i for seed in range(400) for i in random_rows(train, 10, seed)], minlength=40)
    assert drawn.sum() == 4_000
    assert 65 < drawn.min() <= drawn.max() < 140


def test_what_cannot_be_measured_is_an_error(rows) -> None:
    read = rows()
    splits, table, recipe = read
    train, validation = splits.train, splits.validation
    all_of_a = [i for i in train.row_ids if i % 3 == 0]
    cases = [
        ([fix(i, other(i)) for i in validation.row_ids], "there is nothing to measure"),
        ([fix(i, "b") for i in all_of_a], "Correcting leaves no training row of 'a'"),
        ([fix(all_of_a[0], "b"), *(fix(i) for i in all_of_a[1:])], "Correcting leaves no training row of 'a'"),
        ([fix(train.row_ids[0], "new")], f"proposes labels that no training row has: 'new' for row {train.row_ids[0]}"),
    ]
    for corrections, message in cases:
        with pytest.raises(DataError) as caught:
            made(read, corrections)
        assert message in str(caught.value)
    changes = find_changes([fix(train.row_ids[0], other(train.row_ids[0]))], table, "label")
    with pytest.raises(DataError, match="not on this file"):
        variants_of(splits, replace(table, sha256="0" * 64), changes, recipe)
    with pytest.raises(DataError, match="reads this file in another way"):
        variants_of(replace(splits, train=replace(train, labels=[*train.labels[1:], 0])), table, changes, recipe)
    with pytest.raises(DataError, match="column 'topic', the recipe predicts label"):
        variants_of(splits, table, replace(changes, column="topic"), recipe)
    with pytest.raises(DataError, match="All but 1 of the validation rows have corrections"):
        make_holdout(splits, [fix(i) for i in validation.row_ids[1:]], table.sha256)


def test_removing_may_empty_a_class_that_correcting_leaves(rows) -> None:
    read = rows()
    ids = read[0].train.row_ids
    swapped = [fix(i, "b" if i % 3 == 0 else "a") for i in ids if i % 3 < 2]
    with pytest.raises(DataError, match="Removing the rows with corrections leaves no training row of 'a'"):
        made(read, swapped)
