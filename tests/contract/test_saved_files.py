"""Damage between the model in memory and its files is found in every task, also where no training row would show it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tests.contract import toy_task
from tests.contract.cases import CASES, Case
from tests.contract.conftest import Runs

TENSORS = "the saved tensors are those in memory"
TOKENS = "the saved tokenizer gives the tokens of the training"
TASKS = [case for case in CASES if case.name != toy_task.NAME]


def certificates(runs: Runs, case: Case, folder: Path) -> dict[str, bool]:
    """Saves the session's model, and returns which certificates hold."""
    steps, session = runs.plain(case)
    saved = steps.save_model(session, folder / "model", None)
    return {certificate.name: certificate.passed for certificate in saved.certificates}


@pytest.mark.parametrize("case", TASKS, ids=str)
def test_every_certificate_holds_without_damage(runs: Runs, case: Case, tmp_path: Path) -> None:
    found = certificates(runs, case, tmp_path)
    assert {TENSORS, TOKENS} <= found.keys()
    assert all(found.values()), found


@pytest.mark.parametrize("case", TASKS, ids=str)
def test_a_word_vector_that_no_row_uses_is_compared(
    runs: Runs, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = PreTrainedModel.save_pretrained

    def save(model: Any, folder: Any, *arguments: Any, **named: Any) -> None:
        honest(model, folder, *arguments, **named)
        path = Path(folder) / "model.safetensors"
        tensors = load_file(path)
        name = next(name for name in tensors if "embed_tokens" in name or "word_embeddings" in name or name == "shared.weight")
        tensors[name][1] += 1.0  # the unknown token
        save_file(tensors, path, {"format": "pt"})

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", save)
    found = certificates(runs, case, tmp_path)
    assert not found[TENSORS]
    if not case.name.startswith(("masked", "seq2seq")):  # whose output layer is the embedding
        assert found["the saved model equals the trained one"]


@pytest.mark.parametrize("case", TASKS, ids=str)
def test_a_broken_saved_tokenizer_is_found(runs: Runs, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = PreTrainedTokenizerBase.save_pretrained

    def save(tokenizer: Any, folder: Any, *arguments: Any, **named: Any) -> Any:
        written = honest(tokenizer, folder, *arguments, **named)
        path = Path(folder) / "tokenizer.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        vocabulary = content["model"]["vocab"]
        words = [word for word in vocabulary if word.strip().isalpha()]
        content["model"]["vocab"] |= {word: vocabulary[words[i - 1]] for i, word in enumerate(words)}
        path.write_text(json.dumps(content), encoding="utf-8")
        return written

    monkeypatch.setattr(PreTrainedTokenizerBase, "save_pretrained", save)
    assert not certificates(runs, case, tmp_path)[TOKENS]
