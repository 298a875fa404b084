"""Bottleneck adapters, which peft does not have: small layers behind the sublayers of a transformer.

After a sublayer with output h (and before the residual connection adds what went in):

    h + W_up f(W_down h + b_down) + b_up

W_up and b_up begin at zero, so that a model with new adapters is the base model. Houlsby et al. 2019 ("Parameter-Efficient
Transfer Learning for NLP") put one behind attention and one behind the feed-forward sublayer of each layer; Pfeiffer et al. 2021
("AdapterFusion") one behind the feed-forward sublayer alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from tunesmith.errors import ModelError, RecipeError
from tunesmith.models.adapters.methods import BOTTLENECKS
from tunesmith.models.layers import layer_lists
from tunesmith.recipe.sections import AdapterSection

SETTINGS, WEIGHTS = "bottleneck.json", "bottleneck.safetensors"

# Model type -> the last modules of attention and of the feed-forward sublayer, as named inside a layer. Both end what the
# sublayer adds to its input: its dropout where that stands as a module, else its last product.
BERT_LIKE = ("attention.output.dropout", "output.dropout")
LLAMA_LIKE = ("self_attn.o_proj", "mlp.down_proj")
PLACES: Mapping[str, tuple[str, str]] = {
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
NON_LINEARITIES: Mapping[str, Any] = {
    "relu": torch.relu,
    "gelu": nn.functional.gelu,
    "swish": nn.functional.silu,
    "tanh": torch.tanh,
}


@dataclass(frozen=True)
class BottleneckSettings:
    """What is put behind the sublayers.

    Attributes:
        reduction_factor: the width of the model over that of the bottleneck.
    """

    method: Literal["houlsby", "pfeiffer"]
    reduction_factor: float = 16
    non_linearity: str = "gelu"


class Bottleneck(nn.Module):
    """(..., D) -> (..., D); the identity until it is trained."""

    def __init__(self, width: int, settings: BottleneckSettings) -> None:
        super().__init__()
        inner = max(1, int(width / settings.reduction_factor))
        self.settings = settings
        self.down, self.up = nn.Linear(width, inner), nn.Linear(inner, width)
        self.active = NON_LINEARITIES[settings.non_linearity]
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = self.up(self.active(self.down(states.to(self.down.weight.dtype))))
        return states + added.to(states.dtype)


def settings_of(section: AdapterSection) -> BottleneckSettings:
    """The settings in a recipe's adapter section.

    Raises:
        RecipeError: unknown options, or values they cannot have.
    """
    given, known = dict(section.model_extra or {}), ("reduction_factor", "non_linearity")
    for name in sorted(set(given) - set(known)):
        message = f"the method {section.method} has no option of that name."
        raise RecipeError.one(f"adapter.{name}", message, f"Known: {', '.join(known)}.")
    factor, shape = given.get("reduction_factor", 16), given.get("non_linearity", "gelu")
    if isinstance(factor, bool) or not isinstance(factor, int | float) or factor < 1:
        raise RecipeError.one("adapter.reduction_factor", f"must be a number from 1 on, found {factor!r}.", "For example 16.")
    if shape not in NON_LINEARITIES:
        raise RecipeError.one("adapter.non_linearity", f"{shape!r} is unknown.", f"Known: {', '.join(NON_LINEARITIES)}.")
    return BottleneckSettings(section.method, float(factor), shape)  # type: ignore[arg-type]


def add_bottlenecks(model: Any, settings: BottleneckSettings) -> int:
    """Put bottlenecks into a model in place and freeze everything else; how many there are.

    Raises:
        ModelError: it is not known where they go in a model of this type, or the model has some already.
    """
    where = f"adapter.method {settings.method}"
    if has_bottlenecks(model):
        raise ModelError.one(where, "the model has bottleneck adapters already.")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    places = modules_behind(model, settings.method, where)
    for module, width in places:
        anchor = next(model.parameters())
        module.add_module("bottleneck", Bottleneck(width, settings).to(anchor.device))
        module.register_forward_hook(through_bottleneck)
    return len(places)


def through_bottleneck(module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
    """The output of a module with a bottleneck behind it."""
    changed: torch.Tensor = module.bottleneck(output)
    return changed


def modules_behind(model: Any, method: str, where: str) -> list[tuple[nn.Module, int]]:
    """The modules that get a bottleneck behind them, each with the width of its output."""
    family = getattr(model.config, "model_type", "")
    if family not in PLACES:
        raise ModelError.one(
            where, f"it is not known where bottlenecks go in a model of type {family or 'unknown'}.",
            f"Use lora, or a model of one of these types: {', '.join(sorted(PLACES))}.",
        )  # fmt: skip
    names = PLACES[family][1:] if method == "pfeiffer" else PLACES[family]
    width = getattr(model.config, "hidden_size", None) or model.config.dim
    layers = [layer for layers in layer_lists(model).values() for layer in layers]
    return [(layer.get_submodule(name), width) for layer in layers for name in names]


def bottlenecks(model: Any) -> list[Bottleneck]:
    """Those that a model has."""
    return [module for module in model.modules() if isinstance(module, Bottleneck)]


def has_bottlenecks(model: Any) -> bool:
    return bool(bottlenecks(model))


def save_bottlenecks(model: Any, folder: Path) -> None:
    """Write the settings and everything that was trained, a new head included."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = bottlenecks(model)[0].settings
    (folder / SETTINGS).write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")
    trained = {name: p.detach().cpu().clone().contiguous() for name, p in model.named_parameters() if p.requires_grad}
    save_file(trained, folder / WEIGHTS, metadata={"format": "pt"})


def load_bottlenecks(model: Any, folder: Path) -> None:
    """Put saved bottlenecks, and what else was trained with them, into the base model in place.

    Raises:
        ModelError: the files are missing or damaged, or belong to a model of other shapes.
    """
    where = str(folder)
    try:
        found = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
        settings = BottleneckSettings(**found)
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise ModelError.one(where, f"its bottleneck adapters cannot be read: {error}.", "Copy the folder again.") from error
    if settings.method not in BOTTLENECKS or settings.non_linearity not in NON_LINEARITIES:
        raise ModelError.one(where, f"{SETTINGS} names no bottleneck adapter: {found}.")
    add_bottlenecks(model, settings)
    own = dict(model.named_parameters())
    wrong = [name for name, tensor in tensors.items() if name not in own or own[name].shape != tensor.shape]
    left = [name for name in own if ".bottleneck." in name and name not in tensors]
    if wrong or left:
        raise ModelError.one(
            where, f"its adapters do not fit the base model: {', '.join((wrong + left)[:3])}.",
            "Load them with the model they were trained on.",
        )  # fmt: skip
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
