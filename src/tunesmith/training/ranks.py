"""Updates AdaLoRA's ranks during training: upstream's trainer never calls the adapter, and then no rank changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

STATE, PATTERN = "ranks.safetensors", "ranks.json"
IMPORTANCES = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""State of peft's RankAllocator per weight: sensitivity, its mean, and the mean of its uncertainty (Zhang et al. 2023)."""


def adalora_of(model: torch.nn.Module) -> Any:
    """Finds the part of a model that allocates AdaLoRA's ranks, by its class: AdaMSS has such a method, too. None without one."""
    return next((module for module in model.modules() if type(module).__name__ == "AdaLoraModel"), None)


class AllocateRanks(TrainerCallback):
    """Allocates the ranks anew after each optimizer step, before the gradients are cleared.

    The pattern of kept ranks stays out of peft's config: with it, peft would save fewer rows than a resumed run, or the weights
    of another step, have. Complete matrices are saved, with zeros for the removed ranks.
    """

    def __init__(self, adapter: Any) -> None:
        self.adapter = adapter
        self.pattern: dict[str, list[bool]] | None = None

    @property
    def config(self) -> Any:
        return self.adapter.peft_config[self.adapter.trainable_adapter_name]

    def on_optimizer_step(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.config.rank_pattern = self.pattern
        self.adapter.update_and_allocate(state.global_step + 1)
        self.pattern, self.config.rank_pattern = self.config.rank_pattern, None

    def save(self, checkpoint: Path) -> None:
        """Writes the state of the allocator into a checkpoint."""
        allocator = self.adapter.rankallocator
        tensors = {f"{kind}/{name}": value for kind in IMPORTANCES for name, value in getattr(allocator, kind).items()}
        save_file({name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}, checkpoint / STATE)
        (checkpoint / PATTERN).write_text(json.dumps(self.pattern), encoding="utf-8")

    def restore(self, checkpoint: Path) -> None:
        """Restores the state of the allocator from a checkpoint."""
        allocator, device = self.adapter.rankallocator, next(self.adapter.parameters()).device
        for key, value in load_file(checkpoint / STATE, device=str(device)).items():
            kind, _, name = key.partition("/")
            getattr(allocator, kind)[name] = value
        self.pattern = json.loads((checkpoint / PATTERN).read_text(encoding="utf-8"))
