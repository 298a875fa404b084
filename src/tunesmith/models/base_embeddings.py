"""Embeddings of rows by a base model as it came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tunesmith.data.arrays import Array
from tunesmith.data.table import Examples
from tunesmith.evaluation.baselines.frozen import Embedded
from tunesmith.machine import device_name, quiet_libraries
from tunesmith.models.encode import Encoded, encode
from tunesmith.models.fast.path import Kernels, apply_kernels, choose_kernels
from tunesmith.models.inference import mean_embeddings
from tunesmith.models.layers import keep_first_layers, n_layers_of
from tunesmith.models.load import load_body, load_tokenizer, max_input_tokens
from tunesmith.models.source import ModelSource

MOST_TOKENS = 256
"""Of a text where nothing was asked for: what comes later costs more than it tells of a label."""
MANY_TOKENS = 2_000_000
"""Of all rows together, above which the first half of the layers has to do: with thousands of rows it ranks wrong labels as well
as all layers do (AUROC 0.900 and 0.896 on SST-2, 0.9987 and 0.9991 on Banking77) at half the cost; with 900 rows it does not."""
FEWEST_LAYERS = 4


@dataclass(frozen=True)
class BaseEmbeddings:
    """What the base model makes of rows.

    Attributes:
        vectors: mean embeddings (N, D) float32 of the texts; of both texts of pairs, (N, D) each.
        n_layers: layers they went through, of ``of_layers``.
        n_tokens: of all texts, after truncation.
    """

    vectors: Embedded
    n_layers: int
    of_layers: int
    n_tokens: int

    @property
    def note(self) -> str:
        """What the user should know; empty where all layers were used."""
        if self.n_layers == self.of_layers:
            return ""
        millions = f"{self.n_tokens / 1e6:.1f} million tokens"
        return f"the rows have {millions}, so they are embedded by the first {self.n_layers} of {self.of_layers} layers"


@dataclass(frozen=True)
class _Ready:
    tokenizer: Any
    body: Any
    kernels: Kernels
    max_tokens: int

    def encoded(self, texts: list[str]) -> Encoded:
        rows = Examples("", "", list(range(len(texts))), texts, [0] * len(texts))
        return encode(self.tokenizer, rows, self.max_tokens, count_cut=False)

    def vectors(self, encoded: Encoded) -> Array:
        return mean_embeddings(self.body, encoded, self.tokenizer.pad_token_id, self.kernels)


def embed(rows: Examples, source: ModelSource, max_length: int | None = None) -> BaseEmbeddings:
    """Mean embeddings of all rows; of the first half of the layers where the rows have very many tokens.

    Raises:
        ModelError: the base model cannot be loaded, or has fewer positions than tokens were asked for.
    """
    ready = _ready(source, max_length)
    parts = [ready.encoded(texts) for texts in (rows.texts, rows.pairs) if texts is not None]
    n_tokens, of_layers = sum(int(part.lengths.sum()) for part in parts), n_layers_of(ready.body)
    n_layers = enough_layers(of_layers, n_tokens)
    if n_layers < of_layers:
        keep_first_layers(ready.body, n_layers)
    vectors = [ready.vectors(part) for part in parts]
    return BaseEmbeddings(vectors[0] if len(vectors) == 1 else (vectors[0], vectors[1]), n_layers, of_layers, n_tokens)


def enough_layers(of_layers: int, n_tokens: int) -> int:
    """How many layers rows with so many tokens go through. Models whose layers cannot be counted have 0, and all are used."""
    return -(-of_layers // 2) if n_tokens > MANY_TOKENS and of_layers >= FEWEST_LAYERS else of_layers


def embedder(source: ModelSource, max_length: int | None = None, n_layers: int | None = None) -> Callable[[list[str]], Array]:
    """The function from texts to their mean embeddings (N, D) float32; the model is loaded once, and stays with it.

    Args:
        n_layers: that the embeddings they are compared with went through; all when not said.

    Raises:
        ModelError: the base model cannot be loaded, or has fewer positions than tokens were asked for.
    """
    ready = _ready(source, max_length)
    if n_layers is not None and n_layers < n_layers_of(ready.body):
        keep_first_layers(ready.body, n_layers)
    return lambda texts: ready.vectors(ready.encoded(texts))


def _ready(source: ModelSource, max_length: int | None) -> _Ready:
    quiet_libraries()
    tokenizer = load_tokenizer(source)
    body = load_body(source, tokenizer).to(device_name())
    kernels = choose_kernels(fast=True, device=device_name())
    apply_kernels(body, kernels)
    if kernels.precision == "bf16":  # weights too: 9 % faster than autocast, which converts and converts back
        body, kernels = body.bfloat16(), replace(kernels, precision="fp32")
    tokens = max_input_tokens(body.config, tokenizer, max_length)
    return _Ready(tokenizer, body, kernels, tokens if max_length else min(MOST_TOKENS, tokens))
