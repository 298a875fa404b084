"""Adapts TRL's SFTTrainer to prepared tokens, and transformers' Trainer to masked ones: guarded steps, batches with row ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Unpack

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from transformers import Trainer
from trl import SFTTrainer

from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.models.fast.packing import collate_packs
from tunesmith.models.fast.path import FastPath
from tunesmith.models.fast.supervised_loss import supervised_loss
from tunesmith.models.language.masking import mask_tokens
from tunesmith.models.language.token_losses import pad_rows
from tunesmith.training.guarded import GuardedTrainer, TrainerKeywords
from tunesmith.training.sampling import BucketedSampler, Positions

POSITION = "position"


@dataclass(frozen=True)
class TrainingTokens:
    """The training rows of a language model as tokens.

    Attributes:
        row_ids: (N) row of each sequence; rows that were split have several.
        input_ids, labels: (N) token ids, and targets (-100: none) of each sequence; targets of masked models are made later.
        packs: positions of the sequences in each item of a batch; one each without packing.
        pad_id: pads shorter items.
        padding_free: the items of a batch are joined into one sequence instead of padded.
    """

    row_ids: Sequence[int]
    input_ids: Sequence[np.ndarray]
    labels: Sequence[np.ndarray]
    packs: Sequence[tuple[int, ...]]
    pad_id: int
    padding_free: bool = False

    @cached_property
    def lengths(self) -> np.ndarray:
        """Counts the tokens of each item."""
        return np.array([sum(len(self.input_ids[i]) for i in pack) for pack in self.packs])

    @property
    def is_packed(self) -> bool:
        return any(len(pack) > 1 for pack in self.packs)

    @property
    def is_joined(self) -> bool:
        """Tells whether a sequence of a batch may hold several rows."""
        return self.padding_free or self.is_packed

    def rows_of(self, items: Sequence[int]) -> list[int]:
        """Returns the row ids of those items."""
        return [self.row_ids[i] for item in items for i in self.packs[item]]


def batch_of(tokens: TrainingTokens, items: Sequence[int]) -> dict[str, Any]:
    """Builds a batch. Joined rows are separated by ``position_ids`` and have no attention mask."""
    chosen = [tokens.packs[item] for item in items]
    if not tokens.is_joined:
        ids, labels = ([part[pack[0]] for pack in chosen] for part in (tokens.input_ids, tokens.labels))
        return padded_batch(ids, labels, tokens.pad_id)
    if tokens.padding_free:
        chosen = [tuple(i for pack in chosen for i in pack)]
    joined, targets = ([[part[i] for i in pack] for pack in chosen] for part in (tokens.input_ids, tokens.labels))
    return collate_packs(joined, targets, tokens.pad_id)


def padded_batch(rows: Sequence[np.ndarray], labels: Sequence[np.ndarray], pad_id: int) -> dict[str, torch.Tensor]:
    """Builds ``input_ids``, ``attention_mask`` and ``labels`` of sequences padded on the right: (B, T)."""
    mask = [np.ones(len(row), dtype=np.int64) for row in rows]
    return {
        "input_ids": pad_rows(rows, pad_id), "labels": pad_rows(labels, IGNORE_INDEX), "attention_mask": pad_rows(mask, 0),
    }  # fmt: skip


class CausalTrainer(GuardedTrainer, SFTTrainer):
    """A guarded SFTTrainer on tokenised rows; TRL's own preparation, which ignores options silently, is skipped.

    Args:
        tokens: the training rows.
        fast_path: with one process, the fast path computes logits only at supervised tokens: on a GPU by upstream's fused output
            layer, elsewhere by ``supervised_loss``.
        head_alone, smoothing: see ``supervised_loss``; upstream's trainer does not read a smoothing.
    """

    def __init__(
        self,
        *,
        tokens: TrainingTokens,
        fast_path: FastPath,
        head_alone: bool,
        smoothing: float = 0.0,
        **upstream: Unpack[TrainerKeywords],
    ) -> None:
        from datasets import Dataset as Table

        self.tokens, self.fast_path, self.head_alone, self.smoothing = tokens, fast_path, head_alone, smoothing
        super().__init__(
            train_dataset=Table.from_dict({POSITION: range(len(tokens.packs))}), data_collator=self.collate, **upstream
        )
        own_loss = computes_own_loss(fast_path, self.accelerator.num_processes, self.accelerator.device.type)
        self.few_logits = (own_loss and not self.aux_loss_enabled) or smoothing > 0

    def collate(self, rows: Sequence[dict[str, int]]) -> dict[str, Any]:
        """Builds one batch, with its items."""
        items = [row[POSITION] for row in rows]
        return {**batch_of(self.tokens, items), POSITION: torch.tensor(items)}

    def _send_telemetry(self) -> None:
        """Turns off TRL's telemetry."""

    def create_model_card(self, *arguments: object, **named: object) -> None:
        """Writes nothing: the run writes its own model card."""

    def rows_of_batch(self, inputs: dict[str, Any]) -> list[int]:
        return self.tokens.rows_of(inputs.pop(POSITION).tolist())

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        if not self.few_logits or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return supervised_loss(model, inputs, num_items_in_batch, head_alone=self.head_alone, smoothing=self.smoothing)


def computes_own_loss(fast_path: FastPath, n_processes: int, device: str) -> bool:
    """Tells whether our loss is used: on the fast path of one process, but not on a GPU, whose output layer is fused."""
    return fast_path.fast and n_processes == 1 and device != "cuda"


class EpochSampler(BucketedSampler):
    """Yields ``epoch * n + position``, so that a prefetched batch keeps its epoch."""

    def __iter__(self) -> Iterator[int]:
        for position in super().__iter__():
            yield self.epoch * len(self) + position


class MaskedTrainer(GuardedTrainer, Trainer):
    """A guarded trainer of masked language models. Masks depend only on seed, epoch and row, so a resumed run has the same.

    Args:
        tokens: the training rows, one sequence an item.
        specials: token ids that are never masked.
        probability: share of the tokens that are masked.
        mask_id, vocab_size: of the tokenizer.
    """

    def __init__(
        self,
        *,
        tokens: TrainingTokens,
        specials: np.ndarray,
        probability: float,
        mask_id: int,
        vocab_size: int,
        **upstream: Unpack[TrainerKeywords],
    ) -> None:
        self.tokens, self.specials, self.probability = tokens, specials, probability
        self.mask_id, self.vocab_size = mask_id, vocab_size
        super().__init__(train_dataset=Positions(len(tokens.packs)), data_collator=self.collate, **upstream)

    def collate(self, numbers: Sequence[int]) -> dict[str, torch.Tensor]:
        """Builds one batch, with other tokens masked in each epoch."""
        places, rows, labels = [], [], []
        masks = {"mask_id": self.mask_id, "vocab_size": self.vocab_size}
        for number in numbers:
            epoch, place = divmod(number, len(self.tokens.packs))
            ids = self.tokens.input_ids[self.tokens.packs[place][0]]
            is_special = np.isin(ids, self.specials)
            masked, targets = mask_tokens(ids, is_special, self.args.seed, epoch, place, self.probability, **masks)
            places.append(place)
            rows.append(masked)
            labels.append(targets)
        return {**padded_batch(rows, labels, self.tokens.pad_id), POSITION: torch.tensor(places)}

    def _get_train_sampler(self, train_dataset: Dataset[int] | None = None) -> Sampler[int]:
        return EpochSampler(self.tokens.lengths, self.args.train_batch_size, self.args.seed)

    def rows_of_batch(self, inputs: dict[str, Any]) -> list[int]:
        return self.tokens.rows_of(inputs.pop(POSITION).tolist())
