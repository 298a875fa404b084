"""Runs of a tiny policy through the workflow and the command line: what is proven before, what is stopped, and bad inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.fits import fit_in, load_session
from tests.language_models import questions, write_model
from tests.policies import error, mapping, named, written
from tunesmith.cli.main import main
from tunesmith.data.chat.messages import Turn
from tunesmith.models.reward.saved import load_reward_run
from tunesmith.recipe.load import load_recipe
from tunesmith.tasks.policies.model import reference_model
from tunesmith.tasks.policies.preflight import sampled_as_scored
from tunesmith.tasks.ppo.model import environment
from tunesmith.tasks.ppo.training import trial_rollout, tried
from tunesmith.training.policies.kl import KlController
from tunesmith.training.ppo.objective import Coefficients
from tunesmith.training.ppo.rollouts import ScoreScale, collect
from tunesmith.training.trainers.ppo import rollout_loss
from tunesmith.workflows.check import check
from tunesmith.workflows.train import train

FAMILIES = ("llama", "t5", "bart")
each_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("policy")
    return {family: write_model(folder / family, family) for family in FAMILIES}


@pytest.fixture(scope="module")
def model(models: Mapping[str, Path]) -> Path:
    return models["llama"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("texts", "returned 'good' for completion 0"),
        ("infinite", "returned inf for completion 0"),
        ("fails", "rewards.py:19: ValueError: no such answer"),
        ("absent", "has no function absent"),
    ],
)
def test_a_reward_that_cannot_be_used_is_one_line_before_training(tmp_path, model, capsys, name: str, message: str) -> None:
    assert message in error(capsys, written(tmp_path, model, rewards=named(tmp_path, name)))
    assert not (tmp_path / "run").exists()


def test_a_reward_that_fails_later_ends_the_training(tmp_path, model, capsys) -> None:
    path = written(tmp_path, model, rewards=named(tmp_path, "later"), train={"max_steps": 40, "n_evaluations": 1})
    assert "returned 7 rewards on 8 completions" in error(capsys, path, code=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ppo": {"rollout_batch_size": 9, "num_mini_batches": 2}}, "9 is not divided"),
        ({"ppo": {"response_length": 60}}, "no prompt of train leaves room for an answer"),
        ({"ppo": {"use_score_norm": True}}, "has no effect without use_score_scaling"),
        ({"train": {"dropout": 0.1}}, "trained without dropout"),
        ({"rewards": {"reward_weights": [1.0, 2.0]}}, "there are 2 for 1 in reward_funcs"),
        ({"rewards": {"stop_at_turn": True}}, "there is no gold reward"),
        ({"rewards": {"reward_funcs": ["r.py:f"], "gold": "r.py:f"}}, "r.py:f is trained on, too"),
        ({"rewards": {"reward_funcs": ["runs/rewards"]}}, "runs/rewards is neither a finished run of task: reward nor"),
        ({"evaluate": {"metric": "gold_reward"}}, "there is no gold reward"),
        ({"quantisation": "nf4", "adapter": {"method": "lora"}}, "unquantised weights"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path, model, capsys, changes: dict[str, Any], message: str) -> None:
    assert message in error(capsys, written(tmp_path, model, **changes), "check")


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("bart", {"ppo": {"response_length": 63}}, "64 positions, 2 of them for the tokens before an answer. Give at most 62."),
        ("t5", {"data": {"max_length": 5}}, "no prompt of train fits into the encoder: the longest has"),
        ("t5", {"upstream": {"fp16": True}}, "models of type t5 were pretrained in bf16"),
    ],
)
def test_what_an_encoder_decoder_cannot_read_or_write_is_refused(
    tmp_path, models, capsys, family: str, changes: dict[str, Any], message: str
) -> None:
    assert message in error(capsys, written(tmp_path, models[family], **changes), "check")


def test_prompts_that_do_not_fit_into_the_encoder_are_counted(tmp_path, models) -> None:
    _, session = load_session(mapping(tmp_path, models["t5"], data={"max_length": 20}), {}, tmp_path)
    split = session.splits["train"]
    assert 0 < len(split) < 16
    assert split.lengths().record["rows_dropped"] == {"its prompt does not fit into the encoder": 16 - len(split)}


@each_family
def test_prompts_are_tokens_as_in_supervised_training(tmp_path, models, family: str) -> None:
    """An encoder's prompt ends as its tokenizer ends texts; one that is continued does not."""
    _, session = load_session(mapping(tmp_path, models[family]), {}, tmp_path)
    split = session.splits["train"]
    expected = session.tokenizer(split.rows.rows[0]["prompt"])["input_ids"]
    assert split.prompts[0] == expected
    assert (split.prompts[0][-1] == session.tokenizer.eos_token_id) == (family != "llama")


def test_a_masked_model_is_refused(tmp_path, capsys) -> None:
    masked = write_model(tmp_path / "masked", "bert")
    assert "it generates no answers" in error(capsys, written(tmp_path, masked), "check")


def test_a_model_whose_own_settings_would_change_the_samples_is_sampled_without_them(tmp_path, model) -> None:
    """The files of chat models often have a penalty for repetition or a smallest length, which scoring does not know."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    policy = AutoModelForCausalLM.from_pretrained(model)
    policy.generation_config.update(repetition_penalty=5.0, no_repeat_ngram_size=1, min_new_tokens=6)
    policy.save_pretrained(tmp_path / "own")
    AutoTokenizer.from_pretrained(model).save_pretrained(tmp_path / "own")
    _, session = load_session(mapping(tmp_path, tmp_path / "own"), {}, tmp_path)
    rollout, _ = trial_rollout(session, list(range(16)))
    proof = sampled_as_scored(session, tried(session, rollout))
    assert proof.passed, proof
    session.model.policy.lm_head.weight.data[5:20] += 1.0  # another model scores than has sampled
    assert not sampled_as_scored(session, tried(session, rollout)).passed


@each_family
def test_the_check_proves_the_reference_and_the_first_ratio_and_shows_the_rewards(tmp_path, models, family: str) -> None:
    changes = {"rewards": named(tmp_path, "constant"), "ppo": {"response_length": 2}}
    report = check(load_recipe(written(tmp_path, models[family], **changes)))
    lines = {line.check: line for line in report.checks}
    assert report.problems == ()
    assert "ratio - 1|, 0% clipped 0 (limit 1e-06)" in lines["the first minibatch has ratio 1"].figure
    assert "nats 0 " in lines["the reference is the untrained policy"].figure
    assert "sampled tokens that scoring would not sample 0 " in lines["answers are sampled as they are scored"].figure
    assert "every answer has the same reward" in lines["rewards"].note
    assert "cut after 2 tokens" in lines["ends of answers"].figure
    assert lines["precision"].figure.startswith(("fp32: ", "bf16: "))


ADAPTED = (("llama", "lora"), ("llama", "pissa"), ("llama", "houlsby"), ("t5", "lora"), ("t5", "pissa"), ("bart", "lora"))


@pytest.mark.parametrize(("family", "method"), ADAPTED)
def test_the_reference_of_an_adapter_is_the_model_before_it(tmp_path, models, family: str, method: str) -> None:
    adapter: dict[str, Any] = {"method": "houlsby" if method == "houlsby" else "lora"}
    if method != "houlsby":
        adapter |= {"r": 4, **({"init_lora_weights": "pissa"} if method == "pissa" else {})}
    _, session = load_session(mapping(tmp_path, models[family], adapter=adapter), {}, tmp_path)
    _, figures = trial_rollout(session, list(range(8)))
    assert abs(figures["kl"]) < 1e-4
    with torch.no_grad():
        for parameter in session.model.policy.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    _, figures = trial_rollout(session, list(range(8)))
    assert figures["kl"] > 1e-3  # the reference stays where the policy started
    assert (session.reference is None) == (method == "lora")


@each_family
def test_accumulated_gradients_are_those_of_the_whole_minibatch(tmp_path, models, family: str) -> None:
    _, session = load_session(mapping(tmp_path, models[family]), {}, tmp_path)
    acting = environment(session, 0)
    rollout, _, _ = collect(session.model, acting, 0, KlController(0.05), ScoreScale())
    gradients = []
    for size in (8, 4, 1):
        session.model.zero_grad()
        for start in range(0, 8, size):
            rows = list(range(start, start + size))
            coefficients = Coefficients(entropy_coef=0.1)
            rollout_loss(session.model, acting, rollout, rows, coefficients, int(rollout.mask.sum())).total.backward()
        gradients.append([p.grad.clone() for p in session.model.parameters() if p.grad is not None])
    for other in gradients[1:]:
        for ours, theirs in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-7)


def test_a_run_with_accumulation_takes_the_same_steps(tmp_path, model) -> None:
    runs = []
    for parts in (1, 4):
        folder = tmp_path / str(parts)
        folder.mkdir()
        changes = {"train": {"max_steps": 4, "n_evaluations": 1, "gradient_accumulation_steps": parts, "fast": False}}
        runs.append(fit_in(folder, *load_session(mapping(folder, model, **changes), {}, folder)))
    assert runs[1].losses == pytest.approx(runs[0].losses, rel=1e-3, abs=1e-5)
    for name, ours in runs[0].weights.items():
        torch.testing.assert_close(runs[1].weights[name], ours, rtol=1e-3, atol=1e-4)


OPTIONS: Mapping[str, dict[str, Any]] = {
    "separate value head": {"ppo": {"value_head": "separate"}},
    "lora": {"adapter": {"method": "lora", "r": 4}},
    "everything": {
        "ppo": {
            "kl_target": 2.0, "kl_estimator": "exact", "missing_eos_penalty": 1.0, "use_score_scaling": True,
            "whiten_rewards": True, "use_score_norm": True, "score_clip": 2.0, "entropy_coef": 0.01, "num_mini_batches": 2,
            "whiten_advantages": False,
        },
    },
}  # fmt: skip


RESUMED = (
    *(("llama", name) for name in OPTIONS), ("t5", "lora"), ("t5", "everything"), ("bart", "separate value head"),
)  # fmt: skip


@pytest.mark.parametrize(("family", "name"), RESUMED)
def test_a_run_with_other_options_ends_and_resumes_with_the_same_bits(tmp_path, models, family: str, name: str) -> None:
    model = models[family]
    changes = {**OPTIONS[name], "train": {"max_steps": 6, "n_evaluations": 2, "learning_rate": 5e-3}}
    parts = []
    for stop_at in (None, 3):
        folder = tmp_path / f"stop-{stop_at}"
        folder.mkdir()
        steps, session = load_session(mapping(folder, model, **changes), {}, folder)
        if stop_at is not None:
            with pytest.raises(BaseException, match="after step 3 of 6"):
                fit_in(folder, steps, session, stop_at=stop_at)
            steps, session = load_session(mapping(folder, model, **changes), {}, folder)
        parts.append(fit_in(folder, steps, session, resume=stop_at is not None))
    whole, resumed = parts
    assert resumed.losses == whole.losses
    assert all(torch.equal(resumed.weights[name], value) for name, value in whole.weights.items())


@pytest.fixture(scope="module")
def hacked(tmp_path_factory: pytest.TempPathFactory, model: Path):
    """A run that stops when its gold reward turns."""
    folder = tmp_path_factory.mktemp("hacked")
    changes = {
        "rewards": {
            "reward_funcs": [f"{folder}/rewards.py:red"],
            "gold": f"{folder}/rewards.py:without_red",
            "stop_at_turn": True,
        },
        "ppo": {"kl_coef": 0.0, "rollout_batch_size": 16, "num_ppo_epochs": 3, "best_of_n": 8},
        "train": {"max_steps": 90, "n_evaluations": 15, "learning_rate": 5e-3},
    }
    return train(load_recipe(written(folder, model, **changes)))


def test_the_stop_rule_ends_the_run_at_the_turn_and_keeps_the_best_gold(hacked) -> None:
    events = [json.loads(line) for line in (hacked.folder / "metrics.jsonl").read_text().splitlines()]
    gold = {e["step"]: e["metrics"]["gold_reward"] for e in events if e["event"] == "evaluate"}
    training = hacked.result.training
    assert training["steps"] < training["planned_steps"]
    assert gold[training["best_step"]] == max(gold.values())
    assert "over-optimised" in [alarm.name for alarm in hacked.result.alarms]
    turn = training["over_optimisation"]["turn"]
    assert turn["seen"]["step"] == training["steps"]
    assert turn["best"]["gold_reward"] > turn["seen"]["gold_reward"]
    assert turn["best"]["reward"] < turn["seen"]["reward"]
    points = training["rewards_by_kl"]
    assert [point["step"] for point in points] == [0, *gold]
    assert [point["gold_reward"] for point in points[1:]] == [*gold.values()]
    assert {"step", "kl", "reward", "gold_reward"} == points[0].keys()
    law = training["over_optimisation"]["best_of_n_fit"]
    assert (law["law"], law["n_points"]) == ("best_of_n", 3)  # the best of 2, 4 and 8 answers


def test_the_predictions_and_the_report_have_the_rewards(hacked) -> None:
    rows = pq.read_table(hacked.folder / "predictions.parquet").to_pydict()
    assert {"text", "prediction", "reward", "gold_reward", "kl", "answer_tokens"} <= rows.keys()
    (mean,) = [m.value for m in hacked.result.metrics if m.name == "gold_reward"]
    assert [verdict.metric for verdict in hacked.result.verdicts] == ["reward", "gold_reward"]
    assert sum(rows["gold_reward"]) / len(rows["gold_reward"]) == pytest.approx(mean)
    page = (hacked.folder / "report.html").read_text()
    assert 'id="rewards"' in page
    assert "best of n answers of the untuned model" in page
    assert "over 3 sizes of the best of n untuned answers: d (a - b d)" in page


def test_reward_functions_get_the_columns_of_the_rows(tmp_path, model) -> None:
    _, session = load_session(mapping(tmp_path, model, rewards=named(tmp_path, "red")), {}, tmp_path)
    trial_rollout(session, [0, 1, 2])
    seen = session.data.rewards.functions[0].call.__globals__["seen"]
    prompts, completions, colours = seen[-1]
    assert sorted(prompts) == sorted(session.splits["train"].rows.rows[i]["prompt"] for i in range(3))
    assert colours == ["red"] * 3
    assert all(isinstance(text, str) for text in completions)


def test_prompts_of_messages_get_answers_of_messages(tmp_path, model) -> None:
    given = mapping(tmp_path, model, rewards=named(tmp_path, "constant"))
    chats = [{"messages": [{"role": "user", "content": row["prompt"]}]} for row in questions(8)]
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chats))
    _, session = load_session({**given, "ppo": {**given["ppo"], "chat_template": "dialogue"}}, {}, tmp_path)
    from tunesmith.tasks.policies.model import completions

    read = completions(session, session.splits["train"], [0], [[10, 11]])
    assert read.prompts[0] == chats[0]["messages"]
    assert read.completions[0][0]["role"] == "assistant"


def test_prompts_of_dialogues_do_not_hold_their_answer(tmp_path, model) -> None:
    given = mapping(tmp_path, model, rewards=named(tmp_path, "constant"))
    asked = [row["prompt"] for row in questions(8)]
    rows = [
        {"chosen": f"\n\nHuman: {text}\n\nAssistant: yes", "rejected": f"\n\nHuman: {text}\n\nAssistant: no"} for text in asked
    ]
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, session = load_session({**given, "ppo": {**given["ppo"], "chat_template": "dialogue"}}, {}, tmp_path)
    from tunesmith.tasks.policies.model import completions

    assert completions(session, session.splits["train"], [0, 1], [[10, 11], [10]]).prompts == asked[:2]


def test_the_beginnings_of_plain_texts_are_prompts(tmp_path, model) -> None:
    given = mapping(tmp_path, model)
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": row["prompt"]}) + "\n" for row in questions(8)))
    _, session = load_session({**given, "ppo": {**given["ppo"], "prompt_tokens": 3}}, {}, tmp_path)
    assert {len(prompt) for prompt in session.splits["train"].prompts} == {3}


def test_the_reference_is_the_base_model_after_training_too(tmp_path, model) -> None:
    steps, session = load_session(mapping(tmp_path, model), {}, tmp_path)
    before = {name: value.clone() for name, value in session.model.policy.state_dict().items()}
    fit_in(tmp_path, steps, session)
    with reference_model(session) as reference:
        assert all(torch.equal(value, before[name]) for name, value in reference.state_dict().items())
    assert any(not torch.equal(value, before[name]) for name, value in session.model.policy.state_dict().items())


def test_the_reward_model_of_a_run_rewards_answers_as_it_was_trained(tmp_path: Path, model: Path) -> None:
    pairs = [{"prompt": row["prompt"], "chosen": "yes it is .", "rejected": "no no no"} for row in questions(32)]
    for name, part in (("pairs", pairs[:16]), ("others", pairs[16:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    train(load_recipe(written_reward(tmp_path, model)))
    run = train(load_recipe(written(tmp_path, model, rewards={"reward_funcs": [str(tmp_path / "reward")]})))
    assert run is not None
    table = pq.read_table(run.folder / "predictions.parquet").to_pylist()
    scorer = load_reward_run(tmp_path / "reward")
    prompts = {i: row["prompt"] for i, row in enumerate(questions(32)[16:])}
    expected = scorer.rewards(
        [(Turn("user", prompts[row["row_id"]]),) for row in table],
        [(Turn("assistant", row["prediction"]),) for row in table],
        finished=[row["finished"] > 0 for row in table],
    )
    np.testing.assert_allclose([row["reward"] for row in table], expected, atol=1e-5)


def written_reward(folder: Path, model: Path) -> Path:
    """Writes the recipe of a reward model on the pairs of a folder."""
    recipe = {
        "task": "reward",
        "model": {"name": str(model)},
        "data": {"train": str(folder / "pairs.jsonl"), "validation": str(folder / "others.jsonl")},
        "train": {"max_steps": 2, "n_evaluations": 1},
        "evaluate": {"n_resamples": 100, "baselines": []},
        "output": str(folder / "reward"),
    }
    path = folder / "reward.yaml"
    path.write_text(json.dumps(recipe))
    return path


def test_a_folder_that_is_no_reward_model_is_refused(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, model, rewards={"reward_funcs": [str(model)]})
    assert "no run of a reward model" in error(capsys, path, "check")


# --- policies that start from finished runs ------------------------------------------------------------------------------------

WRITTEN = {"columns": {"prompt": "prompt", "completion": "completion"}, "test": None}


@pytest.mark.parametrize(("family", "adapter"), [("t5", {"adapter": {"method": "lora"}}), ("bart", {})])
def test_a_policy_starts_from_the_run_of_an_encoder_decoder(
    tmp_path, models, capsys, family: str, adapter: dict[str, Any]
) -> None:
    """Through the command line: supervised training, training by rewards from its run, generation, the lines of the report."""
    short = {"train": {"max_steps": 2, "n_evaluations": 1, "learning_rate": 5e-3}, "ppo": {"best_of_n": 0}, **adapter}
    recipe = mapping(tmp_path, models[family], **short)
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions(16, seed=len(name))))
    tuned = {name: recipe[name] for name in ("model", "data", "train", *adapter)} | adapter
    tuned |= {"task": "sft", "evaluate": {"n_resamples": 100, "answers": {"rows": 2}}, "output": str(tmp_path / "sft")}
    (tmp_path / "sft.yaml").write_text(json.dumps(tuned))
    (tmp_path / "ppo.yaml").write_text(json.dumps({**recipe, "model": {"name": str(tmp_path / "sft")}}))
    assert [main(["train", str(tmp_path / f"{name}.yaml")]) for name in ("sft", "ppo")] == [0, 0]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert all(proof["passed"] for proof in result["certificates"])
    assert result["data"]["problem_type"] == "seq2seq_language_model"
    assert "AutoModelForSeq2SeqLM" in (tmp_path / "run" / "report.html").read_text()
    capsys.readouterr()
    prompt = questions(1)[0]["prompt"]
    assert main(["generate", str(tmp_path / "run"), prompt, "--max-new-tokens", "4", "--json"]) == 0
    generated = json.loads(capsys.readouterr().out)
    assert generated["prompt"] == prompt
    assert not generated["text"].startswith(prompt)
    assert main(["compare", str(tmp_path / "run"), str(tmp_path / "run"), "--json"]) == 4  # equal answers: no difference
