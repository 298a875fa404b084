"""Rules between keys of embeddings: what belongs to them alone, and what they do not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tunesmith.recipe.metric_names import BASELINES
from tunesmith.recipe.sections import DiagnoseSection, EmbeddingSection, Recipe
from tunesmith.recipe.source import Fault, KeyPath

OWN_COLUMNS = ("anchor", "positive", "negative", "score", "vector")
_SEARCH_METRIC = re.compile(r"(ndcg|mrr|recall|map)@[1-9][0-9]*$")


def only_embeddings(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Keys that only embeddings have."""
    if recipe.task == "embedding":
        return
    remedy = "Remove the key, or write task: embedding."
    own: dict[KeyPath, bool] = {
        ("embedding",): recipe.embedding != EmbeddingSection(),
        ("evaluate", "retrieval"): recipe.evaluate.retrieval is not None,
        ("data", "also"): bool(recipe.data.also),
        **{("data", "columns", part): getattr(recipe.data.columns, part) is not None for part in OWN_COLUMNS},
    }
    for path, was_given in own.items():
        if was_given:
            yield Fault(path, f"{path[-1]} is of embeddings; the task is {recipe.task}", remedy)


def not_embeddings(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Keys that embeddings do not have."""
    if recipe.task != "embedding":
        return
    train, columns, data = recipe.train, recipe.data.columns, recipe.data
    foreign: dict[KeyPath, bool] = {
        ("train", "class_weights"): train.class_weights != "none",
        ("train", "label_smoothing_factor"): train.label_smoothing_factor > 0,
        ("data", "label_separator"): data.label_separator is not None,
        ("data", "columns", "annotators"): columns.annotators is not None,
        ("diagnose",): recipe.diagnose != DiagnoseSection(),
    }
    for path, was_given in foreign.items():
        if was_given:
            yield Fault(path, "embeddings have no such setting", "Remove the key.")
    if isinstance(columns.label, list):
        yield Fault(("data", "columns", "label"), "embeddings have one label column", "Name one column.")
    if recipe.evaluate.tune_threshold and "tune_threshold" in recipe.evaluate.model_fields_set:
        yield Fault(("evaluate", "tune_threshold"), "vectors have no threshold to tune", "Remove the key.")
    if recipe.parallel.processes > 1:
        message = "embeddings are trained by one process: negatives are those of one batch"
        yield Fault(("parallel", "processes"), message, "Remove the key; raise train.per_device_train_batch_size instead.")


def embedding_values(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Values that no data could make right."""
    if recipe.task != "embedding":
        return
    own = recipe.embedding
    if own.score_range is not None and own.score_range[0] >= own.score_range[1]:
        low, high = own.score_range
        message = f"the lowest score ({low:g}) is not below the highest ({high:g})"
        yield Fault(("embedding", "score_range"), message, "For example [0, 5].")
    sizes = own.matryoshka_dimensions
    if len(set(sizes)) < len(sizes):
        yield Fault(("embedding", "matryoshka_dimensions"), "a size is listed twice", "Name each one once.")
    for name in own.losses:
        if name not in recipe.data.also:
            remedy = f"Files: {', '.join(recipe.data.also) or 'none'}."
            yield Fault(("embedding", "losses", name), "is no file of data.also", remedy)
    if own.losses and own.mix == "concatenate":
        yield Fault(("embedding", "losses"), "one table has one loss", "Write embedding.mix: proportional or round_robin.")
    if recipe.train.train_layers == "head" and own.dense is None:
        message = "an embedding model has no head besides embedding.dense: nothing would be trained"
        yield Fault(("train", "train_layers"), message, "Write last N, all, or give embedding.dense.")
    for name in recipe.evaluate.baselines or ():
        if name not in BASELINES["embedding"]:
            remedy = f"Known: {', '.join(BASELINES['embedding'])}."
            yield Fault(("evaluate", "baselines"), f"{name} is no baseline of embeddings", remedy)


def rerankers(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """What a reranker has no use for, and what it needs."""
    own, usual = recipe.embedding, EmbeddingSection()
    if recipe.task != "embedding" or own.head == "vector":
        for key in ("first_stage", "top_k"):
            if recipe.task == "embedding" and getattr(own, key) != getattr(usual, key):
                yield Fault(("embedding", key), f"{key} is of rerankers", "Write embedding.head: cross-encoder.")
        return
    for key in type(own).model_fields:
        if key not in ("head", "first_stage", "top_k", "hard_negatives") and getattr(own, key) != getattr(usual, key):
            message = "a reranker is a classifier of pairs: it has no vectors and no such setting"
            yield Fault(("embedding", key), message, "Remove the key.")
    if recipe.evaluate.retrieval is None:
        message = "is missing: a reranker is judged by what it does to a search"
        yield Fault(("evaluate", "retrieval"), message, "Name a folder in the BEIR layout.")
    if recipe.evaluate.metric is not None:
        message = "a reranker is steered by the average precision of its pairs"
        yield Fault(("evaluate", "metric"), message, "Leave it out.")
    for split in ("validation", "test"):
        if isinstance(getattr(recipe.data, split), str):
            yield Fault(
                ("data", split), "a reranker is steered by a share of its pairs", "Give a share such as 0.1, or leave it out."
            )


def is_search_metric(name: str) -> bool:
    """Whether a name is a retrieval metric at any depth: ``ndcg@20``."""
    return bool(_SEARCH_METRIC.match(name))


RULES = (only_embeddings, not_embeddings, embedding_values, rerankers)
