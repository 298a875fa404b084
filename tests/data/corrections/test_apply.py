"""Corrections applied: a new file in which only the corrected rows differ, in every format."""

from __future__ import annotations

import gzip
import json
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tunesmith
from tunesmith.data.corrections.apply import apply_corrections, correct_file, write_corrected
from tunesmith.data.corrections.corrections_csv import Correction
from tunesmith.data.readers import read as readers
from tunesmith.data.readers.read import read_file
from tunesmith.errors import DataError, OutputError

CSV = 'id,text,label\n0,"one, two",a\n1,"with ""quotes""\nand a break",b\r\n2,plain,a\n\n3,last,b'


def fix(row_id: int, old: str, new: str = "", **more) -> Correction:
    return Correction(row_id, "train", old, new, 0.0, action="relabel" if new else "remove", **more)


apply_all = partial(apply_corrections, allow_many=True)  # the files of these tests have few rows


@pytest.mark.parametrize(("n_changed", "message"), [
    (11, r"change 11 of 100 labels \(11%; up to 10% is usual\).*--allow-many"),
    (8, "change every label of the class 'rare'.*--allow-many"),
])  # fmt: skip
def test_many_changes_and_whole_classes_need_an_option(tmp_path: Path, n_changed: int, message: str) -> None:
    data = tmp_path / "rows.csv"
    labels = ["rare"] * 8 + ["often"] * 92
    data.write_text("text,label\n" + "".join(f"t{i},{label}\n" for i, label in enumerate(labels)), encoding="utf-8")
    first = 0 if n_changed == 8 else 8
    corrections = [fix(i, labels[i], "rare" if first else "often") for i in range(first, first + n_changed)]
    with pytest.raises(DataError, match=message):
        apply_corrections(corrections, data)
    assert not (tmp_path / "rows.corrected.csv").exists()
    assert apply_all(corrections, data).n_relabelled == n_changed
    (tmp_path / "rows.corrected.csv").unlink()
    assert apply_corrections(corrections[:7], data).n_relabelled == 7


def test_rows_without_a_label_may_all_be_labelled(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"text": "x", "label": "a"}\n' + '{"text": "y", "label": null}\n' * 9, encoding="utf-8")
    assert apply_corrections([fix(i, "", "a") for i in range(1, 10)], data).n_relabelled == 9


def test_a_label_with_the_delimiter_is_quoted_in_a_row_without_quotes(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("text,label\nx,a\ny,b\n", encoding="utf-8")
    assert apply_all([fix(0, "a", "a, b")], data).path.read_text(encoding="utf-8") == 'text,label\nx,"a, b"\ny,b\n'


def test_only_the_corrected_lines_of_a_csv_change(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_bytes(CSV.encode())
    done = apply_all([fix(1, "b", "c"), fix(2, "a")], data)
    assert done.path == tmp_path / "rows.corrected.csv"
    assert done.path.read_bytes().decode() == 'id,text,label\n0,"one, two",a\n1,"with ""quotes""\nand a break",c\r\n\n3,last,b'
    assert (done.n_relabelled, done.n_removed, done.n_rows) == (1, 1, 3)
    assert data.read_bytes() == CSV.encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.corrected.csv", "rows.csv"]


def test_a_file_with_plain_quotes_stays_one(tmp_path: Path) -> None:
    data = tmp_path / "rows.tsv"
    data.write_text('text\tlabel\n"open\ta\nshut" it\tb\n', encoding="utf-8")
    done = apply_all([fix(0, "a", "b")], data)
    assert done.path.read_text(encoding="utf-8") == 'text\tlabel\n"open\tb\nshut" it\tb\n'


def test_rows_that_could_not_be_read_stay_as_they_are(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("text,label\none,a\ntoo,many,cells\ntwo,b\nthree,a\n", encoding="utf-8")
    done = apply_all([fix(2, "b", "a")], data)
    assert done.path.read_text(encoding="utf-8") == "text,label\none,a\ntoo,many,cells\ntwo,a\nthree,a\n"


def test_json_lines_keep_their_other_lines_and_the_type_of_the_label(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"text": "ä",   "label": 1}\n{"label": 0, "text": "b"}\n{"text": "c", "label": 0}\n', encoding="utf-8")
    done = apply_all([fix(1, "0", "1"), fix(2, "0")], data)
    assert done.path.read_text(encoding="utf-8") == '{"text": "ä",   "label": 1}\n{"label": 1, "text": "b"}\n'


def test_a_json_document_under_a_key(tmp_path: Path) -> None:
    data = tmp_path / "rows.json"
    data.write_text(
        json.dumps({"version": 1, "rows": [{"text": "x y", "label": "a"}, {"text": "z", "label": "b"}]}), encoding="utf-8"
    )
    done = apply_all([fix(1, "b", "a")], data)
    assert json.loads(done.path.read_text(encoding="utf-8")) == {
        "version": 1, "rows": [{"text": "x y", "label": "a"}, {"text": "z", "label": "a"}],
    }  # fmt: skip


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    data = tmp_path / "rows.parquet"
    table = pa.table({"text": ["a", "b", "c"], "label": pa.array([0, 1, 1], pa.int8())})
    pq.write_table(table, data)
    done = apply_all([fix(0, "0", "1"), fix(2, "1")], data)
    found = pq.read_table(done.path)
    assert found.schema == table.schema
    assert found.to_pylist() == [{"text": "a", "label": 1}, {"text": "b", "label": 1}]


def test_empty_labels_are_filled_with_the_type_of_the_others(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"text": "a", "label": null}\n{"text": "b", "label": 0}\n{"text": "c", "label": -1}\n', encoding="utf-8")
    done = apply_all([fix(0, "", "1"), fix(2, "", "0")], data)
    lines = done.path.read_text(encoding="utf-8").splitlines()
    assert lines == ['{"text": "a", "label": 1}', '{"text": "b", "label": 0}', '{"text": "c", "label": 0}']


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_empty_labels_of_parquet_keep_its_type(missing, tmp_path: Path) -> None:
    kind = pa.int8() if missing is None else pa.float64()
    pq.write_table(pa.table({"text": ["a", "b"], "label": pa.array([missing, 1], kind)}), tmp_path / "rows.parquet")
    done = apply_all([fix(0, "", "0")], tmp_path / "rows.parquet")
    assert pq.read_table(done.path)["label"].to_pylist() == [0, 1]


def test_an_empty_cell_of_a_csv_is_filled(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("text,label\none,\ntwo,b\nthree,n/a\n", encoding="utf-8")
    done = apply_all([fix(0, "", "a"), fix(2, "", "b")], data)
    assert done.path.read_text(encoding="utf-8") == "text,label\none,a\ntwo,b\nthree,b\n"


def test_a_label_given_by_now_is_not_overwritten(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("text,label\none,a\ntwo,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="label is 'a', the correction expects ''"):
        apply_all([fix(0, "", "b")], data, column="label")


def test_gzip_in_gzip_out(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv.gz"
    data.write_bytes(gzip.compress(b"text,label\none,a\ntwo,b\n"))
    done = apply_all([fix(0, "a", "b")], data)
    assert done.path.name == "rows.corrected.csv.gz"
    assert gzip.decompress(done.path.read_bytes()) == b"text,label\none,b\ntwo,b\n"


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('\n",\t'), min_size=1, max_size=8).filter(
    lambda text: bool(text.strip())
)


@given(st.lists(cells, min_size=2, max_size=6), st.data())
@settings(max_examples=60, deadline=None)
def test_any_texts_survive(texts: list[str], data) -> None:
    import csv
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        with path.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([["text", "label"], *([text, "a"] for text in texts)])
        before = read_file(path, "rows.csv", header=True)
        if before.columns.get("label") != ["a"] * len(texts):
            return
        row = data.draw(st.integers(0, len(texts) - 1))
        done = apply_all([fix(row, "a", "b")], path, column="label")
        after = read_file(done.path, "rows.csv", header=True)
        assert after.columns["text"] == before.columns["text"]
        assert after.columns["label"] == ["b" if i == row else "a" for i in range(len(texts))]


@pytest.mark.parametrize(
    ("corrections", "column", "message"),
    [
        ([], None, "no rows; there is nothing to apply"),
        ([fix(0, "a", "b", source_sha256="0" * 64)], None, "were made for another file (sha256 000000000000..."),
        ([fix(0, "a", "b", source_sha256=""), fix(0, "a", "c")], None, "1 row is corrected twice: 0"),
        ([fix(7, "a", "b")], None, "1 correction names rows that the file does not have: 7"),
        ([fix(0, "z", "b")], None, "1 of 1 correction does not fit the labels in the file"),
        ([fix(0, "a", "b")], "nope", "There is no column 'nope'"),
        ([fix(1, "a", "b")], "label", "label is 'b', the correction expects 'a'"),
    ],
)
def test_what_does_not_fit_the_file_is_refused_and_nothing_written(corrections, column, message: str, tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("text,label\none,a\ntwo,b\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        apply_all(corrections, data, column=column)
    assert message in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_the_column_with_the_proposed_labels_is_named_where_no_correction_fits(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("id,text,label\nr1,one,a\nr2,two,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="label is 'a', the correction expects 'z'"):
        apply_all([fix(0, "z", "b")], data)


def test_two_columns_that_fit_have_to_be_told_apart(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("text,label,second\none,a,a\ntwo,b,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="both hold the given labels"):
        apply_all([fix(0, "a", "b")], data)
    assert apply_all([fix(0, "a", "b")], data, column="second").path.read_text().splitlines()[1] == "one,a,b"


def test_the_old_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what is hashed and checked could be other rows than those that are written."""
    from tunesmith.data.corrections import apply

    data, read = tmp_path / "rows.csv", []
    data.write_text("text,label\none,a\ntwo,b\n", encoding="utf-8")
    whole = apply.read_payload
    monkeypatch.setattr(apply, "read_payload", lambda path, name: read.append(path) or whole(path, name))
    monkeypatch.setattr(readers, "read_payload", lambda path, name: read.append(path) or whole(path, name))
    apply_all([fix(0, "a", "b")], data)
    assert read.count(data) == 1


def test_a_corrected_file_knows_whether_it_is_written(tmp_path: Path) -> None:
    data, target = tmp_path / "rows.csv.gz", tmp_path / "new.csv.gz"
    data.write_bytes(gzip.compress(b"text,label\none,a\ntwo,b\n"))
    new = correct_file([fix(0, "a", "b")], data, target, allow_many=True)
    assert not new.is_written
    assert not target.exists()
    write_corrected(new)
    assert correct_file([fix(0, "a", "b")], data, target, allow_many=True).is_written
    assert not correct_file([fix(0, "a", "c")], data, target, allow_many=True).is_written


def test_no_file_is_ever_replaced(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("text,label\none,a\ntwo,b\n", encoding="utf-8")
    (tmp_path / "rows.corrected.csv").write_text("precious", encoding="utf-8")
    for target in (None, data):
        with pytest.raises(OutputError, match="the file exists"):
            apply_all([fix(0, "a", "b")], data, target)
    assert (tmp_path / "rows.corrected.csv").read_text() == "precious"


def test_new_labels_that_a_spreadsheet_would_run_get_a_quote_and_nothing_else_changes(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("text,label\n=1+1,a\n-x,+up\n@y,+up\n'=z,a\nlast,-1\n", encoding="utf-8")
    corrections = [fix(0, "a", "=cmd"), fix(1, "+up", "@b"), fix(3, "a", "+up"), fix(4, "", "-2")]
    new = apply_all(corrections, data).path.read_text(encoding="utf-8")
    assert new == "text,label\n=1+1,'=cmd\n-x,'@b\n@y,+up\n'=z,+up\nlast,-2\n"


def test_a_file_of_predictions_is_corrected_and_reads_back(tmp_path: Path) -> None:
    data = tmp_path / "out.csv"
    data.write_text("row_id,prediction,text\n0,'=a,'=1+1\n1,b,''=z\n2,b,x\n", encoding="utf-8")
    new = apply_all([fix(0, "=a", "b"), fix(2, "b", "=a")], data).path
    assert new.read_text(encoding="utf-8") == "row_id,prediction,text\n0,b,'=1+1\n1,b,''=z\n2,'=a,x\n"
    assert read_file(new, "new").columns == {
        "row_id": ["0", "1", "2"],
        "prediction": ["b", "b", "=a"],
        "text": ["=1+1", "'=z", "x"],
    }


def test_a_class_of_several_labels_is_each_of_them_not_their_combination(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "label": ["x"] if i % 2 else ["y"]} for i in range(40)]
    rows[7]["label"], rows[9]["label"] = ["x", "y"], ["x", "z"]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    applied = tunesmith.apply([{"row_id": 7, "given": "x, y", "proposed": "x"}], path)
    assert applied.n_relabelled == 1
    kept = tunesmith.apply([{"row_id": 9, "given": "x, z", "proposed": "z, y"}], path, output=tmp_path / "kept.jsonl")
    assert kept.n_relabelled == 1
    with pytest.raises(DataError, match="change every label of the class 'z'"):
        tunesmith.apply([{"row_id": 9, "given": "x, z", "proposed": "x"}], path, output=tmp_path / "other.jsonl")
