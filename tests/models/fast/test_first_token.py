"""The last layer for the first token alone: equal logits and gradients, and only where the head reads nothing else."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification

from tunesmith.models.fast.first_token import FAMILIES, first_token_only, use_all_tokens, use_first_token

SIZE = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
DISTIL = {"vocab_size": 50, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}


def config_of(family: str, **changes: object) -> object:
    return AutoConfig.for_model(family, **(DISTIL if family == "distilbert" else SIZE), pad_token_id=1, **changes)


def tiny(family: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config_of(family)).eval()


def batch() -> dict[str, torch.Tensor]:
    ids = torch.arange(2, 38).reshape(4, 9)
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    return {"input_ids": torch.where(mask > 0, ids, 1), "attention_mask": mask}


def test_the_table_names_known_families():
    assert {"bert", "roberta", "distilbert"} <= FAMILIES


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("masked", [True, False])
def test_logits_and_gradients_are_the_plain_ones(family, masked):
    model = tiny(family)
    inputs = batch() if masked else {"input_ids": batch()["input_ids"][:1]}

    def pass_through() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        model.zero_grad()
        logits = model(**inputs).logits
        logits.square().sum().backward()
        return logits.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    plain, plain_gradients = pass_through()
    assert use_first_token(model)
    seen = []
    model.base_model.register_forward_hook(lambda *found: seen.append(found[2][0].shape[1]))
    ours, gradients = pass_through()
    assert seen == [1]
    assert torch.allclose(ours, plain, atol=1e-6)
    assert gradients.keys() == plain_gradients.keys()
    assert all(torch.allclose(gradients[name], plain_gradients[name], atol=1e-5) for name in gradients)


def test_heads_that_read_other_tokens_are_left_alone():
    assert not use_first_token(AutoModelForTokenClassification.from_config(config_of("bert")))
    assert not use_first_token(AutoModelForSequenceClassification.from_config(config_of("bert", is_decoder=True)))
    assert not use_first_token(torch.nn.Linear(2, 2))
    gpt = AutoConfig.for_model("gpt2", vocab_size=50, n_embd=32, n_layer=1, n_head=4, pad_token_id=0)
    assert not use_first_token(AutoModelForSequenceClassification.from_config(gpt))


@pytest.mark.parametrize(("method", "changed"), [("lora", True), ("prompt", False)])
def test_adapters_are_looked_into_unless_they_add_tokens(method, changed):
    from peft import LoraConfig, PromptTuningConfig, get_peft_model

    config = (
        LoraConfig(task_type="SEQ_CLS") if method == "lora" else PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=2)
    )
    model = get_peft_model(tiny("bert"), config).eval()
    plain = model(**batch()).logits
    assert use_first_token(model) is changed
    assert torch.allclose(model(**batch()).logits, plain, atol=1e-6)


def test_it_is_undone():
    model = tiny("bert")
    before = [type(module) for module in model.modules()]
    with first_token_only(model, enabled=True):
        assert not use_first_token(model)
        assert [type(module) for module in model.modules()] != before
    assert [type(module) for module in model.modules()] == before
    with first_token_only(model, enabled=False):
        assert [type(module) for module in model.modules()] == before


def test_a_model_that_came_with_it_keeps_it():
    model = tiny("bert")
    use_first_token(model)
    with first_token_only(model, enabled=True):
        pass
    assert not use_first_token(model)
    use_all_tokens(model)
    assert use_first_token(model)
