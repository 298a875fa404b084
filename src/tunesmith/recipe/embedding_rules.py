"""Rules for recipes of embedding models and rerankers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.source import Fault


def sizes_and_scores(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse an empty score range and repeated Matryoshka dimensions."""
    own = recipe.embedding
    if own.score_range is not None and own.score_range[0] >= own.score_range[1]:
        low, high = own.score_range
        message = f"the lowest score ({low:g}) is not below the highest ({high:g})"
        yield Fault(("embedding", "score_range"), message, "For example [0, 5].")
    sizes = own.matryoshka_dimensions
    if len(set(sizes)) < len(sizes):
        yield Fault(("embedding", "matryoshka_dimensions"), "a size is listed twice", "Name each one once.")


def losses(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse losses for files that are not in ``data.also``, or for one joined table."""
    own = recipe.embedding
    for name in own.losses:
        if name not in recipe.data.also:
            remedy = f"Files: {', '.join(recipe.data.also) or 'none'}."
            yield Fault(("embedding", "losses", name), "is not a file of data.also", remedy)
    if own.losses and own.mix == "concatenate":
        yield Fault(("embedding", "losses"), "one table has one loss", "Write embedding.mix: proportional or round_robin.")


def trained_layers(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse ``train_layers: head`` without a dense layer, because no parameter would be trained."""
    if recipe.train.train_layers == "head" and recipe.embedding.dense is None:
        message = "an embedding model has no head besides embedding.dense: nothing would be trained"
        yield Fault(("train", "train_layers"), message, "Write last N, all, or give embedding.dense.")


def reranker_data(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse a reranker without a retrieval test, or with a file as validation or test split."""
    if recipe.evaluate.retrieval is None:
        message = "is missing: a reranker is evaluated by the search results that it reorders"
        yield Fault(("evaluate", "retrieval"), message, "Name a folder in the BEIR layout.")
    for split in ("validation", "test"):
        if isinstance(getattr(recipe.data, split), str):
            message = f"the {split} split of a reranker is a share of its pairs, not a file"
            yield Fault(("data", split), message, "Give a share such as 0.1, or remove the key.")


RULES = (sizes_and_scores, losses, trained_layers)
RERANKER_RULES = (reranker_data, trained_layers)
