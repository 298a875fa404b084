"""An embedding model to be trained: modules, prompts, frozen layers, adapters; and the whole model it leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tunesmith.errors import ModelError
from tunesmith.models.adapters.attach import adapter_config
from tunesmith.models.adapters.methods import BOTTLENECKS
from tunesmith.models.embedding.encoder import SentenceEncoder, dimension_of, is_plain, load_encoder, similarity_of
from tunesmith.models.fast.path import Kernels
from tunesmith.models.layers import by_patterns, last_layers, set_dropout
from tunesmith.models.source import ModelSource
from tunesmith.recipe.sections import AdapterSection, EmbeddingSection, Recipe

POOLER = ".pooler."
"""A head of the body that sentence embeddings do not use."""


def load_trainable(source: ModelSource, recipe: Recipe) -> SentenceEncoder:
    """The embedding model of a recipe, in fp32, before anything is frozen or added. New weights are drawn from torch's generator.

    Raises:
        ModelError: the model cannot be loaded, or has no token vectors to be pooled.
    """
    encoder = load_encoder(source, recipe.data.max_length, recipe.train.fast)
    section = recipe.embedding
    if section.pooling is not None or section.dense is not None or section.normalize is not None:
        encoder = replace(encoder, model=with_modules(encoder, section))
    if section.prompts:
        encoder.model.prompts = {**(encoder.model.prompts or {}), **section.prompts}
    if recipe.train.dropout is not None:
        set_dropout(encoder.model, recipe.train.dropout)
    model = encoder.model
    prompts = {name: text for name, text in (model.prompts or {}).items() if text}
    where = f"model.name {source.name}"
    return replace(
        encoder, dimension=dimension_of(model), similarity=similarity_of(model, where), prompts=prompts, is_plain=is_plain(model),
        kernels=for_vectors(encoder.kernels),
    )  # fmt: skip


def for_vectors(kernels: Kernels) -> Kernels:
    """The kernels without those of classifiers: all tokens are pooled, and batches are random but run in groups by length."""
    reasons = {name: why for name, why in kernels.reasons.items() if name not in ("bucketed", "first_token")}
    if kernels.fast:
        reasons["length_groups"] = "each batch is drawn at random and run in groups of similar length: less padding"
    return replace(kernels, bucketed=False, first_token=False, reasons=reasons)


def with_modules(encoder: SentenceEncoder, section: EmbeddingSection) -> Any:
    """The body with the pooling, the dense layer and the normalisation that the recipe names."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling

    before = list(encoder.model)
    if not encoder.is_plain:
        raise ModelError.one(f"model.name {encoder.name}", "its first module is no transformer on text: it has nothing to pool.")
    modules = [before[0]]
    pooled = next((module for module in before if isinstance(module, Pooling)), None)
    width = before[0].get_embedding_dimension()
    if section.pooling is not None or pooled is None:
        pooled = Pooling(width, section.pooling or "mean")
    modules.append(pooled)
    if section.dense is not None:
        modules.append(Dense(pooled.get_embedding_dimension(), section.dense))
    else:
        modules += [module for module in before if isinstance(module, Dense) and section.pooling is None]
    kept = section.pooling is None and section.dense is None and any(isinstance(module, Normalize) for module in before)
    if section.normalize if section.normalize is not None else kept:
        modules.append(Normalize())
    model = encoder.model
    return SentenceTransformer(modules=modules, device=str(model.device), prompts=model.prompts)


def prepare_training(encoder: SentenceEncoder, recipe: Recipe, total_steps: int) -> None:
    """Freeze what is not trained, or put an adapter on the body, in place.

    Raises:
        RecipeError: more layers than there are, a pattern that matches nothing, options the method does not have.
        ModelError: the adapter does not fit the model.
    """
    if recipe.adapter is not None:
        add_adapter(encoder, recipe.adapter, total_steps)
        return
    model, layers = encoder.model, recipe.train.train_layers
    names = [name for name, _ in model.named_parameters()]
    outside = {name for name in names if not name.startswith("0.")}
    if isinstance(layers, list):
        chosen = by_patterns(names, layers)
    elif layers == "all":
        chosen = set(names)
    else:
        chosen = outside | (set() if layers == "head" else last_layers(names, int(layers.removeprefix("last "))))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen and POOLER not in name)


def add_adapter(encoder: SentenceEncoder, section: AdapterSection, total_steps: int) -> None:
    """Put a method of peft on the body. Raises ModelError for one that adds tokens, which would be pooled with the text's."""
    where = f"adapter.method {section.method}"
    if section.method in BOTTLENECKS:
        message = "it cannot be merged, and an embedding model is saved whole."
        raise ModelError.one(where, message, "Use lora, dora, ia3, adalora, vera, ...")
    config = adapter_config(section, total_steps, "FEATURE_EXTRACTION")
    if config.is_prompt_learning:
        message = "it adds tokens to every text, which would be pooled with the text's own and cannot be merged."
        raise ModelError.one(where, message, "Use lora, dora, ia3, adalora, vera, ...")
    from peft import get_peft_model

    body = encoder.model[0].model
    try:
        adapted = get_peft_model(body, config)
    except (ValueError, TypeError, NotImplementedError, ImportError, AttributeError) as error:
        raise ModelError.one(where, f"peft cannot put it on this model: {str(error).splitlines()[0]}") from error
    encoder.model[0].model = adapted


def merge_adapter(encoder: SentenceEncoder) -> None:
    """Merge an adapter into its body, in place; nothing where there is none."""
    body: Any = encoder.model[0].model if encoder.is_plain else None
    if hasattr(body, "merge_and_unload"):
        encoder.model[0].model = body.merge_and_unload()
