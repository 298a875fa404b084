from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.data.tables import TEXT_LABEL, table
from tunesmith.data.labelled.labels import REGRESSION, SINGLE
from tunesmith.data.table import Labels
from tunesmith.errors import DataError, RecipeError
from tunesmith.tasks.classification.label_reading import with_labels_of_run
from tunesmith.tasks.classification.predictor import PredictorConfig

FLAT = {"0": "bad", "1": "good", "2": None}


def read(
    labels: list[Any],
    label_map: dict[str, Any],
    given: dict[str, Any] | None = None,
    names: tuple[str, ...] = ("bad", "good"),
    source: str = "x.csv",
) -> tuple[list[Any], list[str]]:
    rows = replace(table(text=["text"] * len(labels), label=labels), source=source)
    config, notes = PredictorConfig(Labels(SINGLE, names), 64, None, {}, label_map=label_map), list[str]()
    return with_labels_of_run(rows, TEXT_LABEL, config, given, notes).columns["label"], notes


def test_the_map_of_the_run_is_used_and_rows_of_null_are_left_out() -> None:
    assert read(["0", "1", "2", "1"], FLAT)[0] == ["bad", "good", "good"]
    assert read(["0", "1", "7"], FLAT)[0] == ["bad", "good", "7"]  # a label that training did not have


def test_names_of_classes_are_no_labels_to_map() -> None:
    labels, notes = read(["bad", "good"], FLAT)
    assert labels == ["bad", "good"]
    assert "holds names of classes of the run" in notes[0]
    assert read(["0", "1"], {"1": "0", "2": "1"}, names=("0", "1"))[0] == ["0", "1"]  # all are classes, and not all are keys
    assert read(["1", "2"], {"1": "0", "2": "1"}, names=("0", "1"))[0] == ["0", "1"]


def test_labels_that_may_be_read_in_two_ways_are_refused() -> None:
    with pytest.raises(DataError, match="others that are its classes"):
        read(["1", "0", "9"], {"1": "0", "2": "1"}, names=("0", "1"))
    two = {"a.csv": {"0": "bad", "1": "good"}, "b.csv": {"0": "good", "1": "bad"}}
    with pytest.raises(DataError, match="several maps of labels"):
        read(["0", "1"], two)
    assert read(["0", "1"], two, source="new/b.csv")[0] == ["good", "bad"]


def test_of_several_maps_the_one_that_has_every_label_is_used() -> None:
    several = {"a.csv": {"0": "bad", "1": "good"}, "b.csv": {"no": "bad", "yes": "good"}, "c.csv": {"no": "bad", "yes": "good"}}
    assert read(["yes", "no"], several)[0] == ["good", "bad"]
    assert read(["good", "bad"], several)[0] == ["good", "bad"]


def test_a_given_map_wins_and_has_to_fit() -> None:
    assert read(["0", "1"], FLAT, {"0": "good", "1": "bad"})[0] == ["good", "bad"]
    assert read(["0", "1"], FLAT, {})[0] == ["0", "1"]
    with pytest.raises(DataError, match=r"'1' .1 row"):
        read(["0", "1"], FLAT, {"0": "good"})
    with pytest.raises(DataError, match=r"No key|None of the labels"):
        read(["0", "1"], FLAT, {"a": "good"})
    with pytest.raises(RecipeError, match="the run has no class 'fine'; its classes are bad, good"):
        read(["0", "1"], FLAT, {"0": "fine", "1": "bad"})
    config = PredictorConfig(Labels(REGRESSION, ("score",)), 64, None, {})
    with pytest.raises(RecipeError, match="a regression has numbers"):
        with_labels_of_run(table(text=["a"], label=[1]), TEXT_LABEL, config, {"1": "score"}, [])
