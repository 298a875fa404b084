"""The BEIR layout: what is read, what is left out and reported, and every way in which the files can be wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tunesmith.data.pairs.retrieval import read_beir
from tunesmith.errors import DataError

CORPUS = [
    {"_id": "d1", "title": "Owls", "text": "Owls hunt at night."},
    {"_id": "d2", "title": "", "text": "Bees make honey."},
    {"_id": "d3", "title": "Rain", "text": ""},
]
QUERIES = [{"_id": "q1", "text": "night hunters"}, {"_id": "q2", "text": "honey"}, {"_id": "q3", "text": "of no interest"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td2\t1\nq2\td1\t0\n"


def lines(rows: list[dict[str, str]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corpus.jsonl").write_text(lines(CORPUS), encoding="utf-8")
    (tmp_path / "queries.jsonl").write_text(lines(QUERIES), encoding="utf-8")
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text(QRELS, encoding="utf-8")
    return tmp_path


def test_documents_carry_their_title_and_queries_their_documents(folder: Path) -> None:
    found = read_beir(folder)
    assert found.split == "test"
    assert found.documents == ("Owls Owls hunt at night.", "Bees make honey.", "Rain")
    assert (found.query_ids, found.queries) == (("q1", "q2"), ("night hunters", "honey"))
    relevance = found.judgements
    assert relevance.query.tolist() == [0, 1]
    assert relevance.document.tolist() == [0, 1]
    assert relevance.gain.tolist() == [2, 1]
    assert (relevance.n_queries, relevance.n_documents) == (2, 3)


def test_what_is_not_measured_is_noted(folder: Path) -> None:
    assert read_beir(folder).notes == ("1 query has no judgement in test: not measured",)
    (folder / "qrels" / "test.tsv").write_text(QRELS + "q3\td3\t0\n", encoding="utf-8")
    assert read_beir(folder).notes == ("1 query has no relevant document, not measured: q3",)


def test_one_file_of_judgements_trecs_columns_and_gzip_are_read_too(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").unlink()
    (folder / "qrels").rmdir()
    (folder / "qrels.tsv").write_text("q1\t0\td1\t1\nq2\t0\td2\t1\n", encoding="utf-8")
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress((folder / "corpus.jsonl").read_bytes()))
    (folder / "corpus.jsonl").unlink()
    found = read_beir(folder)
    assert found.judgements.document.tolist() == [0, 1]


def test_the_split_is_chosen_by_name(folder: Path) -> None:
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq3\td3\t1\n", encoding="utf-8")
    assert read_beir(folder, "dev").queries == ("of no interest",)
    assert read_beir(folder).split == "test"
    with pytest.raises(DataError, match=r"there is no qrels/train.tsv. Name one of these splits: dev, test"):
        read_beir(folder, "train")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("corpus.jsonl", lines([*CORPUS, CORPUS[0]]), r"line 4.*'d1' occurs a second time, after row 0 \(line 1\)"),
        ("queries.jsonl", lines([*QUERIES, QUERIES[1]]), "line 4.*'q2' occurs a second time"),
        ("corpus.jsonl", lines([{"text": "no id"}]), "there is no column _id"),
        ("corpus.jsonl", lines([{"_id": "d1"}]), "there is no column text"),
        ("corpus.jsonl", lines([{"_id": "", "text": "a"}]), "line 1.*the _id is missing"),
        ("queries.jsonl", lines([{"_id": "q1", "text": " "}]), "line 1.*the query has no text"),
        ("qrels/test.tsv", QRELS + "q9\td1\t1\n", "line 5.*there is no query 'q9' in queries; 1 judgement names"),
        ("qrels/test.tsv", QRELS + "q1\td9\t1\nq1\td8\t1\n", "line 5.*there is no document 'd9' in corpus; 2 judgements"),
        ("qrels/test.tsv", QRELS + "q1\td1\t1\n", "line 5.*'d1' is judged for the query 'q1' a second time"),
        ("qrels/test.tsv", QRELS.replace("2\n", "high\n"), "line 2.*the score 'high' is no number"),
        ("qrels/test.tsv", "query-id\tcorpus-id\nq1\td1\n", "it has 2 columns"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t0\n", "no query has a relevant document"),
    ],
)
def test_each_mistake_has_its_message(folder: Path, file: str, text: str, message: str) -> None:
    (folder / file).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_beir(folder)


@pytest.mark.parametrize(("gone", "message"), [("corpus.jsonl", "no corpus.jsonl"), ("qrels/test.tsv", "no judgements")])
def test_a_missing_file_is_named_with_the_layout(folder: Path, gone: str, message: str) -> None:
    (folder / gone).unlink()
    with pytest.raises(DataError, match=f"there (is|are) {message}.*A retrieval folder has corpus.jsonl"):
        read_beir(folder)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        read_beir(tmp_path / "nothing")
