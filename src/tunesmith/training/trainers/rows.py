"""Adapts transformers' Trainer to tokenised rows with one label: batches of similar length, padded without a detour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from transformers import Trainer

from tunesmith.models.encode import Encoded
from tunesmith.models.fast.path import FastPath
from tunesmith.models.inference import pad_batch
from tunesmith.training.epoch_logits import EpochLogits
from tunesmith.training.guarded import GuardedTrainer, TrainerKeywords
from tunesmith.training.losses.classification import LossFunction
from tunesmith.training.sampling import BucketedSampler, Positions


class RowTrainer(GuardedTrainer, Trainer):
    """A guarded Trainer of an ``Encoded`` split on the fast path.

    Batches hold ``input_ids``, ``attention_mask``, ``labels``, ``positions`` and, for pairs, ``token_type_ids``.

    Args:
        epoch_logits: storage of the logits of every training step; None keeps none.
        steps_per_epoch: optimizer steps of one epoch.
    """

    def __init__(
        self,
        *,
        encoded: Encoded,
        pad_id: int,
        fast_path: FastPath,
        loss: LossFunction,
        epoch_logits: EpochLogits | None,
        steps_per_epoch: int,
        **upstream: Unpack[TrainerKeywords],
    ) -> None:
        self.encoded, self.pad_id, self.fast_path, self.loss = encoded, pad_id, fast_path, loss
        self.epoch_logits, self.steps_per_epoch = epoch_logits, steps_per_epoch
        super().__init__(
            train_dataset=Positions(len(encoded)), data_collator=self.collate, compute_loss_func=self.loss_of, **upstream
        )

    def collate(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Builds one batch, padded to its longest row."""
        index = np.asarray(positions, dtype=np.int64)
        batch = pad_batch(self.encoded, index, self.pad_id)
        batch["labels"] = torch.as_tensor(np.asarray([self.encoded.labels[i] for i in positions]))
        batch["positions"] = torch.as_tensor(index)
        return batch

    def _get_train_sampler(self, train_dataset: Dataset[int] | None = None) -> Sampler[int] | None:
        if not self.fast_path.bucketed:
            plain: Sampler[int] | None = super()._get_train_sampler(train_dataset)
            return plain
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return BucketedSampler(self.encoded.lengths, self.args.train_batch_size, seed)

    def loss_of(
        self, outputs: Mapping[str, torch.Tensor], targets: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Computes the loss, and keeps the logits for ``epoch_logits``."""
        self.batch_logits = outputs["logits"].detach()
        return self.loss(outputs, targets, num_items_in_batch)

    def rows_of_batch(self, inputs: dict[str, Any]) -> list[int]:
        self.batch_positions = inputs.pop("positions").tolist()
        return [self.encoded.row_ids[i] for i in self.batch_positions]

    def check_loss(self, loss: torch.Tensor) -> torch.Tensor:
        if self.epoch_logits is not None:
            self.epoch_logits.add(self.state.global_step // self.steps_per_epoch, self.batch_positions, self.batch_logits)
        return super().check_loss(loss)

    def save_own_state(self, checkpoint: Path) -> None:
        """Saves also the logits, which every process has of its own rows."""
        super().save_own_state(checkpoint)
        if self.epoch_logits is not None:
            self.epoch_logits.save(checkpoint)

    def own_state_bytes(self) -> int:
        return 0 if self.epoch_logits is None else self.epoch_logits.logits.nbytes + self.epoch_logits.seen.nbytes

    def logits_of_epochs(self) -> np.ndarray | None:
        return None if self.epoch_logits is None else self.epoch_logits.whole()

    def resume(self, checkpoint: Path) -> Any:
        if self.epoch_logits is not None:
            self.epoch_logits.restore(checkpoint)
        return super().resume(checkpoint)
