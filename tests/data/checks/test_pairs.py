"""Texts that meet themselves in a batch, right answers that are nearly the same, leaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tunesmith.data.checks.pairs import check_evaluation, check_search, check_train, meeting_share, rows_with_shared_text
from tunesmith.data.pairs.formats import PairFormat
from tunesmith.data.pairs.retrieval import Retrieval
from tunesmith.data.pairs.rows import EmbeddingRows

LONG = "the {} stands in the corner of the yard and is painted once in every second year by the {}"


def pairs(anchors: list[str], positives: list[str], split: str = "train") -> EmbeddingRows:
    shape = PairFormat("positive_pair", ("anchor", "positive"), (), "")
    return EmbeddingRows(split, "rows.csv", tuple(range(len(anchors))), shape, (tuple(anchors), tuple(positives)))


def test_the_share_that_meets_its_own_text_is_that_of_drawn_batches() -> None:
    anchors = [f"question {i % 40}" for i in range(120)]
    rows = pairs(anchors, [f"answer {i}" for i in range(120)])
    assert rows_with_shared_text(rows).tolist() == [2] * 120
    draw, met = np.random.default_rng(0), []
    for _ in range(400):
        batch = draw.permutation(120)[:16]
        names = [anchors[i] for i in batch]
        met += [names.count(name) > 1 for name in names]
    assert abs(meeting_share(rows, 16) - np.mean(met)) < 0.02
    assert meeting_share(pairs(["a", "b"], ["c", "d"]), 2) == 0


def test_repeats_and_near_answers_are_found_only_where_the_batch_gives_negatives() -> None:
    anchors = ["who paints it", "who else paints it", "what is that", "what is that"]
    positives = [LONG.format("gate", "owner"), LONG.format("gate", "owners"), "a fence", "a wall"]
    rows = pairs(anchors, positives)
    found = {finding.name: finding for finding in check_train(rows, 4, in_batch=True)}
    assert found["repeated_texts"].flagged == 2
    assert {row["row_id"] for row in found["repeated_texts"].rows} == {2, 3}
    assert {row["row_id"] for row in found["false_negatives"].rows} == {0, 1}
    assert not [*check_train(rows, 4, in_batch=False)]


def test_equal_answers_of_one_question_are_no_false_negatives() -> None:
    rows = pairs(["who"] * 2, [LONG.format("gate", "owner"), LONG.format("gate", "owners")])
    assert "false_negatives" not in {finding.name for finding in check_train(rows, 2, in_batch=True)}


def test_evaluation_rows_that_occur_in_train_are_named() -> None:
    train = pairs(["who", "why"], ["he", "so"])
    test = pairs(["WHO ", "why"], ["he", "not so"], "test")
    (found,) = check_evaluation([train], [test])
    assert (found.name, found.flagged) == ("leakage_test", 1)
    assert found.rows[0]["row_id"] == 0


def test_rows_of_another_format_and_further_training_files_are_compared_too() -> None:
    shape = PairFormat("scored_pair", ("sentence1", "sentence2"), ("score",), "")
    scored = EmbeddingRows("test", "t.csv", (0, 1), shape, (("so it is", "why"), ("that is why", "so")), (0.5, 1.0))
    triplets = PairFormat("triplet", ("anchor", "positive", "negative"), (), "")
    train = EmbeddingRows("train", "a.csv", (7,), triplets, (("that is why",), ("so it is",), ("not that",)))
    also = pairs(["so"], ["why"])
    of_train, of_also = check_evaluation([train, also], [scored])
    assert (of_train.name, of_train.flagged, of_train.rows[0]["row_id"]) == ("leakage_test", 1, 0)
    assert of_train.rows[0]["reason"] == "same texts as train row 7"
    assert (of_also.name, of_also.flagged, of_also.rows[0]["row_id"]) == ("leakage_test", 1, 1)
    different = replace(scored, sides=(("so it is", "so"), ("that is wrong", "that")))
    assert not [*check_evaluation([train, also], [different])]


def test_queries_of_a_search_that_are_trained_on_are_named() -> None:
    search = Retrieval(
        "beir", "test", ("d",), ("so it is",), ("q1", "q2"), ("Why is it so?", "who"), {"q1": {"d": 1}, "q2": {"d": 1}}
    )
    (found,) = check_search(pairs(["what", "why is it so"], ["this", "so it is"]), search)
    assert (found.name, found.flagged, found.rows[0]["row_id"]) == ("leakage_retrieval", 1, "q1")
    assert "1 of 2 queries of the search also occur in train (1 exactly, 0 nearly)" in found.text
    assert not [*check_search(pairs(["what"], ["this"]), search)]
