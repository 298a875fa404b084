from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.data.labelled.test_load import check_record, lines, load, write
from tunesmith.data.row_clusters import example_clusters
from tunesmith.errors import DataError


def split_lines(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text().splitlines()]


def test_rows_follow_those_of_train_and_each_keeps_its_file_and_line(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", [*lines(40), (" ", "refund")])
    write(tmp_path / "more.csv", [("", "praise"), *lines(30, first=50)], ("text", "kind"))
    splits = load(tmp_path, also=["more.csv"], test=0.2)
    record = check_record(splits)
    files = record["splits"]["train"]["files"]
    assert [(file["source"], file["first_row"], file["rows_read"]) for file in files] == [
        ("train.csv", 0, 41),
        ("more.csv", 41, 31),
    ]
    written = {name: split_lines(tmp_path / name) for name in ("train.csv", "more.csv")}
    ids = []
    for part in splits.named().values():
        for row_id, text in zip(part.row_ids, part.texts, strict=True):
            place = part.row_of_file(row_id)
            assert place is not None
            line = place.file.line(place.row_id)
            assert line is not None
            assert written[place.file.source][line - 1][0] == text
            ids.append(row_id)
    assert sorted(ids) == [*range(40), *range(42, 72)]
    assert {tuple(row.values()) for row in record["splits"]["train"]["dropped_rows"]} == {
        (40, "train.csv", 40, 42, "text is empty"),
        (41, "more.csv", 0, 2, "text is empty"),
    }
    assert "more.csv: its rows follow from row 41 on." in splits.notes
    assert any("more.csv has no column message, intent" in note for note in splits.notes)


def test_fractions_are_drawn_from_all_files_and_clusters_stay_together(tmp_path: Path) -> None:
    draw = random.Random(0)
    texts = [" ".join("".join(draw.choices("abcdefghijklmnop", k=6)) for _ in range(6)) for _ in range(60)]
    rows = [(text, ["x", "y"][i % 2], f"g{i // 3}") for i, text in enumerate(texts)]
    write(tmp_path / "train.csv", rows[:30], ("text", "label", "customer"))
    again = [(f"{text}!", label, group) for text, label, group in rows[:30]]  # each text of train again, nearly
    write(tmp_path / "more.csv", [*again, *rows[30:]], ("text", "label", "customer"))
    splits = load(tmp_path, also=["more.csv"], validation=0.2, test=0.2, columns={"group": "customer"})
    parts = list(splits.named().values())
    assert all(
        {row.file.source for i in part.row_ids if (row := part.row_of_file(i))} == {"train.csv", "more.csv"} for part in parts
    )
    for kind in (lambda part, i: part.texts[i].rstrip("!"), lambda part, i: part.groups[i]):
        own = [{kind(part, i) for i in range(len(part))} for part in parts]
        assert sum(map(len, own)) == len(set.union(*own))
    assert len(set(example_clusters(parts[0]).tolist())) < len(parts[0])


def test_differently_coded_files_are_refused_mapped_or_aligned(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", lines(40, words=["no", "yes"]))
    write(tmp_path / "more.csv", lines(40, first=50, words=["0", "1"]))
    with pytest.raises(DataError, match=r"None of its classes \(0, 1\) is one of train.csv \(no, yes\)"):
        load(tmp_path, also=["more.csv"])
    splits = load(tmp_path, also=["more.csv"], labels={"more.csv": {"0": "no", "1": "yes"}}, validation=None, test=None)
    assert splits.labels.names == ("no", "yes")
    assert [splits.labels.names[label] for label in splits.train.labels] == ["no", "yes"] * 40
    names = ("message", "intent", "number")
    write(tmp_path / "train.csv", [(text, word, str(int(word == "yes"))) for text, word in lines(40, words=["no", "yes"])], names)
    splits = load(tmp_path, also=["more.csv"], validation=None, test=None, columns={"text": "message", "label": "intent"})
    assert [splits.labels.names[label] for label in splits.train.labels] == ["no", "yes"] * 40
    assert any("aligned: 0 is no, 1 is yes" in note for note in splits.notes)


def test_a_map_with_null_leaves_rows_of_each_file_out_and_counts_them(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", lines(42))
    write(tmp_path / "more.csv", lines(30, first=60))
    labels = {"refund": "money", "delivery": "other", "praise": None}
    splits = load(tmp_path, also=["more.csv"], labels=labels, test=None)
    check_record(splits)
    assert splits.labels.names == ("money", "other")
    assert splits.train.dropped == {"labelled praise, which data.labels maps to null": 14 + 10}
    assert [row.row_id for row in splits.train.bad_rows] == [*range(2, 42, 3), *range(44, 72, 3)]


def test_numbers_of_other_files_get_the_names_that_the_map_of_train_gives(tmp_path: Path) -> None:
    for name, first in (("train.csv", 0), ("more.csv", 50), ("test.csv", 90)):
        write(tmp_path / name, lines(40, first=first, words=["0", "1"]))
    splits = load(tmp_path, also=["more.csv"], test="test.csv", labels={"train.csv": {"0": "no", "1": "yes"}}, validation=None)
    assert splits.labels.names == ("no", "yes")
    assert splits.test is not None
    assert [part.labels for part in (splits.train, splits.test)] == [[0, 1] * 40, [0, 1] * 20]


def test_only_training_rows_of_a_file_with_a_split_column_are_used(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", lines(30))
    rows = [(*row, "train" if i % 2 else "test") for i, row in enumerate(lines(30, first=50))]
    write(tmp_path / "more.csv", rows, ("message", "intent", "split"))
    splits = load(tmp_path, also=["more.csv"], validation=None, test=None)
    assert len(splits.train) == 45
    assert any("15 rows are not used: the column 'split' marks them otherwise" in note for note in splits.notes)


def test_scores_of_each_file_are_read_in_their_own_notation(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", [(text, f"{i}.5") for i, (text, _) in enumerate(lines(30))], ("text", "score"))
    other = "\n".join(["text;score", *(f"{text};{i},25" for i, (text, _) in enumerate(lines(30, first=50)))])
    (tmp_path / "more.csv").write_text(other + "\n")
    splits = load(tmp_path, task="regression", also=["more.csv"], validation=None, test=None)
    assert splits.train.labels == [i + 0.5 for i in range(30)] + [i + 0.25 for i in range(30)]
    assert "more.csv: 30 scores from 0.25 to 29.25." in splits.notes


def test_pairs_beside_single_texts_and_missing_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", lines(30))
    write(tmp_path / "more.csv", [(a, a, b) for a, b in lines(30)], ("sentence1", "sentence2", "label"))
    with pytest.raises(DataError, match=r"more.csv: The file has another form than train"):
        load(tmp_path, also=["more.csv"])
    with pytest.raises(DataError, match=r"(?s)absent.csv.*gone.csv"):
        load(tmp_path, also=["absent.csv", "gone.csv"])


def test_tables_in_memory_and_several_label_columns(tmp_path: Path) -> None:
    write(
        tmp_path / "train.csv", [(text, str(i % 2), str(i % 3 // 2)) for i, (text, _) in enumerate(lines(30))], ("text", "a", "b")
    )
    more = {"text": [f"other {i}" for i in range(12)], "a": [1] * 12, "b": [0] * 12}
    given = {"text": "text", "label": ["a", "b"]}
    splits = load(tmp_path, {"also[0]": more}, also=["a table"], columns=given, validation=None, test=None)
    assert splits.labels.names == ("a", "b")
    assert splits.train.labels[30:] == [(1, 0)] * 12
    place = splits.train.row_of_file(31)
    assert place is not None
    assert place.words == "row 1 of also[0]"
