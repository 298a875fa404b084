"""Adds adapters to language models, and trains new tokens and a new head with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tunesmith.errors import ModelError, first_line
from tunesmith.models.adapters.attach import adapter_config, attach_bottlenecks, wrap_with_peft
from tunesmith.models.adapters.methods import BOTTLENECKS, changes_base
from tunesmith.models.adapters.prompt_positions import hide_virtual_tokens
from tunesmith.models.adapters.quantise import NAMES, detect_quantisation
from tunesmith.models.language.model import Objective
from tunesmith.models.load import LoadedModel
from tunesmith.recipe.sections import AdapterSection

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel


def add_language_adapter(
    loaded: LoadedModel, section: AdapterSection, total_steps: int, objective: Objective
) -> PreTrainedModel | PeftModel:
    """Adds an adapter: the base is frozen; adapter, new tokens and a new head are trainable.

    Raises:
        MissingExtra, RecipeError: see ``adapter_config``.
        ModelError: the method does not fit the model, or the quantised base.
    """
    where, is_quantised = f"adapter.method {section.method}", detect_quantisation(loaded.model) is not None
    if section.method in BOTTLENECKS:
        if is_quantised:
            message = "upstream's trainer takes quantised models only with an adapter of peft."
            raise ModelError.one(where, message, "Use lora, or remove quantisation.")
        if loaded.new_tokens:
            raise ModelError.one(where, f"it cannot train the {len(loaded.new_tokens)} new tokens.", "Use lora.")
        return attach_bottlenecks(loaded.model, section, set(loaded.new_weights))
    config = adapter_config(section, total_steps, objective.peft_task_type, modules_with_new_tokens(loaded))
    if changes_base(config) and is_quantised:
        message = "it starts from a part of the base model's weights, which would have to be rounded again without it."
        raise ModelError.one(where, message, "Use lora, dora or rslora, or remove quantisation.")
    train_new_head(config, loaded)
    model = hide_virtual_tokens(wrap_with_peft(loaded.model, section, config))
    check_passes(model, where)
    return model


def check_passes(model: PeftModel, where: str) -> None:
    """Raises ModelError if forward or backward passes fail, which peft does not report when it wraps the model.

    Some methods need inputs that a language model does not get; some cannot multiply quantised weights, or only once, or not
    when training and evaluation alternate.
    """
    ids, was_training = torch.zeros((1, 2), dtype=torch.long, device=next(model.parameters()).device), model.training
    kind = detect_quantisation(model)
    try:
        with torch.random.fork_rng():
            for is_training in (True, False, True) if kind else (True,):
                model.train(is_training)(input_ids=ids).logits.sum().backward()
    except (RuntimeError, AttributeError, TypeError, ValueError, IndexError) as error:
        place = "on this model" if kind is None else f"on weights in {NAMES[kind]}"
        remedy = "Use lora." if kind is None else "Use lora, or remove quantisation."
        raise ModelError.one(where, f"peft cannot compute it {place}: {first_line(error)}.", remedy) from error
    model.zero_grad(set_to_none=True)
    model.train(was_training)


def modules_with_new_tokens(loaded: LoadedModel) -> dict[str, tuple[int, ...]]:
    """Maps the embedding, and an output layer with weights of its own, to the ids of the new tokens."""
    if not loaded.new_tokens:
        return {}
    embedding, head = loaded.model.get_input_embeddings(), loaded.model.get_output_embeddings()
    is_tied = head is None or head.weight is embedding.weight
    return {
        name: loaded.new_tokens
        for name, module in loaded.model.named_modules()
        if module is embedding or (module is head and not is_tied)
    }


def train_new_head(config: PeftConfig, loaded: LoadedModel) -> None:
    """Trains and saves randomly initialised modules with the adapter, except an output layer tied to the embedding."""
    head = loaded.model.get_output_embeddings()
    names = {name.rpartition(".")[0] for name in loaded.new_weights}
    modules = {name: loaded.model.get_submodule(name) for name in names if name}
    new = sorted(name for name, module in modules.items() if not list(module.children()) and module is not head)
    if new:
        config.modules_to_save = [*(getattr(config, "modules_to_save", None) or ()), *new]
