"""The pocket model and its rows: made by the scripts, small, and what its card says."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import pocket_rows
import write_pocket_text as texts
from tunesmith.models.source import BUILTIN, builtin_model

MOST_PARAMETERS = 4_000_000


@pytest.fixture(scope="module")
def folder() -> Path:
    return builtin_model("pocket")


def committed(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (texts.SAMPLES / name).read_text(encoding="ascii").splitlines()]


def test_writing_again_gives_the_committed_rows() -> None:
    for name, rows in texts.samples().items():
        assert committed(name) == rows, name


def test_the_test_asks_for_what_no_training_row_holds() -> None:
    train, test = committed("sft_train.jsonl"), committed("sft_test.jsonl")
    assert (len(train), len(test)) == (1200, 100)
    assert not asked_about(train) & asked_about(test)


def test_the_preferred_answers_are_those_of_the_instructions() -> None:
    for split, count in (("train", 600), ("test", 100)):
        answers = {row["instruction"]: row["output"] for row in committed(f"sft_{split}.jsonl")}
        pairs = committed(f"preference_{split}.jsonl")
        assert len(pairs) == count
        assert all(pair["chosen"] == answers[pair["prompt"]] != pair["rejected"] for pair in pairs)


def asked_about(rows: list[dict[str, Any]]) -> set[str]:
    """The sentences and words that instructions are about."""
    ways = [way.removesuffix("{}") for ways in pocket_rows.ASKED.values() for way in ways]
    texts = [row["instruction"].removeprefix(way) for row in rows for way in ways if row["instruction"].startswith(way)]
    assert len(texts) == len(rows)
    return {part for text in texts for part in pocket_rows.sentences(text)}


def test_it_is_small_and_its_figures_are_those_of_its_weights(folder: Path) -> None:
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as file:
        tensors = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118 a file is no mapping
    count = sum(math.prod(tensor.get_shape()) for tensor in tensors)
    figures = json.loads((folder / "figures.json").read_text())
    assert {tensor.get_dtype() for tensor in tensors} == {"F16"}
    assert count == figures["parameters"] <= MOST_PARAMETERS
    assert figures["sha256"] == BUILTIN["pocket"][3]


def test_it_knows_its_town_and_not_the_world(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def perplexity(kind: str) -> float:
        chosen = [row["text"] for row in committed("general_text.jsonl") if row["kind"] == kind]
        ids = torch.tensor(tokenizer(" ".join(chosen))["input_ids"][:1024]).view(2, -1)
        with torch.no_grad():
            return math.exp(model(input_ids=ids, labels=ids).loss.item())

    assert perplexity("pocket") < 6 < 100 < perplexity("general")
