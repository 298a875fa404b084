"""Tells which models are trained on quantised weights and saved unquantised, places those on the device, and describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tunesmith.machine import device_name
from tunesmith.models.adapters.attach import can_merge
from tunesmith.models.adapters.quantisation import Quantisation
from tunesmith.models.adapters.quantise import detect_quantisation

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WORKING_SHARE = 0.2
"""Memory of a GPU for the activations of an evaluation, as a share of the weights."""


def saved_quantisation(model: torch.nn.Module) -> Quantisation | None:
    """Returns the format of the weights of a trained model as it is saved; None for unquantised ones, as after merging."""
    return None if can_merge(model) else detect_quantisation(model)


def is_saved_unquantised(model: torch.nn.Module) -> bool:
    """Tells whether a model is trained on quantised weights and saved with its adapter merged into unquantised ones."""
    return can_merge(model) and detect_quantisation(model) is not None


def free_gpu_bytes() -> int:
    """Returns the bytes of the GPU that new tensors can take, with those that torch holds without use."""
    return torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()


def to_device_with_room(model: PreTrainedModel) -> PreTrainedModel:
    """Moves an unquantised fp32 model to this machine's device, in place: beside the quantised one, a GPU may lack room for it.

    Without room for fp32 its weights become bf16, as ``tunesmith generate`` reads large models; without room for these it stays
    on the CPU. ``measured_model`` says so.
    """
    device = device_name()
    if device != "cuda":
        return model.to(device)
    needed = (1 + WORKING_SHARE) * sum(p.numel() * p.element_size() for p in model.parameters())
    free = free_gpu_bytes()
    if needed <= free:
        return model.to(device)
    return model.bfloat16().to(device) if needed / 2 <= free else model


def to_fp32(model: torch.nn.Module) -> None:
    """Returns a model to fp32, in place, on the CPU if ``to_device_with_room`` has found no room for that on the GPU."""
    if next(model.parameters()).dtype != torch.float32:
        model.to("cpu").float()


def measured_model(trained: torch.nn.Module, measured: torch.nn.Module) -> str | None:
    """Describes the model of the final metrics where it is a question: of a run on quantised weights; else None.

    Args:
        trained: the model with its adapter, as it was trained.
        measured: the same object, or the unquantised model with the adapter merged.
    """
    kind = detect_quantisation(trained)
    if kind is None:
        return None
    if measured is trained:
        return f"the saved adapter on weights in {kind.words}"
    parameter = next(measured.parameters())
    words = "the saved model: the adapter merged into unquantised weights"
    if parameter.device.type != device_name():
        return f"{words}, on the CPU, since the GPU has no room for it"
    return words if parameter.dtype == torch.float32 else f"{words}, in bf16, since the GPU has no room for fp32"
