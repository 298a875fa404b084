"""What train_layers leaves trainable."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tunesmith.errors import RecipeError
from tunesmith.models.layers import freeze, set_dropout


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
    ("asked", "said"),
    [
        ("last 9", "the last 9 layers were asked for, the model has 2."),
        (["nothing"], "no parameter name contains 'nothing'."),
        (["("], "'(' is no regular expression"),
    ],
)
def test_what_cannot_be_chosen_is_said(model, asked, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        freeze(model, asked)
    assert said in str(caught.value)


def test_dropout_is_set_everywhere_and_not_saved(model) -> None:
    set_dropout(model, 0.3)
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.3}
    assert model.config.hidden_dropout_prob == 0.1
