"""Builds a loss of sentence-transformers by its name, with the wrappers around it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tunesmith.data.cells import plural
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.errors import DataError, RecipeError
from tunesmith.recipe.suggest import closest
from tunesmith.recipe.task_sections import EmbeddingSection

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

GUIDED = ("GISTEmbedLoss", "CachedGISTEmbedLoss")
DISTILLED = ("MSELoss", "EmbedDistillLoss")
OWN = frozenset({"model", "guide", "embedding_dimension", "num_labels", "self"})
"""Arguments that the recipe cannot set."""


def build_loss(
    model: SentenceTransformer,
    name: str,
    rows: EmbeddingRows,
    section: EmbeddingSection,
    dimension: int,
    guide: SentenceTransformer | None = None,
) -> torch.nn.Module:
    """Builds the loss as a module with the model in it. New weights are drawn from torch's generator.

    Args:
        dimension: of the model's embeddings.
        guide: the ``SentenceTransformer`` that detects false negatives, for the losses that need one.
    """
    from sentence_transformers.sentence_transformer import losses

    maker = getattr(losses, name)
    check_options(name, maker, section.loss_options)
    needed: dict[str, Any] = {"model": model}
    if name == "SoftmaxLoss":
        needed |= {"embedding_dimension": dimension, "num_labels": len(rows.classes)}
    if name in GUIDED:
        assert guide is not None, "the losses in GUIDED have a guide"
        needed["guide"] = guide.requires_grad_(False)
    if name in DISTILLED:
        check_lengths(rows, dimension, section.loss_options)
    try:
        return wrapped(model, maker(**needed, **section.loss_options), section, dimension)
    except (TypeError, ValueError, AssertionError) as error:
        raise RecipeError.one("embedding", f"sentence-transformers refuses {name}: {str(error).splitlines()[0]}") from error


def wrapped(model: SentenceTransformer, loss: torch.nn.Module, section: EmbeddingSection, dimension: int) -> torch.nn.Module:
    """Wraps the loss so that it covers also truncated embeddings, the first layers, or both, as the recipe requests."""
    from sentence_transformers.sentence_transformer import losses

    requested = section.matryoshka_dimensions
    if requested and max(requested) > dimension:
        message = f"{plural(max(requested), 'dimension', 'was', 'were')} requested; the vectors have {dimension}."
        raise RecipeError.one("embedding.matryoshka_dimensions", message, f"At most {dimension}.")
    sizes = sorted({dimension, *requested}, reverse=True)
    if section.adaptive_layers:
        return losses.Matryoshka2dLoss(model, loss, sizes) if len(sizes) > 1 else losses.AdaptiveLayerLoss(model, loss)
    return losses.MatryoshkaLoss(model, loss, sizes) if len(sizes) > 1 else loss


def check_options(name: str, maker: type[torch.nn.Module], options: Mapping[str, Any]) -> None:
    """Raises RecipeError for an option that the loss does not have."""
    options_of_loss = [parameter for parameter in inspect.signature(maker.__init__).parameters if parameter not in OWN]
    for option in options:
        if option not in options_of_loss:
            hint = closest(option, options_of_loss)
            remedy = f"{hint} It has: {', '.join(options_of_loss) or 'none'}.".strip()
            raise RecipeError.one(f"embedding.loss_options.{option}", f"{name} has no such option.", remedy)


def check_lengths(rows: EmbeddingRows, dimension: int, options: Mapping[str, Any]) -> None:
    """Raises DataError if the teacher's embeddings have another length than the student's."""
    length, own_length = len((rows.target or ((),))[0]), options.get("projection_dim") or dimension
    if length != own_length:
        message = f"the teacher's vectors have {plural(length, 'number')}, the model's {own_length}."
        remedy = f"Give embedding.dense: {length}, or embedding.loss_options: {{projection_dim: {length}}}."
        raise DataError.one(rows.source, message, remedy)
