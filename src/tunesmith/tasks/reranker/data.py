"""Reads the training pairs and the search of a reranker without torch.

A cross-encoder is a classifier that reads a query and a document together. Its rows are pairs with mined or given negatives; it
is evaluated on those, and on the order in which it puts the best documents of a first stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tunesmith.data.cells import plural
from tunesmith.data.checks.control_tokens import control_tokens
from tunesmith.data.checks.pairs import check_search
from tunesmith.data.checks.rows import dropped_rows
from tunesmith.data.pairs.load import load_embedding_data
from tunesmith.data.pairs.retrieval import Retrieval, cut_search
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.data.split import at_most
from tunesmith.errors import DataError
from tunesmith.evaluation.metrics.own_function import OwnFunction
from tunesmith.models.source import find_model, special_tokens
from tunesmith.preflight.report import CheckLine
from tunesmith.recipe.resolved import with_defaults
from tunesmith.tasks.reranker.own_metrics import load_own_function
from tunesmith.tasks.task import Request, TaskData, TaskReading

USABLE = ("positive_pair", "triplet", "tuple")


@dataclass(frozen=True, kw_only=True)
class RerankerData(TaskData):
    """The training pairs before negatives are mined, and the search that evaluates the reranker.

    Attributes:
        function: the user's function of metrics; None without one.
        max_rows: see ``tasks.task.Request``.
    """

    pairs: EmbeddingRows
    retrieval: Retrieval
    max_rows: int | None
    function: OwnFunction | None = None


def read(request: Request) -> RerankerData:
    """Reads the training pairs and the search. Raises DataError for rows of another format."""
    recipe, base = request.loaded.recipe, request.loaded.base
    whole = recipe.data.model_copy(update={"validation": None, "test": None})  # shares are taken once the pairs have negatives
    data = load_embedding_data(recipe.model_copy(update={"data": whole}), base, request.frames)
    assert data.retrieval is not None, "a rule of the recipe"
    if data.train.format.kind not in USABLE:
        kind = data.train.format.kind.replace("_", " ")
        message = f"the rows are {kind} rows; a reranker is trained on texts that belong together."
        raise DataError.one(data.train.source, message, "Give pairs of a question and its answer, with or without wrong answers.")
    source = find_model(recipe.model, base)
    pairs, retrieval = at_most(data.train, request.max_rows), cut_search(data.retrieval, request.max_rows)
    return RerankerData(
        recipe=with_defaults(recipe, source.n_bytes, len(pairs)),
        source=source,
        base=base,
        findings=(*dropped_rows([pairs]), *check_search(pairs, retrieval), *control_tokens([pairs], special_tokens(source))),
        pairs=pairs,
        retrieval=retrieval,
        max_rows=request.max_rows,
        function=load_own_function(recipe, base, retrieval),
    )


def check_rows(data: RerankerData) -> Iterator[CheckLine]:
    """Counts the training pairs, and the queries of the verdict."""
    pairs, search = data.pairs, data.retrieval
    yield CheckLine("rows of train", f"{plural(len(pairs), 'pair')}, before negatives ({pairs.source})")
    yield CheckLine(
        "evaluated on", f"{plural(len(search.queries), 'query')} in {plural(len(search.documents), 'document')} ({search.source})"
    )


READING = TaskReading(read, check_rows)
