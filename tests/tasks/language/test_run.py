"""Whole runs of language models: what they leave, for every way to train, and the messages for bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

import tunesmith
from tests.language_models import questions, texts, tokenizer, write_model
from tunesmith.errors import InputError, ModelError, RecipeError
from tunesmith.recipe.load import load_recipe, recipe_from_mapping
from tunesmith.report.record import MASKED, loading_lines
from tunesmith.workflows import compare as use
from tunesmith.workflows.train import train as run_recipe

QUICK = {"learning_rate": 3e-3, "per_device_train_batch_size": 8, "num_train_epochs": 2, "n_evaluations": 2, "n_logs": 10}
FEW = {"answers": {"rows": 6, "shots": 2, "max_new_tokens": 3}, "n_resamples": 400}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "bert", "bert")


@pytest.fixture(scope="module")
def general(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "general.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in texts(12, 7)) + "\n")
    return path


@pytest.fixture
def train(tmp_path: Path, llama: Path, general: Path):
    """A function that trains a tiny model on rows into ``out`` below the test's folder."""

    def run(rows: Any, name: str = "out", model: Path = llama, task: str = "sft", **sections: Any) -> tunesmith.Run:
        given = sections.pop("evaluate", {})
        evaluate = {**(FEW if task == "sft" else {"n_resamples": 400}), "general": str(general), **given}
        settings = {**QUICK, **sections.pop("train", {})}
        return tunesmith.train(
            rows, model=str(model), task=task, output=tmp_path / name, train=settings, evaluate=evaluate, **sections
        )

    return run


def check_contract(run: tunesmith.Run) -> dict[str, Any]:
    """The run folder and result.json as the contract has them."""
    found = json.loads((run.folder / "result.json").read_text())
    expected = {"recipe.yaml", "resolved.yaml", "result.json", "metrics.jsonl", "predictions.parquet", "model", "report.html"}
    assert expected <= {path.name for path in run.folder.iterdir()}
    assert found["certificates"]
    assert all(certificate["passed"] for certificate in found["certificates"]), found["certificates"]
    assert {"general", "validation"} <= {metric["split"] for metric in found["metrics"]}
    assert {"row_id", "split", "label", "prediction", "loss", "n_tokens"} <= set(
        pq.read_schema(run.folder / "predictions.parquet").names
    )
    return found


def test_answers(train) -> None:
    run = train(questions(80), test=questions(40, 1), train={"num_train_epochs": 6})
    found = check_contract(run)
    assert run.result.metric("loss").value < 1.0
    assert {(v["against"], v["metric"]) for v in found["verdicts"] if v["split"] == "test"} == {
        ("untuned", "loss"), ("untuned", "exact_match"), ("few_shot", "exact_match"),
    }  # fmt: skip
    loss = next(v for v in found["verdicts"] if (v["against"], v["metric"], v["split"]) == ("untuned", "loss", "test"))
    assert (loss["word"], loss["difference"] < 0) == ("better", True)
    assert 'id="classes"' not in (run.folder / "report.html").read_text()
    rows = [row for row in pq.read_table(run.folder / "predictions.parquet").to_pylist() if row["split"] == "test"]
    assert len(rows) == 40
    assert sum(row["prediction"] is not None for row in rows) == 6
    total = sum(row["loss"] * row["n_tokens"] for row in rows) / sum(row["n_tokens"] for row in rows)
    assert total == pytest.approx(run.result.metric("loss").value, rel=1e-6)
    page = (run.folder / "report.html").read_text()
    assert "Supervised tokens" in page
    assert "Answers before and after" in page
    assert "<mark>" in page
    assert "text-generation" in page


def test_the_saved_model_is_one_for_other_programs(train) -> None:
    names = (("user", "prompt"), ("assistant", "completion"))
    run = train([{"messages": [{"role": role, "content": row[part].strip()} for role, part in names]} for row in questions(60)])
    check_contract(run)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made, model = AutoTokenizer.from_pretrained(run.folder / "model"), AutoModelForCausalLM.from_pretrained(run.folder / "model")
    assert made.chat_template
    assert model.generation_config.eos_token_id == made.eos_token_id
    assert "dialogue" in run.result.training["template"]


@pytest.mark.parametrize(
    "sections",
    [
        {"adapter": {"method": "lora", "r": 4}},
        {"adapter": {"method": "prompt_tuning", "num_virtual_tokens": 2}},
        {"adapter": {"method": "pfeiffer"}},
        {"adapter": {"method": "pissa", "r": 4}},
        {"train": {"train_layers": "last 1"}},
        {"train": {"fast": False}},
        {"sft": {"packing": True}},
        {"sft": {"padding_free": True}},
        {"sft": {"loss_on": "all"}},
        {"train": {"n_seeds": 2}},
    ],
    ids=str,
)
def test_ways_to_train(train, sections: dict[str, Any]) -> None:
    run = train(questions(48), **sections)
    found = check_contract(run)
    partly = "adapter" in sections or sections.get("train", {}).get("train_layers")
    assert (found["training"]["n_trainable_parameters"] < found["training"]["n_parameters"]) == bool(partly)
    answered = [row for row in pq.read_table(run.folder / "predictions.parquet").to_pylist() if row["prediction"] is not None]
    written = tunesmith.generate(run.folder, [row["text"] for row in answered], max_new_tokens=3)
    same = [of_prompt[0].text == row["prediction"] for of_prompt, row in zip(written, answered, strict=True)]
    assert sum(same) >= len(same) - 1  # in another precision a near tie may fall the other way


def test_long_prompts_are_answered_up_to_the_context_length(train) -> None:
    run = train(questions(48), evaluate={"answers": {"rows": 6, "shots": 2, "max_new_tokens": 50}})
    answered = [row for row in pq.read_table(run.folder / "predictions.parquet").to_pylist() if row["prediction"] is not None]
    made = tokenizer()
    sizes = [(len(made(row["text"])["input_ids"]), len(made(row["prediction"])["input_ids"])) for row in answered]
    assert max(n_prompt + 50 for n_prompt, _ in sizes) > 64 >= max(sum(pair) for pair in sizes)


def test_labels_are_evaluated_as_classes(train) -> None:
    run = train(questions(80), test=questions(30, 1), sft={"labels": ["Ann", "Ben", "Cem"]}, train={"num_train_epochs": 6})
    found = check_contract(run)
    assert run.result.metric("accuracy").value > 0.6
    assert {("untuned", "macro_f1"), ("chance", "macro_f1")} <= {(v["against"], v["metric"]) for v in found["verdicts"]}
    chance = next(b for b in found["baselines"] if b["name"] == "chance")
    expected = next(m["value"] for m in chance["metrics"] if (m["name"], m["split"]) == ("macro_f1", "test"))
    assert 0.2 < expected < 0.4  # of three labels
    rows = [row for row in pq.read_table(run.folder / "predictions.parquet").to_pylist() if row["split"] == "test"]
    assert all(abs(sum(row["pred_probs"]) - 1) < 1e-9 for row in rows)
    assert {row["prediction"] for row in rows} <= {"Ann", "Ben", "Cem"}
    assert found["data"]["labels"] == ["Ann", "Ben", "Cem"]
    page = (run.folder / "report.html").read_text()
    assert all(f'id="{section}"' in page for section in ("classes", "confusion"))


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_pretraining(train, family: str, llama: Path, bert: Path) -> None:
    run = train(texts(60), model={"llama": llama, "bert": bert}[family], task="pretraining", test=texts(30, 1))
    found = check_contract(run)
    assert found["training"]["objective"] == {"llama": "causal", "bert": "masked"}[family]
    assert {m["name"] for m in found["metrics"]} == {"loss", "perplexity", "bits_per_byte"}
    assert [b["name"] for b in found["baselines"]] == ["untuned"]


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_the_output_layer_alone_can_be_trained(train, family: str, llama: Path, bert: Path) -> None:
    base = {"llama": llama, "bert": bert}[family]
    run = train(texts(60), model=base, task="pretraining", train={"train_layers": "head"})
    before, after = (load_file(folder / "model.safetensors") for folder in (base, run.folder / "model"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith({"llama": "lm_head", "bert": "cls.predictions"}[family]) for name in changed)


def test_runs_are_compared_row_by_row(train) -> None:
    first = train(questions(48), "a", test=questions(30, 1), train={"num_train_epochs": 5})
    second = train(questions(48), "b", test=questions(30, 1), train={"num_train_epochs": 1})
    (found,) = use.compare([first.folder, second.folder])
    assert found.metric == "exact_match"
    assert use.compare([first.folder, second.folder], metric="loss")[0].word == "better"
    assert use.compare([first.folder, second.folder], metric="token_f1")[0].n == 6
    assert use.compare([first.folder, second.folder], metric="bits_per_byte")[0].word == "better"
    with pytest.raises(InputError, match="do not both have rouge_w"):
        use.compare([first.folder, second.folder], metric="rouge_w")


def test_a_classifier_that_writes_is_compared_with_one_that_does_not(train, tiny_model: Path, tmp_path: Path) -> None:
    writer = train(questions(60), "writer", test=questions(30, 1), sft={"labels": ["Cem", "Ann", "Ben"]})
    rows, test = ([{"text": row["prompt"], "label": row["completion"]} for row in questions(*size)] for size in ((60,), (30, 1)))
    classifier = tunesmith.train(
        rows, test=test, model=str(tiny_model), output=tmp_path / "classifier", train={"num_train_epochs": 1},
        evaluate={"baselines": ["majority"], "n_resamples": 400},
    )  # fmt: skip
    (ours,) = use.compare([writer.folder, classifier.folder])
    (theirs,) = use.compare([classifier.folder, writer.folder])
    assert (ours.metric, ours.n, theirs.metric) == ("macro_f1", 30, "macro_f1")
    expected = writer.result.metric("macro_f1").value - classifier.result.metric("macro_f1").value
    assert ours.difference == pytest.approx(expected)
    assert theirs.difference == pytest.approx(-expected)
    (of_probabilities,) = use.compare([writer.folder, classifier.folder], metric="log_loss")
    expected = writer.result.metric("log_loss").value - classifier.result.metric("log_loss").value
    assert of_probabilities.difference == pytest.approx(expected)
    with pytest.raises(InputError, match="do not both have loss"):
        use.compare([writer.folder, classifier.folder], metric="loss")


def test_a_run_goes_on_from_another_run(train, tmp_path: Path) -> None:
    first = train(texts(60), "tapt", task="pretraining")
    second = train(questions(48), "task", model=first.folder)
    untuned = next(b for b in second.result.baselines if b.name == "untuned")
    assert [m.value for m in untuned.metrics if (m.name, m.split) == ("loss", "general")] == pytest.approx(
        [first.result.metric("loss", "general").value], rel=1e-5
    )


def test_the_lines_that_load_a_masked_model_run(bert: Path, capsys) -> None:
    exec(loading_lines(str(bert), MASKED, False), {})
    assert "token_str" in capsys.readouterr().out


def test_a_masked_model_writes_no_answers(train, bert: Path) -> None:
    with pytest.raises(ModelError, match="it generates no answers"):
        train(questions(30), model=bert)


def test_rows_of_a_masked_model_are_not_joined(train, bert: Path) -> None:
    with pytest.raises(RecipeError, match=r"pretraining\.padding_free: .* is a masked language model"):
        train(texts(30), task="pretraining", model=bert, pretraining={"padding_free": True})


def test_an_objective_that_the_model_has_not(train, llama: Path) -> None:
    with pytest.raises(RecipeError, match="is a causal language model"):
        train(texts(30), task="pretraining", pretraining={"objective": "masked"})


def test_answers_that_are_no_label_are_left_out_and_counted(train) -> None:
    run = train(questions(48), sft={"labels": ["Ann", "Ben"]})
    dropped = run.result.data["splits"]["train"]["dropped"]
    assert sum(dropped.values()) > 5
    assert "label" in next(iter(dropped))


def test_a_tokenizer_without_an_end(train, tmp_path: Path, llama: Path) -> None:
    import shutil

    folder = tmp_path / "endless"
    shutil.copytree(llama, folder)
    made = tokenizer()
    made.eos_token = None
    made.save_pretrained(folder)
    with pytest.raises(ModelError, match="no end-of-text token"):
        train(questions(30), model=folder)


def test_padding_with_the_end_token_still_learns_the_end(train, tmp_path: Path, llama: Path) -> None:
    import shutil

    folder = tmp_path / "padded"
    shutil.copytree(llama, folder)
    made = tokenizer()
    made.pad_token = made.eos_token
    made.save_pretrained(folder)
    run = train(questions(48), model=folder)
    check_contract(run)
    assert run.result.data["splits"]["train"]["target_tokens"] == 2 * run.result.data["splits"]["train"]["rows"]


def test_new_tokens_are_single_and_learnt(tmp_path: Path, llama: Path, general: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    rows = [{**row, "completion": f" <tool>{row['completion'].strip()}"} for row in questions(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = {
        "task": "sft", "model": {"name": str(llama), "new_tokens": ["<tool>"]}, "data": {"train": "rows.jsonl"}, "train": QUICK,
        "evaluate": {**FEW, "general": str(general)}, "adapter": {"method": "lora", "r": 4}, "output": "out",
    }  # fmt: skip
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(given))
    folder = run_recipe(load_recipe(path, [f"output={tmp_path / 'out'}"])).folder / "model"
    saved, base = AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(llama)
    token = saved.convert_tokens_to_ids("<tool>")
    assert saved("now<tool>")["input_ids"][-1] == token == len(base)
    before, after = (AutoModelForCausalLM.from_pretrained(place).get_input_embeddings().weight for place in (llama, folder))
    assert len(after) == len(before) + 1
    assert (after[token] - before.mean(dim=0)).abs().max() > 1e-3
    assert (after[:token] - before).abs().max() < 1e-6


NEW_TOKENS: dict[str, tuple[dict[str, Any], str]] = {
    "of a classifier": (
        {"task": "classification"},
        "`new_tokens` applies only to language models, and the task is classification",
    ),
    "an empty one": ({"model": {"name": "m", "new_tokens": [" "]}}, "a token is empty"),
    "frozen": ({"train": {"train_layers": "last 1"}}, "freezes the token embeddings, so new ones would not be trained"),
}


@pytest.mark.parametrize("name", NEW_TOKENS)
def test_new_tokens_that_cannot_be(name: str) -> None:
    sections, message = NEW_TOKENS[name]
    given = {"task": "sft", "data": {"train": "t"}, "model": {"name": "m", "new_tokens": ["<tool>"]}, **sections}
    with pytest.raises(RecipeError, match=message):
        recipe_from_mapping(given)


def test_windows_slide_over_texts(train) -> None:
    run = train(
        texts(60), task="pretraining", test=texts(30, 1), evaluate={"stride": 4, "context_lengths": [4, 8, 16]},
        data={"max_length": 24},
    )  # fmt: skip
    found = check_contract(run)
    for when in ("before", "after"):
        assert [point["window"] for point in found["training"]["context"][when]] == [4, 8, 16]
    assert run.result.metric("loss").value < next(b for b in run.result.baselines).metrics[0].value
    assert "Context length" in (run.folder / "report.html").read_text()


@pytest.mark.parametrize("adapter", [None, {"method": "lora", "r": 4}, {"method": "prompt_tuning", "num_virtual_tokens": 2}])
def test_stretched_positions_stay_stretched(tmp_path: Path, llama: Path, general: Path, adapter: dict[str, Any] | None) -> None:
    from tunesmith.models.language.model import CAUSAL
    from tunesmith.models.language.save import reload_language_model

    long = [{"text": " ".join(row["text"] for row in texts(20, seed))} for seed in range(16)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in long))
    given = {
        "task": "pretraining", "model": {"name": str(llama), "rope_parameters": {"factor": 2}}, "train": QUICK,
        "data": {"train": "rows.jsonl", "test": 0.2}, "output": "out", "adapter": adapter,
        "evaluate": {"n_resamples": 400, "general": str(general), "context_lengths": [32, 120], "stride": 32},
    }  # fmt: skip
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps({key: value for key, value in given.items() if value is not None}))
    run = run_recipe(load_recipe(path, [f"output={tmp_path / 'out'}"]))
    found = check_contract(run)
    assert [point["window"] for point in found["training"]["context"]["after"]] == [32, 120]
    config = reload_language_model(run.folder / "model", CAUSAL).config
    assert (config.rope_parameters["rope_type"], config.max_position_embeddings) == ("yarn", 128)


def test_positions_that_cannot_be_stretched(tmp_path: Path, bert: Path, general: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in texts(40)))
    given = {"task": "pretraining", "data": {"train": str(rows)}, "evaluate": {"general": str(general)}, "output": "out"}
    stretched = {"name": str(bert), "rope_parameters": {"rope_type": "linear", "factor": 2}}
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps({**given, "model": stretched}))
    with pytest.raises(ModelError, match="positions are learned vectors, one for each position"):
        run_recipe(load_recipe(path))
    with pytest.raises(RecipeError, match="`rope_parameters` applies only to language models"):
        recipe_from_mapping({**given, "task": "classification", "model": stretched})
    with pytest.raises(RecipeError, match="must be above 1, found 1"):
        recipe_from_mapping({**given, "model": {"name": "m", "rope_parameters": {"factor": 1}}})


def test_windows_that_cannot_slide(train, bert: Path) -> None:
    with pytest.raises(RecipeError, match="plain texts of a causal model"):
        train(texts(30), task="pretraining", model=bert, evaluate={"stride": 4})
    with pytest.raises(RecipeError, match="not below the 24 tokens"):
        train(texts(30), task="pretraining", evaluate={"context_lengths": [64]}, data={"max_length": 24})
