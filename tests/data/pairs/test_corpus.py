"""The texts that pairs are searched among: those of other splits, a sample, or a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.data.pairs.corpus import MOST_TEXTS_OF_SELECTION, NO_CORPUS, corpus_of, split_corpus
from tunesmith.data.pairs.formats import PairFormat
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.errors import DataError

PAIRS = PairFormat("positive_pair", ("query", "answer"), (), "")


def rows(split: str, *pairs: tuple[str, str], row_format: PairFormat = PAIRS) -> EmbeddingRows:
    sides = tuple(zip(*pairs, strict=True))
    target = ("1",) * len(pairs) if row_format.target else None
    return EmbeddingRows(split, f"{split}.csv", tuple(range(len(pairs))), row_format, sides, target, rows_read=len(pairs))


TEST = rows("test", ("q1", "a1"), ("q2", "a2"))
TRAIN = rows("train", ("q3", "a3"), ("q1", "a4"), ("q5", "a1"), ("q6", "a3"))


def test_the_texts_of_other_splits_are_there_once_without_those_of_the_split() -> None:
    corpus = split_corpus(TEST, [TRAIN], 100, 0)
    assert sorted(corpus.texts) == ["a3", "a4"]
    assert corpus.known == (("q1", "a4"),)
    assert corpus.words(TEST) == "each second text is searched among 4 texts: 2 of test, 2 of train"
    assert corpus_of("split", TEST, [TRAIN], Path(), 0) == NO_CORPUS
    assert NO_CORPUS.words(TEST) == "each second text is searched among 2 texts: 2 of test alone"


def test_a_sample_keeps_the_right_answers_and_depends_on_the_seed_alone() -> None:
    many = rows("train", *((f"q{i}", f"a{i}") for i in range(10, 3_000)), ("q1", "far"))
    first, again, other = (split_corpus(TEST, [many], 50, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert len(first.texts) == 50
    assert "far" in first.texts
    assert first.n_available == 2_991
    assert ", a sample of 2,991" in first.words(TEST)
    validation = rows("validation", ("q1", "a1"))
    assert len(corpus_of("all", validation, [many], Path(), 0).texts) == MOST_TEXTS_OF_SELECTION
    assert len(corpus_of("all", TEST, [many], Path(), 0).texts) == 2_991


def test_labels_are_no_documents_and_scored_rows_are_not_searched() -> None:
    labelled = rows("train", ("x", "y"), row_format=PairFormat("labelled_pair", ("a", "b"), ("label",), ""))
    assert split_corpus(TEST, [labelled], 100, 0).texts == ()
    assert corpus_of("all", labelled, [TRAIN], Path(), 0) == NO_CORPUS


def test_a_file_adds_its_texts(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text\n" + "\n".join(["a longer text of one kind", "a1", "and one more text", "a longer text of one kind"]))
    corpus = corpus_of(str(path), TEST, [TRAIN], Path(), 0)
    assert corpus.texts == ("a longer text of one kind", "and one more text")
    with pytest.raises(DataError, match="missing"):
        corpus_of(str(tmp_path / "missing.csv"), TEST, [], Path(), 0)


def test_a_trial_has_a_share_of_the_texts_and_only_their_answers() -> None:
    corpus = split_corpus(TEST, [TRAIN], 100, 0)
    assert corpus.first(1.0) == corpus
    assert corpus.first(0.0).texts == corpus.first(0.0).known == ()
