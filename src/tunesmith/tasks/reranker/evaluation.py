"""Computes outputs, metrics and baselines of a reranker: on its pairs as a classifier, and on the search that it reorders."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from tunesmith.data.pairs.load import format_record
from tunesmith.data.records import split_record
from tunesmith.evaluation.baselines.chance import chance
from tunesmith.evaluation.baselines.majority import majority
from tunesmith.evaluation.embedding_tests import clustered_metrics
from tunesmith.evaluation.metrics.own_search import reads_search
from tunesmith.evaluation.outputs import BaselineOutputs, Outputs, SplitMetrics, search_outputs
from tunesmith.models.fast.path import apply_fast_path, remove_fast_path
from tunesmith.progress import Listener
from tunesmith.recipe.tasks import baseline_names
from tunesmith.results import TEXT_CHARACTERS
from tunesmith.tasks.classification import evaluation as pairs
from tunesmith.tasks.classification import outputs as pair_outputs
from tunesmith.tasks.classification import scoring
from tunesmith.tasks.classification.model import LabelledSession
from tunesmith.tasks.classification.predictor import Predictor, PredictorConfig
from tunesmith.tasks.embedding.data import RETRIEVAL
from tunesmith.tasks.embedding.own_metrics import with_search_function
from tunesmith.tasks.reranker.model import RerankerRows
from tunesmith.tasks.reranker.own_metrics import clusters_of_queries
from tunesmith.tasks.reranker.reranking import relevance_of, reranked
from tunesmith.tasks.task import Baselines

FIRST_STAGE = "first stage"


def rows_of(session: LabelledSession) -> RerankerRows:
    """Returns the session's rows as those of a reranker."""
    assert isinstance(session.data, RerankerRows)
    return session.data


def outputs(session: LabelledSession) -> dict[str, Outputs]:
    """Computes the predictions for the pairs of each split, and the retrieval metrics of the reordered search."""
    first, config = rows_of(session).first_stage, PredictorConfig(session.tokens.labels, session.tokens.max_length, None, {})
    model = Predictor(session.model, session.loaded.tokenizer, config, session.fast_path)
    apply_fast_path(session.body, session.fast_path)
    try:
        search = reranked(first.test, first.ranked, session.data.recipe.embedding.top_k, relevance_of(model, "model"))
    finally:
        remove_fast_path(session.body)
    return {**scoring.outputs(session), RETRIEVAL: search}


def metrics(session: LabelledSession) -> list[SplitMetrics]:
    """Returns the metrics of the pairs and those of the search, which is the main split."""
    rows, test = rows_of(session), rows_of(session).first_stage.test
    of_pairs, of_search, function = pairs.metrics(session), clustered_metrics(test), rows.function
    if function is not None and reads_search(function):
        of_search = with_search_function(of_search, test, function, function.names[0])
        of_pairs = [
            replace(split, clusters={**split.clusters, "own": clusters_of_queries(examples, rows.splits.labels)})
            for split, examples in zip(of_pairs, pairs.evaluation_rows(session), strict=True)
        ]
    return [*of_pairs, of_search]


def baselines(session: LabelledSession, listener: Listener) -> Baselines:
    """Computes the search by the first stage alone and by lexical baselines, and the majority class of the pairs."""
    recipe, first = session.data.recipe, rows_of(session).first_stage
    alone = search_outputs(first.ranked, first.test.data.judgements, first.test.metrics)
    note = f"{recipe.embedding.first_stage or recipe.model.name} alone"
    systems = [BaselineOutputs(FIRST_STAGE, {RETRIEVAL: alone}, first.seconds, note)]
    requested = baseline_names(recipe)
    for name, search in first.test.lexical_baselines().items():
        if name in requested:
            started = time.perf_counter()
            systems.append(BaselineOutputs(name, {RETRIEVAL: search()}, time.perf_counter() - started))
    splits = rows_of(session).splits
    for name, system in (("majority", majority), ("chance", chance)):
        if name in requested:
            systems.append(system(splits.labels, splits.train, pairs.evaluation_rows(session)))
    return Baselines(tuple(systems))


def prediction_columns(session: LabelledSession, split: str, outputs: Outputs) -> dict[str, list[Any]]:
    """Returns the columns of predictions.parquet: for the pairs of a split, or the primary metric of each query of the search."""
    if split != RETRIEVAL:
        return pair_outputs.prediction_columns(session, split, outputs)
    queries = rows_of(session).retrieval.queries
    return {
        "row_id": list(range(len(queries))),
        "split": [split] * len(queries),
        "score": next(iter(outputs.row_scores.values())).tolist(),
        "text": [text[:TEXT_CHARACTERS] for text in queries],
    }


def data_record(session: LabelledSession) -> dict[str, Any]:
    """Returns the data record of result.json."""
    search, pairs = rows_of(session).retrieval, rows_of(session).pairs
    about = {
        "source": search.source,
        "documents": len(search.documents),
        "queries": len(search.queries),
        "top_k": session.data.recipe.embedding.top_k,
    }
    return {**pair_outputs.data_record(session), "pairs": split_record(pairs, format_record(pairs)), "retrieval": about}
