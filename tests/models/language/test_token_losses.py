"""The loss of a row is its own: whatever the batch, the padding, the architecture's output layer and the adapter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.models.tiny_language_models import LONGEST, labels_of, made, token_rows
from tunesmith.errors import ModelError
from tunesmith.models.language import token_losses as file
from tunesmith.models.language.token_losses import TokenLosses, model_inputs, token_losses

ROWS = token_rows(40)
LABELS = labels_of(ROWS)


def upstreams(model: Any, shift: bool = True) -> TokenLosses:
    """Row by row: upstream's own mean, times the tokens it counts. Virtual tokens would make it count the first one, too."""
    model.eval()
    sums, counts = np.zeros(len(ROWS)), np.zeros(len(ROWS), dtype=np.int64)
    with torch.no_grad():
        for i, row in enumerate(ROWS):
            labels = np.append(-100, LABELS[i][1:]) if shift else LABELS[i]
            counts[i] = np.count_nonzero(labels != -100)
            if counts[i]:
                loss = model(input_ids=torch.tensor(row)[None], labels=torch.tensor(labels)[None]).loss
                sums[i] = float(loss) * counts[i]
    return TokenLosses(sums, counts)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "bloom", "mpt"])
def test_every_row_has_upstreams_loss_whatever_the_batch_and_the_padding(kind: str) -> None:
    model = made(kind)
    theirs = upstreams(model)
    sides = (False,) if kind == "mpt" else (False, True)  # MPT cannot be told where its padding stands
    for rows, left in [(rows, left) for rows in (1, 3, 8, 40) for left in sides]:
        ours = token_losses(model, ROWS, LABELS, 0, max_tokens=4096, max_rows=rows, left=left)
        assert (ours.counts == theirs.counts).all()
        assert np.abs(ours.sums - theirs.sums).max() < 2e-4
        assert ours.mean == pytest.approx(theirs.mean, abs=1e-6)


def test_the_mean_is_the_same_for_every_limit_of_the_batch() -> None:
    model = made("llama")
    means = [token_losses(model, ROWS, LABELS, 0, max_rows=rows).mean for rows in (1, 3, 8, 40)]
    means += [token_losses(model, ROWS, LABELS, 0, max_tokens=tokens).mean for tokens in (1, 64, 4096)]
    assert max(means) - min(means) < 1e-6


def test_a_masked_model_predicts_each_token_in_its_own_place() -> None:
    model = made("bert")
    ours, theirs = token_losses(model, ROWS, LABELS, 0, masked=True, max_rows=8), upstreams(model, shift=False)
    assert (ours.counts == theirs.counts).all()
    assert np.abs(ours.sums - theirs.sums).max() < 2e-4
    with pytest.raises(ValueError, match="padded on the right"):
        token_losses(model, ROWS, LABELS, 0, masked=True, left=True)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "bert"])
def test_logits_come_in_small_parts(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, masked = made(kind), kind == "bert"
    whole = token_losses(model, ROWS, LABELS, 0, masked=masked)
    monkeypatch.setattr(file, "MOST_LOGITS", 7 * model.config.vocab_size)
    sizes: list[int] = []
    real = torch.nn.functional.cross_entropy
    monkeypatch.setattr(
        torch.nn.functional, "cross_entropy", lambda logits, *a, **k: sizes.append(len(logits)) or real(logits, *a, **k)
    )
    parts = token_losses(model, ROWS, LABELS, 0, masked=masked)
    assert max(sizes) == 7
    assert sum(sizes) == parts.counts.sum()
    assert np.abs(parts.sums - whole.sums).max() < 1e-4


@pytest.mark.parametrize("method", ["lora", "prompt"])
def test_an_adapter_takes_part(method: str) -> None:
    peft = pytest.importorskip("peft")
    adapter = {
        "lora": lambda: peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "lm_head"], init_lora_weights=False),
        "prompt": lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
    }[method]()
    model = peft.get_peft_model(made("llama"), adapter)
    theirs = upstreams(model)
    assert abs(theirs.mean - upstreams(made("llama")).mean) > 1e-3
    assert token_losses(model, ROWS, LABELS, 0, max_rows=8).mean == pytest.approx(theirs.mean, abs=1e-6)


def test_modes_and_random_numbers_stay_as_they_were() -> None:
    model = made("gpt2").train()
    model.transformer.h[0].eval()
    state = torch.get_rng_state()
    first = token_losses(model, ROWS, LABELS, 0)
    assert model.training
    assert not model.transformer.h[0].training
    assert torch.equal(state, torch.get_rng_state())
    assert (token_losses(model, ROWS, LABELS, 0).sums == first.sums).all()
    assert all(not part._forward_pre_hooks for part in model.modules())


def test_rows_of_which_nothing_is_counted_have_no_tokens_and_are_not_run() -> None:
    model = made("llama")
    nothing = [np.full(200, -100), np.array([5])]
    found = token_losses(model, [np.full(200, 5), np.array([5]), ROWS[0]], [*nothing, LABELS[0]], 0)
    assert found.counts.tolist()[:2] == [0, 0]
    assert found.sums[:2].tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="no token"):
        _ = replace(found, sums=found.sums[:2], counts=found.counts[:2]).mean


def test_a_row_longer_than_the_model_is_refused_but_not_for_what_stands_behind_its_last_label() -> None:
    model = made("gpt2")
    row = token_rows(1, shortest=LONGEST + 5, longest=LONGEST + 5)[0]
    with pytest.raises(ModelError, match=f"made for {LONGEST} tokens"):
        token_losses(model, [row], [row], 0)
    labels = np.where(np.arange(len(row)) <= LONGEST, row, -100)
    assert token_losses(model, [row], [labels], 0).counts[0] == LONGEST


def test_a_causal_model_is_run_without_a_cache() -> None:
    inputs = model_inputs(made("llama"), torch.ones(1, 3, dtype=torch.int64), np.array([3]), left=False, masked=False)
    assert inputs["use_cache"] is False
