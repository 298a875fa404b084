"""Evaluates any embedding model on rows or on retrieval data, beside lexical baselines and other models."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.data.pairs.class_map import class_columns
from tunesmith.data.pairs.class_names import with_class_names
from tunesmith.data.pairs.corpus import NO_CORPUS, file_corpus
from tunesmith.data.pairs.formats import PairFormat, detect_pair_format
from tunesmith.data.pairs.pair_classes import NamedClasses, same_class
from tunesmith.data.pairs.retrieval import Retrieval, beir_folder, read_beir
from tunesmith.data.pairs.rows import CLASS_KINDS, EmbeddingRows, usable_rows
from tunesmith.data.pairs.text_lists import divide_text_lists
from tunesmith.data.readers.given import read_evaluated, source_name
from tunesmith.data.readers.hashes import hash_rows
from tunesmith.data.table import Table
from tunesmith.errors import InputError
from tunesmith.evaluation.embedding_tests import (
    EmbeddingTest,
    RowsTest,
    SearchTest,
    check_metrics,
    pair_labels,
    rows_test,
)
from tunesmith.evaluation.metrics.retrieval import DEFAULT
from tunesmith.evaluation.paraphrase_mining import paraphrase_test
from tunesmith.evaluation.search import SEARCHES
from tunesmith.progress import Clock, Event, Listener, silent
from tunesmith.recipe.metric_names import split_dimension
from tunesmith.results import RunResult
from tunesmith.tasks.classification.label_reading import RunLabels, mapped_as_in_run
from tunesmith.tasks.embedding.evaluation_plan import ComparedModels, EvaluationPlan, evaluate_plan
from tunesmith.tasks.embedding.own_metrics import OwnMetrics, own_metrics_of_run, recipe_with_own_metrics, score_range_of
from tunesmith.tasks.finished import group_of_run
from tunesmith.tasks.saved_recipe import recipe_of_run, result_of_model
from tunesmith.tasks.seen_rows import with_seen_rows
from tunesmith.tasks.test_looks import with_look

SPLIT = "test"
BASELINES = ("bm25", "tfidf")
TOP_K = 100
"""Documents per query that a reranker reorders."""


def evaluate_retrieval(
    target: str | Path, folder: str | Path | Retrieval, *, split: str | None = None, against: Sequence[str | Path] = (),
    dimensions: Sequence[int] = (), metrics: Sequence[str] = DEFAULT, baselines: Sequence[str] = BASELINES,
    rerank: str | Path | None = None, top_k: int = TOP_K, max_length: int | None = None, n_resamples: int = 10_000, seed: int = 0,
    listener: Listener = silent,
) -> RunResult:  # fmt: skip
    """Evaluates an embedding model on retrieval data, beside BM25, TF-IDF and other models.

    Args:
        target: a run, a folder, a hub id or ``builtin:NAME``.
        folder: data in the BEIR layout, see ``data.pairs.retrieval``, or data that were read.
        split: split of the judgements of a folder; default: test.
        against: other models, each with a verdict on the same queries.
        dimensions: sizes that embeddings are also truncated to (Matryoshka), each with a verdict against the whole.
        metrics: names of ``evaluation.metrics.retrieval``; verdicts are given on the first. ``ndcg@10 dim=64`` is that of
            embeddings truncated to 64.
        rerank: a run of a reranker, or a cross-encoder of another program (a folder, ``hub:NAME``), which reorders the best
            ``top_k`` documents; the model alone is then a baseline.
        max_length: limit of the tokens of a text; default: each model's own.

    Returns metrics with intervals over queries, and verdicts on the first. Raises InputError if a model or the data are unusable.
    """
    metrics, dimensions = apart(metrics, dimensions)
    check_metrics(metrics)
    check_baselines(baselines)
    started, clock = time.perf_counter(), Clock(listener, {})
    with clock.phase("data"):
        data = folder if isinstance(folder, Retrieval) else read_beir(beir_folder(str(folder), Path()), split)
    test, about = SearchTest(data.split, data, tuple(metrics)), describe_search(data)
    ours: EmbeddingTest = test
    if rerank is not None:
        with clock.phase("model"):
            ours = reranked(test, rerank, top_k)
        about, against = about | {"reranked_by": str(rerank), "top_k": top_k}, [target, *against]
    own, left_out = own_metrics_of_search(target, rerank, ours)
    plan = EvaluationPlan(
        target=str(target),
        own=own,
        test=ours,
        plain_test=test,
        baselines=baselines,
        compared=ComparedModels(against, dimensions, max_length, n_resamples, seed),
        task="retrieval",
        about=about,
        notes=[*(f"{note}." for note in data.notes), *left_out],
    )
    rows = {"id": data.query_ids, "query": data.queries} if isinstance(folder, Retrieval) else folder
    return with_look(evaluate_plan(plan, clock, started), rows, target, rerank)


def own_metrics_of_search(
    target: str | Path, rerank: str | Path | None, test: EmbeddingTest
) -> tuple[OwnMetrics | None, list[str]]:
    """Returns the own metrics of the reranker's run if its recipe has some, else the model's; and why some are left out."""
    is_reranker = rerank is not None and recipe_with_own_metrics(rerank) is not None
    return own_metrics_of_run(rerank if is_reranker else target, test)


def apart(metrics: Sequence[str], dimensions: Sequence[int]) -> tuple[list[str], list[int]]:
    """Returns the metrics without their dimensions, and all dimensions: ``ndcg@10 dim=64`` is ``ndcg@10``, at 64 too."""
    named = [split_dimension(name) for name in metrics]
    sizes = [*dimensions, *(size for _, size in named if size is not None)]
    return list(dict.fromkeys(name for name, _ in named)), list(dict.fromkeys(sizes))


def reranked(test: SearchTest, model: str | Path, top_k: int) -> EmbeddingTest:
    """Returns the test with its best ``top_k`` documents reordered by the run of a reranker, or by a cross-encoder."""
    from tunesmith.tasks.embedding.teacher import load_ranker
    from tunesmith.tasks.reranker.reranking import RerankedSearch

    return RerankedSearch(test.split, test.data, test.metrics, score=load_ranker(str(model)), top_k=top_k)


def check_baselines(names: Sequence[str]) -> None:
    """Raises InputError if a baseline of retrieval is unknown."""
    for name in names:
        if name not in SEARCHES:
            raise InputError.one("--baseline", f"{name!r} is no baseline of retrieval.", f"Known: {', '.join(SEARCHES)}.")


def describe_search(data: Retrieval) -> dict[str, Any]:
    """Returns the size of a search as plain JSON types."""
    n_relevant = data.judgements.n_relevant()
    return {
        "source": data.source,
        "split": data.split,
        "documents": len(data.documents),
        "queries": len(data.queries),
        "relevant_per_query": {"mean": float(np.mean(n_relevant)), "max": int(n_relevant.max())},
    }


def evaluate_similarity(
    target: str | Path, data: object, *, columns: Mapping[str, str | Sequence[str]] | None = None, same: str | None = None,
    mine: bool = False, corpus: str | Path | None = None, against: Sequence[str | Path] = (), dimensions: Sequence[int] = (),
    max_length: int | None = None, n_resamples: int = 10_000, seed: int = 0, split: str = SPLIT, listener: Listener = silent,
) -> RunResult:  # fmt: skip
    """Evaluates an embedding model on pairs, triplets or labelled texts, beside TF-IDF and other models.

    Scored pairs: correlation of cosine and score. Pairs with two classes: average precision, area under the ROC curve, and the
    best F1 of any threshold. Triplets: share of rows in which the positive is nearer. Positive pairs: retrieval of each second
    text among all of them. Labelled texts: agreement of clusters with the classes, and triplet
    accuracy.

    Args:
        target: a run, a folder, a hub id or ``builtin:NAME``.
        columns: part -> column, if names and content do not decide; see ``data.pairs.formats``.
        same: the label of pairs with the same meaning, if the data do not say it: numbers of more than two classes do not.
        mine: mine paraphrases among all texts of the pairs.
        corpus: a file of further texts that the second texts of positive pairs are searched among.
        split: the name of the rows in the result.
        against, dimensions, max_length: see ``evaluate_retrieval``. Raises InputError if the rows or a model cannot be used.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    with clock.phase("data"):
        table, _ = divide_text_lists(given := read_evaluated(data, listener))
        row_format = detect_pair_format(table, columns or {})
        table, note = with_class_names(table, row_format)
        mapping = list[str]()
        table = with_classes_of_run(target, table, row_format, mapping)
        scale, group = score_range_of(target), group_of_run(target, table, listener)
        rows = usable_rows(table, row_format, split, score_range=scale, group=group)
        test = similarity_test(rows, named_classes(target, same), mine, corpus, listener, seed)
    drawn, (own, left_out) = (test.triplets if isinstance(test, RowsTest) else None), own_metrics_of_run(target, test)
    plan = EvaluationPlan(
        target=str(target),
        own=own,
        test=test,
        compared=ComparedModels(against, dimensions, max_length, n_resamples, seed),
        task="similarity",
        about=describe_rows(rows, source_name(data)),
        notes=[
            *(f"{rows.source}: {text}" for text in filter(None, [note])),
            *mapping,
            *(f"{plural(len(ids), 'row')} {reason} left out." for reason, ids in rows.left_out.items()),
            *([f"triplet accuracy: {drawn.summary()}."] if drawn is not None and drawn.n_left_out else []),
            *left_out,
        ],
    )
    result = with_seen_rows(evaluate_plan(plan, clock, started), hash_rows(given), source_name(data), [target, *against])
    return with_look(result, data, target)


def with_classes_of_run(target: str | Path, table: Table, row_format: PairFormat, notes: list[str]) -> Table:
    """Maps the classes of labelled pairs or texts as the run's files were mapped (``data.labels``), where its map fits."""
    saved = recipe_of_run(Path(target))
    if saved is None or not saved[0].data.labels or row_format.kind not in CLASS_KINDS:
        return table
    recipe, result = saved
    names = result.data.get("pair_classes", {}).get("classes", ())
    return mapped_as_in_run(table, class_columns(row_format), RunLabels(names, recipe.data.labels), notes)


def describe_rows(rows: EmbeddingRows, source: str) -> dict[str, Any]:
    """Returns the format and the number of the rows as plain JSON types."""
    kind, columns = rows.format.kind, list(rows.format.columns)
    return {"source": source, "format": kind, "shape": kind, "columns": columns, "rows": len(rows)}


def named_classes(target: str | Path, same: str | None) -> NamedClasses:
    """Returns the class of pairs that is given here, else the classes that the recipe of a run named."""
    result = result_of_model(Path(target))
    record = {} if result is None else result.data.get("pair_classes", {})
    of_run = NamedClasses(record.get("same"), record.get("different"), "Name it: --{} LABEL.", tuple(record.get("classes", ())))
    return of_run if same is None else replace(of_run, same=same)


def similarity_test(
    rows: EmbeddingRows, named: NamedClasses, mine: bool, corpus: str | Path | None, listener: Listener, seed: int
) -> EmbeddingTest:
    """Builds the test of the rows' format, or of paraphrases to be mined.

    Notes say which label means the same, and how many texts are searched. Raises InputError for a corpus that is not searched.

    Args:
        seed: of the triplets of labelled texts.
    """
    is_search = rows.format.kind == "positive_pair" and not mine
    if corpus is not None and not is_search:
        message = "only pairs of texts that belong together are searched among other texts"
        raise InputError.one("--corpus", f"{message}; the rows are {rows.format.name} rows.", "Remove it.")
    if rows.format.kind == "labelled_pair":
        listener(Event("note", f"{rows.format.target[0]} {same_class(pair_labels(rows, named))} means the same."))
    texts = NO_CORPUS if corpus is None else file_corpus(rows, str(corpus), Path())
    if is_search:
        listener(Event("note", f"{rows.source}: {texts.words(rows)} (--corpus FILE adds texts)."))
    return paraphrase_test(rows, named) if mine else rows_test(rows, named, texts, seed)
