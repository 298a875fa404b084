"""Options of adapters: a value that a method cannot use is refused by its key, with a remedy."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import pytest
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

from tunesmith.errors import RecipeError
from tunesmith.models.adapters.attach import adapter_config, add_adapter
from tunesmith.models.adapters.options import faults, type_hints
from tunesmith.recipe.sections import AdapterSection


def refused(method: str, **options: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        adapter_config(AdapterSection(method=method, **options), 10)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].remedy
    return str(caught.value)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("target_modules", "((", "'((' is no regular expression: missing ), unterminated subpattern"),
        ("target_modules", 7, "expected a text or a list or null, found 7."),
        ("exclude_modules", "((", "is no regular expression"),
        ("layers_pattern", ["((", "h"], "is no regular expression"),
        ("rank_pattern", {"((": 4}, "is no regular expression"),
        ("rank_pattern", {"query": 2.5}, "expected a positive whole number for query, found 2.5."),
        ("alpha_pattern", {"query": 0}, "expected a positive number for query, found 0."),
        ("r", 8.5, "expected a whole number, found 8.5."),
        ("r", "x", "expected a whole number, found 'x'."),
        ("r", True, "expected a whole number, found True."),
        ("r", 0, "must be above 0, found 0: nothing would be trained."),
        ("lora_alpha", 0, "must be above 0, found 0: nothing would be trained."),
        ("lora_alpha", "x", "expected a number, found 'x'."),
        ("lora_dropout", 1, "must be at least 0 and below 1, found 1."),
        ("use_dora", "maybe", "expected true or false, found 'maybe'."),
    ],
)
def test_a_value_that_lora_cannot_use_is_named(option: str, value: Any, message: str) -> None:
    line = refused("lora", **{option: value})
    assert line.startswith(f"adapter.{option}: ")
    assert message in line


def test_values_of_other_methods_are_checked_alike() -> None:
    assert refused("ia3", feedforward_modules="((", target_modules=["query"]).startswith("adapter.feedforward_modules: ")
    assert refused("loha", r=8.5).startswith("adapter.r: ")
    assert refused("prompt_tuning", num_virtual_tokens=0).startswith("adapter.num_virtual_tokens: ")


@pytest.mark.parametrize(
    "options",
    [
        {"lora_alpha": 0.5, "lora_dropout": 0, "target_modules": ".*query", "rank_pattern": {"query": 4}},
        {"target_modules": ["query", "value"], "layers_to_transform": [1], "layers_pattern": "layer"},
        {"init_lora_weights": "pissa_niter_4", "loftq_config": {}, "bias": "all"},
    ],
)
def test_values_that_peft_takes_pass(options: dict[str, Any]) -> None:
    adapter_config(AdapterSection(method="lora", **options), 10)


@pytest.mark.parametrize("config_class", PEFT_TYPE_TO_CONFIG_MAPPING.values(), ids=lambda config_class: config_class.__name__)
def test_the_defaults_of_every_method_pass(config_class: type) -> None:
    hints = type_hints(config_class)
    for field in fields(config_class):
        if field.default is not MISSING and field.default is not None:
            assert list(faults(field.name, field.default, hints.get(field.name, Any), field.default)) == []


@pytest.mark.parametrize("method", ["poly", "multitask_prompt_tuning"])
def test_a_method_for_several_tasks_names_what_to_use(method: str) -> None:
    line = refused(method)
    assert f"{method} learns several tasks at once" in line
    assert "Use lora" in line


@pytest.mark.parametrize("kind", ["t5", "big_bird"])
def test_classifiers_of_every_architecture_take_an_adapter_and_stay_what_they_are(kind: str) -> None:
    """Passes over two tokens would fail on T5, which looks for an end, and change BigBird's attention for good."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    sizes: dict[str, Any] = {
        "t5": {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0},
        "big_bird": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
    }
    config = AutoConfig.for_model(kind, vocab_size=100, num_labels=2, **sizes[kind])
    model = AutoModelForSequenceClassification.from_config(config)
    section = AdapterSection(method="lora", target_modules=["q" if kind == "t5" else "query"])
    assert add_adapter(model, section, 10).peft_type == "LORA"
    if kind == "big_bird":
        assert model.bert.attention_type == "block_sparse"


def test_an_option_that_the_training_would_have_to_serve_is_refused() -> None:
    assert "adapter.use_asa: it would have no effect" in refused("adamss", use_asa=True)
    adapter_config(AdapterSection(method="adamss", use_asa=False), 10)
