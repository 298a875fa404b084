"""Calls the user's function of metrics of a reranker: on its labelled pairs, or on searches that it ranks.

A function of a search measures ``evaluate.retrieval``. In each split of the pairs it measures the documents of each query, in the
order of their relevance, so that it can select the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.retrieval import NO_DOCUMENT, Judgements, Retrieval
from tunesmith.data.row_clusters import row_clusters
from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.metrics.own_function import MeasuredRows, OwnFunction, own_function
from tunesmith.evaluation.metrics.own_search import PARAMETERS, probed_on_search, queries_reader, reads_search
from tunesmith.evaluation.outputs import Outputs
from tunesmith.recipe.metric_roles import named_metrics
from tunesmith.recipe.sections import Recipe
from tunesmith.tasks.reranker.reranking import RELEVANT

OF_PAIRS = ("labels", "predictions", "probabilities", "classes", "texts", "pairs", "row_ids")


def load_own_function(recipe: Recipe, base: Path, search: Retrieval) -> OwnFunction | None:
    """Loads the function of the recipe, and calls it on a few queries of the search if it reads one; None without a function.

    Raises RecipeError if it cannot be used. A function of pairs is called when these have negatives.
    """
    if recipe.evaluate.function is None:
        return None
    function = own_function(recipe.evaluate, base, (*OF_PAIRS, *PARAMETERS), "the pairs and the search of a reranker")
    assert function is not None
    if not reads_search(function):
        return function
    return probed_on_search(function, search, {".".join(key): name for key, name in named_metrics(recipe).items()})


def search_of_pairs(rows: Examples, labels: Labels) -> tuple[Retrieval, Array, Array]:
    """Returns the search of each query among the documents of its pairs; queries without a relevant document are left out.

    Returns:
        The search; the positions (N) of each row's query, -1 for those left out, and of its document.
    """
    assert rows.pairs is not None
    documents = {text: i for i, text in enumerate(dict.fromkeys(rows.pairs))}
    document = np.array([documents[text] for text in rows.pairs])
    is_relevant = np.asarray(rows.labels) == labels.names.index(RELEVANT)
    asked = list(dict.fromkeys(text for text, relevant in zip(rows.texts, is_relevant, strict=True) if relevant))
    queries = {text: i for i, text in enumerate(asked)}
    query = np.array([queries.get(text, -1) for text in rows.texts])
    judged = np.unique(np.stack([query, document])[:, is_relevant], axis=1)
    search = Retrieval(
        source=rows.split,
        split=rows.split,
        document_ids=tuple(map(str, range(len(documents)))),
        documents=tuple(documents),
        query_ids=tuple(map(str, range(len(asked)))),
        queries=tuple(asked),
        judgements=Judgements(judged[0], judged[1], np.ones(judged.shape[1]), len(asked), len(documents)),
    )
    return search, query, document


def pairs_reader(function: OwnFunction, rows: Examples, labels: Labels) -> Callable[[Outputs], MeasuredRows | None]:
    """Returns the function from a system's predictions of pairs to the queries with their documents in order of relevance.

    There are no rows of outputs without predictions, nor of a few pairs among which no query has a relevant document.
    """
    place = {row_id: i for i, row_id in enumerate(rows.row_ids)}

    def read(outputs: Outputs) -> MeasuredRows | None:
        predictions = outputs.predictions
        if predictions is None:
            return None
        ids = rows.row_ids if predictions.row_ids is None else predictions.row_ids.tolist()
        places = np.array([place[row_id] for row_id in ids])
        order = np.argsort(places)
        scores = predictions.scores[order, labels.names.index(RELEVANT)]
        search, query, document = search_of_pairs(rows.take(places[order].tolist(), rows.split), labels)
        if not search.queries:
            return None
        return queries_reader(function, search)(ranked_pairs(query, document, scores, len(search.queries)))

    return read


def ranked_pairs(query: Array, document: Array, scores: Array, n_queries: int) -> Array:
    """Ranks the documents of each query (Q, k) by score; ``NO_DOCUMENT`` after the last.

    Equal scores are in a random order that is the same for every system: in the order of the rows, relevant documents come first.

    Args:
        query: (N) positions, -1 for rows that are not ranked; ``document``, ``scores``: (N).
    """
    chance = np.random.default_rng(0).permutation(len(scores))
    order = np.lexsort((chance, -scores, query))
    order = order[query[order] >= 0]
    counts = np.bincount(query[order], minlength=n_queries)
    ranked = np.full((n_queries, int(counts.max())), NO_DOCUMENT)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    ranked[query[order], rank] = document[order]
    return ranked


def clusters_of_queries(rows: Examples, labels: Labels) -> Array:
    """Returns the cluster of each query of the pairs; nearly equal queries share one."""
    return row_clusters(search_of_pairs(rows, labels)[0].queries)
