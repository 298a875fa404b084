"""Evaluates an embedding model on a task of the package mteb, with intervals and verdicts."""

from __future__ import annotations

import copy
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed
from tunesmith.data.row_clusters import row_clusters
from tunesmith.errors import DataError, InputError
from tunesmith.evaluation.embedding_tests import Encoder, Progress, no_progress
from tunesmith.evaluation.metrics.geometry import Geometry, geometry
from tunesmith.evaluation.metrics.retrieval import DEFAULT
from tunesmith.evaluation.outputs import Outputs
from tunesmith.evaluation.search import Similarity, word_vectoriser
from tunesmith.machine import quiet_libraries
from tunesmith.models.embedding.mteb_encoder import MtebEncoder
from tunesmith.models.kind import HUB
from tunesmith.progress import Clock, Listener, silent
from tunesmith.results import RunResult
from tunesmith.tasks.embedding.evaluate_model import TOP_K, evaluate_retrieval, evaluate_similarity
from tunesmith.tasks.embedding.evaluation_plan import ComparedModels, EvaluationPlan, evaluate_plan
from tunesmith.tasks.embedding.mteb_tasks import (
    CLASSIFICATION,
    RETRIEVAL,
    MtebTask,
    load_mteb_task,
    pairs_of,
    search_of,
)
from tunesmith.tasks.finished import Run, folder_of
from tunesmith.tasks.test_looks import with_look

ACCURACY = "accuracy"
BATCH = 1_024
SAME_ACCURACY = 1e-6
"""The largest difference between mteb's accuracy and that of its saved predictions."""


@dataclass(frozen=True)
class ClassificationTest:
    """Texts and classes that mteb predicts by classifiers on embeddings of a few training texts for each class.

    mteb draws the training texts (8 a class, 10 times, by the task's seed), trains its classifier on each draw (scikit-learn's
    logistic regression in most tasks) and averages the accuracies. A test text's value is the share of the classifiers that
    predict its class, so that the mean over texts is mteb's accuracy. All systems have the same draws.

    Attributes:
        labels: (N) classes of the test texts.
        drawn: the training texts of all draws.
        texts: (N) the test texts.
    """

    loaded: MtebTask
    labels: tuple[Any, ...]
    drawn: tuple[str, ...]
    texts: tuple[str, ...]
    metrics: tuple[str, ...] = (ACCURACY,)
    problem: str = ""

    @property
    def split(self) -> str:
        return self.loaded.split

    @property
    def n_texts(self) -> int:
        return len(self.drawn) + len(self.texts)

    def vectors(self, encoder: Encoder, progress: Progress = no_progress) -> tuple[Array, ...]:
        """Embeds the drawn training texts (M, D) and the test texts (N, D) with the default prompt."""
        first = encoder.encode(self.drawn, encoder.prompt_for(), progress)
        n_drawn = len(self.drawn)
        return first, encoder.encode(self.texts, encoder.prompt_for(), lambda done: progress(n_drawn + done))

    def outputs(self, vectors: Sequence[Array], size: int, similarity: Similarity = "cosine") -> Outputs:
        """Returns the share of mteb's classifiers that are right, for each test text; no similarity is used."""
        return self.scored([matrix[:, :size] for matrix in vectors])

    def scored(self, vectors: Sequence[Any]) -> Outputs:
        """Runs mteb's evaluation on finished vectors of the drawn and the test texts. Raises DataError if it is not averaged."""
        predicted, scores = run_task(self.loaded, fixed_vectors(vectors))
        right = np.array([[a == b for a, b in zip(row, self.labels, strict=True)] for row in predicted], dtype=np.float64)
        if abs(right.mean() - scores[ACCURACY]) > SAME_ACCURACY:
            message = f"mteb's accuracy is {scores[ACCURACY]:.6f}, that of its predictions {right.mean():.6f}"
            raise DataError.one(self.loaded.source, f"{message}: they are not of the rows in their order.")
        return Outputs(row_scores={ACCURACY: right.mean(axis=0)})

    def geometry(self, vectors: Sequence[Array]) -> Geometry:
        return geometry(vectors[1][np.unique(self.texts, return_index=True)[1]], None)

    def clusters(self) -> Array:
        """Returns the cluster of each test text: nearly equal texts share one."""
        return self.text_clusters

    @cached_property
    def text_clusters(self) -> Array:
        return row_clusters(self.texts)

    def lexical_baselines(self) -> Mapping[str, Callable[[], Outputs]]:
        return {"tfidf": self.tfidf_outputs}

    def tfidf_outputs(self) -> Outputs:
        """Returns the outputs of TF-IDF vectors of words, weighted by all training texts."""
        task, vectoriser = self.loaded.task, word_vectoriser()
        vectoriser.fit(list(self.loaded.split_rows(task.train_split)[task.input_column_name]))
        return self.scored([vectoriser.transform(self.drawn), vectoriser.transform(self.texts)])


def evaluate_mteb(
    target: str | Path | Run, task: Any, *, folder: str | Path | None = None, subset: str | None = None,
    split: str | None = None, metrics: Sequence[str] | None = None, rerank: str | Path | None = None, top_k: int | None = None,
    against: Sequence[str | Path] = (), dimensions: Sequence[int] = (), max_length: int | None = None,
    n_resamples: int = 10_000, seed: int = 0, listener: Listener = silent,
) -> RunResult:  # fmt: skip
    """Evaluates an embedding model on a retrieval, STS or classification task of mteb, beside baselines and other models.

    Retrieval tasks are evaluated as by ``evaluate_retrieval``, STS tasks as scored pairs by ``evaluate_similarity``,
    classification tasks by mteb's classifiers, with the accuracy's interval over test texts.

    Args:
        target: a run or its folder, another folder, ``hub:NAME`` or ``builtin:NAME``.
        task: the name of a task, or an object of ``mteb.AbsTask``, for example with ``dataset`` set and ``data_loaded``.
        folder: a local copy of the task's data set; default: the hub, or its cache with HF_HUB_OFFLINE=1.
        subset: a language or part of the data set; needed if it has several.
        split: default: test, or the only one that mteb evaluates.
        metrics, rerank, top_k: of retrieval tasks, see ``evaluate_retrieval``.
        against, dimensions, max_length: see ``evaluate_retrieval``.

    Raises:
        InputError: mteb is not installed, the task or its data cannot be used, or a model cannot.

    Example::

        tunesmith.evaluate_mteb("runs/search", "SciFact", folder="scifact", against=["builtin:minilm"]).verdicts
    """
    quiet_libraries()
    name, others = str(folder_of(target)).removeprefix(HUB), [str(other).removeprefix(HUB) for other in against]
    loaded = load_mteb_task(task, folder, subset, split)
    options: dict[str, Any] = {
        "against": others, "dimensions": dimensions, "max_length": max_length, "n_resamples": n_resamples, "seed": seed,
        "listener": listener,
    }  # fmt: skip
    if loaded.kind == RETRIEVAL:
        searched = {"metrics": tuple(metrics or DEFAULT), "rerank": rerank, "top_k": top_k or TOP_K}
        result = evaluate_retrieval(name, search_of(loaded), **options | searched)
    else:
        refuse_search_options(loaded, {"--metric": metrics, "--rerank": rerank, "--top-k": top_k})
        result = (evaluate_classification if loaded.kind == CLASSIFICATION else evaluate_pairs)(name, loaded, **options)
    return replace(result, data={**result.data, "source": loaded.source, "mteb": loaded.record()})


def refuse_search_options(loaded: MtebTask, options: Mapping[str, object]) -> None:
    """Raises InputError if an option of retrieval is given for another task."""
    for option, value in options.items():
        if value:
            message = f"it is an option of retrieval, and {loaded.task.metadata.name} is of type {loaded.kind}."
            raise InputError.one(option, message, "Remove it.")


def evaluate_pairs(name: str, loaded: MtebTask, **options: Any) -> RunResult:
    """Evaluates an embedding model on the scored pairs of an STS task."""
    first, second = loaded.task.column_names
    columns = {"text": first, "pair": second, "score": "score"}
    return evaluate_similarity(name, pairs_of(loaded), columns=columns, split=loaded.split, **options)


def evaluate_classification(name: str, loaded: MtebTask, *, listener: Listener, **compared: Any) -> RunResult:
    """Evaluates an embedding model on a classification task, beside TF-IDF and other models.

    Args:
        compared: fields of ``ComparedModels``.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    with clock.phase("data"):
        test = classification_test(loaded)
    main = loaded.task.metadata.main_score
    plan = EvaluationPlan(
        target=name,
        test=test,
        compared=ComparedModels(**compared),
        task="classification",
        about={"rows": len(test.texts), "classes": len(set(test.labels)), "training_texts": len(test.drawn)},
        notes=[] if main == ACCURACY else [f"mteb's main score of this task is {main}; accuracy is measured here."],
    )
    rows = {"text": list(test.texts), "label": [str(label) for label in test.labels]}
    return with_look(evaluate_plan(plan, clock, started), rows, name)


def classification_test(loaded: MtebTask) -> ClassificationTest:
    """Builds the test of a classification task. Raises DataError for other data than texts, each with one class."""
    task = loaded.task
    for split in (task.train_split, loaded.split):
        rows = loaded.split_rows(split)
        for column in (task.input_column_name, task.label_column_name):
            if column not in rows.column_names:
                message = f"{split} has no column {column}."
                raise DataError.one(loaded.source, message, f"Columns: {listed(rows.column_names)}.")
    labels = tuple(loaded.split_rows(loaded.split)[task.label_column_name])
    classes = set(loaded.split_rows(task.train_split)[task.label_column_name])
    if len(classes) < 2:
        raise DataError.one(loaded.source, f"all training texts are of the class {next(iter(classes), '')!r}.", "Two are needed.")
    texts = tuple(loaded.split_rows(loaded.split)[task.input_column_name])
    return ClassificationTest(loaded, labels, drawn_texts(loaded), texts)


def drawn_texts(loaded: MtebTask) -> tuple[str, ...]:
    """Returns the training texts of all draws of a classification task, as mteb gives them to a model.

    They are taken from an evaluation of constant predictions on one test text, so that no other training text is embedded.
    """
    from datasets import DatasetDict
    from sklearn.dummy import DummyClassifier

    asked: list[list[str]] = []

    def constant(texts: list[str], _type: str | None) -> Array:
        asked.append(texts)
        return np.zeros((len(texts), 1), np.float32)

    probe, train = copy.copy(loaded.task), loaded.task.train_split
    rows = DatasetDict({train: loaded.split_rows(train), loaded.split: loaded.split_rows(loaded.split).select([0])})
    probe.dataset = {loaded.subset: rows}
    probe.evaluator_model = DummyClassifier()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's about metrics of one row, which are not used
        run_task(replace(loaded, task=probe), plain_encoder(constant))
    return tuple(asked[0])


def run_task(loaded: MtebTask, encoder: MtebEncoder) -> tuple[list[list[Any]], Mapping[str, Any]]:
    """Runs mteb's evaluation; returns the predictions of each classifier for the test texts (E, N), and mteb's scores."""
    with TemporaryDirectory() as folder:
        scores = loaded.task.evaluate(
            encoder, loaded.split, [loaded.subset], encode_kwargs={"batch_size": BATCH}, prediction_folder=Path(folder)
        )
        (file,) = Path(folder).iterdir()
        predicted = json.loads(file.read_text(encoding="utf-8"))[loaded.subset][loaded.split]
    return predicted, scores[loaded.subset]


def fixed_vectors(parts: Sequence[Any]) -> MtebEncoder:
    """Returns an encoder whose calls return these vectors, one after the other."""
    left: Iterator[Any] = iter(parts)
    return plain_encoder(lambda _texts, _type: next(left))


def plain_encoder(vectors: Callable[[list[str], str | None], Any]) -> MtebEncoder:
    """Returns an encoder without a name, for evaluations that compare no vectors and are not stored."""
    from mteb.models import ModelMeta

    def compare(_first: Any, _second: Any) -> Any:
        raise NotImplementedError("classification compares no vectors")

    return MtebEncoder(vectors, compare, compare, ModelMeta.create_empty())
