"""sentence-transformers' trainer with checked steps, batches that know their rows, and the loss's weights in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer

from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.training.guarded import GuardedTrainer
from tunesmith.training.weights import load_trained, save_trained

ROW_ID = "row_id"
LABEL = "label"
KEPT_WORDS = 0.4
"""Of a text to be written again (Wang et al. 2021, "TSDAE": 60 % of the words are deleted)."""
SAME_TEXTS = 1 / 8
"""Of the pairs of contrastive tension that are two times one text (Carlsson et al. 2021: one positive to seven negatives)."""


@dataclass(frozen=True)
class TrainingSet:
    """Rows with their loss, as the trainer has them.

    Attributes:
        dataset: see ``dataset_of``.
        sampler: upstream's name for how batches are drawn.
        denoise: the texts are given with words deleted, too (TSDAE).
    """

    dataset: Any
    loss: Any
    sampler: str
    denoise: bool = False


def set_name(number: int) -> str:
    """What the trainer calls one of several sets."""
    return f"set_{number}"


def dataset_of(rows: EmbeddingRows, loss: str, labels: list[Any] | None, seed: int) -> Any:
    """The training rows as upstream's trainer reads them: texts by column in the order of the shape, ``label``, ``row_id``."""
    from datasets import Dataset

    columns: dict[str, Any] = dict(zip(names_of(rows), (list(side) for side in rows.sides), strict=True))
    if loss == "ContrastiveTensionLoss":
        columns = tension_pairs(rows.sides[0], seed)
    if labels is not None:
        columns[LABEL] = labels
    return Dataset.from_dict({**columns, ROW_ID: list(rows.row_ids)})


def names_of(rows: EmbeddingRows) -> list[str]:
    """The names of the text columns for the trainer: those of the file could be ones that it reads as something else."""
    return [f"text_{i}" for i in range(len(rows.sides))]


def tension_pairs(texts: tuple[str, ...], seed: int) -> dict[str, list[str]]:
    """Each text with itself or with another one drawn at random."""
    draw = np.random.default_rng([seed, len(texts)])
    others = draw.integers(0, len(texts), len(texts))
    is_same = draw.random(len(texts)) < SAME_TEXTS
    second = [text if same else texts[other] for text, same, other in zip(texts, is_same, others.tolist(), strict=True)]
    return {"text_0": list(texts), "text_1": second}


def with_words_deleted(text: str, seed: int, epoch: int, row_id: int) -> str:
    """The text with a random 60 % of its words deleted, one kept at least: the same for the same row and epoch."""
    words = text.split()
    draw = np.random.default_rng([seed, epoch, row_id])
    kept = [word for word, chance in zip(words, draw.random(len(words)), strict=True) if chance < KEPT_WORDS]
    return " ".join(kept or [words[int(draw.integers(len(words)))]])


class RowCollator(SentenceTransformerDataCollator):
    """Upstream's collator; batches also hold ``row_id`` (B), and with ``noise`` each text with words deleted before it.

    Attributes:
        noise: set name -> function of a text and its row; one set alone has the name "".
    """

    noise: Mapping[str, Any] = MappingProxyType({})

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        rows = [{name: value for name, value in row.items() if name != ROW_ID} for row in features]
        ids = [row[ROW_ID] for row in features]
        noise = self.noise.get(features[0].get("dataset_name", ""))
        if noise is not None:
            rows = [{"noisy": noise(row["text_0"], i), **row} for row, i in zip(rows, ids, strict=True)]
        return {**super().__call__(rows), ROW_ID: torch.tensor(ids)}


class EmbeddingTrainer(GuardedTrainer, SentenceTransformerTrainer):
    """Upstream's trainer for sentence embeddings.

    Args:
        sets: one, or several that are mixed batch by batch.
    """

    def __init__(self, *, sets: Sequence[TrainingSet], **upstream: Any) -> None:
        self.sets = {set_name(i): one for i, one in enumerate(sets)} if len(sets) > 1 else {"": sets[0]}
        datasets: Any = {name: one.dataset for name, one in self.sets.items()}
        losses: Any = {name: one.loss for name, one in self.sets.items()}
        if len(sets) == 1:
            datasets, losses = sets[0].dataset, sets[0].loss
        super().__init__(train_dataset=datasets, loss=losses, **upstream)
        collator: Any = self.data_collator
        collator.noise = {name: self.delete_words for name, one in self.sets.items() if one.denoise}

    def delete_words(self, text: str, row_id: int) -> str:
        """The text with other words deleted in each epoch, the same after a resume."""
        return with_words_deleted(text, self.args.seed, int(self.state.epoch or 0), row_id)

    def get_data_collator(self, model: Any, args: Any, processing_class: Any = None) -> RowCollator:
        return RowCollator(preprocess_fn=model.preprocess, prompts=args.prompts)

    def get_batch_sampler(self, dataset: Any, *arguments: Any, **named: Any) -> Any:
        """As the set's own loss needs it. Rows are told apart by their texts, not by their numbers."""
        drawn = next(one.sampler for one in self.sets.values() if one.dataset is dataset)
        self.args.batch_sampler = BatchSamplers(drawn)
        return super().get_batch_sampler(dataset.remove_columns(ROW_ID), *arguments, **named)

    def add_model_card_callback(self, default_args_dict: Mapping[str, Any]) -> None:
        """The model card is the run's own."""

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        self.note_rows(inputs.pop(ROW_ID).tolist())
        return self.check_loss(super().training_step(model, inputs, num_items_in_batch))

    def losses(self) -> torch.nn.Module:
        """All that is trained: the model and what the losses have of their own."""
        return torch.nn.ModuleDict({name or "only": one.loss for name, one in self.sets.items()})

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """What is trained, the losses' own weights included, which upstream leaves out."""
        save_trained(self.losses(), Path(output_dir or self.args.output_dir), exist_ok=True)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        load_trained(self.losses(), Path(checkpoint_path))
