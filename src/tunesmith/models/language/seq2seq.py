"""Builds the inputs of encoder-decoders, and computes the loss of every target token, which does not depend on the batch.

The decoder's input is the target, moved by one position behind the start token, by the model's own function. Targets are always
padded on the right, and so are inputs: BART counts positions from the left, and nothing tells a decoder to skip padding at
the left of its input (upstream's collator pads labels on the tokenizer's side and passes no ``decoder_attention_mask``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.data.cells import plural
from tunesmith.errors import ModelError
from tunesmith.evaluation.outputs import TokenLosses
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.models.inference import MOST_LOGITS, TOKENS_PER_BATCH, batches_by_length, evaluation_mode, no_progress
from tunesmith.models.language.context_length import context_limit
from tunesmith.models.language.token_losses import move_to, pad_rows, supervised_losses
from tunesmith.results import Certificate

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Rows = Sequence[np.ndarray]
OWN_SHIFT = "prepare_decoder_input_ids_from_labels"
CERTIFIED_ROWS = 8


def is_encoder_decoder(model: PreTrainedModel) -> bool:
    """Tells whether a model, under any adapter, has an encoder for the prompt and a decoder for the text."""
    return bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))


def require_usable(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, where: str) -> None:
    """Raises ModelError for an encoder-decoder whose targets cannot be shifted by its own function, or need language codes."""
    if hasattr(tokenizer, "tgt_lang") or hasattr(tokenizer, "lang_code_to_id"):
        message = "its tokenizer marks each text with the code of a language, which rows and prompts here do not name."
        raise ModelError.one(where, message, "Name T5, mT5, BART or another model without language codes.")
    if not hasattr(model, OWN_SHIFT):
        message = f"its class in transformers, {type(model).__name__}, has no {OWN_SHIFT}, which makes the decoder's input."
        raise ModelError.one(where, message, "Name T5, mT5, BART or another model that has it.")


def decoder_inputs(model: PreTrainedModel, labels: torch.Tensor) -> torch.Tensor:
    """Shifts targets (B, T), padded with -100, to the decoder's inputs, by the model's own function: the start token first."""
    inner: Any = model.get_base_model() if hasattr(model, "get_base_model") else model
    shifted: torch.Tensor = getattr(inner, OWN_SHIFT)(labels=labels)
    return shifted


def pair_batch(model: PreTrainedModel, sources: Rows, targets: Rows, pad_id: int) -> dict[str, torch.Tensor]:
    """Builds ``input_ids`` and ``attention_mask`` (B, S), ``labels`` and ``decoder_input_ids`` (B, T), padded on the right."""
    labels = pad_rows(targets, IGNORE_INDEX)
    mask = pad_rows([np.ones(len(row), dtype=np.int64) for row in sources], 0)
    return {
        "input_ids": pad_rows(sources, pad_id), "attention_mask": mask,
        "labels": labels, "decoder_input_ids": decoder_inputs(model, labels),
    }  # fmt: skip


def pair_losses(
    model: PreTrainedModel,
    sources: Rows,
    targets: Rows,
    pad_id: int,
    precision: str = "fp32",
    max_tokens: int = TOKENS_PER_BATCH,
    *,
    max_rows: int = 64,
    progress: Callable[[int], None] = no_progress,
) -> TokenLosses:
    """Computes the losses of every target after its input, in the order of the rows; every token of a target counts."""
    check_lengths(model, sources, targets)
    lengths = np.array([len(source) + len(target) for source, target in zip(sources, targets, strict=True)], dtype=np.int64)
    sums, done = np.zeros(len(sources)), 0
    counts = np.array([len(target) for target in targets], dtype=np.int64)
    with evaluation_mode(model, precision) as device:
        for rows in batches_by_length(lengths, max_rows, max_tokens):
            batch = pair_batch(model, [sources[i] for i in rows], [targets[i] for i in rows], pad_id)
            labels = batch.pop("labels").to(device)
            losses, row_index = supervised_losses(model, move_to(device, {**batch, "use_cache": False}), labels)
            sums[rows] = np.bincount(row_index, losses, minlength=len(rows))
            done += len(rows)
            progress(done)
    return TokenLosses(sums, counts)


def pair_loss(
    model: PreTrainedModel, batch: dict[str, Any], num_items: torch.Tensor | int | None = None, smoothing: float = 0.0
) -> torch.Tensor:
    """Returns the mean loss of the target tokens, in training.

    Upstream's encoder-decoders take the mean of each micro-batch and ignore ``num_items_in_batch``, although the trainer counts
    their loss as scaled by it: with N accumulated micro-batches loss and gradient would be N times as large.

    Args:
        batch: of ``pair_batch``.
        num_items: target tokens of the whole optimizer step; None for those of this batch.
        smoothing: share of the probability of each token that is spread over the vocabulary (``label_smoothing_factor``).
    """
    labels = batch["labels"]
    others = {name: value for name, value in batch.items() if name != "labels"} | {"use_cache": False}
    logits = model(**others).logits
    is_supervised = labels != IGNORE_INDEX
    parts = split_logits(logits[is_supervised], labels[is_supervised])
    losses = [torch.nn.functional.cross_entropy(*part, reduction="sum", label_smoothing=smoothing) for part in parts]
    mean: torch.Tensor = torch.stack(losses).sum() / (is_supervised.sum() if num_items is None else num_items)
    return mean


def split_logits(logits: torch.Tensor, labels: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yields parts of logits (n, V) in fp32 and their labels (n), each of at most ``MOST_LOGITS`` values."""
    size = max(1, MOST_LOGITS // logits.shape[-1])
    for part, targets in zip(torch.split(logits, size), torch.split(labels, size), strict=True):
        yield part.float(), targets


def check_lengths(model: PreTrainedModel, sources: Rows, targets: Rows) -> None:
    """Raises ModelError if an input or a target is longer than the positions of encoder or decoder."""
    limit = context_limit(model.config)
    for rows, what in ((sources, "the longest input"), (targets, "the longest target")):
        longest = max(map(len, rows), default=0)
        if limit is not None and longest > limit:
            message = f"the model was made for {plural(limit, 'token')}; {longest:,} are requested."
            raise ModelError.one(what, message, "Lower data.max_length or sft.max_target_length.")


def certify_decoder(model: PreTrainedModel, sources: Rows, targets: Rows, pad_id: int) -> Certificate:
    """Certifies what the decoder gets, on a few rows: each label is the token after its input, and no input shows it.

    The decoder's input must begin with the config's start token and go on with the target without its last token. With every
    token from the middle of the target on replaced by another, the logits up to there must not change. The figure counts rows
    that differ.
    """
    start, differing = model.config.decoder_start_token_id, 0
    sample = np.unique(np.linspace(0, len(sources) - 1, min(CERTIFIED_ROWS, len(sources))).astype(int)).tolist()
    with evaluation_mode(model, "fp32") as device:
        for i in sample:
            batch = pair_batch(model, [sources[i]], [targets[i]], pad_id)
            labels, ids = batch.pop("labels"), batch["decoder_input_ids"]
            follows = ids[0].tolist() == [start, *labels[0, :-1].tolist()]
            middle = ids.shape[1] // 2
            others = {
                **batch,
                "decoder_input_ids": torch.cat([ids[:, : middle + 1], changed(ids[:, middle + 1 :], labels)], dim=1),
            }
            ours, theirs = (model(**move_to(device, inputs)).logits[:, : middle + 1] for inputs in (batch, others))
            differing += not (follows and torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5))
    note = f"of {plural(len(sample), 'row')}; the decoder begins with token {start}"
    return Certificate("each label is the token after its decoder input", not differing, float(differing), 0.0, note)


def changed(ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Returns other tokens of the same vocabulary: those of the target in reverse order of places, each of them different."""
    first = labels[0, 0]
    return torch.where(ids == first, labels[0, -1], first)
