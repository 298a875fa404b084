"""TRL's SFTTrainer on prepared tokens, and transformers' Trainer on masked ones: batches that know their rows, checked steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
from tunesmith.training.guarded import GuardedTrainer
from tunesmith.training.sampling import BucketedSampler

POSITION = "position"


@dataclass(frozen=True)
class TrainingTokens:
    """What a language model is trained on.

    Attributes:
        row_ids: of each sequence (N); rows that were split have several.
        input_ids, labels: (N) token ids, and what is learnt at each (-100: nothing); those of masked models are made later.
        packs: positions of sequences that make one item of a batch together; each alone where nothing is packed.
        pad_id: fills up shorter items.
        padding_free: the items of a batch are joined into one sequence instead of filled up.
    """

    row_ids: Sequence[int]
    input_ids: Sequence[np.ndarray]
    labels: Sequence[np.ndarray]
    packs: Sequence[tuple[int, ...]]
    pad_id: int
    padding_free: bool = False

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each item."""
        return np.array([sum(len(self.input_ids[i]) for i in pack) for pack in self.packs])

    @property
    def is_packed(self) -> bool:
        return any(len(pack) > 1 for pack in self.packs)

    @property
    def is_joined(self) -> bool:
        """Whether a sequence that the model sees may hold several rows."""
        return self.padding_free or self.is_packed

    def rows_of(self, items: Sequence[int]) -> list[int]:
        """The rows in those items."""
        return [self.row_ids[i] for item in items for i in self.packs[item]]


def batch_of(tokens: TrainingTokens, items: Sequence[int]) -> dict[str, Any]:
    """Items as a batch. Joined rows know where each of them begins by ``position_ids`` and have no attention mask."""
    chosen = [tokens.packs[item] for item in items]
    if not tokens.is_joined:
        ids, labels = ([part[pack[0]] for pack in chosen] for part in (tokens.input_ids, tokens.labels))
        return padded_batch(ids, labels, tokens.pad_id)
    if tokens.padding_free:
        chosen = [tuple(i for pack in chosen for i in pack)]
    joined, learnt = ([[part[i] for i in pack] for pack in chosen] for part in (tokens.input_ids, tokens.labels))
    return collate_packs(joined, learnt, tokens.pad_id)


def padded_batch(rows: Sequence[np.ndarray], labels: Sequence[np.ndarray], pad_id: int) -> dict[str, torch.Tensor]:
    """``input_ids``, ``attention_mask`` and ``labels`` of sequences padded on the right: (B, T)."""
    mask = [np.ones(len(row), dtype=np.int64) for row in rows]
    return {
        "input_ids": pad_rows(rows, pad_id), "labels": pad_rows(labels, IGNORE_INDEX), "attention_mask": pad_rows(mask, 0),
    }  # fmt: skip


class CausalTrainer(GuardedTrainer, SFTTrainer):
    """TRL's trainer on rows that are tokens already; its own preparation, which ignores options silently, is skipped.

    Args:
        tokens: the training rows.
        fast_path: on the fast path of one process the logits are computed only where something is learnt; on a GPU by upstream's
            fused output layer, elsewhere by ours.
        head_alone: see ``supervised_loss``.
    """

    def __init__(self, *, tokens: TrainingTokens, fast_path: FastPath, head_alone: bool, **upstream: Any) -> None:
        from datasets import Dataset as Table

        self.tokens, self.fast_path, self.head_alone = tokens, fast_path, head_alone
        super().__init__(
            train_dataset=Table.from_dict({POSITION: range(len(tokens.packs))}), data_collator=self.collate, **upstream
        )
        self.few_logits = computes_own_loss(fast_path, self.accelerator) and not self.aux_loss_enabled

    def collate(self, rows: Sequence[dict[str, int]]) -> dict[str, Any]:
        """One batch, with its items."""
        items = [row[POSITION] for row in rows]
        return {**batch_of(self.tokens, items), POSITION: torch.tensor(items)}

    def _send_telemetry(self) -> None:
        """Nothing is told to anybody."""

    def create_model_card(self, *arguments: Any, **named: Any) -> None:
        """The model card is the run's own."""

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        self.note_rows(self.tokens.rows_of(inputs.pop(POSITION).tolist()))
        return self.check_loss(super().training_step(model, inputs, num_items_in_batch))

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if not self.few_logits or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return supervised_loss(model, inputs, num_items_in_batch, head_alone=self.head_alone)


def computes_own_loss(fast_path: FastPath, accelerator: Any) -> bool:
    """Whether the loss is ours: on the fast path of one process, but on a GPU upstream's output layer is a fused kernel."""
    is_alone, has_fused_kernel = accelerator.num_processes == 1, accelerator.device.type == "cuda"
    return fast_path.fast and is_alone and not has_fused_kernel


class EpochPositions(Dataset[int]):
    """The numbers that ``EpochSampler`` draws, as they are."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> int:
        return number


class EpochSampler(BucketedSampler):
    """Positions plus the epoch times their number, so that a batch that is made early knows the epoch it belongs to."""

    def __iter__(self) -> Iterator[int]:
        for position in super().__iter__():
            yield self.epoch * len(self) + position


class MaskedTrainer(GuardedTrainer, Trainer):
    """Masked language modelling. What is masked is a function of seed, epoch and row, so that a resumed run masks the same.

    Args:
        tokens: the training rows, one sequence an item.
        specials: ids that are never masked.
        probability: of a token to be masked.
        mask_id, vocab_size: of the tokenizer.
    """

    def __init__(
        self, *, tokens: TrainingTokens, specials: np.ndarray, probability: float, mask_id: int, vocab_size: int, **upstream: Any
    ) -> None:
        self.tokens, self.specials, self.probability = tokens, specials, probability
        self.mask_id, self.vocab_size = mask_id, vocab_size
        super().__init__(train_dataset=EpochPositions(len(tokens.packs)), data_collator=self.collate, **upstream)

    def collate(self, numbers: Sequence[int]) -> dict[str, torch.Tensor]:
        """One batch, with other tokens masked in each epoch."""
        count = len(self.tokens.packs)
        found = [self.masked_item(number % count, number // count) for number in numbers]
        batch = padded_batch([ids for ids, _ in found], [labels for _, labels in found], self.tokens.pad_id)
        return {**batch, POSITION: torch.tensor([number % count for number in numbers])}

    def masked_item(self, item: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and labels of an item in an epoch."""
        ids = self.tokens.input_ids[self.tokens.packs[item][0]]
        is_special = np.isin(ids, self.specials)
        return mask_tokens(ids, is_special, self.args.seed, epoch, item, self.probability, self.mask_id, self.vocab_size)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return EpochSampler(self.tokens.lengths, self.args.train_batch_size, self.args.seed)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        self.note_rows(self.tokens.rows_of(inputs.pop(POSITION).tolist()))
        return self.check_loss(super().training_step(model, inputs, num_items_in_batch))
