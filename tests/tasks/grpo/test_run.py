"""Runs of tiny policies through TRL's trainers: the reference, the groups, what is refused and explained, and exact resumes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fits import fit_in, load_session
from tests.language_models import write_model
from tests.policies import error, mapping, named, written
from tunesmith.recipe.load import load_recipe
from tunesmith.tasks.grpo.model import groups_of
from tunesmith.tasks.grpo.outputs import loss_near_zero
from tunesmith.tasks.policies.model import reference_model
from tunesmith.training.history import ROLLOUT
from tunesmith.training.trainers.groups import group_figures
from tunesmith.workflows.check import check
from tunesmith.workflows.train import train


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("policy") / "llama")


BATCH = {"per_device_train_batch_size": 8}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grpo": {"num_generations": 1}}, "grpo.num_generations"),
        ({"train": {"per_device_train_batch_size": 6}}, "= 6, which num_generations 4 does not divide"),
        ({"grpo": {"max_completion_length": 60}}, "no prompt of train leaves room for an answer"),
        ({"grpo": {"algorithm": "rloo", "loss_type": "grpo"}}, "has no effect with algorithm: rloo"),
        ({"grpo": {"normalize_advantages": True}}, "has no effect with algorithm: grpo"),
        ({"grpo": {"algorithm": "rloo", "reward_clip_range": [1, 0]}}, "the lower end is not below the upper one"),
        ({"grpo": {"use_transformers_continuous_batching": True}}, "use_transformers_continuous_batching"),
        ({"upstream": {"use_transformers_continuous_batching": True}}, "use_transformers_continuous_batching"),
        ({"train": {"dropout": 0.1}}, "trained without dropout"),
        ({"quantisation": "nf4", "adapter": {"method": "lora"}}, "unquantised weights"),
        ({"grpo": {"mask_truncated_completions": True, "max_completion_length": 1}}, "nothing would be trained"),
    ],
)
def test_settings_that_cannot_train_are_one_line(tmp_path, model, capsys, changes: dict[str, Any], message: str) -> None:
    assert message in error(capsys, written(tmp_path, model, "grpo", **changes), "check")


def test_an_encoder_decoder_is_refused(tmp_path, capsys) -> None:
    path = written(tmp_path, write_model(tmp_path / "t5", "t5"), "grpo")
    assert "task: grpo trains no encoder-decoder. Name a causal one" in error(capsys, path, "check")


def test_a_reward_that_fails_later_ends_the_training(tmp_path, model, capsys) -> None:
    path = written(tmp_path, model, "grpo", rewards=named(tmp_path, "later"), train={"max_steps": 40, "n_evaluations": 1})
    assert "returned 31 rewards on 32 completions" in error(capsys, path, code=1)


def test_the_check_proves_the_reference_and_warns_of_equal_groups(tmp_path, model) -> None:
    changes = {"rewards": named(tmp_path, "by_prompt"), "grpo": {"max_completion_length": 2}}
    report = check(load_recipe(written(tmp_path, model, "grpo", **changes)))
    lines = {line.check: line for line in report.checks}
    assert report.problems == ()
    assert "nats 0 (limit 1e-06)" in lines["the reference is the untrained policy"].figure
    assert "no group has different rewards" in lines["groups"].note
    assert "cut after 2 tokens" in lines["ends of answers"].figure


def test_the_check_warns_of_a_spread_that_may_be_noise(tmp_path, model) -> None:
    report = check(load_recipe(written(tmp_path, model, "grpo", rewards=named(tmp_path, "hardly"))))
    assert "rewards hardly differ within groups" in next(line.note for line in report.checks if line.check == "groups")
    changes = {"rewards": named(tmp_path, "hardly"), "grpo": {"scale_rewards": "none"}}
    report = check(load_recipe(written(tmp_path, model, "grpo", **changes)))
    assert not next(line.note for line in report.checks if line.check == "groups")


def test_groups_without_variance_are_counted_whatever_upstream_scales_by() -> None:
    """Upstream's share is 0 for rewards that are constant in each group but differ between groups, scaled by the batch."""
    figures = group_figures(np.array([1.0, 1, 1, 2, 2, 2, 3, 3, 4]), [[1]] * 9, [1], 3)
    assert figures["groups_without_variance"] == pytest.approx(2 / 3)
    assert figures["finished"] == 1.0
    assert figures["reward_std"] > figures["group_std"] > 0


def history_of(trained: Any) -> list[dict[str, Any]]:
    return [entry for entry in trained.fit.history if "loss" in entry]


@pytest.mark.parametrize("adapter", [None, {"method": "lora", "r": 4}, {"method": "lora", "r": 4, "init_lora_weights": "pissa"}])
def test_upstreams_first_divergence_is_zero_also_for_a_model_that_was_changed_in_memory(tmp_path, model, adapter) -> None:
    """Upstream would load the reference by the model's name: another model."""
    changes = {"max_steps": 4, "n_evaluations": 1, "n_logs": 4, "learning_rate": 5e-2, **BATCH}
    steps, session = load_session(mapping(tmp_path, model, "grpo", adapter=adapter, train=changes), {}, tmp_path)
    if adapter is None:
        for each in (session.model, session.reference):
            each.lm_head.weight.data[5:20] += 1.0
    before = {name: value.clone() for name, value in session.model.state_dict().items()}
    logged = history_of(fit_in(tmp_path, steps, session))
    assert abs(logged[0][f"{ROLLOUT}kl_of_tokens"]) < 1e-6
    assert logged[-1][f"{ROLLOUT}kl_of_tokens"] > 1e-4
    if adapter is None:
        with reference_model(session) as reference:
            assert all(torch.equal(value, before[name]) for name, value in reference.state_dict().items())
        assert "forward" not in vars(session.model)


@pytest.mark.parametrize("algorithm", ["grpo", "rloo"])
def test_the_policy_learns_and_the_answers_of_a_generation_are_whole_groups(tmp_path, model, algorithm: str) -> None:
    changes = {
        "grpo": {"algorithm": algorithm, "beta": 0.0},
        "train": {"max_steps": 30, "n_evaluations": 2, "learning_rate": 2e-2},
    }
    steps, session = load_session(mapping(tmp_path, model, "grpo", **changes), {}, tmp_path)
    groups = groups_of(session, 0)
    positions = [groups.positions(generation) for generation in range(2)]
    assert all(len(set(part[i : i + 4])) == 1 for part in positions for i in range(0, 32, 4))
    assert sorted(positions[0][::4] + positions[1][::4]) == list(range(16))
    trained = fit_in(tmp_path, steps, session)
    logged = history_of(trained)
    assert logged[-1][f"{ROLLOUT}reward"] > logged[0][f"{ROLLOUT}reward"] + 0.2
    (last,) = [entry for entry in trained.fit.history if entry.get("step") == 30 and "eval_reward" in entry]
    assert last["eval_kl"] > 0.1  # measured without a penalty too


OPTIONS: Mapping[str, dict[str, Any]] = {
    "several batches": {"grpo": {"steps_per_generation": 4}, "train": BATCH},
    "several passes": {"grpo": {"num_iterations": 3}, "train": BATCH},
    "rloo": {"grpo": {"algorithm": "rloo", "steps_per_generation": 2, "num_iterations": 2}, "train": BATCH},
    "accumulation": {"grpo": {"num_iterations": 2}, "train": {**BATCH, "gradient_accumulation_steps": 2}},
    "lora": {"grpo": {"num_iterations": 2}, "adapter": {"method": "lora", "r": 4}},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_run_that_stops_inside_a_generation_resumes_with_the_same_bits(tmp_path, model, name: str) -> None:
    changes = {**OPTIONS[name], "train": {"max_steps": 8, "n_evaluations": 2, "n_logs": 8, **OPTIONS[name].get("train", {})}}
    parts = []
    for stop_at in (None, 5):
        folder = tmp_path / f"stop-{stop_at}"
        folder.mkdir()
        steps, session = load_session(mapping(folder, model, "grpo", **changes), {}, folder)
        if stop_at is not None:
            with pytest.raises(BaseException, match="after step 5 of 8"):
                fit_in(folder, steps, session, stop_at=stop_at)
            steps, session = load_session(mapping(folder, model, "grpo", **changes), {}, folder)
        parts.append(fit_in(folder, steps, session, resume=stop_at is not None))
    whole, resumed = parts
    assert resumed.losses == whole.losses
    assert all(torch.equal(resumed.weights[name], value) for name, value in whole.weights.items())


def test_the_report_says_that_a_loss_near_zero_is_no_fault(tmp_path, model) -> None:
    run = train(
        load_recipe(written(tmp_path, model, "grpo", rewards=named(tmp_path, "first_half", gold=f"{tmp_path}/rewards.py:red")))
    )
    record = run.result.training["loss_near_zero"]
    assert not record["is_fault"]
    assert "which is no fault" in (run.folder / "report.html").read_text()
    assert [verdict.metric for verdict in run.result.verdicts] == ["reward", "gold_reward"]
    events = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert all("groups_without_variance" in event["metrics"] for event in events if event["event"] == "train")


def test_a_loss_of_zero_without_variance_is_a_fault() -> None:
    entry = {"loss": 0.0, "grad_norm": 0.0, f"{ROLLOUT}groups_without_variance": 1.0}
    assert loss_near_zero([entry])["is_fault"]
    learning = {"loss": 0.0, "grad_norm": 2.0, f"{ROLLOUT}groups_without_variance": 0.25}
    assert not loss_near_zero([learning])["is_fault"]
    assert loss_near_zero([{**learning, "loss": 3.0}]) == {}
