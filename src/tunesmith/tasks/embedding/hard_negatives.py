"""Mines hard negatives: documents that the base model ranks high for a query and that are not its positive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunesmith.data.cells import plural
from tunesmith.data.pairs.formats import PairFormat
from tunesmith.data.pairs.load import BEIR_TRAIN, retrieval_folder
from tunesmith.data.pairs.retrieval import cut_search, read_beir
from tunesmith.data.pairs.rows import DOCUMENT, QUERY, EmbeddingRows
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.search import normalised
from tunesmith.machine import device_name
from tunesmith.models.embedding.encoder import SentenceEncoder, load_encoder
from tunesmith.models.source import find_model
from tunesmith.recipe.sections import ModelSection
from tunesmith.recipe.task_sections import HardNegativesSection
from tunesmith.results import Finding
from tunesmith.tasks.embedding.data import EmbeddingTaskData
from tunesmith.training.losses.embedding_choice import choose_loss

Pair = tuple[str, str]
TOO_FEW = "with too few hard negatives"


def with_hard_negatives(data: EmbeddingTaskData) -> EmbeddingTaskData:
    """Adds mined negatives to each training pair, and a finding about the pairs without. Raises RecipeError or DataError."""
    section, rows = data.recipe.embedding.hard_negatives, data.rows.train
    assert section is not None
    if rows.format.kind != "positive_pair":
        message = f"negatives are mined for pairs that belong together; the rows are {rows.format.kind.replace('_', ' ')} rows."
        raise RecipeError.one("embedding.hard_negatives", message, "Remove the key, or give embedding.convert: positive_pair.")
    encoder = load_encoder(data.source, data.recipe.data.max_length, data.recipe.train.fast)
    negatives = mined(rows, corpus_of(data.recipe.data.train, data.base, data.max_rows), encoder, section, data.base)
    pairs = rows_with(rows, negatives, section.num_negatives)
    lost = [i for i, pair in enumerate(zip(*rows.sides, strict=True)) if pair not in negatives]
    note = f"{plural(len(pairs), 'training pair', 'has', 'have')} {plural(section.num_negatives, 'hard negative')} each; "
    note += f"{len(lost):,} have too few and are not used."
    findings = data.findings
    if lost:
        message = f"{plural(len(lost), 'training pair', 'has', 'have')} too few hard negatives: not used"
        shown = tuple({"row_id": rows.row_ids[i], "split": rows.split, "reason": "too few negatives"} for i in lost[:20])
        remedy = "Lower the margins or raise range_max of embedding.hard_negatives."
        findings = (*findings, Finding("dropped_rows", message, len(lost), rows=shown, remedy=remedy))
    with_negatives = replace(data.rows, train=pairs, notes=(*data.rows.notes, note))
    return replace(data, rows=with_negatives, findings=findings, choice=choose_loss(pairs, data.recipe.embedding))


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
    """Returns pair -> its negatives, the hardest first; pairs with too few are absent."""
    from datasets import Dataset
    from sentence_transformers.util import mine_hard_negatives

    model: Any = FastEncoder(encoder)
    options = section.model_dump(exclude={"cross_encoder"}, exclude_none=True)
    try:
        table = mine_hard_negatives(
            Dataset.from_dict({"anchor": list(rows.sides[0]), "positive": list(rows.sides[1])}),
            model,
            anchor_column_name="anchor",
            positive_column_name="positive",
            corpus=None if corpus is None else list(corpus),
            cross_encoder=cross_encoder_of(section, base),
            output_format="n-tuple",
            verbose=False,
            **options,
        )
    except ValueError as error:
        raise RecipeError.one("embedding.hard_negatives", f"sentence-transformers refuses it: {error}") from error
    columns = [table[f"negative_{i}"] for i in range(1, section.num_negatives + 1)] if len(table) else []
    return {
        (anchor, positive): negatives
        for anchor, positive, negatives in zip(table["anchor"], table["positive"], zip(*columns, strict=True), strict=True)
    }


def cross_encoder_of(section: HardNegativesSection, base: Path) -> Any:
    """Loads the model that scores candidates again; None if the recipe names none."""
    if section.cross_encoder is None:
        return None
    from sentence_transformers import CrossEncoder

    source = find_model(ModelSection(name=section.cross_encoder), base)
    return CrossEncoder(source.location, device=device_name())


class FastEncoder:
    """Adapter with the two encode methods that ``mine_hard_negatives`` calls, on the fast path."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.encoder, self.device = encoder, torch.device("cpu")
        self.similarity, self.similarity_pairwise = encoder.model.similarity, encoder.model.similarity_pairwise

    def encode_query(self, texts: Sequence[str], **_: object) -> np.ndarray:
        return np.asarray(normalised(self.encoder.encode(texts, self.encoder.prompt_for(*QUERY))))

    def encode_document(self, texts: Sequence[str], **_: object) -> np.ndarray:
        return np.asarray(normalised(self.encoder.encode(texts, self.encoder.prompt_for(*DOCUMENT))))


def rows_with(rows: EmbeddingRows, mined_of: Mapping[Pair, tuple[str, ...]], n_negatives: int) -> EmbeddingRows:
    """Returns the rows that have negatives, with them."""
    positions = [i for i, pair in enumerate(zip(*rows.sides, strict=True)) if pair in mined_of]
    if not positions:
        message = f"no pair has {plural(n_negatives, 'negative')} within the range and the margins."
        raise DataError.one(rows.source, message, "Raise embedding.hard_negatives.range_max, or lower the margins.")
    used = set(positions)
    lost = tuple(row_id for i, row_id in enumerate(rows.row_ids) if i not in used)
    left_out = {**rows.left_out, **({TOO_FEW: lost} if lost else {})}
    chosen = replace(rows.take(positions, rows.split), left_out=left_out, rows_read=rows.rows_read, not_sampled=rows.not_sampled)
    negatives = tuple(zip(*(mined_of[pair] for pair in zip(*chosen.sides, strict=True)), strict=True))
    names = tuple(f"negative_{i}" for i in range(1, n_negatives + 1))
    reason = f"{rows.format.reason}; negatives mined by the base model"
    pair_format = PairFormat("triplet" if n_negatives == 1 else "tuple", (*rows.format.texts, *names), (), reason)
    return replace(chosen, format=pair_format, sides=(*chosen.sides, *negatives))
