"""Adapts TRL's experimental trainers of preferences (CPO, SimPO, AlphaPO, ORPO) to tokenised rows; they have no reference."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import disable_progress_bars

from tunesmith.training.losses.preference import TrainerKind
from tunesmith.training.trainers.preference import Batch, PreferenceTokens, PreferenceTrainer, padded

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that TRL may change or remove them is said by the check
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer


def cpo_batch(tokens: PreferenceTokens, items: Sequence[int]) -> Batch:
    """Builds a batch of pairs as TRL's CPO and ORPO have it: both sides apart, with labels, (B, T) each."""
    batch: Batch = {}
    for name, side in (("chosen", tokens.chosen), ("rejected", tokens.rejected)):
        assert side is not None
        part = side.take(items)
        ids, mask, _, labels = padded(part.input_ids, part.labels, tokens.pad_id)
        batch |= {f"{name}_input_ids": ids, f"{name}_attention_mask": mask, f"{name}_labels": labels}
    return batch


def unchanged(row: Mapping[str, int], *_arguments: object, **_named: object) -> Mapping[str, int]:
    """Returns a row as it is: it is tokens already."""
    return row


class TokenRows(PreferenceTrainer):
    """The part of these trainers that skips TRL's preparation of rows."""

    build = staticmethod(cpo_batch)
    tokenize_row = staticmethod(unchanged)

    def __init__(self, **arguments: Any) -> None:
        disable_progress_bars()  # upstream maps the rows three times, though it has nothing to do
        super().__init__(**arguments)


class ContrastiveTrainer(TokenRows, CPOTrainer):
    """TRL's CPOTrainer (CPO, SimPO, AlphaPO) on tokenised pairs, guarded."""


class OddsTrainer(TokenRows, ORPOTrainer):
    """TRL's ORPOTrainer on tokenised pairs, guarded."""


TRAINERS: Mapping[TrainerKind, type[PreferenceTrainer]] = {"cpo": ContrastiveTrainer, "orpo": OddsTrainer}
CONFIGS: Mapping[TrainerKind, type[Any]] = {"cpo": CPOConfig, "orpo": ORPOConfig}
