"""An adapter on a language model, and the new tokens and the new head that are trained with it."""

from __future__ import annotations

from typing import Any

import torch

from tunesmith.errors import ModelError
from tunesmith.models.adapters.attach import adapter_config, with_bottlenecks, wrapped
from tunesmith.models.adapters.methods import BOTTLENECKS, changes_base
from tunesmith.models.adapters.prompt_positions import aligned
from tunesmith.models.adapters.quantise import NAMES, quantisation_of
from tunesmith.models.language.model import Objective
from tunesmith.models.load import Loaded, first_line
from tunesmith.recipe.sections import AdapterSection

# peft has no task type of masked models. That of embeddings only means: no head, and prompts go before the input.
TASK_TYPES: dict[Objective, str] = {"causal": "CAUSAL_LM", "masked": "FEATURE_EXTRACTION"}


def add_language_adapter(loaded: Loaded, section: AdapterSection, total_steps: int, objective: Objective) -> Any:
    """A language model with an adapter: base frozen, adapter trainable, and so are new tokens and a new head.

    Raises:
        MissingExtra, RecipeError: see ``adapter_config``.
        ModelError: the method does not fit the model, or the quantised base.
    """
    where = f"adapter.method {section.method}"
    if section.method in BOTTLENECKS:
        if quantisation_of(loaded.model) is not None:
            message = "upstream's trainer takes no quantised model but with an adapter of peft."
            raise ModelError.one(where, message, "Use lora, or remove quantisation.")
        if loaded.new_tokens:
            raise ModelError.one(where, f"it cannot train the {len(loaded.new_tokens)} new tokens.", "Use lora.")
        return with_bottlenecks(loaded.model, section, set(loaded.new_weights))
    config = adapter_config(section, total_steps, TASK_TYPES[objective], rows_of_new_tokens(loaded))
    if changes_base(config) and quantisation_of(loaded.model) is not None:
        message = "it begins with a part of the base model's weights, which would have to be rounded again without it."
        raise ModelError.one(where, message, "Use lora, dora or rslora, or remove quantisation.")
    train_new_head(config, loaded)
    model = aligned(wrapped(loaded.model, section, config))
    try_passes(model, where)
    return model


def try_passes(model: Any, where: str) -> None:
    """Raise ModelError where a method cannot compute on this model, which peft does not say when it is put on it.

    Some need what a language model is not given; some cannot multiply weights in few bits, or only once, or not in turns of
    training and evaluation.
    """
    ids, was_training = torch.zeros((1, 2), dtype=torch.long, device=next(model.parameters()).device), model.training
    kind = quantisation_of(model)
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


def rows_of_new_tokens(loaded: Loaded) -> dict[str, tuple[int, ...]]:
    """Module -> ids of new tokens: the embedding, and the output layer where that has weights of its own."""
    if not loaded.new_tokens:
        return {}
    inner, outer = loaded.model.get_input_embeddings(), loaded.model.get_output_embeddings()
    modules = [inner] if outer is None or outer.weight is inner.weight else [inner, outer]
    return {name: loaded.new_tokens for name, module in loaded.model.named_modules() if any(module is one for one in modules)}


def train_new_head(config: Any, loaded: Loaded) -> None:
    """Have the modules that start random trained and saved with the adapter, but for what is tied to the embedding."""
    outside = loaded.model.get_output_embeddings()
    names = {name.rpartition(".")[0] for name in loaded.new_weights}
    modules = {name: loaded.model.get_submodule(name) for name in names if name}
    new = sorted(name for name, module in modules.items() if not list(module.children()) and module is not outside)
    if new:
        config.modules_to_save = [*(getattr(config, "modules_to_save", None) or ()), *new]
