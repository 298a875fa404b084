"""Checks rules between keys of embedding models and rerankers: keys that apply only to them, and keys that do not."""

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
    """Refuses keys of embedding models in recipes of other tasks."""
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
            yield Fault(path, f"`{path[-1]}` applies only to embedding models, and the task is {recipe.task}", remedy)


def not_embeddings(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses keys that do not apply to embedding models."""
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
            yield Fault(path, "does not apply to embedding models", "Remove the key.")
    if isinstance(columns.label, list):
        yield Fault(("data", "columns", "label"), "embedding models take one label column", "Name one column.")
    if recipe.evaluate.tune_threshold and "tune_threshold" in recipe.evaluate.model_fields_set:
        yield Fault(("evaluate", "tune_threshold"), "embedding models have no decision threshold", "Remove the key.")
    if recipe.parallel.processes > 1:
        message = "embedding models are trained in one process, because in-batch negatives come from one batch"
        yield Fault(("parallel", "processes"), message, "Remove the key; raise train.per_device_train_batch_size instead.")


def embedding_values(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses values that are invalid for any data."""
    if recipe.task != "embedding":
        return
    own = recipe.embedding
    if own.score_range is not None and own.score_range[0] >= own.score_range[1]:
        low, high = own.score_range
        message = f"the lowest score ({low:g}) is not below the highest ({high:g})"
        yield Fault(("embedding", "score_range"), message, "For example [0, 5].")
    sizes = own.matryoshka_dimensions
    if len(set(sizes)) < len(sizes):
        yield Fault(("embedding", "matryoshka_dimensions"), "a size is listed twice", "List each one once.")
    for name in own.losses:
        if name not in recipe.data.also:
            remedy = f"Files: {', '.join(recipe.data.also) or 'none'}."
            yield Fault(("embedding", "losses", name), "is not a file of data.also", remedy)
    if own.losses and own.mix == "concatenate":
        yield Fault(("embedding", "losses"), "one table has one loss", "Set embedding.mix to proportional or round_robin.")
    if recipe.train.train_layers == "head" and own.dense is None:
        message = "an embedding model has no head without embedding.dense, so nothing would be trained"
        yield Fault(("train", "train_layers"), message, "Use last N or all, or set embedding.dense.")
    for name in recipe.evaluate.baselines or ():
        if name not in BASELINES["embedding"]:
            remedy = f"Known: {', '.join(BASELINES['embedding'])}."
            yield Fault(("evaluate", "baselines"), f"{name} is not a baseline of embedding models", remedy)


def rerankers(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses keys that do not apply to rerankers, and requires those that they need."""
    own, usual = recipe.embedding, EmbeddingSection()
    if recipe.task != "embedding" or own.head == "vector":
        for key in ("first_stage", "top_k"):
            if recipe.task == "embedding" and getattr(own, key) != getattr(usual, key):
                yield Fault(
                    ("embedding", key),
                    f"`{key}` applies only to rerankers",
                    "Set embedding.head: cross-encoder, or remove the key.",
                )
        return
    for key in type(own).model_fields:
        if key not in ("head", "first_stage", "top_k", "hard_negatives") and getattr(own, key) != getattr(usual, key):
            message = "does not apply to rerankers, which score pairs and have no embeddings"
            yield Fault(("embedding", key), message, "Remove the key.")
    if recipe.evaluate.retrieval is None:
        message = "is missing: a reranker is evaluated by how it changes retrieval results"
        yield Fault(("evaluate", "retrieval"), message, "Name a folder in the BEIR layout.")
    if recipe.evaluate.metric is not None:
        message = "the selection metric of a reranker is always the average precision of its pairs"
        yield Fault(("evaluate", "metric"), message, "Remove the key.")
    for split in ("validation", "test"):
        if isinstance(getattr(recipe.data, split), str):
            yield Fault(
                ("data", split),
                "a reranker is validated on a fraction of its pairs, not on a file",
                "Set a fraction such as 0.1, or remove the key.",
            )


def is_search_metric(name: str) -> bool:
    """Whether a name is a retrieval metric with any cutoff, e.g. ``ndcg@20``."""
    return bool(_SEARCH_METRIC.match(name))


RULES = (only_embeddings, not_embeddings, embedding_values, rerankers)
