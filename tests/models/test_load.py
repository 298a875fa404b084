"""Loading base models: files that hold more or less than the config."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, GPT2Config, GPT2ForSequenceClassification

from tests.conftest import WORDS
from tests.models.language_bases import save_base
from tunesmith.errors import ModelError
from tunesmith.generation.generator import load_writer
from tunesmith.models.base_embeddings import embedder
from tunesmith.models.language.model import CAUSAL, MASKED, Objective
from tunesmith.models.language.save import reload_language_model
from tunesmith.models.load import left_out_layers, load_tokenizer, require_whole_body, set_padding
from tunesmith.models.source import ModelSource

LEFT_OUT = "weights of layers that its config.json leaves out: "


def with_layers(source: ModelSource, count: int) -> ModelSource:
    """Changes the number of layers in the config of a saved model."""
    path = Path(source.location) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": count}))
    return source


@pytest.mark.parametrize("family", ["llama", "bert"])
@pytest.mark.parametrize("count", [0, 1])
def test_layers_that_the_config_leaves_out_are_refused(family: str, count: int, tmp_path: Path) -> None:
    source = save_base(tmp_path / "base", family)
    require_whole_body(source)  # the head of a language model is left out
    with pytest.raises(ModelError, match=LEFT_OUT):
        require_whole_body(with_layers(source, count))


@pytest.mark.parametrize(("family", "objective"), [("llama", CAUSAL), ("bert", MASKED)])
def test_a_saved_model_without_one_of_its_layers_is_refused(family: str, objective: Objective, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    source = save_base(folder, family)
    reload_language_model(folder, objective)
    with_layers(source, 1)
    for load in (lambda: reload_language_model(folder, objective), lambda: embedder(source)):
        with pytest.raises(ModelError, match=LEFT_OUT):
            load()
    with_layers(source, 3)
    with pytest.raises(ModelError, match=r"lack .* weights of the trained model"):
        reload_language_model(folder, objective)


def test_a_generator_without_one_of_its_layers_is_refused(tmp_path: Path) -> None:
    source = with_layers(save_base(tmp_path / "model", "llama"), 1)
    with pytest.raises(ModelError, match=LEFT_OUT):
        load_writer(source)


@pytest.mark.parametrize(
    ("name", "ahead", "is_left_out"),
    [
        ("body.layers.1.weight", 0, False),
        ("layers.2.weight", 0, True),
        ("body.layers.2.weight", 0, True),
        ("body.layers.2.weight", 1, False),  # it predicts several tokens ahead
        ("body.layers.3.weight", 1, True),
        ("body.layers.1.bias", 0, False),
        ("head.2.weight", 0, False),
        ("layers.x.weight", 0, False),
        (f"layers.{'9' * 6000}.weight", 0, False),
    ],
)
def test_only_layers_beyond_the_last_are_left_out(name: str, ahead: int, is_left_out: bool) -> None:
    model: Any = torch.nn.Module()
    model.body = torch.nn.Module()
    model.body.layers, model.head = torch.nn.ModuleList([torch.nn.Linear(1, 1)] * 2), torch.nn.Linear(1, 1)
    model.base_model_prefix, model.config = "body", SimpleNamespace(num_nextn_predict_layers=ahead)
    assert left_out_layers(model, [name]) == [name] * is_left_out


def test_a_wrong_dtype_is_a_fault_of_the_config(tmp_path: Path) -> None:
    source = save_base(tmp_path / "model", "llama")
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dtype": "float99"}))
    with pytest.raises(ModelError, match=r"its config.json cannot be loaded: .*float99.* Correct the value in config.json"):
        load_tokenizer(source)


def test_a_tokenizer_that_cannot_be_loaded_has_a_remedy(tmp_path: Path) -> None:
    source = save_base(tmp_path / "model", "llama")
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    with pytest.raises(
        ModelError, match=r"its tokenizer cannot be loaded: .* Copy or download the files of its tokenizer again."
    ):
        load_tokenizer(source)


@pytest.mark.parametrize("count", [-1, 0])
def test_a_model_without_layers_is_refused(count: int, tmp_path: Path) -> None:
    source = with_layers(save_base(tmp_path / "model", "llama"), count)
    with pytest.raises(ModelError, match=LEFT_OUT):
        load_writer(source)


@pytest.mark.parametrize("of_model", [None, -1, 44])
def test_a_decoder_classifies_by_the_last_token_of_the_text_whatever_its_tokenizer_pads_by(
    tiny_model: Path, of_model: int | None
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer), "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 32, "initializer_range": 0.5}
    model = GPT2ForSequenceClassification(GPT2Config(**sizes, num_labels=3, pad_token_id=of_model)).eval()
    set_padding(model, tokenizer)
    assert model.config.pad_token_id == tokenizer.pad_token_id
    texts = [WORDS[0], " ".join(WORDS[:9])]
    with torch.no_grad():
        together = model(**tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False)).logits
        alone = [model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits[0] for text in texts]
    assert torch.allclose(together, torch.stack(alone), atol=1e-5)
