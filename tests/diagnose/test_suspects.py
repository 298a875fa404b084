"""Rows whose label does not fit are found; clean ones are left alone."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tunesmith.data.table import Examples, Labels
from tunesmith.diagnose.suspects import confident_disagreements, fold_of, suspect_labels

LABELS = Labels("single_label_classification", ("a", "b", "c"))


def clouds(flipped: int, n: int = 300) -> tuple[Examples, np.ndarray, list[int]]:
    """Rows around three centres; the labels of the first ``flipped`` rows are moved on by one."""
    draw = np.random.default_rng(0)
    truth = np.arange(n) % 3
    vectors = np.eye(3)[truth] * 4 + 0.6 * draw.normal(size=(n, 3))
    given = truth.copy()
    given[:flipped] = (given[:flipped] + 1) % 3
    rows = Examples("train", "x.csv", list(range(100, 100 + n)), [f"text {i}" for i in range(n)], given.tolist())
    return rows, np.hstack([vectors, draw.normal(size=(n, 5))]).astype(np.float32), truth.tolist()


def test_flipped_labels_come_first_with_the_right_proposal() -> None:
    rows, vectors, truth = clouds(flipped=15)
    found = suspect_labels(LABELS, rows, vectors)
    assert 8 <= found.flagged <= 15
    assert all(row["row_id"] < 115 for row in found.rows)
    assert all(row["proposed"] == LABELS.names[truth[row["row_id"] - 100]] for row in found.rows)


def test_few_clean_rows_are_flagged() -> None:
    rows, vectors, _ = clouds(flipped=0)
    assert suspect_labels(LABELS, rows, vectors).flagged <= 9


def test_same_texts_share_a_fold() -> None:
    rows = Examples("train", "", list(range(40)), [f"Text {i % 10}!" if i % 2 else f"text {i % 10}" for i in range(40)], [0] * 40)
    folds = fold_of(rows, 0)
    assert all(len(set(folds[np.arange(40) % 10 == k].tolist())) == 1 for k in range(10))


def test_a_row_is_flagged_only_by_a_class_that_is_confident() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.1, 0.9]])
    flagged, proposed, _ = confident_disagreements(probabilities, np.array([0, 1, 0, 0]))
    assert flagged.tolist() == [3]
    assert proposed[3] == 1


def test_what_it_cannot_judge_is_skipped_with_the_reason() -> None:
    rows, vectors, _ = clouds(0)
    assert "one label a row" in suspect_labels(Labels("regression", ("score",)), rows, vectors).skipped
    many = Labels("single_label_classification", tuple(map(str, range(100_000))))
    assert "too long" in suspect_labels(many, rows, vectors).skipped


@pytest.mark.slow
def test_the_wrong_labels_planted_in_the_sample_are_found() -> None:
    from transformers import AutoModel, AutoTokenizer

    from tunesmith.data.samples import builtin_path
    from tunesmith.models.builtin import builtin_model
    from tunesmith.models.encode import encode
    from tunesmith.models.inference import mean_embeddings
    from tunesmith.models.kernels import Kernels

    with builtin_path("builtin:support_train").open(encoding="utf-8") as file:
        given = list(csv.DictReader(file))
    with (Path(__file__).parents[1] / "data" / "support_truth.csv").open(encoding="utf-8") as file:
        truth = {int(row["row_id"]): row["intent"] for row in csv.DictReader(file)}
    names = tuple(sorted({row["intent"] for row in given}))
    wrong = {i for i, row in enumerate(given) if truth[i] != row["intent"]}
    rows = Examples(
        "train", "", list(range(len(given))), [r["message"] for r in given], [names.index(r["intent"]) for r in given]
    )
    folder = builtin_model("minilm")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vectors = mean_embeddings(AutoModel.from_pretrained(folder), encode(tokenizer, rows, 256), 0, Kernels())
    found = suspect_labels(Labels("single_label_classification", names), rows, vectors)
    hits = [row for row in found.rows if row["row_id"] in wrong]
    assert len(wrong) == 36
    assert len(hits) >= 10
    assert sum(row["proposed"] == truth[row["row_id"]] for row in hits) >= 9
