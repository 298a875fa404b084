"""Which parameters are trained (all, the head, the last layers, or those a pattern names) and with how much dropout."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from torch import nn

from tunesmith.errors import RecipeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LAYER = re.compile(r"(?:^|\.)(?:layer|layers|h|block|blocks)\.(\d+)\.")
# The norm after the last layer, as decoders and the encoders without one inside the last layer name it.
FINAL_NORM = re.compile(r"(?:^|\.)(?:norm|ln_f|final_norm|final_layer_norm|final_layernorm)\.(?:weight|bias)$")


def freeze(model: PreTrainedModel, train_layers: str | list[str]) -> tuple[str, ...]:
    """The names of the parameters that stay trainable, after every other one was frozen in place.

    Args:
        train_layers: ``all``; ``head``: what lies outside the body, and its pooler; ``last N``: the head and the
            last N transformer layers, embeddings frozen; or regular expressions searched for in parameter names.
            The head of a language model that shares its weights with the embedding is the embedding, and so is frozen.

    Raises:
        RecipeError: more layers were asked for than the model has, a pattern matches nothing, or the model has no head.
    """
    chosen = chosen_parameters(model, train_layers)
    if not chosen:
        raise RecipeError.one(
            "train.train_layers", "the output layer of this model is its word embedding: there is no head of its own to train.",
            "Write last 1, all, or a list of patterns such as embed_tokens.",
        )  # fmt: skip
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)
    return tuple(name for name, _ in model.named_parameters() if name in chosen)


def set_dropout(model: nn.Module, rate: float) -> None:
    """Give every dropout of a model this rate. The configuration, and so what is saved, keeps the model's own."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate


def chosen_parameters(model: PreTrainedModel, train_layers: str | list[str]) -> set[str]:
    names = [name for name, _ in model.named_parameters()]
    if isinstance(train_layers, list):
        return by_patterns(names, train_layers)
    if train_layers == "all":
        return set(names)
    head = head_parameters(model, names)
    if train_layers == "head":
        return head
    return head | last_layers(names, int(train_layers.removeprefix("last ")))


def head_parameters(model: PreTrainedModel, names: list[str]) -> set[str]:
    """Parameters outside the transformer body, and the body's pooler, which only the head uses."""
    body = f"{model.base_model_prefix}."
    return {name for name in names if not name.startswith(body) or ".pooler." in name}


def last_layers(names: list[str], count: int) -> set[str]:
    """Parameters of the last ``count`` numbered layers, and of the final norm that follows them where there is one."""
    numbered = {name: int(found.group(1)) for name in names if (found := LAYER.search(name))}
    n_layers = max(numbered.values(), default=-1) + 1
    if count > n_layers:
        raise RecipeError.one(
            "train.train_layers",
            f"the last {count} layers were asked for, the model has {n_layers}.",
            "Use 'all' to train everything.",
        )
    norm = {name for name in names if name not in numbered and FINAL_NORM.search(name) and "embeddings." not in name}
    return norm | {name for name, number in numbered.items() if number >= n_layers - count}


def layer_lists(model: nn.Module) -> dict[str, nn.ModuleList]:
    """The outermost lists of transformer layers, by their place in the model: one in an encoder or a decoder."""
    lists: dict[str, nn.ModuleList] = {}
    for name, module in model.named_modules():
        is_inside = any(name.startswith(f"{other}.") for other in lists)
        if isinstance(module, nn.ModuleList) and LAYER.search(f"{name}.0.") and not is_inside:
            lists[name] = module
    return lists


def n_layers_of(model: nn.Module) -> int:
    """How many layers the model has; 0 where they do not stand in one list."""
    lists = list(layer_lists(model).values())
    return len(lists[0]) if len(lists) == 1 else 0


def keep_first_layers(model: PreTrainedModel, count: int) -> None:
    """Take the layers after the first ``count`` out of the model, in place.

    Raises:
        ValueError: the model has not so many, or they do not stand in one list.
    """
    if not 0 < count <= n_layers_of(model):
        raise ValueError(f"{count} layers were asked for; the model has {n_layers_of(model)} that can be told apart")
    ((name, layers),) = layer_lists(model).items()
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layers[:count])
    if hasattr(model.config, "num_hidden_layers"):
        model.config.num_hidden_layers = count


def by_patterns(names: list[str], patterns: list[str]) -> set[str]:
    """Parameters whose name one of the patterns finds."""
    chosen: set[str] = set()
    for pattern in patterns:
        try:
            found = {name for name in names if re.search(pattern, name)}
        except re.error as error:
            raise RecipeError.one("train.train_layers", f"{pattern!r} is no regular expression: {error}.") from None
        if not found:
            raise RecipeError.one(
                "train.train_layers", f"no parameter name contains {pattern!r}.", f"Names look like {names[0]}."
            )
        chosen |= found
    return chosen
