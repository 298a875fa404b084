"""Prepares an embedding model for training (modules, prompts, frozen layers, adapters), and saves and merges its adapter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tunesmith.errors import ModelError
from tunesmith.models.adapters.attach import (
    PEFT_ERRORS,
    adapter_config,
    can_merge,
    check_passes,
    load_adapter,
    refuse_changed_base,
    save_model_files,
)
from tunesmith.models.adapters.base import AdapterBase
from tunesmith.models.adapters.methods import BOTTLENECKS, changes_base
from tunesmith.models.adapters.quantisation import Quantisation, quantisation_of
from tunesmith.models.adapters.quantise import detect_quantisation
from tunesmith.models.embedding.encoder import SentenceEncoder, load_encoder, make_encoder
from tunesmith.models.layers import select_parameters, set_dropout
from tunesmith.models.load import model_errors
from tunesmith.models.source import ModelSource
from tunesmith.recipe.sections import AdapterSection, Recipe
from tunesmith.recipe.task_sections import EmbeddingSection

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

POOLER = ".pooler."
"""A head of the body that sentence embeddings do not use."""


def load_trainable(source: ModelSource, recipe: Recipe) -> SentenceEncoder:
    """Loads a recipe's embedding model in fp32; new weights use torch's generator. Raises ModelError if it cannot be pooled."""
    encoder = load_encoder(source, recipe.data.max_length, recipe.train.fast, quantisation_of(recipe))
    section = recipe.embedding
    if section.pooling is not None or section.dense is not None or section.normalize is not None:
        encoder = replace(encoder, model=with_modules(encoder, section))
    model: Any = encoder.model
    if section.prompts:
        model.prompts = {**(model.prompts or {}), **section.prompts}
    if recipe.train.dropout is not None:
        set_dropout(model, recipe.train.dropout)
    # Shortcuts for classifiers do not fit: all tokens are pooled, and random batches are run in groups by length.
    path = encoder.fast_path
    reasons = {name: why for name, why in path.reasons.items() if name not in ("bucketed", "first_token")}
    if path.fast:
        reasons["length_groups"] = "each batch is drawn at random and run in groups of similar length: less padding"
    return make_encoder(source.name, model, replace(path, bucketed=False, first_token=False, reasons=reasons))


def with_modules(encoder: SentenceEncoder, section: EmbeddingSection) -> SentenceTransformer:
    """Rebuilds the model with the pooling, dense layer and normalisation of the recipe."""
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling

    before: list[Any] = list(encoder.model)
    if not encoder.is_plain:
        raise ModelError.one(f"model.name {encoder.name}", "its first module is no transformer on text: it has nothing to pool.")
    pooling: Any = next((module for module in before if isinstance(module, Pooling)), None)
    if section.pooling is not None or pooling is None:
        pooling = Pooling(before[0].get_embedding_dimension(), section.pooling or "mean")
    modules = [before[0], pooling]
    if section.dense is not None:
        modules.append(Dense(pooling.get_embedding_dimension(), section.dense))
    else:
        modules += [module for module in before if isinstance(module, Dense) and section.pooling is None]
    normalises = section.pooling is None and section.dense is None and any(isinstance(module, Normalize) for module in before)
    if section.normalize if section.normalize is not None else normalises:
        modules.append(Normalize())
    return of_modules(encoder.model, modules)


def of_modules(model: Any, modules: list[Any]) -> SentenceTransformer:
    """Builds a model of these modules with the prompts, the similarity and the device of another."""
    from sentence_transformers import SentenceTransformer

    kept = {name: getattr(model, name) for name in ("prompts", "default_prompt_name", "similarity_fn_name")}
    return SentenceTransformer(modules=modules, device=str(model.device), **kept)


def prepare_training(encoder: SentenceEncoder, recipe: Recipe, total_steps: int) -> None:
    """Freezes parameters, or puts an adapter on the body. Raises RecipeError or ModelError if the model does not allow it."""
    if recipe.adapter is not None:
        add_adapter(encoder, recipe.adapter, total_steps)
        return
    names = [name for name, _ in encoder.model.named_parameters()]
    outside = {name for name in names if not name.startswith("0.")}
    selected = select_parameters(names, recipe.train.train_layers, outside)
    for name, parameter in encoder.model.named_parameters():
        parameter.requires_grad_(name in selected and POOLER not in name)


def add_adapter(encoder: SentenceEncoder, section: AdapterSection, total_steps: int) -> None:
    """Puts a peft adapter on the body, in place. Raises ModelError for methods that cannot be merged or that add tokens."""
    where, remedy = f"adapter.method {section.method}", "Use lora, dora, ia3, adalora, vera, ..."
    if section.method in BOTTLENECKS:
        raise ModelError.one(where, "it cannot be merged, and an embedding model is saved whole.", remedy)
    first: Any = encoder.model[0]
    config = adapter_config(section, total_steps, "FEATURE_EXTRACTION")
    refuse_changed_base(first.model, section, config)
    if config.is_prompt_learning:
        message = "it adds tokens to every text, which would be pooled with the text's own and cannot be merged."
        raise ModelError.one(where, message, remedy)
    from peft import get_peft_model

    is_quantised = detect_quantisation(first.model) is not None
    with model_errors(where, "peft cannot put it on this model", remedy, PEFT_ERRORS):
        first.model = get_peft_model(first.model, config)
    if is_quantised:
        check_passes(first.model, where)


def merge_adapter(encoder: SentenceEncoder) -> None:
    """Merges an adapter into the body, in place; does nothing without an adapter."""
    first: Any = encoder.model[0]
    if hasattr(first, "model") and hasattr(first.model, "merge_and_unload"):
        first.model = first.model.merge_and_unload()


def merged_unquantised(encoder: SentenceEncoder, source: ModelSource) -> SentenceEncoder:
    """Returns the encoder whose adapter is merged into an unquantised body; the trained one does not change."""
    trained: Any = encoder.model[0]
    with TemporaryDirectory() as folder:
        save_model_files(trained.model, Path(folder))
        merged = with_adapter(encoder, Path(folder), source)
    merge_adapter(merged)
    return merged


def save_adapter(encoder: SentenceEncoder, folder: Path, source: ModelSource) -> SentenceEncoder | None:
    """Saves the body's adapter with the record of its base model, and loads it again; the encoder does not change.

    Returns:
        A new body of the base model, in as many bits as during training, with the saved adapter, and the other modules of the
        encoder. None without an adapter, and for one that changed the base model's weights (``pissa``, ``olora``, ``loftq``):
        it does not fit the base model's files.
    """
    first: Any = encoder.model[0]
    if not can_merge(getattr(first, "model", first)) or changes_base(next(iter(first.model.peft_config.values()))):
        return None
    quantisation = detect_quantisation(first.model)
    save_model_files(first.model, folder)
    AdapterBase.of(source, quantisation=quantisation).save(folder)
    return with_adapter(encoder, folder, source, quantisation)


def with_adapter(
    encoder: SentenceEncoder, folder: Path, source: ModelSource, quantisation: Quantisation | None = None
) -> SentenceEncoder:
    """Returns the encoder with a new body: the base model with a saved adapter, unquantised unless a format is given."""
    loaded = load_encoder(source, encoder.model.max_seq_length, quantisation=quantisation)
    base: Any = loaded.model.to("cpu") if quantisation is None else loaded.model
    base[0].model = load_adapter(base[0].model, folder)
    return replace(encoder, model=of_modules(encoder.model, [base[0], *list(encoder.model)[1:]]))
