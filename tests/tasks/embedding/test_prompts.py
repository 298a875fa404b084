"""Prompts of a base model: training, evaluation and ``embed`` put the same ones before the texts as upstream does."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import WORDS
from tunesmith.cli.main import main
from tunesmith.data.pairs.formats import detect_pair_format
from tunesmith.data.pairs.rows import usable_rows
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.models.embedding.encoder import load_encoder
from tunesmith.models.source import ModelSource
from tunesmith.tasks.embedding.model import prompts_of
from tunesmith.workflows.embed import embed

FIRST = [f"{a} {b} it" for a in WORDS[:10] for b in WORDS[16:20]]
SECOND = [f"this {b} was {a}" for a in WORDS[:10] for b in WORDS[16:20]]
SIMILAR, QUERY = "good book ", "the food "


@pytest.fixture(scope="module")
def base(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with a prompt for queries and one for all other texts, compared by inner products."""
    from sentence_transformers import SentenceTransformer

    model: Any = SentenceTransformer(str(tiny_model), device="cpu", similarity_fn_name="dot")
    model.prompts = {"query": QUERY, "similar": SIMILAR}
    model.default_prompt_name = "similar"
    folder = tmp_path_factory.mktemp("models") / "prompted"
    model.save_pretrained(str(folder))
    return str(folder)


def upstream(folder: str | Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


def loaded(folder: str) -> Any:
    return load_encoder(ModelSource(folder, folder, "folder"), fast=False)


def test_embed_equals_encode(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = upstream(base)
    assert np.allclose(embed(base, FIRST), model.encode(FIRST), atol=1e-2)
    assert not np.allclose(embed(base, FIRST), model.encode(FIRST, prompt=""), atol=1e-2)
    for prompt in ("", "bad "):
        assert np.allclose(embed(base, FIRST, prompt=prompt), model.encode(FIRST, prompt=prompt), atol=1e-2)
    rows = tmp_path / "rows.csv"
    rows.write_text("text\n" + "\n".join(FIRST))
    assert main(["embed", base, str(rows), "--output", str(tmp_path / "a.npy")]) == 0
    assert f"the model's default prompt {SIMILAR!r} was put before every text" in capsys.readouterr().out
    assert main(["embed", base, str(rows), "--prompt", "", "--output", str(tmp_path / "b.npy")]) == 0
    assert "no prompt was put before the texts" in capsys.readouterr().out


@pytest.mark.parametrize("is_plain", [True, False])
def test_each_kind_of_text_has_the_prompt_of_upstream(base: str, is_plain: bool) -> None:
    encoder, model = replace(loaded(base), is_plain=is_plain), upstream(base)
    assert np.allclose(encoder.encode(FIRST, encoder.prompt_for()), model.encode(FIRST), atol=1e-5)
    assert np.allclose(encoder.encode(FIRST, encoder.prompt_for("query")), model.encode_query(FIRST), atol=1e-5)
    assert np.allclose(encoder.encode(FIRST, encoder.prompt_for("document")), model.encode_document(FIRST), atol=1e-5)


def test_rows_without_queries_are_trained_with_the_default_prompt(base: str) -> None:
    table = table_from_frame({"sentence1": FIRST, "sentence2": SECOND, "score": [i % 5 for i in range(len(FIRST))]})
    scored = usable_rows(table, detect_pair_format(table), "train")
    table = table_from_frame({"anchor": FIRST, "positive": SECOND})
    pairs = usable_rows(table, detect_pair_format(table), "train")
    prompts = {rows.format.kind: list(prompts_of(loaded(base), rows).values()) for rows in (scored, pairs)}
    assert prompts == {"scored_pair": [SIMILAR, SIMILAR], "positive_pair": [QUERY]}


def test_a_run_keeps_the_default_prompt_and_the_similarity(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = list(zip(FIRST, SECOND, [i % 5 for i in range(len(FIRST))], strict=True))
    for name, chosen in (("train.csv", rows[::-1]), ("test.csv", rows)):
        with Path(name).open("w", newline="") as file:
            csv.writer(file).writerows([("sentence1", "sentence2", "score"), *chosen])
    settings = "embedding: {dense: 16}\ntrain: {max_steps: 2, n_evaluations: 1, learning_rate: 0.001}"
    Path("recipe.yaml").write_text(
        f"task: embedding\nmodel: {{name: '{base}'}}\noutput: run\ndata: {{train: train.csv, test: test.csv}}\n{settings}\n"
    )
    assert main(["train", "recipe.yaml"]) == 0
    config = json.loads(Path("run/model/config_sentence_transformers.json").read_text())
    assert (config["default_prompt_name"], config["prompts"]["similar"]) == ("similar", SIMILAR)
    assert config["similarity_fn_name"] == "dot"
    model, table = upstream("run/model"), pq.read_table("run/predictions.parquet").to_pydict()
    scores = [score for split, score in zip(table["split"], table["score"], strict=True) if split == "test"]
    first, second = (model.encode(side, normalize_embeddings=True) for side in (FIRST, SECOND))
    assert scores == pytest.approx((first * second).sum(axis=1).tolist(), abs=0.01)
    assert "default prompt" not in capsys.readouterr().err
