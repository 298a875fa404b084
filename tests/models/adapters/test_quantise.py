"""Weights in 4 and 8 bits: training on them goes on after an evaluation, and what is saved is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.language_bases import SAMPLE, batch, save_base, steps
from tunesmith.errors import ModelError
from tunesmith.models.adapters.attach import add_language_adapter
from tunesmith.models.adapters.quantisation import Quantisation
from tunesmith.models.adapters.quantise import detect_quantisation, keep_trainable_form
from tunesmith.models.language.model import CAUSAL, load_language_model
from tunesmith.models.language.save import reload_language_model, save_language_model
from tunesmith.models.load import load_tokenizer
from tunesmith.models.source import ModelSource
from tunesmith.recipe.sections import AdapterSection

bitsandbytes = pytest.importorskip("bitsandbytes")

KINDS = ("nf4", "fp4", "int8")
PLAIN_FP4 = Quantisation("fp4", "float16", double_quant=False)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelSource:
    return save_base(tmp_path_factory.mktemp("quantised") / "llama", "llama")


def adapted(base: ModelSource, kind: str | Quantisation | None, method: str = "lora", **options: Any) -> Any:
    """The base in few bits with an adapter, drawn by a seed."""
    loaded = load_language_model(base, load_tokenizer(base), CAUSAL, Quantisation.read(kind) if isinstance(kind, str) else kind)
    torch.manual_seed(0)
    return add_language_adapter(loaded, AdapterSection(method=method, **options), 10, CAUSAL)


def trained(model: Any, evaluate: bool) -> tuple[list[float], list[float]]:
    """Losses and gradient norms of six steps, with an evaluation after every second one where asked."""
    ids, losses, norms = batch(), [], []
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    for step in range(6):
        model.train()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        norms.append(float(torch.nn.utils.get_total_norm(p.grad for p in model.parameters() if p.grad is not None)))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        if evaluate and step % 2:
            model.eval()
            with torch.inference_mode():
                model(input_ids=ids)
    return losses, norms


@pytest.mark.parametrize("kind", KINDS)
def test_an_evaluation_changes_nothing(base: ModelSource, kind: str) -> None:
    model = adapted(base, kind)
    assert detect_quantisation(model) == Quantisation(kind)
    without, _ = trained(model, evaluate=False)
    losses, norms = trained(adapted(base, kind), evaluate=True)
    assert losses == without
    assert losses[-1] < losses[0]
    assert min(norms) > 0


@pytest.mark.skipif(
    not bitsandbytes.functional.has_avx512bf16() or torch.cuda.is_available(), reason="only these processors pack weights anew"
)
def test_without_the_guard_an_evaluation_ends_learning(tmp_path: Path) -> None:
    base = save_base(tmp_path / "wider", "llama", hidden_size=64, intermediate_size=128)
    model = adapted(base, "nf4")
    layers = [module for module in model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    assert keep_trainable_form(model) == len(layers) > 0
    for layer in layers:
        layer.support_avx512bf16_for_cpu = True
    losses, norms = trained(model, evaluate=True)
    assert min(norms[:2]) > 0
    assert norms[2:] == [0.0] * 4
    assert losses != trained(adapted(base, "nf4"), evaluate=False)[0]


def test_options_of_four_bits_reach_the_layers_and_the_record(base: ModelSource, tmp_path: Path) -> None:
    model = adapted(base, PLAIN_FP4, "prompt_tuning", num_virtual_tokens=3)
    layer: Any = next(module for module in model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit))
    assert (layer.weight.quant_type, layer.compute_dtype, layer.weight.compress_statistics) == ("fp4", torch.float16, False)
    losses, norms = trained(model, evaluate=True)
    assert losses[-1] < losses[0]
    assert min(norms) > 0
    save_language_model(model, load_tokenizer(base), tmp_path / "model", base, SAMPLE)
    assert detect_quantisation(reload_language_model(tmp_path / "model", CAUSAL)) == PLAIN_FP4


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_merged_into_whole_weights(base: ModelSource, kind: str, tmp_path: Path) -> None:
    model = adapted(base, kind)
    steps(model, 4)
    saved = save_language_model(model, load_tokenizer(base), tmp_path / "model", base, SAMPLE)
    assert saved.is_merged
    assert [certificate.name for certificate in saved.certificates] == [
        "the merged model equals the adapter",
        "the saved tensors are those in memory",
        "the saved model equals the merged one",
    ]
    assert all(certificate.passed for certificate in saved.certificates)
    assert "merged into unquantised ones: loss" in saved.notes[0]
    assert detect_quantisation(reload_language_model(tmp_path / "model", CAUSAL)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_merged_is_read_in_as_many_bits(base: ModelSource, kind: str, tmp_path: Path) -> None:
    model = adapted(base, kind, "prompt_tuning", num_virtual_tokens=3)
    steps(model, 2)
    saved = save_language_model(model, load_tokenizer(base), tmp_path / "model", base, SAMPLE)
    assert [certificate.figure for certificate in saved.certificates] == [0.0, 0.0]
    assert detect_quantisation(reload_language_model(tmp_path / "model", CAUSAL)) == Quantisation(kind)


@pytest.mark.parametrize(
    ("method", "kind", "message"),
    [
        ("pissa", "nf4", "it starts from a part of the base model's weights"),
        ("lokr", "nf4", "peft cannot compute it on weights in 4 bits (NF4)"),
        ("dora", "int8", "peft cannot compute it on weights in 8 bits"),
        ("houlsby", "nf4", "upstream's trainer takes quantised models only with"),
    ],
)
def test_methods_that_need_whole_weights_are_refused(base: ModelSource, method: str, kind: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        adapted(base, kind, method)
    assert message in str(caught.value)
    assert "remove quantisation" in str(caught.value)


def test_trying_a_method_draws_no_random_number(base: ModelSource) -> None:
    state = [adapted(base, kind, lora_dropout=0.5) and torch.get_rng_state() for kind in (None, "nf4")]
    assert torch.equal(*state)


def test_quantised_weights_alone_cannot_be_trained(base: ModelSource, tmp_path: Path) -> None:
    loaded = load_language_model(base, load_tokenizer(base), CAUSAL, Quantisation("int8"))
    with pytest.raises(ModelError, match="weights in 8 bits cannot be trained themselves"):
        save_language_model(loaded.model, loaded.tokenizer, tmp_path / "model", base, SAMPLE)


def test_a_base_whose_files_are_quantised_is_refused(base: ModelSource, tmp_path: Path) -> None:
    loaded = load_language_model(base, load_tokenizer(base), CAUSAL, Quantisation("nf4"))
    loaded.model.save_pretrained(tmp_path / "few")
    loaded.tokenizer.save_pretrained(tmp_path / "few")
    few = ModelSource("few", str(tmp_path / "few"), "folder")
    with pytest.raises(ModelError, match=r"its files hold quantised weights.*cannot be merged"):
        load_language_model(few, load_tokenizer(few), CAUSAL)
