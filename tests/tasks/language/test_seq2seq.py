"""Runs of encoder-decoders through the command line: the loss whatever the accumulation, adapters, labels, and bad input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fits import fit_in, load_session
from tests.language_models import questions, texts, write_model
from tunesmith.cli.main import main
from tunesmith.results import RunResult
from tunesmith.training.trainers.pairs import TrainingPairs

ROWS, OTHER, TEST = questions(128)[:64], questions(128)[64:80], questions(128)[80:]
TRAIN = {
    "max_steps": 60,
    "per_device_train_batch_size": 16,
    "learning_rate": 5e-3,
    "n_evaluations": 1,
    "n_logs": 4,
    "dropout": 0.0,
}


@dataclass
class Place:
    """A folder with tiny models and rows."""

    root: Path

    def recipe(self, family: str = "t5", task: str = "sft", **sections: Any) -> dict[str, Any]:
        data = (
            {"train": "rows.jsonl", "validation": "other.jsonl", "test": "test.jsonl"}
            if task == "sft"
            else {"train": "texts.jsonl"}
        )
        whole = {"task": task, "model": {"name": f"./{family}"}, "data": data, "train": TRAIN, "output": "run"}
        whole["evaluate"] = {"n_resamples": 200, "general": "texts.jsonl", **({"answers": {"rows": 48}} if task == "sft" else {})}
        for name, section in sections.items():
            whole[name] = {**whole.get(name, {}), **section} if isinstance(section, dict) else section
        return whole

    def write(self, mapping: dict[str, Any]) -> str:
        (self.root / "recipe.yaml").write_text(json.dumps(mapping), encoding="utf-8")
        return "recipe.yaml"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("seq2seq")
    for family in ("t5", "bart"):
        write_model(root / family, family)
    for name, rows in (("rows", ROWS), ("other", OTHER), ("test", TEST), ("texts", texts(40))):
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield Place(root)


def result_of(folder: str) -> RunResult:
    return RunResult.load(Path(folder) / "result.json")


@pytest.fixture(scope="module")
def trained(place: Place) -> str:
    assert main(["train", place.write(place.recipe(output="runs/t5"))]) == 0
    return "runs/t5"


def test_training_improves_the_model_by_verdict(trained: str) -> None:
    result = result_of(trained)
    words = {(v.split, v.against, v.metric): v.word for v in result.verdicts}
    assert words["test", "untuned", "exact_match"] == "better"
    assert words["test", "untuned", "loss"] == "better"
    assert words["test", "few_shot", "exact_match"] == "better"
    assert result.data["problem_type"] == "seq2seq_language_model"
    assert result.data["splits"]["train"]["target_length_tokens"]["max"] == 2
    assert all(proof.passed for proof in result.certificates)


def test_generate_prints_the_text_alone(trained: str, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = TEST[0]["prompt"]
    for options in ([], ["--num-beams", "3"], ["--stream"], ["--choices", "Ann,Ben,Cem"]):
        capsys.readouterr()
        assert main(["generate", trained, prompt, *options]) == 0
        assert capsys.readouterr().out.strip() == TEST[0]["completion"].strip()


def test_evaluate_measures_what_the_run_measured(trained: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["evaluate", trained, "test.jsonl", "--against", "./t5", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    of_run = {m.name: m.value for m in result_of(trained).metrics if m.split == "test"}
    again = {m["name"]: m["value"] for m in measured["metrics"] if m["split"] == "test"}
    assert again == pytest.approx(of_run, rel=1e-4)
    assert {v["word"] for v in measured["verdicts"] if v["metric"] == "exact_match"} == {"better"}


def test_the_saved_model_is_used_as_the_report_says(trained: str) -> None:
    from tunesmith.report.record import loading_lines

    code = loading_lines(f"{trained}/model", "seq2seq_language_model", pair=False).replace("a text", TEST[0]["prompt"])
    written: list[str] = []
    exec(code.replace("print(", "written.append("), {"written": written})
    assert written == [TEST[0]["completion"].strip()]


# --- the loss of a step --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "task"), [("t5", "sft"), ("bart", "sft"), ("t5", "pretraining")])
def test_accumulated_steps_equal_whole_ones(place: Place, tmp_path: Path, family: str, task: str) -> None:
    """Upstream's trainer makes loss and gradient of eight micro-batches eight times as large."""
    found = []
    for name, batch, accumulated in (("whole", 8, 1), ("accumulated", 1, 8)):
        sizes = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulated, "max_steps": 3, "n_logs": 3}
        mapping = place.recipe(family, task, train={**TRAIN, **sizes, "optim": "sgd", "max_grad_norm": 1e9})
        found.append(fit_in(tmp_path / name, *load_session(mapping, {}, place.root)))
    whole, accumulated_ = found
    np.testing.assert_allclose(whole.losses, accumulated_.losses, rtol=1e-5)
    for weight, tensor in whole.weights.items():
        torch.testing.assert_close(tensor, accumulated_.weights[weight], rtol=1e-4, atol=1e-6)


def test_spans_are_drawn_anew_in_each_epoch_in_an_order_of_its_own(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, drawn = TrainingPairs.pairs, list[tuple[int, int]]()

    def pairs(tokens: TrainingPairs, positions: Any, epochs: Any) -> Any:
        drawn.extend((epoch, position) for position, epoch in zip(positions, epochs, strict=True) if epoch >= 0)
        return honest(tokens, positions, epochs)

    monkeypatch.setattr(TrainingPairs, "pairs", pairs)
    train = {**TRAIN, "max_steps": 6, "per_device_train_batch_size": 12}
    fit_in(tmp_path / "epochs", *load_session(place.recipe(task="pretraining", train=train), {}, place.root))
    orders = [[position for of, position in drawn if of == epoch] for epoch in (0, 1)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(36))
    assert orders[0] != orders[1]


def test_smoothing_raises_the_training_loss_and_not_the_validation_loss(place: Place, tmp_path: Path) -> None:
    plain, smooth = (
        fit_in(
            tmp_path / str(share),
            *load_session(place.recipe(train={**TRAIN, "max_steps": 3, "label_smoothing_factor": share}), {}, place.root),
        )
        for share in (0.0, 0.3)
    )
    assert plain.losses[0] != pytest.approx(smooth.losses[0], abs=1e-3)


# --- adapters, labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lora", "prompt_tuning", "prefix_tuning", "ia3"])
def test_an_adapter_is_saved_and_read_again(place: Place, method: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = f"runs/{method}"
    answers = {"rows": 2, "shots": 0}
    mapping = place.recipe(
        adapter={"method": method}, train={**TRAIN, "max_steps": 4}, evaluate={"answers": answers}, output=folder
    )
    assert main(["train", place.write(mapping), "--overwrite"]) == 0
    result = result_of(folder)
    assert all(proof.passed for proof in result.certificates)
    assert (Path(folder) / "model" / "config.json").exists() == (method in ("lora", "ia3"))
    capsys.readouterr()
    assert main(["evaluate", folder, "test.jsonl", "--json"]) == 0
    again = {m["name"]: m["value"] for m in json.loads(capsys.readouterr().out)["metrics"] if m["split"] == "test"}
    assert again["loss"] == pytest.approx(
        next(m.value for m in result.metrics if (m.name, m.split) == ("loss", "test")), rel=1e-4
    )


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_answers_that_are_labels_are_classified(place: Place, family: str) -> None:
    folder = f"runs/labels-{family}"
    train = {**TRAIN, "max_steps": 4}
    assert (
        main(
            [
                "train",
                place.write(place.recipe(family, sft={"labels": ["Ann", "Ben", "Cem"]}, train=train, output=folder)),
                "--overwrite",
            ]
        )
        == 0
    )
    import pandas

    rows = pandas.read_parquet(Path(folder) / "predictions.parquet").query("split == 'test'")
    shares = np.stack(rows["pred_probs"].to_list())
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-6)
    assert {m.name for m in result_of(folder).metrics} >= {"accuracy", "macro_f1", "loss"}


def test_texts_of_bart_are_infilled(place: Place) -> None:
    mapping = place.recipe("bart", "pretraining", train={**TRAIN, "max_steps": 20}, output="runs/infilled")
    assert main(["train", place.write(mapping), "--overwrite"]) == 0
    words = {(v.split, v.metric): v.difference for v in result_of("runs/infilled").verdicts}
    assert words["validation", "loss"] < 0


# --- bad input -----------------------------------------------------------------------------------------------------------------

REFUSED: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("sft", {"sft": {"packing": True}}, "sft.packing: ./t5 is an encoder-decoder (t5), whose rows are not joined."),
    (
        "sft",
        {"sft": {"loss_on": "all"}},
        "sft.loss_on: all is requested, and an encoder-decoder is trained on the last answer only",
    ),
    ("sft", {"sft": {"max_target_length": 1}}, "Raise sft.max_target_length."),
    (
        "sft",
        {"data": {"max_length": 1}},
        "none of 64 rows of train can be trained on (64 longer than 1 tokens). Raise data.max_length.",
    ),
    ("sft", {"upstream": {"fp16": True}}, "upstream.fp16: models of type t5 were pretrained in bf16"),
    ("sft", {"adapter": {"method": "houlsby"}}, "the places for bottlenecks in a model of type t5 are not known"),
    ("sft", {"adapter": {"method": "cpt"}}, "CPTConfig only supports task_type = CAUSAL_LM"),
    (
        "sft",
        {"model": {"name": "./bart"}, "sft": {"max_target_length": 65}},
        "the decoder has only 64 positions. Give at most 64.",
    ),
    (
        "sft",
        {"model": {"name": "builtin:pocket"}, "sft": {"max_target_length": 9}},
        "sft.max_target_length: it is of encoder-decoders",
    ),
    (
        "pretraining",
        {"pretraining": {"objective": "causal"}},
        "./t5 is a seq2seq language model (t5). Write seq2seq, or leave it out.",
    ),
    ("pretraining", {"pretraining": {"noise_density": 0.5, "mean_noise_span_length": 1}}, "and the tokenizer has 12"),
    ("pretraining", {"model": {"name": "builtin:pocket"}, "pretraining": {"noise_density": 0.2}}, "it is of encoder-decoders"),
    ("pretraining", {"evaluate": {"stride": 8}}, "windows slide over the plain texts of a causal model"),
)


@pytest.mark.parametrize(("task", "sections", "message"), REFUSED, ids=[message[:40] for _, _, message in REFUSED])
def test_bad_input_is_one_message(
    place: Place, task: str, sections: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", place.write(place.recipe(task=task, output="runs/bad", **sections))]) == 2
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if line.startswith("tunesmith: ")]
    assert message in line
    assert not Path("runs/bad").exists()


def test_a_model_without_a_start_token_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    folder = Path(shutil.copytree("t5", "nostart", dirs_exist_ok=True))
    for name in ("config.json", "generation_config.json"):
        settings = json.loads((folder / name).read_text(encoding="utf-8"))
        settings.pop("decoder_start_token_id", None)
        (folder / name).write_text(json.dumps(settings), encoding="utf-8")
    assert main(["check", place.write(place.recipe("nostart"))]) == 2
    assert "has no decoder_start_token_id" in capsys.readouterr().err


def test_answers_that_the_tokenizer_cannot_write_are_noted(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**row, "completion": "{yes}" if i % 2 else row["completion"]} for i, row in enumerate(ROWS)]
    Path("braces.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert main(["check", place.write(place.recipe(data={"train": "braces.jsonl"}))]) == 0
    assert "unwritable: the tokenizer cannot write 32 of 64 answers of train as given" in capsys.readouterr().out


# --- the encoder alone ---------------------------------------------------------------------------------------------------------


def test_the_encoder_alone_embeds(place: Place) -> None:
    rows = [{"anchor": row["prompt"].split(". ")[0], "positive": row["prompt"].split(". ")[1]} for row in ROWS]
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = {"train": "pairs.jsonl", "validation": 0.2, "test": None}
    mapping = {"task": "embedding", "model": {"name": "./t5"}, "data": data, "output": "runs/embedding"}
    train = {"max_steps": 2, "n_evaluations": 1, "per_device_train_batch_size": 8}
    assert main(["train", place.write({**mapping, "train": train, "evaluate": {"n_resamples": 100}}), "--overwrite"]) == 0
    config = json.loads(Path("runs/embedding/model/config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["T5EncoderModel"]
    assert all(proof.passed for proof in result_of("runs/embedding").certificates)
