"""Regression head in fp32, trained as if the targets had a standard deviation of about 1.

Under bf16 an output has three significant digits: the years 2001 and 2004 would be one number. With targets of a million, a head
that starts near zero needs many steps of Adam to reach them. So a new head starts at the mean of the training targets, and its
weights are divided by a power of two near their standard deviation. That division is exact: the plain weights are saved.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class NumberHead(nn.Linear):
    """Linear layer (..., D) -> (..., 1) with the plain state dict; its weights are divided by ``scale``, a power of two."""

    scale: float

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        with torch.autocast(input.device.type, enabled=False):
            return functional.linear(input.float(), self.weight, self.bias) * self.scale

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        for name, parameter in self._parameters.items():
            if parameter is not None:
                destination[prefix + name] = parameter.detach() * self.scale

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *others: object) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                if parameter is not None and prefix + name in state_dict:
                    parameter.copy_(state_dict[prefix + name]).div_(self.scale)


def use_number_head(model: nn.Module, scale: float = 1.0, mean: float = 0.0, new_weights: Container[str] = ()) -> None:
    """Turns the last linear layer with one output into a ``NumberHead``, in place and permanently.

    A trained head still computes the same function. A new head starts by predicting the mean, and its weights, which were drawn
    for targets of standard deviation 1, stay as they are.

    Args:
        scale: a power of two near the standard deviation of the targets.
        mean: the mean of the targets.
        new_weights: names of the parameters that were not read from a file.
    """
    heads = [(name, module) for name, module in model.named_modules() if type(module) is nn.Linear and module.out_features == 1]
    if not heads:
        return
    name, head = heads[-1]
    is_new = f"{name}.weight" in new_weights
    head.__class__ = NumberHead
    head.__dict__["scale"] = scale
    with torch.no_grad():
        if not is_new:
            for parameter in head.parameters():
                parameter.div_(scale)
        elif head.bias is not None:
            head.bias.fill_(mean / scale)
