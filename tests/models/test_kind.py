"""Kinds of models: what a run, a folder, ``builtin:NAME`` and ``hub:NAME`` are taken for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tunesmith.models.adapters.base import AdapterBase
from tunesmith.models.kind import detect_model_kind, is_causal_model, is_embedding_folder, is_language_run
from tunesmith.models.source import find_model
from tunesmith.recipe.sections import ModelSection
from tunesmith.results import RunResult


def write_model(folder: Path, architecture: str) -> Path:
    """Writes the files of a model as far as its kind is decided by them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "architectures": [architecture]}))
    (folder / "tokenizer.json").write_text('{"model": {}}')
    save_file({"weight": np.zeros(1)}, folder / "model.safetensors")
    return folder


def write_run(folder: Path, task: str) -> Path:
    """Writes the folder of a finished run without a model."""
    (folder / "model").mkdir(parents=True)
    RunResult(task=task).save(folder / "result.json")
    return folder


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("GPT2LMHeadModel", "causal"),
        ("LlamaForCausalLM", "causal"),
        ("T5ForConditionalGeneration", "seq2seq"),
        ("BartForConditionalGeneration", "seq2seq"),
        ("MarianMTModel", "seq2seq"),
        ("T5EncoderModel", "embedding"),
        ("BertModel", "embedding"),
        ("BertForMaskedLM", "embedding"),
        ("BertForSequenceClassification", "classifier"),
    ],
)
def test_a_folder_of_a_model_is_known_by_its_architecture(architecture: str, kind: str, tmp_path: Path) -> None:
    assert detect_model_kind(str(write_model(tmp_path / "model", architecture))) == kind


def test_a_folder_of_sentence_transformers_embeds(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "GPT2LMHeadModel")
    (folder / "modules.json").write_text("[]")
    assert is_embedding_folder(folder)
    assert not is_causal_model(str(folder))
    assert detect_model_kind(str(folder)) == "embedding"


@pytest.mark.parametrize(
    ("task", "architecture", "files", "kind"),
    [
        ("classification", "BertForSequenceClassification", (), "classifier"),
        ("regression", "BertForSequenceClassification", (), "classifier"),
        ("classification", "GPT2LMHeadModel", (), "classifier"),
        ("embedding", "BertModel", ("modules.json",), "embedding"),
        ("sft", "GPT2LMHeadModel", (), "causal"),
        ("pretraining", "GPT2LMHeadModel", (), "causal"),
        ("pretraining", "BertForMaskedLM", (), "classifier"),
    ],
)
def test_a_run_is_known_by_its_task_and_model(
    task: str, architecture: str, files: tuple[str, ...], kind: str, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", task)
    write_model(run / "model", architecture)
    for name in files:
        (run / "model" / name).write_text("[]")
    assert detect_model_kind(str(run)) == kind
    assert is_language_run(run) is (task in ("sft", "pretraining"))


@pytest.mark.parametrize(("objective", "is_causal"), [("causal", True), ("masked", False)])
def test_a_saved_adapter_is_what_its_base_model_is(objective: str, is_causal: bool, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "sft")
    source = find_model(ModelSection(name="builtin:pocket"), tmp_path)
    AdapterBase(source, "", objective).save(run / "model")
    assert is_causal_model(str(run)) is is_causal


@pytest.mark.parametrize(("name", "kind"), [("builtin:pocket", "causal"), ("builtin:minilm", "embedding")])
def test_a_built_in_model_is_known_by_its_files(name: str, kind: str) -> None:
    assert detect_model_kind(name) == kind


def test_a_folder_with_nothing_in_it_is_left_to_the_classifiers(tmp_path: Path) -> None:
    assert detect_model_kind(str(tmp_path)) == "classifier"
    assert not is_language_run(tmp_path)
