"""The names of adapter methods: peft's methods, well-known variants of them, and messages for unknown names."""

from __future__ import annotations

from typing import Any

import pytest
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

from tunesmith.errors import RecipeError
from tunesmith.models.adapters.attach import adapter_config
from tunesmith.models.adapters.methods import DEFAULTS, VARIANTS
from tunesmith.recipe.sections import AdapterSection


def config(method: str, **options: Any) -> Any:
    return adapter_config(AdapterSection(method=method, **options), 10, "CAUSAL_LM")


@pytest.mark.parametrize(
    ("method", "option", "value"),
    [
        ("dora", "use_dora", True),
        ("rslora", "use_rslora", True),
        ("pissa", "init_lora_weights", "pissa"),
        ("olora", "init_lora_weights", "olora"),
        ("loftq", "init_lora_weights", "loftq"),
        ("DoRA", "use_dora", True),
    ],
)
def test_options_of_lora_have_names_of_their_own(method: str, option: str, value: Any) -> None:
    found = config(method, r=4)
    assert (found.peft_type.value, found.r, getattr(found, option)) == ("LORA", 4, value)


def test_every_name_leads_to_a_method_of_the_installed_peft() -> None:
    known = {kind.value.lower() for kind in PEFT_TYPE_TO_CONFIG_MAPPING}
    assert {method for method, _ in VARIANTS.values()} | set(DEFAULTS) <= known
    assert not set(VARIANTS) & known


def test_a_finer_form_of_the_name_is_allowed() -> None:
    assert config("pissa", init_lora_weights="pissa_niter_4").init_lora_weights == "pissa_niter_4"
    assert config("loftq", loftq_config={"loftq_bits": 8}).loftq_config["loftq_bits"] == 8


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("dora", {"use_dora": False}, "dora is lora with use_dora: True, and this recipe has False."),
        ("lorra", {}, "peft has no method 'lorra'. Did you mean lora?"),
        ("houlsbi", {}, "Did you mean houlsby?"),
        ("dora", {"lora_alfa": 2}, "Did you mean lora_alpha?"),
        ("lora", {"r": 4, "target_modules": "x", "layers_to_transform": [1]}, "peft refuses these options of lora"),
    ],
)
def test_what_cannot_be(method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        config(method, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("method", ["prefix_tuning", "prompt_tuning", "p-tuning", "ptuning", "prefix"])
def test_methods_that_add_tokens_have_a_number_of_them(method: str) -> None:
    assert config(method).num_virtual_tokens == 20
    assert config(method, num_virtual_tokens=5).num_virtual_tokens == 5
