"""Models of any task answer the same prompts, and their rewards are compared pair by pair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tunesmith
from tests.data.test_run_rows import HELD, write_rows, write_run
from tests.language_models import questions, write_model
from tunesmith.cli.main import main
from tunesmith.data.preferences.load import load_pairs
from tunesmith.errors import DataError, InputError
from tunesmith.generation.generator import load_text_generator
from tunesmith.generation.sampling import Sampling, sample_answers
from tunesmith.progress import silent
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.workflows.compare_answers import given_prompts, held_out_prompts, sample_each

REWARDS = """
def red(completions, colour, **_): return [float("red" in text) + 0.01 * len(text.split()) for text in completions]
def none(completions, **_): return [None] * len(completions)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a copy of it, and one that says a word more often; prompts, one of them too long; rewards."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("models")
    model = AutoModelForCausalLM.from_pretrained(write_model(folder / "plain"))
    tokenizer = AutoTokenizer.from_pretrained(folder / "plain")
    write_model(folder / "copy")
    word = tokenizer("red")["input_ids"][-1]
    with torch.no_grad():
        states = model.model(torch.tensor([tokenizer(row["prompt"])["input_ids"][:4] for row in questions(40)])).last_hidden_state
        mean = states.mean(dim=(0, 1))
        model.lm_head.weight[word] = 8 * mean / mean.square().sum()
    model.save_pretrained(folder / "red")
    tokenizer.save_pretrained(folder / "red")
    rows = [{"prompt": row["prompt"], "colour": "red"} for row in questions(40)]
    rows += [{"prompt": " ".join(["red"] * 200), "colour": "red"}]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "rewards.py").write_text(REWARDS)
    return folder


def outcome_of(place: Path, capsys: pytest.CaptureFixture[str], *names: str, **options: str) -> tuple[int, dict[str, Any]]:
    given = {"reward": f"{place}/rewards.py:red", "data": str(place / "prompts.jsonl"), "max-new-tokens": "6", **options}
    flags = [word for name, value in given.items() for word in (f"--{name}", value)]
    code = main(["--json", "compare", *(str(place / name) for name in names), *flags])
    return code, json.loads(capsys.readouterr().out or "{}")


def test_equal_models_give_equal_answers_and_others_are_told_apart(place, capsys) -> None:
    code, found = outcome_of(place, capsys, "red", "plain", "copy")
    assert code == 0
    assert found["n_prompts"] == 40
    assert found["notes"] == ["1 prompt whose prompt and answer do not fit into the positions of a model left out"]
    assert [verdict["word"] for verdict in found["verdicts"]] == ["better", "better"]
    plain, copy = (model["metrics"] for model in found["models"][1:])
    assert plain == copy
    assert {metric["name"] for metric in plain} == {"reward", "answer_tokens", "repetition", "finished"}
    code, found = outcome_of(place, capsys, "plain", "copy")
    assert (code, found["verdicts"][0]["word"], found["verdicts"][0]["difference"]) == (4, "cannot tell", 0.0)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_encoder_decoders_are_compared(tmp_path: Path, place: Path, family: str) -> None:
    write_model(tmp_path / "model", family)
    rows = [{"prompt": f"{'red ' * n}blue", "colour": "red"} for n in (1, 3, 5, 200)]
    found = tunesmith.compare_answers([tmp_path / "model", tmp_path / "model"], f"{place}/rewards.py:red", rows, max_new_tokens=6)
    assert found.n_prompts == {"t5": 4, "bart": 3}[family]  # a T5 has no limit of positions
    answers = sample_each(str(tmp_path / "model"), given_prompts(rows, ColumnsSection(), silent), 6, 0)
    writer = load_text_generator(str(tmp_path / "model"))
    prompts = [writer.prompt_ids(row["prompt"]) for row in rows[:3]]
    tokens = sample_answers(writer.model, writer.tokenizer, prompts, Sampling(6, seed=(0,)))
    assert all(prompt[-1] == writer.tokenizer.eos_token_id for prompt in prompts)
    assert answers.n_tokens[:3] == tuple(map(len, tokens))
    assert answers.texts[:3] == tuple(writer.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in tokens)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward": "{place}/rewards.py:none"}, "it gives no reward (None)"),
        ({"max-new-tokens": "0"}, "an answer has at least one token, and 0 was given"),
        ({"max-new-tokens": "5000"}, "leaves room for 5,000 tokens in every model"),
        ({"metric": "reward"}, "--reward excludes --metric"),
    ],
)
def test_what_cannot_be_compared_is_one_line(place, capsys, options: dict[str, str], message: str) -> None:
    given = {"reward": f"{place}/rewards.py:red", "data": str(place / "prompts.jsonl"), "max-new-tokens": "6", **options}
    flags = [word for name, value in given.items() for word in (f"--{name}", value.format(place=place))]
    assert main(["compare", str(place / "plain"), str(place / "copy"), *flags]) == 2
    assert message in capsys.readouterr().err


def test_the_prompts_are_those_that_no_run_learnt_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path)
    data = {"train": "pairs.jsonl", "validation": 0.2, "test": 0.3}
    recipe = recipe_from_mapping({"task": "preference", "model": {"name": "m"}, "data": data}, "recipe")
    sha256 = load_pairs(recipe, tmp_path).train.sha256
    for name, held in (("first", HELD), ("second", {"test": [4, 17, 21], "validation": [30]}), ("third", {"test": [1, 2]})):
        write_run(tmp_path, sha256, held=held)
        (tmp_path / "run").rename(tmp_path / name)
        record = json.loads((tmp_path / name / "result.json").read_text())
        record["recipe"] = recipe.model_dump(mode="json")
        (tmp_path / name / "result.json").write_text(json.dumps(record))
    assert list(held_out_prompts(["first", "somewhere/else"]).row_ids) == HELD["test"]
    assert list(held_out_prompts(["first", "second"]).row_ids) == [4, 17, 30]
    with pytest.raises(DataError, match="no prompt that first was evaluated on and that no other run learnt from"):
        held_out_prompts(["first", "third"])
    with pytest.raises(InputError, match="it is no finished run"):
        held_out_prompts(["somewhere/else", "first"])
