"""Adapters that put tokens before the text: inputs and outputs of the model stay those of the text."""

from __future__ import annotations

from typing import Any

import torch


def virtual_tokens(model: Any) -> int:
    """How many positions an adapter puts before the text, each with logits of its own; 0 for all methods but two."""
    configs = getattr(model, "peft_config", {})
    return sum(
        config.num_virtual_tokens for config in configs.values() if config.is_prompt_learning and "PREFIX" not in config.peft_type
    )


def aligned(model: Any) -> Any:
    """The model, in place, with inputs and outputs that are of the text alone where its adapter puts tokens before it.

    Upstream gives logits for those tokens too, takes ``logits_to_keep`` as if they were counted, and for masked models takes
    no labels that are shorter than text and tokens together. While the adapter is switched off, nothing is changed.
    """
    added = virtual_tokens(model)
    if not added:
        return model

    def shift(_base: Any, positional: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        embeds, labels, kept = (named.get(name) for name in ("inputs_embeds", "labels", "logits_to_keep"))
        if isinstance(kept, torch.Tensor) and embeds is not None:
            named = {**named, "logits_to_keep": kept + added}
        if labels is not None and embeds is not None and labels.shape[1] < embeds.shape[1]:
            named = {**named, "labels": torch.cat((labels.new_full((len(labels), added), -100), labels), dim=1)}
        return positional, named

    def cut(_model: Any, positional: Any, named: dict[str, Any], outputs: Any) -> Any:
        ids, logits = named.get("input_ids", positional[0] if positional else None), getattr(outputs, "logits", None)
        if ids is not None and logits is not None and logits.shape[:2] == (len(ids), ids.shape[1] + added):
            outputs.logits = logits[:, added:]
        return outputs

    model.get_base_model().register_forward_pre_hook(shift, with_kwargs=True)
    model.register_forward_hook(cut, with_kwargs=True)
    return model
