"""The story of `evaluate MODEL`: a test, vectors by each model, answers at each size, metrics, verdicts between systems."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.pairs.beir import beir_folder, read_beir
from tunesmith.data.pairs.formats import detect_shape
from tunesmith.data.pairs.rows import EmbeddingRows, usable_rows
from tunesmith.data.readers.read import read_table
from tunesmith.errors import InputError
from tunesmith.evaluation.baselines.search import SEARCHES
from tunesmith.evaluation.embedding_tests import Answer, SearchTest, VectorTest, check_metrics, metrics_of, rows_test, verdict_of
from tunesmith.evaluation.metrics.geometry import Geometry, collapse_alarms
from tunesmith.evaluation.metrics.retrieval import DEFAULT
from tunesmith.evaluation.paraphrase_mining import paraphrase_test
from tunesmith.machine import environment, peak_memory_bytes
from tunesmith.models.source import find_model
from tunesmith.progress import Clock, Event, Listener, silent
from tunesmith.recipe.sections import ModelSection
from tunesmith.results import Baseline, Finding, Metric, RunResult, Verdict

SPLIT = "test"
BASELINES = ("bm25", "tfidf")
TOP_K = 100
"""Documents that a reranker puts in order."""


@dataclass(frozen=True)
class System:
    """One way to answer a test.

    Attributes:
        at: dimensions -> answer, for vectors cut to their first dimensions.
        similarity: by which vectors are compared; empty where there are none.
    """

    name: str
    whole: Answer
    seconds: float
    at: Mapping[int, Answer]
    dimension: int = 0
    similarity: str = ""
    geometry: Geometry | None = None


def evaluate_retrieval(
    target: str | Path, folder: str | Path, *, split: str | None = None, against: Sequence[str | Path] = (),
    dimensions: Sequence[int] = (), metrics: Sequence[str] = DEFAULT, baselines: Sequence[str] = BASELINES,
    rerank: str | Path | None = None, top_k: int = TOP_K, max_length: int | None = None, n_resamples: int = 10_000, seed: int = 0,
    listener: Listener = silent,
) -> RunResult:  # fmt: skip
    """How well an embedding model finds the relevant documents, tuned or not, beside BM25, TF-IDF and other models.

    Args:
        target: a run, a folder, a hub id or ``builtin:NAME``.
        folder: in the BEIR layout, see ``data.beir``.
        split: of the judgements; test when not said.
        against: other models, each given a verdict on the same queries.
        dimensions: the vectors are also cut to their first so many (Matryoshka), each with a verdict against the whole.
        metrics: names of ``metrics.retrieval``; the first leads the verdicts.
        rerank: a run of a reranker, which puts the best ``top_k`` documents in order; the model by itself stands beside it.
        max_length: tokens of a text that are read; each model's own limit when not said.

    Returns:
        Metrics with intervals over queries, and verdicts on the leading one. ``ndcg@10 dim=64`` is of vectors cut to 64.

    Raises:
        InputError: the folder or a model cannot be used, or a dimension or a metric is none the model has.
    """
    check_metrics(metrics)
    for name in baselines:
        if name not in SEARCHES:
            raise InputError.one("--baseline", f"{name!r} is no baseline of retrieval.", f"Known: {', '.join(SEARCHES)}.")
    started, clock = time.perf_counter(), Clock(listener, {})
    with clock.phase("data"):
        data = read_beir(beir_folder(str(folder), Path()), split)
    test, n_relevant = SearchTest(data.split, data, tuple(metrics)), data.judgements.n_relevant()
    about = {
        "source": data.source, "split": data.split, "documents": len(data.documents), "queries": len(data.queries),
        "relevant_per_query": {"mean": float(np.mean(n_relevant)), "max": int(n_relevant.max())},
    }  # fmt: skip
    notes = [f"{note}." for note in data.notes]
    ours: VectorTest = test
    if rerank is not None:
        with clock.phase("model"):
            from tunesmith.tasks.embedding.reranking import RerankedSearch, relevance_of
            from tunesmith.tasks.finished import load_for_use

            score = relevance_of(load_for_use(Path(rerank)), str(rerank))
        ours = RerankedSearch(test.split, data, test.metrics, score=score, top_k=top_k)
        about, against = about | {"reranked_by": str(rerank), "top_k": top_k}, [target, *against]
    found = examined(ours, test, str(target), against, dimensions, baselines, max_length, n_resamples, seed, clock)
    return result("retrieval", found, about, notes, clock, started)


def evaluate_similarity(
    target: str | Path, data: str | Path, *, columns: Mapping[str, str | Sequence[str]] | None = None, same: str | None = None,
    mine: bool = False, against: Sequence[str | Path] = (), dimensions: Sequence[int] = (), max_length: int | None = None,
    n_resamples: int = 10_000, seed: int = 0, listener: Listener = silent,
) -> RunResult:  # fmt: skip
    """How well an embedding model tells similar texts from others, beside TF-IDF and other models.

    Scored pairs are measured by the correlation of cosine and score; pairs with two classes by average precision, the area under
    the curve and the best F1 of any threshold; triplets by how often the right text is nearer; pairs that belong together by
    finding each second text among all of them; texts with classes by clusters that find the classes again.

    Args:
        target: a run, a folder, a hub id or ``builtin:NAME``.
        columns: part -> column, where names and content do not tell; see ``data.shapes``.
        same: the label that says two texts mean the same, where it is none of the usual words.
        mine: paraphrases are mined among all texts of the pairs, each against each.
        against, dimensions, max_length: as ``evaluate_retrieval``.

    Raises:
        InputError: the rows or a model cannot be used.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    with clock.phase("data"):
        table = read_table(str(data), split=SPLIT)
        rows = usable_rows(table, detect_shape(table, columns or {}), SPLIT)
        test: VectorTest = paraphrase_test(rows, same) if mine else rows_test(rows, same)
    about = {"source": str(data), "shape": rows.shape.kind, "columns": list(rows.shape.columns), "rows": len(rows)}
    found = examined(test, test, str(target), against, dimensions, ("tfidf",), max_length, n_resamples, seed, clock)
    return result("similarity", found, about, left_out_notes(rows), clock, started)


def left_out_notes(rows: EmbeddingRows) -> list[str]:
    """What of the rows is not measured, a sentence for each reason."""
    return [f"{len(ids):,} rows {reason} are left out." for reason, ids in rows.left_out.items()]


@dataclass(frozen=True)
class Examined:
    """What an examination showed."""

    ours: System
    metrics: tuple[Metric, ...]
    baselines: tuple[Baseline, ...]
    verdicts: tuple[Verdict, ...]


def examined(
    ours_by: VectorTest, test: VectorTest, target: str, against: Sequence[str | Path], dimensions: Sequence[int],
    baselines: Sequence[str], max_length: int | None, n_resamples: int, seed: int, clock: Clock,
) -> Examined:  # fmt: skip
    """A model, the others and the baselines on one test; ``ours_by`` is the same test where the model has help."""
    ours = by_model(target, ours_by, dimensions, max_length, clock)
    others = [by_model(str(other), test, (), max_length, clock) for other in against]
    with clock.phase("baselines"):
        others += [by_words(name, test) for name in baselines]
    with clock.phase("verdict"):
        judged = (n_resamples, seed)
        found = metrics_of([ours.whole], test, *judged)
        found += [metric for size, said in ours.at.items() for metric in metrics_of([said], test, *judged, size=size)]
        beside = tuple(Baseline(o.name, tuple(metrics_of([o.whole], test, *judged)), round(o.seconds, 3)) for o in others)
        return Examined(ours, tuple(found), beside, tuple(verdicts_of(ours, others, test, *judged)))


def by_model(name: str, test: VectorTest, dimensions: Sequence[int], max_length: int | None, clock: Clock) -> System:
    """What a model says, also with cut vectors."""
    from tunesmith.models.embedding.encoder import load_encoder, sizes_of

    started = time.perf_counter()
    with clock.phase("model"):
        encoder = load_encoder(find_model(ModelSection(name=name), Path()), max_length)
        sizes = sizes_of(encoder, dimensions)
    with clock.phase("embeddings"):
        vectors = test.vectors(encoder, lambda done: clock.listener(Event("step", "embeddings", done, test.n_texts)))
    with clock.phase("answers"):
        said = {size: test.answer(vectors, size, encoder.similarity) for size in sizes}
    whole = said.pop(encoder.dimension)
    seconds = time.perf_counter() - started
    return System(name, whole, seconds, said, encoder.dimension, encoder.similarity, test.lie(vectors))


def by_words(name: str, test: VectorTest) -> System:
    started = time.perf_counter()
    return System(name, test.by_words()[name](), time.perf_counter() - started, {})


def verdicts_of(ours: System, others: Sequence[System], test: VectorTest, n_resamples: int, seed: int) -> list[Verdict]:
    """On the leading metric: whole vectors against every other system, and cut ones against the whole."""
    found = [verdict_of([ours.whole], [other.whole], other.name, test, n_resamples, seed) for other in others]
    for size, said in ours.at.items():
        cut = verdict_of([said], [ours.whole], f"dim={ours.dimension}", test, n_resamples, seed)
        found.append(replace(cut, metric=f"{cut.metric} dim={size}"))
    return found


def result(task: str, found: Examined, about: dict[str, Any], notes: Sequence[str], clock: Clock, started: float) -> RunResult:
    """What ``result.json`` of an evaluation would hold."""
    ours = found.ours
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    lie = None if ours.geometry is None else asdict(ours.geometry)
    return RunResult(
        task=task, metrics=found.metrics, baselines=found.baselines, verdicts=found.verdicts,
        findings=tuple(Finding("not_measured", note, flagged=1) for note in notes), alarms=collapse_alarms(ours.geometry),
        timings_seconds=clock.seconds, peak_memory_bytes=peak_memory_bytes(), environment=environment(),
        data=about | {"dimension": ours.dimension, "similarity": ours.similarity, "geometry": lie},
    )  # fmt: skip
