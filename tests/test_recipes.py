"""Every recipe that comes with the project: parsed, its data there, and the tiny ones run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tunesmith.data.readers.read import builtin_folder, builtin_path, retrieval_names
from tunesmith.recipe.files import is_file_name, locate
from tunesmith.recipe.load import load_recipe
from tunesmith.recipe.sections import AUTO

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))
MADE = {"scifact": ROOT / "benchmarks" / "scifact.py"}
"""Data that a script writes."""
TINY = [path for path in RECIPES if path.parent.name == "tiny"]
EXPECTED = {
    "tune-threshold": ("macro_f1", "test", 45, {"majority"}),
    "embedding-pairs": ("ndcg@10", "retrieval", 192, {"untuned", "tfidf", "bm25"}),
    "embedding-also": ("ndcg@10", "retrieval", 192, {"untuned", "tfidf", "bm25"}),
    "reranker": ("ndcg@10", "retrieval", 192, {"first stage", "tfidf", "bm25", "majority", "chance"}),
    "sft": ("loss", "test", 100, {"untuned", "few_shot"}),
    "sft-labels": ("macro_f1", "test", 27, {"untuned", "chance"}),
    "sft-lora": ("loss", "test", 100, {"untuned"}),
    "ppo": ("reward", "test", 100, {"untuned"}),
    "grpo": ("reward", "test", 100, {"untuned"}),
    "pretraining-causal": ("loss", "test", 30, {"untuned"}),
    "preference": ("accuracy", "test", 100, {"untuned", "length"}),
    "reward": ("accuracy", "test", 100, {"length", "bag_of_words"}),
    "multi-label": ("macro_f1", "test", 46, {"majority"}),
    "pretraining-masked": ("loss", "test", 8, {"untuned"}),
}
"""Tiny recipe -> its metric, the split, its rows, and what it is compared with."""
WITH_MINILM = {"plain", "embedding-pairs"}
"""Tiny recipes that run with their own model; one of each task is enough."""
OF_SUPPORT = ("macro_f1", "test", 45, {"majority"})
"""The same for those of the built-in support messages."""


def recipe_name(path: Path) -> str:
    return path.relative_to(ROOT / "recipes").as_posix()


@pytest.mark.parametrize("path", RECIPES, ids=recipe_name)
def test_the_recipe_is_valid_and_writes_below_runs(path: Path) -> None:
    loaded = load_recipe(path)
    assert Path(loaded.recipe.output).parts[0] == "runs"
    assert loaded.text.startswith("# ")


def test_every_recipe_has_an_output_of_its_own() -> None:
    outputs = [load_recipe(path).recipe.output for path in RECIPES]
    assert len(set(outputs)) == len(outputs)


@pytest.mark.parametrize("path", RECIPES, ids=recipe_name)
def test_the_data_of_the_recipe_is_there(path: Path) -> None:
    loaded = load_recipe(path)
    data = loaded.recipe.data
    for source in (data.train, data.validation, data.test, *data.also):
        if not isinstance(source, str) or source == AUTO or source in MADE:
            continue
        if source.removeprefix("builtin:") in retrieval_names():
            assert builtin_folder(source).is_dir()
            continue
        if not is_file_name(source):
            assert builtin_path(source).is_file()
            continue
        file = locate(source, loaded.base)
        if not file.exists() and not os.environ.get("CI"):
            pytest.skip(f"{source} is not there: it belongs to the shared test data, which are no part of the project")
        assert file.is_file()


def test_data_that_have_to_be_made_name_the_script_that_makes_them() -> None:
    for source, script in MADE.items():
        text = (ROOT / "recipes" / "embedding" / f"{source}.yaml").read_text(encoding="utf-8")
        assert script.is_file()
        assert f"python {script.relative_to(ROOT)} {source}" in text


@pytest.fixture(scope="session")
def narrow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 2 layers and width 32 with the vocabulary of the built-in encoder, 20 times as fast."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from tunesmith.models.source import builtin_model

    tokenizer = AutoTokenizer.from_pretrained(builtin_model("minilm"))
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    folder = tmp_path_factory.mktemp("models") / "narrow"
    BertModel(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("path", TINY, ids=recipe_name)
def test_the_tiny_recipe_runs_to_a_whole_run_folder(path: Path, tmp_path: Path, narrow_model: Path) -> None:
    from tunesmith.workflows.train import train

    overrides = [f"output={tmp_path / 'run'}"]
    if "builtin:pocket" not in path.read_text(encoding="utf-8") and path.stem not in WITH_MINILM:
        overrides.append(f"model.name={narrow_model}")
    if not path.stem.startswith(
        ("sft", "preference", "reward", "pretraining-causal", "ppo", "grpo")
    ):  # texts of 16 tokens instead of all take a third of the time
        overrides.append("data.max_length=16")
    if path.stem == "pretraining-masked":  # its own 90 general texts are two thirds of the time
        general = tmp_path / "general.txt"
        general.write_text("\n".join(f"The {animal} sleeps under the old tree." for animal in ("cat", "dog", "hen", "fox")))
        overrides.append(f"evaluate.general={general}")
    run = train(load_recipe(path, overrides))
    metric, split, n_rows, others = EXPECTED.get(path.stem, OF_SUPPORT)
    assert run.result.metric(metric, split).n == n_rows
    assert {verdict.against for verdict in run.result.verdicts} == others
    assert all(certificate.passed for certificate in run.result.certificates)
    for name in ("recipe.yaml", "resolved.yaml", "result.json", "metrics.jsonl", "predictions.parquet", "report.html", "model"):
        assert (run.folder / name).exists(), name
