"""Frozen weights in 4 or 8 bits: how bitsandbytes is asked for them, and what keeps gradients flowing through them on a CPU."""

from __future__ import annotations

import logging
import os
from typing import Any, Literal

import torch

from tunesmith.errors import MissingExtra, ModelError
from tunesmith.machine import device_name
from tunesmith.models.fast.path import choose_kernels

Quantisation = Literal["nf4", "int8"]

NAMES = {"nf4": "4 bits (NF4)", "int8": "8 bits"}


def quantisation_config(kind: Quantisation) -> Any:
    """Upstream's configuration: NF4 with double quantisation (Dettmers et al. 2023, "QLoRA"), or LLM.int8() (2022).

    Raises:
        MissingExtra: bitsandbytes is not installed.
    """
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise MissingExtra.of("bitsandbytes", "quantisation", f"quantisation: {kind}") from None
    from transformers import BitsAndBytesConfig

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it says at every product that fp32 becomes fp16 before 8 bits
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute_dtype()
    )


def compute_dtype() -> torch.dtype:
    """In what 4-bit weights are multiplied on this machine: bf16 where it has that in hardware, else fp32."""
    return torch.bfloat16 if choose_kernels(fast=True, device=device_name()).precision == "bf16" else torch.float32


def where_to_load(kind: Quantisation | None) -> dict[str, Any]:
    """What ``from_pretrained`` is told beside the usual: quantised weights are made on the device that will use them."""
    if kind is None:
        return {}
    device = device_name()
    if device not in ("cpu", "cuda"):
        raise ModelError.one(
            "quantisation", f"bitsandbytes was not tested on {device}.", "Remove the key, or use a GPU or a CPU."
        )
    place = int(os.environ.get("LOCAL_RANK", "0")) if device == "cuda" else "cpu"
    return {"quantization_config": quantisation_config(kind), "device_map": {"": place}}


def class_of(module: Any) -> str:
    """The class of a layer of bitsandbytes, empty for others: peft calls the layers it puts around them the same."""
    kind = type(module)
    return kind.__name__ if kind.__module__.startswith("bitsandbytes.") else ""


def keep_gradients(model: Any) -> int:
    """Keep 4-bit layers in the form that has a backward pass, in place; how many there are.

    On processors with AVX512-BF16 bitsandbytes packs the weights anew at the first forward pass outside training. What is
    packed has no backward pass: every step after the first evaluation would have a gradient of exactly zero.
    """
    layers: list[Any] = [module for module in model.modules() if class_of(module) == "Linear4bit"]
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False
    return len(layers)


def quantisation_of(model: Any) -> Quantisation | None:
    """What the weights of a model in memory are, adapters aside."""
    kinds = {class_of(module) for module in model.modules()}
    if "Linear4bit" in kinds:
        return "nf4"
    return "int8" if "Linear8bitLt" in kinds else None


def refuse_stored_quantisation(config: Any, where: str) -> None:
    """Raise ModelError for a model whose files hold quantised weights: nothing could be merged into them.

    What merging into 4 bits loses by rounding is as large as what an adapter learns.
    """
    stored: Any = getattr(config, "quantization_config", None)
    if stored is None:
        return
    method = stored.get("quant_method") if isinstance(stored, dict) else getattr(stored, "quant_method", None)
    raise ModelError.one(
        where, f"its files hold quantised weights ({getattr(method, 'value', method) or 'unknown method'}): an adapter cannot be "
        "merged into them without losing what it learnt to rounding.",
        "Name the model they were made from, and write quantisation: nf4 (or int8) to train on it in few bits.",
    )  # fmt: skip


def refuse_without_adapter(kind: Quantisation | None) -> None:
    """Raise ModelError where quantised weights would have to be trained or saved themselves."""
    if kind is not None:
        raise ModelError.one(
            "quantisation", f"weights in {NAMES[kind]} cannot be trained themselves.",
            "Add adapter: {method: lora}, or remove the key.",
        )  # fmt: skip
