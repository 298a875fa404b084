"""Attention by rows: the losses and gradients of SDPA over the whole sequence, whatever the model's own mask says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.models.tiny_language_models import labels_of, made, token_rows
from tunesmith.models.fast import row_attention
from tunesmith.models.fast.packing import certify_packing, collate_packs
from tunesmith.models.fast.row_attention import NAME, attend_by_rows, can_attend_by_rows

ROWS = token_rows(8)
LABELS = labels_of(ROWS)
BATCHES = {
    "one sequence": collate_packs([ROWS], [LABELS], 0),
    "packs": collate_packs([ROWS[:5], ROWS[5:]], [LABELS[:5], LABELS[5:]], 0),
}


def gradients(model: Any, batch: dict[str, Any], precision: torch.dtype) -> list[torch.Tensor]:
    """The loss and the gradient of every parameter."""
    model.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        loss = model(**batch, use_cache=False).loss
    loss.backward()
    return [loss.detach(), *(parameter.grad for parameter in model.parameters() if parameter.grad is not None)]


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("kind", "precision"), [("llama", torch.float32), ("llama", torch.bfloat16), ("mistral", torch.float32)])
def test_gradients_are_those_of_sdpa(kind: str, precision: torch.dtype, batch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, by_rows, calls = made(kind, attn_implementation="sdpa"), made(kind, attn_implementation="sdpa"), []
    real = row_attention.attend
    monkeypatch.setattr(row_attention, "attend", lambda *given, **named: calls.append(given[1].shape[2]) or real(*given, **named))
    attend_by_rows(by_rows)
    expected, found = (gradients(model, BATCHES[batch], precision) for model in (plain, by_rows))
    assert {*map(len, ROWS)} <= set(calls)
    assert len(calls) >= by_rows.config.num_hidden_layers * len(ROWS)
    tolerance = 1e-5 if precision == torch.float32 else 3e-2
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).abs().max() <= tolerance * max(1.0, float(theirs.abs().max()))


def test_long_rows_are_computed_by_sdpa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_attention, "LONGEST_BY_PRODUCTS", 10)
    model, sizes = made("llama", attn_implementation="sdpa"), []
    real = row_attention.attend
    monkeypatch.setattr(row_attention, "attend", lambda *given, **named: sizes.append(given[1].shape[2]) or real(*given, **named))
    attend_by_rows(model)
    assert certify_packing(model, ROWS, 0).passed
    gradients(model, BATCHES["one sequence"], torch.float32)
    assert 0 < max(sizes) <= 10 < max(map(len, ROWS))


def test_other_batches_and_saved_models_stay_as_they_are(tmp_path: Any) -> None:
    model = made("llama", attn_implementation="sdpa")
    ids = torch.tensor(np.stack([np.resize(row, 12) for row in ROWS]))
    mask = torch.ones_like(ids)
    mask[0, 7:] = 0
    with torch.no_grad():
        before = model.eval()(input_ids=ids, attention_mask=mask).logits
        attend_by_rows(model)
        assert torch.equal(model(input_ids=ids, attention_mask=mask).logits, before)
    written = model.generate(ids[:2], max_new_tokens=4, do_sample=False)
    assert written.shape == (2, 16)
    model.save_pretrained(tmp_path)
    assert NAME not in (tmp_path / "config.json").read_text()


def test_models_that_do_not_take_attention_functions() -> None:
    assert can_attend_by_rows(made("llama", attn_implementation="sdpa"))
    assert not can_attend_by_rows(made("llama", attn_implementation="eager"))
    assert not can_attend_by_rows(made("bloom"))
    with pytest.raises(ValueError, match="does not take attention functions"):
        attend_by_rows(made("bloom"))
