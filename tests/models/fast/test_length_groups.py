"""A batch in groups of similar length: the vectors and gradients of the whole batch, with less padding."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from tunesmith.models.embedding.encoder import load_encoder
from tunesmith.models.fast.length_groups import cheapest_groups, cost_tokens, length_groups, select_rows
from tunesmith.models.source import ModelSource

TEXTS = [" ".join(["good film", "was it very nice"][i % 2].split() * (1 + 5 * (i % 5))) for i in range(24)]


@pytest.fixture
def model(tiny_model: Path):
    return load_encoder(ModelSource("tiny", str(tiny_model), "folder"), fast=False).model


def test_vectors_and_gradients_are_those_of_the_whole_batch(model) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.train()
    features = model.preprocess(TEXTS)
    found = []
    for grouped in (False, True):
        model.zero_grad()
        with length_groups(model) if grouped else nullcontext():
            vectors = model(dict(features))["sentence_embedding"]
            vectors.square().sum().backward()
        found.append((vectors.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    assert "forward" not in model.__dict__
    assert len(cheapest_groups(features["attention_mask"].sum(1).numpy())) == 1 or not torch.equal(found[0][0], torch.zeros(1))
    assert torch.allclose(found[0][0], found[1][0], atol=1e-6)
    for whole, parts in zip(found[0][1], found[1][1], strict=True):
        assert torch.allclose(whole, parts, atol=1e-5)


def test_groups_hold_every_row_once_and_cost_no_more_than_one() -> None:
    draw = np.random.default_rng(0)
    for n in (1, 5, 64, 200):
        lengths = draw.integers(3, 250, n)
        groups = cheapest_groups(lengths)
        assert sorted(np.concatenate(groups).tolist()) == list(range(n))
        assert cost_tokens(lengths, groups) <= cost_tokens(lengths, [np.arange(n)])
    assert len(cheapest_groups(np.full(64, 20))) == 1
    assert len(cheapest_groups(np.array([10] * 60 + [250] * 4))) > 1


def test_features_are_cut_to_the_longest_of_their_rows() -> None:
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
    features = {"attention_mask": mask, "input_ids": mask * 7, "prompt_length": 1, "weights": torch.arange(3)}
    cut = select_rows(features, np.array([2, 1]))
    assert cut["input_ids"].tolist() == [[7, 0], [7, 7]]
    assert cut["weights"].tolist() == [2, 1]
    assert cut["prompt_length"] == 1
