"""A run of a preference task from files: its folder, its evaluation on further rows, and its messages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from tests.contract.cases import PREFERRED, write_rows
from tests.language_models import write_model
from tests.tasks.preference.rows import mapping
from tunesmith.cli.main import main
from tunesmith.recipe.load import load_recipe
from tunesmith.results import RunResult
from tunesmith.workflows.train import train


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, rows, a recipe, and its run: LoRA with KTO on pairs."""
    folder = tmp_path_factory.mktemp("run")
    rows = [dict(row) for row in PREFERRED]
    data = {"train": rows[:12], "validation": rows[12:16], "test": rows[16:28]}
    given: dict[str, Any] = mapping(
        write_model(folder / "llama"),
        data={name: write_rows(folder / name, part) for name, part in data.items()},
        adapter={"method": "lora"},
        preference={"loss_type": "kto"},
        evaluate={"answers": {"rows": 4, "max_new_tokens": 3}},
        output=str(folder / "run"),
    )
    (folder / "recipe.yaml").write_text(json.dumps(given), encoding="utf-8")
    train(load_recipe(folder / "recipe.yaml"))
    return folder


def test_the_run_folder_has_the_table_of_every_answer(place: Path) -> None:
    table = pq.read_table(place / "run" / "predictions.parquet").to_pydict()
    assert table["split"].count("test") == 24  # each pair is two judged answers
    changes = [new - old for new, old in zip(table["answer_logp"], table["answer_logp_before"], strict=True)]
    assert table["answer_reward"] == pytest.approx([0.1 * change for change in changes], abs=1e-9)
    assert sum(text is not None for text in table["prediction"]) >= 4
    assert set(table["desirable"]) == {True, False}


def test_the_result_says_what_was_learnt_and_from_where(place: Path) -> None:
    training = RunResult.load(place / "run" / "result.json").training
    assert training["losses"] == [{"name": "kto", "weight": 1.0, "experimental": False}]
    assert training["reference"] == f"{place / 'llama'} with the adapter off"
    assert training["base_model"]["source"]["location"] == str(place / "llama")
    shown = json.loads((place / "run" / "answers.json").read_text(encoding="utf-8"))
    assert shown["answers"]
    assert {"prompt", "reference", "this run", "untuned"} <= shown["answers"][0].keys()
    assert any(supervised for _, supervised in shown["seen"][0]["runs"])


def test_the_first_good_and_bad_answer_are_written_token_by_token(place: Path) -> None:
    pair = json.loads((place / "run" / "pair.json").read_text(encoding="utf-8"))
    assert list(pair) == ["good", "bad"]
    tokenizer = AutoTokenizer.from_pretrained(place / "run" / "model")
    for name, side in (("good", "chosen"), ("bad", "rejected")):
        tokens = pair[name]["tokens"]
        assert tokenizer.convert_ids_to_tokens([token["id"] for token in tokens]) == [token["token"] for token in tokens]
        texts = [
            tokenizer.decode([token["id"] for token in tokens if token["supervised"] is counts], skip_special_tokens=True)
            for counts in (False, True)
        ]
        row = PREFERRED[pair[name]["row_id"]]
        assert [text.split() for text in texts] == [row["prompt"].split(), row[side].split()]


def checked(place: Path, capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]], *overrides: str) -> str:
    """Checks the recipe on other training rows, and returns what is printed."""
    train = write_rows(place / f"train-{len(rows)}", rows)
    assert main(["check", str(place / "recipe.yaml"), f"output={place / 'other'}", f"data.train={train}", *overrides]) == 0
    return capsys.readouterr().out


def test_check_says_what_the_length_tells_and_which_answers_are_left_out(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"prompt": row["prompt"], "responses": [" Ann" + " and it" * k for k in range(13)], "scores": [None, *range(12)]}
        for row in PREFERRED[:2]
    ]
    text = checked(place, capsys, rows, "preference.loss_type=sigmoid")
    assert "2 prompts of train have more pairs of answers than the 64 that are used: 4 pairs are left out." in text
    assert "2 answers of train without a score or a rank are left out." in text
    assert "length of answers: the longer answer is chosen in 100.0% of 128 pairs" in text


def test_check_of_judged_answers_finds_repeats_and_the_bias_of_length(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"prompt": row["prompt"], "completion": " Ann" + " and it" * good, "label": good}
        for row in PREFERRED[:8]
        for good in (True, False)
    ]
    text = checked(place, capsys, [*rows, *rows[:3]])
    assert "repeated_judgements: 3 of 19 rows of train repeat an earlier judgement of an answer" in text
    assert "length of answers: a good answer is longer than a bad one in 100.0% of all comparisons" in text
    assert "(11 and 4 characters on average)" in text


def test_the_run_is_measured_on_pairs_from_the_same_reference(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = next(str(path) for path in place.iterdir() if path.name.startswith("test."))
    assert main(["evaluate", str(place / "run"), test, "--against", str(place / "llama"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    here = {metric["name"]: metric["value"] for metric in found["metrics"]}
    of_run = {m.name: m.value for m in RunResult.load(place / "run" / "result.json").metrics if m.split == "test"}
    assert here == pytest.approx(of_run, abs=1e-3)
    base = {metric["name"]: metric["value"] for metric in found["baselines"][1]["metrics"]}
    assert base["accuracy"] == 0.5
    assert base["chosen_change"] == pytest.approx(0.0, abs=1e-4)


BAD: list[tuple[list[str], str]] = [
    (["preference.beta=0"], "preference.beta"),
    (["preference.label_smoothing=0.1"], "kto does not read it"),
    (["train.per_device_train_batch_size=1"], "a batch has one row"),
    (["adapter.lora_dropout=0.1"], "without dropout"),
    (["preference.sync_ref_model=true"], "does not move"),
    (["evaluate.metric=margin"], "no verdict is given on it"),
    (["data.max_length=6"], "longer than 6 tokens"),
    (["adapter.init_lora_weights=false"], "does not start as its reference"),
    (["quantisation=nf4"], "`quantisation` applies only to"),
    (["train.dropout=0.1"], "without dropout"),
]


@pytest.mark.parametrize(("overrides", "message"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_is_one_line(place: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], message: str) -> None:
    assert main(["check", str(place / "recipe.yaml"), f"output={place / 'other'}", *overrides]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tunesmith: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (place / "other").exists()


@pytest.mark.parametrize(
    ("family", "message"),
    [("t5", "(t5): task: preference trains no encoder-decoder"), ("bert", "(bert): it generates no answers")],
)
def test_a_model_that_is_not_causal_is_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], family: str, message: str
) -> None:
    model = write_model(tmp_path / family, family)
    assert main(["check", str(place / "recipe.yaml"), f"output={tmp_path / 'out'}", f"model.name={model}"]) == 2
    assert message in capsys.readouterr().err


def test_a_run_without_its_base_model_says_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = next(str(path) for path in place.iterdir() if path.name.startswith("test."))
    (place / "llama").rename(place / "moved")
    try:
        assert main(["evaluate", str(place / "run"), test]) == 2
        assert "is not at" in capsys.readouterr().err
        write_model(place / "llama", "mamba")  # a reference of another architecture
        assert main(["evaluate", str(place / "run"), test]) == 2
        assert "it belongs to another base model" in capsys.readouterr().err
    finally:
        shutil.rmtree(place / "llama", ignore_errors=True)
        (place / "moved").rename(place / "llama")
