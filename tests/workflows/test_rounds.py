"""Rounds through the command line: pairs by rewards or by a person, what is kept, what goes on, and bad inputs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tunesmith
from tests.contract.cases import joined
from tests.language_models import questions, write_model
from tunesmith.cli.main import main
from tunesmith.data.preferences.sampled import read_sampled
from tunesmith.workflows import rounds as workflow
from tunesmith.workflows import several_runs

REWARDS = """
def first_half(completions, completion_ids, **_):
    return [sum(token < 30 for token in ids) / len(ids) for ids in completion_ids]

def second_half(completions, completion_ids, **_):
    return [-sum(token < 30 for token in ids) / len(ids) for ids in completion_ids]

def constant(completions, **_):
    return [1.0] * len(completions)
"""
Write = Callable[..., Path]
Arguments = Callable[..., list[str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "llama")


def write_recipe(folder: Path, model: Path, **changes: Any) -> Path:
    """Writes a recipe of short rounds with its prompts and rewards."""
    prompts = [*dict.fromkeys(row["prompt"] for row in questions(60))]
    for name, part in (("train", prompts[:24]), ("test", prompts[24:40])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in part), encoding="utf-8")
    (folder / "rewards.py").write_text(REWARDS, encoding="utf-8")
    given = {
        "task": "preference",
        "model": {"name": str(model)},
        "data": {"train": "train.jsonl", "validation": 0.25, "test": "test.jsonl"},
        "rewards": {"reward_funcs": ["rewards.py:first_half"], "gold": "rewards.py:second_half"},
        "rounds": {"n": 1, "answers": 4, "response_length": 6, "cut_answers": "keep"},
        "train": {"max_steps": 12, "n_evaluations": 1, "learning_rate": 5e-3, "per_device_train_batch_size": 8},
        "evaluate": {"answers": {"rows": 0}, "n_resamples": 400, "baselines": []},
        "output": str(folder / "out"),
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(joined(given, changes)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tunesmith.workflows.round_results.Rounds]:
    """Two rounds by rewards, and the folder of their recipe."""
    folder = tmp_path_factory.mktemp("rounds")
    return folder, tunesmith.rounds(write_recipe(folder, model), 2)


def fill(path: Path, choose: Callable[[dict[str, str]], str]) -> int:
    """Fills in a file of comparisons, and returns its number of rows."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{**row, "better": choose(row)} for row in csv.DictReader(file)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def longer(row: dict[str, str]) -> str:
    a, b = len(row["answer_a"]), len(row["answer_b"])
    return "tie" if a == b else "a" if a > b else "b"


def test_each_round_learns_from_its_own_answers(finished: tuple[Path, Any]) -> None:
    folder, found = finished
    first, second = found.rounds[1:]
    reward, gold = first.verdicts
    assert (reward.metric, reward.against, gold.metric) == ("reward", "round 0", "gold_reward")
    assert reward.difference == -gold.difference > 0
    assert {(v.metric, v.against) for v in second.verdicts} == {
        (name, other) for name in ("reward", "gold_reward") for other in ("round 0", "round 1")
    }
    assert first.metric("kl").value == first.metric("kl_of_round").value > 0
    assert second.metric("kl").value != second.metric("kl_of_round").value
    assert first.n_pairs + first.n_validation_pairs + sum(first.left_out.values()) == first.n_prompts == 24
    sampled = {(p.split, p.index): p for p in read_sampled(folder / "out" / "data" / "round-1" / "sampled.jsonl")}
    assert {split for split, _ in sampled} == {"train", "validation"}
    by_prompt = {prompt.prompt: {answer.text: answer.reward for answer in prompt.answers} for prompt in sampled.values()}
    lines = (folder / "out" / "data" / "round-1" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == first.n_pairs
    for row in map(json.loads, lines):
        rewards = by_prompt[row["chosen"][0]["content"]]
        ours, theirs = (rewards[row[side][-1]["content"]] for side in ("chosen", "rejected"))
        assert ours == max(rewards.values()) > theirs == min(rewards.values())


def test_a_round_starts_from_the_model_of_the_round_before(finished: tuple[Path, Any]) -> None:
    folder, found = finished
    run = tunesmith.Run.load(found.rounds[2].run)
    assert run.result.recipe["model"]["name"] == str(folder / "out" / "round-1")
    assert run.result.training["reference"] == f"a frozen copy of {folder / 'out' / 'round-1'}"
    assert tunesmith.generate(run, ["who has the lamp?"], max_new_tokens=3)[0][0].text is not None
    record = json.loads((folder / "out" / "rounds.json").read_text(encoding="utf-8"))
    assert [one["number"] for one in record["rounds"]] == [0, 1, 2]
    assert "Better than before?" in (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert len((folder / "out" / "rounds.csv").read_text(encoding="utf-8").splitlines()) == 4


def test_finished_rounds_are_kept_and_another_recipe_is_refused(
    finished: tuple[Path, Any], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, found = finished

    def refuse(*_arguments: object, **_named: object) -> None:
        raise AssertionError("a finished round is trained again")

    monkeypatch.setattr(several_runs.runs, "train", refuse)
    assert main(["--json", "rounds", str(folder / "recipe.yaml")]) == 0  # one round in the recipe, two are finished
    again = json.loads(capsys.readouterr().out)
    assert again["rounds"][2]["verdicts"][0]["difference"] == found.rounds[2].verdicts[0].difference
    assert main(["rounds", str(folder / "recipe.yaml"), "train.learning_rate=1e-3"]) == 2
    assert "train.learning_rate: was 0.005 when the rounds were started, is 0.001 now" in capsys.readouterr().err
    prompts = folder / "train.jsonl"
    before = prompts.read_text(encoding="utf-8")
    try:
        prompts.write_text(before + '{"prompt": "who has the cup?"}\n', encoding="utf-8")
        assert main(["rounds", str(folder / "recipe.yaml")]) == 2
    finally:
        prompts.write_text(before, encoding="utf-8")
    assert "data.train: its content has changed since the rounds were started" in capsys.readouterr().err


def test_a_person_annotates_and_compares(tmp_path: Path, model: Path, capsys: Any) -> None:
    recipe = str(write_recipe(tmp_path, model, rewards={"reward_funcs": [], "gold": None}, rounds={"annotate": "file"}))
    data = tmp_path / "out" / "data" / "round-1"
    assert main(["rounds", recipe]) == 0
    out = capsys.readouterr().out
    assert f"{data / 'annotate.csv'}\nthen give the command again: tunesmith rounds {recipe}" in out
    sampled = (data / "sampled.jsonl").read_bytes()
    n = fill(data / "annotate.csv", lambda row: "" if row["id"].startswith("3-") else longer(row))
    assert main(["rounds", recipe]) == 2
    assert f"{n - 1} of {n} rows are filled in; the first empty one is row 3 (line" in capsys.readouterr().err
    fill(data / "annotate.csv", longer)
    assert main(["rounds", recipe]) == 0
    assert str(data / "compare.csv") in capsys.readouterr().out
    for line in map(json.loads, (data / "train.jsonl").read_text(encoding="utf-8").splitlines()):
        assert len(line["chosen"][-1]["content"]) > len(line["rejected"][-1]["content"])
    n = fill(data / "compare.csv", lambda row: "tie")
    assert 0 < n <= 16
    assert main(["--json", "rounds", recipe]) == 0
    (verdict,) = json.loads(capsys.readouterr().out)["rounds"][1]["verdicts"]
    assert (verdict["metric"], verdict["against"], verdict["word"], verdict["n"]) == ("preferred", "round 0", "cannot tell", 16)
    assert (data / "sampled.jsonl").read_bytes() == sampled


def test_a_round_that_was_stopped_goes_on(tmp_path: Path, model: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, train = str(write_recipe(tmp_path, model)), several_runs.runs.train
    data = tmp_path / "out" / "data"

    def stop(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workflow, "write_sampled", stop)
    assert main(["rounds", recipe]) == 130
    monkeypatch.undo()
    assert not list(data.rglob("*.jsonl"))
    monkeypatch.setattr(several_runs.runs, "train", stop)
    assert main(["rounds", recipe]) == 130
    assert "run the same command again: finished parts are kept in" in capsys.readouterr().err
    sampled = (data / "round-1" / "sampled.jsonl").read_bytes()
    monkeypatch.setattr(several_runs.runs, "train", train)
    divergences = workflow.held_out
    monkeypatch.setattr(workflow, "held_out", lambda plan, number: stop() if number else divergences(plan, number))
    assert main(["rounds", recipe]) == 130  # after the training
    monkeypatch.setattr(workflow, "held_out", divergences)
    monkeypatch.setattr(several_runs.runs, "train", stop)
    assert main(["--json", "rounds", recipe]) == 0
    assert len(json.loads(capsys.readouterr().out)["rounds"]) == 2
    assert (data / "round-1" / "sampled.jsonl").read_bytes() == sampled


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": {"reward_funcs": [], "gold": None}}, "no reward function is named"),
        ({"rewards": {"reward_funcs": ["rewards.py:constant"], "gold": None}}, "24 whose answers are equally good"),
        ({"rounds": {"cut_answers": "leave_out"}}, "ended within response_length"),
        ({"rounds": {"response_length": 64}}, "no prompt of test leaves room"),
        ({"rounds": {"compare": False}}, "nobody compares answers"),
        ({"rounds": {"answers": 1}}, "rounds.answers"),
        ({"rounds": None}, "there are no rounds"),
        ({"rounds": None, "rewards": None}, "the recipe has no section rounds"),
        ({"task": "reward"}, "rounds` applies only to"),
        ({"data": {"test": None}}, "there are no held-out prompts"),
        ({"data": {"test": "train.jsonl"}}, "is the same file as data.train"),
        ({"train": {"save_strategy": "none"}}, "the next round starts from the model"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, model: Path, capsys: Any, changes: Any, message: str) -> None:
    path = write_recipe(tmp_path, model, **changes)
    if None in changes.values():
        given = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({key: value for key, value in given.items() if value is not None}), encoding="utf-8")
    assert main(["rounds", str(path)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("result.json"))


def test_rounds_of_an_encoder_decoder_are_refused(tmp_path: Path, capsys: Any) -> None:
    recipe = write_recipe(tmp_path, write_model(tmp_path / "t5", "t5"))
    assert main(["rounds", str(recipe)]) == 2
    assert "(t5): task: preference trains no encoder-decoder. Name a causal one" in capsys.readouterr().err


def test_settings_may_change_until_something_was_sampled(tmp_path: Path, model: Path, capsys: Any) -> None:
    path = str(write_recipe(tmp_path, model))
    assert main(["rounds", path, "rounds.response_length=64"]) == 2
    assert main(["rounds", path, "rewards.reward_funcs=[rewards.py:constant]"]) == 2
    assert "equally good" in capsys.readouterr().err
    assert main(["rounds", path]) == 2
    assert "rewards.reward_funcs: was ['rewards.py:constant']" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine", encoding="utf-8")
    assert main(["rounds", path, f"output={tmp_path / 'other'}"]) == 2
    assert "holds other files" in capsys.readouterr().err


def test_held_out_prompts_are_left_out_of_the_training(tmp_path: Path, model: Path) -> None:
    path = write_recipe(tmp_path, model)
    train, test = (tmp_path / f"{name}.jsonl" for name in ("train", "test"))
    test.write_text(test.read_text(encoding="utf-8") + train.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    from tunesmith.progress import silent
    from tunesmith.recipe.load import load_recipe
    from tunesmith.workflows.round_plan import plan_of

    plan = plan_of(load_recipe(path), silent)
    shown = [{workflow.shown_prompt(turns) for turns in rows.turns} for rows in plan.prompts.values()]
    assert shown[2].isdisjoint(shown[0] | shown[1])
    assert any("held out and left out here" in note for note in plan.notes)


def test_a_recipe_of_rounds_is_not_trained_as_one_run(tmp_path: Path, model: Path, capsys: Any) -> None:
    assert main(["train", str(write_recipe(tmp_path, model))]) == 2
    assert "Run tunesmith rounds with it" in capsys.readouterr().err
