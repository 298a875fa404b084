"""Generates with encoder-decoders: the prompt is the encoder's input, and the text begins in the decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.errors import GenerationError
from tunesmith.models.language.context_length import context_limit
from tunesmith.models.language.denoising import target_edges
from tunesmith.models.language.seq2seq import is_encoder_decoder
from tunesmith.models.language.token_losses import pad_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Rows = Sequence[Sequence[int]]

OWN_DEFAULTS: dict[str, Any] = {"min_length": 0, "forced_bos_token_id": None, "forced_eos_token_id": None}
"""Settings of published encoder-decoders that would apply beside those requested: a minimum, and an end token at the last
place, by which a text that was cut off looks finished. The token that is forced at the start is given to the decoder instead."""


def decoder_prefix(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Returns the tokens that the decoder gets before a text: its start token, and those that begin targets (BART)."""
    if not is_encoder_decoder(model):
        return []
    return [int(model.config.decoder_start_token_id), *target_edges(tokenizer)[0]]


def require_decoder_room(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Rows, max_new_tokens: int) -> None:
    """Raises GenerationError for a prompt that the encoder, or a text that the decoder has too few positions for."""
    positions, n_before = context_limit(model.config), len(decoder_prefix(model, tokenizer))
    if positions is None:
        return
    if n_before + max_new_tokens > positions:
        message = (
            f"{plural(max_new_tokens, 'new token', 'is', 'are')} more than the decoder's {plural(positions, 'position')} allow."
        )
        raise GenerationError.one("max_new_tokens", message, f"Give at most {positions - n_before}.")
    for i, prompt in enumerate(prompts):
        if len(prompt) > positions:
            message = f"{plural(len(prompt), 'token')} are more than the encoder's {plural(positions, 'position')}."
            raise GenerationError.one(f"prompt {i}", message, "Shorten it.")


def encoder_inputs(model: PreTrainedModel, prompts: Rows, pad_id: int = 0) -> dict[str, torch.Tensor]:
    """Returns ``input_ids`` and ``attention_mask`` (N, S) of prompts, padded on the right as in training."""
    device = next(model.parameters()).device
    mask = pad_rows([[1] * len(row) for row in prompts], 0)
    return {"input_ids": pad_rows(prompts, pad_id).to(device), "attention_mask": mask.to(device)}


def with_prefix(prefix: Sequence[int], inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Adds the decoder's prefix, and no other settings of the model's own, to the arguments of ``generate``."""
    ids = torch.tensor([list(prefix)] * len(inputs["input_ids"]), device=inputs["input_ids"].device)
    return {**inputs, "decoder_input_ids": ids, **OWN_DEFAULTS}


def next_logits(model: PreTrainedModel, ids: torch.Tensor, rows: Sequence[int], encoded: Mapping[str, Any]) -> torch.Tensor:
    """Returns the logits of the next token (n, V) after decoder ids (n, T), for rows of a batch that is encoded already.

    Args:
        encoded: the arguments of upstream's loop: ``encoder_outputs`` and the encoder's ``attention_mask`` of the whole batch.
    """
    from transformers.modeling_outputs import BaseModelOutput

    states, mask = encoded["encoder_outputs"][0][list(rows)], encoded.get("attention_mask")
    inputs = {"encoder_outputs": BaseModelOutput(last_hidden_state=states), "decoder_input_ids": ids, "use_cache": False}
    logits: torch.Tensor = model(**inputs, attention_mask=None if mask is None else mask[list(rows)]).logits[:, -1]
    return logits


def decoder_logprobs(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Rows, texts: Rows) -> list[float]:
    """Computes the log-probability of each text's tokens in the decoder after its prompt in the encoder: (N)."""
    prefix = decoder_prefix(model, tokenizer)
    targets = pad_rows(texts, 0)
    before = torch.tensor([prefix] * len(texts))
    ids = torch.cat([before, targets[:, :-1]], dim=1).to(next(model.parameters()).device)
    logits = model(**encoder_inputs(model, prompts), decoder_input_ids=ids, use_cache=False).logits[:, len(prefix) - 1 :]
    each = torch.log_softmax(logits.float(), dim=-1).gather(2, targets[..., None].to(logits.device))[..., 0].cpu()
    return [float(each[i, : len(tokens)].double().sum()) for i, tokens in enumerate(texts)]


def every_text_logprobs(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Rows, texts: Rows) -> Array:
    """Computes the log-probability of every text after every prompt: (N, K) float64. Each prompt is encoded once.

    Virtual tokens of an adapter belong to the encoder's input, which peft does not add to an encoded one: then prompts are
    encoded for each text again.
    """
    n, k = len(prompts), len(texts)
    if is_prompted(model):
        repeated, every = [prompt for prompt in prompts for _ in texts], [text for _ in prompts for text in texts]
        return np.array(decoder_logprobs(model, tokenizer, repeated, every)).reshape(n, k)
    from transformers.modeling_outputs import BaseModelOutput

    prefix, inputs = decoder_prefix(model, tokenizer), encoder_inputs(model, prompts)
    start = torch.tensor([prefix] * n, device=inputs["input_ids"].device)
    states = model(**inputs, decoder_input_ids=start, use_cache=False).encoder_last_hidden_state
    targets = pad_rows(texts, 0).to(states.device)
    ids = torch.cat([start[:1].expand(k, -1), targets[:, :-1]], dim=1).repeat(n, 1)
    encoded = BaseModelOutput(last_hidden_state=states.repeat_interleave(k, 0))
    mask = inputs["attention_mask"].repeat_interleave(k, 0)
    logits = model(encoder_outputs=encoded, attention_mask=mask, decoder_input_ids=ids, use_cache=False).logits
    steps = torch.log_softmax(logits[:, len(prefix) - 1 :].float(), dim=-1)
    each = steps.gather(2, targets.repeat(n, 1)[..., None])[..., 0].double()
    real = pad_rows([[1] * len(text) for text in texts], 0).to(each.device).repeat(n, 1)
    scores: Array = (each * real).sum(dim=1).view(n, k).cpu().numpy()
    return scores


def is_prompted(model: PreTrainedModel) -> bool:
    """Tells whether an adapter puts virtual tokens before the input, or before keys and values."""
    return any(config.is_prompt_learning for config in getattr(model, "peft_config", {}).values())
