"""Computes perplexity of long texts with sliding windows, and as a function of the window size.

Every window reads ``window`` tokens and predicts the token after each of them. The first window scores all its predictions; every
further one starts ``stride`` tokens later and scores the tokens that no window before it scored. So each token but the first is
scored exactly once, with ``window - stride + 1`` to ``window`` tokens of context (fewer at the start of the text), and a stride
equal to the window gives disjoint windows. The recipe of the transformers documentation ("Perplexity of fixed-length models")
loses the first token of each disjoint window; this one loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.errors import RecipeError
from tunesmith.evaluation.metrics.means import token_mean_metrics
from tunesmith.evaluation.metrics.resample import DEFAULT_RESAMPLING, Resampling
from tunesmith.evaluation.outputs import TokenLosses
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.models.inference import TOKENS_PER_BATCH, batches_by_length, evaluation_mode, no_progress
from tunesmith.models.language.context_length import check_length
from tunesmith.models.language.token_losses import model_inputs, move_to, pad_rows, supervised_losses
from tunesmith.results import Metric

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BLOCK_TOKENS = 512
"""Tokens per bootstrap block of one long text, for any window: neighbouring tokens are correlated."""


@dataclass(frozen=True)
class ContextPoint:
    """The perplexity with one window size, with its interval over blocks, and the losses of each block (or document)."""

    window: int
    stride: int
    losses: TokenLosses
    perplexity: Metric


def make_windows(n_tokens: int, window: int, stride: int) -> np.ndarray:
    """Returns the windows over a text of ``n_tokens``: (W, 3) int64.

    A window (start, first, stop) reads the tokens from start to stop - 1 and scores those from first + 1 to stop.
    """
    n_read = n_tokens - 1
    if n_read < 1:
        return np.zeros((0, 3), dtype=np.int64)
    starts = np.arange(1 + max(0, -(-(n_read - window) // stride)), dtype=np.int64) * stride
    stops = np.minimum(starts + window, n_read)
    return np.stack([starts, np.append(0, stops[:-1]), stops], axis=1)


def document_losses(
    model: PreTrainedModel,
    documents: Sequence[np.ndarray],
    window: int,
    stride: int,
    precision: str = "fp32",
    max_tokens: int = TOKENS_PER_BATCH,
    *,
    max_rows: int = 64,
    progress: Callable[[int], None] = no_progress,
) -> list[np.ndarray]:
    """Computes the losses of each document's tokens (T_i - 1); no window crosses the end of a document.

    Args:
        window: tokens that the model reads at once.
        stride: tokens between the starts of windows.
        progress: called with the number of windows done.
    """
    if not 1 <= stride <= window:
        message = f"a stride of {stride} does not fit a window of {plural(window, 'token')}."
        raise RecipeError.one("evaluate.stride", message, "Give 1 up to the window.")
    losses = [np.zeros(max(0, len(ids) - 1)) for ids in documents]
    per_document = [make_windows(len(ids), window, stride) for ids in documents]
    document_index = np.repeat(np.arange(len(documents)), [len(windows) for windows in per_document])
    windows = np.concatenate([np.zeros((0, 3), dtype=np.int64), *per_document])
    lengths, done = windows[:, 2] - windows[:, 0], 0
    check_length(model.config, int(lengths.max(initial=0)), "the window")
    with evaluation_mode(model, precision) as device:
        for batch in batches_by_length(lengths, max_rows, max_tokens):
            spans = list(zip(document_index[batch].tolist(), windows[batch].tolist(), strict=True))
            ids = pad_rows([documents[document][start:stop] for document, (start, _, stop) in spans], 0)
            targets = pad_rows([scored_tokens(documents[document], *span) for document, span in spans], IGNORE_INDEX)
            inputs = move_to(device, model_inputs(model, ids, lengths[batch], left=False, masked=False))
            values, row_index = supervised_losses(model, inputs, targets.to(device))
            for row, (document, (_, first, stop)) in enumerate(spans):
                losses[document][first:stop] = values[row_index == row]
            done += len(batch)
            progress(done)
    return losses


def scored_tokens(ids: np.ndarray, start: int, first: int, stop: int) -> np.ndarray:
    """Returns the targets of a window: the next token at positions that it scores, else -100."""
    tokens = ids[start + 1 : stop + 1].astype(np.int64)
    tokens[: first - start] = IGNORE_INDEX
    return tokens


def context_curve(
    model: PreTrainedModel,
    documents: Sequence[np.ndarray],
    windows: Iterable[int],
    stride: int,
    split: str = "test",
    precision: str = "fp32",
    max_tokens: int = TOKENS_PER_BATCH,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> tuple[ContextPoint, ...]:
    """Computes the perplexity of the same tokens with each window size, shortest first; the stride is at most the window.

    Args:
        resampling: with the clusters of the documents, if they depend on each other; of one document blocks are drawn.
    """
    points, resampling = [], resampling if len(documents) > 1 else resampling.of_rows(None)
    for window in sorted(set(windows)):
        step = min(stride, window)
        losses = block_losses(document_losses(model, documents, window, step, precision, max_tokens))
        metrics = token_mean_metrics([(losses.sums, losses.counts)], None, split, resampling)
        points.append(ContextPoint(window, step, losses, metrics[1]))
    return tuple(points)


def block_losses(losses: Sequence[np.ndarray], block_tokens: int = BLOCK_TOKENS) -> TokenLosses:
    """Sums losses by the units that the bootstrap resamples: documents, or blocks of a single text."""
    if len(losses) == 1:
        losses = [losses[0][start : start + block_tokens] for start in range(0, len(losses[0]), block_tokens)]
    return TokenLosses(np.array([block.sum() for block in losses]), np.array([len(block) for block in losses], dtype=np.int64))
