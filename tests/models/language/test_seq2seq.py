"""The inputs and losses of encoder-decoders: against a computation by hand, and whatever the padding and the batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.models.tiny_language_models import made, token_rows
from tunesmith.errors import ModelError
from tunesmith.models.language.model import require_decoder_start
from tunesmith.models.language.seq2seq import certify_decoder, decoder_inputs, pair_batch, pair_loss, pair_losses
from tunesmith.models.language.token_losses import pad_rows

PAD = 0
FAMILIES = ("t5", "mt5", "bart")


def pairs(count: int = 9) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs and targets of uneven length."""
    return token_rows(count, 0), token_rows(count, 1, longest=12, shortest=1)


# --- T5 by hand, in float64 ----------------------------------------------------------------------------------------------------


class HandT5:
    """T5 (Raffel et al. 2020): no biases, RMS norms, attention without scaling, relative positions, a scaled output."""

    def __init__(self, model: Any) -> None:
        self.weights = {name: value.double().numpy() for name, value in model.state_dict().items()}
        self.config = model.config

    def losses(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Computes the loss of each token of the target: (T)."""
        states = self.stack("encoder", source)
        shifted = np.concatenate([[self.config.decoder_start_token_id], target[:-1]])
        logits = self.stack("decoder", shifted, states) * self.config.d_model**-0.5 @ self.weights["shared.weight"].T
        return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(target)), target]

    def stack(self, side: str, ids: np.ndarray, encoded: np.ndarray | None = None) -> np.ndarray:
        states = self.weights["shared.weight"][ids]
        bias = self.bias(f"{side}.block.0.layer.0.SelfAttention", len(ids), both=encoded is None)
        for i in range(self.config.num_layers):
            layer = f"{side}.block.{i}.layer"
            own = self.norm(f"{layer}.0", states)
            states = states + self.attend(f"{layer}.0.SelfAttention", own, own, bias)
            if encoded is not None:
                states = states + self.attend(f"{layer}.1.EncDecAttention", self.norm(f"{layer}.1", states), encoded, 0.0)
            last = f"{layer}.{1 if encoded is None else 2}"
            inner = np.maximum(0.0, self.norm(last, states) @ self.weights[f"{last}.DenseReluDense.wi.weight"].T)
            states = states + inner @ self.weights[f"{last}.DenseReluDense.wo.weight"].T
        return self.scaled(states, self.weights[f"{side}.final_layer_norm.weight"])

    def norm(self, layer: str, states: np.ndarray) -> np.ndarray:
        return self.scaled(states, self.weights[f"{layer}.layer_norm.weight"])

    def scaled(self, states: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return states / np.sqrt((states**2).mean(axis=1, keepdims=True) + self.config.layer_norm_epsilon) * weight

    def attend(self, name: str, states: np.ndarray, others: np.ndarray, bias: np.ndarray | float) -> np.ndarray:
        heads = self.config.num_heads
        query, key, value = (
            (rows @ self.weights[f"{name}.{part}.weight"].T).reshape(len(rows), heads, -1).transpose(1, 0, 2)
            for part, rows in (("q", states), ("k", others), ("v", others))
        )
        scores = np.exp(query @ key.transpose(0, 2, 1) + bias)
        mixed = (scores / scores.sum(axis=2, keepdims=True)) @ value
        return mixed.transpose(1, 0, 2).reshape(len(states), -1) @ self.weights[f"{name}.o.weight"].T

    def bias(self, name: str, n: int, both: bool) -> np.ndarray:
        """Returns the bias of each head by distance (H, n, n); a decoder sees no later position."""
        table, buckets = self.weights[f"{name}.relative_attention_bias.weight"], self.config.relative_attention_num_buckets
        bias = np.zeros((self.config.num_heads, n, n))
        for i in range(n):
            for j in range(n):
                half = buckets // 2 if both else buckets
                offset = half if both and j > i else 0
                distance = abs(j - i) if both else max(0, i - j)
                far = half // 2 + int(np.log(max(1, distance) / (half // 2)) / np.log(128 / (half // 2)) * (half - half // 2))
                bucket = offset + (distance if distance < half // 2 else min(far, half - 1))
                bias[:, i, j] = table[bucket] if both or j <= i else -np.inf
        return bias


def test_the_loss_of_t5_is_that_of_a_computation_by_hand() -> None:
    model, (sources, targets) = made("t5").double().eval(), pairs()
    hand = HandT5(model)
    expected = [hand.losses(source, target) for source, target in zip(sources, targets, strict=True)]
    losses = pair_losses(model.float(), sources, targets, PAD)
    assert losses.counts.tolist() == [len(target) for target in targets]
    np.testing.assert_allclose(losses.sums, [rows.sum() for rows in expected], rtol=1e-5)
    exact = float(pair_loss(model.double(), pair_batch(model, sources, targets, PAD)).detach())
    assert exact == pytest.approx(float(np.concatenate(expected).mean()), abs=1e-6)


# --- padding and batches -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_do_not_depend_on_the_batch(family: str) -> None:
    model, (sources, targets) = made(family).eval(), pairs()
    alone, together = (pair_losses(model, sources, targets, PAD, max_rows=rows).sums for rows in (1, 8))
    np.testing.assert_allclose(alone, together, rtol=1e-5)
    swapped = pair_losses(model, sources[::-1], targets[::-1], PAD, max_rows=4).sums[::-1]
    np.testing.assert_allclose(alone, swapped, rtol=1e-5)


@pytest.mark.parametrize(("family", "is_equal"), [("t5", True), ("mt5", True), ("bart", False)])
def test_padding_on_the_left_equals_that_on_the_right_where_positions_are_relative(family: str, is_equal: bool) -> None:
    """BART counts positions from the left, which is why inputs are never padded there."""
    model, (sources, targets) = made(family).eval(), pairs()
    batch = pair_batch(model, sources, targets, PAD)
    mask = pad_rows([np.ones(len(row), dtype=np.int64) for row in sources], 0, left=True)
    left = {**batch, "input_ids": pad_rows(sources, PAD, left=True), "attention_mask": mask}
    with torch.inference_mode():
        ours, theirs = (float(pair_loss(model, inputs)) for inputs in (batch, left))
    assert (abs(ours - theirs) < 1e-5 * ours) == is_equal


@pytest.mark.parametrize("family", FAMILIES)
def test_the_batch_is_that_of_upstreams_collator(family: str) -> None:
    from transformers import DataCollatorForSeq2Seq

    from tests.language_models import tokenizer

    model, (sources, targets) = made(family), pairs()
    words = tokenizer("t5")
    rows = [{"input_ids": s.tolist(), "labels": t.tolist()} for s, t in zip(sources, targets, strict=True)]
    expected = DataCollatorForSeq2Seq(words, model=model)(rows)
    batch = pair_batch(model, sources, targets, PAD)
    assert batch.keys() == expected.keys()
    assert all(torch.equal(batch[name], expected[name]) for name in batch)


def test_labels_padded_on_the_left_change_upstreams_loss() -> None:
    """A tokenizer that pads on the left, as for decoders, makes the decoder read padding."""
    from transformers import DataCollatorForSeq2Seq

    from tests.language_models import tokenizer

    model, (sources, targets) = made("t5").eval(), pairs()
    words, losses = tokenizer("t5"), list[float]()
    rows = [{"input_ids": s.tolist(), "labels": t.tolist()} for s, t in zip(sources, targets, strict=True)]
    for words.padding_side in ("right", "left"):
        with torch.inference_mode():
            losses.append(float(model(**DataCollatorForSeq2Seq(words, model=model)(rows)).loss))
    assert abs(losses[0] - losses[1]) > 1e-3


def test_a_gap_in_a_target_becomes_padding_in_the_decoders_input() -> None:
    """Upstream's shift replaces -100, so a target is always supervised as a whole."""
    ids = decoder_inputs(made("bart"), torch.tensor([[1, -100, 7, 2]]))
    assert ids.tolist() == [[2, 1, PAD, 7]]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_decoder_begins_with_its_start_token_and_gets_the_target_moved_by_one(family: str) -> None:
    model, (sources, targets) = made(family).eval(), pairs()
    ids = decoder_inputs(model, pad_rows(targets, -100))
    assert ids[:, 0].tolist() == [model.config.decoder_start_token_id] * len(targets)
    assert all(row[1 : len(target)].tolist() == target[:-1].tolist() for row, target in zip(ids, targets, strict=True))
    assert int((ids == -100).sum()) == 0
    assert certify_decoder(model, sources, targets, PAD).passed


def test_a_decoder_that_gets_the_tokens_that_it_is_asked_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (sources, targets) = made("t5").eval(), pairs()
    monkeypatch.setattr(type(model), "prepare_decoder_input_ids_from_labels", lambda _self, labels: labels.clamp_min(0))
    assert not certify_decoder(model, sources, targets, PAD).passed


def test_a_decoder_that_sees_later_tokens_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (sources, targets) = made("t5").eval(), pairs()
    honest = type(model).forward

    def leaking(self: Any, *, decoder_input_ids: torch.Tensor, **others: Any) -> Any:
        return honest(self, decoder_input_ids=decoder_input_ids.flip(1), **others)

    monkeypatch.setattr(type(model), "forward", leaking)
    assert not certify_decoder(model, sources, targets, PAD).passed


def test_a_model_without_a_start_token_is_refused() -> None:
    model = made("t5")
    model.config.decoder_start_token_id = None
    with pytest.raises(ModelError, match="decoder_start_token_id"):
        require_decoder_start(model, "model.name x")


def test_smoothing_is_upstreams() -> None:
    from transformers.trainer_pt_utils import LabelSmoother

    model, (sources, targets) = made("t5").eval(), pairs()
    batch = pair_batch(model, sources, targets, PAD)
    with torch.inference_mode():
        outputs = model(**batch)
        ours = [float(pair_loss(model, batch, smoothing=share)) for share in (0.1, 0.0)]
    expected = LabelSmoother(epsilon=0.1)(outputs, batch["labels"])
    assert ours == pytest.approx([float(expected), float(outputs.loss)], rel=1e-6)


def test_rows_beyond_the_positions_are_refused() -> None:
    model = made("bart").eval()
    long = [np.full(49, 5)]
    for sources, targets in ((long, [np.array([5])]), ([np.array([5])], long)):
        with pytest.raises(ModelError, match="made for 48 tokens"):
            pair_losses(model, sources, targets, PAD)
