"""Selects which parameters are trained, sets dropout, and finds and removes transformer layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from torch import nn

from tunesmith.data.cells import plural
from tunesmith.errors import RecipeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LAYER = re.compile(r"(?:^|\.)(?:layer|layers|h|block|blocks)\.(\d+)\.")
# The norm after the last layer, as named in decoders and in encoders that have it outside the last layer.
FINAL_NORM = re.compile(r"(?:^|\.)(?:norm|ln_f|final_norm|final_layer_norm|final_layernorm)\.(?:weight|bias)$")


def freeze(model: PreTrainedModel, train_layers: str | list[str]) -> tuple[str, ...]:
    """Freezes all parameters but the selected ones, in place, and returns the names of those.

    Args:
        train_layers: ``all``; ``head``: everything outside the body, and its pooler; ``last N``: the head and the
            last N transformer layers, embeddings frozen; or regular expressions searched for in parameter names.
            A language-model head that shares its weights with the embedding counts as embedding, and so is frozen.
    """
    names = [name for name, _ in model.named_parameters()]
    selected = select_parameters(names, train_layers, head_parameters(model, names))
    if not selected:
        message = "the output layer of this model is its word embedding: there is no head of its own to train."
        raise RecipeError.one("train.train_layers", message, "Write last 1, all, or a list of patterns such as embed_tokens.")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in selected)
    return tuple(name for name in names if name in selected)


def set_dropout(model: nn.Module, rate: float) -> None:
    """Sets the rate of every dropout module. The configuration, and so what is saved, keeps the model's own rates."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate


def select_parameters(names: list[str], train_layers: str | list[str], head: set[str]) -> set[str]:
    """Returns the names of the parameters that ``train_layers`` selects, see ``freeze``."""
    if isinstance(train_layers, list):
        return match_patterns(names, train_layers)
    if train_layers == "all":
        return set(names)
    if train_layers == "head":
        return head
    count = int(train_layers.removeprefix("last "))
    numbered = {name: int(match.group(1)) for name in names if (match := LAYER.search(name))}
    n_layers = max(numbered.values(), default=-1) + 1
    if count > n_layers:
        message = f"the last {plural(count, 'layer', 'is', 'are')} requested, but the model has {n_layers}."
        raise RecipeError.one("train.train_layers", message, "Use 'all' to train everything.")
    norm = {name for name in names if name not in numbered and FINAL_NORM.search(name) and "embeddings." not in name}
    return head | norm | {name for name, number in numbered.items() if number >= n_layers - count}


def head_parameters(model: PreTrainedModel, names: list[str]) -> set[str]:
    """Selects the parameters outside the transformer body, and the body's pooler, which only the head uses."""
    body = f"{model.base_model_prefix}."
    return {name for name in names if not name.startswith(body) or ".pooler." in name}


def layer_lists(model: nn.Module) -> dict[str, nn.ModuleList]:
    """Maps module names to the outermost lists of transformer layers; encoders and decoders have one."""
    lists: dict[str, nn.ModuleList] = {}
    for name, module in model.named_modules():
        is_inside = any(name.startswith(f"{other}.") for other in lists)
        if isinstance(module, nn.ModuleList) and LAYER.search(f"{name}.0.") and not is_inside:
            lists[name] = module
    return lists


def count_layers(model: nn.Module) -> int:
    """Returns the number of layers; 0 if they are not in one list."""
    lists = list(layer_lists(model).values())
    return len(lists[0]) if len(lists) == 1 else 0


def keep_first_layers(model: PreTrainedModel, count: int) -> None:
    """Removes the layers after the first ``count``, in place. Raises ValueError if there are fewer, or not one list of them."""
    if not 0 < count <= count_layers(model):
        raise ValueError(f"{plural(count, 'layer', 'is', 'are')} requested; the model has {count_layers(model)} in one list")
    ((name, layers),) = layer_lists(model).items()
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layers[:count])
    if hasattr(model.config, "num_hidden_layers"):
        model.config.num_hidden_layers = count


def match_patterns(names: list[str], patterns: list[str]) -> set[str]:
    """Selects the parameter names in which a pattern is found. Raises RecipeError for a pattern that is found in none."""
    selected: set[str] = set()
    for pattern in patterns:
        try:
            matching = {name for name in names if re.search(pattern, name)}
        except re.error as error:
            raise RecipeError.one("train.train_layers", f"{pattern!r} is no regular expression: {error}.") from None
        if not matching:
            message = f"no parameter name contains {pattern!r}."
            raise RecipeError.one("train.train_layers", message, f"Names look like {names[0]}.")
        selected |= matching
    return selected
