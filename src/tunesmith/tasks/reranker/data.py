"""Reads the training pairs and the search of a reranker without torch.

A cross-encoder is a classifier that reads a query and a document together. Its rows are pairs with mined or given negatives; it
is evaluated on those, and on the order in which it puts the best documents of a first stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.data.pairs.load import load_embedding_data
from tunesmith.data.pairs.retrieval import Judgements, Retrieval
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.data.split import at_most, spread_positions
from tunesmith.errors import DataError
from tunesmith.models.source import find_model
from tunesmith.preflight.report import CheckLine
from tunesmith.recipe.defaults import with_defaults
from tunesmith.tasks.task import Request, TaskData, TaskReading

USABLE = ("positive_pair", "triplet", "tuple")


@dataclass(frozen=True, kw_only=True)
class RerankerData(TaskData):
    """The training pairs before negatives are mined, and the search that evaluates the reranker.

    Attributes:
        max_rows: see ``tasks.task.Request``.
    """

    pairs: EmbeddingRows
    retrieval: Retrieval
    max_rows: int | None


def read(request: Request) -> RerankerData:
    """Reads the training pairs and the search. Raises DataError for rows of another format."""
    recipe, base = request.loaded.recipe, request.loaded.base
    whole = recipe.data.model_copy(update={"validation": None, "test": None})  # shares are taken once the pairs have negatives
    data = load_embedding_data(recipe.model_copy(update={"data": whole}), base, request.frames)
    assert data.retrieval is not None, "a rule of the recipe"
    if data.train.format.kind not in USABLE:
        kind = data.train.format.kind.replace("_", " ")
        message = f"the rows are {kind} rows; a reranker learns from texts that belong together."
        raise DataError.one(data.train.source, message, "Give pairs of a question and its answer, with or without wrong answers.")
    source = find_model(recipe.model, base)
    pairs, retrieval = data.train, data.retrieval
    if request.max_rows is not None:
        pairs = at_most(pairs, request.max_rows)
        retrieval = with_queries(retrieval, spread_positions(len(retrieval.queries), request.max_rows))
    recipe = with_defaults(recipe, source.n_bytes, len(pairs))
    return RerankerData(recipe=recipe, source=source, base=base, pairs=pairs, retrieval=retrieval, max_rows=request.max_rows)


def with_queries(retrieval: Retrieval, positions: list[int]) -> Retrieval:
    """Returns the search with the queries at those positions; all documents stay."""
    whole = retrieval.judgements
    number = np.full(whole.n_queries, -1)
    number[positions] = np.arange(len(positions))
    is_chosen = number[whole.query] >= 0
    judgements = Judgements(
        number[whole.query[is_chosen]], whole.document[is_chosen], whole.gain[is_chosen], len(positions), whole.n_documents
    )
    return replace(
        retrieval,
        query_ids=tuple(retrieval.query_ids[i] for i in positions),
        queries=tuple(retrieval.queries[i] for i in positions),
        judgements=judgements,
    )


def check_rows(data: RerankerData) -> Iterator[CheckLine]:
    """Counts the training pairs, and the queries of the verdict."""
    pairs, search = data.pairs, data.retrieval
    yield CheckLine("rows of train", f"{len(pairs):,} pairs, before negatives ({pairs.source})")
    yield CheckLine("evaluated on", f"{len(search.queries):,} queries in {len(search.documents):,} documents ({search.source})")


READING = TaskReading(read, check_rows)
