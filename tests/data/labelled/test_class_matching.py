"""Matches the classes of a model to the labels of data: by names, by the user's map, and never by the order."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.labelled.class_matching import (
    declared_names,
    labels_in,
    match_classes,
    rename_classes,
    with_renamed_labels,
)
from tunesmith.data.labelled.labels import MULTI, SINGLE
from tunesmith.data.table import Columns, Labels, Table
from tunesmith.errors import InputError

UNNAMED = ("LABEL_0", "LABEL_1")


def match(names: tuple[str, ...], labels: set[str], given: Mapping[str, str] | None = None):
    return match_classes(names, labels, given or {}, "model", "data.csv")


@given(st.permutations(["a", "b", "c", "d"]))
def test_equal_names_match_in_any_order_of_the_outputs(names: list[str]) -> None:
    matched = match(tuple(names), {"a", "b", "c", "d"})
    assert matched.names == tuple(names)
    assert not matched.of_data
    assert not matched.notes


def test_names_that_differ_in_case_match_and_are_noted() -> None:
    matched = match(("POSITIVE", "NEGATIVE"), {"negative", "positive"})
    assert matched.names == ("positive", "negative")
    assert "in case only" in matched.notes[0]


def test_a_class_without_rows_is_noted() -> None:
    assert match(("neg", "neutral", "pos"), {"neg", "pos"}).notes == (
        "No row of data.csv has the class neutral, which model can predict.",
    )


def test_classes_without_names_match_as_many_class_numbers() -> None:
    matched = match(UNNAMED, {"0", "1"})
    assert matched.names == ("0", "1")
    assert "LABEL_0 is read as the class number 0" in matched.notes[0]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (UNNAMED, {"neg", "pos"}),  # no names
        (("contradiction", "neutral", "entailment"), {"0", "1", "2"}),  # MNLI is published the other way round
        (("LABEL_0", "LABEL_1", "LABEL_2"), {"0", "1"}),  # not as many
        (("neg", "pos"), {"neg", "pos", "neutral"}),
        (("neg", "pos"), {"bad", "good"}),
        (("a", "A"), {"a", "B"}),
    ],
)
def test_other_labels_are_refused_with_both_lists(names: tuple[str, ...], labels: set[str]) -> None:
    with pytest.raises(InputError) as refused:
        match(names, labels)
    for name in (*names, *labels):
        assert name in str(refused.value)
    assert ("--labels '{" in str(refused.value)) is (len(labels) <= len(names))


LACKS_2 = "1 class is no key of the map, in model: LABEL_2; 1 label of data.csv is no class: 'c'. Add LABEL_2: NAME to the map."
THREE = ("LABEL_0", "LABEL_1", "LABEL_2")


@pytest.mark.parametrize(
    ("names", "labels", "given", "message"),
    [
        (("a", "b", "c"), {"0", "1", "2"}, {"0": "a", "1": "b"},
         "1 label is no key of the map, in data.csv: '2'. Add 2: NAME with a class of model, such as c."),
        (("a", "b", "c"), {"0", "1", "2"}, {"0": "a"},
         "2 labels are no keys of the map, in data.csv: '1', '2'. Add 1: NAME with a class of model, such as b, c."),
        (THREE, {"0", "1", "2"}, {"0": "a", "1": "b"},
         "1 label is no key of the map, in data.csv: '2'. Add 2: NAME with a class of model, such as LABEL_2."),
        (THREE, {"a", "b", "c"}, {"0": "a", "1": "b"},
         LACKS_2),
        (THREE, {"a", "b", "c"}, {"LABEL_0": "a", "LABEL_1": "b"},
         LACKS_2),
        (("alarm", "timer"), {"0", "1"}, {"0": "alarm", "1": "tmer"},
         "the map of labels gives 1 the name tmer, and model has no such class. Did you mean timer?"),
        (("alarm", "timer"), {"0", "1"}, {"0": "alarm", "1": "zz"},
         "the map of labels gives 1 the name zz, and model has no such class. It has alarm, timer."),
    ],
)  # fmt: skip
def test_a_map_that_lacks_a_label_is_refused_for_this_label_alone(
    names: tuple[str, ...], labels: set[str], given: Mapping[str, str], message: str
) -> None:
    with pytest.raises(InputError) as refused:
        match(names, labels, given)
    assert str(refused.value) == f"--labels: {message}"


def test_a_map_names_the_classes_of_the_model_or_the_labels_of_the_data() -> None:
    named = {"LABEL_0": "pos", "LABEL_1": "neg"}
    assert match(UNNAMED, {"neg", "pos"}, named).names == ("pos", "neg")
    assert match(UNNAMED, {"neg", "pos"}, {"0": "pos", "1": "neg"}).names == ("pos", "neg")
    of_data = match(("contradiction", "entailment"), {"0", "1"}, {"0": "entailment", "1": "contradiction"})
    assert of_data.names == ("contradiction", "entailment")
    assert of_data.of_data == {"0": "entailment", "1": "contradiction"}


@pytest.mark.parametrize(
    ("given", "message"), [({"LABEL_7": "a"}, "names LABEL_7"), ({"LABEL_0": "a", "LABEL_1": "a"}, "gives a to two classes")]
)
def test_a_wrong_map_is_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rename_classes(UNNAMED, given, "model")


def test_labels_are_read_and_renamed_as_cells_hold_them() -> None:
    columns, names = Columns("text", label=("label",)), Labels(SINGLE, ("no", "yes"))
    table = Table.whole("data.csv", {"text": ["a", "b", "c", "d"], "label": [0, "1", None, "-1"]})
    assert labels_in(table, columns, names) == {"0", "1"}
    assert with_renamed_labels(table, columns, {"0": "no", "1": "yes"}).columns["label"] == ["no", "yes", None, "-1"]
    several = Table.whole("data.csv", {"text": ["a"], "label": ["['x', 'y']"]})
    assert labels_in(several, columns, Labels(MULTI, ("x",))) == {"x", "y"}
    assert with_renamed_labels(several, columns, {"x": "z"}).columns["label"] == [["z", "y"]]


def test_class_numbers_have_the_names_that_the_source_declares() -> None:
    columns = Columns("text", label=("label",))
    table = Table.whole("data.parquet", {"text": ["a"], "label": [0]}, classes={"label": ("entailment", "neutral")})
    assert declared_names(table, columns, {"0"}) == {"0": "entailment", "1": "neutral"}
    assert not declared_names(table, columns, {"2"})
    assert not declared_names(table, columns, {"neutral"})
