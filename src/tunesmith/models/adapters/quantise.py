"""Loads frozen weights in 4 or 8 bits by bitsandbytes, and keeps gradients flowing through them on a CPU."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Literal

import torch

from tunesmith.errors import MissingExtra, ModelError
from tunesmith.machine import device_name
from tunesmith.models.fast.path import choose_fast_path

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig, PreTrainedConfig

Quantisation = Literal["nf4", "int8"]

NAMES = {"nf4": "4 bits (NF4)", "int8": "8 bits"}


def quantisation_config(kind: Quantisation) -> BitsAndBytesConfig:
    """Builds the config for NF4 with double quantisation (Dettmers et al. 2023, "QLoRA"), or LLM.int8() (2022).

    NF4 weights are multiplied in bf16 if the machine has it in hardware, else in fp32.

    Raises:
        MissingExtra: bitsandbytes is not installed.
    """
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise MissingExtra.of("bitsandbytes", "quantisation", f"quantisation: {kind}") from None
    from transformers import BitsAndBytesConfig

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it logs at every product that fp32 becomes fp16 before 8 bits
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    has_bf16 = choose_fast_path(fast=True, device=device_name()).precision == "bf16"
    nf4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    return BitsAndBytesConfig(**nf4, bnb_4bit_compute_dtype=torch.bfloat16 if has_bf16 else torch.float32)


def loading_options(kind: Quantisation | None) -> dict[str, Any]:
    """Returns the options of ``from_pretrained`` for quantised weights, which are made on the device that will use them."""
    if kind is None:
        return {}
    device = device_name()
    if device not in ("cpu", "cuda"):
        message = f"bitsandbytes was not tested on {device}."
        raise ModelError.one("quantisation", message, "Remove the key, or use a GPU or a CPU.")
    place = int(os.environ.get("LOCAL_RANK", "0")) if device == "cuda" else "cpu"
    return {"quantization_config": quantisation_config(kind), "device_map": {"": place}}


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
    """Returns the format of the weights of a model in memory, adapters aside; None for unquantised weights."""
    kinds = {bitsandbytes_class(module) for module in model.modules()}
    if "Linear4bit" in kinds:
        return "nf4"
    return "int8" if "Linear8bitLt" in kinds else None


def refuse_stored_quantisation(config: PreTrainedConfig, where: str) -> None:
    """Raises ModelError for a model whose files hold quantised weights: nothing could be merged into them.

    Merging into 4 bits loses by rounding as much as an adapter learns.
    """
    stored: Any = getattr(config, "quantization_config", None)
    if stored is None:
        return
    method = stored.get("quant_method") if isinstance(stored, dict) else getattr(stored, "quant_method", None)
    held = f"quantised weights ({getattr(method, 'value', method) or 'unknown method'})"
    message = f"its files hold {held}: an adapter cannot be merged into them without losing its effect to rounding."
    remedy = "Name the model they were made from, and write quantisation: nf4 (or int8) to train on it in few bits."
    raise ModelError.one(where, message, remedy)


def refuse_without_adapter(kind: Quantisation | None) -> None:
    """Raises ModelError for quantised weights that would have to be trained or saved themselves."""
    if kind is not None:
        message = f"weights in {NAMES[kind]} cannot be trained themselves."
        raise ModelError.one("quantisation", message, "Add adapter: {method: lora}, or remove the key.")
