"""Language models: what a fit is given, and how the loss of validation rows steers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainingArguments

from tunesmith.models.chat.render import Rendered
from tunesmith.models.fast.path import FastPath
from tunesmith.models.fast.supervised_loss import is_head_alone
from tunesmith.models.language.model import Objective
from tunesmith.models.language.token_losses import TokenLosses, token_losses
from tunesmith.progress import Listener
from tunesmith.recipe.metric_names import higher_is_better
from tunesmith.recipe.sections import Recipe
from tunesmith.training.fit import Fit, FitPlan
from tunesmith.training.fit import fit as run_fit
from tunesmith.training.signals import StopRequest
from tunesmith.training.trainers.tokens import TrainingTokens

Measure = Callable[[Any], dict[str, float]]


@dataclass(frozen=True)
class Prepared:
    """What a fit is given besides the recipe.

    Attributes:
        model: with its adapter, where it has one.
        tokens: the training rows.
        expected_loss: of a model that knows nothing: ln V.
    """

    model: Any
    tokenizer: Any
    objective: Objective
    tokens: TrainingTokens
    kernels: FastPath
    expected_loss: float

    @property
    def pad_id(self) -> int:
        return self.tokens.pad_id

    @cached_property
    def head_alone(self) -> bool:
        """Whether the loss may take the output layer by itself."""
        return is_head_alone(self.model)


def losses_of(prepared: Prepared, model: Any, rows: Rendered) -> TokenLosses:
    """Sum of losses and number of learnt tokens of each sequence. Rows of a masked model come masked."""
    return token_losses(
        model, rows.input_ids, rows.labels, prepared.pad_id, prepared.kernels.precision, masked=prepared.objective.needs_masking
    )


def fit(
    prepared: Prepared, recipe: Recipe, measure: Measure, metric: str, folder: Path, log: Path, seed: int, request: StopRequest,
    listener: Listener, *, resume: bool, smoke: bool,
) -> Fit:  # fmt: skip
    """Train the model in place; it ends with the weights of its best evaluation.

    Raises:
        TrainingFailed, Interrupted: see ``training.fit``.
    """
    plan = FitPlan(
        recipe, len(prepared.tokens.packs), trainer_of(prepared, recipe, measure), metric, higher_is_better(metric), folder, log,
        prepared.kernels, seed, smoke=smoke, arguments=arguments_of(prepared),
    )  # fmt: skip
    return run_fit(prepared.model, plan, request, listener, resume=resume)


def arguments_of(prepared: Prepared) -> tuple[type[TrainingArguments], Mapping[str, Any]]:
    """Upstream's class of arguments, and those it has beside the usual ones."""
    if prepared.objective.needs_masking:
        return TrainingArguments, {}
    from trl import SFTConfig

    return SFTConfig, {
        "max_length": None, "packing": False, "gradient_checkpointing": False,
        "dataset_kwargs": {"skip_prepare_dataset": True},
    }  # fmt: skip


def trainer_of(prepared: Prepared, recipe: Recipe, measure: Measure) -> Callable[[Any, Any], Any]:
    """What makes the trainer of the model on the training rows; ``measure`` steers it."""

    def make(arguments: Any, _schedule: Any) -> Any:
        from tunesmith.training.trainers.tokens import AnswerTrainer, MaskedTrainer

        usual = {
            "model": prepared.model, "args": arguments, "tokens": prepared.tokens, "measure": measure,
            "expected_loss": prepared.expected_loss, "processing_class": prepared.tokenizer,
        }  # fmt: skip
        if prepared.objective.shifts_labels:
            return AnswerTrainer(**usual, kernels=prepared.kernels, head_alone=prepared.head_alone)
        return MaskedTrainer(
            **usual, specials=np.array(prepared.tokenizer.all_special_ids), probability=recipe.pretraining.mlm_probability,
            mask_id=prepared.tokenizer.mask_token_id, vocab_size=len(prepared.tokenizer),
        )  # fmt: skip

    return make
