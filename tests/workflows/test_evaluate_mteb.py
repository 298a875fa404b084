"""``evaluate --mteb`` and ``mteb_encoder``: our metrics and those of mteb are the same on small local tasks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import WORDS
from tunesmith.cli.main import main
from tunesmith.errors import InputError, MissingExtra
from tunesmith.models.embedding import mteb_encoder as encoder_module
from tunesmith.tasks.embedding.mteb_tasks import load_mteb_task
from tunesmith.workflows.evaluate_mteb import drawn_texts, evaluate_mteb
from tunesmith.workflows.mteb_encoder import mteb_encoder

needs_mteb = pytest.mark.skipif(
    not encoder_module.find_spec("mteb"), reason="the extra mteb (pip install 'tunesmith[mteb]') is absent"
)
QUERY, DOCUMENT, OTHER = "good book ", "the food ", "it was "
LAYOUT = """---
configs:
- {config_name: default, data_files: [{split: test, path: qrels.jsonl}]}
- {config_name: corpus, data_files: [{split: corpus, path: corpus.jsonl}]}
- {config_name: queries, data_files: [{split: queries, path: queries.jsonl}]}
---
"""


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with a prompt for queries, one for documents, and one for other texts."""
    from sentence_transformers import SentenceTransformer

    made: Any = SentenceTransformer(str(tiny_model), device="cpu")
    made.prompts = {"query": QUERY, "document": DOCUMENT, "other": OTHER}
    made.default_prompt_name = "other"
    folder = tmp_path_factory.mktemp("models") / "prompted"
    made.save_pretrained(str(folder))
    return str(folder)


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def search(tmp_path: Path) -> Path:
    """A dozen documents with titles, and a query for each with one relevant document or two; one query has none."""
    folder = tmp_path / "search"
    folder.mkdir()
    write(
        folder / "corpus.jsonl", [{"_id": f"d{i}", "title": WORDS[i], "text": " ".join(WORDS[i + 1 : i + 4])} for i in range(12)]
    )
    write(folder / "queries.jsonl", [{"_id": f"q{i}", "text": f"{WORDS[i + 2]} {WORDS[(i * 5) % 16]}"} for i in range(12)])
    judged = [(i, i, 2) for i in range(11)] + [(i, i + 1, 1) for i in range(0, 10, 2)]
    write(folder / "qrels.jsonl", [{"query-id": f"q{q}", "corpus-id": f"d{d}", "score": score} for q, d, score in judged])
    (folder / "README.md").write_text(LAYOUT, encoding="utf-8")
    return folder


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    rows = [
        {"sentence1": f"{WORDS[i]} {WORDS[i + 1]}", "sentence2": f"{WORDS[i]} {WORDS[(i * 7) % 16]}", "score": float(i % 6)}
        for i in range(14)
    ]
    write(folder / "test.jsonl", rows)
    return folder


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Three classes of texts, whose first word tells the class of four texts in five."""
    folder, draw = tmp_path / "classes", np.random.default_rng(0)
    folder.mkdir()
    for split, n in (("train", 90), ("test", 40)):
        labels = draw.integers(0, 3, n)
        said = np.where(draw.random(n) < 0.8, labels, draw.integers(0, 3, n))
        texts = [f"{WORDS[a]} {' '.join(draw.choice(WORDS[3:20], 3))}" for a in said]
        write(folder / f"{split}.jsonl", [{"text": text, "label": int(b)} for text, b in zip(texts, labels, strict=True)])
    return folder


def of_mteb(model: str, task: str, folder: Path, **options: Any) -> dict[str, Any]:
    """Returns mteb's own scores of our encoder."""
    import mteb

    loaded = load_mteb_task(task, folder)
    result = mteb.evaluate(mteb_encoder(model, **options), loaded.task, cache=None, co2_tracker=False, show_progress_bar=False)
    return result.task_results[0].scores["test"][0]


@needs_mteb
@pytest.mark.parametrize("name", ["prompted", "builtin:minilm"])
def test_a_search_has_the_metrics_of_mteb(name: str, model: str, search: Path) -> None:
    target = model if name == "prompted" else name
    ours, theirs = evaluate_mteb(target, "SciFact", folder=search), of_mteb(target, "SciFact", search)
    for metric, key in {"ndcg@10": "ndcg_at_10", "recall@10": "recall_at_10", "map@100": "map_at_100"}.items():
        assert ours.metric(metric, "test").value == pytest.approx(theirs[key], abs=1.1e-5), metric  # mteb rounds to 5 digits
    assert [baseline.name for baseline in ours.baselines] == ["bm25", "tfidf"]
    assert ours.data["queries"] == 11
    assert ours.data["mteb"]["dataset"] == str(search)


@needs_mteb
def test_similarity_is_that_of_mteb(model: str, pairs: Path) -> None:
    ours, theirs = evaluate_mteb(model, "STSBenchmark", folder=pairs), of_mteb(model, "STSBenchmark", pairs)
    assert ours.metric("spearman", "test").value == pytest.approx(theirs["cosine_spearman"], abs=1e-6)
    assert ours.metric("pearson", "test").value == pytest.approx(theirs["cosine_pearson"], abs=1e-4)


@needs_mteb
@pytest.mark.slow
def test_classification_is_that_of_mteb(model: str, classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--mteb",
        "Banking77Classification",
        "--mteb-folder",
        str(classes),
        "--dimensions",
        "8",
        "--against",
        "builtin:minilm",
    ]
    assert main(["evaluate", model, *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    theirs = of_mteb(model, "Banking77Classification", classes)
    values = {metric["name"]: metric for metric in found["metrics"]}
    assert values["accuracy"]["value"] == pytest.approx(theirs["accuracy"], abs=1e-6)
    assert values["accuracy"]["low"] < values["accuracy"]["value"] < values["accuracy"]["high"]
    assert [verdict["against"] for verdict in found["verdicts"]] == ["builtin:minilm", "tfidf", "dim=32"]
    assert found["data"]["rows"] == 40


@needs_mteb
def test_all_systems_have_the_training_texts_that_mteb_draws(classes: Path) -> None:
    loaded = load_mteb_task("Banking77Classification", classes)
    drawn = drawn_texts(loaded)
    assert drawn == drawn_texts(loaded)
    assert set(drawn) <= set(loaded.split_rows("train")["text"])
    assert loaded.split_rows("test").num_rows == 40


@needs_mteb
def test_mteb_gets_our_prompts_and_our_vectors(model: str) -> None:
    from mteb.types import PromptType

    from tunesmith.workflows.embed import embed

    encoder, texts = mteb_encoder(model), ["good food", "bad book it"]
    for kind, prompt in ((PromptType.query, QUERY), (PromptType.document, DOCUMENT), (None, OTHER)):
        vectors = encoder.encode([{"text": texts[:1]}, {"text": texts[1:]}], prompt_type=kind)
        assert np.allclose(vectors, embed(model, texts, prompt=prompt), atol=1e-6)


@needs_mteb
def test_other_weights_are_another_revision(model: str, tiny_model: Path) -> None:
    first, again, other = (mteb_encoder(name).mteb_model_meta.revision for name in (model, model, tiny_model))
    assert first == again != other
    assert mteb_encoder(model, max_length=8).mteb_model_meta.revision != first


@needs_mteb
def test_a_task_in_memory_is_evaluated(model: str) -> None:
    import mteb
    from datasets import Dataset, DatasetDict

    task: Any = mteb.get_task("STSBenchmark")
    rows = [{"sentence1": WORDS[i], "sentence2": WORDS[i + 1], "score": i % 5} for i in range(10)]
    task.dataset, task.data_loaded = DatasetDict({"test": Dataset.from_list(rows)}), True
    assert evaluate_mteb(model, task).data["rows"] == 10


@needs_mteb
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["SciFakt"], "has no task 'SciFakt'. Close: SciFact,"),
        (["AskUbuntuDupQuestions"], "is a task of type Reranking; only Retrieval, STS, Classification"),
        (["STS22"], "STS22 has 18 subsets. Give --mteb-subset NAME, one of: en, "),
        (["SciFact", "--split", "dev"], "SciFact has no split 'dev'. Give --split NAME, one of: test."),
        (["SciFact", "--mteb-folder", "nowhere"], "hf download mteb/scifact --repo-type dataset --revision d56462d"),
        (["SciFact", "--mteb-folder", "."], "The folder has the layout of mteb/scifact."),
        (["STSBenchmark"], "hf download mteb/stsbenchmark-sts --repo-type dataset"),
        (["SciFact", "--same", "x"], "--same does not work with --mteb."),
        (["SciFact", "--retrieval", "x"], "x and --mteb SciFact exclude each other."),
    ],
)
def test_what_cannot_be_evaluated_is_one_message(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["evaluate", "builtin:minilm", "--mteb", *words]) == 2
    assert message in capsys.readouterr().err


@needs_mteb
def test_options_of_a_search_are_refused_elsewhere(model: str, pairs: Path) -> None:
    with pytest.raises(InputError, match="--metric: it is an option of retrieval, and STSBenchmark is of type STS"):
        evaluate_mteb(model, "STSBenchmark", folder=pairs, metrics=["ndcg@5"])


@needs_mteb
def test_relevant_documents_outside_the_corpus_are_an_error(model: str, search: Path) -> None:
    with (search / "qrels.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"query-id": "q1", "corpus-id": "gone", "score": 1}) + "\n")
    with pytest.raises(InputError, match=r"1 relevant document is not in the corpus \(gone\)"):
        evaluate_mteb(model, "SciFact", folder=search)


def test_without_mteb_the_message_has_the_install_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(encoder_module, "find_spec", lambda _name: None)
    assert main(["evaluate", "builtin:minilm", "--mteb", "SciFact"]) == 2
    assert "pip install 'tunesmith[mteb]'" in capsys.readouterr().err
    with pytest.raises(MissingExtra, match="mteb, which is not installed"):
        mteb_encoder("builtin:minilm")


def test_options_of_tasks_need_a_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "builtin:minilm", "--mteb-folder", "x", "--retrieval", "y"]) == 2
    assert "--mteb-folder works only with --mteb." in capsys.readouterr().err
