"""Parameters that train_layers selects, and models reduced to their first layers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tunesmith.errors import RecipeError
from tunesmith.models.layers import count_layers, freeze, keep_first_layers, set_dropout


@pytest.fixture
def model(tiny_model: Path):
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=2)


def test_all(model) -> None:
    assert len(freeze(model, "all")) == len(list(model.parameters()))


def test_head_leaves_the_body_frozen(model) -> None:
    assert set(freeze(model, "head")) == {
        "classifier.weight",
        "classifier.bias",
        "bert.pooler.dense.weight",
        "bert.pooler.dense.bias",
    }
    assert not model.bert.embeddings.word_embeddings.weight.requires_grad


def test_last_layers_with_the_head_and_frozen_embeddings(model) -> None:
    names = freeze(model, "last 1")
    assert any("encoder.layer.1." in name for name in names)
    assert not any("encoder.layer.0." in name or "embeddings" in name for name in names)
    assert "classifier.weight" in names


def test_patterns(model) -> None:
    assert set(freeze(model, ["LayerNorm", r"^classifier"])) == {
        n for n, _ in model.named_parameters() if "LayerNorm" in n or n.startswith("classifier")
    }


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        ("last 9", "the last 9 layers are requested, but the model has 2."),
        (["nothing"], "no parameter name contains 'nothing'."),
        (["("], "'(' is no regular expression"),
    ],
)
def test_what_cannot_be_chosen_is_an_error(model, requested, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        freeze(model, requested)
    assert message in str(caught.value)


def test_dropout_is_set_everywhere_and_not_saved(model) -> None:
    set_dropout(model, 0.3)
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.3}
    assert model.config.hidden_dropout_prob == 0.1


def test_the_first_layers_compute_what_they_computed_inside_the_whole_model(model) -> None:
    body, ids = model.base_model.eval(), torch.arange(12).view(2, 6)
    with torch.inference_mode():
        states = body(input_ids=ids, output_hidden_states=True)["hidden_states"]
        assert count_layers(body) == 2
        keep_first_layers(body, 1)
        assert torch.equal(body(input_ids=ids)["last_hidden_state"], states[1])
    assert (count_layers(body), body.config.num_hidden_layers) == (1, 1)


def test_a_decoder_can_be_cut_too() -> None:
    from transformers import AutoModel, LlamaConfig

    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=4, num_attention_heads=2)
    body, ids = AutoModel.from_config(config).eval(), torch.arange(6).view(1, 6)
    with torch.inference_mode():
        middle = body(input_ids=ids, output_hidden_states=True)["hidden_states"][2]
        keep_first_layers(body, 2)
        assert torch.allclose(body(input_ids=ids)["last_hidden_state"], body.norm(middle), atol=1e-6)


def test_a_model_with_layers_in_two_places_is_left_whole() -> None:
    from transformers import AutoModel, T5Config

    both = AutoModel.from_config(T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2))
    assert count_layers(both) == 0
    with pytest.raises(ValueError, match="1 layer is requested"):
        keep_first_layers(both, 1)


def language_model(family: str, tied: bool):
    """A tiny causal language model; its output layer is the embedding where tied."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    if family == "gpt2":
        return GPT2LMHeadModel(
            GPT2Config(vocab_size=50, n_embd=16, n_layer=3, n_head=2, n_positions=32, tie_word_embeddings=tied)
        )
    shape = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=tied))


@pytest.mark.parametrize(
    ("family", "layer", "norm"), [("llama", "model.layers.2.", "model.norm."), ("gpt2", "transformer.h.2.", "transformer.ln_f.")]
)
@pytest.mark.parametrize("tied", [False, True])
def test_the_last_layers_of_a_decoder(family: str, layer: str, norm: str, tied: bool) -> None:
    model = language_model(family, tied)
    names = freeze(model, "last 1")
    assert all(name.startswith((layer, norm, "lm_head.")) for name in names)
    assert {prefix for prefix in (layer, norm) if any(name.startswith(prefix) for name in names)} == {layer, norm}
    assert ("lm_head.weight" in names) is not tied
    assert not model.get_input_embeddings().weight.requires_grad
    more = freeze(model, "last 2")
    assert set(names) < set(more)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_head_of_a_language_model(family: str) -> None:
    assert freeze(language_model(family, tied=False), "head") == ("lm_head.weight",)
    with pytest.raises(RecipeError, match="the output layer of this model is its word embedding"):
        freeze(language_model(family, tied=True), "head")


def test_patterns_of_a_decoder() -> None:
    names = freeze(language_model("llama", tied=False), [r"layers\.2\.", "norm"])
    assert any(".layers.2.mlp." in name for name in names)
    assert all(".layers.2." in name or "norm" in name for name in names)


SMALL = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 16,
    "embedding_size": 16, "dim": 16, "hidden_dim": 16, "n_layers": 1, "n_heads": 2, "vocab_size": 30, "pad_token_id": 0,
}  # fmt: skip
OUTPUT = [r"^classifier\."]


@pytest.mark.parametrize(
    ("kind", "output"),
    [
        *((kind, OUTPUT) for kind in ("bert", "albert", "distilbert", "deberta-v2", "modernbert")),
        *((kind, ["out_proj"]) for kind in ("roberta", "mpnet", "electra")),
        ("llama", ["score"]),
    ],
)
def test_the_head_of_an_encoder_has_a_hidden_layer(kind: str, output: list[str]) -> None:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.for_model(kind)
    for name, value in SMALL.items():
        if hasattr(config, name):
            setattr(config, name, value)
    model = AutoModelForSequenceClassification.from_config(config)
    head = {name for name in freeze(model, "head") if name.endswith("weight") and "norm" not in name}
    last = {name for name in freeze(model, output) if name.endswith("weight")}
    assert len(last) == 1
    assert len(head) == (1 if kind == "llama" else 2)
    assert last < head or kind == "llama"
