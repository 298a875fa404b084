"""The unquantised model of a quantised run: where it is placed, how it is described, and what it keeps of the trained one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.language_bases import SAMPLE, save_base
from tunesmith.models.adapters import unquantised
from tunesmith.models.adapters.attach import add_language_adapter
from tunesmith.models.adapters.quantisation import Quantisation
from tunesmith.models.adapters.quantise import detect_quantisation
from tunesmith.models.language.model import CAUSAL, load_language_model
from tunesmith.models.language.save import merged_unquantised, save_language_model
from tunesmith.models.load import load_tokenizer
from tunesmith.models.source import ModelSource
from tunesmith.recipe.sections import AdapterSection

pytest.importorskip("bitsandbytes")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelSource:
    return save_base(tmp_path_factory.mktemp("unquantised") / "llama", "llama")


def adapted(base: ModelSource, method: str = "lora", **options: Any) -> Any:
    loaded = load_language_model(base, load_tokenizer(base), CAUSAL, Quantisation("nf4"))
    return add_language_adapter(loaded, AdapterSection(method=method, **options), 10, CAUSAL)


def test_only_mergeable_adapters_on_quantised_weights_are_saved_unquantised(base: ModelSource) -> None:
    mergeable, prompts = adapted(base), adapted(base, "prompt_tuning", num_virtual_tokens=2)
    whole = load_language_model(base, load_tokenizer(base), CAUSAL).model
    assert [unquantised.is_saved_unquantised(model) for model in (mergeable, prompts, whole)] == [True, False, False]
    saved = [unquantised.saved_quantisation(model) for model in (mergeable, prompts, whole)]
    assert saved == [None, Quantisation("nf4"), None]
    assert unquantised.measured_model(whole, whole) is None
    assert unquantised.measured_model(prompts, prompts) == "the saved adapter on weights in 4 bits (NF4)"
    assert str(unquantised.measured_model(mergeable, whole)).endswith("merged into unquantised weights")


def test_the_merged_model_is_the_saved_one_and_keeps_its_end_tokens(base: ModelSource, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model, tokenizer = adapted(base), load_tokenizer(base)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    model.generation_config.eos_token_id = [3, 17]  # as a chat template that ends answers with a token of its own
    save_language_model(model, tokenizer, tmp_path / "model", base, SAMPLE)
    merged: Any = merged_unquantised(model, tokenizer, base, CAUSAL)
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="float32")
    assert saved.generation_config.eos_token_id == merged.generation_config.eos_token_id == [3, 17]
    assert detect_quantisation(merged) is None
    assert merged.state_dict().keys() == saved.state_dict().keys()
    assert all(torch.equal(tensor, saved.state_dict()[name]) for name, tensor in merged.state_dict().items())
    assert detect_quantisation(model) == Quantisation("nf4")  # the trained model does not change


@pytest.mark.parametrize(("free", "placed"), [(10.0, "float32 cuda"), (0.7, "bfloat16 cuda"), (0.5, "float32")])
def test_a_gpu_without_room_gets_bf16_or_nothing(
    base: ModelSource, free: float, placed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, model = adapted(base), load_language_model(base, load_tokenizer(base), CAUSAL).model
    n_bytes = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    moved: list[str] = []
    monkeypatch.setattr(unquantised, "device_name", lambda: "cuda")
    monkeypatch.setattr(unquantised, "free_gpu_bytes", lambda: int(free * n_bytes))
    monkeypatch.setattr(type(model), "to", lambda self, device: moved.append(str(device)) or self)
    unquantised.to_device_with_room(model)
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    assert " ".join([dtype, *moved]) == placed
    if not moved:
        assert str(unquantised.measured_model(trained, model)).endswith("on the CPU, since the GPU has no room for it")
