"""`embed`: every row in its place, an interruption costs nothing, and nothing is overwritten unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tunesmith.cli.main import main
from tunesmith.errors import InputError, Interrupted
from tunesmith.models import many_processes
from tunesmith.models.embedding.encoder import SentenceEncoder, load_encoder
from tunesmith.models.source import find_model
from tunesmith.progress import Event
from tunesmith.recipe.sections import ModelSection
from tunesmith.workflows import embed as vectors
from tunesmith.workflows.embed import embed

TEXTS = ["a bee", "an owl hunts at night", "", "the river is long and wide and deep", "honey", "where is my parcel"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [{"_id": f"d{i}", "title": f"title {i}", "text": text} for i, text in enumerate(TEXTS)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.setattr(vectors, "ROWS_PER_PART", 2)
    return tmp_path


def upstream(model: str, texts: list[str], **options: Any) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    source = find_model(ModelSection(name=model), Path())
    return np.asarray(SentenceTransformer(source.location).encode(texts, show_progress_bar=False, **options))


def cosines(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.asarray((one * two).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1))


def test_vectors_are_upstreams_in_the_order_of_the_rows(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", "builtin:minilm", "rows.jsonl", "--text", "text", "--output", "out.npy"]) == 0
    assert "note: 1 row without a text: NaN" in capsys.readouterr().out
    found, there = np.load("out.npy"), [i for i, text in enumerate(TEXTS) if text]
    assert found.shape == (6, 384)
    assert np.isnan(found[2]).all()
    assert cosines(found[there], upstream("builtin:minilm", [TEXTS[i] for i in there])).min() > 0.999
    assert sorted(path.name for path in place.iterdir()) == ["out.npy", "rows.jsonl"]


def test_a_file_of_plain_texts_has_one_a_line_as_for_predict(place: Path, tiny_model: Path) -> None:
    Path("new.txt").write_text("where is my parcel\nwake me at 7, please\nhoney\n")
    done = embed(tiny_model, "new.txt", "out.npy")
    assert (done.n_rows, done.n_missing, done.columns) == (3, 0, ("text",))
    lines = ["where is my parcel", "wake me at 7, please", "honey"]
    assert np.load("out.npy") == pytest.approx(embed(tiny_model, lines), abs=1e-6)


def test_parquet_has_ids_and_no_vector_where_there_is_no_text(place: Path, tiny_model: Path) -> None:
    done = embed(tiny_model, "rows.jsonl", "out.parquet", text=["text"], dimensions=4, normalize=True, dtype="float16")
    assert (done.n_rows, done.n_missing, done.dimension) == (6, 1, 4)
    table = pq.read_table("out.parquet").to_pydict()
    assert table["id"] == [f"d{i}" for i in range(6)]
    assert table["embedding"][2] is None
    lengths = [np.linalg.norm(np.asarray(one, dtype=np.float64)) for one in table["embedding"] if one is not None]
    assert lengths == pytest.approx([1.0] * 5, abs=2e-3)


def test_prompts_and_joined_columns_reach_the_model(place: Path, tiny_model: Path) -> None:
    embed(tiny_model, "rows.jsonl", "out.npy", text=["title", "text"], prompt="query: ")
    wanted = upstream(str(tiny_model), [f"query: title {i} {text}".strip() for i, text in enumerate(TEXTS)])
    assert cosines(np.load("out.npy"), wanted).min() > 0.999


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> list[int]:
    """The embedding is interrupted at the part after so many; the rows of each part, as they are embedded."""
    whole, done = SentenceEncoder.encode, []

    def encode(self: SentenceEncoder, texts: list[str], *others: Any) -> np.ndarray:
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(len(texts))
        return whole(self, texts, *others)

    monkeypatch.setattr(SentenceEncoder, "encode", encode)
    return done


def test_an_interrupted_embedding_goes_on_where_it_stopped(place: Path, tiny_model: Path, monkeypatch) -> None:
    embed(tiny_model, "rows.jsonl", "whole.npy", text=["text"])
    with monkeypatch.context() as broken:
        assert interrupt(broken, after=1) == []
        with pytest.raises(Interrupted, match="Continue with --resume"):
            embed(tiny_model, "rows.jsonl", "out.npy", text=["text"])
    assert not Path("out.npy").exists()
    with pytest.raises(InputError, match="an unfinished embedding is at out"):
        embed(tiny_model, "rows.jsonl", "out.npy", text=["text"])
    with pytest.raises(InputError, match="normalize was False and is True"):
        embed(tiny_model, "rows.jsonl", "out.npy", text=["text"], normalize=True, resume=True)
    with monkeypatch.context() as watched:
        rest = interrupt(watched, after=9)
        done = embed(tiny_model, "rows.jsonl", "out.npy", text=["text"], resume=True)
    assert (done.n_kept, rest) == (2, [2, 1])
    assert np.array_equal(np.load("out.npy"), np.load("whole.npy"), equal_nan=True)
    assert not Path("out.npy.parts").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "out.csv"}, "embeddings cannot be written as .csv"),
        ({"output": "no/out.npy"}, "the folder no does not exist"),
        ({"output": "rows.npy"}, "there is such a file"),
        ({"text": ["body"]}, "there is no column 'body'. Columns: _id, title, text"),
        ({"dimensions": 0}, "0 dimensions are requested"),
        ({"dimensions": 999}, "999 dimensions are requested; the vectors of"),
        ({"resume": True}, "there is no unfinished embedding"),
        ({"target": "nowhere/at/all"}, "there is no such folder"),
    ],
)
def test_what_cannot_be_done_is_an_error_and_nothing_is_written(
    place: Path, tiny_model: Path, options: dict[str, Any], message: str
) -> None:
    Path("rows.npy").write_bytes(b"kept")
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    usual = {"target": tiny_model, "data": "rows.jsonl", "output": "out.npy", "text": ["text"]}
    with pytest.raises(InputError, match=message):
        embed(**{**usual, **options})
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before


def test_rows_without_any_text_are_refused(place: Path, tiny_model: Path) -> None:
    Path("empty.csv").write_text("text,id\n ,1\n,2\n", encoding="utf-8")
    with pytest.raises(InputError, match="no row has a text in text"):
        embed(tiny_model, "empty.csv", "out.npy", text=["text"])


def test_an_unusual_model_is_embedded_by_upstream_itself(tiny_model: Path) -> None:
    from dataclasses import replace

    encoder = load_encoder(find_model(ModelSection(name=str(tiny_model)), Path()))
    assert encoder.is_plain
    theirs = replace(encoder, is_plain=False).encode(["an owl", "a bee and more"])
    assert cosines(theirs, encoder.encode(["an owl", "a bee and more"])).min() > 0.999


def test_a_word_on_the_command_line_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["embed", "builtin:minilm", "corpus", "--output", "out.npy"]) == 2
    assert "corpus: There is no such file" in capsys.readouterr().err


@pytest.mark.slow
def test_several_processes_write_the_vectors_of_one_and_continue_what_it_began(place: Path, monkeypatch) -> None:
    monkeypatch.setattr(many_processes, "cores", lambda: 2)
    whole = embed("builtin:minilm", "rows.jsonl", "one.npy", text=["text"])
    with monkeypatch.context() as broken:
        interrupt(broken, after=1)
        with pytest.raises(Interrupted, match="Continue with --resume"):
            embed("builtin:minilm", "rows.jsonl", "two.npy", text=["text"])
    events: list[Event] = []
    words = ["embed", "builtin:minilm", "rows.jsonl", "--text", "text", "--output", "two.npy", "--resume", "--processes"]
    with monkeypatch.context() as killed:
        killed.setattr(many_processes, "start_worker", killed_at_start)
        assert main([*words, "2"]) == 1
    assert sorted(path.name for path in Path("two.npy.parts").glob("part*")) == ["part-000000.npy"]
    done = embed("builtin:minilm", "rows.jsonl", "two.npy", text=["text"], resume=True, processes=2, listener=events.append)
    assert (done.n_kept, done.n_rows, whole.n_rows) == (2, 6, 6)
    assert np.array_equal(np.load("one.npy"), np.load("two.npy"), equal_nan=True)
    assert [event.done for event in events if event.kind == "step"] == [4, 5]


def killed_at_start(*given: Any) -> many_processes.Worker:
    """Starts a process, and kills the second one."""
    worker = START_WORKER(*given)
    if given[0] == 1:
        worker.process.kill()
    return worker


START_WORKER = many_processes.start_worker


def test_a_model_that_reads_more_than_token_ids_is_encoded_by_one_process(place: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("tunesmith.models.embedding.encoder.is_plain", lambda model: False)
    monkeypatch.setattr(many_processes, "cores", lambda: 2)
    assert main(["embed", "builtin:minilm", "rows.jsonl", "--text", "text", "--output", "out.npy", "--processes", "2"]) == 2
    assert "only one process can encode its texts" in capsys.readouterr().err
    assert [path.name for path in place.iterdir()] == ["rows.jsonl"]
