"""What is said before policies are trained."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.fits import load_session
from tests.language_models import write_model
from tests.policies import mapping
from tunesmith.generation.sampling import Sampling
from tunesmith.models.reward.source import RewardRun
from tunesmith.results import Alarm, RunResult
from tunesmith.tasks.policies import preflight
from tunesmith.tasks.policies.preflight import TriedAnswers


@pytest.mark.parametrize(("seconds", "warns"), [({"bf16": 2.0, "fp32": 1.0}, True), ({"bf16": 1.0, "fp32": 2.0}, False)])
def test_bf16_that_is_slower_than_fp32_is_told(tmp_path, monkeypatch, seconds: dict[str, float], warns: bool) -> None:
    _, session = load_session(mapping(tmp_path, write_model(tmp_path / "model")), {}, tmp_path)
    session = replace(session, fast_path=replace(session.fast_path, precision="bf16", reasons={"precision": "in hardware"}))
    answers = TriedAnswers([0, 1], [[10, 11], [10]], Sampling(6))
    assert all(preflight.scoring_seconds(session, answers, name) > 0 for name in ("bf16", "fp32"))
    monkeypatch.setattr(preflight, "scoring_seconds", lambda session, answers, name: seconds[name])
    line = preflight.precision_line(session, answers)
    assert "a pass over 2 answers takes" in line.figure
    assert ("bf16 is slower here" in line.note) == warns
    session = replace(session, fast_path=replace(session.fast_path, precision="fp32"))
    assert preflight.precision_line(session, answers).figure == "fp32: in hardware"


def test_the_alarms_of_reward_runs_are_repeated(tmp_path) -> None:
    _, session = load_session(mapping(tmp_path, write_model(tmp_path / "model")), {}, tmp_path)
    run = tmp_path / "reward"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"files": ["run.json", "result.json"]}))
    alarms = [Alarm("not above words", "It is no better than words.", "More pairs."), Alarm("memorised", "Other.", "")]
    (run / "result.json").write_text(json.dumps(RunResult("reward", alarms=tuple(alarms)).to_json()))
    rewards = replace(session.data.rewards, functions=(RewardRun("runs/reward", "rewards.reward_funcs", run),))
    session = replace(session, data=replace(session.data, rewards=rewards))
    (line,) = preflight.reward_run_lines(session)
    assert (line.note, line.remedy) == ("runs/reward: It is no better than words.", "More pairs.")
    session = replace(session, data=replace(session.data, rewards=replace(rewards, functions=(), gold=rewards.functions[0])))
    assert len(list(preflight.reward_run_lines(session))) == 1
