"""Training the reached rows alone: the plain training of those rows, the others as they came, the plain state on disk."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

from tunesmith.models.fast.used_embeddings import UsedEmbeddings, train_all_embeddings, train_used_embeddings

SIZE = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
REACHED = np.array([3, 4, 5, 9, 20])


def tiny() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(
        BertConfig(**SIZE, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=0)
    )


def words(model: nn.Module) -> nn.Embedding:
    return model.get_input_embeddings()


def batch() -> dict[str, torch.Tensor]:
    ids = torch.tensor([[3, 4, 5, 20], [9, 9, 0, 0]])
    return {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": torch.tensor([0, 1])}


def train(model: nn.Module, steps: int = 4) -> None:
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(steps):
        model(**batch()).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def test_reached_rows_are_trained_as_in_the_plain_model_and_the_others_stay():
    plain, ours = tiny(), tiny()
    before = words(ours).weight.detach().clone()
    train(plain)
    train_used_embeddings(ours, REACHED)
    assert words(ours).weight.shape == (6, 32)  # the padding id belongs to them
    train(ours)
    train_all_embeddings(ours)
    rows = [0, *REACHED]
    assert torch.allclose(words(ours).weight[rows], words(plain).weight[rows], atol=1e-5)
    others = np.setdiff1d(np.arange(50), rows)
    assert torch.equal(words(ours).weight[others], before[others])
    assert not torch.allclose(words(ours).weight[rows[1:]], before[rows[1:]], atol=1e-3)
    for name, parameter in ours.named_parameters():
        if name != "bert.embeddings.word_embeddings.weight":
            assert torch.allclose(parameter, plain.get_parameter(name), atol=1e-5)


def test_other_words_are_read_from_the_table_outside_training():
    model = tiny().eval()
    inputs = {"input_ids": torch.tensor([[3, 30, 49, 0]])}
    plain = model(**inputs).logits
    train_used_embeddings(model, REACHED)
    assert torch.equal(model(**inputs).logits, plain)
    model.train()
    with pytest.raises(IndexError):
        model(**inputs)


def test_the_state_is_the_plain_one_and_can_be_read_back():
    model = tiny()
    train_used_embeddings(model, REACHED)
    train(model)
    state = model.state_dict()
    assert state["bert.embeddings.word_embeddings.weight"].shape == (50, 32)
    other = tiny()
    train_used_embeddings(other, REACHED)
    other.load_state_dict(state)
    assert torch.equal(words(other).weight, words(model).weight)
    train_all_embeddings(other)
    train_all_embeddings(model)
    assert torch.equal(words(other).weight, words(model).weight)
    assert torch.equal(words(model).weight, state["bert.embeddings.word_embeddings.weight"])


def test_it_is_undone_with_the_same_parameter():
    model = tiny()
    parameter = words(model).weight
    train_used_embeddings(model, REACHED)
    assert parameter not in set(model.parameters())
    train_all_embeddings(model)
    assert words(model).weight is parameter
    assert type(words(model)) is nn.Embedding
    assert not {"table", "rows", "places", "padding_index"} & words(model).__dict__.keys()


def test_frozen_shared_or_nearly_full_embeddings_are_left_alone():
    frozen = tiny()
    words(frozen).weight.requires_grad_(False)
    tied = BertForMaskedLM(BertConfig(**SIZE, tie_word_embeddings=True))
    full = tiny()
    for model, reached in ((frozen, REACHED), (tied, REACHED), (full, np.arange(45))):
        train_used_embeddings(model, reached)
        assert not any(type(module) is UsedEmbeddings for module in model.modules())
    train_used_embeddings(nn.Linear(2, 2), REACHED)
