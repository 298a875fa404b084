"""transformers' Trainer on tokenised rows: batches of similar length, padded without a detour, and the loop's own time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler
from transformers import Trainer

from tunesmith.models.encode import Encoded
from tunesmith.models.inference import padded
from tunesmith.models.kernels import Kernels
from tunesmith.training.sampling import BucketedSampler


class Positions(Dataset[int]):
    """The positions of a split as a dataset; the collator turns a list of them into a batch at once."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, position: int) -> int:
        return position


class FastTrainer(Trainer):
    """A Trainer that takes an ``Encoded`` split and the kernels; all else is upstream's.

    Batches hold ``input_ids``, ``attention_mask``, ``labels``, ``positions`` and, for pairs, ``token_type_ids``.

    Attributes:
        rows_trained: rows this process has trained on, repeats counted.
        loop_seconds: time of the loop so far without logging, evaluations and saves.
    """

    def __init__(self, *, encoded: Encoded, pad_id: int, kernels: Kernels, **upstream: Any) -> None:
        self.encoded, self.pad_id, self.kernels = encoded, pad_id, kernels
        self.rows_trained, self.loop_seconds, self.mark = 0, 0.0, 0.0
        super().__init__(train_dataset=Positions(len(encoded)), data_collator=self.collate, **upstream)

    def collate(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """One batch, padded to its longest row."""
        import numpy as np

        index = np.asarray(positions, dtype=np.int64)
        batch = padded(self.encoded, index, self.pad_id)
        batch["labels"] = torch.as_tensor(np.asarray([self.encoded.labels[i] for i in positions]))
        batch["positions"] = torch.as_tensor(index)
        return batch

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        if not self.kernels.bucketed:
            plain: Sampler[int] | None = super()._get_train_sampler(train_dataset)
            return plain
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return BucketedSampler(self.encoded.lengths, self.args.train_batch_size, seed)

    def get_batch_samples(self, *arguments: Any, **named: Any) -> Any:
        self.mark = self.mark or time.perf_counter()
        return super().get_batch_samples(*arguments, **named)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        inputs.pop("positions", None)
        self.rows_trained += len(inputs["input_ids"])
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        return loss

    def _maybe_log_save_evaluate(self, *arguments: Any, **named: Any) -> None:
        self.loop_seconds += time.perf_counter() - self.mark
        super()._maybe_log_save_evaluate(*arguments, **named)
        self.mark = time.perf_counter()
