"""Encodes texts with any model of sentence-transformers, on the fast path if the model is a plain transformer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.table import Examples
from tunesmith.errors import InputError, MissingExtra, ModelError
from tunesmith.evaluation.search import Similarity
from tunesmith.machine import device_name, quiet_libraries
from tunesmith.models.adapters.quantisation import Quantisation
from tunesmith.models.adapters.quantise import keep_trainable_form, loading_options
from tunesmith.models.encode import Encoded, encode
from tunesmith.models.fast.path import FastPath, apply_fast_path, choose_fast_path
from tunesmith.models.inference import forward_passes, in_row_order, no_progress, release
from tunesmith.models.kind import MODULES
from tunesmith.models.load import (
    UNLIMITED,
    folder_with_tokenizer,
    load_config,
    model_errors,
    position_limit,
    require_whole_base,
    require_whole_weights,
    set_padding,
)
from tunesmith.models.many_processes import Outputs, in_processes
from tunesmith.models.source import ModelSource, file_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

SIMILARITIES: Mapping[str, Similarity] = {"cosine": "cosine", "dot": "dot", "euclidean": "euclidean"}


@dataclass(frozen=True)
class SentenceEncoder:
    """A model that encodes a text as one vector.

    Attributes:
        dimension: of its vectors.
        similarity: the similarity that its vectors are compared by.
        prompts: name -> text put before a text, as in training; may be empty.
        default_prompt: put before a text that is no query and no document, as upstream's ``encode`` does; may be empty.
        is_plain: whether token ids and a mask are all that the model reads; else upstream's ``encode`` is used.
        outputs_of: computes the batches in other processes (``encoder_in_processes``); None if the model is here.
    """

    name: str
    model: SentenceTransformer
    fast_path: FastPath
    dimension: int
    similarity: Similarity
    prompts: dict[str, str]
    default_prompt: str
    is_plain: bool
    outputs_of: Outputs | None = None

    def encode(self, texts: Sequence[str], prompt: str = "", progress: Callable[[int], None] = no_progress) -> Array:
        """Returns the vectors of the texts (N, dimension) float32, of length 1 only if the model normalises.

        Args:
            prompt: put before every text; the default prompt is not added.
            progress: called with the number of texts done.
        """
        model: Any = self.model
        if not self.is_plain:
            return np.asarray(model.encode(list(texts), prompt=prompt, show_progress_bar=False), dtype=np.float32)
        encoded = tokenize_texts(model, [prompt + text for text in texts])
        here = nullcontext(self.outputs_of) if self.outputs_of is not None else in_processes(1, partial(vector_passes, self))
        with here as outputs_of:
            return in_row_order(encoded, model.tokenizer.pad_token_id, outputs_of, progress=progress)

    def prompt_for(self, *names: str) -> str:
        """Returns the first of these prompts that the model has, else the empty string; without names the default prompt.

        As upstream's ``encode_query`` and ``encode_document``, which put the default prompt before no query and no document.
        """
        return next((self.prompts[name] for name in names if self.prompts.get(name)), "") if names else self.default_prompt


@contextmanager
def vector_passes(encoder: SentenceEncoder) -> Iterator[Callable[[Mapping[str, Any]], Array]]:
    """Yields the function that computes the vectors of a padded batch: (B, dimension) float32."""
    model: Any = encoder.model
    with forward_passes(
        model,
        lambda outputs, _mask: outputs["sentence_embedding"],
        precision=encoder.fast_path.precision,
        call=lambda model, batch: model(dict(batch)),  # the model adds its outputs to the dictionary
    ) as forward:
        yield forward


@contextmanager
def loaded_vector_passes(source: ModelSource, max_length: int | None) -> Iterator[Callable[[Mapping[str, Any]], Array]]:
    """Loads an encoder, and yields the function that computes the vectors of a padded batch: (B, dimension) float32."""
    with vector_passes(load_encoder(source, max_length)) as forward:
        yield forward


@contextmanager
def encoder_in_processes(
    encoder: SentenceEncoder, source: ModelSource, max_length: int | None, processes: int
) -> Iterator[SentenceEncoder]:
    """Yields the encoder whose vectors are computed by several processes, which load the model; its own weights are freed.

    Upstream's pool (``encode(pool=...)``) has other batches than one process, whose vectors differ in bf16, and imports the
    script of the caller.

    Raises ModelError if upstream's ``encode`` would be needed; with one process the encoder stays as it is.
    """
    if processes == 1:
        yield encoder
        return
    if not encoder.is_plain:
        message = "it reads more than token ids, so that only one process can encode its texts."
        raise ModelError.one(f"model.name {encoder.name}", message, "Leave out --processes.")
    release(encoder.model)
    with in_processes(processes, partial(loaded_vector_passes, source, max_length)) as outputs_of:
        yield replace(encoder, outputs_of=outputs_of)


def load_encoder(
    source: ModelSource, max_length: int | None = None, fast: bool = True, quantisation: Quantisation | None = None
) -> SentenceEncoder:
    """Loads the embedding model of a folder, a run, the hub or ``builtin:``. A model without pooling gets mean pooling.

    Args:
        max_length: truncation length in tokens, at most the model's positions; None for the model's own limit.
        quantisation: format of the body's weights.
    """
    if find_spec("sentence_transformers") is None:
        raise MissingExtra.of("sentence-transformers", "embedding", f"model.name {source.name} as an embedding model")
    quiet_libraries()
    from sentence_transformers import SentenceTransformer

    where = f"model.name {source.name}"
    with model_errors(where, "it cannot be loaded as an embedding model"):
        loading = {"dtype": "float32", **source.attention, **body_options(source, quantisation)}
        options: dict[str, Any] = {"device": device_name(), "model_kwargs": loading}
        with folder_with_tokenizer(source) as location:
            version = source.version if location == source.location else {**source.version, "revision": None}
            model: Any = SentenceTransformer(location, **options, **version)
    body = text_transformer(model)
    if body is not None:
        body.name_or_path = body.config._name_or_path = source.location
        keep_trainable_form(body)
    positions = None if body is None else position_limit(body)
    if max_length is None and positions is not None:
        model.max_seq_length = min(model.max_seq_length or positions, positions)
    if max_length is not None:
        if positions is not None and max_length > positions:
            raise ModelError.one(
                where, f"it has {plural(positions, 'position')}; max_length is {max_length}.", f"Use at most {positions}."
            )
        model.max_seq_length = max_length
    fast_path = choose_fast_path(fast, device_name(), attention=source.attn_implementation)
    if body is not None:
        require_states_of_the_text(source, body)
        require_whole_base(source, body, model.tokenizer, type(body))
        set_padding(body, model.tokenizer)
        with model_errors(where, "its tokenizer does not work with its settings"):
            tokenize_texts(model, ["a"])
        apply_fast_path(body, fast_path)
    return make_encoder(source.name, model, fast_path)


def require_states_of_the_text(source: ModelSource, body: PreTrainedModel) -> None:
    """Raises ModelError for a body with encoder and decoder that nobody has pooled yet: its last states are the decoder's (BART).

    Of T5 and its relatives sentence-transformers loads the encoder alone. A model of sentence-transformers stays as it is.
    """
    if hasattr(body, "encoder") and hasattr(body, "decoder") and file_of(source, MODULES) is None:
        message = f"a model of type {body.config.model_type} gives the states of its decoder, which reads the text moved by one "
        message += "position: its vectors would not be those of the encoder."
        raise ModelError.one(f"model.name {source.name}", message, "Name an encoder (BERT, RoBERTa, ...) or a T5.")


def body_options(source: ModelSource, quantisation: Quantisation | None) -> dict[str, Any]:
    """Returns the options that load a body in few bits; its pooler, which sentence embeddings do not use, stays whole."""
    if quantisation is None:
        return {}
    require_whole_weights(load_config(source), f"model.name {source.name}")
    return loading_options(quantisation, skip=["pooler"])


def make_encoder(name: str, model: SentenceTransformer, fast_path: FastPath) -> SentenceEncoder:
    """Describes a model in memory. Raises ModelError for a similarity that a search by inner products cannot compute."""
    similarity = str(model.similarity_fn_name)
    if similarity not in SIMILARITIES:
        message = f"its vectors are compared by {similarity}, which search cannot do."
        raise ModelError.one(f"model.name {name}", message, f"Known: {', '.join(SIMILARITIES)}.")
    prompts = {key: text for key, text in (model.prompts or {}).items() if text}
    # A text is encoded if the model does not state the length of its vectors.
    dimension = model.get_embedding_dimension() or len(model.encode("a", show_progress_bar=False))
    default = prompts.get(model.default_prompt_name or "", "")
    return SentenceEncoder(
        name, model, fast_path, dimension=int(dimension), similarity=SIMILARITIES[similarity], prompts=prompts,
        default_prompt=default, is_plain=is_plain(model),
    )  # fmt: skip


def resolve_dimensions(encoder: SentenceEncoder, dimensions: Sequence[int]) -> list[int]:
    """Lists the dimensions to evaluate: the vectors', then the smaller ones requested. Raises InputError for larger ones."""
    for size in dimensions:
        if not 0 < size <= encoder.dimension:
            message = (
                f"{plural(size, 'dimension', 'is', 'are')} requested; the vectors of {encoder.name} have {encoder.dimension}."
            )
            raise InputError.one("--dimensions", message)
    return [encoder.dimension, *(size for size in dict.fromkeys(dimensions) if size < encoder.dimension)]


def text_transformer(model: Any) -> PreTrainedModel | None:
    """Returns the transformer in the first module, if that reads texts by a tokenizer's ids alone; else None."""
    from sentence_transformers.base.modules import Transformer

    first = model[0]
    if not isinstance(first, Transformer) or model.tokenizer is None or getattr(first, "processing_kwargs", None):
        return None
    body: PreTrainedModel = first.model
    return body if "input_ids" in model.tokenizer.model_input_names else None


def is_plain(model: Any) -> bool:
    """Returns True if the first module is a transformer on text, and every module needs only token ids and a mask."""
    pools_all = all(getattr(module, "include_prompt", True) for module in model)
    return text_transformer(model) is not None and pools_all and not getattr(model[0], "query_expansion", None)


def tokenize_texts(model: Any, texts: list[str], count_cut: bool = False) -> Encoded:
    """Tokenises texts, truncated at the model's limit; with ``count_cut`` their full lengths are counted as well."""
    if getattr(model[0], "do_lower_case", False):
        texts = [text.lower() for text in texts]
    limit = model.max_seq_length or model.tokenizer.model_max_length
    rows = Examples("", "", list(range(len(texts))), texts, [0] * len(texts))
    return encode(model.tokenizer, rows, min(limit, UNLIMITED), count_cut=count_cut)
