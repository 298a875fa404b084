from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import RecipeError
from tunesmith.recipe.given_labels import labels_of_file, read_label_map
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.sections import DataSection


def test_a_map_is_read_from_text_a_file_or_python(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("0: bad\n1: null\n")
    for given in ("{0: bad, 1: null}", str(tmp_path / "map.yaml"), tmp_path / "map.yaml", {0: "bad", 1: None}):
        assert read_label_map(given) == {"0": "bad", "1": None}
    assert read_label_map("{}") == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("[a]", "a map from labels to classes was expected"),
        ("bad", "a map from labels to classes was expected"),
        ("{0: bad", "not closed"),
        ("absent.yaml", "absent.yaml: the file of labels cannot be read"),
        ("{a.csv: {0: bad}}", "here is one file"),
        ("{0: yes}", "as YAML reads yes"),
        ("{0: [a]}", "found a list"),
        ("{0: a, 0.0: b}", "is the same label as 0"),
        ("{0: null}", "leaves out every row"),
        ({"0": 1, 0: 2}, "given twice"),
    ],
)
def test_maps_that_are_none(given: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_label_map(given)


def section(**data: Any) -> DataSection:
    return recipe_from_mapping({"data": {"train": "in/a.csv", **data}}).data


def test_the_map_of_a_file_is_found_by_its_name() -> None:
    own, other = {"0": "x"}, {"1": "x"}
    assert labels_of_file(section(labels=own), Path("anything.csv")) == own
    by_file = section(also=["b.csv"], test="t.csv", labels={"in/a.csv": own, "also[0]": other})
    assert labels_of_file(by_file, Path("/elsewhere/a.csv")) == own
    assert labels_of_file(by_file, Path("b.csv")) == other
    assert labels_of_file(by_file, Path("t.csv")) == {}
    assert labels_of_file(section(labels={"train": own}), None, "train") == own
    assert labels_of_file(section(labels={"train": own}), None, "test") == {}
