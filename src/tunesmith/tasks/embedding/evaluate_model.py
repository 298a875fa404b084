"""Evaluates any embedding model on rows or on retrieval data, beside lexical baselines and other models."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.pairs.beir import beir_folder, read_beir
from tunesmith.data.pairs.formats import detect_pair_format
from tunesmith.data.pairs.rows import usable_rows
from tunesmith.data.readers.read import read_table
from tunesmith.errors import InputError
from tunesmith.evaluation.embedding_tests import (
    EmbeddingTest,
    SearchTest,
    check_metrics,
    metrics_of_test,
    rows_test,
    truncated_outputs,
)
from tunesmith.evaluation.metrics.geometry import Geometry, collapse_alarms
from tunesmith.evaluation.metrics.retrieval import DEFAULT
from tunesmith.evaluation.outputs import (
    BaselineOutputs,
    Outputs,
    Resampling,
    SplitMetrics,
    at_dimension,
    baseline_result,
    metrics_of_outputs,
    verdicts_of_outputs,
)
from tunesmith.evaluation.paraphrase_mining import paraphrase_test
from tunesmith.evaluation.search import SEARCHES
from tunesmith.machine import environment, peak_memory_bytes
from tunesmith.models.source import find_model
from tunesmith.progress import Clock, Event, Listener, silent
from tunesmith.recipe.sections import ModelSection
from tunesmith.results import Finding, RunResult, Verdict

SPLIT = "test"
BASELINES = ("bm25", "tfidf")
TOP_K = 100
"""Documents that a reranker puts in order."""


@dataclass(frozen=True)
class EvaluatedModel:
    """The outputs of one system on one test.

    Attributes:
        outputs: of whole embeddings, and of those cut to each requested dimension.
        similarity: compares the embeddings; empty where there are none.
    """

    name: str
    outputs: Outputs
    seconds: float
    dimension: int = 0
    similarity: str = ""
    geometry: Geometry | None = None

    def as_baseline(self, split: str) -> BaselineOutputs:
        """Returns the outputs as those of a baseline."""
        return BaselineOutputs(self.name, {split: self.outputs}, self.seconds)


@dataclass(frozen=True)
class EvaluationPlan:
    """The systems to be evaluated on one test.

    Attributes:
        test: of the model; ``plain_test`` is the same test for the other models, where the model is helped by a reranker.
        against: names of other models.
        dimensions: the embeddings of the model are also cut to so many.
        max_length: tokens of a text that are read; each model's own limit where it is None.
    """

    target: str
    test: EmbeddingTest
    plain_test: EmbeddingTest
    against: Sequence[str | Path]
    dimensions: Sequence[int]
    baselines: Sequence[str]
    max_length: int | None
    resampling: Resampling


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
    ours: EmbeddingTest = test
    if rerank is not None:
        with clock.phase("model"):
            from tunesmith.tasks.finished import load_for_use
            from tunesmith.tasks.reranker.reranking import RerankedSearch, relevance_of

            score = relevance_of(load_for_use(Path(rerank)), str(rerank))
        ours = RerankedSearch(test.split, data, test.metrics, score=score, top_k=top_k)
        about, against = about | {"reranked_by": str(rerank), "top_k": top_k}, [target, *against]
    resampling = Resampling(n_resamples, seed)
    plan = EvaluationPlan(str(target), ours, test, against, dimensions, baselines, max_length, resampling=resampling)
    return evaluate_plan(plan, "retrieval", about, notes, clock, started)


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
        rows = usable_rows(table, detect_pair_format(table, columns or {}), SPLIT)
        test: EmbeddingTest = paraphrase_test(rows, same) if mine else rows_test(rows, same)
    about = {"source": str(data), "shape": rows.format.kind, "columns": list(rows.format.columns), "rows": len(rows)}
    resampling = Resampling(n_resamples, seed)
    plan = EvaluationPlan(str(target), test, test, against, dimensions, ("tfidf",), max_length, resampling=resampling)
    notes = [f"{len(ids):,} rows {reason} are left out." for reason, ids in rows.left_out.items()]
    return evaluate_plan(plan, "similarity", about, notes, clock, started)


def evaluate_plan(
    plan: EvaluationPlan, task: str, about: dict[str, Any], notes: Sequence[str], clock: Clock, started: float
) -> RunResult:
    """Evaluates a model, the others and the lexical baselines on one test; returns what ``result.json`` of it would hold."""
    ours = evaluate_model(plan.target, plan.test, plan.dimensions, plan.max_length, clock)
    others = [evaluate_model(str(other), plan.plain_test, (), plan.max_length, clock) for other in plan.against]
    with clock.phase("baselines"):
        others += [evaluate_lexical(name, plan.plain_test) for name in plan.baselines]
    metrics, split = metrics_of_test(plan.test), plan.test.split
    with clock.phase("verdict"):
        values = metrics_of_outputs([ours.outputs], metrics, plan.resampling)
        beside = tuple(baseline_result(other.as_baseline(split), [metrics], plan.resampling) for other in others)
        verdicts = tuple(verdicts_for(ours, others, metrics, plan.resampling))
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    geometry = None if ours.geometry is None else asdict(ours.geometry)
    return RunResult(
        task=task,
        metrics=tuple(values),
        baselines=beside,
        verdicts=verdicts,
        findings=tuple(Finding("not_measured", note, flagged=1) for note in notes),
        alarms=collapse_alarms(ours.geometry),
        timings_seconds=clock.seconds,
        peak_memory_bytes=peak_memory_bytes(),
        environment=environment(),
        data=about | {"dimension": ours.dimension, "similarity": ours.similarity, "geometry": geometry},
    )


def evaluate_model(
    name: str, test: EmbeddingTest, dimensions: Sequence[int], max_length: int | None, clock: Clock
) -> EvaluatedModel:
    """Computes the outputs of a model, also with its embeddings cut."""
    from tunesmith.models.embedding.encoder import load_encoder, resolve_dimensions

    started = time.perf_counter()
    with clock.phase("model"):
        encoder = load_encoder(find_model(ModelSection(name=name), Path()), max_length)
        sizes = [size for size in resolve_dimensions(encoder, dimensions) if size != encoder.dimension]
    with clock.phase("embeddings"):
        vectors = test.vectors(encoder, lambda done: clock.listener(Event("step", "embeddings", done, test.n_texts)))
    with clock.phase("answers"):
        outputs = truncated_outputs(test, vectors, sizes, encoder.similarity)
    seconds = time.perf_counter() - started
    return EvaluatedModel(name, outputs, seconds, encoder.dimension, encoder.similarity, test.geometry(vectors))


def evaluate_lexical(name: str, test: EmbeddingTest) -> EvaluatedModel:
    """Computes the outputs of a baseline that needs no model."""
    started = time.perf_counter()
    return EvaluatedModel(name, test.lexical_baselines()[name](), time.perf_counter() - started)


def verdicts_for(
    ours: EvaluatedModel, others: Sequence[EvaluatedModel], metrics: SplitMetrics, resampling: Resampling
) -> list[Verdict]:
    """Compares whole embeddings with every other system, and cut ones with the whole."""
    whole = [replace(ours.outputs, truncated={})]
    verdicts = [v for other in others for v in verdicts_of_outputs(whole, other.as_baseline(metrics.split), metrics, resampling)]
    for size, outputs in ours.outputs.truncated.items():
        uncut = BaselineOutputs(f"dim={ours.dimension}", {metrics.split: ours.outputs})
        cut = verdicts_of_outputs([outputs], uncut, metrics, resampling)
        verdicts += [replace(verdict, metric=at_dimension(verdict.metric, size)) for verdict in cut]
    return verdicts
