"""AdaLoRA's ranks: they really change during training, and a resumed run has the same."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from tunesmith.machine import quiet_libraries
from tunesmith.models.adapters.attach import add_adapter
from tunesmith.recipe.sections import AdapterSection
from tunesmith.training.ranks import IMPORTANCES, AllocateRanks, adalora_of

STEPS, INIT, TARGET = 12, 6, 2


def model_with(method: str, **options: int):
    quiet_libraries()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return add_adapter(BertForSequenceClassification(config), AdapterSection(method=method, **options), STEPS)


def ranks_left(model) -> list[int]:
    """The ranks of each AdaLoRA matrix whose singular value is not zero."""
    return [int(torch.count_nonzero(p.detach())) for name, p in model.named_parameters() if ".lora_E." in name]


def train(model, callback: AllocateRanks | None, first: int, last: int, optimizer: torch.optim.Optimizer) -> list[int]:
    """The ranks left after each step."""
    ids, labels, left = torch.arange(5, 37).view(4, 8), torch.tensor([0, 1, 0, 1]), []
    for step in range(first, last):
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        if callback is not None:
            callback.on_optimizer_step(None, SimpleNamespace(global_step=step), None)
        model.zero_grad()
        left.append(sum(ranks_left(model)))
    return left


def optimizer_of(model) -> torch.optim.Optimizer:
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)


def test_ranks_fall_to_the_target() -> None:
    model = model_with("adalora", init_r=INIT, target_r=TARGET, tinit=2, tfinal=3)
    n_matrices, callback = len(ranks_left(model)), AllocateRanks(adalora_of(model))
    left = train(model, callback, 0, STEPS, optimizer_of(model))
    assert left[1] == INIT * n_matrices
    assert left[-1] == TARGET * n_matrices
    assert sorted(left, reverse=True) == left
    assert callback.config.rank_pattern is None


def test_without_the_callback_no_rank_is_ever_taken() -> None:
    model = model_with("adalora", init_r=INIT, target_r=TARGET, tinit=2, tfinal=3)
    assert set(train(model, None, 0, STEPS, optimizer_of(model))) == {INIT * len(ranks_left(model))}


@pytest.mark.parametrize("stop", [4, 10])
def test_what_is_restored_goes_on_the_same(tmp_path: Path, stop: int) -> None:
    options = {"init_r": INIT, "target_r": TARGET, "tinit": 2, "tfinal": 3}
    whole = model_with("adalora", **options)
    expected = train(whole, AllocateRanks(adalora_of(whole)), 0, STEPS, optimizer_of(whole))
    first = model_with("adalora", **options)
    callback, optimizer = AllocateRanks(adalora_of(first)), optimizer_of(first)
    train(first, callback, 0, stop, optimizer)
    callback.save(tmp_path)
    second = model_with("adalora", **options)
    second.load_state_dict(first.state_dict())
    again, resumed = AllocateRanks(adalora_of(second)), optimizer_of(second)
    resumed.load_state_dict(optimizer.state_dict())
    again.restore(tmp_path)
    for kind in IMPORTANCES:
        kept, found = (getattr(one.adapter.rankallocator, kind) for one in (callback, again))
        assert kept.keys() == found.keys()
        assert all(torch.equal(kept[name], found[name]) for name in kept)
    assert bool(callback.adapter.rankallocator.ipt) == (stop == 4)  # peft forgets them once the ranks are final
    assert train(second, again, stop, STEPS, resumed) == expected[stop:]
    one, two = whole.state_dict(), second.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_other_methods_have_none() -> None:
    assert adalora_of(model_with("lora")) is None


def test_only_adalora_allocates_ranks() -> None:
    """AdaMSS has a method of the same name, and subspaces in place of ranks."""
    adapted = model_with("adamss", r=4, num_subspaces=2)
    assert hasattr(adapted.base_model, "update_and_allocate")
    assert adalora_of(adapted) is None
