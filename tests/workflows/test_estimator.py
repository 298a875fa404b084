"""The scikit-learn estimators: scikit-learn's own checks, its tools around them, and what texts need beside.

``check_estimator`` skips an estimator of texts, because its data are numbers. The checks below need no data and are run; those
with data are written anew for texts; the others do not apply: they are about numeric, sparse, missing or infinite features,
sample weights, feature names and the number of features.
"""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks as checks

from tunesmith import TextClassifier, TextRegressor
from tunesmith.errors import DataError, InputError

WITHOUT_DATA = [
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_estimators_unfitted",
]
QUICK = {"learning_rate": 5e-3, "per_device_train_batch_size": 16, "num_train_epochs": 3}
Texts = tuple[list[str], np.ndarray]


@pytest.fixture(scope="module")
def texts(sentences: list[dict[str, str]]) -> Texts:
    return [row["text"] for row in sentences], np.array([row["label"] for row in sentences])


@pytest.fixture(scope="module")
def fitted(texts: Texts, tiny_model: Path) -> TextClassifier:
    return TextClassifier(str(tiny_model), **QUICK).fit(*texts)


@pytest.mark.parametrize("check", WITHOUT_DATA)
@pytest.mark.parametrize("kind", [TextClassifier, TextRegressor])
def test_scikit_learns_check_without_data(check: str, kind: Any) -> None:
    getattr(checks, check)(kind.__name__, kind())


@pytest.mark.parametrize("kind", [TextClassifier, TextRegressor])
def test_check_estimator_passes(kind: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", checks.SkipTestWarning)
        results = checks.check_estimator(kind(), on_fail=None, on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}


def test_predictions_are_labels_and_probabilities_have_their_order(fitted: TextClassifier, texts: Texts) -> None:
    X, y = texts
    assert is_classifier(fitted)
    assert fitted.classes_.tolist() == ["neg", "pos"]
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (len(X), 2)
    assert np.allclose(probabilities.sum(1), 1)
    assert (fitted.classes_[probabilities.argmax(1)] == fitted.predict(X)).all()
    assert fitted.score(X, y) > 0.9
    assert fitted.predict(np.array(X[:3], dtype=object)[:, None]).tolist() == fitted.predict(X[:3]).tolist()


def test_classes_are_sorted_as_numpy_sorts_them(texts: Texts, tiny_model: Path) -> None:
    X, y = texts
    labels = np.where(y == "pos", "10", "9")  # by number 9 comes first, by letter 10
    model = TextClassifier(str(tiny_model), **QUICK).fit(X, labels)
    assert model.classes_.tolist() == ["10", "9"]
    assert (model.classes_[model.predict_proba(X).argmax(1)] == model.predict(X)).all()
    assert model.score(X, labels) > 0.9
    numbers = TextClassifier(str(tiny_model), **QUICK).fit(X, np.where(y == "pos", 1, -1))
    assert set(numbers.predict(X).tolist()) == {1, -1}


def test_labels_with_half_of_an_emoji_come_back_as_they_were(texts: Texts, tiny_model: Path) -> None:
    X, y = texts
    labels = np.where(y == "pos", "a\ud83d", "b")
    model = TextClassifier(str(tiny_model), **QUICK).fit(X, labels)
    assert model.score(X, labels) > 0.9


def test_fitting_changes_no_parameter_and_the_same_seed_gives_the_same_model(
    fitted: TextClassifier, texts: Texts, tiny_model: Path
) -> None:
    before = fitted.get_params()
    again = clone(fitted)
    assert not hasattr(again, "run_")
    assert again.fit(*texts) is again
    assert again.get_params() == before
    assert np.allclose(again.predict_proba(texts[0]), fitted.predict_proba(texts[0]), atol=1e-6)
    old = again.run_.folder
    again.set_params(random_state=np.random.RandomState(3)).fit(*texts)
    assert again.run_.folder != old
    assert not np.allclose(again.predict_proba(texts[0]), fitted.predict_proba(texts[0]), atol=1e-3)


def test_predicting_changes_nothing(fitted: TextClassifier, texts: Texts) -> None:
    before = set(vars(fitted))
    fitted.predict(texts[0][:2])
    assert set(vars(fitted)) == before


@pytest.mark.parametrize("copied", [lambda model: pickle.loads(pickle.dumps(model)), copy.deepcopy], ids=["pickle", "deepcopy"])
def test_a_copy_predicts_the_same_without_the_folder_of_the_first(
    copied: Any, fitted: TextClassifier, texts: Texts, tiny_model: Path
) -> None:
    copy_of = copied(fitted)
    assert copy_of.run_.folder != fitted.run_.folder
    assert np.array_equal(copy_of.predict_proba(texts[0]), fitted.predict_proba(texts[0]))
    assert copy_of.run_.result == fitted.run_.result
    unfitted = copied(TextClassifier("some/model"))
    assert unfitted.model == "some/model"
    with pytest.raises(NotFittedError):
        unfitted.predict(["a"])


def test_the_folder_goes_with_the_estimator(texts: Texts, tiny_model: Path) -> None:
    model = TextClassifier(str(tiny_model), **QUICK).fit(*texts)
    folder = model.run_.folder
    assert folder.exists()
    del model
    assert not folder.exists()


@pytest.mark.slow
def test_cross_validation_search_and_pipeline(texts: Texts, tiny_model: Path) -> None:
    X, y = texts
    model = TextClassifier(str(tiny_model), **{**QUICK, "num_train_epochs": 8})
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"text": X, "n": range(len(X))})
    pipeline = Pipeline([("text", FunctionTransformer(lambda table: table["text"])), ("model", model)])
    assert cross_val_score(pipeline, frame, y, cv=2).mean() > 0.7
    search = GridSearchCV(pipeline, {"model__num_train_epochs": [1, 8]}, cv=2, scoring="neg_log_loss").fit(frame, y)
    assert search.best_params_ == {"model__num_train_epochs": 8}
    assert search.cv_results_["mean_test_score"].max() < 0
    assert search.predict(frame).shape == (len(X),)


def test_a_regressor_predicts_numbers_of_pairs(sentences: Any, tiny_model: Path) -> None:
    pairs = [(a["text"], b["text"]) for a, b in zip(sentences, sentences[7:], strict=False)]
    scores = [0.5 + (a["label"] == "pos") for a in sentences[: len(pairs)]]
    model = TextRegressor(str(tiny_model), **{**QUICK, "num_train_epochs": 8}).fit(pairs, scores)
    assert is_regressor(model)
    assert model.score(pairs, scores) > 0.5
    with pytest.raises(DataError, match="fit\\(\\) had another number"):
        model.predict(["one text"])


def test_sections_of_a_recipe_win(tiny_model: Path) -> None:
    model = TextClassifier(str(tiny_model), num_train_epochs=2, sections={"train": {"num_train_epochs": 7}, "adapter": {"r": 4}})
    sections = model.recipe_sections(["text"])
    assert (sections["train"]["num_train_epochs"], sections["adapter"]) == (7, {"r": 4})


BAD = {
    "an empty text": (["good film", "", "bad"] * 20, ["a", "b", "c"] * 20, "20 of 60 rows have no text: rows 1, 4, 7, 10, 13"),
    "numbers": ([1, 2, 3, 4], [0, 1, 0, 1], "first is int"),
    "many columns": ([{"a": "x", "b": "y", "c": "z"}] * 4, [0, 1] * 2, "it has 3 columns"),
    "one class": (["good", "bad"], ["a", "a"], "the same label"),
    "labels that mark nothing": (["good", "bad", "fine"] * 9, [-1, 0, 2] * 9, "the labels -1 are read as rows without a label"),
    "labels that are one class": (["good", "bad", "fine"] * 9, ["1", "1.0", "2"] * 9, "one and the same class"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_before_training(name: str, tiny_model: Path) -> None:
    X, y, message = BAD[name]
    with pytest.raises(InputError, match=message):
        TextClassifier(str(tiny_model), **QUICK).fit(X, y)


def test_a_class_called_null_is_kept_on_request(texts: Texts, tiny_model: Path) -> None:
    labels = np.where(texts[1] == "pos", "null", "other")
    with pytest.raises(InputError, match='read as "no label": if that is a class of yours'):
        TextClassifier(str(tiny_model), **QUICK).fit(texts[0], labels)
    model = TextClassifier(str(tiny_model), **QUICK, sections={"data": {"keep_null_labels": True}}).fit(texts[0], labels)
    assert set(model.predict(texts[0])) == {"null", "other"}


def test_scikit_learns_own_words_for_targets(texts: Texts) -> None:
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        TextClassifier().fit(texts[0], texts[1][:-1])
    with pytest.raises(ValueError, match="Unknown label type"):
        TextClassifier().fit(texts[0], np.linspace(0, 1, len(texts[0])))
    with pytest.raises(TypeError, match="required positional argument"):
        TextClassifier().fit(texts[0])
