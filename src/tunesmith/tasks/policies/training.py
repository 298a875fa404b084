"""Evaluates a policy on validation, and computes outputs of a few training prompts."""

from __future__ import annotations

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.evaluation.outputs import Outputs, metric_values
from tunesmith.models.language.seq2seq import pair_losses
from tunesmith.models.language.token_losses import token_losses
from tunesmith.recipe.metric_names import LOSS, STANDARD_ERROR
from tunesmith.tasks.policies.evaluation import GOLD, KL, REWARD, metrics, policy_outputs
from tunesmith.tasks.policies.model import PolicySession
from tunesmith.tasks.task import EvaluateFn

SAMPLE_ROWS = 8


def evaluate_fn(session: PolicySession, max_rows: int | None) -> EvaluateFn:
    """Returns a function that computes a policy's metrics on validation; its loss is the penalty minus the reward."""
    split = session.splits["validation"]
    if max_rows is not None:
        split = split.first_rows(max_rows)
    of_split = next(each for each in metrics(session) if each.split == "validation")

    def evaluate(_model: torch.nn.Module) -> dict[str, float]:
        outputs = policy_outputs(session, split)
        values = metric_values(outputs, of_split)
        return {LOSS: session.section.penalty * values[KL] - values[REWARD], **values, **standard_errors(outputs)}

    return evaluate


def standard_errors(outputs: Outputs) -> dict[str, float]:
    """Returns the standard errors of the mean rewards, by which a turn is told from chance."""
    scores = {name: outputs.row_scores[name] for name in (REWARD, GOLD) if name in outputs.row_scores}
    return {
        f"{name}{STANDARD_ERROR}": float(row.std(ddof=1) / np.sqrt(len(row))) if len(row) > 1 else 0.0
        for name, row in scores.items()
    }


def sample_ids(session: PolicySession) -> list[np.ndarray]:
    """Returns a few training prompts from the shortest to the longest."""
    prompts = session.splits["train"].prompts
    order = np.argsort([len(ids) for ids in prompts], kind="stable")
    chosen = np.unique(np.linspace(0, len(order) - 1, SAMPLE_ROWS).astype(int))
    return [np.array(prompts[int(order[i])]) for i in chosen]


def sample_outputs(session: PolicySession, max_rows: int) -> Array:
    """Computes the summed loss of a few training prompts (n) by the policy, in fp32."""
    ids = sample_ids(session)
    if session.layout.has_encoder:  # a prompt is input and target at once
        return pair_losses(session.policy, ids, ids, session.pad_id, "fp32", max_rows=max_rows).sums
    return token_losses(session.policy, ids, ids, session.pad_id, "fp32", max_rows=max_rows).sums
