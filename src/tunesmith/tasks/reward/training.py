"""Builds the trainer, the loss and the evaluation during training of a reward model."""

from __future__ import annotations

import numpy as np
import torch
from transformers import TrainingArguments

from tunesmith.data.arrays import Array
from tunesmith.evaluation.outputs import metric_values
from tunesmith.models.equivalence import fp32_logits, spread_rows
from tunesmith.models.inference import autocast
from tunesmith.models.reward.reading import EncodedPairs
from tunesmith.preflight.trial_step import TrialPart
from tunesmith.tasks.reward.evaluation import measured, rewards, split_metrics
from tunesmith.tasks.reward.model import RewardSession
from tunesmith.tasks.task import EvaluateFn
from tunesmith.training.fit import TrainerSpec
from tunesmith.training.schedule import Schedule
from tunesmith.training.trainers.rewards import RewardModelTrainer, pair_batch


def trainer_spec(session: RewardSession, evaluate: EvaluateFn, _seed: int) -> TrainerSpec:
    """Returns TRL's trainer of the session's model on the training pairs."""
    from trl import RewardConfig

    def make(arguments: TrainingArguments, _schedule: Schedule) -> RewardModelTrainer:
        return RewardModelTrainer(
            model=session.model,
            args=arguments,
            processing_class=session.loaded.tokenizer,
            pairs=session.pairs["train"],
            pad_id=session.pad_id,
            fast_path=session.fast_path,
            evaluate_fn=evaluate,
            expected_loss=session.expected_loss,
        )

    centring = session.data.recipe.reward.center_rewards_coefficient
    own = {"max_length": None, "disable_dropout": False, "gradient_checkpointing": False, "center_rewards_coefficient": centring}
    return TrainerSpec(make, RewardConfig, own)


def trial_parts(session: RewardSession) -> list[TrialPart]:
    """Returns the training pairs with their loss, for the trial step."""
    pairs, model = session.pairs["train"], session.model
    centring = session.data.recipe.reward.center_rewards_coefficient or 0.0

    def compute_loss(positions: list[int]) -> torch.Tensor:
        device = next(model.parameters()).device
        batch = {name: tensor.to(device) for name, tensor in pair_batch(pairs, positions, session.pad_id).items()}
        margin = batch.pop("margin", torch.zeros(len(positions), device=device))
        with autocast(session.fast_path.precision, device.type):
            chosen, rejected = torch.chunk(model(**batch).logits.squeeze(-1).float(), 2)
        loss = -torch.nn.functional.logsigmoid(chosen - rejected - margin).mean()
        return loss + centring * ((chosen + rejected) ** 2).mean()

    return [TrialPart(pairs.lengths, compute_loss, model, is_bucketed=session.fast_path.bucketed)]


def evaluate_fn(session: RewardSession, max_rows: int | None) -> EvaluateFn:
    """Returns a function that computes a model's loss and metrics on validation, or on a few pairs of it."""
    pairs = session.pairs["validation"]
    pairs = pairs if max_rows is None else few_pairs(pairs, max_rows)
    centring = session.data.recipe.reward.center_rewards_coefficient or 0.0

    def evaluate(model: torch.nn.Module) -> dict[str, float]:
        chosen, rejected = rewards(model, pairs, session)
        outputs = measured(pairs, chosen, rejected)
        assert outputs.losses is not None
        loss = float(outputs.losses.mean() + centring * np.mean((chosen + rejected) ** 2))
        return {"loss": loss, **metric_values(outputs, split_metrics(session, pairs.split))}

    return evaluate


def few_pairs(pairs: EncodedPairs, count: int) -> EncodedPairs:
    """Selects a few pairs, evenly spread from the shortest to the longest."""
    order = np.argsort(pairs.lengths, kind="stable")
    return pairs.take(order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).astype(int))])


def sample_outputs(session: RewardSession, max_rows: int) -> Array:
    """Computes the rewards (n, 1) of a few chosen answers from the shortest to the longest, in fp32."""
    return fp32_logits(session.model, spread_rows(session.pairs["train"].chosen), session.pad_id, max_rows)
