"""Perplexity of long texts by a window that slides over them, and how it changes with the size of the window.

Every window reads ``window`` tokens and predicts the token after each of them. The first window scores all it predicts; every
further one starts ``stride`` tokens later and scores what no window before it did. So each token but the first is scored
exactly once, with ``window - stride + 1`` to ``window`` tokens before it (fewer where the text begins), and a stride as long as
the window gives disjoint windows. The recipe of the transformers documentation ("Perplexity of fixed-length models") loses the
first token of each disjoint window; this one loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.errors import RecipeError
from tunesmith.evaluation.metrics.language import token_mean_metrics
from tunesmith.evaluation.outputs import TokenLosses
from tunesmith.models.inference import TOKENS_PER_BATCH, batches_by_length, unheard
from tunesmith.models.language.context_length import check_length
from tunesmith.models.language.token_losses import IGNORED, counted_losses, evaluating, model_inputs, on, padded_rows
from tunesmith.results import Metric

BLOCK_TOKENS = 512
"""Neighbouring tokens resemble each other: one long text is resampled in blocks of so many, whatever the window."""


@dataclass(frozen=True)
class ContextPoint:
    """The perplexity with one size of the window.

    Attributes:
        losses: of each block (or document), so that two points can be compared pair by pair.
        perplexity: with its interval over blocks.
    """

    window: int
    stride: int
    losses: TokenLosses
    perplexity: Metric


def windows_of(n_tokens: int, window: int, stride: int) -> np.ndarray:
    """(W, 3) windows over a text of ``n_tokens``: the first token each reads, the first after which it scores, its end.

    A window (start, first, stop) reads the tokens from start to stop - 1 and scores those from first + 1 to stop.
    """
    n_read = n_tokens - 1
    if n_read < 1:
        return np.zeros((0, 3), dtype=np.int64)
    starts = np.arange(1 + max(0, -(-(n_read - window) // stride)), dtype=np.int64) * stride
    stops = np.minimum(starts + window, n_read)
    return np.stack([starts, np.append(0, stops[:-1]), stops], axis=1)


def sliding_losses(
    model: Any, ids: np.ndarray, window: int, stride: int, precision: str = "fp32", max_tokens: int = TOKENS_PER_BATCH, *,
    max_rows: int = 64, progress: Callable[[int], None] = unheard,
) -> np.ndarray:  # fmt: skip
    """(T - 1) float64: the loss in nats of each token of one text but the first; see ``document_losses``."""
    return document_losses(model, [ids], window, stride, precision, max_tokens, max_rows=max_rows, progress=progress)[0]


def document_losses(
    model: Any, documents: Sequence[np.ndarray], window: int, stride: int, precision: str = "fp32",
    max_tokens: int = TOKENS_PER_BATCH, *, max_rows: int = 64, progress: Callable[[int], None] = unheard,
) -> list[np.ndarray]:  # fmt: skip
    """The losses of each document's tokens (T_i - 1); no window reaches over the end of a document.

    Args:
        window: tokens that the model reads at once.
        stride: tokens that each window moves on.
        progress: hears the number of windows done.

    Raises:
        RecipeError: the stride is longer than the window, so that tokens would be left out.
        ModelError: the window is longer than the model's positions.
    """
    if not 1 <= stride <= window:
        raise RecipeError.one(
            "evaluate.stride", f"a stride of {stride} does not fit a window of {window} tokens.", "Give 1 up to the window."
        )
    found = [np.zeros(max(0, len(ids) - 1)) for ids in documents]
    cut = [windows_of(len(ids), window, stride) for ids in documents]
    of_document = np.repeat(np.arange(len(documents)), [len(windows) for windows in cut])
    windows = np.concatenate([np.zeros((0, 3), dtype=np.int64), *cut])
    lengths, done = windows[:, 2] - windows[:, 0], 0
    check_length(model.config, int(lengths.max(initial=0)), "the window")
    with evaluating(model, precision) as device:
        for batch in batches_by_length(lengths, max_rows, max_tokens):
            places = list(zip(of_document[batch].tolist(), windows[batch].tolist(), strict=True))
            ids = padded_rows([documents[of][start:stop] for of, (start, _, stop) in places], 0)
            targets = padded_rows([scored_tokens(documents[of], *place) for of, place in places], IGNORED)
            inputs = on(device, model_inputs(model, ids, lengths[batch], left=False, masked=False))
            losses, of_row = counted_losses(model, inputs, targets.to(device))
            for row, (of, (_, first, stop)) in enumerate(places):
                found[of][first:stop] = losses[of_row == row]
            done += len(batch)
            progress(done)
    return found


def scored_tokens(ids: np.ndarray, start: int, first: int, stop: int) -> np.ndarray:
    """The token after each that the window reads, where it is the window's to score."""
    tokens = ids[start + 1 : stop + 1].astype(np.int64)
    tokens[: first - start] = IGNORED
    return tokens


def context_curve(
    model: Any, documents: Sequence[np.ndarray], windows: Iterable[int], stride: int, split: str = "test",
    precision: str = "fp32", max_tokens: int = TOKENS_PER_BATCH, n_resamples: int = 10_000, seed: int = 0,
) -> tuple[ContextPoint, ...]:  # fmt: skip
    """The perplexity of the same tokens with each size of the window, shortest first.

    Windows shorter than the stride move on by their own length.
    """
    points = []
    for window in sorted(set(windows)):
        step = min(stride, window)
        losses = block_losses(document_losses(model, documents, window, step, precision, max_tokens))
        found = token_mean_metrics([(losses.sums, losses.counts)], None, split, n_resamples, seed)
        points.append(ContextPoint(window, step, losses, found[1]))
    return tuple(points)


def block_losses(losses: Sequence[np.ndarray], block_tokens: int = BLOCK_TOKENS) -> TokenLosses:
    """The losses of what the bootstrap resamples: the documents, or blocks of the one text there is."""
    if len(losses) == 1:
        losses = [losses[0][start : start + block_tokens] for start in range(0, len(losses[0]), block_tokens)]
    return TokenLosses(np.array([block.sum() for block in losses]), np.array([len(block) for block in losses], dtype=np.int64))


def decoded_bytes(tokenizer: Any, ids: np.ndarray) -> int:
    """The bytes of UTF-8 that the scored tokens of a text stand for: all but its first token. Special tokens are no text."""
    whole, first = (tokenizer.decode(part, skip_special_tokens=True) for part in (ids.tolist(), ids[:1].tolist()))
    return len(whole.encode()) - len(first.encode())
