"""Builds the labelled pairs of a reranker with their negatives, and loads the embedding model of the first stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.load import LabelledData, load_labelled_data
from tunesmith.data.pairs.retrieval import Retrieval
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.errors import DataError
from tunesmith.evaluation.embedding_tests import SearchTest
from tunesmith.evaluation.metrics.own_function import MeasuredRows, OwnFunction
from tunesmith.evaluation.metrics.own_search import reads_search
from tunesmith.evaluation.metrics.retrieval import DEFAULT
from tunesmith.evaluation.outputs import Outputs
from tunesmith.machine import quiet_libraries, seed_everything
from tunesmith.models.embedding.encoder import SentenceEncoder, load_encoder
from tunesmith.models.source import find_model
from tunesmith.preflight.report import CheckReport
from tunesmith.progress import Clock
from tunesmith.recipe.sections import ColumnsSection, DataSection, ModelSection, Recipe
from tunesmith.recipe.task_sections import HardNegativesSection
from tunesmith.tasks.classification.data import LabelledTaskData, subsample
from tunesmith.tasks.classification.data import check_rows as check_labelled_rows
from tunesmith.tasks.classification.own_metrics import load_own_function
from tunesmith.tasks.embedding.data import RETRIEVAL
from tunesmith.tasks.embedding.hard_negatives import corpus_of, mined
from tunesmith.tasks.reranker.data import RerankerData
from tunesmith.tasks.reranker.own_metrics import pairs_reader

NEGATIVES = HardNegativesSection(num_negatives=4, range_max=50, relative_margin=0.05)
"""Default of the recipe: four texts that the first stage ranks high, none as near as the positive."""
PAIRS = "pairs with mined negatives"
COLUMNS = ColumnsSection(text="query", pair="document", label="relevant", group="query_id")
Negatives = Mapping[tuple[str, str], tuple[str, ...]]


@dataclass(frozen=True)
class FirstStage:
    """The search of a recipe with the ranking of the first stage.

    Attributes:
        ranked: (Q, k) the best documents of each query.
    """

    test: SearchTest
    ranked: Array
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RerankerRows(LabelledTaskData):
    """Labelled pairs, and the search that the reranker reorders.

    Attributes:
        pairs: the training pairs before negatives.
    """

    pairs: EmbeddingRows
    retrieval: Retrieval

    def own_rows(self, split: str) -> Callable[[Outputs], MeasuredRows | None]:
        assert self.function is not None
        if not reads_search(self.function):
            return super().own_rows(split)
        return pairs_reader(self.function, self.splits.named()[split], self.splits.labels)

    @cached_property
    def first_stage(self) -> FirstStage:
        """Ranks the documents of every query by the embedding model of the first stage."""
        started, test = time.perf_counter(), SearchTest(RETRIEVAL, self.retrieval, DEFAULT)
        encoder = load_first_stage(self.recipe, self.base)
        ranked = test.ranked(test.vectors(encoder), encoder.dimension, encoder.similarity)
        return FirstStage(test, ranked, time.perf_counter() - started)


def prepare(data: RerankerData, clock: Clock) -> RerankerRows:
    """Returns the pairs with negatives as labelled rows, in splits that keep each query's rows together. Raises InputError."""
    pairs = data.pairs
    if len(pairs.sides) > 2:
        negatives: Negatives = {(query, right): tuple(wrong) for query, right, *wrong in zip(*pairs.sides, strict=True)}
    else:
        with clock.phase("hard negatives"):
            quiet_libraries()
            seed_everything(data.recipe.train.seed)
            encoder = load_first_stage(data.recipe, data.base)
            section = data.recipe.embedding.hard_negatives or NEGATIVES
            corpus = corpus_of(data.recipe.data.train, data.base, data.max_rows)
            negatives = mined(pairs, corpus, encoder, section, data.base)
    table = labelled_table(pairs, negatives)
    with clock.phase("data"):
        splits = subsample(split_table(data.recipe, data.base, table), data.max_rows)
    rows = RerankerRows(
        recipe=data.recipe,
        source=data.source,
        base=data.base,
        clock=clock,
        findings=(*data.findings, *splits.findings),
        splits=splits,
        pairs=pairs,
        retrieval=data.retrieval,
        function=of_pairs(data, splits),
    )
    rows = replace(rows, checks=(*data.checks, *check_labelled_rows(rows)))
    CheckReport(rows.checks).raise_if_failed()
    return rows


def of_pairs(data: RerankerData, splits: LabelledData) -> OwnFunction | None:
    """Returns the user's function; one of labelled pairs was called on a few of them. Raises RecipeError if it cannot be used."""
    is_of_search = data.function is not None and reads_search(data.function)
    return data.function if is_of_search else load_own_function(data.recipe, data.base, splits)


def split_table(recipe: Recipe, base: Path, table: Mapping[str, list[Any]]) -> LabelledData:
    """Reads the table as rows of a classifier of pairs, with the recipe's shares for validation and test."""
    shares = {name: share for name in ("validation", "test") if (share := getattr(recipe.data, name)) is not None}
    limits = {name: limit for name in shares if (limit := recipe.data.limit(name)) is not None}  # those of train: its pairs
    data = {"max_length": recipe.data.max_length, "max_rows": limits or None, **shares}
    section = DataSection(train=PAIRS, columns=COLUMNS, **data)
    labelled = recipe.model_copy(update={"task": "classification", "data": section})  # labels are read as a classifier's
    return load_labelled_data(labelled, base, {"train": table})


def labelled_table(pairs: EmbeddingRows, negatives: Negatives) -> dict[str, list[Any]]:
    """Returns queries with relevant and irrelevant documents as a table. Raises DataError where no query has a negative."""
    right: dict[str, set[str]] = {}
    for query, document in zip(*pairs.sides[:2], strict=True):
        right.setdefault(query, set()).add(document)
    table: dict[str, list[Any]] = {"query": [], "document": [], "relevant": [], "query_id": []}
    for query, documents in right.items():
        near = [text for document in sorted(documents) for text in negatives.get((query, document), ())]
        wrong = [text for text in dict.fromkeys(near) if text not in documents]
        for text, label in [*((text, "1") for text in sorted(documents)), *((text, "0") for text in wrong)]:
            for name, cell in zip(table, (query, text, label, query), strict=True):
                table[name].append(cell)
    if "0" not in table["relevant"]:
        message = "no query has a negative within the range and the margins."
        raise DataError.one(pairs.source, message, "Raise embedding.hard_negatives.range_max, or lower the margins.")
    return table


def load_first_stage(recipe: Recipe, base: Path) -> SentenceEncoder:
    """Loads the embedding model whose best documents are reranked."""
    name = recipe.embedding.first_stage
    return load_encoder(find_model(recipe.model if name is None else ModelSection(name=name), base), recipe.data.max_length)
