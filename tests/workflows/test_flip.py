"""The experiment with reversed pairs: which are reversed, what is measured, what is kept, what goes on, and what is refused."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.cases import BAD, GOOD, PREFERENCES
from tunesmith.cli.main import main
from tunesmith.data.readers.read import resolve_path
from tunesmith.progress import Event
from tunesmith.recipe.load import LoadedRecipe, load_recipe
from tunesmith.workflows import several_runs
from tunesmith.workflows.flip import FlipOptions, flip, reversed_positions


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


def write_recipe(folder: Path, model: Path, **sections: Any) -> Path:
    """Writes a recipe with its files."""
    for split, part in (("train", PREFERENCES[:16]), ("validation", PREFERENCES[16:24]), ("test", PREFERENCES[24:])):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    given = {
        "task": "reward", "model": {"name": str(model)}, "output": str(folder / "flips"),
        "data": {split: str(folder / f"{split}.jsonl") for split in ("train", "validation", "test")},
        "train": {"max_steps": 30, "n_evaluations": 1, "learning_rate": 5e-3, "per_device_train_batch_size": 16},
        "evaluate": {"n_resamples": 100, "baselines": []}, **sections,
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(given), encoding="utf-8")
    return folder / "recipe.yaml"


@pytest.fixture
def recipe(tmp_path: Path, tiny_model: Path) -> Callable[..., Path]:
    """A function that writes a recipe with its files."""
    return lambda **sections: write_recipe(tmp_path, tiny_model, **sections)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """The folder of a recipe, and in it that of its finished experiment with shares 0 and 0.5 and with candidates."""
    folder = tmp_path_factory.mktemp("flip")
    lists = [{"prompt": "how is the film", "responses": [f"the day is {good}", f"the day is {bad}"], "scores": [2, 1]}
             for good, bad in zip(GOOD, BAD, strict=True)]  # fmt: skip
    lists[0] = {**lists[0], "responses": [*lists[0]["responses"], "no"], "scores": [2, 1, None]}
    (folder / "lists.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lists), encoding="utf-8")
    loaded = load_recipe(write_recipe(folder, tiny_model))
    notes: list[str] = []
    flip(
        loaded,
        FlipOptions((0, 0.5), candidates=str(folder / "lists.jsonl")),
        listener=lambda event: notes.append(str(event.text)),
    )
    assert any("without a score or a rank is left out" in note for note in notes)
    return folder


def words_of(folder: Path) -> list[str]:
    """Returns the command line of ``finished``."""
    words = ["--shares", "0", "0.5", "--candidates", str(folder / "lists.jsonl")]
    return ["--json", "experiment", "flip", str(folder / "recipe.yaml"), *words]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuse(*_arguments: object, **_named: object) -> None:
    raise AssertionError("a finished run is trained again")


def interrupt(*_arguments: object, **_named: object) -> None:
    raise KeyboardInterrupt


def test_reversed_pairs_are_learned_and_the_evaluated_ones_stay(finished: Path) -> None:
    folder = finished / "flips"
    record = json.loads((folder / "flip.json").read_text(encoding="utf-8"))
    none, half = record["points"]
    assert (none["n_reversed"], half["n_reversed"], record["split"]) == (0, 8, "test")
    assert (none["accuracy"], none["agreement"], none["downstream"]) == (1.0, 1.0, 1.0)
    assert half["agreement_cap"] == 0.5
    assert half["accuracy"] < 1.0
    rows = [json.loads(line) for line in (folder / "data" / "train-random-50.jsonl").read_text(encoding="utf-8").splitlines()]
    turned = [row["chosen"][-1]["content"] == given["rejected"] for row, given in zip(rows, PREFERENCES, strict=False)]
    assert sum(turned) == 8
    assert "share of reversed pairs" in (folder / "report.html").read_text(encoding="utf-8")
    assert len((folder / "flip.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert json.loads((folder / "random-50" / "result.json").read_text())["recipe"]["data"]["train"] in (
        folder / "random-50" / "recipe.yaml"
    ).read_text(encoding="utf-8"), "the recipe of a run is that of its own rows"


def test_finished_runs_are_kept_and_paths_of_options_are_those_of_the_current_folder(
    finished: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = json.loads((finished / "flips" / "flip.json").read_text(encoding="utf-8"))
    monkeypatch.setattr(several_runs.runs, "train", refuse)
    monkeypatch.chdir(finished)
    assert main([*words_of(finished)[:-1], "lists.jsonl"]) == 0
    assert json.loads(capsys.readouterr().out)["points"] == before["points"]
    assert main([*words_of(finished)[:5], "0", *words_of(finished)[-2:]]) == 0  # the other share is finished, too
    assert json.loads(capsys.readouterr().out)["points"] == before["points"]
    monkeypatch.chdir(tmp_path)  # a file of that name is beside the recipe
    assert main([*words_of(finished)[:-1], "lists.jsonl"]) == 2
    assert "tunesmith: lists.jsonl: There is no such file" in capsys.readouterr().err
    monkeypatch.chdir(finished / "flips")
    monkeypatch.setattr(several_runs.runs, "train", interrupt)
    words = ["experiment", "flip", str(finished / "recipe.yaml"), "--order", "smallest", "--gap", "random-0", "--shares", "0.5"]
    assert main([*words, "--overwrite", f"output={tmp_path / 'smallest'}"]) == 130
    assert (tmp_path / "smallest" / "data" / "train-smallest-50.jsonl").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["train.seed=1"], "train.seed: was 0 when the experiment was started, is 1 now."),
        (["model.name=builtin:minilm"], "is builtin:minilm now."),
        (["data.test=null"], "data.test: was "),
        (["--order", "largest", "--gap", "random-0"], "--order: was random when the experiment was started, is largest now."),
        (["--candidates", "other.jsonl"], "--candidates: was "),
    ],
)
def test_another_experiment_is_refused(
    finished: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, more: list[str], message: str
) -> None:
    monkeypatch.setattr(several_runs.runs, "train", refuse)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.jsonl").write_bytes((finished / "lists.jsonl").read_bytes())
    before = contents(finished / "flips")
    words = words_of(finished)
    assert main([*words[:4], *more, *(words[4:6] if "--candidates" in more else words[4:])]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "choose another output (output=FOLDER), or start over with --overwrite" in error
    assert contents(finished / "flips") == before


@pytest.mark.parametrize(("name", "key"), [("train.jsonl", "data.train"), ("lists.jsonl", "--candidates")])
def test_other_rows_in_a_file_are_refused(
    finished: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, name: str, key: str
) -> None:
    monkeypatch.setattr(several_runs.runs, "train", refuse)
    before, rows = contents(finished / "flips"), (finished / name).read_bytes()
    try:
        (finished / name).write_bytes(b"".join(rows.splitlines(keepends=True)[1:]))
        assert main(words_of(finished)) == 2
    finally:
        (finished / name).write_bytes(rows)
    assert f"{key}: its content has changed since the experiment was started" in capsys.readouterr().err
    assert contents(finished / "flips") == before


def test_rows_are_those_of_the_current_folder_where_the_recipe_has_an_experiment_of_that_name(
    finished: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read = []

    def train(loaded: LoadedRecipe, **_named: object) -> None:
        read.append(resolve_path(loaded.recipe.data.train, loaded.base))
        raise KeyboardInterrupt

    monkeypatch.setattr(several_runs.runs, "train", train)
    monkeypatch.chdir(tmp_path)
    assert (finished / "flips" / "data" / "train-random-50.jsonl").exists()
    assert main(["experiment", "flip", str(finished / "recipe.yaml"), "output=flips", "--shares", "0.5"]) == 130
    assert read == [tmp_path / "flips" / "data" / "train-random-50.jsonl"]


def test_an_interrupted_experiment_goes_on_grows_and_starts_over(
    recipe: Callable[..., Path], capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ["--json", "experiment", "flip", str(recipe()), "train.max_steps=6", "--shares", "0.5"]
    train, steps = several_runs.runs.train, []

    def listened(*arguments: Any, listener: Any, **options: Any) -> Any:
        def listen(event: Event) -> None:
            if event.kind == "step" and event.text == "training":
                steps.append(event.done)
                if len(steps) == 2:
                    signal.raise_signal(signal.SIGTERM)
            listener(event)

        return train(*arguments, listener=listen, **options)

    monkeypatch.setattr(several_runs.runs, "train", listened)
    assert main(words) == 130
    error = capsys.readouterr().err
    assert "stopped by SIGTERM after step 2 of 6. To go on, run the same command again: finished runs are kept in " in error
    assert (tmp_path / "flips" / "random-50.partial").is_dir()
    assert main(words) == 0
    assert steps == [1, 2, 3, 4, 5, 6]
    capsys.readouterr()
    assert main([*words[:-1], "0"]) == 0  # one more share
    assert [point["share"] for point in json.loads(capsys.readouterr().out)["points"]] == [0, 0.5]
    assert steps == [1, 2, 3, 4, 5, 6] * 2
    monkeypatch.setattr(several_runs.runs, "train", interrupt)
    assert main([*words, "--overwrite", "train.seed=1"]) == 130
    assert "run the same command without --overwrite again" in capsys.readouterr().err
    assert not list((tmp_path / "flips").rglob("result.json"))
    assert main([*words, "--order", "random", "train.seed=2"]) == 130  # nothing is finished: settings may change


@pytest.mark.parametrize(
    ("sections", "words", "message"),
    [
        ({"task": "classification"}, [], "which has no pairs of answers to reverse"),
        ({}, ["--shares", "0.7"], "is no share of reversed pairs"),
        ({}, ["--order", "smallest"], "no gap is known"),
        ({}, ["--shares", "0", "--candidates", "test.jsonl"], "no prompts with lists of answers"),
        ({}, ["--candidates", "test.jsonl", "train.save_strategy=none"], "the runs keep no model to select with"),
        ({}, ["--gap", "runs/none"], "pairs are reversed at random, and no gap is read"),
        ({}, ["--order", "smallest", "--gap", "runs/none"], "runs/none"),
    ],
)
def test_what_cannot_be_reversed_is_refused(
    recipe: Callable[..., Path],
    capsys: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sections: Any,
    words: list[str],
    message: str,
) -> None:
    if "train" not in sections:
        sections = {**sections, "train": {"max_steps": 1, "n_evaluations": 1}}
    monkeypatch.chdir(tmp_path)
    assert main(["experiment", "flip", str(recipe(**sections)), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "flips").exists()
