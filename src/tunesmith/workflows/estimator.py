"""Offers classification and regression of texts as scikit-learn estimators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from tunesmith.data.arrays import Array
from tunesmith.data.cells import is_missing, listed, plural
from tunesmith.data.labelled.labels import SINGLE, class_name, infer_labels
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.plain_cells import whole_text
from tunesmith.errors import DataError
from tunesmith.evaluation.metrics.predictions import decide
from tunesmith.progress import silent
from tunesmith.recipe.load import recipe_from_tables
from tunesmith.run_folder import RESULT
from tunesmith.tasks.finished import Run
from tunesmith.workflows.notebook import listener_here
from tunesmith.workflows.train import train

ROLES = ("text", "pair")
TARGET = "label"
KEPT = (RESULT, "model")
"""What of a run's folder is pickled with the estimator."""


class TextEstimator(BaseEstimator):
    """Trains a model on texts; the part that the classifier and the regressor share.

    Args:
        model: the base model: a hub id, a folder or ``builtin:NAME``.
        validation: the share of the rows that selects the best checkpoint.
        num_train_epochs, learning_rate, per_device_train_batch_size: of the recipe's section ``train``; None: its defaults.
        random_state: the seed of the split, of new weights and of the order of rows.
        sections: further sections of a recipe, such as ``{"adapter": {"method": "lora"}}``.
        verbose: show the progress of ``fit`` in a notebook.

    Attributes:
        run_: the finished run, without baselines; its folder is temporary, and goes into the pickle.
    """

    task: ClassVar[str]

    def __init__(
        self,
        model: str = "builtin:minilm",
        *,
        validation: float = 0.1,
        num_train_epochs: float | None = None,
        learning_rate: float | None = None,
        per_device_train_batch_size: int | None = None,
        random_state: Any = 0,
        sections: Mapping[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.validation = validation
        self.num_train_epochs = num_train_epochs
        self.learning_rate = learning_rate
        self.per_device_train_batch_size = per_device_train_batch_size
        self.random_state = random_state
        self.sections = sections
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array, tags.input_tags.string = True, False, True
        return tags

    def recipe_sections(self, roles: list[str]) -> dict[str, Any]:
        """Returns the sections of the recipe: those given, over those of the parameters."""
        given = dict(self.sections or {})
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31 - 1)
        settings = {name: getattr(self, name) for name in ("num_train_epochs", "learning_rate", "per_device_train_batch_size")}
        columns = {**dict.fromkeys(ROLES), **{role: role for role in roles}, "label": TARGET}
        own = {
            "train": {"seed": int(seed), **{name: value for name, value in settings.items() if value is not None}},
            "evaluate": {"baselines": []},
            "data": {"test": None, "columns": columns},
        }
        return {**given, **{name: {**section, **given.get(name, {})} for name, section in own.items()}}

    def fit_rows(self, X: Any, targets: list[Any]) -> None:
        """Trains on texts with their targets in a temporary folder."""
        columns = text_cells(X)
        folder = TemporaryDirectory(prefix="tunesmith-")
        settings = {**self.recipe_sections(list(columns)), "task": self.task, "output": str(Path(folder.name) / "run")}
        splits = {"train": {**columns, TARGET: targets}, "validation": self.validation}
        loaded, frames = recipe_from_tables(type(self).__name__, splits, self.model, settings)
        with listener_here(None if self.verbose else silent) as listener:
            run = train(loaded, frames=frames, listener=listener)
        assert run is not None, "only a further process of several has no run"
        self.run_, self._folder = run, folder

    def scores(self, X: Any) -> Array:
        """Computes probabilities (N, K) in the order of the run's labels, or numbers (N)."""
        check_is_fitted(self)
        columns = text_cells(X)
        if (self.run_.predictor.config.columns["pair"] is None) != ("pair" not in columns):
            raise DataError.one(
                "X", f"it has {plural(len(columns), 'column')} of texts; fit() had another number.", "Give the same columns."
            )
        return self.run_.predictor.scores(columns["text"], columns.get("pair"))

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "run_" in state:
            files = [path for name in KEPT for path in [self.run_.folder / name, *(self.run_.folder / name).rglob("*")]]
            state["_files"] = {str(p.relative_to(self.run_.folder)): p.read_bytes() for p in files if p.is_file()}
            del state["run_"], state["_folder"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        rest = dict(state)
        files = rest.pop("_files", None)
        super().__setstate__(rest)
        if files is not None:
            self._folder = TemporaryDirectory(prefix="tunesmith-")
            run = Path(self._folder.name) / "run"
            for name, content in files.items():
                (run / name).parent.mkdir(parents=True, exist_ok=True)
                (run / name).write_bytes(content)
            self.run_ = Run.load(run)


class TextClassifier(ClassifierMixin, TextEstimator):
    """Classifies texts, or pairs of texts, by a fine-tuned model; a scikit-learn classifier.

    ``X`` is a list, an array or a Series of texts, or a table with one column of texts or two of pairs.

    Attributes:
        classes_: the labels, sorted, in the type of ``y`` (K).

    Example::

        model = tunesmith.TextClassifier(num_train_epochs=5)
        scores = sklearn.model_selection.cross_val_score(model, texts, labels, cv=5)
    """

    task = "classification"

    def fit(self, X: Any, y: Any) -> TextClassifier:
        """Trains on texts with one label each. Raises DataError if a row has no text, or a label is read as no label."""
        check_consistent_length(X, y)
        check_classification_targets(y)
        labels = column_or_1d(y, warn=True)
        classes = np.unique(labels)
        of_data = (self.sections or {}).get("data")
        keep_null = isinstance(of_data, Mapping) and bool(of_data.get("keep_null_labels"))
        require_labels(labels.tolist(), classes.tolist(), keep_null=keep_null)
        self.fit_rows(X, labels.tolist())
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> Array:
        """Computes the probability of each class (N, K), in the order of ``classes_``."""
        return self.scores(X)[:, self.class_columns()]

    def predict(self, X: Any) -> Array:
        """Predicts the label of each text (N)."""
        scores = self.scores(X)
        decisions = decide(SINGLE, scores, self.run_.predictor.config.thresholds)
        return np.asarray(self.classes_[np.argsort(self.class_columns())[decisions]])

    def class_columns(self) -> list[int]:
        """Returns the position of each class among the run's labels."""
        names = self.run_.predictor.config.labels.names
        return [names.index(whole_text(class_name(value))) for value in self.classes_.tolist()]


class TextRegressor(RegressorMixin, TextEstimator):
    """Predicts a number for texts, or pairs of texts, by a fine-tuned model; a scikit-learn regressor.

    ``X`` is as for ``TextClassifier``.

    Example::

        tunesmith.TextRegressor().fit(texts, scores).predict(["very good"])
    """

    task = "regression"

    def fit(self, X: Any, y: Any) -> TextRegressor:
        """Trains on texts with one number each. Raises DataError if a row has no text."""
        check_consistent_length(X, y)
        self.fit_rows(X, column_or_1d(y, dtype=np.float64, warn=True).tolist())
        return self

    def predict(self, X: Any) -> Array:
        """Predicts the number of each text (N)."""
        return self.scores(X)


def text_cells(X: Any) -> dict[str, list[str]]:
    """Returns the texts of each row by role: ``text``, and ``pair`` of a table with two columns.

    Raises DataError if X has more columns, or a row has no text.
    """
    table = table_from_frame(X, "X")
    if len(table.columns) > len(ROLES):
        message = (
            f"it has {plural(len(table.columns), 'column')}: {listed(table.columns)}; one of texts, or two of pairs, "
            "was expected."
        )
        raise DataError.one("X", message, "Select the text column.")
    for cells in table.columns.values():
        wrong = [i for i, cell in enumerate(cells) if is_missing(cell) or not isinstance(cell, str)]
        if wrong:
            message = f"{len(wrong)} of {plural(len(cells), 'row')} have no text: rows {listed(wrong, 5)}, counted from 0."
            raise DataError.one("X", message, "Leave them out, or fill in their texts.")
    return dict(zip(ROLES, table.columns.values(), strict=False))


def require_labels(labels: list[Any], classes: list[Any], *, keep_null: bool) -> None:
    """Raises DataError if a class would be read as another one, or as none: tables mark rows without a label by -1 or n/a.

    Args:
        keep_null: the recipe's ``data.keep_null_labels``.
    """
    names = infer_labels(labels, "classification", source="y", keep_null=keep_null).names
    wrong = [value for value in classes if class_name(value) not in names]
    if wrong or len(names) < len(classes):
        shown = listed(map(repr, wrong or classes))
        message = f"the labels {shown} are read as rows without a label, or as one and the same class."
        raise DataError.one("y", message, "Rename them.")
