"""Loads frozen weights in 4 or 8 bits by bitsandbytes, and keeps gradients flowing through them on a CPU."""

from __future__ import annotations

import logging
import os
from typing import Any, Literal

import torch

from tunesmith.errors import MissingExtra, ModelError
from tunesmith.machine import device_name
from tunesmith.models.fast.path import choose_fast_path

Quantisation = Literal["nf4", "int8"]

NAMES = {"nf4": "4 bits (NF4)", "int8": "8 bits"}


def loading_options(kind: Quantisation | None) -> dict[str, Any]:
    """Returns the options of ``from_pretrained`` for quantised weights, which are made on the device that will use them.

    They are NF4 with double quantisation (Dettmers et al. 2023, "QLoRA"), or LLM.int8() (2022). NF4 weights are multiplied in
    bf16 if the machine has it in hardware, else in fp32.
    """
    if kind is None:
        return {}
    device = device_name()
    if device not in ("cpu", "cuda"):
        message = f"bitsandbytes was not tested on {device}."
        raise ModelError.one("quantisation", message, "Remove the key, or use a GPU or a CPU.")
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise MissingExtra.of("bitsandbytes", "quantisation", f"quantisation: {kind}") from None
    from transformers import BitsAndBytesConfig

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it logs at every product that fp32 becomes fp16 before 8 bits
    options: dict[str, Any] = {"load_in_8bit": True}
    if kind == "nf4":
        has_bf16 = choose_fast_path(fast=True, device=device).precision == "bf16"
        options = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
        options["bnb_4bit_compute_dtype"] = torch.bfloat16 if has_bf16 else torch.float32
    place = int(os.environ.get("LOCAL_RANK", "0")) if device == "cuda" else "cpu"
    return {"quantization_config": BitsAndBytesConfig(**options), "device_map": {"": place}}


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
