"""The experiment with reversed pairs: which are reversed, what is measured, and that finished runs are not trained again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.cases import BAD, GOOD, PREFERENCES
from tunesmith.cli.main import main
from tunesmith.workflows import flip as flipping
from tunesmith.workflows.flip import reversed_positions


@given(st.integers(4, 60), st.integers(0, 5))
def test_larger_shares_contain_smaller_ones(n: int, seed: int) -> None:
    gaps = np.random.default_rng(seed).integers(1, 5, n).astype(float)
    for order in ("random", "smallest", "largest"):
        earlier: set[int] = set()
        for share in (0.0, 0.1, 0.3, 0.5):
            chosen = reversed_positions(n, share, None if order == "random" else gaps, order, seed)  # type: ignore[arg-type]
            assert earlier <= chosen
            assert len(chosen) == round(share * n)
            rest = [gaps[i] for i in range(n) if i not in chosen]
            if chosen and order == "smallest":
                assert max(gaps[list(chosen)]) <= min(rest)
            if chosen and order == "largest":
                assert min(gaps[list(chosen)]) >= max(rest)
            earlier = chosen


@pytest.fixture
def recipe(tmp_path: Path, tiny_model: Path) -> Callable[..., Path]:
    """A function that writes a recipe with its files."""

    def write(**sections: Any) -> Path:
        for split, part in (("train", PREFERENCES[:16]), ("validation", PREFERENCES[16:24]), ("test", PREFERENCES[24:])):
            (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
        given = {
            "task": "reward", "model": {"name": str(tiny_model)}, "output": str(tmp_path / "flips"),
            "data": {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "validation", "test")},
            "train": {"max_steps": 30, "n_evaluations": 1, "learning_rate": 5e-3, "per_device_train_batch_size": 16},
            "evaluate": {"n_resamples": 100, "baselines": []}, **sections,
        }  # fmt: skip
        (tmp_path / "recipe.yaml").write_text(json.dumps(given), encoding="utf-8")
        return tmp_path / "recipe.yaml"

    return write


def test_reversed_pairs_are_learned_and_the_evaluated_ones_stay(
    recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates = tmp_path / "candidates.jsonl"
    lists = [{"prompt": "how is the film", "responses": [f"the day is {good}", f"the day is {bad}"], "scores": [2, 1]}
             for good, bad in zip(GOOD, BAD, strict=True)]  # fmt: skip
    lists[0] = {**lists[0], "responses": [*lists[0]["responses"], "no"], "scores": [2, 1, None]}
    candidates.write_text("".join(json.dumps(row) + "\n" for row in lists), encoding="utf-8")
    words = ["--json", "experiment", "flip", str(recipe()), "--shares", "0", "0.5", "--candidates", str(candidates)]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert "without a score or a rank is left out" in err
    found = json.loads(out)
    none, half = found["points"]
    assert (none["n_reversed"], half["n_reversed"], found["split"]) == (0, 8, "test")
    assert (none["accuracy"], none["agreement"], none["downstream"]) == (1.0, 1.0, 1.0)
    assert half["agreement_cap"] == 0.5
    assert half["accuracy"] < 1.0
    folder = tmp_path / "flips"
    rows = [json.loads(line) for line in (folder / "data" / "train-random-50.jsonl").read_text(encoding="utf-8").splitlines()]
    turned = [row["chosen"][-1]["content"] == given["rejected"] for row, given in zip(rows, PREFERENCES, strict=False)]
    assert sum(turned) == 8
    assert "share of reversed pairs" in (folder / "report.html").read_text(encoding="utf-8")
    assert len((folder / "flip.csv").read_text(encoding="utf-8").splitlines()) == 3

    def refuse(*_arguments: object, **_named: object) -> None:
        raise AssertionError("a finished run is trained again")

    monkeypatch.setattr(flipping.runs, "train", refuse)
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["points"] == found["points"]


@pytest.mark.parametrize(
    ("sections", "words", "message"),
    [
        ({"task": "classification"}, [], "which has no pairs of answers to reverse"),
        ({}, ["--shares", "0.7"], "is no share of reversed pairs"),
        ({}, ["--order", "smallest"], "no gap is known"),
        ({}, ["--shares", "0", "--candidates", "test.jsonl"], "no prompts with lists of answers"),
    ],
)
def test_what_cannot_be_reversed_is_refused(
    recipe: Callable[..., Path], capsys: Any, tmp_path: Path, sections: Any, words: list[str], message: str
) -> None:
    if "train" not in sections:
        sections = {**sections, "train": {"max_steps": 1, "n_evaluations": 1}}
    assert main(["experiment", "flip", str(recipe(**sections)), *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("result.json"))
