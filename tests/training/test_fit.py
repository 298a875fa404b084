"""Training: what it learns, that resuming is bit-exact, that a broken run stops and names the place."""

from __future__ import annotations

import json
import math
import shutil
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.fits import fit_in, load_session
from tunesmith.errors import Interrupted, NonFinite, TrainingFailed
from tunesmith.models.encode import Encoded
from tunesmith.models.fast.path import FastPath
from tunesmith.models.inference import logits
from tunesmith.training.checkpoints import newest_whole
from tunesmith.training.fit import Fit


@dataclass
class Trained:
    fit: Fit
    weights: dict[str, torch.Tensor]
    losses: list[float]
    model: Any
    train: Encoded
    pad_id: int


@pytest.fixture
def without_dropout(tmp_path: Path, tiny_model: Path) -> Path:
    """The tiny model with dropout 0."""
    folder = shutil.copytree(tiny_model, tmp_path / "without-dropout")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}))
    return folder


@pytest.fixture
def train(tmp_path: Path, tiny_model: Path, sentences: list[dict[str, str]]):
    """A function that trains the tiny model in a named place; ``stop_at`` asks for a stop after that step."""

    def run(place: str, *, stop_at: int | None = None, resume: bool = False, smoke: bool = False, **sections: Any) -> Trained:
        settings = {
            "per_device_train_batch_size": 16,
            "learning_rate": 5e-3,
            "num_train_epochs": 3,
            "n_evaluations": 6,
            "n_logs": 9,
            "seed": 3,
        }
        mapping = {
            "data": {"train": "DataFrame", "validation": 0.25, "test": None}, "model": {"name": str(tiny_model)},
            "evaluate": {"metric": "accuracy"}, **sections, "train": {**settings, **sections.get("train", {})},
        }  # fmt: skip
        if "max_steps" in mapping["train"]:
            del mapping["train"]["num_train_epochs"]
        done = fit_in(
            tmp_path / place, *load_session(mapping, {"train": sentences}, tmp_path), stop_at=stop_at, resume=resume, smoke=smoke
        )
        tokens = done.session.tokens
        return Trained(done.fit, done.weights, done.losses, done.session.model, tokens.encoded["train"], tokens.pad_id)

    return run


VARIANTS = {
    "plain": {},
    "upstream path": {"train": {"fast": False}},
    "accumulation": {"train": {"gradient_accumulation_steps": 3}},
    "class weights and smoothing": {"train": {"class_weights": "balanced", "label_smoothing_factor": 0.1}},
    "cosine, adafactor": {"train": {"lr_scheduler_type": "cosine", "optim": "adafactor"}},
    "last layer": {"train": {"train_layers": "last 1"}},
    "early stopping": {"train": {"early_stopping": {"patience": 2}, "learning_rate": 1e-6}},
    "lora": {"adapter": {"method": "lora", "r": 4, "lora_dropout": 0.1}},
    "adalora": {"adapter": {"method": "adalora", "init_r": 6, "target_r": 2, "tinit": 2}},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_resume_is_bit_exact(train, tmp_path: Path, name: str) -> None:
    whole = train("whole", **VARIANTS[name])
    with pytest.raises(Interrupted, match="stopped by SIGTERM after step 5 of"):
        train("parts", stop_at=5, **VARIANTS[name])
    torch.manual_seed(12345)
    resumed = train("parts", resume=True, **VARIANTS[name])
    assert "resumed from step 5" in resumed.fit.notes
    assert resumed.losses == whole.losses
    assert (resumed.fit.best_step, resumed.fit.best_value, resumed.fit.steps) == (
        whole.fit.best_step,
        whole.fit.best_value,
        whole.fit.steps,
    )
    assert all(torch.equal(resumed.weights[key], whole.weights[key]) for key in whole.weights)
    assert whole.fit.epoch_logits is not None
    assert resumed.fit.epoch_logits is not None
    assert np.array_equal(resumed.fit.epoch_logits, whole.fit.epoch_logits)


def evaluated(fit: Fit) -> list[tuple[int, float]]:
    return [(entry["step"], entry["eval_accuracy"]) for entry in fit.history if "eval_loss" in entry]


@pytest.mark.parametrize("sections", [{}, {"train": {"early_stopping": {"patience": 2}, "learning_rate": 1e-6}}])
@pytest.mark.parametrize("n", [0, -1], ids=["at the first evaluation", "at the last one"])
def test_a_stop_at_a_step_with_an_evaluation_leaves_it_to_the_resumed_run(train, sections: dict[str, Any], n: int) -> None:
    whole = train("whole", **sections)
    step = evaluated(whole.fit)[n][0]
    with pytest.raises(Interrupted, match=f"stopped by SIGTERM after step {step} of"):
        train("parts", stop_at=step, **sections)
    resumed = train("parts", resume=True, **sections)
    assert evaluated(resumed.fit) == evaluated(whole.fit)
    assert resumed.losses == whole.losses
    assert (resumed.fit.best_step, resumed.fit.steps) == (whole.fit.best_step, whole.fit.steps)
    assert all(torch.equal(resumed.weights[key], whole.weights[key]) for key in whole.weights)


@pytest.mark.parametrize("n", [1, 3], ids=["in the first evaluation", "in the last one"])
def test_a_signal_ends_an_evaluation_at_once(tmp_path: Path, tiny_model: Path, sentences: list[dict[str, str]], n: int) -> None:
    mapping = {
        "data": {"train": "DataFrame", "validation": 0.25, "test": None}, "model": {"name": str(tiny_model)},
        "evaluate": {"metric": "accuracy"}, "train": {"max_steps": 6, "n_evaluations": 3, "seed": 3},
    }  # fmt: skip
    calls: list[int] = []
    steps, session = load_session(mapping, {"train": sentences}, tmp_path)

    def stopped(session: Any, max_rows: int | None) -> Any:
        evaluate = steps.evaluate_fn(session, max_rows)

        def run(model: torch.nn.Module) -> dict[str, float]:
            calls.append(len(calls) + 1)
            if calls[-1] == n:
                signal.raise_signal(signal.SIGTERM)
                pytest.fail("the evaluation went on")
            return evaluate(model)

        return run

    with pytest.raises(Interrupted, match=f"stopped by SIGTERM after step {2 * n} of 6"):
        fit_in(tmp_path / "parts", replace(steps, evaluate_fn=stopped), session)
    assert len(calls) == n
    whole = fit_in(tmp_path / "whole", *load_session(mapping, {"train": sentences}, tmp_path))
    resumed = fit_in(tmp_path / "parts", *load_session(mapping, {"train": sentences}, tmp_path), resume=True)
    assert evaluated(resumed.fit) == evaluated(whole.fit)
    assert all(torch.equal(resumed.weights[key], whole.weights[key]) for key in whole.weights)


def test_a_run_that_stopped_early_is_not_trained_further_when_it_is_resumed(train) -> None:
    early = {"train": {"early_stopping": {"patience": 1}, "learning_rate": 1e-6}}
    first = train("early", **early)
    assert first.fit.steps < first.fit.schedule.total_steps
    again = train("early", resume=True, **early)
    assert (again.fit.steps, again.fit.best_step) == (first.fit.steps, first.fit.best_step)
    assert all(torch.equal(again.weights[key], first.weights[key]) for key in first.weights)


def test_the_logits_of_every_row_and_whole_epoch_are_kept(train, without_dropout: Path) -> None:
    settings = {"num_train_epochs": 2.5, "fast": False, "learning_rate": 1e-12, "weight_decay": 0.0}
    done = train("still", model={"name": str(without_dropout)}, train=settings)
    kept = done.fit.epoch_logits
    assert kept is not None
    assert kept.shape == (2, len(done.train), 2)
    plain = logits(done.model, done.train, done.pad_id, FastPath())  # a model that did not move computes the same in every step
    assert np.abs(kept - plain).max() < 1e-3 * np.abs(plain).max()


def test_the_kept_logits_are_those_of_their_rows(train) -> None:
    done = train("learn", train={"num_train_epochs": 6})
    kept, given = done.fit.epoch_logits, np.array(done.train.labels)
    assert kept is not None
    assert kept.shape == (6, len(done.train), 2)
    assert (kept[-1].argmax(axis=1) == given).mean() > 0.95
    assert (kept[0].argmax(axis=1) == given).mean() < 0.9


def test_it_learns(train) -> None:
    done = train("learn", train={"num_train_epochs": 6})
    assert done.losses[-1] < 0.3 * done.losses[0]
    assert done.fit.best_value is not None
    assert done.fit.best_value > 0.9


def test_same_seed_same_weights(train) -> None:
    first, second = train("one"), train("two")
    assert all(torch.equal(first.weights[key], second.weights[key]) for key in first.weights)


def test_accumulating_equals_one_batch(train, without_dropout: Path) -> None:
    settings = {"num_train_epochs": 1, "fast": False, "n_logs": 100}
    model = {"name": str(without_dropout)}
    whole = train("a", model=model, train={**settings, "per_device_train_batch_size": 12})
    parts = train("b", model=model, train={**settings, "per_device_train_batch_size": 3, "gradient_accumulation_steps": 4})
    assert len(whole.losses) == 15
    assert parts.losses == pytest.approx(whole.losses, abs=1e-5)


def test_the_fast_path_trains_like_the_plain_one_in_fp32(train, without_dropout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same rows in the same batches: attention and dropout fast_path change nothing but the time."""
    from tunesmith.tasks.classification import model as work

    settings, model = {"num_train_epochs": 1, "n_logs": 100}, {"name": str(without_dropout)}
    plain = train("a", model=model, train={**settings, "fast": False})
    fast = FastPath(fast=True, precision="fp32", attention="eager", dropout="words", keep_memory=True, bucketed=False)
    monkeypatch.setattr(work, "choose_fast_path", lambda *_, **__: fast)
    assert train("b", model=model, train=settings).losses == pytest.approx(plain.losses, abs=1e-5)


def test_two_checkpoints_stay_and_both_are_whole(train, tmp_path: Path) -> None:
    train("kept")
    names = sorted(path.name for path in (tmp_path / "kept").iterdir() if path.is_dir())
    assert names == ["best", "checkpoint-36"]
    found, refused = newest_whole(tmp_path / "kept")
    assert found is not None
    assert refused == []


def test_smoke_saves_nothing(train, tmp_path: Path) -> None:
    train("smoke", smoke=True, train={"max_steps": 3})
    assert [path.name for path in (tmp_path / "smoke").iterdir()] == ["metrics.jsonl"]


def test_huge_learning_rate_fails_with_the_reason(train) -> None:
    with pytest.raises(
        TrainingFailed,
        match=r"(?s)Training stopped at step \d+ of 36: .*Rows of that step .*Lower train.learning_rate \(requested: 1e\+09\)",
    ):
        train("diverged", train={"learning_rate": 1e9})


def test_a_loss_that_is_not_finite_names_step_and_rows(train, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.training.losses import classification

    honest, calls = classification.item_losses, []

    def broken(kind: str, logits: torch.Tensor, *rest: Any) -> torch.Tensor:
        if logits.requires_grad:
            calls.append(1)
        return honest(kind, logits, *rest) * (math.nan if len(calls) == 4 else 1.0)

    monkeypatch.setattr(classification, "item_losses", broken)
    with pytest.raises(
        NonFinite, match=r"Training stopped at step 4 of 36: the loss became nan .*row_id in the training file\): \d+, \d+"
    ):
        train("nan")


def test_a_gradient_that_is_not_finite_stops_before_the_update(train, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the test that the one upstream method this relies on is still called."""
    from accelerate import Accelerator

    monkeypatch.setattr(Accelerator, "clip_grad_norm_", lambda *_a, **_k: torch.tensor(math.inf))
    with pytest.raises(NonFinite, match=r"step 1 of 36: the gradient's norm became inf"):
        train("inf")


def test_a_gradient_of_exactly_zero_is_reported(train, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate import Accelerator

    honest, calls = Accelerator.clip_grad_norm_, []

    def cut(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        return torch.tensor(0.0) if len(calls) == 5 else honest(*arguments, **named)

    monkeypatch.setattr(Accelerator, "clip_grad_norm_", cut)
    with pytest.raises(TrainingFailed, match=r"stopped at step 5 of 36: the loss is 0\.\d+ and its gradient is exactly zero"):
        train("zero")


def test_early_stopping_is_noted(train) -> None:
    done = train("early", train={"early_stopping": {"patience": 2}, "learning_rate": 1e-7})
    assert done.fit.steps < 36
    assert "stopped early at step" in done.fit.notes[-1]


def test_best_weights_are_put_back(train, tmp_path: Path) -> None:
    done = train("best", train={"num_train_epochs": 6, "learning_rate": 0.02, "lr_scheduler_type": "constant"})  # it ends worse
    saved = load_file(tmp_path / "best" / "best" / "trained.safetensors")
    assert done.fit.best_step < done.fit.steps
    assert all(torch.equal(tensor, done.weights[key]) for key, tensor in saved.items() if key in done.weights)


def test_damaged_checkpoint_is_passed_over(train, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train("hurt", stop_at=20)
    folder = next(path for path in (tmp_path / "hurt").iterdir() if path.name.startswith("checkpoint"))
    (folder / "optimizer.pt").write_bytes(b"half")
    whole, resumed = train("sound"), train("hurt", resume=True)
    assert any("is ignored: optimizer.pt has 4 bytes" in note for note in resumed.fit.notes)
    assert all(torch.equal(resumed.weights[key], whole.weights[key]) for key in whole.weights)
