"""The supervised loss and its gradient are those of the whole batch, for any number of logits in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.models.tiny_language_models import VOCABULARY, labels_of, made, token_rows
from tunesmith.models.adapters.attach import hide_virtual_tokens
from tunesmith.models.fast import supervised_loss as file
from tunesmith.models.fast.supervised_loss import is_head_alone, supervised_loss
from tunesmith.models.language.token_losses import pad_rows

ROWS = token_rows(6)
PART = 5


def batch() -> dict[str, torch.Tensor]:
    """Six padded rows, partly supervised."""
    mask = [np.ones(len(row), dtype=np.int64) for row in ROWS]
    labels = pad_rows(labels_of(ROWS), -100)
    return {"input_ids": pad_rows(ROWS, 0), "attention_mask": pad_rows(mask, 0), "labels": labels}


def in_parts(model: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[float, dict[str, torch.Tensor], list[int]]:
    """The loss and the gradients with at most five tokens' logits at a time, and how many each pass of the layer computed."""
    widths: list[int] = []
    monkeypatch.setattr(file, "MOST_LOGITS", PART * VOCABULARY)
    handle = model.get_output_embeddings().register_forward_hook(lambda _m, _i, out: widths.append(out.numel() // VOCABULARY))
    found = supervised_loss(model, batch(), head_alone=True)
    model.zero_grad(set_to_none=True)
    found.backward()
    handle.remove()
    return float(found.detach()), gradients(model), widths


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """Gradients by parameter name."""
    return {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}


def whole(model: Any) -> tuple[float, dict[str, torch.Tensor]]:
    """Upstream's loss and gradients."""
    given = batch()
    given["labels"][:, 0] = -100  # tokens of an adapter stand before the first one, which upstream then counts
    loss = model(**given).loss
    model.zero_grad(set_to_none=True)
    loss.backward()
    return float(loss.detach()), gradients(model)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bloom", "mpt", "prompt tokens", "lora"])
def test_in_parts_loss_and_gradients_are_upstreams(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted(kind) if kind in {"prompt tokens", "lora"} else made(kind)
    model.eval()
    assert is_head_alone(model)
    expected, theirs = whole(model)
    found, ours, widths = in_parts(model, monkeypatch)
    assert found == pytest.approx(expected, abs=1e-6)
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in theirs)
    n_supervised = int((batch()["labels"][:, 1:] != -100).sum())
    assert sorted(set(widths)) == sorted({len(ROWS), PART, n_supervised % PART or PART})  # of the last places, and of parts
    assert sum(widths) == len(ROWS) + 2 * n_supervised  # each part again in the backward pass


def adapted(kind: str) -> Any:
    """A llama whose adapter puts tokens before the text, or has weights beside its layers'."""
    from peft import LoraConfig, PromptTuningConfig, TaskType, get_peft_model

    config = (
        LoraConfig(task_type=TaskType.CAUSAL_LM, r=2, init_lora_weights=False)
        if kind == "lora"
        else PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=3)
    )
    return hide_virtual_tokens(get_peft_model(made("llama"), config))


def test_logits_that_are_capped_after_the_layer_are_not_taken_for_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made("gemma2").eval()
    assert not is_head_alone(model)
    found, _, _ = in_parts(model, monkeypatch)
    assert abs(found - whole(model)[0]) > 1e-3
    assert float(supervised_loss(model, batch())) == pytest.approx(whole(model)[0], abs=1e-6)


def test_few_logits_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made("llama")
    monkeypatch.setattr(file, "checkpoint", None)
    assert torch.isfinite(supervised_loss(model, batch(), head_alone=True))


def test_the_sum_is_divided_by_the_tokens_of_the_whole_step(monkeypatch: pytest.MonkeyPatch) -> None:
    model, n_supervised = made("llama").eval(), int((batch()["labels"][:, 1:] != -100).sum())
    mean = float(supervised_loss(model, batch()))
    assert float(supervised_loss(model, batch(), 2)) == pytest.approx(mean * n_supervised / 2, rel=1e-6)
    monkeypatch.setattr(file, "MOST_LOGITS", PART * VOCABULARY)
    assert float(supervised_loss(model, batch(), 2, head_alone=True)) == pytest.approx(mean * n_supervised / 2, rel=1e-6)
