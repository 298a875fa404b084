"""Bottleneck adapters: nothing at first, where the papers put them, and refused where that is not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.errors import ModelError, RecipeError
from tunesmith.machine import quiet_libraries
from tunesmith.models.adapters.bottleneck import (
    SUBLAYERS,
    BottleneckSettings,
    add_bottlenecks,
    bottlenecks,
    load_bottlenecks,
    read_settings,
    save_bottlenecks,
)
from tunesmith.recipe.sections import AdapterSection

SHAPE = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "initializer_range": 0.3, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
# What some types call differently, or do not have by these names.
OWN: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
    "gpt_neo": {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "attention_types": [[["global"], 2]]},
    "opt": {"ffn_dim": 32, "word_embed_proj_dim": 16},
    "electra": {"embedding_size": 16},
    "gemma": {"head_dim": 8},
    "qwen3": {"head_dim": 8},
    "cohere": {"layer_norm_eps": 1e-5},
}


def body(family: str, seed: int = 0) -> Any:
    """A tiny model of a type, without head, in evaluation mode."""
    from transformers import AutoConfig, AutoModel

    quiet_libraries()
    torch.manual_seed(seed)
    shape = {} if family in ("distilbert", "gpt2", "gpt_neo") else SHAPE
    common = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return AutoModel.from_config(AutoConfig.for_model(family, **{**common, **shape, **OWN.get(family, {})})).eval()


def states(model: Any) -> torch.Tensor:
    ids = torch.arange(3, 13).view(1, 10)
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=ids).last_hidden_state
    return found


@pytest.mark.parametrize("family", sorted(SUBLAYERS))
@pytest.mark.parametrize("method", ["houlsby", "pfeiffer"])
def test_a_new_one_changes_nothing_and_a_changed_one_something(family: str, method: str) -> None:
    model = body(family)
    before = states(model)
    assert add_bottlenecks(model, BottleneckSettings(method, 4)) == (4 if method == "houlsby" else 2)
    assert torch.equal(states(model), before)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 4 * len(bottlenecks(model))
    for one in bottlenecks(model):
        changed = states(model)
        with torch.no_grad():
            one.up.weight.normal_(std=0.5)
        assert not torch.allclose(states(model), changed)


def test_a_type_whose_places_are_not_known_is_refused() -> None:
    model = body("bert")
    model.config.model_type = "unheard-of"
    with pytest.raises(ModelError, match=r"the places for bottlenecks in a model of type unheard-of are not known"):
        add_bottlenecks(model, BottleneckSettings("houlsby"))


def test_a_second_time_is_refused() -> None:
    model = body("llama")
    add_bottlenecks(model, BottleneckSettings("pfeiffer"))
    with pytest.raises(ModelError, match="already"):
        add_bottlenecks(model, BottleneckSettings("pfeiffer"))


def test_a_copy_has_bottlenecks_of_its_own() -> None:
    import copy

    model = body("llama")
    add_bottlenecks(model, BottleneckSettings("pfeiffer", 4))
    other, before = copy.deepcopy(model), states(model)
    with torch.no_grad():
        bottlenecks(other)[0].up.bias += 1.0
    assert torch.equal(states(model), before)
    assert not torch.equal(states(other), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction_factr": 2}, "no option of that name"),
        ({"reduction_factor": 0}, "must be a number from 1 on"),
        ({"reduction_factor": True}, "must be a number from 1 on"),
        ({"non_linearity": "sine"}, "Known: relu, gelu, swish, tanh"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_settings(AdapterSection(method="houlsby", **options))
    assert message in str(caught.value)


def test_saved_ones_do_not_go_into_another_model(tmp_path: Path) -> None:
    model = body("llama")
    add_bottlenecks(model, BottleneckSettings("houlsby", 4))
    save_bottlenecks(model, tmp_path)
    assert json.loads((tmp_path / "bottleneck.json").read_text())["method"] == "houlsby"
    with pytest.raises(ModelError, match="do not fit the base model"):
        load_bottlenecks(body("bert"), tmp_path)
    (tmp_path / "bottleneck.safetensors").write_bytes(b"12345678901234567890")
    with pytest.raises(ModelError, match="cannot be read"):
        load_bottlenecks(body("llama"), tmp_path)
