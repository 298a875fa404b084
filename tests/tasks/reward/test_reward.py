"""Reward models: one scoring function everywhere, ends that count, ties as half, no row lost, any division of a batch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoTokenizer

from tests.contract.cases import PREFERENCES
from tests.fits import fit_in, load_session
from tests.language_models import write_model
from tunesmith.cli.main import main
from tunesmith.data.chat.messages import Turn
from tunesmith.errors import DataError
from tunesmith.evaluation.preferences import pair_outputs
from tunesmith.models.reward.saved import load_reward_run
from tunesmith.tasks.reward.evaluation import rewards
from tunesmith.tasks.reward.model import RewardSession
from tunesmith.tasks.reward.outputs import prediction_columns

HERE = {"prompt": "is it in the garden ?", "chosen": "yes it is in the garden .", "rejected": "no ."}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, Path]:
    """An encoder, a decoder, and a decoder that pads by its end of text, as many are published."""
    decoder, same_pad = (write_model(tmp_path_factory.mktemp("reward") / name, "llama") for name in ("own", "same"))
    tokenizer, config = AutoTokenizer.from_pretrained(same_pad), AutoConfig.from_pretrained(same_pad)
    tokenizer.pad_token, config.pad_token_id = tokenizer.eos_token, tokenizer.eos_token_id
    tokenizer.save_pretrained(same_pad)
    config.save_pretrained(same_pad)
    return {"encoder": tiny_model, "decoder": decoder, "padded by its end": same_pad}


@pytest.fixture
def load(tmp_path: Path, bases: dict[str, Path]) -> Callable[..., tuple[Any, RewardSession]]:
    """A function that loads a base model and pairs."""

    def session(base: str = "encoder", rows: Any = PREFERENCES, **sections: Any) -> tuple[Any, RewardSession]:
        mapping = {
            "task": "reward", "model": {"name": str(bases[base])}, "data": {"train": "t", "validation": "v"}, **sections,
            "train": {"max_steps": 4, "per_device_train_batch_size": 8, "n_evaluations": 1, "n_logs": 4, "dropout": 0.0,
                      "learning_rate": 1e-3, **sections.get("train", {})},
        }  # fmt: skip
        return load_session(mapping, {"train": list(rows[:16]), "validation": list(rows[16:])}, tmp_path)

    return session


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, bases: dict[str, Path]) -> dict[str, Path]:
    """A finished run of each base."""
    place, runs = tmp_path_factory.mktemp("rewards"), {}
    for split, rows in (("train", PREFERENCES[:16]), ("validation", PREFERENCES[16:])):
        (place / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for name, base in bases.items():
        recipe = {
            "task": "reward", "model": {"name": str(base)}, "output": str(place / name.replace(" ", "-")),
            "data": {"train": str(place / "train.jsonl"), "validation": str(place / "validation.jsonl")},
            "train": {"max_steps": 6, "per_device_train_batch_size": 8, "n_evaluations": 1, "learning_rate": 3e-3},
            "evaluate": {"n_resamples": 100},
        }  # fmt: skip
        path = place / "recipe.yaml"
        path.write_text(json.dumps(recipe), encoding="utf-8")
        assert main(["train", str(path)]) == 0
        runs[name] = Path(str(recipe["output"]))
    return runs


@pytest.mark.parametrize("base", ["encoder", "decoder", "padded by its end"])
def test_rewards_in_training_evaluation_and_use_are_equal(
    base: str, trained: dict[str, Path], load: Callable[..., Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, session = load(base)
    model, rows = load_reward_run(trained[base]), session.data.pairs.train
    session.model.load_state_dict(model.model.state_dict())
    chosen, rejected = rewards(session.model, session.pairs["train"], session)
    assert np.abs(chosen - rejected).max() > 0
    np.testing.assert_allclose(model.rewards(rows.prompts, rows.chosen), chosen, atol=1e-5)
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in PREFERENCES[:16]), encoding="utf-8")
    assert main(["--json", "predict", str(trained[base]), str(file)]) == 0
    predicted = [row["prediction"] for row in json.loads(capsys.readouterr().out)["predictions"]]
    np.testing.assert_allclose(np.array(predicted).reshape(-1, 2), np.stack([chosen, rejected], axis=1), atol=1e-5)


def test_evaluate_says_which_pairs_and_answers_are_left_out(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"prompt": "is it ?", "responses": [f"yes{' it is' * k}" for k in range(13)], "scores": [None, *range(12)]}
    (tmp_path / "lists.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert main(["evaluate", str(trained["encoder"]), str(tmp_path / "lists.jsonl")]) == 0
    text = capsys.readouterr().out
    assert "1 prompt of test has more pairs of answers than the 64 that are used: 2 pairs are left out." in text
    assert "1 answer of test without a score or a rank is left out." in text


def test_the_first_pair_is_written_token_by_token(trained: dict[str, Path], load: Callable[..., Any]) -> None:
    pair = json.loads((trained["encoder"] / "pair.json").read_text(encoding="utf-8"))
    _, session = load("encoder")
    pairs, tokenizer = session.pairs["train"], session.loaded.tokenizer
    assert "Confusion matrix" not in (trained["encoder"] / "report.html").read_text(encoding="utf-8")  # answers are no classes
    for name, side in (("chosen", pairs.chosen), ("rejected", pairs.rejected)):
        texts = tokenizer.convert_ids_to_tokens(side.input_ids[0])
        tokens = [{"id": token, "token": text} for token, text in zip(side.input_ids[0], texts, strict=True)]
        assert pair[name] == {"row_id": 0, "tokens": tokens}


@pytest.mark.parametrize("base", ["encoder", "decoder", "padded by its end"])
def test_a_finished_answer_has_another_reward_than_one_that_was_cut_off(base: str, trained: dict[str, Path]) -> None:
    model = load_reward_run(trained[base])
    prompt, answer = (Turn("user", HERE["prompt"]),), (Turn("assistant", HERE["chosen"]),)
    ended, cut = (model.rewards([prompt], [answer], finished=[finished])[0] for finished in (True, False))
    assert abs(ended - cut) > 1e-6
    tokenizer = model.reader.tokenizer
    assert base == "encoder" or tokenizer.pad_token_id != tokenizer.eos_token_id


def test_a_decoder_reads_one_beginning_and_one_end(load: Callable[..., Any]) -> None:
    _, session = load("decoder")
    tokenizer = session.loaded.tokenizer
    for side in (session.pairs["train"].chosen, session.pairs["train"].rejected):
        for ids in side.input_ids:
            assert ids.count(tokenizer.eos_token_id) == 1
            assert ids[-1] == tokenizer.eos_token_id
            assert ids.count(tokenizer.bos_token_id) <= 1


def test_special_tokens_in_an_answer_are_text(load: Callable[..., Any]) -> None:
    odd = [{**row, "chosen": f"{row['chosen']} [SEP]"} for row in PREFERENCES]
    _, session = load("encoder", odd)
    separator = session.loaded.tokenizer.sep_token_id
    assert {ids.count(separator) for ids in session.pairs["train"].chosen.input_ids} == {2}


def test_long_answers_are_cut_on_the_left_and_none_is_lost(load: Callable[..., Any]) -> None:
    _, session = load("encoder", data={"train": "t", "validation": "v", "max_length": 8})
    pairs = session.pairs["train"]
    assert (len(pairs), pairs.lengths.max(), pairs.same.sum()) == (16, 8, 0)
    _, right = load("encoder", data={"train": "t", "validation": "v", "max_length": 8}, reward={"truncation_side": "right"})
    assert len(right.pairs["train"]) == 16
    assert right.pairs["train"].same.sum() == sum(len(row["prompt"].split()) > 5 for row in PREFERENCES[:16])


def test_the_first_loss_is_that_of_equal_rewards(load: Callable[..., Any]) -> None:
    for base in ("encoder", "decoder"):
        _, session = load(base)
        steps, _ = load(base)
        assert session.expected_loss == math.log(2)
        assert float(steps.trial_parts(session)[0].compute_loss(list(range(16)))) == pytest.approx(math.log(2), abs=0.05)
    margins = [{**row, "margin": 1.0} for row in PREFERENCES]
    steps, session = load("encoder", margins)
    expected = math.log1p(math.exp(1.0))
    assert session.expected_loss == pytest.approx(expected)
    assert float(steps.trial_parts(session)[0].compute_loss(list(range(16)))) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("base", ["encoder", "decoder"])
def test_margins_and_centring_are_those_of_the_trainer(base: str, tmp_path: Path, load: Callable[..., Any]) -> None:
    margins = [{**row, "margin": i / 4} for i, row in enumerate(PREFERENCES)]
    steps, session = load(base, margins, reward={"center_rewards_coefficient": 0.5}, train={"max_steps": 1, "n_logs": 1,
                          "per_device_train_batch_size": 16, "n_evaluations": 1})  # fmt: skip
    expected = float(steps.trial_parts(session)[0].compute_loss(list(range(16))))
    fit = fit_in(tmp_path / "one", steps, session).fit
    (logged,) = [entry["loss"] for entry in fit.history if "loss" in entry]
    assert logged == pytest.approx(expected, abs=1e-5)


def test_many_small_batches_equal_a_large_one(tmp_path: Path, load: Callable[..., Any]) -> None:
    after = []
    for rows, parts in ((8, 1), (1, 8)):
        batch = {"per_device_train_batch_size": rows, "gradient_accumulation_steps": parts, "max_steps": 2, "n_logs": 2}
        steps, session = load("encoder", train={**batch, "optim": "sgd", "learning_rate": 0.1, "fast": False})
        fit_in(tmp_path / str(rows), steps, session)
        after.append({name: tensor.detach().clone() for name, tensor in session.model.state_dict().items()})
    assert max(float((after[0][name] - after[1][name]).abs().max()) for name in after[0]) < 1e-5


def test_ties_count_half_and_rows_count_alike() -> None:
    outputs = pair_outputs(np.array([1.0, 0.0, -1.0, 2.0, -0.5]))
    assert outputs.row_scores["accuracy"].tolist() == [1.0, 0.5, 0.0, 1.0, 0.0]
    assert outputs.losses is not None
    np.testing.assert_allclose(outputs.losses, -torch.nn.functional.logsigmoid(torch.tensor([1.0, 0.0, -1.0, 2.0, -0.5])))


def test_the_table_has_the_differences_of_rewards_themselves(load: Callable[..., Any]) -> None:
    """Their probabilities are 0 or 1 from a difference of 37 on."""
    _, session = load()
    differences = np.linspace(-300.0, 300.0, len(session.pairs["validation"]))
    columns = prediction_columns(session, "validation", pair_outputs(differences))
    assert columns["reward_difference"] == differences.tolist()


def test_evaluate_and_compare_read_the_run(trained: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [*PREFERENCES[16:], {"prompt": "", "chosen": "a", "rejected": "b"}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run, other = str(trained["encoder"]), str(trained["decoder"])
    capsys.readouterr()
    assert main(["--json", "evaluate", run, str(file), "--against", other]) == 0
    result = json.loads(capsys.readouterr().out)
    saved = json.loads((trained["encoder"] / "result.json").read_text(encoding="utf-8"))
    ours, theirs = ({m["name"]: m["value"] for m in r["metrics"] if m["split"] != "train"} for r in (result, saved))
    assert ours["accuracy"] == pytest.approx(theirs["accuracy"])
    assert ours["log_loss"] == pytest.approx(theirs["log_loss"], abs=1e-6)
    assert {verdict["metric"] for verdict in result["verdicts"]} == {"accuracy", "log_loss"}
    assert result["data"]["dropped"] == {"without a prompt": 1}
    assert main(["--json", "compare", run, other, "--split", "validation"]) in (0, 3, 4)
    assert json.loads(capsys.readouterr().out)["verdicts"][0]["metric"] == "accuracy"


def test_pairs_of_one_list_are_compared_pair_by_pair(tmp_path: Path, bases: dict[str, Path], capsys: Any) -> None:
    rows = [
        {"prompt": row["prompt"], "responses": [row["chosen"], row["rejected"], "was it"], "scores": [3, 1, 2]}
        for row in PREFERENCES
    ]
    for split, part in (("train", rows[:16]), ("validation", rows[16:])):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    for name, rate in (("one", 1e-3), ("two", 1e-2)):
        recipe = {
            "task": "reward", "model": {"name": str(bases["encoder"])}, "output": str(tmp_path / name),
            "data": {"train": str(tmp_path / "train.jsonl"), "validation": str(tmp_path / "validation.jsonl")},
            "train": {"max_steps": 4, "n_evaluations": 1, "learning_rate": rate},
            "evaluate": {"n_resamples": 100, "baselines": ["length"]},
        }  # fmt: skip
        (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
        assert main(["train", str(tmp_path / "recipe.yaml")]) == 0
    capsys.readouterr()
    assert main(["--json", "compare", str(tmp_path / "one"), str(tmp_path / "two"), "--split", "validation"]) in (0, 3, 4)
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]
    result, other = (json.loads((tmp_path / name / "result.json").read_text(encoding="utf-8")) for name in ("one", "two"))
    values = [next(m["value"] for m in r["metrics"] if m["name"] == "accuracy") for r in (result, other)]
    assert values[0] != values[1]
    assert verdict["difference"] == pytest.approx(values[0] - values[1])
    assert result["data"]["splits"]["validation"]["rows"] == 48
    assert [group["highest"] for group in result["training"]["reward"]["accuracy_by_gap"]] == [1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin": -1}, "exchange the two answers"),
        ({"rejected": "the film is good"}, "whose two answers are the same"),
    ],
)
def test_bad_pairs_are_refused(load: Callable[..., Any], change: dict[str, Any], message: str) -> None:
    rows = [{**row, "chosen": "the film is good", **change} for row in PREFERENCES]
    with pytest.raises(DataError, match=message):
        load("encoder", rows)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("t5", "task: reward trains no encoder-decoder. Name an encoder"),
        ("bart", "task: reward trains no encoder-decoder. Name an encoder"),
        ("mamba", "transformers has no model of type mamba with a head that gives a number"),
        ("bert", "puts no special token behind a text"),
        ("vit", "a model of type vit is no language model"),
    ],
)
def test_models_that_give_no_rewards_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], family: str, message: str
) -> None:
    model = write_model(tmp_path / family, "bert" if family == "vit" else family)
    if family == "vit":
        (model / "config.json").write_text('{"model_type": "vit"}', encoding="utf-8")
    for split, rows in (("train", PREFERENCES[:16]), ("validation", PREFERENCES[16:])):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "validation")}
    recipe = {"task": "reward", "model": {"name": str(model)}, "data": data, "output": str(tmp_path / "run")}
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    assert main(["check", str(tmp_path / "recipe.yaml")]) == 2
    assert message in capsys.readouterr().err


def test_judged_answers_are_also_classified(tmp_path: Path, bases: dict[str, Path]) -> None:
    rows = [
        {"prompt": f"how is the {thing} {i} ?", "completion": row[side], "label": side == "chosen"}
        for i, row in enumerate(PREFERENCES)
        for side in ("chosen", "rejected")
        for thing in ("film",)
    ]
    for split, part in (("train", rows[:32]), ("validation", rows[32:48]), ("test", rows[48:])):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    recipe = {
        "task": "reward", "model": {"name": str(bases["encoder"])}, "output": str(tmp_path / "run"),
        "data": {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "validation", "test")},
        "train": {"max_steps": 30, "n_evaluations": 1, "learning_rate": 3e-3, "per_device_train_batch_size": 16},
        "evaluate": {"n_resamples": 200},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    assert main(["train", str(tmp_path / "recipe.yaml")]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    metrics = {(m["split"], m["name"]): m["value"] for m in result["metrics"]}
    assert metrics["test", "accuracy"] == 1.0
    assert metrics["test answers", "macro_f1"] == 1.0
    against = {(v["split"], v["metric"], v["against"]) for v in result["verdicts"]}
    assert {("test answers", "macro_f1", name) for name in ("length", "bag_of_words")} <= against
    assert "threshold" in result["training"]["reward"]
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "run" / "predictions.parquet").to_pylist()
    answers = [row for row in table if row["split"] == "test answers"]
    assert [row["label"] for row in answers] == [row["prediction"] for row in answers] == ["good", "bad"] * 8


def test_shifted_answers_are_told_from_those_of_the_evaluated_split(tmp_path: Path, bases: dict[str, Path]) -> None:
    for split, part in (("train", PREFERENCES[:16]), ("validation", PREFERENCES[16:])):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    strange = [{"prompt": "say it", "completion": " ".join(["him who why", "no " * (i % 5 + 1)])} for i in range(12)]
    (tmp_path / "strange.jsonl").write_text("".join(json.dumps(row) + "\n" for row in strange), encoding="utf-8")
    found = {}
    for name in ("strange", "validation"):
        recipe = {
            "task": "reward", "model": {"name": str(bases["encoder"])}, "output": str(tmp_path / name),
            "data": {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "validation")},
            "reward": {"shifted": str(tmp_path / f"{name}.jsonl")}, "evaluate": {"n_resamples": 200, "baselines": []},
            "train": {"max_steps": 2, "n_evaluations": 1, "n_seeds": 2},
        }  # fmt: skip
        (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
        assert main(["train", str(tmp_path / "recipe.yaml")]) == 0
        record = json.loads((tmp_path / name / "result.json").read_text(encoding="utf-8"))["training"]["reward"]
        found[name] = {score["score"]: score["auroc"] for score in record["out_of_distribution"]["scores"]}
    assert set(found["strange"]) == {"mahalanobis", "energy", "ensemble_spread"}
    assert found["strange"]["mahalanobis"] == 1.0
    assert found["validation"] == dict.fromkeys(found["validation"], 0.5)
