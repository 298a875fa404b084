"""AdaLoRA's ranks during training: upstream's trainer does not tell the adapter of its steps, and then no rank changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

STATE, PATTERN = "ranks.safetensors", "ranks.json"
IMPORTANCES = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What peft's RankAllocator keeps of each weight: sensitivity, its mean, and the mean of its uncertainty (Zhang et al. 2023)."""


def adalora_of(model: Any) -> Any:
    """The part of a model that divides AdaLoRA's ranks; None where there is none."""
    return next((module for module in model.modules() if hasattr(type(module), "update_and_allocate")), None)


class AllocateRanks(TrainerCallback):
    """Divides the ranks anew after each optimizer step, while the gradients are still there.

    The pattern of kept ranks stays out of peft's config: there it would make peft save less than a resumed run, or weights of
    another step, hold. What is saved are whole matrices with zeros for ranks that were taken away.
    """

    def __init__(self, adapter: Any) -> None:
        self.adapter = adapter
        self.pattern: dict[str, list[bool]] | None = None

    @property
    def config(self) -> Any:
        return self.adapter.peft_config[self.adapter.trainable_adapter_name]

    def on_optimizer_step(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.config.rank_pattern = self.pattern
        self.adapter.update_and_allocate(state.global_step + 1)
        self.pattern, self.config.rank_pattern = self.config.rank_pattern, None

    def save(self, checkpoint: Path) -> None:
        """Write what a resumed run needs into a checkpoint."""
        allocator = self.adapter.rankallocator
        tensors = {f"{kind}/{name}": value for kind in IMPORTANCES for name, value in getattr(allocator, kind).items()}
        save_file({name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}, checkpoint / STATE)
        (checkpoint / PATTERN).write_text(json.dumps(self.pattern), encoding="utf-8")

    def restore(self, checkpoint: Path) -> None:
        """Put it back."""
        allocator, device = self.adapter.rankallocator, next(self.adapter.parameters()).device
        for key, value in load_file(checkpoint / STATE, device=str(device)).items():
            kind, _, name = key.partition("/")
            getattr(allocator, kind)[name] = value
        self.pattern = json.loads((checkpoint / PATTERN).read_text(encoding="utf-8"))


def ranks_left(model: Any) -> dict[str, int]:
    """How many ranks each AdaLoRA matrix still has: those whose singular value is not zero."""
    return {
        name: int(torch.count_nonzero(parameter.detach()))
        for name, parameter in model.named_parameters()
        if ".lora_E." in name
    }  # fmt: skip
