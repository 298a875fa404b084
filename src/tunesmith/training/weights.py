"""The trained part of a model on disk: what is trainable, and the buffers, as one safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tunesmith.errors import TrainingFailed

FILE = "trained.safetensors"


def trained_tensors(model: Any) -> dict[str, torch.Tensor]:
    """The trainable parameters and the saved buffers by name, as the plain model has them; what is frozen is the base model's."""
    kept = {name for name, p in model.named_parameters() if p.requires_grad} | {name for name, _ in model.named_buffers()}
    return {name: tensor for name, tensor in model.state_dict().items() if name in kept}


def save_trained(model: Any, folder: Path, exist_ok: bool = False) -> None:
    """Write the trained tensors into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=exist_ok)
    tensors = {name: tensor.clone().contiguous() for name, tensor in trained_tensors(model).items()}
    save_file(tensors, folder / FILE)


def load_trained(model: Any, folder: Path) -> None:
    """Put saved tensors back in place. Raises TrainingFailed where names do not match."""
    tensors, targets = load_file(folder / FILE), trained_tensors(model)
    if tensors.keys() != targets.keys():
        differing = sorted(tensors.keys() ^ targets.keys())
        raise TrainingFailed(f"The best weights at {folder} are of another model: {', '.join(differing[:3])}.")
    model.load_state_dict(tensors, strict=False)


def count_parameters(model: Any) -> tuple[int, int]:
    """All parameters, and the trainable ones."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, _ in sizes), sum(n for n, trained in sizes if trained)


def checkpoint_bytes(model: Any) -> int:
    """An upper estimate of one whole checkpoint: the weights, and two moments of every trainable parameter, in fp32."""
    total, trained = count_parameters(model)
    return 4 * total + 8 * trained + 1_000_000
