"""Computes outputs, metrics, baselines and alarms of sentence embeddings, on each test and at each dimension."""

from __future__ import annotations

import time

from tunesmith.evaluation.embedding_tests import EmbeddingTest, clustered_metrics, truncated_outputs
from tunesmith.evaluation.metrics.geometry import collapse_alarms
from tunesmith.evaluation.outputs import BaselineOutputs, Outputs, SplitMetrics
from tunesmith.models.adapters.quantisation import published
from tunesmith.models.embedding.encoder import SentenceEncoder, load_encoder
from tunesmith.models.embedding.model import load_trainable
from tunesmith.progress import Listener
from tunesmith.recipe.metric_names import split_dimension
from tunesmith.recipe.tasks import baseline_names
from tunesmith.results import Alarm
from tunesmith.tasks.embedding.model import EmbeddingSession
from tunesmith.tasks.embedding.own_metrics import OwnMetrics, with_own_metrics
from tunesmith.tasks.task import Baselines, Evaluation

UNTUNED = "untuned"


def outputs(session: EmbeddingSession) -> dict[str, Outputs]:
    """Computes the model's outputs on every test."""
    return {name: test_outputs(session, test, session.encoder) for name, test in session.data.tests.items()}


def test_outputs(session: EmbeddingSession, test: EmbeddingTest, encoder: SentenceEncoder) -> Outputs:
    """Computes the outputs of whole embeddings and of those truncated to the Matryoshka dimensions."""
    vectors = test.vectors(encoder)
    sizes = [size for size in session.data.recipe.embedding.matryoshka_dimensions if size < vectors[0].shape[1]]
    outputs = truncated_outputs(test, vectors, sizes, encoder.similarity)
    return OwnMetrics(session.data.recipe, session.data.function).measured(outputs, test, vectors, encoder)


def metrics(session: EmbeddingSession) -> list[SplitMetrics]:
    """Returns the metrics of every test."""
    recipe, function = session.data.recipe, session.data.function
    requested = None if recipe.evaluate.metric is None else split_dimension(recipe.evaluate.metric)[0]
    tests = session.data.tests.values()
    return [with_own_metrics(clustered_metrics(test, requested), test, recipe, function) for test in tests]


def baselines(session: EmbeddingSession, _listener: Listener) -> Baselines:
    """Computes the outputs of the base model and of the lexical baselines that the recipe names."""
    recipe, tests, systems = session.data.recipe, session.data.tests, []
    requested = baseline_names(recipe)
    started, encoder = time.perf_counter(), base_encoder(session)
    base = {name: test_outputs(session, test, encoder) for name, test in tests.items()}
    if UNTUNED in requested:
        systems.append(BaselineOutputs(UNTUNED, base, time.perf_counter() - started, published(None)))
    for name in requested:
        started = time.perf_counter()
        outputs_of = {split: lexical[name]() for split, test in tests.items() if name in (lexical := test.lexical_baselines())}
        if outputs_of:
            systems.append(BaselineOutputs(name, outputs_of, time.perf_counter() - started))
    return Baselines(tuple(systems), base)


def base_encoder(session: EmbeddingSession) -> SentenceEncoder:
    """Returns the base model that the saved one is compared with: unquantised, since every adapter is merged when it is saved."""
    recipe, source, section = session.data.recipe, session.data.source, session.data.recipe.embedding
    if section.pooling is not None or section.dense is not None or section.normalize is not None:
        # The run may have put fresh modules on the base model.
        return load_encoder(source, recipe.data.max_length, recipe.train.fast)
    if recipe.quantisation is not None:
        return load_trainable(source, recipe.model_copy(update={"quantisation": None}))
    return session.encoder


def alarms(session: EmbeddingSession, evaluation: Evaluation) -> list[Alarm]:
    """Returns the alarms about the geometry of the embeddings, on the main test."""
    split, test = list(session.data.tests.items())[-1]
    return list(collapse_alarms(test.geometry(evaluation.best.outputs[split].embeddings)))
