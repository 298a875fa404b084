"""Texts to sentence embeddings by any model of sentence-transformers, on the fast path where the model is a plain one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.table import Examples
from tunesmith.errors import InputError, MissingExtra, ModelError
from tunesmith.machine import device_name, quiet_libraries
from tunesmith.models.encode import Encoded, encode
from tunesmith.models.fast.path import Kernels, apply_kernels, choose_kernels
from tunesmith.models.inference import run_model, unheard
from tunesmith.models.load import first_line, set_padding
from tunesmith.models.source import ModelSource

UNLIMITED = 100_000
"""A limit above this many tokens is none: tokenizers without one say 10^30."""
Similarity = Literal["cosine", "dot", "euclidean"]


@dataclass(frozen=True)
class SentenceEncoder:
    """A model that makes one vector of a text.

    Attributes:
        model: the ``SentenceTransformer``.
        dimension: of its vectors.
        similarity: by which its vectors are compared.
        prompts: name -> text put before a text, as the model was trained with; may be empty.
        is_plain: a transformer on text with modules after it, which the fast path can run; else upstream's own ``encode`` does.
    """

    name: str
    model: Any
    kernels: Kernels
    dimension: int
    similarity: Similarity
    prompts: dict[str, str]
    is_plain: bool

    def encode(self, texts: Sequence[str], prompt: str = "", progress: Callable[[int], None] = unheard) -> Array:
        """The vectors of the texts (N, dimension) float32, as the model makes them: of length 1 only where it normalises.

        Args:
            prompt: put before every text.
            progress: called with the number of texts done.
        """
        if not self.is_plain:
            return np.asarray(self.model.encode(list(texts), prompt=prompt or None, show_progress_bar=False), dtype=np.float32)
        encoded = tokens_of(self.model, [prompt + text for text in texts])
        pad_id = self.model.tokenizer.pad_token_id
        return run_model(self.model, encoded, pad_id, 64, self.kernels.precision, sentence_of, by_dictionary, progress)

    def prompt_for(self, *names: str) -> str:
        """The first of these prompts that the model has, else none."""
        return next((self.prompts[name] for name in names if self.prompts.get(name)), "")


def by_dictionary(model: Any, batch: dict[str, Any]) -> Any:
    """A ``SentenceTransformer`` takes its tensors in a dictionary and adds to it."""
    return model(dict(batch))


def sentence_of(outputs: Any, _mask: Any) -> Any:
    return outputs["sentence_embedding"]


def load_encoder(source: ModelSource, max_length: int | None = None, fast: bool = True) -> SentenceEncoder:
    """The embedding model of a folder, a run, the hub or ``builtin:``. A model without pooling gets the mean over its tokens.

    Args:
        max_length: tokens of a text that are read; the model's own limit when not said.

    Raises:
        MissingExtra: sentence-transformers is not installed.
        ModelError: the model cannot be loaded, or has fewer positions than ``max_length``.
    """
    if find_spec("sentence_transformers") is None:
        raise MissingExtra.of("sentence-transformers", "embedding", f"model.name {source.name} as an embedding model")
    quiet_libraries()
    from sentence_transformers import SentenceTransformer

    where = f"model.name {source.name}"
    try:
        model = SentenceTransformer(
            source.location, device=device_name(), revision=source.revision, trust_remote_code=source.trust_remote_code,
            model_kwargs={"dtype": "float32"},
        )  # fmt: skip
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError.one(where, f"it cannot be loaded as an embedding model: {first_line(error)}") from error
    limit_length(model, max_length, where)
    plain, kernels = is_plain(model), choose_kernels(fast, device_name())
    if plain:
        set_padding(model[0].model, model.tokenizer)
        apply_kernels(model[0].model, kernels)
    prompts = {name: text for name, text in (model.prompts or {}).items() if text}
    return SentenceEncoder(source.name, model, kernels, dimension_of(model), similarity_of(model, where), prompts, plain)


def sizes_of(encoder: SentenceEncoder, dimensions: Sequence[int]) -> list[int]:
    """How many dimensions of the vectors are kept: all of them, then the others that were asked for.

    Raises:
        InputError: the vectors do not have so many.
    """
    for size in dimensions:
        if not 0 < size <= encoder.dimension:
            message = f"{size} dimensions were asked for; the vectors of {encoder.name} have {encoder.dimension}."
            raise InputError.one("--dimensions", message)
    return [encoder.dimension, *(size for size in dict.fromkeys(dimensions) if size < encoder.dimension)]


def limit_length(model: Any, max_length: int | None, where: str) -> None:
    """Set how many tokens of a text are read."""
    if max_length is None:
        return
    positions = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if positions is not None and max_length > positions:
        message = f"it has {positions} positions; max_length is {max_length}."
        raise ModelError.one(where, message, f"Use at most {positions}.")
    model.max_seq_length = max_length


def is_plain(model: Any) -> bool:
    """Whether the first module is a transformer on text that needs nothing but token ids and a mask."""
    from sentence_transformers.base.modules import Transformer

    first = model[0]
    if not isinstance(first, Transformer) or model.tokenizer is None:
        return False
    unusual = getattr(first, "query_expansion", None) or getattr(first, "processing_kwargs", None)
    pools_all = all(getattr(module, "include_prompt", True) for module in model)
    return not unusual and pools_all and "input_ids" in model.tokenizer.model_input_names


def reload_encoder(folder: Path) -> SentenceEncoder:
    """A model as a run saved it."""
    return load_encoder(ModelSource(str(folder), str(folder), "folder"))


def tokens_of(model: Any, texts: list[str], count_cut: bool = False) -> Encoded:
    """The token ids of the texts, cut at the model's limit; with ``count_cut`` also how many there were before."""
    if getattr(model[0], "do_lower_case", False):
        texts = [text.lower() for text in texts]
    limit = model.max_seq_length or model.tokenizer.model_max_length
    rows = Examples("", "", list(range(len(texts))), texts, [0] * len(texts))
    return encode(model.tokenizer, rows, limit if limit < UNLIMITED else UNLIMITED, count_cut=count_cut)


def dimension_of(model: Any) -> int:
    """The length of the model's vectors, by asking it where it does not say."""
    said = model.get_embedding_dimension()
    return int(said) if said else len(model.encode("a", show_progress_bar=False))


def similarity_of(model: Any, where: str) -> Similarity:
    """How the model's vectors are compared. Raises ModelError for one that a search by products cannot give."""
    name = str(model.similarity_fn_name)
    known: dict[str, Similarity] = {"cosine": "cosine", "dot": "dot", "euclidean": "euclidean"}
    if name not in known:
        raise ModelError.one(
            where, f"its vectors are compared by {name}, which search cannot do.", "Known: cosine, dot, euclidean."
        )
    return known[name]


def comparable(similarity: Similarity) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Functions of queries and of documents (N, D) after which the inner product ranks as the similarity does."""
    if similarity == "dot":
        return np.asarray, np.asarray
    if similarity == "cosine":
        return normalised, normalised
    # -|q - d|^2 = 2 q d - |d|^2 - |q|^2, and the last term is the same for all documents of a query
    return (
        lambda q: np.concatenate([2 * q, -np.ones((len(q), 1), dtype=q.dtype)], axis=1),
        lambda d: np.concatenate([d, (d * d).sum(axis=1, keepdims=True)], axis=1),
    )


def normalised(vectors: Array) -> Array:
    """The vectors with length 1; those of length 0 stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))
