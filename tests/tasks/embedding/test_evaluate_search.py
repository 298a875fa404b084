"""`evaluate --retrieval`: any model beside BM25 and TF-IDF, cut vectors, other models, and what cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.cli.main import main
from tunesmith.errors import InputError
from tunesmith.tasks.embedding.evaluate_model import evaluate_retrieval

THINGS = ("owl", "bee", "river", "engine", "castle", "violin", "glacier", "market", "lantern", "orchard", "harbour", "comet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A document about each thing; two queries for each, one of which shares no word with it."""
    corpus = [{"_id": thing, "title": thing, "text": f"all that is known of the {thing} and more"} for thing in THINGS]
    queries = [{"_id": f"{thing}-1", "text": f"what about a {thing}"} for thing in THINGS]
    queries += [{"_id": f"{thing}-2", "text": "something else entirely"} for thing in THINGS]
    qrels = [f"{thing}-{i}\t{thing}\t1" for thing in THINGS for i in (1, 2)]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *qrels]) + "\n", encoding="utf-8")
    return tmp_path


def evaluated(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["evaluate", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_model_is_measured_beside_words_and_another_model(folder: Path, tiny_model: Path, capsys) -> None:
    words = [str(tiny_model), "--retrieval", str(folder), "--dimensions", "4", "--against", "builtin:minilm"]
    found = evaluated([*words, "--metric", "ndcg@10", "--metric", "recall@1"], capsys)
    assert [metric["name"] for metric in found["metrics"]] == ["ndcg@10", "recall@1", "ndcg@10 dim=4", "recall@1 dim=4"]
    assert all(0 <= m["low"] <= m["value"] <= m["high"] <= 1 and m["n"] == 24 for m in found["metrics"])
    by_name = {other["name"]: {m["name"]: m["value"] for m in other["metrics"]} for other in found["baselines"]}
    assert by_name["bm25"]["recall@1"] == by_name["tfidf"]["recall@1"] == 0.5
    assert by_name["builtin:minilm"]["recall@1"] >= 0.5
    assert [verdict["against"] for verdict in found["verdicts"][:3]] == ["builtin:minilm", "bm25", "tfidf"]
    assert found["verdicts"][3]["metric"] == "ndcg@10 dim=4"
    assert found["data"]["documents"] == 12
    difference = found["metrics"][0]["value"] - by_name["bm25"]["ndcg@10"]
    assert found["verdicts"][1]["difference"] == pytest.approx(difference)


def test_the_terminal_shows_every_system_and_the_words(folder: Path, capsys) -> None:
    assert main(["evaluate", "builtin:minilm", "--retrieval", str(folder)]) == 0
    output = capsys.readouterr().out
    assert "24 queries, 12 documents" in output
    assert all(word in output for word in ("builtin:minilm", "bm25", "tfidf", "recall@100"))
    assert "better" in output or "cannot tell" in output
    assert output.count("24 queries") >= 3


def test_vectors_are_ranked_as_the_model_compares_them() -> None:
    from tunesmith.evaluation.search import inner_product_maps

    draw = np.random.default_rng(0)
    queries, documents = draw.normal(size=(5, 4)), draw.normal(size=(9, 4)) * draw.uniform(0.2, 3, size=(9, 1))
    lengths = np.linalg.norm(documents, axis=1)
    wanted = {
        "dot": -(queries @ documents.T),
        "cosine": -(queries @ documents.T) / lengths,
        "euclidean": np.linalg.norm(queries[:, None] - documents[None], axis=2),
    }
    for name, distances in wanted.items():
        query_metrics, of_documents = inner_product_maps(name)  # type: ignore[arg-type]
        assert np.array_equal(np.argsort(-(query_metrics(queries) @ of_documents(documents).T)), np.argsort(distances)), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimensions": [4, 999]}, "999 dimensions are requested; the vectors of builtin:minilm have 384"),
        ({"metrics": ["ndcg"]}, "'ndcg' is no retrieval metric"),
        ({"baselines": ["lucene"]}, "'lucene' is no baseline of retrieval"),
        ({"split": "dev"}, "judgements in qrels.tsv only"),
        ({"max_length": 9999}, "it has 512 positions; max_length is 9999"),
    ],
)
def test_what_cannot_be_requested_is_an_error(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_retrieval("builtin:minilm", folder, **options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runs/x"], "there is nothing to evaluate on"),
        (["runs/x", "rows.csv", "--retrieval", "folder"], "rows.csv and --retrieval folder exclude each other"),
        (["runs/x", "rows.csv", "--dimensions", "4"], "--dimensions works only for embedding models, and runs/x is not one"),
    ],
)
def test_what_does_not_fit_together_is_an_error(words: list[str], message: str, capsys) -> None:
    assert main(["evaluate", *words]) == 2
    assert message in capsys.readouterr().err
