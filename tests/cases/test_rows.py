"""Whole commands on tables as people keep them: labels, scores and texts in every form and file format."""

from __future__ import annotations

import base64
import csv
import gzip
import json
import os
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tunesmith.cli.main import main
from tunesmith.data.labelled.load import LabelledData, load_labelled_data
from tunesmith.errors import DataError, InputError
from tunesmith.recipe.load import load_recipe, recipe_from_mapping
from tunesmith.workflows.init import draft_recipe

N = 60
TEXTS = [f"the {('train', 'soup', 'room', 'lamp')[i % 4]} of visit {i} was {('late', 'cold', 'loud')[i % 3]}" for i in range(N)]
VECTORS = [[int(i % 3 == k or i % 7 == k) for k in range(3)] for i in range(N)]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Runs a command in this process; returns its exit code, output and errors."""
    code = main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


def write(name: str, **columns: Sequence[Any]) -> str:
    """Writes the columns in the format of the name: csv, jsonl or parquet."""
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    if name.endswith(".csv"):
        with Path(name).open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(columns))
            writer.writeheader()
            writer.writerows(rows)
    elif name.endswith(".jsonl"):
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(
            pa.table({key: cells if isinstance(cells, pa.Array) else pa.array(cells) for key, cells in columns.items()}), name
        )
    return name


def load(train: str, **data: Any) -> LabelledData:
    task = data.pop("task", "classification")
    return load_labelled_data(recipe_from_mapping({"task": task, "data": {"train": train, **data}}, "test"), Path())


def names(train: str, **data: Any) -> tuple[str, ...]:
    return load(train, **data).labels.names


def notes(train: str, **data: Any) -> str:
    return "\n".join(load(train, **data).notes)


# ---- labels in other forms


def as_text(vector: Sequence[int]) -> str:
    return str(list(vector))


FORMS: dict[str, tuple[str, Callable[[list[int]], Any]]] = {
    "json": ("jsonl", list),
    "floats": ("jsonl", lambda vector: [float(flag) for flag in vector]),
    "booleans": ("jsonl", lambda vector: [bool(flag) for flag in vector]),
    "text in csv": ("csv", as_text),
    "numpy's print": ("csv", lambda vector: str(vector).replace(",", "")),
    "bare in csv": ("csv", lambda vector: " ".join(map(str, vector))),
    "tuples in csv": ("csv", lambda vector: str(tuple(vector))),
    "text in json": ("jsonl", as_text),
    "parquet": ("parquet", list),
}


@pytest.mark.parametrize("form", FORMS)
def test_vectors_of_0_and_1_are_one_label_a_position(form: str) -> None:
    suffix, write_vector = FORMS[form]
    data = load(write(f"rows.{suffix}", text=TEXTS, labels=[write_vector(vector) for vector in VECTORS]))
    assert data.labels.names == ("label_0", "label_1", "label_2")
    assert data.labels.problem_type == "multi_label_classification"
    rows = {row_id: label for part in data.named().values() for row_id, label in zip(part.row_ids, part.labels, strict=True)}
    assert [list(rows[i]) for i in range(N)] == VECTORS
    assert "Each position is read as one label, called label_0 to label_2" in "\n".join(data.notes)


def test_uint8_and_one_hot_vectors() -> None:
    import pyarrow as pa

    one_hot = [[int(i % 3 == k) for k in range(3)] for i in range(N)]
    path = write("rows.parquet", text=TEXTS, labels=pa.array(one_hot, type=pa.list_(pa.uint8())))
    assert names(path) == ("label_0", "label_1", "label_2")
    assert "exactly one label" in notes(path)


def test_positions_without_a_row_stay_and_other_vectors_are_named() -> None:
    assert names(write("rows.jsonl", text=TEXTS, labels=[[i % 2, 1 - i % 2, 0] for i in range(N)])) == (
        "label_0",
        "label_1",
        "label_2",
    )
    for odd in ([0, 1, None], [1, 1]):
        path = write("odd.jsonl", text=TEXTS, labels=[odd if i == 7 else vector for i, vector in enumerate(VECTORS)])
        with pytest.raises(DataError, match=r"row 7 \(line 8\): The label is the vector .* 3 values of 0 or 1 were expected"):
            load(path)


@pytest.mark.parametrize("cells", [[0, 1], ["0", "1"]], ids=str)
def test_sets_of_the_classes_0_and_1_stay_sets(cells: list[Any]) -> None:
    sets = [cells[: 1 + i % 2] if i % 3 else cells[1:] for i in range(N)]
    assert names(write("rows.jsonl", text=TEXTS, labels=sets)) == ("0", "1")


LISTS = ["['food', 'travel']", "[]", '["food"]', "['travel' 'noise']", "['it\\'s late']", "", "[food, noise]"]


def test_lists_written_as_text() -> None:
    path = write("rows.csv", text=TEXTS, labels=[LISTS[i % len(LISTS)] for i in range(N)])
    data = load(path)
    assert data.labels.names == ("food", "it's late", "noise", "travel")
    assert sum(part.dropped.get("label is empty", 0) for part in data.named().values()) == sum(i % 7 == 5 for i in range(N))
    assert "lists written as text, such as \"['food', 'travel']\"" in "\n".join(data.notes)


def test_brackets_that_hold_no_list_stay_class_names() -> None:
    assert names(write("rows.csv", text=TEXTS, label=["[yes]", "[no]"] * (N // 2))) == ("[no]", "[yes]")
    assert names(write("smile.csv", text=TEXTS, label=["(glad)", "(sad)"] * (N // 2))) == ("(glad)", "(sad)")
    assert names(write("some.csv", text=TEXTS, label=["['a', 'b']", "c"] * (N // 2))) == ("['a', 'b']", "c")


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "csv"])
def test_objects_of_0_and_1_are_labels_by_key(suffix: str) -> None:
    cells: list[Any] = [{"rude": i % 2, "loud": int(i % 3 == 0)} for i in range(N)]
    if suffix == "csv":
        cells = [json.dumps(cell) for cell in cells]
    assert names(write(f"rows.{suffix}", text=TEXTS, labels=cells)) == ("loud", "rude")


@pytest.mark.parametrize(
    ("cell", "words"),
    [({"value": "a"}, "an object"), ([["a"]], "a list of lists"), ([0.3, 0.7], "numbers with decimals")],
    ids=str,
)
def test_labels_that_are_no_classes_are_refused_with_their_row(cell: Any, words: str) -> None:
    with pytest.raises(DataError, match=rf"rows.jsonl, row 0 \(line 1\): The label is .*{words}|list of {words}"):
        load(write("rows.jsonl", text=TEXTS, label=[cell] * N))


def test_types_of_labels_in_parquet() -> None:
    import pyarrow as pa

    kinds = {
        "bytes": (pa.array([b"spam", b"ham"] * (N // 2)), ("ham", "spam")),
        "dictionary": (pa.array(["spam", "ham"] * (N // 2)).dictionary_encode(), ("ham", "spam")),
        "bool": (pa.array([True, False] * (N // 2)), ("False", "True")),
        "whole decimals": (pa.array([Decimal("1.00"), Decimal("2.00")] * (N // 2)), ("1", "2")),
        "float16": (pa.array([1.0, 0.0] * (N // 2), type=pa.float16()), ("0", "1")),
    }
    for kind, (cells, expected) in kinds.items():
        assert (kind, names(write("rows.parquet", text=TEXTS, label=cells))) == (kind, expected)


def test_decimals_are_numbers() -> None:
    scores = [Decimal(i % 11) / 10 for i in range(N)]
    data = load(write("rows.parquet", text=TEXTS, score=scores), task="regression")
    assert sorted({label for label in data.train.labels}) == [i / 10 for i in range(11)]


def test_classes_that_a_file_declares() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    feature = {"names": ["ham", "spam", "ads"], "_type": "ClassLabel"}
    for features in ({"label": feature}, {"label": {"feature": feature, "_type": "List"}}):
        is_list = "feature" in features["label"]
        numbers: list[Any] = [[i % 3] if is_list else i % 3 - (i == 5) * (i % 3 + 1) for i in range(N)]
        metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
        pq.write_table(pa.table({"text": TEXTS, "label": numbers}).replace_schema_metadata(metadata), "rows.parquet")
        assert set(names("rows.parquet")) == {"ham", "spam", "ads"}
        assert "numbers of classes that the file names" in notes("rows.parquet")


def declared_file(name: str, labels: list[int], class_names: list[str]) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = {"label": {"names": class_names, "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(pa.table({"text": TEXTS, "label": labels}).replace_schema_metadata(metadata), name)
    return name


def test_class_numbers_of_another_file_are_aligned_with_the_names_of_train() -> None:
    kinds = ["spam", "ham", "ads"]
    named = declared_file("train.parquet", [i % 3 for i in range(N)], kinds)
    numbers = write("numbers.csv", text=TEXTS, label=[i % 3 for i in range(N)])
    both = write("both.csv", text=TEXTS, label=[i % 3 for i in range(N)], label_text=[kinds[i % 3] for i in range(N)])
    sources: list[tuple[str, str, dict[str, Any]]] = [
        (named, numbers, {}),
        (numbers, named, {}),
        (both, write("names.csv", text=TEXTS, label_text=[kinds[i % 3] for i in range(N)]), {}),
    ]
    for train, test, settings in sources:
        data = load(train, test=test, **settings)
        assert data.test is not None
        assert data.test.dropped == {}
        classes_of_rows = dict(zip(data.train.row_ids, data.train.labels, strict=True))
        labels_of_test = dict(zip(data.test.row_ids, data.test.labels, strict=True))
        assert all(labels_of_test[row] == label for row, label in classes_of_rows.items())
        assert "is aligned: " in " ".join(data.notes)


@pytest.mark.parametrize("labels", [[1, 2, 3], ["a", "b", "c"]])
def test_labels_that_are_not_the_numbers_of_the_declared_classes_stay(labels: list[Any]) -> None:
    named = declared_file("train.parquet", [i % 3 for i in range(N)], ["spam", "ham", "ads"])
    numbers = write("numbers.csv", text=TEXTS, label=[*labels * (N // 3 - 1), "spam", "ham", "ads"])
    data = load(named, test=numbers)
    assert data.test is not None
    assert data.test.dropped == {"label is not among those of train": N - 3}
    (finding,) = [finding for finding in data.findings if finding.name == "dropped_rows"]
    assert f"label is not among those of train (test): {N - 3}" in finding.summary
    assert "is aligned" not in " ".join(data.notes)


def test_a_label_is_the_same_in_every_format() -> None:
    train = write("train.jsonl", text=TEXTS, label=[True, False] * (N // 2))
    assert names(write("mixed.jsonl", text=TEXTS, label=[True, "true", False, "False"] * (N // 4))) == ("False", "True")
    for cells in (["true", "false"], ["TRUE", "False"]):
        assert load(train, test=write("test.csv", text=TEXTS, label=cells * (N // 2))).test.dropped == {}  # type: ignore[union-attr]
    numbers = write("numbers.parquet", text=TEXTS, label=[1.5, 2.0, 3.5] * (N // 3))
    for rows in (["1.50", "2", "3.5"], ["1.5", "2.0", "3.500"]):
        assert load(numbers, test=write("test.csv", text=TEXTS, label=rows * (N // 3))).test.dropped == {}  # type: ignore[union-attr]
    other = load(numbers, test=write("test.csv", text=TEXTS, label=["1.5", "2", "4"] * (N // 3))).test
    assert other is not None
    assert other.dropped == {"label is not among those of train": N // 3}


def test_few_numbers_with_decimals_are_classes_where_the_recipe_says_so() -> None:
    path = write("rows.csv", text=TEXTS, label=["0.5", "1.0", "1.5"] * (N // 3))
    assert names(path) == ("0.5", "1", "1.5")
    assert "task: regression learns the number itself" in notes(path)


# ---- words, letters and numbers


@pytest.mark.parametrize("word", ["null", "nan", "N/A", "NA", "-", "#N/A"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_class_called_null_can_be_kept(word: str, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(f"rows.{suffix}", text=TEXTS, label=["yes", "no", word] * (N // 3))
    lines = draft_recipe(path)[1]
    (line,) = [line for line in lines if "dropped" in line]
    assert f"If {word.lower()} is a class of yours, set data.keep_null_labels: true." in line
    assert word in names(path, keep_null_labels=True)
    kept = load(path, keep_null_labels=True, test=write("test.csv", text=TEXTS, label=[word, "", "yes"] * (N // 3)))
    assert kept.test is not None
    assert kept.test.dropped == {"label is empty": N // 3}


def test_labels_that_look_the_same_are_named() -> None:
    path = write("rows.csv", text=TEXTS, label=["cafe\u0301", "caf\u00e9", "tea", "te\u200ba"] * (N // 4))
    said = notes(path)
    said = re.sub(r" rows: [\d, ]+ and \d+ more\)", " rows)", said)
    assert r"'cafe\u0301' (15 rows) and 'caf\xe9' (15 rows) differ only in case, spaces, invisible characters" in said
    assert r"'tea' (15 rows) and 'te\u200ba' (15 rows)" in said


def test_half_an_emoji_is_repaired_and_counted_in_texts_labels_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"text\udc00": f"{text} \ud83d", "label": f"{'ab'[i % 2]}\ude00"} for i, text in enumerate(TEXTS)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = load("rows.jsonl", columns={"text": "text\ufffd"})
    assert data.labels.names == ("a\ufffd", "b\ufffd")
    assert all(text.endswith("\ufffd") for text in data.train.texts)
    findings = {finding.name: finding for finding in data.findings}
    assert findings["encoding_damage"].flagged == N
    assert findings["repaired_rows"].flagged == N
    assert "Encoding damage in the names of classes" in "\n".join(data.notes)
    code, out, _ = run(capsys, "check", "rows.jsonl", 'data.columns.text="1"', "--static")
    assert (code, "Traceback" in out) == (0, False)


def test_half_an_emoji_in_a_recipe_is_named_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    write("rows.csv", text=TEXTS, label=["a", "b"] * (N // 2))
    for line in ('  label_separator: "\\ud83d"', '  "\\ud83d": 1'):
        Path("r.yaml").write_text(f"data:\n  train: rows.csv\n{line}\noutput: runs/x\n", encoding="utf-8")
        code, _, err = run(capsys, "check", "r.yaml", "--static")
        assert (code, "r.yaml:3" in err, "half of a surrogate pair" in err) == (2, True, True)


NUMBERS = {
    "decimal comma": (["0,33", "1,5", "2,67"], [0.33, 1.5, 2.67]),
    "comma and points": (["1.234,5", "2.000,0", "7,25"], [1234.5, 2000.0, 7.25]),
    "thousands": (["1,234.5", "2,000.0", "7.25"], [1234.5, 2000.0, 7.25]),
    "spaces": (["1\u00a0234", "2 000", "75"], [1234.0, 2000.0, 75.0]),
    "percent": (["7%", "12.5 %", "-3%"], [7.0, 12.5, -3.0]),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_a_spreadsheet(kind: str) -> None:
    cells, expected = NUMBERS[kind]
    path = write("rows.csv", text=TEXTS, score=cells * (N // 3))
    data = load(path, task="regression", validation=write("valid.csv", text=TEXTS, score=cells * (N // 3)))
    assert data.train.labels == expected * (N // 3)
    assert data.validation is not None
    assert data.validation.labels == data.train.labels
    assert "Numbers such as" in "\n".join(data.notes)
    assert "task: regression" in draft_recipe(write("many.csv", text=TEXTS, score=[f"{i},{i % 10}" for i in range(N)]))[0]


def test_a_number_of_two_meanings_is_named() -> None:
    with pytest.raises(DataError, match=r"'1,234' may have a decimal comma or a thousands separator"):
        load(write("rows.csv", text=TEXTS, score=["1,234", "5,678"] * (N // 2)), task="regression")


# ---- files


def test_the_margins_of_a_spreadsheet_are_left_out() -> None:
    rows = "".join(f"{text};{'ab'[i % 2]};;\r\n" for i, text in enumerate(TEXTS))
    Path("rows.csv").write_text(
        f"\ufeffsep=;\r\nTickets of May;;;\r\n;;;\r\ntext;label;;\r\n{rows};;;\r\n;;;\r\n", encoding="utf-8"
    )
    data = load("rows.csv")
    assert (data.columns.text, data.columns.label, data.labels.names) == ("text", ("label",), ("a", "b"))
    assert len(data.train) + len(data.validation or ()) == N
    said = "\n".join(data.notes)
    assert all(words in said for words in ("2 empty columns on the right", "1 line above the header left out: 'Tickets of May'"))


def test_the_separator_that_a_file_names_is_used() -> None:
    rows = "".join(f"{text}, yes, indeed;{'ab'[i % 2]}\n" for i, text in enumerate(TEXTS))
    Path("rows.csv").write_text(f"sep=;\ntext;label\n{rows}the end\n", encoding="utf-8")
    assert names("rows.csv") == ("a", "b")


@pytest.mark.parametrize(
    "above",
    ["Report of May\nby Anna\n\n", '"Report, May",,\n', "Report:,May,\nby,Anna,\n", "Report,May,2024\n"],
)
def test_titles_above_the_header(above: str) -> None:
    rows = "".join(f"{i},{text},{'ab'[i % 2]}\n" for i, text in enumerate(TEXTS))
    Path("rows.csv").write_text(f"{above}id,text,label\n{rows}", encoding="utf-8")
    data = load("rows.csv")
    assert (data.columns.text, data.labels.names, data.train.rows_read) == ("text", ("a", "b"), len(data.train))


def test_choices_of_label_studio_in_csv() -> None:
    cells = ["a", '{"choices":["a","b"]}', "", "b"]
    data = load(write("rows.csv", text=TEXTS, label=cells * (N // 4)))
    assert data.labels.names == ("a", "b")
    assert data.labels.problem_type == "multi_label_classification"


def test_corrections_of_a_spreadsheet_keep_its_margins(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{text};{'ab'[i % 2]};;\r\n" for i, text in enumerate(TEXTS)]
    Path("rows.csv").write_text("sep=;\r\ntext;label;;\r\n" + "".join(rows), encoding="utf-8", newline="")
    Path("c.csv").write_text("row_id,given,proposed\n2,a,b\n", encoding="utf-8")
    assert run(capsys, "apply", "c.csv", "rows.csv")[0] == 0
    rows[2] = rows[2].replace(";a;", ";b;")
    with Path("rows.corrected.csv").open(encoding="utf-8", newline="") as written:
        assert written.read() == "sep=;\r\ntext;label;;\r\n" + "".join(rows)


def test_corrections_of_typed_labels_keep_the_type(capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {b"huggingface": json.dumps({"info": {"features": {"label": {"names": ["ham", "spam"]}}}}).encode()}
    score = float("nan")
    kinds = {
        "declared": (pa.array([0, 1] * (N // 2)), "ham", "spam", 1),
        "decimal": (pa.array([Decimal("0.50"), Decimal("1.00")] * (N // 2)), "0.5", "1", Decimal("1.00")),
        "bytes": (pa.array([b"a", b"b"] * (N // 2)), "a", "b", b"b"),
        "bool": (pa.array([True, False] * (N // 2)), "True", "False", False),
    }
    for kind, (cells, given, proposed, expected) in kinds.items():
        rows = pa.table({"text": TEXTS, "label": cells, "score": [score] * N})
        pq.write_table(rows.replace_schema_metadata(metadata if kind == "declared" else None), f"{kind}.parquet")
        Path("c.csv").write_text(f"row_id,given,proposed\n2,{given},{proposed}\n", encoding="utf-8")
        code, _, err = run(capsys, "apply", "c.csv", f"{kind}.parquet")
        assert (kind, code) == (kind, 0), err
        new = pq.read_table(f"{kind}.corrected.parquet")
        assert new.schema.equals(pq.read_table(f"{kind}.parquet").schema)
        assert new.column("label").to_pylist() == [*cells.to_pylist()[:2], expected, *cells.to_pylist()[3:]]


def test_corrections_beside_half_an_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.dumps({"text": f"{text} \ud83d", "label": "ab"[i % 2]}) for i, text in enumerate(TEXTS)]
    Path("rows.jsonl").write_text("\r\n".join(lines), encoding="utf-8", newline="")
    Path("c.csv").write_text("row_id,given,proposed\n2,a,b\n", encoding="utf-8")
    assert run(capsys, "apply", "c.csv", "rows.jsonl")[0] == 0
    lines[2] = lines[2].replace('"a"', '"b"')
    with Path("rows.corrected.jsonl").open(encoding="utf-8", newline="") as written:
        assert written.read() == "\r\n".join(lines)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=repr)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_lines_end_only_at_line_ends(suffix: str, end: str) -> None:
    odd = "\u2028 \u2029 \x85 \x0c"
    rows = [{"text": f"{text} {odd} end", "label": "ab"[i % 2]} for i, text in enumerate(TEXTS)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    if suffix == "csv":
        lines = ["text,label", *(f"{row['text']},{row['label']}" for row in rows)]
    Path(f"rows.{suffix}").write_text(end.join(lines) + end, encoding="utf-8", newline="")
    data = load(f"rows.{suffix}")
    assert len(data.train) + len(data.validation or ()) == N
    assert all(odd in text for text in data.train.texts)


def test_standard_input_has_the_same_lines() -> None:
    from tunesmith.workflows.predict import table_from_lines

    assert table_from_lines("one\u2028two\x85three\nfour\n", "standard input").columns == {
        "text": ["one\u2028two\x85three", "four"]
    }
    rows = '{"text": "one\u2028two"}\n{"text": "half \\ud83d"}\n'
    assert table_from_lines(rows, "standard input").columns == {"text": ["one\u2028two", "half \ufffd"]}
    table = table_from_lines('text,n\n"one\ntwo",1\nthree\u2028four,2\n', "standard input")
    assert table.columns == {"text": ["one\ntwo", "three\u2028four"], "n": ["1", "2"]}


def test_prompts_have_the_same_lines() -> None:
    from tunesmith.generation.prompt_rows import read_prompts

    Path("p.txt").write_text("one\u2028two\nthree\x0cfour\n", encoding="utf-8")
    assert read_prompts(Path("p.txt")) == ["one\u2028two", "three\x0cfour"]


def test_a_gzip_file_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.data.readers.payload.MAX_UNPACKED_BYTES", 100_000)
    Path("bomb.csv.gz").write_bytes(gzip.compress(b"text,label\n" + b" " * 30_000_000))
    with pytest.raises(DataError, match=r"bomb.csv.gz: The gzip file of .* unpacks to more than"):
        draft_recipe("bomb.csv.gz")


def test_a_pipe_and_a_device_are_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe.csv")
    for source, kind in (("pipe.csv", "a pipe"), ("/dev/zero", "a device")):
        code, _, err = run(capsys, "init", source)
        assert (code, f"This is {kind}, not a file" in err) == (2, True)


def test_a_row_id_of_5001_digits(capsys: pytest.CaptureFixture[str]) -> None:
    write("rows.csv", text=TEXTS, label=["a", "b"] * (N // 2))
    Path("c.csv").write_text(f"row_id,given,proposed\n{'9' * 5001},a,b\n", encoding="utf-8")
    code, _, err = run(capsys, "apply", "c.csv", "rows.csv")
    assert (code, "row_id is '99" in err, len(err) < 300) == (2, True, True)
    numbers = write("numbers.csv", text=TEXTS, label=["9" * 5001 + ".0", "1"] * (N // 2))
    assert {len(name) for name in names(numbers)} == {1, 5001}


def test_no_corrections(capsys: pytest.CaptureFixture[str]) -> None:
    write("rows.csv", text=TEXTS, label=["a", "b"] * (N // 2))
    Path("c.csv").write_text("row_id,given,proposed\n", encoding="utf-8")
    code, _, err = run(capsys, "apply", "c.csv", "rows.csv")
    assert (code, "c.csv: The file has no corrections" in err, "There is nothing to apply" in err) == (2, True, True)


LABEL_STUDIO = [
    {"id": i, "data": {"text": text}, "annotations": [{"result": [{"value": {"choices": ["a"]}}]}]}
    for i, text in enumerate(TEXTS)
]
SQUAD = {"version": "1.1", "data": [{"title": f"T{i}", "paragraphs": [{"context": t, "qas": []}]} for i, t in enumerate(TEXTS)]}
FLAT_SQUAD = [
    {"id": str(i), "title": "T", "context": t, "question": f"what of {i}?", "answers": {"text": ["a"], "answer_start": [0]}}
    for i, t in enumerate(TEXTS)
]
TOKENS = [{"tokens": text.split(), "ner_tags": [0] * len(text.split())} for text in TEXTS]
CONLL = "-DOCSTART- -X- O O\n\n" + "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\ncalls NN I-NP O\n\n" * 40
OTHER_FILES = {
    "studio.json": (json.dumps(LABEL_STUDIO), "Label Studio export", "JSON-MIN"),
    "squad.json": (json.dumps(SQUAD), "format of SQuAD", "task: sft"),
    "flat.json": (json.dumps(FLAT_SQUAD), "those of SQuAD", "a column completion"),
    "tokens.json": (json.dumps(TOKENS), "lists of tokens", "one label"),
    "train.csv": ("token,tag\n" + "EU,B-ORG\nrejects,O\n" * 40, "format of CoNLL", "one label"),
    "train.conll": (CONLL, "format of CoNLL", "one label"),
    "train.tsv": (CONLL.replace(" ", "\t"), "format of CoNLL", "one label"),
    "train.txt": (CONLL, "format of CoNLL", "one label"),
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_files_of_other_tools_are_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    content, kind, remedy = OTHER_FILES[name]
    Path(name).write_text(content, encoding="utf-8")
    code, _, err = run(capsys, "init", name)
    assert (code, kind in err, remedy in err) == (2, True, True), err


# ---- pairs


def test_lists_of_positives_and_negatives_become_rows(capsys: pytest.CaptureFixture[str]) -> None:
    from tunesmith.data.pairs.load import load_embedding_data

    rows = {
        "query": [f"query of {text}" for text in TEXTS],
        "pos": [[f"good {text}", f"better {text}"] if i % 2 else [f"good {text}"] for i, text in enumerate(TEXTS)],
        "neg": [[f"bad {text}", f"worse {text}"][: 1 + (i > 3)] for i, text in enumerate(TEXTS)],
    }
    path = write("rows.jsonl", **rows)
    recipe = recipe_from_mapping({"task": "embedding", "data": {"train": path, "validation": None}}, "test")
    data = load_embedding_data(recipe, Path())
    assert (data.train.format.kind, data.train.format.texts) == ("tuple", ("query", "pos", "neg_1", "neg_2"))
    assert len(data.train) == N + N // 2
    assert "Lists of texts, as in the files of FlagEmbedding, Tevatron and DPR: 90 rows from 60." in "\n".join(data.notes)
    code, out, _ = run(capsys, "losses", path)
    assert (code, "90 rows, query + pos + neg_1 + neg_2" in out) == (0, True)
    assert "task: embedding" in draft_recipe(path)[0]
    named = recipe_from_mapping(
        {"task": "embedding", "data": {"train": path, "columns": {"anchor": "query", "positive": "pos", "negative": "neg"}}},
        "test",
    )
    assert load_embedding_data(named, Path()).train.format.kind == "tuple"


def test_scores_of_pairs_with_a_decimal_comma() -> None:
    from tunesmith.data.pairs.load import load_embedding_data

    path = write("rows.csv", sentence1=TEXTS, sentence2=TEXTS[::-1], score=["0,25", "0,5", "1,0"] * (N // 3))
    recipe = recipe_from_mapping({"task": "embedding", "data": {"train": path, "validation": None}}, "test")
    data = load_embedding_data(recipe, Path())
    assert (data.train.format.kind, set(data.train.target or ())) == ("scored_pair", {0.25, 0.5, 1.0})


# ---- init


def test_suggestions_of_init_are_valid_without_the_mark() -> None:
    uneven = write("uneven.csv", text=TEXTS * 5, label=["rare" if i % 30 == 0 else "usual" for i in range(N * 5)])
    two = write("two.csv", review=TEXTS, comment=TEXTS[::-1], label=["a", "b"] * (N // 2))
    none = write("none.csv", text=TEXTS, key=[f"k{i}" for i in range(N)], other=[f"{i}-{i}" for i in range(N)])
    both = write("both.csv", review=TEXTS, comment=TEXTS[::-1], topic=["a", "b"] * (N // 2), tone=["c", "d", "e"] * (N // 3))
    chat = write("chat.jsonl", prompt=TEXTS, completion=[f"answer {i} of many" for i in range(N)])
    for path in (uneven, two, none, both, chat):
        lines = draft_recipe(path)[0].splitlines()
        suggested = [i for i, line in enumerate(lines) if line.lstrip().startswith("#") and not line.lstrip().startswith("# ")]
        assert suggested, path
        assert path == chat or "  #n_seeds: 3" in lines
        for i in suggested:
            chosen = [line.replace("#", "", 1) if k == i else line for k, line in enumerate(lines)]
            if "#pair:" in lines[i]:
                first = next(k for k in suggested if "#text:" in lines[k])
                chosen[first] = lines[first].replace("#", "", 1)
            Path("r.yaml").write_text("\n".join(chosen) + "\n", encoding="utf-8")
            load_recipe(Path("r.yaml"))


def test_an_open_question_is_the_next_step_and_hides_no_other_error(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("two.csv", review=TEXTS, comment=TEXTS[::-1], label=["a", "b"] * (N // 2))
    code, out, _ = run(capsys, "init", path)
    assert (code, "Next: decide on 1 column in recipe.yaml" in out, "tunesmith train" in out) == (0, True, False)
    code, _, err = run(capsys, "init", path, "--test", "none.csv", "--force")
    assert (code, "none.csv: There is no such file" in err) == (2, True)


def test_title_and_description_are_offered_as_a_pair() -> None:
    path = write(
        "news.csv", **{"Class Index": [1, 2, 3, 4] * (N // 4), "Title": TEXTS, "Description": [f"{t} today" for t in TEXTS]}
    )
    text, lines = draft_recipe(path)
    assert "#text: Title\n" in text
    assert "#pair: Description " in text
    assert "to use both as a pair" in lines[-2]
    with pytest.raises(InputError, match="text: Title, pair: Description"):
        load(path)


def test_a_column_of_names_beside_numbers_is_offered() -> None:
    path = write("rows.csv", text=TEXTS, label=[0, 1, 2] * (N // 3), label_text=["bad", "fair", "good"] * (N // 3))
    text, lines = draft_recipe(path)
    assert "write label: label_text to use these" in text
    assert any("label_text holds a name for each" in line for line in lines)


def test_a_retrieval_folder_in_init(capsys: pytest.CaptureFixture[str]) -> None:
    text, lines = draft_recipe("builtin:handbook")
    Path("r.yaml").write_text(text, encoding="utf-8")
    recipe = load_recipe(Path("r.yaml")).recipe
    assert (recipe.task, recipe.data.train, recipe.evaluate.retrieval) == ("embedding", "builtin:handbook", "builtin:handbook")
    assert "240 documents" in lines[0]
    Path("f/qrels").mkdir(parents=True)
    Path("f/corpus.jsonl").write_text('{"_id": "a", "text": "x"}\n')
    Path("f/queries.jsonl").write_text('{"_id": "q", "text": "x"}\n')
    Path("f/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n")
    code, _, err = run(capsys, "init", "f")
    assert (code, "none to train on" in err, "--retrieval f" in err) == (2, True, True)


# ---- what is printed and written


def test_control_characters_in_labels_reach_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("rows.jsonl", text=TEXTS, label=["a\x1b[2J\x07", "b\u202e\x9b1m"] * (N // 2))
    for words in (("init", path), ("check", path, "--static"), ("init", path, "--json", "--force")):
        code, out, err = run(capsys, *words)
        assert code == 0
        assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(out + err)
        assert "a\\x1b[2J\\x07" in out + err or "\\u001b[2J" in out


FORMULAS = ["=1+1", "+cmd", "-x", "@sum", "'=quoted", "\tx", "-0.5", "plain", "'s"]


def test_formulas_are_written_as_text_and_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    from tunesmith.data.corrections.corrections_csv import Correction, read_corrections, write_corrections
    from tunesmith.workflows.predictions import PredictionTable

    corrections = [Correction(i, "train", name.strip(), "y", 0.1, reason=name.strip()) for i, name in enumerate(FORMULAS)]
    write_corrections(corrections, Path("c.csv"))
    assert read_corrections(Path("c.csv")) == corrections
    cells = [row["given"] for row in csv.DictReader(Path("c.csv").read_text(encoding="utf-8").splitlines())]
    assert not [cell for cell in cells if cell[:1] in "=+@\t"]
    rows = [{"row_id": i, "prediction": name, "probability": 0.5} for i, name in enumerate(FORMULAS)]
    text = PredictionTable(rows, ("a",), {}).text(".csv")
    assert not [line for line in text.splitlines() if line.partition(",")[2][:1] in "=+@\t"]


def test_a_quoted_item_of_a_list_holds_a_comma() -> None:
    from tunesmith.cli.parsing import UsageError, split_list

    assert split_list("--choices", '"yes, sure", no,"say ""no"""') == ["yes, sure", "no", 'say "no"']
    assert split_list("--choices", "it's,5\" tall") == ["it's", '5" tall']
    with pytest.raises(UsageError, match="--choices"):
        split_list("--choices", '"yes, sure')


def test_a_huge_cell_is_read_whole() -> None:
    path = write("rows.csv", text=["word " * 400_000, *TEXTS[1:]], label=["a", "b"] * (N // 2))
    findings = {finding.name: finding for finding in load(path).findings}
    assert findings["long_texts"].flagged == 1


def test_binary_noise_in_parquet_text_is_counted() -> None:
    import pyarrow as pa

    broken = pa.array([text.encode() + (b"\xff" if i < 2 else b"") for i, text in enumerate(TEXTS)], type=pa.binary())
    data = load(write("rows.parquet", text=broken, label=["a", "b"] * (N // 2)))
    assert sum(sum(not row.dropped for row in part.bad_rows) for part in data.named().values()) == 2
    assert base64.b64encode(data.train.texts[0].encode())
