"""Bottleneck adapters, which peft does not have: small layers after the sublayers of a transformer.

A sublayer's output h becomes, before the residual connection:

    h + W_up f(W_down h + b_down) + b_up

W_up and b_up start at zero, so that a model with new adapters equals the base model. Houlsby et al. 2019 ("Parameter-Efficient
Transfer Learning for NLP") add one after attention and one after the feed-forward sublayer of each layer; Pfeiffer et al. 2021
("AdapterFusion") one after the feed-forward sublayer only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from tunesmith.disk import write_text
from tunesmith.errors import ModelError, RecipeError
from tunesmith.models.adapters.methods import BOTTLENECKS
from tunesmith.models.layers import layer_lists
from tunesmith.recipe.sections import AdapterSection

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SETTINGS, WEIGHTS = "bottleneck.json", "bottleneck.safetensors"

# Model type -> the last modules of attention and of the feed-forward sublayer, as named inside a layer: the dropout if it is
# a module, else the last linear layer.
BERT_LIKE = ("attention.output.dropout", "output.dropout")
LLAMA_LIKE = ("self_attn.o_proj", "mlp.down_proj")
SUBLAYERS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("bert", "camembert", "deberta-v2", "electra", "roberta", "xlm-roberta"), BERT_LIKE),
    "distilbert": ("attention.out_lin", "ffn"),
    "mpnet": ("attention.dropout", "output.dropout"),
    "modernbert": ("attn.Wo", "mlp.Wo"),
    **dict.fromkeys(
        ("cohere", "gemma", "granite", "llama", "mistral", "phi3", "qwen2", "qwen3", "smollm3", "stablelm"), LLAMA_LIKE
    ),
    "starcoder2": ("self_attn.o_proj", "mlp.c_proj"),
    "gpt2": ("attn.resid_dropout", "mlp.dropout"),
    "gpt_neo": ("attn.attention.resid_dropout", "mlp.dropout"),
    "gpt_neox": ("post_attention_dropout", "post_mlp_dropout"),
    "phi": ("self_attn.dense", "mlp.fc2"),
    "opt": ("self_attn.out_proj", "fc2"),
}
NON_LINEARITIES: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "gelu": nn.functional.gelu,
    "swish": nn.functional.silu,
    "tanh": torch.tanh,
}


@dataclass(frozen=True)
class BottleneckSettings:
    """Method and size of the bottlenecks; ``reduction_factor`` is the width of the model divided by theirs."""

    method: Literal["houlsby", "pfeiffer"]
    reduction_factor: float = 16
    non_linearity: str = "gelu"


class Bottleneck(nn.Module):
    """Residual bottleneck (..., D) -> (..., D); the identity until it is trained."""

    def __init__(self, width: int, settings: BottleneckSettings) -> None:
        super().__init__()
        inner = max(1, int(width / settings.reduction_factor))
        self.settings = settings
        self.down, self.up = nn.Linear(width, inner), nn.Linear(inner, width)
        self.active = NON_LINEARITIES[settings.non_linearity]
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        for zeros in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zeros)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = self.up(self.active(self.down(states.to(self.down.weight.dtype))))
        return states + added.to(states.dtype)


def read_settings(section: AdapterSection) -> BottleneckSettings:
    """Reads the settings in a recipe's adapter section. Raises RecipeError for unknown options, or values they cannot have."""
    options = dict(section.model_extra or {})
    for name in sorted(set(options) - {"reduction_factor", "non_linearity"}):
        message = f"the method {section.method} has no option of that name."
        raise RecipeError.one(f"adapter.{name}", message, "Known: reduction_factor, non_linearity.")
    factor, non_linearity = options.get("reduction_factor", 16), options.get("non_linearity", "gelu")
    if isinstance(factor, bool) or not isinstance(factor, int | float) or factor < 1:
        raise RecipeError.one("adapter.reduction_factor", f"must be a number from 1 on, found {factor!r}.", "For example 16.")
    if non_linearity not in NON_LINEARITIES:
        raise RecipeError.one("adapter.non_linearity", f"{non_linearity!r} is unknown.", f"Known: {', '.join(NON_LINEARITIES)}.")
    return BottleneckSettings(section.method, float(factor), non_linearity)  # type: ignore[arg-type]


def add_bottlenecks(model: PreTrainedModel, settings: BottleneckSettings) -> int:
    """Adds bottlenecks in place, freezes the rest, and returns their number. Raises ModelError for unknown model types."""
    where, family = f"adapter.method {settings.method}", getattr(model.config, "model_type", "")
    if has_bottlenecks(model):
        raise ModelError.one(where, "the model has bottleneck adapters already.")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if family not in SUBLAYERS:
        message = f"the places for bottlenecks in a model of type {family or 'unknown'} are not known."
        raise ModelError.one(where, message, f"Use lora, or a model of one of these types: {', '.join(sorted(SUBLAYERS))}.")
    names = SUBLAYERS[family][1:] if settings.method == "pfeiffer" else SUBLAYERS[family]
    layers = [layer for layers in layer_lists(model).values() for layer in layers]
    modules = [layer.get_submodule(name) for layer in layers for name in names]
    width = getattr(model.config, "hidden_size", None) or model.config.dim
    for module in modules:
        module.add_module("bottleneck", Bottleneck(width, settings).to(next(model.parameters()).device))
        module.register_forward_hook(apply_bottleneck)
    return len(modules)


def apply_bottleneck(module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
    """Forward hook: applies the module's bottleneck to its output."""
    changed: torch.Tensor = module.bottleneck(output)  # type: ignore[operator]
    return changed


def bottlenecks(model: nn.Module) -> list[Bottleneck]:
    return [module for module in model.modules() if isinstance(module, Bottleneck)]


def has_bottlenecks(model: nn.Module) -> bool:
    return bool(bottlenecks(model))


def save_bottlenecks(model: nn.Module, folder: Path) -> None:
    """Writes the settings and all trained parameters, including a new head."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = bottlenecks(model)[0].settings
    write_text(folder / SETTINGS, json.dumps(asdict(settings), indent=2) + "\n")
    trained = {name: p.detach().cpu().clone().contiguous() for name, p in model.named_parameters() if p.requires_grad}
    save_file(trained, folder / WEIGHTS, metadata={"format": "pt"})


def load_bottlenecks(model: PreTrainedModel, folder: Path) -> None:
    """Loads bottlenecks, and what was trained with them, into the base model. Raises ModelError if damaged or of other shapes."""
    where = str(folder)
    try:
        saved = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
        settings = BottleneckSettings(**saved)
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise ModelError.one(where, f"its bottleneck adapters cannot be read: {error}.", "Copy the folder again.") from error
    if settings.method not in BOTTLENECKS or settings.non_linearity not in NON_LINEARITIES:
        raise ModelError.one(where, f"{SETTINGS} names no bottleneck adapter: {saved}.")
    add_bottlenecks(model, settings)
    own = dict(model.named_parameters())
    wrong = [name for name, tensor in tensors.items() if name not in own or own[name].shape != tensor.shape]
    missing = [name for name in own if ".bottleneck." in name and name not in tensors]
    if wrong or missing:
        message = f"its adapters do not fit the base model: {', '.join((wrong + missing)[:3])}."
        raise ModelError.one(where, message, "Load them with the model they were trained on.")
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
