"""Saves the trained part of a model as one safetensors file: trainable parameters and buffers."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tunesmith.errors import TrainingFailed

FILE = "trained.safetensors"


def trained_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Returns the trainable parameters and the saved buffers by name, as in ``state_dict``."""
    names = {name for name, p in model.named_parameters() if p.requires_grad} | {name for name, _ in model.named_buffers()}
    return {name: tensor for name, tensor in model.state_dict().items() if name in names}


def save_trained(model: torch.nn.Module, folder: Path, exist_ok: bool = False) -> None:
    """Writes the trained tensors into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=exist_ok)
    tensors = {name: tensor.clone().contiguous() for name, tensor in trained_tensors(model).items()}
    save_file(tensors, folder / FILE)


def load_trained(model: torch.nn.Module, folder: Path) -> None:
    """Loads saved tensors into the model. Raises TrainingFailed if names do not match."""
    tensors, targets = load_file(folder / FILE), trained_tensors(model)
    if tensors.keys() != targets.keys():
        differing = sorted(tensors.keys() ^ targets.keys())
        raise TrainingFailed(f"The best weights at {folder} are of another model: {', '.join(differing[:3])}.")
    model.load_state_dict(tensors, strict=False)


def count_parameters(model: torch.nn.Module) -> tuple[int, int]:
    """Counts all parameters, and the trainable ones."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, _ in sizes), sum(n for n, trained in sizes if trained)
