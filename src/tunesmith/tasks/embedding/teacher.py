"""Loads a teacher that scores how well a document fits a query: a cross-encoder, the run of a reranker, or a bi-encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.pairs.formats import PairKind
from tunesmith.errors import InputError, ModelError
from tunesmith.evaluation.embedding_tests import prompts_of_sides
from tunesmith.evaluation.search import cosine, normalised
from tunesmith.machine import device_name, quiet_libraries
from tunesmith.models.kind import HUB, detect_model_kind
from tunesmith.models.source import ModelSource, file_of, find_model, require_tokenizer_files
from tunesmith.recipe.sections import ModelSection
from tunesmith.tasks.classification.other_model import is_other_model
from tunesmith.tasks.reranker.reranking import Score

TeacherKind = Literal["cross-encoder", "reranker", "bi-encoder"]
MODULES = "modules.json"
CLASSIFIER = "ForSequenceClassification"
"""The ending of transformers' models with a head on whole sequences, as cross-encoders are."""
SMALLEST = 1e-7
"""The distance from 0 and 1 that a probability keeps before its logit is taken: the precision of fp32."""


@dataclass(frozen=True)
class Teacher:
    """A model in memory that scores pairs.

    Attributes:
        score: queries (N) and documents (N) -> scores (N).
        scale: what a score is, for the user.
    """

    kind: TeacherKind
    score: Score
    scale: str


def load_teacher(name: str, row_kind: PairKind, logits: bool = False, max_length: int | None = None) -> Teacher:
    """Loads a teacher.

    Args:
        name: a run, a folder, a hub id or ``builtin:NAME``.
        row_kind: the format of the rows, by which a bi-encoder uses its prompts of queries and documents.
        logits: cross-encoders and rerankers give logits instead of probabilities.
        max_length: limit of the tokens of a pair, or of a text of a bi-encoder; None for the model's own.

    Raises InputError for a model that scores no pairs.
    """
    quiet_libraries()
    kind, is_run = detect_model_kind(name), not is_other_model(name)
    if kind == "causal":
        raise ModelError.one(
            name, "it is a language model, which scores no pairs.", "Name a cross-encoder or an embedding model."
        )
    if kind == "classifier" and is_run:
        return load_reranker(name, logits, max_length)
    source = find_model(ModelSection(name=name.removeprefix(HUB)), Path())
    if is_cross_encoder(source):
        return load_cross_encoder(source, logits, max_length)
    if logits:
        message = "it is a bi-encoder: its score is a similarity, which has no logit."
        raise InputError.one("--logits", message, "Remove the option, or name a cross-encoder.")
    return load_bi_encoder(source, row_kind, max_length)


def load_ranker(name: str) -> Score:
    """Loads a model that reorders documents: the run of a reranker, or a cross-encoder that another program trained.

    Scores of a cross-encoder are logits: probabilities near 1 are equal in fp32. Raises InputError for other models.
    """
    quiet_libraries()
    if not is_other_model(name):
        return load_reranker(name, logits=False, max_length=None).score
    source = find_model(ModelSection(name=name.removeprefix(HUB)), Path())
    if not is_cross_encoder(source):
        message = "it is no reranker: it does not read a query and a document together."
        raise ModelError.one(name, message, "Name the run of a reranker, or a cross-encoder of sentence-transformers.")
    return load_cross_encoder(source, logits=True, max_length=None).score


def is_cross_encoder(source: ModelSource) -> bool:
    """Tells by its files whether a model is a cross-encoder: a classifier of transformers, without modules of another kind."""
    from tunesmith.models.load import load_config

    if source.kind == "builtin" or (file_of(source, MODULES) is not None and not is_saved_cross_encoder(source)):
        return False
    return any(str(name).endswith(CLASSIFIER) for name in load_config(source).architectures or ())


def is_saved_cross_encoder(source: ModelSource) -> bool:
    """Tells whether sentence-transformers saved the model as a cross-encoder with modules."""
    from tunesmith.disk import read_json

    path = file_of(source, "config_sentence_transformers.json")
    return path is not None and read_json(path, SavedKind).get("model_type") == "CrossEncoder"


@dataclass(frozen=True)
class SavedKind:
    """The part of ``config_sentence_transformers.json`` that names the kind of model."""

    model_type: str | None = None


def load_cross_encoder(source: ModelSource, logits: bool, max_length: int | None) -> Teacher:
    """Loads a cross-encoder of sentence-transformers. Raises ModelError for one with several outputs."""
    import torch
    from sentence_transformers import CrossEncoder

    from tunesmith.models.load import model_errors

    if Path(source.location).is_dir():
        require_tokenizer_files(Path(source.location), f"model.name {source.name}")
    with model_errors(source.name, "it cannot be loaded as a cross-encoder"):
        model: Any = CrossEncoder(source.location, device=device_name(), max_length=max_length, **source.version)
    if model.num_labels != 1:
        message = f"it has {plural(model.num_labels, 'output')} for a pair, and a score is one number."
        raise ModelError.one(source.name, message, "Name a cross-encoder for ranking or similarity.")
    activation = torch.nn.Identity() if logits else torch.nn.Sigmoid()

    def score(queries: Sequence[str], documents: Sequence[str]) -> Array:
        pairs = list(zip(queries, documents, strict=True))
        return np.asarray(model.predict(pairs, activation_fn=activation, show_progress_bar=False), dtype=np.float32)

    return Teacher("cross-encoder", score, "logit" if logits else "probability")


def load_reranker(name: str, logits: bool, max_length: int | None) -> Teacher:
    """Loads the run of a reranker. Raises ModelError for another run."""
    from tunesmith.tasks.classification.predictor import load_predictor
    from tunesmith.tasks.reranker.reranking import relevance_of

    if max_length is not None:
        raise InputError.one("--max-length", "a run has the maximum length of its training.", "Remove the option.")
    relevance = relevance_of(load_predictor(Path(name)), name)

    def score(queries: Sequence[str], documents: Sequence[str]) -> Array:
        probability = relevance(queries, documents).astype(np.float64)
        if not logits:
            return probability
        clipped = probability.clip(SMALLEST, 1 - SMALLEST)
        return np.asarray(np.log(clipped) - np.log1p(-clipped))

    return Teacher("reranker", score, "logit" if logits else "probability")


def load_bi_encoder(source: ModelSource, row_kind: PairKind, max_length: int | None) -> Teacher:
    """Loads an embedding model, whose score is its own similarity: cosine, inner product, or negative distance."""
    from tunesmith.models.embedding.encoder import load_encoder

    encoder = load_encoder(source, max_length)
    query_prompt, document_prompt = prompts_of_sides(encoder, row_kind, 2)

    def score(queries: Sequence[str], documents: Sequence[str]) -> Array:
        sides = []
        for texts, prompt in ((queries, query_prompt), (documents, document_prompt)):
            different = list(dict.fromkeys(texts))
            vectors = dict(zip(different, encoder.encode(different, prompt), strict=True))
            sides.append(np.stack([vectors[text] for text in texts]))
        if encoder.similarity == "euclidean":
            return np.asarray(-np.linalg.norm(sides[0] - sides[1], axis=1))
        return cosine(*(normalised(side) if encoder.similarity == "cosine" else side for side in sides))

    return Teacher(
        "bi-encoder", score, {"euclidean": "negative distance", "dot": "inner product"}.get(encoder.similarity, "cosine")
    )
