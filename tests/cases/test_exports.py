"""Whole commands on files as annotation tools, benchmarks and their users write them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cases.test_rows import TEXTS, N, declared_file, load, names, notes, run, write
from tunesmith.errors import DataError
from tunesmith.workflows.init import draft_recipe


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def tab_separated(name: str, header: str, row: str) -> str:
    """Writes rows with TABs; ``{i}`` and ``{text}`` stand for the number and the text of a row."""
    lines = [header, *(row.format(i=i, text=text, score=i % 51 / 10) for i, text in enumerate(TEXTS))]
    Path(name).write_text("\n".join(line.replace(" | ", "\t") for line in lines) + "\n", encoding="utf-8")
    return name


def test_ten_columns_that_begin_with_a_number_are_no_token_lines() -> None:
    header = "index | genre | filename | year | old_index | source1 | source2 | sentence1 | sentence2 | score"
    row = "{i} | main-captions | MSRvid | 2012test | {i} | none | none | {text} | so {text} | {score}"
    text, lines = draft_recipe(tab_separated("train.tsv", header, row))
    assert "task: regression" in text
    assert any(line.startswith("pair: sentence2") for line in lines)


def test_token_lines_of_universal_dependencies_are_named() -> None:
    header = "# text = The lamp is late"
    row = "{i} | lamp | lamp | NOUN | NN | Number=Sing | 3 | nsubj | 3:nsubj | _"
    with pytest.raises(DataError, match="format of CoNLL"):
        draft_recipe(tab_separated("dev.conllu", header, row))


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "mark"])
def test_a_header_in_the_middle_of_the_file_is_no_row(mark: str, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [[f"{text} {k},{'ab'[i % 2]}\n" for i, text in enumerate(TEXTS)] for k in range(2)]
    whole = "".join(f"{mark}text,label\n{''.join(part)}" for part in parts)
    Path("rows.csv").write_text(whole, encoding="utf-8")
    data = load("rows.csv")
    assert (data.columns.text, data.labels.names) == ("text", ("a", "b"))
    assert data.train.dropped == {"repeats the header": 1}
    assert data.train.rows_read + len(data.validation or ()) == 2 * N + 1
    Path("c.csv").write_text(f"row_id,given,proposed\n{N + 1},a,b\n", encoding="utf-8")
    assert run(capsys, "apply", "c.csv", "rows.csv")[0] == 0
    parts[1][0] = parts[1][0].replace(",a", ",b")
    expected = "".join(f"{mark}text,label\n{''.join(part)}" for part in parts)
    assert Path("rows.corrected.csv").read_text(encoding="utf-8") == expected


def prodigy(**columns: Any) -> str:
    return write("rows.jsonl", text=TEXTS, label=["a", "b"] * (N // 2), _input_hash=list(range(N)), **columns)


def test_rows_that_an_annotator_rejected_are_refused() -> None:
    path = prodigy(answer=["accept", "accept", "reject", "ignore"] * (N // 4))
    with pytest.raises(DataError, match=r"export of Prodigy with 15 rows \(reject\) and 15 rows \(ignore\)"):
        draft_recipe(path)
    with pytest.raises(DataError, match="export of Prodigy"):
        load(path, columns={"text": "text"})
    assert names(path, columns={"label": "answer"}) == ("accept", "ignore", "reject")
    assert names(prodigy(answer=["accept"] * N)) == ("a", "b")


def test_choices_of_label_studio_in_json() -> None:
    cells = ["a", {"choices": ["a", "b"]}, None, "b"] * (N // 4)
    data = load(write("rows.jsonl", text=TEXTS, topic=cells))
    assert data.labels.names == ("a", "b")
    assert data.labels.problem_type == "multi_label_classification"
    rows = dict(zip(data.train.row_ids, data.train.labels, strict=True))
    assert all(label == ((1, 0), (1, 1), (), (0, 1))[row_id % 4] for row_id, label in rows.items())


def test_categories_of_spacy() -> None:
    cells = [{"cats": {"POS": float(i % 2), "NEG": float(1 - i % 2)}} for i in range(N)]
    Path("rows.json").write_text(json.dumps([[text, cell] for text, cell in zip(TEXTS, cells, strict=True)]))
    assert names("rows.json") == ("NEG", "POS")


@pytest.mark.parametrize(
    "cell",
    [
        [[0, 3, "PLACE"]],
        [{"id": 1, "label": "PLACE", "start_offset": 0, "end_offset": 3}],
        {"entities": [[0, 3, "PLACE"]]},
        [{"start": 0, "end": 3, "label": "PLACE"}],
    ],
    ids=str,
)
def test_names_of_parts_of_a_text_are_named(cell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "init", write("rows.jsonl", text=TEXTS, label=[cell] * N))
    assert (code, "rows.jsonl, row 0 (line 1): The label holds parts of the text" in err) == (2, True)


def test_columns_of_preferences_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    answers = {"chosen": [f"good {text}" for text in TEXTS], "rejected": [f"bad {text}" for text in TEXTS]}
    turns = [[{"role": "user", "content": text}] for text in TEXTS]
    files = [write("a.jsonl", prompt=TEXTS, **answers), write("b.jsonl", **answers)]
    files.append(write("c.jsonl", conversations=turns, **answers))
    files.append(write("d.jsonl", input=turns, preferred_output=turns, non_preferred_output=turns))
    files.append(write("e.jsonl", prompt=TEXTS, reply_a=answers["chosen"], response_a=TEXTS, response_b=TEXTS, winner=["A"] * N))
    for path in files:
        code, _, err = run(capsys, "init", path, "--output", f"{path}.yaml")
        assert (path, code, err.count("unexpected")) == (path, 0, 0)
        assert "task: reward" in Path(f"{path}.yaml").read_text()
    Path("c.yaml").write_text("task: classification\ndata: {train: a.jsonl}\n")
    code, _, err = run(capsys, "check", "c.yaml")
    assert (code, "Write task: reward or task: preference (DPO), which read them as they are" in err) == (2, True)


@pytest.mark.parametrize("name", ["label", "relation", "score"])
def test_labelled_pairs_of_texts_are_no_preferences(capsys: pytest.CaptureFixture[str], name: str) -> None:
    labels = [float(i % 5) if name == "score" else ("same", "other")[i % 2] for i in range(N)]
    code, out, _ = run(
        capsys, "init", write("rows.jsonl", text1=TEXTS, text2=TEXTS[::-1], **{name: labels}), "--output", "r.yaml"
    )
    assert (code, "task: reward" in Path("r.yaml").read_text()) == (0, False), out


def test_class_numbers_without_a_declared_name_are_counted() -> None:
    path = declared_file("rows.parquet", [i % 3 for i in range(N)], ["ham", "spam"])
    assert "20 numbers of label without a name (2): the file declares 2 names" in notes(path)
    assert "without a name" not in notes(declared_file("rows.parquet", [i % 2 for i in range(N)], ["ham", "spam"]))


def test_a_gzip_file_inside_of_another_is_named() -> None:
    rows = "".join(f"{text},{'ab'[i % 2]}\n" for i, text in enumerate(TEXTS))
    Path("rows.csv.gz").write_bytes(gzip.compress(gzip.compress(f"text,label\n{rows}".encode())))
    with pytest.raises(DataError, match="a gzip file inside of a gzip file"):
        load("rows.csv.gz")


def test_an_encoding_that_reads_no_texts_is_named() -> None:
    path = write("rows.csv", text=TEXTS, label=["a", "b"] * (N // 2))
    with pytest.raises(DataError, match="'undefined' reads no texts"):
        load(path, encoding="undefined")


def test_errors_of_a_spreadsheet_are_no_classes() -> None:
    errors = ["#REF!", "#VALUE!", "#DIV/0!", "#NAME?"]
    data = load(write("rows.csv", text=TEXTS, label=[errors[i // 3 % 4] if i % 3 else "ab"[i % 2] for i in range(N)]))
    assert data.labels.names == ("a", "b")
    assert sum(part.dropped.get("label is #ref!", 0) for part in data.named().values()) == 10


def test_line_ends_in_labels_stay_in_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("rows.csv", text=TEXTS, label=["one\nok   all checks passed", "two"] * (N // 2))
    for words in (("init", path), ("check", "--static", path)):
        code, out, err = run(capsys, *words)
        assert (code, "one\\nok   all" in out, "\nok   all" in out + err) == (0, True, False)


def test_folders_as_the_hub_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder/pos").mkdir(parents=True)
    code, _, err = run(capsys, "init", "folder")
    assert (code, "it holds pos/." in err) == (2, True)
    for split, n in (("train", N), ("test", 20)):
        write(f"folder/{split}-00000-of-00001.parquet", text=TEXTS[:n], label=(["a", "b"] * N)[:n])
    data = load("folder")
    assert data.test is not None
    assert len(data.test) == 20
    write("folder/train-00001-of-00002.parquet", text=TEXTS, label=["a", "b"] * (N // 2))
    with pytest.raises(DataError, match="More than one file fits the same split"):
        load("folder")
