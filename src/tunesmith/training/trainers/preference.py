"""Adapts TRL's trainers of preferences to tokenised rows: guarded steps, batches with row ids, a reference that is given.

TRL's own preparation is skipped: it drops rows without a line, may end the prompt inside the answer, and cuts answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import Dataset, Sampler
from transformers import Trainer
from trl import DPOTrainer, KTOTrainer

from tunesmith.models.chat.answers import Answers
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.models.language.token_losses import pad_rows
from tunesmith.training.guarded import GuardedTrainer, TrainerKeywords
from tunesmith.training.losses.preference import TrainerKind
from tunesmith.training.sampling import InterleavedSampler

POSITION = "position"
REFERENCE = "reference.safetensors"
"""The file of a checkpoint that holds a reference that moves."""


@dataclass(frozen=True)
class PreferenceTokens:
    """The training rows of a preference run as tokens.

    Attributes:
        row_ids: (N) row of each item.
        chosen, rejected: both answers of the pairs; of judged answers the first is the answer, and the second None.
        desirable: (N) whether a judged answer is a good one; None for pairs.
        pad_id: pads shorter sequences.
        max_length: limit of a sequence in tokens.
    """

    row_ids: Sequence[int]
    chosen: Answers
    rejected: Answers | None
    desirable: Sequence[bool] | None
    pad_id: int
    max_length: int

    def __len__(self) -> int:
        return len(self.row_ids)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Counts the tokens of the longest sequence of each item."""
        sides = [side for side in (self.chosen, self.rejected) if side is not None]
        return np.asarray(np.array([[len(ids) for ids in side.input_ids] for side in sides]).max(axis=0))


Batch = dict[str, torch.Tensor]


def padded(ids: Sequence[np.ndarray], labels: Sequence[np.ndarray], pad_id: int) -> tuple[torch.Tensor, ...]:
    """Pads sequences on the right. Returns ids, attention mask, completion mask and labels, each (B, T)."""
    targets = pad_rows(labels, IGNORE_INDEX)
    ones = [np.ones(len(row), dtype=np.int64) for row in ids]
    return pad_rows(ids, pad_id), pad_rows(ones, 0), (targets != IGNORE_INDEX).long(), targets


def dpo_batch(tokens: PreferenceTokens, items: Sequence[int]) -> Batch:
    """Builds a batch of pairs as TRL's DPO has it: the chosen sequences, then the rejected ones, (2B, T)."""
    assert tokens.rejected is not None
    both = [side.take(items) for side in (tokens.chosen, tokens.rejected)]
    ids, labels = ([row for side in both for row in part(side)] for part in (ids_of, labels_of))
    input_ids, mask, completion, _ = padded(ids, labels, tokens.pad_id)
    return {"input_ids": input_ids, "attention_mask": mask, "completion_mask": completion}


def ids_of(side: Answers) -> Sequence[np.ndarray]:
    return side.input_ids


def labels_of(side: Answers) -> Sequence[np.ndarray]:
    return side.labels


def kto_batch(tokens: PreferenceTokens, items: Sequence[int]) -> Batch:
    """Builds a batch of judged answers as TRL's KTO has it, with each prompt beside its neighbour's answer for the KL term."""
    assert tokens.desirable is not None
    part = tokens.chosen.take(items)
    starts = part.starts
    ids, mask, completion, _ = padded(part.input_ids, part.labels, tokens.pad_id)
    others = [(i, (i or len(items)) - 1) for i in range(len(items))]
    mixed = [
        (
            np.concatenate([part.input_ids[i][: starts[i]], part.input_ids[j][starts[j] :]])[: tokens.max_length],
            np.concatenate([part.labels[i][: starts[i]], part.labels[j][starts[j] :]])[: tokens.max_length],
        )
        for i, j in others
    ]
    kl_ids, kl_mask, kl_completion, _ = padded([row for row, _ in mixed], [labels for _, labels in mixed], tokens.pad_id)
    return {
        "input_ids": ids, "attention_mask": mask, "completion_mask": completion,
        "KL_input_ids": kl_ids, "KL_attention_mask": kl_mask, "KL_completion_mask": kl_completion,
        "label": torch.tensor([tokens.desirable[i] for i in items]),
    }  # fmt: skip


class PreferenceTrainer(GuardedTrainer):
    """The part that the trainers of all preference losses share; comes before TRL's trainer among the base classes.

    Args:
        tokens: the training rows.
        reference: TRL's reference model; None for losses without one.
        moves: the reference follows the model, and is saved with the checkpoints.
    """

    build = staticmethod(dpo_batch)

    def __init__(
        self,
        *,
        tokens: PreferenceTokens,
        reference: torch.nn.Module | None,
        moves: bool = False,
        **upstream: Unpack[TrainerKeywords],
    ) -> None:
        from datasets import Dataset as Table

        self.tokens, self.moves = tokens, moves
        given: dict[str, Any] = {} if reference is None else {"ref_model": reference}
        table = Table.from_dict({POSITION: range(len(tokens))})
        super().__init__(train_dataset=table, data_collator=self.collate, **given, **upstream)

    def collate(self, rows: Sequence[dict[str, int]]) -> dict[str, Any]:
        """Builds one batch, with its items."""
        items = [row[POSITION] for row in rows]
        return {**self.build(self.tokens, items), POSITION: torch.tensor(items)}

    def rows_of_batch(self, inputs: dict[str, Any]) -> list[int]:
        return [self.tokens.row_ids[i] for i in inputs.pop(POSITION).tolist()]

    def _send_telemetry(self) -> None:
        """Turns off TRL's telemetry."""

    def create_model_card(self, *arguments: object, **named: object) -> None:
        """Writes nothing: the run writes its own model card."""

    def _prepare_dataset(self, dataset: Any, *_arguments: object, **_named: object) -> Any:
        """Returns the rows as they are: they are tokens already."""
        return dataset

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs training steps with TRL's figures of their batches, and evaluations without them: those are of training rows."""
        if any(name.startswith("eval_") for name in logs):
            logs["seconds"] = self.elapsed_seconds()
            Trainer.log(self, logs, start_time)
            return
        super().log(logs, start_time)

    def save_own_state(self, checkpoint: Path) -> None:
        super().save_own_state(checkpoint)
        if self.moves and self.state.is_world_process_zero:
            save_file({name: p.detach().clone() for name, p in self.moving().items()}, checkpoint / REFERENCE)

    def moving(self) -> dict[str, torch.Tensor]:
        """Returns the parameters of the reference by name; tied ones once."""
        reference: torch.nn.Module = self.accelerator.unwrap_model(self.ref_model)  # type: ignore[attr-defined]
        return dict(reference.named_parameters())

    def own_state_bytes(self) -> int:
        return super().own_state_bytes() + (sum(4 * p.numel() for p in self.moving().values()) if self.moves else 0)

    def resume(self, checkpoint: Path) -> Any:
        if self.moves:
            saved = load_file(checkpoint / REFERENCE)
            with torch.no_grad():
                for name, parameter in self.moving().items():
                    parameter.copy_(saved[name])
        return super().resume(checkpoint)


class PairTrainer(PreferenceTrainer, DPOTrainer):
    """TRL's DPOTrainer on tokenised pairs, guarded."""


class JudgedTrainer(PreferenceTrainer, KTOTrainer):
    """TRL's KTOTrainer on tokenised judged answers, guarded. Each epoch has an order of its own, with good and bad ones mixed."""

    build = staticmethod(kto_batch)

    def _get_train_sampler(self, train_dataset: Dataset[int] | None = None) -> Sampler[int]:
        assert self.tokens.desirable is not None
        return InterleavedSampler(np.array(self.tokens.desirable), self.args.train_batch_size, self.args.seed)


def own_arguments(kind: TrainerKind, max_length: int) -> dict[str, Any]:
    """Returns the arguments of TRL's configs that rows of tokens need; no row is cut or filtered by them."""
    common: dict[str, Any] = {"gradient_checkpointing": False, "disable_dropout": True}
    return common | {"max_length": max_length if kind in ("cpo", "orpo") else None}


def item_batches(count: int, size: int) -> Iterator[list[int]]:
    """Yields the items of batches in order; a last item alone joins the batch before it."""
    starts = list(range(0, count, size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], count], strict=True):
        yield list(range(start, stop))
