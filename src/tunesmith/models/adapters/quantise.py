"""Loads frozen weights in 4 or 8 bits by bitsandbytes, and keeps gradients flowing through them on a CPU."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from tunesmith.errors import MissingExtra, ModelError
from tunesmith.machine import device_name
from tunesmith.models.adapters.quantisation import Quantisation
from tunesmith.models.fast.path import choose_fast_path

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def loading_options(quantisation: Quantisation | None, skip: Sequence[str] | None = None) -> dict[str, Any]:
    """Returns the options of ``from_pretrained`` for quantised weights, which are made on the device that will use them.

    Args:
        skip: names of modules that stay as they are; None for transformers' choice, the output layer of a language model.
    """
    if quantisation is None:
        return {}
    device = device_name()
    if device not in ("cpu", "cuda"):
        message = f"bitsandbytes was not tested on {device}."
        raise ModelError.one("quantisation", message, "Remove the key, or use a GPU or a CPU.")
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise MissingExtra.of("bitsandbytes", "quantisation", f"quantisation: {quantisation.kind}") from None
    from transformers import BitsAndBytesConfig

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it logs at every product that fp32 becomes fp16 before 8 bits
    options: dict[str, Any] = {"load_in_8bit": True}
    if quantisation.kind != "int8":
        options = {"load_in_4bit": True, "bnb_4bit_quant_type": quantisation.kind}
        options["bnb_4bit_use_double_quant"] = quantisation.double_quant
        chosen = quantisation.compute_dtype
        options["bnb_4bit_compute_dtype"] = automatic_dtype() if chosen == "auto" else getattr(torch, chosen)
    if skip is not None:
        options["llm_int8_skip_modules"] = list(skip)
    place = int(os.environ.get("LOCAL_RANK", "0")) if device == "cuda" else "cpu"
    return {"quantization_config": BitsAndBytesConfig(**options), "device_map": {"": place}}


def classifier_options(quantisation: Quantisation | None, config: PreTrainedConfig) -> dict[str, Any]:
    """Returns the options for a classifier: its head, and a pooler below it, stay whole, since they are new or trained."""
    if quantisation is None:
        return {}
    from transformers import AutoModelForSequenceClassification

    with torch.device("meta"):
        probe = AutoModelForSequenceClassification.from_config(config)
    heads = [name for name, _ in probe.named_children() if name != probe.base_model_prefix]
    return loading_options(quantisation, [*heads, *(name for name, _ in probe.named_modules() if name.endswith("pooler"))])


def automatic_dtype() -> torch.dtype:
    """Returns the type of products with 4-bit weights on this machine: bfloat16 if it has it in hardware, else float32."""
    has_bf16 = choose_fast_path(fast=True, device=device_name()).precision == "bf16"
    return torch.bfloat16 if has_bf16 else torch.float32


def bitsandbytes_class(module: torch.nn.Module) -> str:
    """Returns the class name of a bitsandbytes layer, else the empty string; peft's wrappers have the same class names."""
    kind = type(module)
    return kind.__name__ if kind.__module__.startswith("bitsandbytes.") else ""


def keep_trainable_form(model: torch.nn.Module) -> int:
    """Keeps 4-bit layers in the form with a backward pass, in place, and returns their number.

    On processors with AVX512-BF16 bitsandbytes repacks the weights in the first forward pass outside training. Repacked weights
    have no backward pass: every step after the first evaluation would have a gradient of exactly zero.
    """
    layers: list[Any] = [module for module in model.modules() if bitsandbytes_class(module) == "Linear4bit"]
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False
    return len(layers)


def detect_quantisation(model: torch.nn.Module) -> Quantisation | None:
    """Returns the format of the weights of a model in memory, adapters aside; None for unquantised weights.

    A compute dtype that this machine chooses by itself is given as auto.
    """
    for module in model.modules():
        layer: Any = module
        if bitsandbytes_class(layer) == "Linear4bit":
            dtype: Any = "auto" if layer.compute_dtype == automatic_dtype() else str(layer.compute_dtype).removeprefix("torch.")
            return Quantisation(layer.weight.quant_type, dtype, bool(layer.weight.compress_statistics))
        if bitsandbytes_class(layer) == "Linear8bitLt":
            return Quantisation("int8")
    return None
