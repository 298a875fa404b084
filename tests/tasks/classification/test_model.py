"""Options of loading reach the model of a whole run: the attention that the recipe names, and the bits of its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.errors import ModelError
from tunesmith.models.adapters.attach import add_adapter
from tunesmith.models.adapters.quantisation import Quantisation
from tunesmith.models.adapters.quantise import classifier_options, keep_trainable_form
from tunesmith.recipe.load import load_recipe
from tunesmith.recipe.sections import AdapterSection
from tunesmith.tasks.classification.predictor import load_predictor
from tunesmith.workflows.train import train as run_recipe

QUICK = {"max_steps": 12, "learning_rate": 3e-3, "n_evaluations": 2, "n_logs": 20}


def run_on(rows: list[dict[str, str]], model: Path, folder: Path, **sections: Any) -> tuple[Path, dict[str, Any]]:
    """Trains on the rows; returns the run's folder and its result. ``options``: other keys of the section ``model``."""
    folder.parent.joinpath("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = {
        "model": {"name": str(model), **sections.pop("options", {})},
        "data": {"train": "rows.jsonl", "validation": 0.3, "test": None},
        "train": {**QUICK, **sections.pop("train", {})},
        "evaluate": {"n_resamples": 200},
        "output": str(folder),
        **sections,
    }
    path = folder.parent / "recipe.yaml"
    path.write_text(json.dumps(given))
    run = run_recipe(load_recipe(path))
    return run.folder, json.loads((run.folder / "result.json").read_text())


@pytest.mark.parametrize("task", ["classification", "embedding"])
def test_a_named_attention_reaches_the_model_and_no_file(
    task: str, tiny_model: Path, sentences: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import PreTrainedModel

    seen: list[str] = []

    correct = PreTrainedModel.get_correct_attn_implementation
    monkeypatch.setattr(
        PreTrainedModel,
        "get_correct_attn_implementation",
        lambda self, name, *rest, **named: seen.append(name) or correct(self, name, *rest, **named),
    )
    folder, result = run_on(sentences, tiny_model, tmp_path / "run", task=task, options={"attn_implementation": "eager"})
    assert "eager" in seen
    kernels = result["training"]["kernels"]
    assert (kernels["attention"], kernels["first_token"]) == ("upstream", False)
    assert kernels["reasons"]["attention"].endswith("model.attn_implementation: eager")
    assert "attn" not in (folder / "model" / "config.json").read_text()
    assert all(certificate["passed"] for certificate in result["certificates"])


FP4 = {"bnb_4bit_quant_type": "fp4", "bnb_4bit_compute_dtype": "float16", "bnb_4bit_use_double_quant": False}


def quantised_run(rows: list[dict[str, str]], model: Path, folder: Path, **sections: Any) -> tuple[Path, dict[str, Any]]:
    given = {"adapter": {"method": "lora", "r": 4}, "quantisation": "nf4", **sections}
    folder, result = run_on(rows, model, folder, **given)
    assert all(certificate["passed"] for certificate in result["certificates"])
    names = {certificate["name"] for certificate in result["certificates"]}
    assert names >= {"the saved adapter on its base model equals the trained model", "the merged model equals the adapter"}
    assert "and merged into unquantised ones" in result["training"]["notes"][-1]
    assert "quantization_config" not in (folder / "model" / "config.json").read_text()
    return folder, result


def tiny_classifier(kind: str, folder: Path) -> Any:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    options = classifier_options(Quantisation.read(kind), AutoConfig.from_pretrained(folder))
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32", **options)


@pytest.mark.parametrize("kind", ["nf4", "fp4", "int8"])
def test_gradients_pass_through_a_body_in_few_bits_after_an_evaluation(kind: str, tiny_model: Path) -> None:
    pytest.importorskip("bitsandbytes")
    model = tiny_classifier(kind, tiny_model)
    keep_trainable_form(model)
    model = add_adapter(model, AdapterSection(method="lora", target_modules=["query", "dense"]), 10)
    ids, labels = torch.randint(5, 30, (8, 6)), torch.tensor([0, 1] * 4)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=2e-2)
    losses = []
    for _ in range(40):
        loss = model.train()(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        in_body = [p.grad for name, p in model.named_parameters() if "lora_B" in name]
        assert in_body
        assert all(float(gradient.norm()) > 0 for gradient in in_body)
        optimizer.step()
        losses.append(float(loss))
        with torch.inference_mode():
            model.eval()(input_ids=ids)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("quantisation", [FP4, "int8"], ids=["fp4", "int8"])
def test_a_classifier_in_few_bits_is_saved_whole(
    quantisation: Any, tiny_model: Path, sentences: list[dict[str, str]], tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    folder, result = quantised_run(sentences, tiny_model, tmp_path / "run", quantisation=quantisation)
    assert result["training"]["quantisation"] == quantisation
    assert json.loads((folder / "adapter" / "base.json").read_text())["quantisation"] == quantisation
    predictor = load_predictor(folder)
    assert len(predictor.rows(predictor.scores([row["text"] for row in sentences]))) == len(sentences)


def test_only_the_body_of_a_classifier_is_in_few_bits(tiny_model: Path, sentences: list[dict[str, str]]) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    for kind in ("nf4", "int8"):
        model = tiny_classifier(kind, tiny_model)
        layers = (bitsandbytes.nn.Linear4bit, bitsandbytes.nn.Linear8bitLt)
        whole = {name for name, module in model.named_modules() if type(module) is torch.nn.Linear}
        assert whole == {"classifier", "bert.pooler.dense"}
        assert sum(isinstance(module, layers) for module in model.modules()) == 2 * 6


def test_an_embedding_model_in_few_bits(tiny_model: Path, sentences: list[dict[str, str]], tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    _, result = quantised_run(sentences, tiny_model, tmp_path / "run", task="embedding")
    assert result["training"]["notes"][-1].endswith("the metrics are those of the saved model")
    untuned = next(system for system in result["baselines"] if system["name"] == "untuned")
    assert untuned["note"] == "the base model as published"


@pytest.mark.parametrize("task", ["classification", "embedding"])
@pytest.mark.parametrize(
    ("method", "message"), [("houlsby", "with an adapter of peft|cannot be merged"), ("pissa", "starts from a part of the base")]
)
def test_methods_that_need_whole_weights_are_refused(
    task: str, method: str, message: str, tiny_model: Path, sentences: list[dict[str, str]], tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    with pytest.raises(ModelError, match=message):
        quantised_run(sentences, tiny_model, tmp_path / "run", task=task, adapter={"method": method})
