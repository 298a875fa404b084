"""A loss of sentence-transformers by name, on a model, with the wrappers around it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.errors import DataError, RecipeError
from tunesmith.recipe.sections import EmbeddingSection
from tunesmith.recipe.suggest import closest

GUIDED = ("GISTEmbedLoss", "CachedGISTEmbedLoss")
DISTILLED = ("MSELoss", "EmbedDistillLoss")
OWN = frozenset({"model", "guide", "embedding_dimension", "num_labels", "self"})
"""Arguments that are not the recipe's."""


def build_loss(model: Any, name: str, rows: EmbeddingRows, section: EmbeddingSection, dimension: int, guide: Any = None) -> Any:
    """The loss as a module with the model in it. New weights are drawn from torch's generator.

    Args:
        dimension: of the model's vectors.
        guide: the ``SentenceTransformer`` that tells which negatives are none, for the losses that need one.

    Raises:
        RecipeError: options the loss does not have, or that upstream refuses; dimensions beyond the model's.
        DataError: a teacher's vectors have another length than the model's.
    """
    from sentence_transformers.sentence_transformer import losses

    maker = getattr(losses, name)
    check_options(name, maker, section.loss_options)
    needed: dict[str, Any] = {"model": model}
    if name == "SoftmaxLoss":
        needed |= {"embedding_dimension": dimension, "num_labels": len(rows.classes)}
    if name in GUIDED:
        needed["guide"] = guide.requires_grad_(False)
    if name in DISTILLED:
        check_lengths(rows, dimension, section.loss_options)
    try:
        return wrapped(model, maker(**needed, **section.loss_options), section, dimension, losses)
    except (TypeError, ValueError, AssertionError) as error:
        raise RecipeError.one("embedding", f"sentence-transformers refuses {name}: {str(error).splitlines()[0]}") from error


def wrapped(model: Any, loss: Any, section: EmbeddingSection, dimension: int, losses: Any) -> Any:
    """The loss also of cut vectors, of the first layers, or both, where the recipe asks for it."""
    sizes = matryoshka_sizes(section.matryoshka_dimensions, dimension)
    if section.adaptive_layers:
        return losses.Matryoshka2dLoss(model, loss, sizes) if len(sizes) > 1 else losses.AdaptiveLayerLoss(model, loss)
    return losses.MatryoshkaLoss(model, loss, sizes) if len(sizes) > 1 else loss


def matryoshka_sizes(asked: Sequence[int], dimension: int) -> list[int]:
    """All dimensions, then those asked for, the largest first. Raises RecipeError for more than the model has."""
    if asked and max(asked) > dimension:
        message = f"{max(asked)} dimensions were asked for; the vectors have {dimension}."
        raise RecipeError.one("embedding.matryoshka_dimensions", message, f"At most {dimension}.")
    return sorted({dimension, *asked}, reverse=True)


def check_options(name: str, maker: Any, options: Mapping[str, Any]) -> None:
    """Raise RecipeError for an option that the loss does not have."""
    known = [parameter for parameter in inspect.signature(maker.__init__).parameters if parameter not in OWN]
    for option in options:
        if option not in known:
            hint = closest(option, known)
            remedy = f"{hint} It has: {', '.join(known) or 'none'}.".strip()
            raise RecipeError.one(f"embedding.loss_options.{option}", f"{name} has no such option.", remedy)


def check_lengths(rows: EmbeddingRows, dimension: int, options: Mapping[str, Any]) -> None:
    """Raise DataError where the teacher's vectors are longer or shorter than what the student makes."""
    length, made = len((rows.target or ((),))[0]), options.get("projection_dim") or dimension
    if length != made:
        message = f"the teacher's vectors have {length} numbers, the model's {made}."
        remedy = f"Give embedding.dense: {length}, or embedding.loss_options: {{projection_dim: {length}}}."
        raise DataError.one(rows.source, message, remedy)
