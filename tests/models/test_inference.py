"""Predictions do not depend on how the rows are batched, and come back in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.table import Examples
from tunesmith.models.encode import encode
from tunesmith.models.equivalence import certificate, fp32_logits
from tunesmith.models.fast.path import FastPath
from tunesmith.models.inference import batches_by_length, evaluation_mode, mean_embeddings


@given(st.lists(st.integers(1, 300), max_size=80), st.integers(1, 20), st.integers(10, 600))
def test_batches_hold_every_row_once_within_the_limits(lengths: list[int], rows: int, tokens: int) -> None:
    array = np.array(lengths, dtype=np.int64)
    batches = list(batches_by_length(array, rows, tokens))
    assert sorted(position for batch in batches for position in batch.tolist()) == list(range(len(lengths)))
    assert all(len(batch) <= rows and (len(batch) == 1 or len(batch) * array[batch].max() <= tokens) for batch in batches)


@pytest.fixture
def model_and_rows(tiny_model: Path, sentences: list[dict[str, str]]):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    texts = [row["text"] for row in sentences[:40]]
    rows = encode(tokenizer, Examples("test", "", list(range(40)), texts, [0] * 40), 32)
    return AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=3), rows


def test_batch_size_never_changes_a_logit(model_and_rows) -> None:
    model, rows = model_and_rows
    alone = fp32_logits(model, rows, 0, 1)
    for size in (3, 8, 40):
        assert np.abs(fp32_logits(model, rows, 0, size) - alone).max() < 1e-5


def test_order_and_mode_are_kept_and_no_random_number_is_drawn(model_and_rows) -> None:
    model, rows = model_and_rows
    model.train()
    state = torch.get_rng_state()
    whole = fp32_logits(model, rows, 0, 8)
    backwards = fp32_logits(model, rows.take(np.arange(40)[::-1]), 0, 8)
    assert np.abs(whole[::-1] - backwards).max() < 1e-5
    assert model.training
    assert torch.equal(state, torch.get_rng_state())


def test_a_model_that_looks_at_padding_fails_the_certificate(model_and_rows, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = model_and_rows
    assert certificate("batches", fp32_logits(model, rows, 0, len(rows)), fp32_logits(model, rows, 0, 1)).passed
    honest = model.forward
    monkeypatch.setattr(model, "forward", lambda input_ids, attention_mask, **_: honest(input_ids=input_ids))
    assert not certificate("batches", fp32_logits(model, rows, 0, len(rows)), fp32_logits(model, rows, 0, 1)).passed


def test_mean_embeddings_ignore_padding(model_and_rows) -> None:
    model, rows = model_and_rows
    together = mean_embeddings(model.base_model, rows, 0, FastPath())
    alone = mean_embeddings(model.base_model, rows, 0, FastPath(), max_rows=1)
    assert together.shape == (40, 32)
    assert np.abs(together - alone).max() < 1e-5


def test_flash_attention_is_replaced_in_fp32_and_comes_back(model_and_rows) -> None:
    model, rows = model_and_rows
    expected = fp32_logits(model, rows, 0, 8)
    model.config._attn_implementation = "flash_attention_2"  # its package is not needed: fp32 never calls it
    assert np.array_equal(fp32_logits(model, rows, 0, 8), expected)
    assert model.config._attn_implementation == "flash_attention_2"
    with evaluation_mode(model, "bf16"):
        assert model.config._attn_implementation == "flash_attention_2"
