"""Embedding losses: each one learns from real rows, and a run that was stopped goes on as if it had not been."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fits import Trained, fit_in, load_session
from tunesmith.errors import Interrupted
from tunesmith.training.losses.embedding import LOSSES

N_ROWS = 40
Columns = dict[str, list[Any]]


@pytest.fixture(scope="module")
def tables(shared: Path) -> dict[str, Columns]:
    """Real rows of every shape."""
    with (shared / "data" / "stsb" / "stsb-en-dev.csv").open(encoding="utf-8", newline="") as file:
        scored = list(csv.reader(file))[:N_ROWS]
    first, second, scores = [r[0] for r in scored], [r[1] for r in scored], [float(r[2]) / 5 for r in scored]
    lines = [
        (shared / "data" / "snli" / name).read_text(encoding="utf-8").splitlines() for name in ("s1.dev", "s2.dev", "labels.dev")
    ]
    premises, hypotheses, classes = (part[:N_ROWS] for part in lines)
    with (shared / "data" / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        banking = [row for i, row in enumerate(csv.DictReader(file)) if i % 40 < 8][:N_ROWS]
    third = second[1:] + second[:1]
    return {
        "scored_pair": {"sentence1": first, "sentence2": second, "score": scores},
        "labelled_pair": {"premise": premises, "hypothesis": hypotheses, "label": classes},
        "two_classes": {"text1": first, "text2": second, "label": ["same" if s > 0.5 else "different" for s in scores]},
        "labelled_text": {"text": [r["text"] for r in banking], "label": [r["category"] for r in banking]},
        "positive_pair": {"anchor": first, "positive": second},
        "triplet": {"anchor": first, "positive": second, "negative": third},
        "single_text": {"text": first},
        "teacher_scores": {"anchor": first, "positive": second, "negative": third, "score": [[s, 0.1] for s in scores]},
        "teacher_vectors": {"text": first, "embedding": np.random.default_rng(0).normal(size=(N_ROWS, 32)).round(3).tolist()},
    }  # fmt: skip


def file_of(columns: Columns, path: Path) -> str:
    """The rows as a file."""
    lines = [json.dumps(dict(zip(columns, cells, strict=True))) for cells in zip(*columns.values(), strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def train(tmp_path: Path, tiny_model: Path, tables: dict[str, Columns]) -> Callable[..., Trained]:
    """A function that trains the tiny model on rows of a shape; ``stop_at`` asks for a stop after that step."""

    def run(
        place: str, rows: str, *, stop_at: int | None = None, resume: bool = False, also: tuple[str, ...] = (), **sections: Any
    ) -> Trained:
        files = [file_of(tables[name], tmp_path / f"{name}.jsonl") for name in also]
        settings = {
            "per_device_train_batch_size": 8, "learning_rate": 1e-3, "max_steps": 6, "n_evaluations": 2, "n_logs": 10,
            "seed": 3, "dropout": 0.1,
        }  # fmt: skip
        mapping = {
            "task": "embedding", "data": {"train": "t", "validation": "v", "max_length": 24, "also": files},
            "model": {"name": str(tiny_model)}, **sections, "train": {**settings, **sections.get("train", {})},
        }  # fmt: skip
        frames = {"train": tables[rows], "validation": tables["scored_pair"]}
        steps, session = load_session(mapping, frames, tmp_path)
        done = fit_in(tmp_path / place, steps, session, stop_at=stop_at, resume=resume)
        losses = torch.nn.ModuleList(part.loss for part in session.parts)  # some have weights of their own
        return replace(done, weights={name: value.clone() for name, value in losses.state_dict().items()})

    return run


def rows_for(name: str) -> str:
    """Rows that the loss takes."""
    return "two_classes" if LOSSES[name].classes == 2 else LOSSES[name].formats[0]


OPTIONS: dict[str, dict[str, Any]] = {
    "TripletLoss": {"loss_options": {"triplet_margin": 0.5}},
    "MegaBatchMarginLoss": {"loss_options": {"mini_batch_size": 4}},
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_learns_from_real_rows(train, name: str) -> None:
    done = train("run", rows_for(name), train={"max_steps": 4}, embedding={"loss": name, **OPTIONS.get(name, {})})
    assert done.fit.steps == 4
    assert all(np.isfinite(done.losses))
    assert len(done.losses) == 4


WITH_WEIGHTS = [name for name, loss in LOSSES.items() if loss.has_weights]
RESUMED: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (rows_for(name), {"embedding": {"loss": name}}) for name in WITH_WEIGHTS},
    "MSELoss with a projection": ("teacher_vectors", {"embedding": {
        "loss": "MSELoss", "dense": 16, "loss_options": {"projection_dim": 32}}}),
    "in-batch negatives": ("positive_pair", {}),
    "groups of classes": ("labelled_text", {}),
    "Matryoshka": ("positive_pair", {"embedding": {"matryoshka_dimensions": [8, 16]}}),
    "fresh modules": ("scored_pair", {"embedding": {"pooling": "cls", "dense": 16, "normalize": True}}),
    "lora": ("positive_pair", {"adapter": {"method": "lora", "r": 4, "lora_dropout": 0.1}}),
    "last layer": ("positive_pair", {"train": {"train_layers": "last 1"}}),
    "upstream path": ("triplet", {"train": {"fast": False}}),
    "in turns": ("positive_pair", {"also": ("labelled_pair", "single_text"), "embedding": {"mix": "round_robin"}}),
    "by size": ("scored_pair", {"also": ("triplet",), "embedding": {"mix": "proportional"}}),
    "one table": ("positive_pair", {"also": ("positive_pair",)}),
    "accumulation": ("positive_pair", {"train": {"gradient_accumulation_steps": 2}}),
}  # fmt: skip


@pytest.mark.parametrize("name", RESUMED)
def test_resume_is_bit_exact(train, name: str) -> None:
    rows, sections = RESUMED[name]
    whole = train("whole", rows, **sections)
    with pytest.raises(Interrupted, match="stopped by SIGTERM after step 3 of"):
        train("parts", rows, stop_at=3, **sections)
    torch.manual_seed(12345)
    np.random.seed(12345)
    parts = train("parts", rows, resume=True, **sections)
    assert any("resumed from step 3" in note for note in parts.fit.notes)
    assert parts.losses == whole.losses
    assert parts.fit.best_value == whole.fit.best_value
    assert whole.weights.keys() == parts.weights.keys()
    for key, value in whole.weights.items():
        assert torch.equal(value, parts.weights[key]), key


def test_groups_of_similar_length_change_rounding_only(train) -> None:
    same = {"train": {"dropout": 0.0}}
    fast = train("fast", "positive_pair", **same)
    plain = train("plain", "positive_pair", train={"dropout": 0.0, "fast": False})
    assert np.allclose(fast.losses, plain.losses, rtol=2e-2)
