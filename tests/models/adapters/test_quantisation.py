"""The format of quantised weights is written and read again, also from the records of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tunesmith.errors import ModelError, RecipeError
from tunesmith.models.adapters.base import BASE_FILE, AdapterBase
from tunesmith.models.adapters.quantisation import Quantisation, quantisation_of
from tunesmith.models.source import ModelSource
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.resolved import resolved_yaml

FP4 = {"bnb_4bit_quant_type": "fp4", "bnb_4bit_compute_dtype": "float16", "bnb_4bit_use_double_quant": False}


def recipe(value: object) -> dict[str, object]:
    return {"data": {"train": "t.csv"}, "adapter": {"method": "lora"}, "quantisation": value}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("nf4", Quantisation("nf4")),
        ("fp4", Quantisation("fp4")),
        ("int8", Quantisation("int8")),
        ({}, Quantisation("nf4", "auto", True)),
        ({"bnb_4bit_compute_dtype": "float32"}, Quantisation("nf4", "float32")),
        (FP4, Quantisation("fp4", "float16", False)),
        (None, None),
    ],
)
def test_the_recipe_and_the_record_have_the_same_forms(value: object, expected: Quantisation | None, tmp_path: Path) -> None:
    loaded = recipe_from_mapping(recipe(value))
    assert quantisation_of(loaded) == expected
    resolved = yaml.safe_load(resolved_yaml(loaded))
    assert Quantisation.read(resolved["quantisation"]) == expected
    AdapterBase(ModelSource("m", "m", "hub"), "", quantisation=expected).save(tmp_path)
    assert AdapterBase.load(tmp_path).quantisation == expected
    if isinstance(value, str):
        assert json.loads((tmp_path / BASE_FILE).read_text())["quantisation"] == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nf5", 'quantisation: expected one of nf4, fp4, int8, or keys and values, found the text "nf5". Did you mean nf4?'),
        (4, "quantisation: expected one of nf4, fp4, int8, or keys and values, found the number 4"),
        ({"bnb_4bit_quant_type": "int8"}, "quantisation.bnb_4bit_quant_type: expected nf4 or fp4"),
        ({"bnb_4bit_compute_dtype": "half"}, "quantisation.bnb_4bit_compute_dtype: expected one of auto, float32, bfloat16"),
        ({"load_in_8bit": True}, "there is no key load_in_8bit in quantisation. Write quantisation: int8. It has no further"),
    ],
)
def test_other_values_are_one_clear_fault(value: object, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe_from_mapping(recipe(value))
    assert message in str(caught.value)
    assert len(caught.value.problems) == 1


def test_a_record_of_a_later_version_is_refused() -> None:
    with pytest.raises(ModelError, match="no known format"):
        Quantisation.read("mxfp4")
