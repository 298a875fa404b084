"""Measures how well scores of a reward model tell shifted answers from those of the evaluated split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.out_of_distribution import ENERGY, MAHALANOBIS, SPREAD, Mahalanobis, detections, energy, ensemble_spread
from tunesmith.models.encode import Encoded
from tunesmith.models.reward.states import last_states
from tunesmith.tasks.reward.answers import Answers, answers_of_pairs
from tunesmith.tasks.reward.evaluation import reward_of
from tunesmith.tasks.reward.model import RewardSession
from tunesmith.training.trainers.rewards import joined

FITTED_ANSWERS = 4_000
"""Answers of train, drawn by the seed, to which the distance is fitted."""


def shifted_record(sessions: Sequence[RewardSession]) -> dict[str, Any]:
    """Returns the AUROC of each score for result.json; empty without ``reward.shifted``.

    Args:
        sessions: with the model of each seed, the best first. The spread needs two.
    """
    best = sessions[0]
    shifted, (split, rows) = best.data.shifted, list(best.data.evaluation_rows.items())[-1]
    if shifted is None:
        return {}
    inside = tokens_of(best, answers_of_pairs(rows))
    outside = tokens_of(best, shifted)
    distance = Mahalanobis.fit(states_of(best, train_answers(best)))
    usual, strange = (scores_of(sessions, part, distance) for part in (inside, outside))
    # Answers to one prompt, or of one row, depend on each other.
    clusters = np.concatenate([np.array(inside.row_ids), max(inside.row_ids) + 1 + np.array(outside.row_ids)])
    recipe = best.data.recipe
    found = detections(usual, strange, Resampling(recipe.evaluate.n_resamples, recipe.train.seed), clusters)
    about = {"source": recipe.reward.shifted, "split": split, "answers": len(inside), "shifted": len(outside)}
    return {"out_of_distribution": {**about, "scores": found}}


def tokens_of(session: RewardSession, answers: Answers) -> Encoded:
    """Returns the tokens of answers."""
    return session.reader.read("answers", answers.row_ids, answers.prompts, answers.answers)


def train_answers(session: RewardSession) -> Encoded:
    """Returns the tokens of answers of train, chosen ones and rejected ones alike."""
    pairs = session.pairs["train"]
    count = min(FITTED_ANSWERS // 2, len(pairs))
    some = np.sort(np.random.default_rng(session.data.recipe.train.seed).permutation(len(pairs))[:count])
    return joined(pairs.take(some))


def states_of(session: RewardSession, rows: Encoded) -> Array:
    """Returns the last hidden states (N, D)."""
    is_decoder = session.reader.template is not None
    return last_states(session.model, rows, session.pad_id, session.fast_path.precision, is_decoder=is_decoder)


def scores_of(sessions: Sequence[RewardSession], rows: Encoded, distance: Mahalanobis) -> dict[str, Array]:
    """Returns score -> its value for each row (N)."""
    rewards = np.stack([reward_of(session.model, rows, session) for session in sessions])
    scores = {MAHALANOBIS: distance.scores(states_of(sessions[0], rows)), ENERGY: energy(rewards[0])}
    return scores if len(sessions) < 2 else {**scores, SPREAD: ensemble_spread(rewards)}
