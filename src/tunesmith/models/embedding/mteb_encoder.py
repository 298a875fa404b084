"""Implements the interface by which the package mteb calls a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tunesmith.data.pairs.rows import DOCUMENT, QUERY
from tunesmith.errors import MissingExtra
from tunesmith.models.embedding.encoder import SentenceEncoder

PROMPTS = {"query": QUERY, "document": DOCUMENT}
"""mteb's prompt type -> the names of the prompt, the first that the model has; texts without a type get the default prompt."""


@dataclass(frozen=True)
class MtebEncoder:
    """Encodes texts for ``mteb.evaluate`` (``mteb.EncoderProtocol``).

    Attributes:
        vectors: texts (N) and mteb's prompt type (``query``, ``document`` or None) -> their vectors (N, D).
        similarity: vectors (N, D) and (M, D) -> the similarity of every pair (N, M).
        similarity_pairwise: vectors (N, D) and (N, D) -> the similarity of the rows at the same position (N).
        mteb_model_meta: ``mteb.models.ModelMeta``; mteb stores results by its name and revision.
    """

    vectors: Callable[[list[str], str | None], Any]
    similarity: Callable[[Any, Any], Any]
    similarity_pairwise: Callable[[Any, Any], Any]
    mteb_model_meta: Any

    def encode(self, inputs: Any, *, prompt_type: Any = None, **_options: Any) -> Any:
        """Returns the vectors of a data loader's texts (N, D).

        Args:
            inputs: batches, each a dictionary with ``text``.
            prompt_type: ``mteb.types.PromptType``.
        """
        texts = [text for batch in inputs for text in batch["text"]]
        return self.vectors(texts, None if prompt_type is None else str(prompt_type.value))


def import_mteb(purpose: str) -> Any:
    """Imports mteb. Raises MissingExtra, with the purpose, if it is not installed."""
    if find_spec("mteb") is None:
        raise MissingExtra.of("mteb", "mteb", purpose)
    import mteb

    return mteb


def encoder_for_mteb(encoder: SentenceEncoder, revision: str) -> MtebEncoder:
    """Returns an encoder for mteb, with the model's own prompts for queries, documents and other texts, and its similarity.

    Args:
        revision: identifies the weights; mteb returns a stored result of the same name and revision instead of a new one.
    """
    import_mteb(f"An mteb encoder of {encoder.name}")
    from mteb.models import ModelMeta

    def vectors(texts: list[str], prompt_type: str | None) -> Any:
        return encoder.encode(texts, encoder.prompt_for(*PROMPTS.get(prompt_type or "", ())))

    name = Path(encoder.name.removeprefix("builtin:")).resolve().name
    about = {"name": f"tunesmith/{name}", "revision": revision, "embed_dim": encoder.dimension}
    model = encoder.model
    return MtebEncoder(vectors, model.similarity, model.similarity_pairwise, ModelMeta.create_empty(about))
