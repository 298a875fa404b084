"""Whole command lines on unusual base models and settings: they train, or `check` says why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cases.test_chats import check, line
from tests.language_models import questions, write_model
from tunesmith.cli.main import main

Rows = list[dict[str, Any]]
LABELLED: Rows = [
    {"text": f"{'good' if i % 2 else 'bad'} film and a fine day " * (1 + i % 9), "label": "ab"[i % 2]} for i in range(40)
]


def position_model(folder: Path, tiny_model: Path, family: str, pad: int) -> Path:
    """Writes a model whose positions are counted from a padding index, with the tokenizer of ``tiny_model``."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        family, vocab_size=48, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=30, pad_token_id=pad, type_vocab_size=2,
    )  # fmt: skip
    shutil.copytree(tiny_model, folder)
    transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("family", "pad"), [("roberta", 3), ("data2vec-text", 1), ("xlm-roberta-xl", 1), ("roberta-prelayernorm", 2), ("ibert", 1)]
)
def test_positions_are_counted_from_the_padding_index(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_model: Path, family: str, pad: int
) -> None:
    model = position_model(tmp_path / "model", tiny_model, family, pad)
    text = check(tmp_path, capsys, LABELLED, static=False, task="classification", model={"name": str(model)})
    assert f"limit {30 - pad - 1}" in line(text, "lengths of train")
    assert "All checks passed" in text


@pytest.mark.parametrize(("stated", "limit"), [(-1, 64), (10**12, 64)])
def test_an_unlimited_or_negative_maximum_is_no_length(tmp_path: Path, tiny_model: Path, stated: int, limit: int) -> None:
    from transformers import AutoTokenizer, BertConfig, BertModel

    from tunesmith.models.language.context_length import context_limit
    from tunesmith.models.load import max_input_tokens, position_limit

    model = BertModel.from_pretrained(tiny_model)
    model.config.max_position_embeddings = stated
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert max_input_tokens(position_limit(model), tokenizer, None) == limit
    tokenizer.model_max_length = -1
    assert max_input_tokens(position_limit(model), tokenizer, None) == 512
    assert context_limit(BertConfig(max_position_embeddings=-1)) is None


@pytest.mark.parametrize("rows", [3, 12])
def test_long_texts_on_learnt_positions_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: int) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = write_model(tmp_path / "model")
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    config = GPT2Config(vocab_size=size, n_positions=64, n_embd=32, n_layer=1, n_head=2, bos_token_id=2, eos_token_id=3)
    GPT2LMHeadModel(config).save_pretrained(folder)
    texts = [{"text": f"{' Ann has the red lamp and' * rows} {'now ' * i}"} for i in range(1, 20)]
    text = check(tmp_path, capsys, texts, static=False, task="pretraining", model={"name": str(folder)})
    assert "All checks passed" in text
    assert line(text, "rows packed together do not attend to each other").startswith("ok")


LORA = {"method": "lora", "r": 2}


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"adapter": {**LORA, "target_modules": ["q_proj", "lm_head"]}}, "adapter.modules_to_save: [lm_head]"),
        ({"adapter": {**LORA, "target_modules": "(("}}, "adapter.target_modules: "),
        ({"adapter": {**LORA, "target_modules": ["absent"]}}, "adapter.method lora"),
        ({"upstream": {"fp16": True}}, "upstream.fp16"),
        ({"upstream": {"dataloader_drop_last": True}, "train": {"per_device_train_batch_size": 64}}, "rows of a batch: 64"),
        ({"train": {"optim": "galore_adamw"}}, "train / upstream"),
        ({"train": {"lr_scheduler_type": "reduce_lr_on_plateau"}}, "train / upstream"),
    ],
)  # fmt: skip
def test_check_refuses_what_training_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sections: dict[str, Any], expected: str
) -> None:
    folder = write_model(tmp_path / "model")
    rows = questions(30)
    text = check(tmp_path, capsys, rows, static=False, model={"name": str(folder)}, **sections)
    assert expected in text
    assert "unexpected" not in text


def test_a_wrong_key_of_a_map_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"query": f"where is {i}", "answer": f"it is at {i}"} for i in range(20)]
    text = check(tmp_path, capsys, rows, task="embedding", embedding={"prompts": {"ask": "query: ", "qury": "q"}})
    assert "embedding.prompts.ask: there is no key ask in embedding.prompts. Keys: query, document." in text
    assert "embedding.prompts.qury: there is no key qury in embedding.prompts. Did you mean query?" in text


def damaged(folder: Path, damage: str) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    if damage == "other names":
        weights = {f"net.{name}": tensor for name, tensor in weights.items()}
    if damage == "a layer is missing":
        weights = {name: tensor for name, tensor in weights.items() if "layer.1." not in name and "layers.1." not in name}
    if damage == "no tokenizer":
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).unlink()
    if damage == "another tokenizer":
        file = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        vocabulary = file["model"]["vocab"]
        vocabulary |= {f"new{i}": len(vocabulary) + i for i in range(40)}
        (folder / "tokenizer.json").write_text(json.dumps(file), encoding="utf-8")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("damage", ["other names", "a layer is missing", "no tokenizer", "another tokenizer"])
@pytest.mark.parametrize("task", ["classification", "embedding", "sft", "pretraining"])
def test_a_base_that_is_not_whole_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_model: Path, task: str, damage: str
) -> None:
    folder = tmp_path / "model"
    is_language = task in ("sft", "pretraining")
    write_model(folder, "bert" if task == "pretraining" else "llama") if is_language else shutil.copytree(tiny_model, folder)
    damaged(folder, damage)
    rows: Rows = {
        "classification": LABELLED,
        "embedding": [{"query": f"good film {i}", "answer": f"a fine day {i}"} for i in range(30)],
        "sft": questions(30),
        "pretraining": [{"text": row["prompt"]} for row in questions(30)],
    }[task]
    text = check(tmp_path, capsys, rows, static=False, task=task, model={"name": str(folder)})
    assert "All checks passed" not in text
    assert f"model.name {folder}" in text
    assert "unexpected" not in text


def test_an_output_layer_that_is_saved_whole_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_model(tmp_path / "model")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions(30)), encoding="utf-8")
    recipe = {
        "task": "sft", "model": {"name": str(folder)}, "data": {"train": str(tmp_path / "rows.jsonl"), "test": 0.2},
        "adapter": {**LORA, "target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, "output": str(tmp_path / "run"),
        "train": {"max_steps": 2, "n_evaluations": 1}, "evaluate": {"answers": {"rows": 0}, "n_resamples": 50},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    assert main(["train", str(tmp_path / "recipe.yaml")]) == 0, capsys.readouterr().err


def test_what_was_trained_with_is_used_afterwards_or_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_model: Path
) -> None:
    from transformers import AutoTokenizer

    rows = [{"query": f"good film {i}", "answer": f"a fine day {i} and so"} for i in range(30)]
    recipe = {
        "task": "embedding", "model": {"name": str(tiny_model)}, "data": {"train": "rows.jsonl", "test": 0.2, "max_length": 6},
        "embedding": {"prompts": {"query": "the ", "document": "it is "}, "normalize": True}, "output": str(tmp_path / "e"),
        "train": {"max_steps": 1, "n_evaluations": 1}, "evaluate": {"n_resamples": 20, "baselines": []},
    }  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    assert main(["train", str(tmp_path / "recipe.yaml")]) == 0, capsys.readouterr().err
    vectors = ["embed", str(tmp_path / "e"), str(tmp_path / "rows.jsonl"), "--text", "query", "--output", str(tmp_path / "v.npy")]
    assert main(vectors) == 0
    assert "trained with query 'the ', document 'it is ': give one by --prompt" in capsys.readouterr().out
    assert main([*vectors, "--overwrite", "--prompt", "the "]) == 0
    assert "give one by" not in capsys.readouterr().out
    (tmp_path / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in LABELLED), encoding="utf-8")
    recipe |= {"task": "classification", "output": str(tmp_path / "c"), "data": {"train": "labelled.jsonl", "max_length": 9}}
    del recipe["embedding"]
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    assert main(["train", str(tmp_path / "recipe.yaml")]) == 0, capsys.readouterr().err
    assert AutoTokenizer.from_pretrained(tmp_path / "c" / "model").model_max_length == 9


def test_prompts_that_no_text_gets_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"text": f"good film {i}", "label": "ab"[i % 2]} for i in range(20)]
    text = check(tmp_path, capsys, rows, task="embedding", embedding={"prompts": {"query": "q: "}})
    assert line(text, "prompts") == (
        "note prompts: not used in training. The prompts are saved with the model, but not put before these texts: they are no "
        "queries and documents. Remove embedding.prompts, or give pairs of a query and a document."
    )


def test_a_model_that_cannot_be_computed_in_bf16_is_computed_in_fp32() -> None:
    import torch

    from tunesmith.models.fast.path import FastPath
    from tunesmith.models.inference import supported_path

    class Writes(torch.nn.Module):
        """Writes products into a buffer of fp32, as X-MOD does."""

        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(2, 2)

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            states = torch.zeros(input_ids.numel(), 2)
            states[torch.arange(len(states))] = self.linear(torch.ones(len(states), 2))
            return states

    path = supported_path(Writes(), FastPath(fast=True, precision="bf16"))
    assert path.precision == "fp32"
    assert path.reasons["precision"].startswith("this model cannot be computed in bf16: Index put requires")
    plain = FastPath(fast=True, precision="fp32")
    assert supported_path(Writes(), plain) is plain


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ("upstream: {use_liger_kernel: true}", "upstream.use_liger_kernel: liger-kernel is not installed"),
        ("upstream: {accelerator_config: none.json}", "upstream.accelerator_config: transformers refuses these settings"),
        ("upstream: {data_seed: -5}", "upstream.data_seed: upstream's trainer refuses these settings"),
        ("upstream: {dataloader_num_workers: -1}", "upstream.dataloader_num_workers: upstream's trainer refuses"),
        (
            "upstream: {dataloader_persistent_workers: true, adam_beta1: 0.8}",
            "upstream.dataloader_persistent_workers: upstream's",
        ),
        ("upstream: {torch_compile_mode: nope}", "Leave it out, or write another value than 'nope'."),
        ("upstream: {train_sampling_strategy: nope}", "Write one of random, sequential, group_by_length, batch_rebalance."),
        ("adapter: {method: lora, modules_to_save: [nope]}", "adapter.modules_to_save: the model has no module nope"),
        (f"output: runs/{'x' * 250}", "File name too long"),
    ],
)
def test_settings_that_train_refuses_are_refused_by_check(
    keys: str,
    named: str,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"the {('good', 'bad')[i % 2]} film number {i},{'ab'[i % 2]}\n" for i in range(60))
    Path("rows.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    output = "" if keys.startswith("output") else "output: runs/x\n"
    recipe = f"task: classification\nmodel: {{name: {tiny_model}}}\ndata: {{train: rows.csv, test: 0.2}}\n{output}{keys}\n"
    Path("r.yaml").write_text(recipe, encoding="utf-8")
    code = main(["check", "r.yaml"])
    out, err = capsys.readouterr()
    assert (code, named in err, "unexpected" in out + err) == (2, True, False), err
