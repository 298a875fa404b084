"""Computes mean embeddings of rows with the untuned base model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.table import Examples
from tunesmith.evaluation.baselines.frozen import Embedded
from tunesmith.machine import device_name, quiet_libraries
from tunesmith.models.encode import Encoded, encode
from tunesmith.models.fast.path import FastPath, apply_fast_path, choose_fast_path
from tunesmith.models.inference import forward_passes, in_row_order, mean_embeddings, pool_mean, release
from tunesmith.models.layers import count_layers, keep_first_layers
from tunesmith.models.load import (
    load_tokenizer,
    max_input_tokens,
    model_errors,
    position_limit,
    require_every_layer,
    set_padding,
)
from tunesmith.models.many_processes import Prepare, in_processes
from tunesmith.models.source import ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MOST_TOKENS = 256
"""Tokens per text if no limit is requested: later tokens add more time than information about a label."""
MANY_TOKENS = 2_000_000
"""Tokens of all rows above which the first half of the layers is used: with thousands of rows it ranks wrong labels as well as
all layers do (AUROC 0.900 and 0.896 on SST-2, 0.9987 and 0.9991 on Banking77) at half the cost; with 900 rows it does not."""
FEWEST_LAYERS = 4


@dataclass(frozen=True)
class BaseEmbeddings:
    """Embeddings of rows by the base model.

    Attributes:
        vectors: mean embeddings (N, D) float32 of the texts; for pairs one such array per text column.
        n_layers: layers that were used, of ``of_layers``.
        n_tokens: of all texts, after truncation.
    """

    vectors: Embedded
    n_layers: int
    of_layers: int
    n_tokens: int

    @property
    def note(self) -> str:
        """Explains to the user that not all layers were used; empty if all were."""
        if self.n_layers == self.of_layers:
            return ""
        millions = f"{self.n_tokens / 1e6:.1f} million tokens"
        return f"the rows have {millions}, so they are embedded by the first {self.n_layers} of {plural(self.of_layers, 'layer')}"


@dataclass(frozen=True)
class _BodyEncoder:
    tokenizer: PreTrainedTokenizerBase
    body: PreTrainedModel
    fast_path: FastPath
    max_tokens: int

    def tokenize(self, texts: list[str]) -> Encoded:
        rows = Examples("", "", list(range(len(texts))), texts, [0] * len(texts))
        return encode(self.tokenizer, rows, self.max_tokens, count_cut=False)

    def vectors(self, encoded: Encoded) -> Array:
        return mean_embeddings(self.body, encoded, self.tokenizer.pad_token_id, self.fast_path)

    def vectors_by_processes(self, columns: Sequence[Encoded], prepare: Prepare, processes: int) -> list[Array]:
        """Computes the vectors of each column by several processes, which load the model; the weights in this one are freed."""
        release(self.body)
        with in_processes(processes, prepare) as outputs_of:
            return [in_row_order(encoded, self.tokenizer.pad_token_id, outputs_of) for encoded in columns]


@contextmanager
def mean_passes(source: ModelSource, n_layers: int | None) -> Iterator[Callable[[Mapping[str, Any]], Array]]:
    """Loads the model and yields the function that computes the mean embeddings of a padded batch: (B, D) float32."""
    encoder = _load_encoder(source, None, n_layers)
    with forward_passes(encoder.body, pool_mean, precision=encoder.fast_path.precision) as forward:
        yield forward


def embed(rows: Examples, source: ModelSource, max_length: int | None = None, processes: int = 1) -> BaseEmbeddings:
    """Computes mean embeddings of all rows, by half the layers for very many tokens. Raises ModelError if loading fails."""
    encoder = _load_encoder(source, max_length)
    columns = [encoder.tokenize(texts) for texts in (rows.texts, rows.pairs) if texts is not None]
    n_tokens, of_layers = sum(int(column.lengths.sum()) for column in columns), count_layers(encoder.body)
    n_layers = enough_layers(of_layers, n_tokens)
    if n_layers < of_layers:
        keep_first_layers(encoder.body, n_layers)
    if processes > 1:
        vectors = encoder.vectors_by_processes(columns, partial(mean_passes, source, n_layers), processes)
    else:
        vectors = [encoder.vectors(column) for column in columns]
    return BaseEmbeddings(vectors[0] if len(vectors) == 1 else (vectors[0], vectors[1]), n_layers, of_layers, n_tokens)


def enough_layers(of_layers: int, n_tokens: int) -> int:
    """Returns the number of layers to use for this many tokens; all of them if they cannot be counted (0)."""
    return -(-of_layers // 2) if n_tokens > MANY_TOKENS and of_layers >= FEWEST_LAYERS else of_layers


def embedder(source: ModelSource, max_length: int | None = None, n_layers: int | None = None) -> Callable[[list[str]], Array]:
    """Loads the model once and returns a function from texts to their mean embeddings (N, D) float32; raises as ``embed``.

    Args:
        n_layers: layers of the embeddings that these are compared with; None for all.
    """
    encoder = _load_encoder(source, max_length, n_layers)
    return lambda texts: encoder.vectors(encoder.tokenize(texts))


def _load_encoder(source: ModelSource, max_length: int | None, n_layers: int | None = None) -> _BodyEncoder:
    quiet_libraries()
    from transformers import AutoModel

    tokenizer = load_tokenizer(source)
    with model_errors(f"model.name {source.name}", "it cannot be loaded"):
        options = {"dtype": "float32", "use_safetensors": True, "output_loading_info": True}
        body, info = AutoModel.from_pretrained(source.location, **source.version, **options)
    require_every_layer(f"model.name {source.name}", body, info["unexpected_keys"])
    set_padding(body, tokenizer)
    if n_layers is not None and n_layers < count_layers(body):
        keep_first_layers(body, n_layers)
    body = body.eval().to(device_name())
    fast_path = choose_fast_path(fast=True, device=device_name())
    apply_fast_path(body, fast_path)
    if fast_path.precision == "bf16":  # weights too: 9 % faster than autocast, which converts and converts back
        body, fast_path = body.bfloat16(), replace(fast_path, precision="fp32")
    tokens = max_input_tokens(position_limit(body), tokenizer, max_length)
    return _BodyEncoder(tokenizer, body, fast_path, tokens if max_length else min(MOST_TOKENS, tokens))
