"""The models of the folds: they predict the same again, and without input the share of each class."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.row_clusters import example_clusters
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis import out_of_fold as module
from tunesmith.diagnosis.out_of_fold import assign_folds, fit_word_features, out_of_fold, predict_folds
from tunesmith.errors import DataError

LABELS = Labels("single_label_classification", ("a", "b"))
WORDS = ["apple", "river", "stone", "cloud", "green", "seven", "music", "paper", "light", "house", "water", "sugar"]


def rows(n: int = 60, seed: int = 0, pairs: bool = False) -> tuple[Examples, np.ndarray]:
    """Different texts of two classes, and vectors that tell them apart a little."""
    draw = np.random.default_rng(seed)
    given = [i % 3 // 2 for i in range(n)]
    texts = [" ".join(draw.permutation(WORDS)[:7]) for _ in range(n)]
    vectors = draw.normal(size=(n, 4)) + np.array(given)[:, None]
    return Examples("train", "", list(range(n)), texts, given, texts[::-1] if pairs else None), vectors.astype(np.float32)


@pytest.mark.parametrize("pairs", [False, True])
def test_the_kept_models_predict_each_row_as_before(pairs: bool) -> None:
    examples, vectors = rows(pairs=pairs)
    embedded = (vectors, vectors[::-1]) if pairs else vectors
    cross_validated = out_of_fold(
        examples, LABELS, embedded, near_duplicates(examples.texts, examples.pairs), 3, keep_models=True
    )
    assert cross_validated.models is not None
    again = cross_validated.models.pred_probs(examples, embedded, cross_validated.folds)
    assert again == pytest.approx(cross_validated.pred_probs, abs=1e-5)
    others = cross_validated.models.pred_probs(examples, embedded, (cross_validated.folds + 1) % 3)
    assert np.abs(others - cross_validated.pred_probs).max() > 0.01
    mean = cross_validated.models.mean_pred_probs(examples, embedded)
    every = [cross_validated.models.pred_probs(examples, embedded, np.full(len(examples), fold)) for fold in range(3)]
    assert mean == pytest.approx(np.mean(every, axis=0))


def test_models_are_kept_only_where_they_are_wanted() -> None:
    examples, vectors = rows()
    assert out_of_fold(examples, LABELS, vectors, near_duplicates(examples.texts), 3).models is None


def test_a_null_model_predicts_the_share_of_each_class_in_the_other_folds() -> None:
    examples, _ = rows()
    blank = Examples("train", "", examples.row_ids, [" "] * 60, examples.labels)
    folds = np.arange(60) // 25  # the last one is smaller, and other classes are frequent in it
    cross_validated, _ = predict_folds(blank, 2, np.ones((60, 4), dtype=np.float32), folds)
    given = np.array(examples.labels)
    for fold in range(3):
        assert cross_validated[folds == fold][:, 1] == pytest.approx(given[folds != fold].mean(), abs=1e-3)


def test_words_that_are_all_different_are_no_features_and_no_error() -> None:
    many = Examples("train", "", list(range(1200)), [f"{'x' * 900}{i}" for i in range(1200)], [0] * 1200)
    features, of_others = fit_word_features(many)
    assert (features.shape, features.nnz) == ((1200, 1), 0)
    assert of_others(many.take([1, 2], "train")).shape == (2, 1)


def test_another_error_is_not_taken_for_a_lack_of_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_rows: Examples) -> None:
        raise ValueError("something else")

    monkeypatch.setattr(module, "fit_tfidf", broken)
    with pytest.raises(ValueError, match="something else"):
        fit_word_features(rows()[0])


def text_rows(texts: list[str], groups: list[str] | None = None) -> Examples:
    return Examples("train", "rows.csv", list(range(len(texts))), texts, [0] * len(texts), groups=groups)


def test_near_duplicates_and_groups_share_a_unit() -> None:
    texts = ["the parcel has not arrived and I am waiting", "The parcel has not arrived, and I am waiting!",
             "the parcel has not arrived and I am waiting now", "how do I change my address", "another question"]  # fmt: skip
    units = example_clusters(text_rows(texts, ["x", "y", "z", "w", "w"]))
    assert units[0] == units[1] == units[2]
    assert units[3] == units[4] != units[0]


def test_a_group_joins_what_its_rows_are_near_to() -> None:
    texts = [
        "the parcel has not arrived and I am waiting",
        "the parcel has not arrived and I am waiting!",
        "another thing altogether",
    ]
    units = example_clusters(text_rows(texts, ["a", "b", "b"]))
    assert len(set(units.tolist())) == 1


def test_units_are_never_divided_and_classes_are_spread() -> None:
    draw = np.random.default_rng(0)
    units = np.repeat(np.arange(200), draw.integers(1, 4, 200))
    given = draw.integers(0, 4, 200)[units]
    folds = assign_folds(given, units, 5)
    assert all(len(set(folds[units == unit].tolist())) == 1 for unit in range(200))
    counts = np.array([np.bincount(folds[given == k], minlength=5) for k in range(4)])
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 3


def test_the_same_seed_gives_the_same_folds() -> None:
    given, units = np.arange(50) % 2, np.arange(50)
    assert np.array_equal(assign_folds(given, units, seed=1), assign_folds(given, units, seed=1))
    assert not np.array_equal(assign_folds(given, units, seed=1), assign_folds(given, units, seed=2))


def test_fewer_units_than_folds_are_refused() -> None:
    with pytest.raises(DataError, match="3 sets that must stay together"):
        assign_folds(np.zeros(9, dtype=int), np.repeat(np.arange(3), 3), 5)


def test_unlabelled_rows_have_folds_too() -> None:
    folds = assign_folds(np.array([0, 1, -1, -1, 0, 1, -1, -1]), np.arange(8), 2)
    assert np.bincount(folds).tolist() == [4, 4]
