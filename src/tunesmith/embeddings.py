"""Embeddings of rows by a base model as it came."""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.data.table import Examples
from tunesmith.machine import device_name, quiet_libraries
from tunesmith.metrics.predictions import Array
from tunesmith.models.encode import encode
from tunesmith.models.inference import mean_embeddings
from tunesmith.models.kernels import apply_kernels, choose_kernels
from tunesmith.models.load import load_body, load_tokenizer, max_input_tokens
from tunesmith.models.source import ModelSource

MOST_TOKENS = 256
"""Of a text where nothing was asked for: what comes later costs more than it tells of a label."""


def embed(rows: Examples, source: ModelSource, max_length: int | None = None) -> Array | tuple[Array, Array]:
    """Mean embeddings (N, D) float32 of the texts; of both texts of pairs, (N, D) each.

    Raises:
        ModelError: the base model cannot be loaded, or has fewer positions than tokens were asked for.
    """
    of_texts = embedder(source, max_length)
    first = of_texts(rows.texts)
    return first if rows.pairs is None else (first, of_texts(rows.pairs))


def embedder(source: ModelSource, max_length: int | None = None) -> Callable[[list[str]], Array]:
    """The function from texts to their mean embeddings (N, D) float32; the model is loaded once, and stays with it.

    Raises:
        ModelError: the base model cannot be loaded, or has fewer positions than tokens were asked for.
    """
    quiet_libraries()
    tokenizer = load_tokenizer(source)
    body = load_body(source, tokenizer).to(device_name())
    kernels = choose_kernels(fast=True, device=device_name())
    apply_kernels(body, kernels)
    tokens = max_input_tokens(body.config, tokenizer, max_length)
    tokens = tokens if max_length else min(MOST_TOKENS, tokens)

    def of_texts(texts: list[str]) -> Array:
        rows = Examples("", "", list(range(len(texts))), texts, [0] * len(texts))
        return mean_embeddings(body, encode(tokenizer, rows, tokens), tokenizer.pad_token_id, kernels)

    return of_texts
