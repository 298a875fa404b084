"""Texts that meet themselves in a batch, right answers that are nearly the same, leaks."""

from __future__ import annotations

import numpy as np

from tunesmith.data.checks.pairs import check_rows, meeting_share, rows_with_shared_text
from tunesmith.data.pairs.formats import PairFormat
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
    found = {finding.name: finding for finding in check_rows({"train": rows}, 4, in_batch=True)}
    assert found["repeated_texts"].flagged == 2
    assert {row["row_id"] for row in found["repeated_texts"].rows} == {2, 3}
    assert {row["row_id"] for row in found["false_negatives"].rows} == {0, 1}
    assert check_rows({"train": rows}, 4, in_batch=False) == ()


def test_equal_answers_of_one_question_are_no_false_negatives() -> None:
    rows = pairs(["who"] * 2, [LONG.format("gate", "owner"), LONG.format("gate", "owners")])
    assert "false_negatives" not in {finding.name for finding in check_rows({"train": rows}, 2, in_batch=True)}


def test_evaluation_rows_that_occur_in_train_are_named() -> None:
    train = pairs(["who", "why"], ["he", "so"])
    test = pairs(["WHO ", "why"], ["he", "not so"], "test")
    (found,) = check_rows({"train": train, "test": test}, 2, in_batch=False)
    assert (found.name, found.flagged) == ("leakage_test", 1)
    assert found.rows[0]["row_id"] == 0
