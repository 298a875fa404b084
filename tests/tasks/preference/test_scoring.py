"""Figures come from a table of rows: ties count half, rewards are those of the losses."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.language_models import write_model
from tests.tasks.preference.rows import frames, session_of
from tunesmith.evaluation.outputs import metric_values
from tunesmith.recipe.metric_names import PREFERENCE_METRICS
from tunesmith.tasks.preference.evaluation import judged_by_length, length_system, split_metrics
from tunesmith.tasks.preference.model import PreferenceSession
from tunesmith.tasks.preference.scoring import outputs_of, score_answers, won


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> PreferenceSession:
    place = tmp_path_factory.mktemp("session")
    answers = {"rows": 5, "max_new_tokens": 3}
    found: PreferenceSession = session_of(write_model(place / "llama"), place, evaluate={"answers": answers})[1]
    return found


def test_equal_rewards_count_half_up_to_rounding() -> None:
    first, second = np.array([1.0, 1.0, 1.0 + 1e-9, 0.5]), np.array([0.5, 1.0, 1.0, 1.0])
    assert won(first, second, np.ones(4)).tolist() == [1.0, 0.5, 0.5, 0.0]
    assert won(first, second, np.zeros(4)).tolist() == [1.0, 0.5, 1.0, 0.0]


def test_the_model_before_training_has_ties_alone(session: PreferenceSession) -> None:
    split = session.splits["validation"]
    outputs = outputs_of(score_answers(session, session.model, split, session.generation), split, session.losses)
    assert outputs.row_scores["accuracy"].tolist() == [0.5] * 5
    assert outputs.figures["margin"] == pytest.approx(0.0, abs=1e-6)
    assert outputs.texts == tuple(answer.text for answer in split.reference.generated)


def test_log_probabilities_are_those_of_the_model(session: PreferenceSession) -> None:
    split = session.splits["validation"]
    for side, logps in zip(split.rows.sides, split.reference.logps, strict=True):
        for i in range(len(split.rows)):
            ids, start = torch.tensor(side.input_ids[i].astype(np.int64)), side.starts[i]
            with torch.no_grad():
                logits = session.loaded.model(input_ids=ids[None]).logits[0, :-1].log_softmax(-1)
            by_hand = logits.gather(1, ids[1:, None])[start - 1 :, 0].sum()
            assert logps[i] == pytest.approx(float(by_hand), abs=1e-4)


def test_every_figure_is_a_metric_that_a_recipe_can_name(session: PreferenceSession) -> None:
    split = session.splits["validation"]
    outputs = outputs_of(split.reference, split, session.losses)
    values = metric_values(outputs, split_metrics(session, "validation"))
    assert values.keys() | {"loss"} == set(PREFERENCE_METRICS)
    assert all(math.isfinite(value) for value in values.values())


def test_the_length_baseline_prefers_what_train_prefers(tmp_path: Path) -> None:
    given = frames(12, 5)
    for rows in given.values():
        for row in rows:
            row["rejected"] = row["chosen"] + " and it was there"
    model = write_model(tmp_path / "llama")
    _, session = session_of(model, tmp_path, frames=given)
    system = length_system(session)
    assert system.outputs["validation"].row_scores["accuracy"].tolist() == [1.0] * 5
    assert "shorter" in system.note
    judged = [
        {"prompt": row["prompt"], "completion": row[name], "label": name == "rejected"}
        for row in given["train"]
        for name in ("chosen", "rejected")
    ]
    _, session = session_of(model, tmp_path, frames={"train": judged, "validation": judged}, preference={"loss_type": "kto"})
    assert length_system(session).outputs["validation"].row_scores["accuracy"].mean() >= 0.75
    assert set(judged_by_length(session.train, session.train).tolist()) <= {0.0, 0.5, 1.0}


def test_rewards_per_token_are_those_of_losses_per_token(session: PreferenceSession, tmp_path: Path) -> None:
    split = session.splits["validation"]
    _, per_token = session_of(Path(session.data.source.location), tmp_path, preference={"loss_type": "simpo", "beta": 3.0})
    outputs = outputs_of(split.reference, split, per_token.losses)
    logps, counts = split.reference.logps, split.reference.counts
    assert outputs.row_values["chosen_reward"] == pytest.approx(3.0 * logps[0] / counts[0])
    expected = np.mean(3.0 * logps[0] / counts[0] - 3.0 * logps[1] / counts[1])
    assert outputs.figures["margin"] == pytest.approx(expected)
