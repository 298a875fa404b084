"""Hides the virtual tokens of prompt-learning adapters from the model's inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from tunesmith.models.encode import IGNORE_INDEX

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def count_virtual_tokens(model: PreTrainedModel | PeftModel) -> int:
    """Returns the number of positions that an adapter adds before the text; 0 for all methods but two."""
    configs = getattr(model, "peft_config", {})
    return sum(
        config.num_virtual_tokens for config in configs.values() if config.is_prompt_learning and "PREFIX" not in config.peft_type
    )


def hide_virtual_tokens(model: PeftModel) -> PeftModel:
    """Restricts inputs and outputs to the positions of the text, in place, for adapters that add tokens before it.

    Upstream returns logits for those tokens too, takes ``logits_to_keep`` as if they were counted, and for masked models takes
    no labels that are shorter than text and tokens together. While the adapter is switched off, nothing is changed.
    """
    added = count_virtual_tokens(model)
    if not added:
        return model

    def shift(_base: object, positional: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        embeds, labels, kept = (named.get(name) for name in ("inputs_embeds", "labels", "logits_to_keep"))
        if isinstance(kept, torch.Tensor) and embeds is not None:
            named = {**named, "logits_to_keep": kept + added}
        if labels is not None and embeds is not None and labels.shape[1] < embeds.shape[1]:
            ignored = labels.new_full((len(labels), added), IGNORE_INDEX)
            named = {**named, "labels": torch.cat((ignored, labels), dim=1)}
        return positional, named

    def cut(_model: object, positional: Any, named: dict[str, Any], outputs: Any) -> Any:
        ids, logits = named.get("input_ids", positional[0] if positional else None), getattr(outputs, "logits", None)
        if ids is not None and logits is not None and logits.shape[:2] == (len(ids), ids.shape[1] + added):
            outputs.logits = logits[:, added:]
        return outputs

    model.get_base_model().register_forward_pre_hook(shift, with_kwargs=True)
    model.register_forward_hook(cut, with_kwargs=True)
    return model
