"""Options of loading reach the model of a whole run: the attention that the recipe names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.recipe.load import load_recipe
from tunesmith.workflows.train import train as run_recipe

QUICK = {"max_steps": 12, "learning_rate": 3e-3, "n_evaluations": 2, "n_logs": 20}


def run_on(rows: list[dict[str, str]], model: Path, folder: Path, **sections: Any) -> tuple[Path, dict[str, Any]]:
    """Trains on the rows; returns the run's folder and its result. ``options``: other keys of the section ``model``."""
    folder.parent.joinpath("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = {
        "model": {"name": str(model), **sections.pop("options", {})},
        "data": {"train": "rows.jsonl", "validation": 0.3, "test": None},
        "train": {**QUICK, **sections.pop("train", {})},
        "evaluate": {"n_resamples": 200},
        "output": str(folder),
        **sections,
    }
    path = folder.parent / "recipe.yaml"
    path.write_text(json.dumps(given))
    run = run_recipe(load_recipe(path))
    return run.folder, json.loads((run.folder / "result.json").read_text())


@pytest.mark.parametrize("task", ["classification", "embedding"])
def test_a_named_attention_reaches_the_model_and_no_file(
    task: str, tiny_model: Path, sentences: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import PreTrainedModel

    seen: list[str] = []

    correct = PreTrainedModel.get_correct_attn_implementation
    monkeypatch.setattr(
        PreTrainedModel,
        "get_correct_attn_implementation",
        lambda self, name, *rest, **named: seen.append(name) or correct(self, name, *rest, **named),
    )
    folder, result = run_on(sentences, tiny_model, tmp_path / "run", task=task, options={"attn_implementation": "eager"})
    assert "eager" in seen
    kernels = result["training"]["kernels"]
    assert (kernels["attention"], kernels["first_token"]) == ("upstream", False)
    assert kernels["reasons"]["attention"].endswith("model.attn_implementation: eager")
    assert "attn" not in (folder / "model" / "config.json").read_text()
    assert all(certificate["passed"] for certificate in result["certificates"])
