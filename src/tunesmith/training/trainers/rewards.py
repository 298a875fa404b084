"""Adapts TRL's RewardTrainer to tokenised pairs: guarded steps, batches of similar length, segments, no means of batch means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from trl import RewardTrainer

from tunesmith.models.encode import Encoded
from tunesmith.models.fast.path import FastPath
from tunesmith.models.inference import pad_batch
from tunesmith.models.reward.reading import EncodedPairs
from tunesmith.training.guarded import GuardedTrainer, TrainerKeywords
from tunesmith.training.sampling import BucketedSampler

POSITION = "position"


def joined(pairs: EncodedPairs) -> Encoded:
    """Returns both answers of each pair as one split (2 N): all chosen ones, then all rejected ones."""
    chosen, rejected = pairs.chosen, pairs.rejected
    types = None
    if chosen.token_type_ids is not None and rejected.token_type_ids is not None:
        types = chosen.token_type_ids + rejected.token_type_ids
    return Encoded(
        split=chosen.split,
        row_ids=chosen.row_ids + rejected.row_ids,
        input_ids=chosen.input_ids + rejected.input_ids,
        token_type_ids=types,
        labels=chosen.labels + rejected.labels,
        lengths=np.concatenate([chosen.lengths, rejected.lengths]),
        full_lengths=np.concatenate([chosen.full_lengths, rejected.full_lengths]),
        max_length=chosen.max_length,
    )


def pair_batch(pairs: EncodedPairs, positions: Sequence[int], pad_id: int) -> dict[str, torch.Tensor]:
    """Builds a batch as TRL's loss reads it: the chosen answers, then the rejected ones, padded on the right: (2 B, T)."""
    few = pairs.take(positions)
    batch = pad_batch(joined(few), np.arange(2 * len(few)), pad_id)
    if few.margins is not None:
        batch["margin"] = torch.tensor(few.margins, dtype=torch.float)
    return batch


class RewardModelTrainer(GuardedTrainer, RewardTrainer):
    """A guarded RewardTrainer on tokenised pairs, which TRL's own preparation would cut, drop or end in another way.

    Args:
        pairs: the training pairs.
        pad_id: pads shorter answers.
    """

    def __init__(self, *, pairs: EncodedPairs, pad_id: int, fast_path: FastPath, **upstream: Unpack[TrainerKeywords]) -> None:
        from datasets import Dataset as Table

        self.pairs, self.pad_id, self.fast_path = pairs, pad_id, fast_path
        # With these two columns TRL takes rows as they are; the collator reads the tokens from ``pairs``.
        columns = {POSITION: range(len(pairs)), "chosen_ids": [[]] * len(pairs), "rejected_ids": [[]] * len(pairs)}
        super().__init__(train_dataset=Table.from_dict(columns), data_collator=self.collate, **upstream)

    def collate(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Builds one batch, with its positions."""
        positions = [row[POSITION] for row in rows]
        return {**pair_batch(self.pairs, positions, self.pad_id), POSITION: torch.tensor(positions)}

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int] | None:
        if not self.fast_path.bucketed:
            plain: Sampler[int] | None = super()._get_train_sampler(train_dataset)
            return plain
        return BucketedSampler(self.pairs.lengths, self.args.train_batch_size, self.args.seed)

    def _send_telemetry(self) -> None:
        """Turns off TRL's telemetry."""

    def create_model_card(self, *arguments: object, **named: object) -> None:
        """Writes nothing: the run writes its own model card."""

    def rows_of_batch(self, inputs: dict[str, Any]) -> list[int]:
        return [self.pairs.chosen.row_ids[i] for i in inputs.pop(POSITION).tolist()]

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        # Upstream's means of batch means count a tie as wrong and a row of a short batch more than others.
        for values in self._metrics.values():
            values.clear()
        return loss
