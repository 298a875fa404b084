"""Makes the reference that a trained language model is compared with: a frozen copy, or the model with its adapter off."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def frozen_copy(model: PreTrainedModel) -> PreTrainedModel:
    """Returns a copy of a model in memory, in evaluation mode, without gradients: also of what its files do not hold."""
    return copy.deepcopy(model).eval().requires_grad_(False)


class AdapterOff(torch.nn.Module):
    """Computes a model with its adapter switched off, without weights of its own, in the form of a model for TRL.

    TRL gets it as reference model: without one, it adds a second adapter to the model, which it then trains and saves.
    """

    def __init__(self, model: PeftModel) -> None:
        super().__init__()
        self.adapted = (model,)  # in a tuple, so that the weights are not parameters of this module

    @property
    def base(self) -> Any:
        return self.adapted[0].get_base_model()

    @property
    def config(self) -> Any:
        return self.base.config

    def get_output_embeddings(self) -> torch.nn.Module:
        """Returns the output layer of the base model, also where a copy of it is trained (``modules_to_save``)."""
        head: torch.nn.Module = self.base.get_output_embeddings()
        original: torch.nn.Module = getattr(head, "original_module", head)
        return original

    def base_model(self, *arguments: Any, **named: Any) -> Any:
        """Computes the hidden states without the adapter."""
        with self.adapted[0].disable_adapter():
            return self.base.base_model(*arguments, **named)

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """Computes the logits without the adapter."""
        with self.adapted[0].disable_adapter():
            return self.adapted[0](*arguments, **named)


def plain_forward(model: torch.nn.Module) -> None:
    """Removes the forward pass that TRL's trainers put on a model: on a copy of the model it would compute the original."""
    base: Any = model
    base = base.get_base_model() if hasattr(model, "peft_config") else model
    base.__dict__.pop("forward", None)
