"""Makes the rows that a user's function of metrics (``evaluate.function``) reads of a search: queries with ranked documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed
from tunesmith.data.pairs.retrieval import Retrieval, cut_search
from tunesmith.errors import RecipeError
from tunesmith.evaluation.metrics.own_function import KEY, PROBE_ROWS, MeasuredRows, OwnFunction, probed
from tunesmith.evaluation.metrics.retrieval import DEFAULT, largest_k
from tunesmith.recipe.metric_names import split_dimension

OF_QUERIES = ("queries", "query_ids", "ranked", "gains", "relevant")
PARAMETERS = (*OF_QUERIES, "documents")
"""The parameters that a function of a search may have."""
OF_SYSTEM = frozenset({"ranked", "gains"})


def reads_search(function: OwnFunction) -> bool:
    """Returns whether the function measures searches. Raises RecipeError if it also has parameters of rows."""
    of_search = [name for name in function.parameters if name in PARAMETERS]
    of_rows = [name for name in function.parameters if name not in PARAMETERS]
    if of_search and of_rows:
        message = f"{function.reference} has parameters of rows ({listed(of_rows)}) and of a search ({listed(of_search)})."
        remedy = f"One function measures one of the two. Of a search: {', '.join(PARAMETERS)}."
        raise RecipeError.one(KEY, message, remedy)
    return bool(of_search)


def queries_reader(function: OwnFunction, search: Retrieval) -> Callable[[Array | None], MeasuredRows | None]:
    """Returns a function of one system's ranking of the search, (Q, k) positions of documents, to the queries as rows.

    The rows of no ranking (None) are None. The parts that all systems share are made once.
    """
    judged, ids = search.judgements, np.array([*search.document_ids, ""], dtype=object)  # NO_DOCUMENT is the last position
    relevant: list[dict[str, float]] = [{} for _ in search.queries]
    for query, document, gain in zip(judged.query.tolist(), judged.document.tolist(), judged.gain.tolist(), strict=True):
        relevant[query][search.document_ids[document]] = gain
    shared = {
        "queries": np.array(search.queries, dtype=object),
        "query_ids": np.array(search.query_ids, dtype=object),
        "relevant": np.array(relevant, dtype=object),
    }
    documents = dict(zip(search.document_ids, search.documents, strict=True))

    def rows(ranked: Array | None) -> MeasuredRows | None:
        if ranked is None:
            return None
        columns: Mapping[str, Any] = {**shared, "ranked": ids[ranked], "gains": judged.gains_at(ranked)}
        return MeasuredRows(function, search.split, columns, OF_SYSTEM, {"documents": documents}, unit="query")

    return rows


def probed_on_search(function: OwnFunction, search: Retrieval, named: Mapping[str, str]) -> OwnFunction:
    """Calls the function on a few queries with made-up rankings, and returns it with its metrics; see ``own_function.probed``.

    Args:
        named: recipe key -> metric that the recipe names there; that of truncated embeddings has a dimension.
    """
    few = cut_search(search, PROBE_ROWS)
    rows = queries_reader(function, few)(made_up_ranking(few))
    assert rows is not None
    return probed(rows, {key: split_dimension(name)[0] for key, name in named.items()})


def made_up_ranking(search: Retrieval, names: Sequence[str] = DEFAULT) -> Array:
    """Returns a random ranking (Q, k), in which every second query has a relevant document among its first three."""
    rng, judged = np.random.default_rng(0), search.judgements
    n_documents, k = judged.n_documents, min(largest_k(names), judged.n_documents)
    ranked = np.stack([rng.permutation(n_documents)[:k] for _ in range(judged.n_queries)])
    for query in range(0, judged.n_queries, 2):
        document, place = judged.document[judged.query == query][0], int(rng.integers(min(3, k)))
        there = np.flatnonzero(ranked[query] == document)
        ranked[query, there] = ranked[query, place]
        ranked[query, place] = document
    return ranked
