"""Hard negatives: texts that the base model takes for an answer and that are none, beside each pair, by sentence-transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunesmith.data.pairs.formats import PairFormat
from tunesmith.data.pairs.load import BEIR_TRAIN, retrieval_folder
from tunesmith.data.pairs.retrieval import cut_search, read_beir
from tunesmith.data.pairs.rows import DOCUMENT, QUERY, EmbeddingRows
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.search import normalised
from tunesmith.machine import device_name
from tunesmith.models.embedding.encoder import SentenceEncoder, load_encoder
from tunesmith.models.source import find_model
from tunesmith.recipe.sections import HardNegativesSection, ModelSection
from tunesmith.results import Finding
from tunesmith.tasks.embedding.data import EmbeddingTaskData
from tunesmith.training.losses.embedding_choice import choose_loss

Pair = tuple[str, str]
TOO_FEW = "with too few hard negatives"


def with_hard_negatives(data: EmbeddingTaskData) -> EmbeddingTaskData:
    """The inputs with negatives mined for each training pair, and a finding that says what became of the pairs.

    Raises:
        RecipeError: the rows are no pairs, or the range leaves too few candidates.
        DataError: no pair has as many negatives.
    """
    section, rows = data.recipe.embedding.hard_negatives, data.rows.train
    assert section is not None
    if rows.format.kind != "positive_pair":
        message = f"negatives are mined for pairs that belong together; the rows are {rows.format.kind.replace('_', ' ')} rows."
        raise RecipeError.one("embedding.hard_negatives", message, "Remove the key, or give embedding.convert: positive_pair.")
    encoder = load_encoder(data.source, data.recipe.data.max_length, data.recipe.train.fast)
    found = mined(rows, corpus_of(data.recipe.data.train, data.base, data.max_rows), encoder, section, data.base)
    made = rows_with(rows, found, section.num_negatives)
    lost = len(rows) - len(made)
    note = (
        f"{len(made):,} training pairs have {section.num_negatives} hard negatives each; {lost:,} have too few and are not used."
    )
    with_negatives = replace(data.rows, train=made, notes=(*data.rows.notes, note))
    findings = (*data.findings, *without_negatives(rows, found))
    return replace(data, rows=with_negatives, findings=findings, choice=choose_loss(made, data.recipe.embedding))


def corpus_of(train: str, base: Path, max_rows: int | None) -> tuple[str, ...] | None:
    """Returns the documents of a retrieval folder, which negatives are taken from; None for the answers of the pairs.

    Args:
        max_rows: documents at most; None for all.
    """
    folder = retrieval_folder(train, base)
    return None if folder is None else cut_search(read_beir(folder, BEIR_TRAIN), max_rows).documents


def mined(
    rows: EmbeddingRows, corpus: Sequence[str] | None, encoder: SentenceEncoder, section: HardNegativesSection, base: Path
) -> Mapping[Pair, tuple[str, ...]]:
    """Pair -> its negatives, the hardest first; pairs with too few are not there."""
    from datasets import Dataset
    from sentence_transformers.util import mine_hard_negatives

    model: Any = FastEncoder(encoder)
    options = section.model_dump(exclude={"cross_encoder"}, exclude_none=True)
    try:
        made = mine_hard_negatives(
            Dataset.from_dict({"anchor": list(rows.sides[0]), "positive": list(rows.sides[1])}),
            model, anchor_column_name="anchor", positive_column_name="positive",
            corpus=None if corpus is None else list(corpus), cross_encoder=cross_encoder_of(section, base),
            output_format="n-tuple", verbose=False, **options,
        )  # fmt: skip
    except ValueError as error:
        raise RecipeError.one("embedding.hard_negatives", f"sentence-transformers refuses it: {error}") from error
    columns = [made[f"negative_{i}"] for i in range(1, section.num_negatives + 1)] if len(made) else []
    return {
        (anchor, positive): negatives
        for anchor, positive, negatives in zip(made["anchor"], made["positive"], zip(*columns, strict=True), strict=True)
    }


def cross_encoder_of(section: HardNegativesSection, base: Path) -> Any:
    """The model that scores candidates again; None where none is named."""
    if section.cross_encoder is None:
        return None
    from sentence_transformers import CrossEncoder

    source = find_model(ModelSection(name=section.cross_encoder), base)
    return CrossEncoder(source.location, device=device_name())


class FastEncoder:
    """A model as the miner asks it, by our fast path."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.encoder, self.device = encoder, torch.device("cpu")
        self.similarity, self.similarity_pairwise = encoder.model.similarity, encoder.model.similarity_pairwise

    def encode_query(self, texts: Sequence[str], **_: Any) -> np.ndarray:
        return np.asarray(normalised(self.encoder.encode(texts, self.encoder.prompt_for(*QUERY))))

    def encode_document(self, texts: Sequence[str], **_: Any) -> np.ndarray:
        return np.asarray(normalised(self.encoder.encode(texts, self.encoder.prompt_for(*DOCUMENT))))


def rows_with(rows: EmbeddingRows, found: Mapping[Pair, tuple[str, ...]], n_negatives: int) -> EmbeddingRows:
    """The rows that have negatives, with them."""
    kept = [i for i, pair in enumerate(zip(*rows.sides, strict=True)) if pair in found]
    if not kept:
        message = f"no pair has {n_negatives} negatives within the range and the margins."
        raise DataError.one(rows.source, message, "Raise embedding.hard_negatives.range_max, or lower the margins.")
    used = set(kept)
    lost = tuple(row_id for i, row_id in enumerate(rows.row_ids) if i not in used)
    left_out = {**rows.left_out, **({TOO_FEW: lost} if lost else {})}
    chosen = replace(rows.take(kept, rows.split), left_out=left_out, rows_read=rows.rows_read, not_sampled=rows.not_sampled)
    negatives = tuple(zip(*(found[pair] for pair in zip(*chosen.sides, strict=True)), strict=True))
    names = tuple(f"negative_{i}" for i in range(1, n_negatives + 1))
    reason = f"{rows.format.reason}; negatives mined by the base model"
    shape = PairFormat("triplet" if n_negatives == 1 else "tuple", (*rows.format.texts, *names), (), reason)
    return replace(chosen, format=shape, sides=(*chosen.sides, *negatives))


def without_negatives(rows: EmbeddingRows, found: Mapping[Pair, tuple[str, ...]]) -> list[Finding]:
    """The pairs that are not used, since no other text was near enough without being too near."""
    lost = [i for i, pair in enumerate(zip(*rows.sides, strict=True)) if pair not in found]
    if not lost:
        return []
    return [
        Finding(
            "dropped_rows", f"{len(lost):,} training pairs have too few hard negatives and are not used", len(lost),
            rows=tuple({"row_id": rows.row_ids[i], "split": rows.split, "reason": "too few negatives"} for i in lost[:20]),
            remedy="Lower the margins or raise range_max of embedding.hard_negatives.",
        )
    ]  # fmt: skip
