"""Adapts sentence-transformers' trainer: guarded steps, batches with row ids, and the loss's weights in checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer

from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.training.guarded import GuardedTrainer, TrainerKeywords
from tunesmith.training.weights import load_trained, save_trained

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers.base.model import BaseModel
    from sentence_transformers.base.training_args import BaseTrainingArguments

ROW_ID = "row_id"
LABEL = "label"
KEPT_WORDS = 0.4
"""Share of the words that the denoising loss keeps (Wang et al. 2021, "TSDAE": 60 % of the words are deleted)."""
SAME_TEXTS = 1 / 8
"""Share of the pairs of contrastive tension that repeat one text (Carlsson et al. 2021: one positive to seven negatives)."""


@dataclass(frozen=True)
class TrainingSet:
    """Rows with their loss, as the trainer reads them.

    Attributes:
        dataset: see ``dataset_of``.
        sampler: upstream's name of the batch sampler.
        denoise: the loss needs each text with words deleted, too (TSDAE).
    """

    dataset: Dataset
    loss: torch.nn.Module
    sampler: str
    denoise: bool = False


def set_name(number: int) -> str:
    """Names one of several data sets for the trainer."""
    return f"set_{number}"


def dataset_of(rows: EmbeddingRows, loss: str, labels: list[Any] | None, seed: int) -> Dataset:
    """Builds the training rows as upstream's trainer reads them: text columns in the format's order, ``label``, ``row_id``."""
    from datasets import Dataset

    columns: dict[str, list[Any]] = dict(zip(names_of(rows), (list(side) for side in rows.sides), strict=True))
    if loss == "ContrastiveTensionLoss":
        # Each text is paired with itself or with another one drawn at random.
        texts = rows.sides[0]
        draw = np.random.default_rng([seed, len(texts)])
        others = draw.integers(0, len(texts), len(texts)).tolist()
        is_same = draw.random(len(texts)) < SAME_TEXTS
        second = [text if same else texts[other] for text, same, other in zip(texts, is_same, others, strict=True)]
        columns = {"text_0": list(texts), "text_1": second}
    if labels is not None:
        columns[LABEL] = labels
    return Dataset.from_dict({**columns, ROW_ID: list(rows.row_ids)})


def names_of(rows: EmbeddingRows) -> list[str]:
    """Names the text columns for the trainer, since it could misread those of the file."""
    return [f"text_{i}" for i in range(len(rows.sides))]


class RowCollator(SentenceTransformerDataCollator):
    """Upstream's collator; batches also hold ``row_id`` (B), and with ``noise`` each text with words deleted before it.

    Attributes:
        noise: set name -> function (text, row id) -> text; a single set has the name "".
    """

    noise: Mapping[str, Callable[[str, int], str]] = MappingProxyType({})

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        rows = [{name: value for name, value in row.items() if name != ROW_ID} for row in features]
        ids = [row[ROW_ID] for row in features]
        noise = self.noise.get(features[0].get("dataset_name", ""))
        if noise is not None:
            rows = [{"noisy": noise(row["text_0"], i), **row} for row, i in zip(rows, ids, strict=True)]
        return {**super().__call__(rows), ROW_ID: torch.tensor(ids)}


class EmbeddingTrainer(GuardedTrainer, SentenceTransformerTrainer):
    """A guarded trainer of sentence embeddings.

    Args:
        sets: the data sets; several are mixed batch by batch.
    """

    def __init__(self, *, sets: Sequence[TrainingSet], **upstream: Unpack[TrainerKeywords]) -> None:
        self.sets = {set_name(i): rows for i, rows in enumerate(sets)} if len(sets) > 1 else {"": sets[0]}
        datasets: Any = {name: rows.dataset for name, rows in self.sets.items()}
        losses: Any = {name: rows.loss for name, rows in self.sets.items()}
        if len(sets) == 1:
            datasets, losses = sets[0].dataset, sets[0].loss
        super().__init__(train_dataset=datasets, loss=losses, **upstream)
        collator: Any = self.data_collator
        collator.noise = {name: self.delete_words for name, rows in self.sets.items() if rows.denoise}

    def delete_words(self, text: str, row_id: int) -> str:
        """Deletes a random 60 % of the words, but not all of them: others in each epoch, the same ones after a resume."""
        words = text.split()
        draw = np.random.default_rng([self.args.seed, int(self.state.epoch or 0), row_id])
        words_left = [word for word, chance in zip(words, draw.random(len(words)), strict=True) if chance < KEPT_WORDS]
        return " ".join(words_left or [words[int(draw.integers(len(words)))]])

    def get_data_collator(self, model: BaseModel, args: BaseTrainingArguments, processing_class: object = None) -> RowCollator:
        return RowCollator(preprocess_fn=model.preprocess, prompts=args.prompts)

    def get_batch_sampler(self, dataset: Dataset, *arguments: Any, **named: Any) -> Any:
        """Chooses the sampler that the data set's own loss needs. It compares rows by their texts, not by their row ids."""
        sampler = next(rows.sampler for rows in self.sets.values() if rows.dataset is dataset)
        self.args.batch_sampler = BatchSamplers(sampler)
        return super().get_batch_sampler(dataset.remove_columns(ROW_ID), *arguments, **named)

    def add_model_card_callback(self, default_args_dict: Mapping[str, Any]) -> None:
        """Adds nothing: the run writes its own model card."""

    def rows_of_batch(self, inputs: dict[str, Any]) -> list[int]:
        rows: list[int] = inputs.pop(ROW_ID).tolist()
        return rows

    def losses(self) -> torch.nn.Module:
        """Returns all trained modules: the model, and the losses with weights of their own."""
        return torch.nn.ModuleDict({name or "only": rows.loss for name, rows in self.sets.items()})

    def _save(self, output_dir: str | None = None, state_dict: object = None) -> None:
        """Saves the trained tensors, those of the losses included, which upstream leaves out."""
        save_trained(self.losses(), Path(output_dir or self.args.output_dir), exist_ok=True)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        load_trained(self.losses(), Path(checkpoint_path))
