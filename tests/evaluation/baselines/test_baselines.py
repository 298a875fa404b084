"""Every baseline answers every row of every split, in every problem, and learns what there is to learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.baselines.frozen import linear_on_embeddings
from tunesmith.evaluation.baselines.linear import label_array
from tunesmith.evaluation.baselines.majority import majority
from tunesmith.evaluation.baselines.tfidf import tfidf_linear
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.table import TABLE, compute
from tunesmith.evaluation.outputs import BaselineOutputs, SplitMetrics, baseline_result
from tunesmith.tasks.classification.evaluation import tuned_baseline

WORDS = {0: "refund money card charged", 1: "parcel delivery late courier", 2: "password login account locked"}
FILLER = ["the", "a", "my", "please", "hello", "still", "since", "yesterday", "again", "thanks"]
LABELS = {
    SINGLE: Labels(SINGLE, ("money", "parcel", "login")),
    MULTI: Labels(MULTI, ("money", "parcel", "login")),
    REGRESSION: Labels(REGRESSION, ("score",)),
}


def sentence(themes: list[int], rng: np.random.Generator) -> str:
    own = [rng.choice(WORDS[theme].split()) for theme in themes for _ in range(2)]
    words = [*own, *rng.choice(FILLER, 4)]
    rng.shuffle(words)
    return " ".join(words)


def examples(kind: str, split: str, n: int, seed: int, pairs: bool = False) -> Examples:
    """Texts whose words give the label away; for a regression the label is how many words of theme 0 there are."""
    rng = np.random.default_rng(seed)
    texts, labels, second = [], [], []
    for i in range(n):
        theme = i % 3
        if kind == MULTI:
            on = (rng.random(3) < 0.5).astype(int)
            texts.append(sentence(list(np.flatnonzero(on)), rng))
            labels.append(tuple(on.tolist()))
        elif kind == REGRESSION:
            count = int(rng.integers(0, 4))
            texts.append(sentence([0] * count + [1], rng))
            labels.append(float(count))
        else:
            texts.append(sentence([theme], rng))
            labels.append(theme)
        second.append(sentence([theme], rng))
    return Examples(split, "made", list(range(10, 10 + n)), texts, labels, second if pairs else None)


def splits(kind: str, pairs: bool = False) -> tuple[Examples, list[Examples]]:
    made = [
        examples(kind, name, n, seed, pairs) for seed, (name, n) in enumerate((("train", 180), ("validation", 60), ("test", 90)))
    ]
    return made[0], made[1:]


def embedded(given: list[Examples]) -> dict[str, np.ndarray]:
    """Stand-ins for a model's embeddings: counts of a few words, and a constant column."""
    vocabulary = " ".join(WORDS.values()).split()
    return {e.split: np.array([[*(text.split().count(word) for word in vocabulary), 1.0] for text in e.texts]) for e in given}


def all_answers(kind: str) -> list[BaselineOutputs]:
    train, targets = splits(kind)
    labels = LABELS[kind]
    return [
        majority(labels, train, targets),
        tfidf_linear(labels, train, targets),
        linear_on_embeddings(labels, train, targets, embedded([train, *targets])),
    ]


@pytest.mark.parametrize("kind", list(LABELS))
def test_every_row_of_every_split_is_answered(kind: str) -> None:
    _, targets = splits(kind)
    for answers in all_answers(kind):
        assert list(answers.outputs) == ["validation", "test"]
        for target in targets:
            predictions = answers.outputs[target.split].predictions
            assert predictions.row_ids is not None
            assert predictions.row_ids.tolist() == target.row_ids
            assert np.array_equal(predictions.labels, label_array(LABELS[kind], target))
            if kind == SINGLE:
                np.testing.assert_allclose(predictions.scores.sum(axis=1), 1, atol=1e-9)
        assert answers.seconds > 0
        assert answers.note


@pytest.mark.parametrize(("kind", "metric"), [(SINGLE, "accuracy"), (MULTI, "micro_f1"), (REGRESSION, "spearman")])
def test_linear_baselines_learn_and_the_majority_does_not(kind: str, metric: str) -> None:
    constant, *linear = (compute(kind, answers.outputs["test"].predictions)[metric] for answers in all_answers(kind))
    assert all(value > 0.8 for value in linear)
    assert constant is None or constant < 0.7


@pytest.mark.parametrize("kind", list(LABELS))
def test_answers_are_the_same_each_time(kind: str) -> None:
    for first, second in zip(all_answers(kind), all_answers(kind), strict=True):
        assert np.array_equal(first.outputs["test"].predictions.scores, second.outputs["test"].predictions.scores)


def test_the_majority_is_the_training_sets() -> None:
    train = Examples("train", "made", [0, 1, 2, 3], ["a"] * 4, [2, 2, 2, 0])
    test = Examples("test", "made", [0, 1], ["b"] * 2, [1, 2])
    predictions = majority(LABELS[SINGLE], train, [test]).outputs["test"].predictions
    assert predictions.decisions.tolist() == [2, 2]
    np.testing.assert_allclose(predictions.scores[0], [(1 + 1 / 3) / 5, (1 / 3) / 5, (3 + 1 / 3) / 5])
    assert np.isfinite(compute(SINGLE, predictions)["log_loss"])


def test_the_mean_is_a_regressions_majority() -> None:
    train = Examples("train", "made", [0, 1], ["a"] * 2, [1.0, 4.0])
    predictions = majority(LABELS[REGRESSION], train, [Examples("test", "made", [5], ["b"], [3.0])]).outputs["test"].predictions
    assert predictions.scores.tolist() == [2.5]
    assert compute(REGRESSION, predictions)["pearson"] is None


def test_pairs_are_compared_and_not_only_read() -> None:
    """The label is whether both texts share their theme; no word alone predicts it."""
    rng = np.random.default_rng(0)

    def made(split: str, n: int) -> Examples:
        first = rng.integers(0, 3, n)
        same = np.arange(n) % 2
        second = np.where(same == 1, first, (first + rng.integers(1, 3, n)) % 3)
        texts, others = ([f"{WORDS[t]} {rng.choice(FILLER)}" for t in themes] for themes in (first, second))
        return Examples(split, "made", list(range(n)), texts, same.tolist(), others)

    labels = Labels(SINGLE, ("other", "same"))
    train, targets = made("train", 200), [made("validation", 60), made("test", 100)]
    assert compute(SINGLE, tfidf_linear(labels, train, targets).outputs["test"].predictions)["accuracy"] > 0.95
    given = [train, *targets]
    first, second = embedded(given), embedded([Examples(e.split, "", e.row_ids, e.pairs or [], []) for e in given])
    sides = {split: (first[split], second[split]) for split in first}
    assert compute(SINGLE, linear_on_embeddings(labels, train, targets, sides).outputs["test"].predictions)["accuracy"] > 0.95


@pytest.mark.parametrize("missing", [[1, 2], [0]])
def test_a_class_that_train_lacks_gets_no_probability(missing: list[int]) -> None:
    train, targets = splits(SINGLE)
    kept = train.take([i for i, label in enumerate(train.labels) if label not in missing], "train")
    for answers in (
        tfidf_linear(LABELS[SINGLE], kept, targets),
        linear_on_embeddings(LABELS[SINGLE], kept, targets, embedded([kept, *targets])),
    ):
        assert answers.outputs["test"].predictions.scores[:, missing].max() == 0
        assert compute(SINGLE, answers.outputs["test"].predictions)["log_loss"] is not None


def test_a_label_nobody_has_is_never_on() -> None:
    train, targets = splits(MULTI)
    train = Examples("train", "made", train.row_ids, train.texts, [(a, b, 0) for a, b, _ in train.labels])
    predictions = tfidf_linear(LABELS[MULTI], train, targets).outputs["test"].predictions
    assert predictions.decisions[:, 2].max() == 0


@pytest.mark.parametrize("kind", list(LABELS))
def test_no_validation_is_no_obstacle(kind: str) -> None:
    train, (_, test) = splits(kind)
    for answers in (
        tfidf_linear(LABELS[kind], train, [test]),
        linear_on_embeddings(LABELS[kind], train, [test], embedded([train, test])),
    ):
        assert list(answers.outputs) == ["test"]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(max_size=20), min_size=6, max_size=12))
def test_any_text_can_be_vectorised(texts: list[str]) -> None:
    """Empty texts, lone marks, any script; a table without a single word is the only exception, and it has one here."""
    train = Examples("train", "made", list(range(len(texts) + 1)), [*texts, "word"], [i % 2 for i in range(len(texts) + 1)])
    labels = Labels(SINGLE, ("no", "yes"))
    predictions = tfidf_linear(labels, train, [Examples("test", "made", [0], [texts[0]], [0])]).outputs["test"].predictions
    assert np.isfinite(predictions.scores).all()


def test_an_unlabelled_row_is_named() -> None:
    train = Examples("train", "made", [7, 8], ["a", "b"], [0, None])
    with pytest.raises(ValueError, match="1 rows of train have no label, the first is row 8"):
        majority(LABELS[SINGLE], train, [])


def test_measured_holds_every_metric_of_the_splits_there_are() -> None:
    train, targets = splits(SINGLE)
    metrics = [SplitMetrics(split, tuple(TABLE[SINGLE])) for split in ("validation", "test", "elsewhere")]
    baseline = baseline_result(majority(LABELS[SINGLE], train, targets), metrics, Resampling(100))
    assert [(m.split, m.name) for m in baseline.metrics] == [(s, m) for s in ("validation", "test") for m in TABLE[SINGLE]]
    assert baseline.name == "majority"


def test_thresholds_are_tuned_on_validation_and_used_everywhere() -> None:
    """One row in five is positive and the features carry little information: the usual threshold finds none, a tuned one does."""
    rng = np.random.default_rng(0)
    labels = Labels(SINGLE, ("no", "yes"))

    def made(split: str, n: int) -> Examples:
        y = (rng.random(n) < 0.2).astype(int)
        return Examples(split, "made", list(range(n)), ["x"] * n, y.tolist())

    train, targets = made("train", 400), [made("validation", 400), made("test", 400)]
    embeddings = {e.split: np.array(e.labels)[:, None] * 1.2 + rng.normal(size=(len(e), 1)) for e in [train, *targets]}
    plain = linear_on_embeddings(labels, train, targets, embeddings)
    tuned = tuned_baseline(plain, "macro_f1", 0)
    assert (
        compute(SINGLE, tuned.outputs["test"].predictions)["macro_f1"]
        > compute(SINGLE, plain.outputs["test"].predictions)["macro_f1"] + 0.03
    )
    assert tuned_baseline(plain, "auroc", 0) is plain


def test_the_note_names_the_model_and_its_regularisation_as_scikit_learn_does() -> None:
    from tunesmith.evaluation.baselines.linear import fitted_model

    assert fitted_model(Labels("single_label_classification", ("a", "b")), 0.01) == "logistic regression with C = 0.01"
    assert fitted_model(Labels("regression", ("score",)), 100.0) == "ridge regression with alpha = 100"
