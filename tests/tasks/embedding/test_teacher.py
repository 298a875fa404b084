"""`embed --teacher`: the scores of every kind of teacher, a file that loses nothing, an interruption, and the training on it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tunesmith
from tests.conftest import WORDS
from tunesmith.cli.main import main
from tunesmith.data.pairs.formats import detect_pair_format
from tunesmith.data.readers.read import read_table
from tunesmith.errors import InputError, Interrupted
from tunesmith.tasks.embedding import teacher as teachers
from tunesmith.workflows import teacher_scores as workflow

THINGS, DEEDS = WORDS[:12], WORDS[16:22]
QUERIES = [f"{a} {b} it" for a in THINGS for b in DEEDS]
POSITIVES = [f"this {b} was {a}" for a in THINGS for b in DEEDS]
NEGATIVES, OTHERS = POSITIVES[5:] + POSITIVES[:5], POSITIVES[11:] + POSITIVES[:11]
ROWS = {
    "my_id": [f"00{i}" for i in range(72)],
    "query": QUERIES,
    "positive": POSITIVES,
    "negative_1": NEGATIVES,
    "negative_2": OTHERS,
    "label": ["a, b", 'c "d"'] * 36,
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workflow, "ROWS_PER_PART", 20)
    write("rows.csv", ROWS)


def write(name: str, columns: dict[str, list[Any]]) -> None:
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


@pytest.fixture(scope="module")
def cross_encoder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder with one output, as transformers saves it."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("cross")
    AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=1).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    return folder


def scores_of(name: str) -> np.ndarray:
    columns = read_table(name).columns
    return np.array([[float(cell) for cell in columns[f"teacher_score_{k}"]] for k in (1, 2, 3)]).T


@pytest.mark.parametrize("logits", [False, True])
def test_a_cross_encoder_gives_upstreams_scores(cross_encoder: Path, logits: bool, capsys: pytest.CaptureFixture[str]) -> None:
    from sentence_transformers import CrossEncoder

    more = ["--logits"] if logits else []
    assert main(["embed", str(cross_encoder), "rows.csv", "--teacher", "--output", "out.jsonl", *more]) == 0
    printed = capsys.readouterr().out
    assert f"teacher_score_1, teacher_score_2, teacher_score_3 ({'logit' if logits else 'probability'})" in printed
    model, activation = CrossEncoder(str(cross_encoder), device="cpu"), torch.nn.Identity() if logits else torch.nn.Sigmoid()
    expected = [
        model.predict(list(zip(QUERIES, side, strict=True)), activation_fn=activation) for side in (POSITIVES, NEGATIVES, OTHERS)
    ]
    assert np.allclose(scores_of("out.jsonl"), np.array(expected).T, atol=1e-5)
    model.save_pretrained("again")  # in the folders of modules that sentence-transformers writes
    assert teachers.load_teacher("again", "tuple").kind == "cross-encoder"


def test_a_bi_encoder_gives_its_similarity_with_its_prompts(tiny_model: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        str(tiny_model), device="cpu", prompts={"query": "he ", "document": "she "}, similarity_fn_name="dot"
    )
    model.save_pretrained("bi")
    done = tunesmith.teacher_scores("bi", "rows.csv", "out.csv")
    assert (done.teacher, done.scale, done.n_rows) == ("bi-encoder", "inner product", 72)
    queries, documents = model.encode_query(QUERIES), model.encode_document(POSITIVES)
    assert np.allclose(scores_of("out.csv")[:, 0], (queries * documents).sum(1), atol=1e-4)


def test_the_run_of_a_reranker_scores_as_it_predicts(tiny_model: Path) -> None:
    folder = Path("search")
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", POSITIVES), ("queries", QUERIES)):
        lines = [json.dumps({"_id": f"{i}", "text": text}) for i, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for split, chosen in (("train", range(0, 72, 2)), ("test", range(1, 72, 4))):
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(f"{i}\t{i}\t1" for i in chosen) + "\n", encoding="utf-8")
    Path("recipe.yaml").write_text(
        f"task: embedding\nembedding: {{head: cross-encoder, top_k: 5}}\nmodel: {{name: '{tiny_model}'}}\n"
        "data: {train: search}\nevaluate: {retrieval: search}\noutput: runs/r\n"
        "train: {max_steps: 3, n_evaluations: 1, per_device_train_batch_size: 8}\n",
        encoding="utf-8",
    )
    assert main(["train", "recipe.yaml"]) == 0
    done = tunesmith.teacher_scores("runs/r", "rows.csv", "out.jsonl")
    assert (done.teacher, done.scale) == ("reranker", "probability")
    write("new.csv", {"text": QUERIES, "pair": POSITIVES})
    table = tunesmith.predict("runs/r", "new.csv", columns={"text": "text", "pair": "pair"})
    assert np.allclose(scores_of("out.jsonl")[:, 0], [row["pred_probs"][1] for row in table], atol=1e-4)
    tunesmith.teacher_scores("runs/r", "rows.csv", "logits.jsonl", logits=True)
    assert np.allclose(1 / (1 + np.exp(-scores_of("logits.jsonl"))), scores_of("out.jsonl"), atol=1e-4)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".parquet"])
def test_nothing_is_lost_and_the_format_is_detected(suffix: str, cross_encoder: Path) -> None:
    done = tunesmith.teacher_scores(cross_encoder, "rows.csv", f"out{suffix}")
    table = read_table(f"out{suffix}")
    assert list(table.columns) == [*ROWS, "teacher_score_1", "teacher_score_2", "teacher_score_3"]
    assert all(list(table.columns[name]) == cells for name, cells in ROWS.items())
    found = detect_pair_format(table)
    assert (found.kind, found.texts) == ("teacher_scores", ("query", "positive", "negative_1", "negative_2"))
    assert found.target == done.scores
    assert done.recipe_columns == {}
    scores = scores_of(f"out{suffix}")
    assert done.n_positive_higher == (scores[:, 0] > scores[:, 1:].max(axis=1)).sum()
    assert done.largest_margin == pytest.approx(np.abs(scores[:, :1] - scores[:, 1:]).max(), abs=1e-8)
    assert not Path(f"out{suffix}.parts").exists()


def test_an_interrupted_scoring_goes_on_where_it_stopped(cross_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tunesmith.teacher_scores(cross_encoder, "rows.csv", "whole.jsonl")
    assert whole.n_kept == 0
    real, calls = workflow.load_teacher, []

    def interrupted(*words: Any) -> teachers.Teacher:
        teacher = real(*words)

        def score(queries: Any, documents: Any) -> Any:
            calls.append(len(queries))
            if len(calls) == 5:
                raise KeyboardInterrupt
            return teacher.score(queries, documents)

        return teachers.Teacher(teacher.kind, score, teacher.scale)

    with monkeypatch.context() as broken:
        broken.setattr(workflow, "load_teacher", interrupted)
        with pytest.raises(Interrupted, match="Continue with --resume"):
            tunesmith.teacher_scores(cross_encoder, "rows.csv", "out.jsonl")
    assert not Path("out.jsonl").exists()
    with pytest.raises(InputError, match="an unfinished score is at out"):
        tunesmith.teacher_scores(cross_encoder, "rows.csv", "out.jsonl")
    with pytest.raises(InputError, match="logits was False and is True"):
        tunesmith.teacher_scores(cross_encoder, "rows.csv", "out.jsonl", logits=True, resume=True)
    done = tunesmith.teacher_scores(cross_encoder, "rows.csv", "out.jsonl", resume=True)
    assert done.n_kept == 20  # one part; the second was interrupted
    assert Path("out.jsonl").read_text() == Path("whole.jsonl").read_text()


def test_a_row_without_a_text_stays_without_scores(cross_encoder: Path) -> None:
    write("gaps.csv", ROWS | {"positive": ["", *POSITIVES[1:]]})
    done = tunesmith.teacher_scores(cross_encoder, "gaps.csv", "out.jsonl")
    assert done.n_missing == 1
    first = json.loads(Path("out.jsonl").read_text().splitlines()[0])
    assert (first["my_id"], first["teacher_score_1"], first["teacher_score_2"]) == ("000", None, None)


@pytest.mark.parametrize("loss", ["", "DistillKLDivLoss"])
def test_a_student_is_trained_on_the_scores(
    loss: str, cross_encoder: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embed", str(cross_encoder), "rows.csv", "--teacher", "--logits", "--output", "scored.jsonl"]) == 0
    section = f"embedding: {{loss: {loss}}}\n" if loss else ""
    Path("recipe.yaml").write_text(
        f"task: embedding\nmodel: {{name: '{tiny_model}'}}\ndata: {{train: scored.jsonl}}\n{section}"
        "train: {max_steps: 4, n_evaluations: 2, per_device_train_batch_size: 8, learning_rate: 0.001}\noutput: runs/s\n",
        encoding="utf-8",
    )
    capsys.readouterr()
    assert main(["train", "recipe.yaml", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["training"]["loss"] == (loss or "MarginMSELoss")
    assert [metric["name"] for metric in result["metrics"]] == ["accuracy"]
    assert {verdict["against"] for verdict in result["verdicts"]} == {"untuned", "tfidf"}


def test_the_test_is_whether_the_text_with_the_highest_score_is_nearest(tiny_model: Path) -> None:
    from sentence_transformers import SentenceTransformer

    scores = np.random.default_rng(0).normal(size=(72, 3))
    write("scored.csv", {**ROWS, **{f"teacher_score_{k + 1}": scores[:, k].tolist() for k in range(3)}})
    result = tunesmith.evaluate_similarity(str(tiny_model), "scored.csv")
    model = SentenceTransformer(str(tiny_model), device="cpu")
    queries, *sides = (model.encode(side, normalize_embeddings=True) for side in (QUERIES, POSITIVES, NEGATIVES, OTHERS))
    nearest = np.argmax([(queries * side).sum(1) for side in sides], axis=0)
    assert result.metric("accuracy", "test").value == pytest.approx((nearest == scores.argmax(axis=1)).mean())


def test_pairs_get_one_score_and_the_line_of_the_recipe(cross_encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("pairs.csv", {"anchor": QUERIES, "positive": POSITIVES})
    assert main(["embed", str(cross_encoder), "pairs.csv", "--teacher", "--output", "out.csv"]) == 0
    assert "data: {columns: {text: anchor, pair: positive, score: teacher_score}}" in capsys.readouterr().out
    table = read_table("out.csv")
    assert detect_pair_format(table, {"text": "anchor", "pair": "positive", "score": "teacher_score"}).kind == "scored_pair"
    write("sentences.csv", {"sentence1": QUERIES, "sentence2": POSITIVES})
    assert tunesmith.teacher_scores(cross_encoder, "sentences.csv", "detected.csv").recipe_columns == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["CROSS", "rows.csv", "--teacher", "--output", "x.npy"], "scores cannot be written as .npy"),
        (["CROSS", "scored.csv", "--teacher", "--output", "x.csv"], "the column margin has the name of a score"),
        (["CROSS", "labelled.csv", "--teacher", "--output", "x.csv"], "a teacher scores documents of a query"),
        (["CROSS", "rows.csv", "--teacher", "--normalize", "--output", "x.csv"], "--normalize works only without --teacher"),
        (["CROSS", "rows.csv", "--logits", "--output", "x.npy"], "--logits works only with --teacher"),
        (["builtin:minilm", "rows.csv", "--teacher", "--logits", "--output", "x.csv"], "it is a bi-encoder"),
        (["absent", "rows.csv", "--teacher", "--output", "x.csv"], "there is no such file or folder"),
        (["two", "rows.csv", "--teacher", "--output", "x.csv"], "it has 2 outputs for a pair"),
        (["CROSS", "rows.csv", "--teacher", "--column", "anchor", "--output", "x.csv"], "--column anchor names no column"),
    ],
)
def test_what_cannot_be_scored_is_an_error(words: list[str], message: str, cross_encoder: Path, tiny_model: Path, capsys) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    write("scored.csv", {"query": QUERIES, "positive": POSITIVES, "negative": NEGATIVES, "margin": list(range(72))})
    write("labelled.csv", {"text": QUERIES, "label": ["a", "b"] * 36})
    if words[0] == "two":
        AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=2).save_pretrained("two")
        AutoTokenizer.from_pretrained(tiny_model).save_pretrained("two")
    assert main(["embed", *[str(cross_encoder) if word == "CROSS" else word for word in words]]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(Path().glob("x.*"))


def test_a_cross_encoder_of_another_program_reorders_a_search_by_its_logits(
    cross_encoder: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sentence_transformers import CrossEncoder

    Path("search").mkdir()
    for name, texts in (("corpus", POSITIVES[:20]), ("queries", QUERIES[:20])):
        lines = [json.dumps({"_id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)]
        Path("search", f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    Path("search/qrels.tsv").write_text("".join(f"{i}\t{i}\t1\n" for i in range(20)), encoding="utf-8")
    words = [str(tiny_model), "--retrieval", "search", "--rerank", str(cross_encoder), "--top-k", "20", "--json"]
    assert main(["evaluate", *words]) in (0, 3, 4)
    found = {metric["name"]: metric["value"] for metric in json.loads(capsys.readouterr().out)["metrics"]}
    model = CrossEncoder(str(cross_encoder), device="cpu")
    pairs = [(query, document) for query in QUERIES[:20] for document in POSITIVES[:20]]
    logits = np.asarray(model.predict(pairs, activation_fn=torch.nn.Identity())).reshape(20, 20)
    ranks = 1 + (logits > np.diag(logits)[:, None]).sum(axis=1)
    assert found["mrr@10"] == pytest.approx(np.where(ranks <= 10, 1 / ranks, 0).mean(), abs=0.02)
    assert main(["evaluate", *words[:4], str(tiny_model)]) == 2
    assert "it is no reranker: it does not read a query and a document together" in capsys.readouterr().err
