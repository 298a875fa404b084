"""The story of a retrieval evaluation: documents and queries, vectors, rankings, metrics, and verdicts between systems."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.baselines.search import SEARCHES
from tunesmith.data.beir import read_beir
from tunesmith.data.retrieval import Array, Retrieval
from tunesmith.errors import InputError
from tunesmith.events import Event, Listener, silent
from tunesmith.inputs import Clock
from tunesmith.machine import environment, peak_memory_bytes
from tunesmith.metrics.geometry import Geometry, alarms_of, geometry
from tunesmith.metrics.retrieval import DEFAULT, METRICS, deepest, of_queries, parsed
from tunesmith.metrics.row_means import mean_metric, mean_verdict
from tunesmith.models.source import find_model
from tunesmith.recipe.sections import ModelSection
from tunesmith.results import Baseline, Finding, Metric, RunResult, Verdict

BASELINES = ("bm25", "tfidf")
QUERY, DOCUMENT = ("query",), ("document", "passage", "corpus")
"""Names under which models keep the prompts that they were trained with, as sentence-transformers looks for them."""
Values = Mapping[str, Array]
"""Metric -> its value for each query (Q,)."""


@dataclass(frozen=True)
class System:
    """One way to rank the documents, measured.

    Attributes:
        values: metric -> (Q,).
        at: dimensions -> metric -> (Q,), for vectors cut to their first dimensions.
        similarity: by which vectors are compared; empty where there are none.
        geometry: of the documents' vectors, and of queries and their documents.
    """

    name: str
    values: Values
    seconds: float
    at: Mapping[int, Values]
    dimension: int = 0
    similarity: str = ""
    geometry: Geometry | None = None


def evaluate_retrieval(
    target: str | Path, folder: str | Path, *, split: str | None = None, against: Sequence[str | Path] = (),
    dimensions: Sequence[int] = (), metrics: Sequence[str] = DEFAULT, baselines: Sequence[str] = BASELINES,
    max_length: int | None = None, n_resamples: int = 10_000, seed: int = 0, listener: Listener = silent,
) -> RunResult:  # fmt: skip
    """How well an embedding model finds the relevant documents, tuned or not, beside BM25, TF-IDF and other models.

    Args:
        target: a run, a folder, a hub id or ``builtin:NAME``.
        folder: in the BEIR layout, see ``data.beir``.
        split: of the judgements; test when not said.
        against: other models, each given a verdict on the same queries.
        dimensions: the vectors are also cut to their first so many (Matryoshka), each with a verdict against the whole.
        metrics: names of ``metrics.retrieval``; the first leads the verdicts.
        max_length: tokens of a text that are read; each model's own limit when not said.

    Returns:
        Metrics with intervals over queries, and verdicts on the leading one. ``ndcg@10 dim=64`` is of vectors cut to 64.

    Raises:
        InputError: the folder or a model cannot be used, or a dimension or a metric is none the model has.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    check_names(metrics, baselines)
    with clock.phase("data"):
        data = read_beir(Path(folder), split)
    ours = measured(str(target), data, metrics, dimensions, max_length, clock)
    others = [measured(str(other), data, metrics, (), max_length, clock) for other in against]
    with clock.phase("baselines"):
        others += [by_words(name, data, metrics) for name in baselines]
    with clock.phase("verdict"):
        found = metrics_of(ours, data.split, n_resamples, seed)
        verdicts = verdicts_of(ours, others, metrics[0], data.split, n_resamples, seed)
        beside = tuple(baseline(other, data.split, n_resamples, seed) for other in others)
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    return RunResult(
        task="retrieval", metrics=found, baselines=beside, verdicts=verdicts, findings=tuple(notes_of(data)),
        alarms=alarms_of(ours.geometry),
        timings_seconds=clock.seconds, peak_memory_bytes=peak_memory_bytes(), environment=environment(),
        data=record(data, ours),
    )  # fmt: skip


def check_names(metrics: Sequence[str], baselines: Sequence[str]) -> None:
    """Raise InputError for metrics and baselines that do not exist."""
    if not metrics:
        raise InputError.one("--metric", "no metric was named.", f"Known: {', '.join(METRICS)}, each with @K.")
    for name in metrics:
        try:
            parsed(name)
        except ValueError as error:
            raise InputError.one("--metric", f"{error}.") from None
    for name in baselines:
        if name not in SEARCHES:
            raise InputError.one("--baseline", f"{name!r} is no baseline of retrieval.", f"Known: {', '.join(SEARCHES)}.")


def measured(
    name: str, data: Retrieval, metrics: Sequence[str], dimensions: Sequence[int], max_length: int | None, clock: Clock
) -> System:
    """A model's values for each query, also with cut vectors."""
    started = time.perf_counter()
    with clock.phase("model"):
        from tunesmith.models.sentence_encoder import load_encoder, sizes_of

        encoder = load_encoder(find_model(ModelSection(name=name), Path()), max_length)
        sizes = sizes_of(encoder, dimensions)
    with clock.phase("embeddings"):
        queries = encoder.encode(data.queries, encoder.prompt_for(*QUERY))
        n_documents = len(data.documents)

        def progress(done: int) -> None:
            clock.listener(Event("step", "embeddings", done, n_documents))

        documents = encoder.encode(data.documents, encoder.prompt_for(*DOCUMENT), progress)
    with clock.phase("search"):
        found = {d: searched(queries[:, :d], documents[:, :d], encoder.similarity, data, metrics) for d in sizes}
        seen = geometry(documents, (queries[data.judgements.query], documents[data.judgements.document]))
    whole = found.pop(encoder.dimension)
    return System(name, whole, time.perf_counter() - started, found, encoder.dimension, encoder.similarity, seen)


def searched(queries: Array, documents: Array, similarity: Any, data: Retrieval, metrics: Sequence[str]) -> Values:
    """Each metric's value for each query, by exact search."""
    from tunesmith.machine import device_name
    from tunesmith.models.search import nearest
    from tunesmith.models.sentence_encoder import comparable

    of_queries_, of_documents = comparable(similarity)
    k = min(deepest(metrics), len(documents))
    ranked, _ = nearest(of_queries_(queries), of_documents(documents), k, device_name())
    return of_queries(ranked, data.judgements, metrics)


def by_words(name: str, data: Retrieval, metrics: Sequence[str]) -> System:
    """A baseline's values for each query."""
    started = time.perf_counter()
    ranked = SEARCHES[name](data.documents, data.queries, min(deepest(metrics), len(data.documents)))
    return System(name, of_queries(ranked, data.judgements, metrics), time.perf_counter() - started, {})


def metrics_of(system: System, split: str, n_resamples: int, seed: int) -> tuple[Metric, ...]:
    """Every metric with its interval, whole vectors first."""
    whole = [mean_metric(name, split, [values], n_resamples, seed) for name, values in system.values.items()]
    cut = [
        mean_metric(f"{name} dim={d}", split, [values], n_resamples, seed)
        for d, of_metrics in system.at.items()
        for name, values in of_metrics.items()
    ]
    return (*whole, *cut)


def baseline(system: System, split: str, n_resamples: int, seed: int) -> Baseline:
    return Baseline(system.name, metrics_of(system, split, n_resamples, seed), round(system.seconds, 3))


def verdicts_of(
    ours: System, others: Sequence[System], metric: str, split: str, n_resamples: int, seed: int
) -> tuple[Verdict, ...]:
    """Whole vectors against every other system, and cut ones against the whole."""

    def between(name: str, first: Array, second: Array, against: str) -> Verdict:
        return mean_verdict(name, [first], [second], against, split, n_resamples, seed)

    found = [between(metric, ours.values[metric], other.values[metric], other.name) for other in others]
    cut = [
        between(f"{metric} dim={d}", of_metrics[metric], ours.values[metric], f"dim={ours.dimension}")
        for d, of_metrics in ours.at.items()
    ]
    return (*found, *cut)


def notes_of(data: Retrieval) -> list[Finding]:
    return [Finding("not_measured", f"{note}.", flagged=1) for note in data.notes]


def record(data: Retrieval, ours: System) -> dict[str, Any]:
    """What was measured on, for the result."""
    relevant = data.judgements.n_relevant()
    return {
        "source": data.source, "split": data.split, "documents": len(data.documents), "queries": len(data.queries),
        "relevant_per_query": {"mean": float(np.mean(relevant)), "max": int(relevant.max())},
        "dimension": ours.dimension, "similarity": ours.similarity,
        "geometry": None if ours.geometry is None else asdict(ours.geometry),
    }  # fmt: skip
