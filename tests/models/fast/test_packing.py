"""Packed rows are the rows: each whole, once, and alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.models.tiny_language_models import labels_of, made, token_rows
from tunesmith.errors import DataError
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.models.fast import packing
from tunesmith.models.fast.packing import (
    ROW_ATTENTION,
    attend_by_rows,
    can_attend_by_rows,
    certify_packing,
    collate_packs,
    pack_rows,
)
from tunesmith.models.inference import evaluation_mode
from tunesmith.models.language.token_losses import Rows, TokenLosses, move_to, supervised_losses, token_losses

ROWS = token_rows(30)
LABELS = labels_of(ROWS)


def test_every_row_stands_whole_in_one_pack() -> None:
    lengths = np.array([len(row) for row in ROWS])
    packs = pack_rows(lengths, 48)
    assert sorted(row for pack in packs for row in pack) == list(range(len(ROWS)))
    assert all(lengths[list(pack)].sum() <= 48 for pack in packs)
    assert lengths.sum() / (len(packs) * 48) > 0.8
    for pack in packs:
        batch = collate_packs([[ROWS[row] for row in pack]], [[LABELS[row] for row in pack]], 0)
        assert batch["input_ids"][0].tolist() == np.concatenate([ROWS[row] for row in pack]).tolist()
        starts = np.append(0, np.cumsum(lengths[list(pack)]))
        assert batch["cu_seq_lens_q"].tolist() == starts.tolist()
        labels = batch["labels"][0].numpy()
        assert (labels[starts[:-1]] == -100).all()
        assert np.count_nonzero(labels != -100) == sum((LABELS[row][1:] != -100).sum() for row in pack)


def test_rows_meet_that_upstream_would_not_let_meet() -> None:
    """TRL packs 1,000 rows at a time by default: here the long rows come first, the short ones last."""
    packs = pack_rows([30] * 1000 + [10] * 1000, 40)
    assert len(packs) == 1000


def test_rows_that_upstream_would_cut_or_drop_are_refused() -> None:
    with pytest.raises(DataError, match=r"row 1 of those to pack: it has 49 tokens"):
        pack_rows([3, 49], 48)
    with pytest.raises(DataError, match="it has 0 tokens"):
        pack_rows([3, 0], 48)
    assert pack_rows([], 48) == []


def test_a_batch_has_positions_labels_and_ends_of_its_rows() -> None:
    a, b, c = np.array([5, 6, 7]), np.array([8, 9]), np.array([3, 4])
    batch = collate_packs([[a, b], [c]], [[a, b], [c]], 0)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9], [3, 4, 0, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 7, -100, 9], [-100, 4, -100, -100, -100]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1], [0, 1, 0, 1, 2]]
    assert batch["cu_seq_lens_q"].tolist() == [0, 3, 5, 7, 10]
    assert batch["max_length_q"] == 3
    assert "attention_mask" not in batch


def test_one_pack_is_what_upstreams_collator_makes() -> None:
    from transformers import DataCollatorWithFlattening

    theirs = DataCollatorWithFlattening(return_flash_attn_kwargs=True)([{"input_ids": row.tolist()} for row in ROWS[:4]])
    ours = collate_packs([ROWS[:4]], [ROWS[:4]], 0)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert (ours[name] == value) if isinstance(value, int) else (ours[name].tolist() == value.tolist())


def packed_losses(model: Any, packs: list[tuple[int, ...]], input_ids: Rows, labels: Rows, max_packs: int) -> TokenLosses:
    """The losses of every row, computed pack by pack."""
    sums = np.zeros(len(labels))
    counts = np.array([np.count_nonzero(row[1:] != IGNORE_INDEX) for row in labels], dtype=np.int64)
    with evaluation_mode(model, "fp32") as device:
        for start in range(0, len(packs), max_packs):
            rows = packs[start : start + max_packs]
            tokens, supervised = ([[values[i] for i in pack] for pack in rows] for values in (input_ids, labels))
            batch = collate_packs(tokens, supervised, 0)
            targets = torch.cat([batch["labels"][:, 1:], torch.full((len(rows), 1), IGNORE_INDEX)], dim=1)
            losses, _ = supervised_losses(model, move_to(device, packing.packed_inputs(batch)), targets.to(device))
            order = np.concatenate(rows)
            sums[order] = np.bincount(np.repeat(order, counts[order]), losses, minlength=len(sums))[order]
    return TokenLosses(sums, counts)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_packed_loss_is_unpacked_loss(kind: str, attention: str) -> None:
    model = made(kind, attn_implementation=attention)
    alone = token_losses(model, ROWS, LABELS, 0)
    together = packed_losses(model, pack_rows([len(row) for row in ROWS], 48), ROWS, LABELS, max_packs=3)
    assert (together.counts == alone.counts).all()
    assert np.abs(together.sums - alone.sums).max() < 1e-4
    assert together.mean == pytest.approx(alone.mean, abs=1e-5)
    certificate = certify_packing(model, ROWS, 0, 48)
    assert certificate.passed
    assert certificate.figure < certificate.limit


def leaking(kind: str) -> Any:
    """Inputs under which the rows of a pack attend to each other."""
    if kind == "cache":
        real = packing.packed_inputs
        return lambda batch: real(batch) | {"use_cache": True}
    return lambda batch: {"input_ids": batch["input_ids"], "use_cache": False}


@pytest.mark.parametrize("kind", ["cache", "no positions"])
def test_rows_that_attend_to_each_other_fail_the_certificate(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made("llama")
    monkeypatch.setattr(packing, "packed_inputs", leaking(kind))
    certificate = certify_packing(model, ROWS, 0, 48)
    assert not certificate.passed
    assert certificate.figure > 0.01


def test_an_architecture_that_cannot_keep_rows_apart_fails_the_certificate() -> None:
    assert not certify_packing(made("bloom"), ROWS, 0, 48).passed


def test_the_certificate_needs_two_rows() -> None:
    with pytest.raises(ValueError, match="two rows"):
        certify_packing(made("llama"), ROWS[:1], 0, 48)


FEW_ROWS = token_rows(8)
FEW_LABELS = labels_of(FEW_ROWS)
BATCHES = {
    "one sequence": collate_packs([FEW_ROWS], [FEW_LABELS], 0),
    "packs": collate_packs([FEW_ROWS[:5], FEW_ROWS[5:]], [FEW_LABELS[:5], FEW_LABELS[5:]], 0),
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
    real = packing.attend
    monkeypatch.setattr(packing, "attend", lambda *given, **named: calls.append(given[1].shape[2]) or real(*given, **named))
    attend_by_rows(by_rows)
    expected, found = (gradients(model, BATCHES[batch], precision) for model in (plain, by_rows))
    assert {*map(len, FEW_ROWS)} <= set(calls)
    assert len(calls) >= by_rows.config.num_hidden_layers * len(FEW_ROWS)
    tolerance = 1e-5 if precision == torch.float32 else 3e-2
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).abs().max() <= tolerance * max(1.0, float(theirs.abs().max()))


def test_long_rows_are_computed_by_sdpa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LONGEST_BY_PRODUCTS", 10)
    model, sizes = made("llama", attn_implementation="sdpa"), []
    real = packing.attend
    monkeypatch.setattr(packing, "attend", lambda *given, **named: sizes.append(given[1].shape[2]) or real(*given, **named))
    attend_by_rows(model)
    assert certify_packing(model, FEW_ROWS, 0, 512).passed
    gradients(model, BATCHES["one sequence"], torch.float32)
    assert 0 < max(sizes) <= 10 < max(map(len, FEW_ROWS))


def test_other_batches_and_saved_models_stay_as_they_are(tmp_path: Any) -> None:
    model = made("llama", attn_implementation="sdpa")
    ids = torch.tensor(np.stack([np.resize(row, 12) for row in FEW_ROWS]))
    mask = torch.ones_like(ids)
    mask[0, 7:] = 0
    with torch.no_grad():
        before = model.eval()(input_ids=ids, attention_mask=mask).logits
        attend_by_rows(model)
        assert torch.equal(model(input_ids=ids, attention_mask=mask).logits, before)
    written = model.generate(ids[:2], max_new_tokens=4, do_sample=False)
    assert written.shape == (2, 16)
    model.save_pretrained(tmp_path)
    assert ROW_ATTENTION not in (tmp_path / "config.json").read_text()


def test_models_that_do_not_take_attention_functions() -> None:
    assert can_attend_by_rows(made("llama", attn_implementation="sdpa"))
    assert not can_attend_by_rows(made("llama", attn_implementation="eager"))
    assert not can_attend_by_rows(made("bloom"))
    with pytest.raises(ValueError, match="does not take attention functions"):
        attend_by_rows(made("bloom"))
