"""Adapts transformers' Trainer to the pairs of encoder-decoders: guarded steps, batches with row ids, a mean over all tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from transformers import Trainer

from tunesmith.models.language.denoising import Denoising
from tunesmith.models.language.masking import FIXED_EPOCH
from tunesmith.models.language.seq2seq import pair_batch, pair_loss
from tunesmith.training.guarded import GuardedTrainer, TrainerKeywords
from tunesmith.training.sampling import Positions
from tunesmith.training.trainers.tokens import POSITION, EpochSampler, TrainingTokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class TrainingPairs(TrainingTokens):
    """The training rows of an encoder-decoder: ``input_ids`` of the encoder, and as ``labels`` the targets of the decoder.

    Attributes:
        denoising: draws input and target of each row in each epoch, from ``input_ids`` without special tokens; then ``labels``
            are not used.
        seed: of the draws.
    """

    denoising: Denoising | None = None
    seed: int = 0

    @cached_property
    def lengths(self) -> np.ndarray:
        """Counts the tokens of input and target of each row."""
        if self.denoising is not None:
            return np.array([len(ids) for ids in self.input_ids])
        return np.array([len(ids) + len(labels) for ids, labels in zip(self.input_ids, self.labels, strict=True)])

    def pairs(self, positions: Sequence[int], epochs: Sequence[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Returns the inputs and the targets of rows, each in an epoch."""
        if self.denoising is None:
            return [self.input_ids[i] for i in positions], [self.labels[i] for i in positions]
        draw = self.denoising.pair
        drawn = [draw(self.input_ids[i], self.seed, epoch, i) for i, epoch in zip(positions, epochs, strict=True)]
        return [source for source, _ in drawn], [target for _, target in drawn]

    def batch(
        self, model: PreTrainedModel, positions: Sequence[int], epochs: Sequence[int] | None = None
    ) -> dict[str, torch.Tensor]:
        """Builds a batch, see ``pair_batch``; without epochs of the draws of evaluations."""
        fixed = [FIXED_EPOCH] * len(positions)
        return pair_batch(model, *self.pairs(positions, fixed if epochs is None else epochs), self.pad_id)


class ShuffledSampler(EpochSampler):
    """Yields ``epoch * n + position`` in an order that depends on seed and epoch alone: batches of mixed lengths, of any size."""

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self))
        yield from (self.epoch * len(self) + order).tolist()


class PairTrainer(GuardedTrainer, Trainer):
    """A guarded trainer of encoder-decoders, whose loss is the mean over the target tokens of a whole optimizer step.

    Upstream's ``Seq2SeqTrainer`` differs from ``Trainer`` in its evaluation alone, which is our own here.

    Args:
        tokens: the training rows.
    """

    def __init__(self, *, tokens: TrainingPairs, smoothing: float, **upstream: Unpack[TrainerKeywords]) -> None:
        self.tokens, self.smoothing = tokens, smoothing
        super().__init__(train_dataset=Positions(len(tokens.packs)), data_collator=self.collate, **upstream)
        # The loss is divided by the tokens of all micro-batches, which upstream counts for models that claim to do so.
        self.model_accepts_loss_kwargs = True

    def collate(self, numbers: Sequence[int]) -> dict[str, torch.Tensor]:
        """Builds one batch, with other spans removed in each epoch."""
        epochs, places = zip(*(divmod(number, len(self.tokens.packs)) for number in numbers), strict=True)
        return {**self.tokens.batch(self.model, places, epochs), POSITION: torch.tensor(places)}

    def _get_train_sampler(self, train_dataset: Dataset[int] | None = None) -> Sampler[int]:
        return ShuffledSampler(self.tokens.lengths, self.args.train_batch_size, self.args.seed)

    def rows_of_batch(self, inputs: dict[str, Any]) -> list[int]:
        return self.tokens.rows_of(inputs.pop(POSITION).tolist())

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        if return_outputs:
            raise NotImplementedError("the evaluation is not upstream's, which alone asks for outputs")
        loss = pair_loss(model, inputs, num_items_in_batch, self.smoothing)
        is_mean = self.args.average_tokens_across_devices and num_items_in_batch is not None
        return loss * self.accelerator.num_processes if is_mean else loss  # as upstream: DDP takes the mean of the gradients
