"""The fast path does what the plain one does: same outputs, same training, same saved model, an honest dropout."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    GPT2Config,
    RobertaConfig,
)

from tunesmith.errors import ModelError
from tunesmith.models.fast.path import (
    ATTENTION_NAME,
    FastPath,
    WordDropout,
    apply_fast_path,
    choose_fast_path,
    keep_freed_memory,
    remove_fast_path,
    word_dropout,
)

SIZE = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
CONFIGS = {
    "bert": lambda: BertConfig(**SIZE),
    "roberta": lambda: RobertaConfig(**SIZE, max_position_embeddings=40),
    "distilbert": lambda: DistilBertConfig(vocab_size=60, dim=32, n_layers=2, n_heads=4, hidden_dim=64, pad_token_id=0),
    "deberta": lambda: DebertaV2Config(**SIZE, relative_attention=True, pos_att_type=["p2c", "c2p"], max_relative_positions=16),
    "gpt2": lambda: GPT2Config(vocab_size=60, n_embd=32, n_layer=2, n_head=4, pad_token_id=0),
}
FP32 = FastPath(True, "fp32", "eager", "words", keep_memory=True, bucketed=True)
SHORTCUTS = replace(FP32, first_token=True, reached_rows=True)
REACHED = np.arange(40)


def tiny(family: str, **changes: float) -> nn.Module:
    torch.manual_seed(0)
    config = CONFIGS[family]()
    for name, value in changes.items():
        if hasattr(config, name):
            setattr(config, name, value)
    return AutoModelForSequenceClassification.from_config(config)


def batch() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    ids = torch.randint(5, 40, (6, 9))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    mask[4, 2:] = 0
    return {"input_ids": ids * mask, "attention_mask": mask, "labels": torch.tensor([0, 1, 1, 0, 1, 0])}


@pytest.mark.parametrize("family", CONFIGS)
def test_outputs_outside_training_are_the_plain_ones(family):
    model = tiny(family).eval()
    plain = model(**batch()).logits
    apply_fast_path(model, FP32)
    assert torch.equal(model(**batch()).logits, plain)
    apply_fast_path(model, SHORTCUTS, REACHED)
    assert torch.allclose(model(**batch()).logits, plain, atol=1e-6)
    remove_fast_path(model)
    assert torch.equal(model(**batch()).logits, plain)


@pytest.mark.parametrize("family", CONFIGS)
def test_bf16_outputs_are_near(family):
    model = tiny(family).eval()
    plain = model(**batch()).logits
    apply_fast_path(model, FP32)
    with torch.autocast("cpu", torch.bfloat16):
        near = model(**batch()).logits
    remove_fast_path(model)
    assert torch.allclose(near.float(), plain, atol=0.02)


def trained(family: str, fast_path: FastPath | None, steps: int = 5) -> tuple[dict[str, torch.Tensor], list[float]]:
    rates = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "seq_classif_dropout")
    rates += ("attn_pdrop", "resid_pdrop", "embd_pdrop", "pooler_dropout")
    model = tiny(family, **dict.fromkeys(rates, 0.0)).train()
    if fast_path is not None:
        apply_fast_path(model, fast_path, REACHED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(steps):
        loss = model(**batch()).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    remove_fast_path(model)
    return model.state_dict(), losses


@pytest.mark.parametrize("family", CONFIGS)
def test_training_without_dropout_is_the_plain_training(family):
    _, plain = trained(family, None)
    for fast_path in (FP32, SHORTCUTS):
        _, fast = trained(family, fast_path)
        assert fast == pytest.approx(plain, abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "distilbert", "deberta"])
def test_gradients_are_the_plain_ones(family):
    found = []
    for fast_path in (FastPath(), FP32):
        model = tiny(family, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, dropout=0.0, attention_dropout=0.0,
                     seq_classif_dropout=0.0, pooler_dropout=0.0).train()  # fmt: skip
        apply_fast_path(model, fast_path)
        model(**batch()).loss.backward()
        found.append({name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None})
        remove_fast_path(model)
    assert found[0].keys() == found[1].keys()
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-6) for name in found[0])


@pytest.mark.parametrize("family", CONFIGS)
def test_names_weights_and_saved_configuration_stay(family, tmp_path):
    model = tiny(family)
    names = list(model.state_dict())
    model.save_pretrained(tmp_path / "plain")
    apply_fast_path(model, SHORTCUTS, REACHED)
    assert list(model.state_dict()) == names
    model.save_pretrained(tmp_path / "fast")
    plain, fast = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("plain", "fast"))
    assert fast == plain
    assert "tunesmith" not in json.dumps(fast)
    reloaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "fast")
    assert all(torch.equal(reloaded.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    assert AutoConfig.from_pretrained(tmp_path / "fast")._attn_implementation != ATTENTION_NAME


def test_restore_puts_everything_back():
    model = tiny("bert")
    before = [type(module) for module in model.modules()]
    apply_fast_path(model, SHORTCUTS, REACHED)
    assert sum(type(module) is WordDropout for module in model.modules()) == sum(kind is nn.Dropout for kind in before)
    assert model.config._attn_implementation == ATTENTION_NAME
    apply_fast_path(model, FP32)
    remove_fast_path(model)
    assert [type(module) for module in model.modules()] == before
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("family", ["deberta", "gpt2"])
def test_attention_that_is_more_than_the_plain_one_is_left_alone(family):
    model = tiny(family)
    before = model.config._attn_implementation
    apply_fast_path(model, FP32)
    assert model.config._attn_implementation == before
    remove_fast_path(model)


def test_a_module_that_is_no_transformer_keeps_working():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    apply_fast_path(model, FP32)
    assert type(model[1]) is WordDropout
    remove_fast_path(model)
    assert type(model[1]) is nn.Dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.037])
def test_dropout_has_its_rate_and_keeps_the_mean(dtype, p):
    torch.manual_seed(0)
    count = 2_000_003
    out = word_dropout(torch.ones(count, dtype=dtype), p)
    zeros = (out == 0).sum().item()
    used = round(p * 65536) / 65536
    assert abs(zeros - used * count) < 4 * (count * used * (1 - used)) ** 0.5
    assert abs(used - p) < 1 / 65536
    scale = torch.tensor(1 / (1 - used), dtype=dtype)
    assert torch.equal(out[out != 0].unique(), scale.reshape(1))
    # The variance of a mask element scaled by 1 / (1 - p) is p / (1 - p).
    assert out.float().var().item() == pytest.approx(used / (1 - used), rel=0.02)


def test_dropout_masks_are_independent():
    torch.manual_seed(0)
    kept = (word_dropout(torch.ones(400, 1000), 0.5) != 0).float() - 0.5
    for lag in (1, 2, 3, 4, 8):
        correlation = 4 * (kept.flatten()[lag:] * kept.flatten()[:-lag]).mean().item()
        assert abs(correlation) < 4 / 400_000**0.5
    again = (word_dropout(torch.ones(400, 1000), 0.5) != 0).float() - 0.5
    assert abs(4 * (kept * again).mean().item()) < 4 / 400_000**0.5


def test_dropout_follows_the_global_generator():
    values = torch.randn(33, 7)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = word_dropout(values, 0.3)
    second = word_dropout(values, 0.3)
    torch.set_rng_state(state)
    assert torch.equal(word_dropout(values, 0.3), first)
    assert torch.equal(word_dropout(values, 0.3), second)
    assert not torch.equal(first, second)


def test_dropout_gradient_is_the_mask():
    values = torch.randn(1000, requires_grad=True)
    out = word_dropout(values, 0.25)
    out.sum().backward()
    assert torch.allclose(values.grad * values, out)


def test_dropout_at_its_ends():
    values = torch.randn(10)
    assert word_dropout(values, 0.0) is values
    assert torch.equal(word_dropout(values, 1.0), torch.zeros(10))
    assert WordDropout(0.5).eval()(values) is values
    assert word_dropout(torch.empty(0, 3), 0.5).shape == (0, 3)


def test_attention_dropout_reaches_the_probabilities():
    model = tiny("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.5).train()
    apply_fast_path(model, FP32)
    inputs = batch()  # it seeds, so it is made once
    first, second = model(**inputs).logits, model(**inputs).logits
    remove_fast_path(model)
    assert not torch.equal(first, second)


def test_choice_follows_the_machine():
    assert choose_fast_path(True, "cpu", frozenset({"avx512_bf16"})).precision == "bf16"
    assert choose_fast_path(True, "cpu", frozenset({"amx_bf16"})).precision == "bf16"
    plain = choose_fast_path(True, "cpu", frozenset({"avx2"}))
    assert (plain.precision, plain.dropout, plain.attention) == ("fp32", "words", "eager")
    off = choose_fast_path(False, "cpu", frozenset({"avx512_bf16"}))
    assert (off.fast, off.precision, off.attention, off.dropout, off.keep_memory, off.bucketed) == (
        False, "fp32", "upstream", "torch", False, False,
    )  # fmt: skip
    assert choose_fast_path(True, "mps").precision == "fp32"


def test_every_choice_has_its_reason():
    chosen = choose_fast_path(True, "cpu", frozenset({"avx512_bf16"}))
    assert set(chosen.reasons) == {
        "precision", "attention", "dropout", "keep_memory", "bucketed", "first_token", "reached_rows",
    }  # fmt: skip
    assert replace(chosen, reasons={}) == chosen


@pytest.mark.parametrize("name", ["sdpa", "eager"])
def test_a_named_attention_stays(name: str):
    chosen = choose_fast_path(True, "cpu", frozenset(), attention=name)
    assert (chosen.attention, chosen.first_token, chosen.dropout) == ("upstream", name == "sdpa", "words")
    assert chosen.reasons["attention"] == f"the recipe names it: model.attn_implementation: {name}"
    assert ("off: " in chosen.reasons["first_token"]) == (name == "eager")
    model = tiny("bert")
    model.set_attn_implementation(name)
    apply_fast_path(model, chosen)
    assert model.config._attn_implementation == name


@pytest.mark.parametrize("name", ["flash_attention_2", "flex_attention"])
def test_an_attention_that_cannot_train_on_a_cpu_is_refused(name: str):
    with pytest.raises(ModelError, match=f"{name} (does not run|has no backward pass) on a CPU"):
        choose_fast_path(True, "cpu", attention=name)
    assert choose_fast_path(True, "mps", attention=name).attention == "upstream"


def test_memory_setting_can_be_told_and_taken_back():
    assert keep_freed_memory(True) == keep_freed_memory(False)
