"""Language models measured on other rows: as their run measured them, beside other models, from a file or plain texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tunesmith
from tests.language_models import questions, texts, write_model
from tunesmith.errors import InputError
from tunesmith.tasks.language.evaluate_model import evaluate_language

QUICK = {"learning_rate": 3e-3, "per_device_train_batch_size": 8, "num_train_epochs": 3, "n_evaluations": 1}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base model, rows to train and to test on, and runs."""
    folder = tmp_path_factory.mktemp("examined")
    write_model(folder / "base")
    for name, rows in (("train", questions(60)), ("test", questions(30, 1)), ("general", texts(12, 7)), ("texts", texts(40, 3))):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "texts.txt").write_text("\n".join(row["text"] for row in texts(40, 3)) + "\n")
    for name, sections in {
        "full": {}, "houlsby": {"adapter": {"method": "houlsby"}}, "labels": {"sft": {"labels": ["Ann", "Ben", "Cem"]}},
    }.items():  # fmt: skip
        tunesmith.train(
            str(folder / "train.jsonl"), test=str(folder / "test.jsonl"), task="sft", model=str(folder / "base"),
            output=folder / name, train=QUICK, validation=0.2, **sections,
            evaluate={"answers": {"rows": 10, "max_new_tokens": 3}, "n_resamples": 400, "general": str(folder / "general.jsonl")},
        )  # fmt: skip
    return folder


@pytest.mark.parametrize("run", ["full", "houlsby", "labels"])
def test_a_run_is_measured_as_it_measured_itself(place: Path, run: str) -> None:
    found = evaluate_language(place / run, place / "test.jsonl", n_resamples=400)
    before = tunesmith.Run.load(place / run).result
    names = {m.name for m in found.metrics if m.split == "test"}
    assert names == {m.name for m in before.metrics if m.split == "test"}
    for name in ("loss", "perplexity", "bits_per_byte"):
        assert found.metric(name).value == pytest.approx(before.metric(name).value, rel=1e-3)
    assert len(found.data["answers"]) == (0 if run == "labels" else 10)


def test_another_model_stands_beside_it_with_verdicts(place: Path) -> None:
    found = evaluate_language(place / "full", place / "test.jsonl", against=[place / "base"], n_resamples=400)
    loss = next(v for v in found.verdicts if (v.metric, v.split) == ("loss", "test"))
    assert (loss.against, loss.word, loss.n) == (str(place / "base"), "better", 30)
    other = next(m.value for m in found.baselines[0].metrics if (m.name, m.split) == ("loss", "test"))
    assert loss.difference == pytest.approx(found.metric("loss").value - other)
    assert {v.split for v in found.verdicts} == {"test", "general"}


def test_rows_that_a_model_was_trained_on_are_named(place: Path) -> None:
    trained = evaluate_language(place / "base", place / "train.jsonl", against=[place / "full"], n_resamples=400)
    words = f"{place / 'full'} was trained on 48 rows of {place / 'train.jsonl'}, and its checkpoint was chosen on 12 other rows"
    assert words in [finding.text for finding in trained.findings][-1]
    tested = evaluate_language(place / "full", place / "test.jsonl", n_resamples=400)
    assert "seen_in_training" not in {finding.name for finding in tested.findings}


def test_another_tokenizer_is_compared_by_bytes_or_not_at_all(place: Path, tmp_path: Path) -> None:
    from tests.language_models import tokenizer

    folder = write_model(tmp_path / "other")
    made = tokenizer()
    made.add_tokens([" the red", " the harbour"])
    made.save_pretrained(folder)
    (folder / "config.json").write_text((folder / "config.json").read_text())
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(made))
    model.save_pretrained(folder)
    found = evaluate_language(place / "base", place / "texts.jsonl", against=[folder], n_resamples=400)
    (of_test,) = [v for v in found.verdicts if v.split == "test"]
    assert of_test.metric == "bits_per_byte"


def test_rows_that_are_too_long_are_told(place: Path) -> None:
    found = evaluate_language(place / "full", place / "test.jsonl", max_length=20, n_resamples=400)
    (count,) = found.data["dropped"].values()
    assert found.data["rows"] == 30 - count < 30
    assert any(f"{count} rows are not measured" in finding.summary for finding in found.findings)


def test_a_tokenizer_without_padding(place: Path, tmp_path: Path) -> None:
    from tests.language_models import tokenizer

    folder = write_model(tmp_path / "unpadded")
    made = tokenizer()
    made.pad_token = None
    made.save_pretrained(folder)
    found = evaluate_language(folder, place / "texts.txt", stride=4, n_resamples=400)
    assert found.metric("loss").value == pytest.approx(
        evaluate_language(place / "base", place / "texts.txt", stride=4, n_resamples=400).metric("loss").value, rel=1e-5
    )


def test_windows_slide_over_plain_texts(place: Path) -> None:
    found = evaluate_language(place / "base", place / "texts.txt", stride=4, context_lengths=[4, 8], n_resamples=400)
    assert found.task == "pretraining"
    assert [point["window"] for point in found.data["context"]] == [4, 8]
    assert found.data["form"] == "text"


def test_the_command(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tunesmith.cli.main import main

    assert main(["evaluate", str(place / "full"), str(place / "test.jsonl"), "--against", str(place / "base")]) == 0
    out = capsys.readouterr().out
    assert "30 rows of" in out
    assert "better" in out
    assert "reference:" in out


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "windows over answers": ({"data": "test.jsonl", "stride": 4}, "windows slide over the plain texts"),
    "no such column": ({"data": "test.jsonl", "columns": {"prompt": "nothing"}}, "nothing"),
    "no such file": ({"data": "none.jsonl"}, "none.jsonl"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_evaluated_is_an_error(place: Path, name: str) -> None:
    given, message = BAD[name]
    with pytest.raises(InputError, match=message):
        evaluate_language(place / "base", place / given.pop("data"), **given)


@pytest.mark.parametrize(("given", "message"), [
    (["builtin:minilm", "--stride", "4"], "--stride works only for language models that generate texts"),
    (["builtin:pocket", "--mine"], "--mine works only for embedding models, and builtin:pocket is a language model"),
])  # fmt: skip
def test_options_of_other_models(place: Path, given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from tunesmith.cli.main import main

    assert main(["evaluate", given[0], str(place / "texts.jsonl"), *given[1:]]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("section", ["model", "data", "sft", "evaluate"])
def test_a_result_without_a_section_of_its_recipe_is_damaged(place: Path, tmp_path: Path, section: str) -> None:
    content = json.loads((place / "full" / "result.json").read_text(encoding="utf-8"))
    for damaged in (None, []):
        content["recipe"][section] = damaged
        (tmp_path / "result.json").write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(InputError, match=r"result.json: .*recipe"):
            evaluate_language(tmp_path, place / "test.jsonl")
