"""Where one text of a plain file ends and the next begins."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path

import pytest

from tunesmith.data.readers.plain_texts import MAX_CHARACTERS, is_plain_text, plain_text_splits, read_plain_texts
from tunesmith.errors import DataError


def read(path: Path, text: str):
    path.write_text(text, encoding="utf-8")
    return read_plain_texts(path, path.name)


@pytest.mark.parametrize(
    ("text", "texts", "lines"),
    [
        ("one\n\ntwo\n<|endoftext|>\nthree<|endoftext|>\n", ["one\n\ntwo", "three"], [1, 5]),
        (
            " \n = A = \n \n x . \n = 2 = \n = = B = = \n \n = C 4 = \n \n z . \n",
            ["= A = \n \n x . \n = 2 = \n = = B = =", "= C 4 = \n \n z ."], [2, 8],
        ),
        ("It is so.\nIt is not.\n\"Is it?\"\n", ["It is so.", "It is not.", '"Is it?"'], [1, 2, 3]),
        ("A long line\nthat ends\nhere. And\nanother", ["A long line\nthat ends\nhere. And\nanother"], [1]),
    ],
    ids=["marks", "headings", "lines", "one text"],
)  # fmt: skip
def test_the_ways_a_file_marks_where_texts_end(tmp_path: Path, text: str, texts: list[str], lines: list[int]) -> None:
    table = read(tmp_path / "a.txt", text)
    assert table.columns["text"] == texts
    assert list(table.lines or ()) == lines
    assert table.rows_read == len(texts)
    assert f"({len(texts)} text" in table.notes[-1]


def test_paragraphs_are_gathered_and_none_is_cut_or_lost(tmp_path: Path) -> None:
    paragraphs = [f"{i} " + "word " * (i % 90) + "end" for i in range(200)] + ["x" * 3 * MAX_CHARACTERS]
    table = read(tmp_path / "a.txt", "\n\n".join(paragraphs))
    texts = table.columns["text"]
    assert [p for text in texts for p in text.split("\n\n")] == paragraphs
    assert all(len(text) <= MAX_CHARACTERS for text in texts[:-1])
    assert texts[-1] == paragraphs[-1]
    assert all(len(a) + len(b) > MAX_CHARACTERS for a, b in pairwise(texts))


def test_real_files(shared: Path) -> None:
    counts = {}
    for name in ("tinystories/smallGPT_tiny_stories.txt", "tinystories/llmatoz_tinystories.txt", "wikitext2/test.txt"):
        table = read_plain_texts(shared / "data" / name, name)
        counts[name] = len(table)
        whole = (shared / "data" / name).read_text(encoding="utf-8")
        assert "".join("".join(table.columns["text"]).split()) == "".join(whole.split())
    assert counts["wikitext2/test.txt"] == 60  # its articles
    assert counts["tinystories/smallGPT_tiny_stories.txt"] == 513


def test_packed_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "train.txt.gz").write_bytes(gzip.compress(b"It is so.\nIt is not.\n"))
    (tmp_path / "dev.txt").write_text("a.\nb.\n")
    assert len(read_plain_texts(tmp_path / "train.txt.gz", "train.txt.gz")) == 2
    assert {split: path.name for split, path in plain_text_splits(tmp_path).items()} == {
        "train": "train.txt.gz", "validation": "dev.txt",
    }  # fmt: skip
    assert is_plain_text("A.TXT")
    assert not is_plain_text("a.csv")
    (tmp_path / "validation.txt").write_text("c")
    with pytest.raises(DataError, match="both validation"):
        plain_text_splits(tmp_path)
    with pytest.raises(DataError, match="holds no text"):
        read(tmp_path / "b.txt", "<|endoftext|>\n<|endoftext|>")
