"""The story of a reranker: pairs with mined negatives, a classifier of pairs, and what it does to a search.

A cross-encoder is a classifier that reads a question and a text together. It is trained by ``labelled_run`` like any other, and
then puts the best texts of a first stage in order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.data.pairs.load import load_embedding_data
from tunesmith.data.pairs.retrieval import Retrieval
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.errors import DataError
from tunesmith.evaluation.embedding_tests import Answer, SearchTest, metrics_of, verdict_of
from tunesmith.evaluation.metrics.retrieval import DEFAULT, query_metrics
from tunesmith.models.source import find_model, stay_offline_unless_asked
from tunesmith.preflight.report import CheckReport
from tunesmith.progress import Clock
from tunesmith.recipe.load import LoadedRecipe, recipe_from_mapping
from tunesmith.recipe.metric_names import baselines_of
from tunesmith.recipe.sections import HardNegativesSection, ModelSection, Recipe
from tunesmith.results import Baseline, RunResult
from tunesmith.run_folder import RunFolder
from tunesmith.tasks.classification import story as labelled_run
from tunesmith.tasks.embedding.data import RETRIEVAL
from tunesmith.tasks.embedding.reranking import relevance_of, reranked

NEGATIVES = HardNegativesSection(num_negatives=4, range_max=50, relative_margin=0.05)
"""Where the recipe says nothing of them: four texts that the first stage takes for answers, none as near as the right one."""
PAIRS = "pairs with mined negatives"
COLUMNS = {"text": "query", "pair": "document", "label": "relevant", "group": "asked"}
FIRST_STAGE = "first stage"
USABLE = ("positive_pair", "triplet", "tuple")


def check(loaded: LoadedRecipe, static: bool, clock: Clock) -> CheckReport:
    """The pre-flight of the classifier, on its pairs and negatives. Raises InputError for what cannot even be read."""
    rows, _ = read_rows(loaded, clock, None)
    return labelled_run.check(as_classifier(loaded), static, clock, {"train": pairs_of(rows, loaded, clock)})


def train(
    loaded: LoadedRecipe, folder: RunFolder, resume: bool, smoke: bool, frames: Mapping[str, Any] | None, clock: Clock
) -> RunResult:
    """Mine, train, rerank and save into the folder; the result, which is not written yet.

    Raises:
        InputError: the run cannot start; nothing was written.
        TrainingFailed, Interrupted: see ``training.fit``.
    """
    started = time.perf_counter()
    rows, retrieval = read_rows(loaded, clock, frames)
    table = pairs_of(rows, loaded, clock)
    result = labelled_run.train(as_classifier(loaded), folder, resume, smoke, {"train": table}, clock, asked=loaded.recipe)
    assert result is not None, "a reranker is trained by one process"
    with clock.phase("reranking"):
        result = judged(result, retrieval, loaded, folder.model)
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    return replace(result, timings_seconds=clock.seconds, recipe=loaded.recipe.model_dump(mode="json"))


def read_rows(loaded: LoadedRecipe, clock: Clock, frames: Mapping[str, Any] | None) -> tuple[EmbeddingRows, Retrieval]:
    """The training pairs, and the search that judges. Raises DataError for rows of another shape."""
    recipe = loaded.recipe
    stay_offline_unless_asked(recipe)
    with clock.phase("data"):
        whole = recipe.data.model_copy(update={"validation": None, "test": None})
        data = load_embedding_data(recipe.model_copy(update={"data": whole}), loaded.base, frames)
    assert data.retrieval is not None, "a rule of the recipe"
    if data.train.shape.kind not in USABLE:
        kind = data.train.shape.kind.replace("_", " ")
        message = f"the rows are {kind} rows; a reranker learns from texts that belong together."
        raise DataError.one(data.train.source, message, "Give pairs of a question and its answer, with or without wrong answers.")
    return data.train, data.retrieval


def pairs_of(rows: EmbeddingRows, loaded: LoadedRecipe, clock: Clock) -> dict[str, list[Any]]:
    """Questions with right and wrong texts, as a table: the given wrong ones, or mined ones."""
    found = given_negatives(rows) if len(rows.sides) > 2 else mined_negatives(rows, loaded, clock)
    right: dict[str, set[str]] = {}
    for query, document in zip(*rows.sides[:2], strict=True):
        right.setdefault(query, set()).add(document)
    table: dict[str, list[Any]] = {"query": [], "document": [], "relevant": [], "asked": []}
    for query, documents in right.items():
        near = [text for document in sorted(documents) for text in found.get((query, document), ())]
        wrong = [text for text in dict.fromkeys(near) if text not in documents]
        for text, label in [*((text, "1") for text in sorted(documents)), *((text, "0") for text in wrong)]:
            for name, cell in zip(table, (query, text, label, query), strict=True):
                table[name].append(cell)
    if "0" not in table["relevant"]:
        message = "no question has a wrong answer within the range and the margins."
        raise DataError.one(rows.source, message, "Raise embedding.hard_negatives.range_max, or lower the margins.")
    return table


def given_negatives(rows: EmbeddingRows) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(query, right): tuple(wrong) for query, right, *wrong in zip(*rows.sides, strict=True)}


def mined_negatives(rows: EmbeddingRows, loaded: LoadedRecipe, clock: Clock) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Pair -> texts that the first stage takes for answers."""
    from tunesmith.machine import quiet_libraries, seed_everything
    from tunesmith.tasks.embedding.hard_negatives import corpus_of, mined

    with clock.phase("hard negatives"):
        quiet_libraries()
        seed_everything(loaded.recipe.train.seed)
        encoder = first_stage(loaded)
        section = loaded.recipe.embedding.hard_negatives or NEGATIVES
        return mined(rows, corpus_of(loaded.recipe.data.train, loaded.base), encoder, section, loaded.base)


def first_stage(loaded: LoadedRecipe) -> Any:
    """The embedding model whose best texts are reranked."""
    from tunesmith.models.embedding.encoder import load_encoder

    name = loaded.recipe.embedding.first_stage or loaded.recipe.model.name
    return load_encoder(find_model(ModelSection(name=name), loaded.base), loaded.recipe.data.max_length)


def as_classifier(loaded: LoadedRecipe) -> LoadedRecipe:
    """The recipe of the classifier of pairs that a reranker is."""
    recipe = loaded.recipe
    given = {key: value for key, value in recipe.model_dump(mode="json", exclude_unset=True).items() if key in KEPT}
    data = recipe.data
    kept = {"validation": data.validation, "test": data.test, "max_length": data.max_length}
    mapping = {
        **given, "task": "classification", "evaluate": {"metric": "average_precision", "baselines": ["majority"]},
        "data": {"train": PAIRS, "columns": COLUMNS, **{key: value for key, value in kept.items() if value is not None}},
    }  # fmt: skip
    return LoadedRecipe(recipe_from_mapping(mapping), loaded.path, mapping, loaded.text, loaded.base)


KEPT = ("model", "adapter", "train", "upstream", "parallel", "output")
"""Sections of the recipe that are the classifier's as well."""


def judged(result: RunResult, retrieval: Retrieval, loaded: LoadedRecipe, model: Path) -> RunResult:
    """The result with what the model does to the search, before everything else."""
    from tunesmith.tasks.finished import load_for_use

    recipe, test = loaded.recipe, SearchTest(RETRIEVAL, retrieval, DEFAULT)
    settings = (recipe.evaluate.n_resamples, recipe.train.seed)
    encoder = first_stage(loaded)
    ranked = test.ranked(test.vectors(encoder), encoder.dimension, encoder.similarity)
    score = relevance_of(load_for_use(model), str(model))
    ours = reranked(test, ranked, recipe.embedding.top_k, score)
    rivals = {FIRST_STAGE: Answer(values=query_metrics(ranked, retrieval.judgements, DEFAULT))}
    rivals |= {name: search() for name, search in test.by_words().items() if name in baselines_of(recipe)}
    beside = tuple(
        Baseline(name, tuple(metrics_of([said], test, *settings)), note=note_of(name, recipe)) for name, said in rivals.items()
    )
    verdicts = tuple(verdict_of([ours], [said], name, test, *settings) for name, said in rivals.items())
    n_documents, source = len(retrieval.documents), retrieval.source
    about = {"source": source, "documents": n_documents, "queries": len(retrieval.queries), "top_k": recipe.embedding.top_k}
    return replace(
        result, task="embedding", metrics=(*metrics_of([ours], test, *settings), *result.metrics),
        baselines=(*beside, *result.baselines), verdicts=(*verdicts, *result.verdicts), data={**result.data, "retrieval": about},
    )  # fmt: skip


def note_of(name: str, recipe: Recipe) -> str:
    return f"{recipe.embedding.first_stage or recipe.model.name} by itself" if name == FIRST_STAGE else ""
