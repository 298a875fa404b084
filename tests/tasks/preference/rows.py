"""Recipes of preference runs on a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.contract.cases import PREFERRED, joined
from tests.fits import load_session
from tunesmith.tasks.task import TaskSteps

SHORT = {"max_steps": 4, "per_device_train_batch_size": 4, "learning_rate": 2e-3, "n_evaluations": 2, "n_logs": 4}


def frames(n_train: int = 12, n_other: int = 5) -> dict[str, list[dict[str, Any]]]:
    """Pairs for train and validation."""
    rows = [dict(row) for row in PREFERRED]
    return {"train": rows[:n_train], "validation": rows[-n_other:]}


def mapping(model: Path, **changes: Any) -> dict[str, Any]:
    """A recipe without generated answers and without a test split."""
    given = {
        "task": "preference",
        "model": {"name": str(model)},
        "data": {"train": "rows", "validation": "other", "test": None},
        "train": SHORT,
        "evaluate": {"answers": {"rows": 0}, "n_resamples": 200},
    }
    return joined(given, changes)


def session_of(model: Path, base: Path, **changes: Any) -> tuple[TaskSteps[Any, Any], Any]:
    """Loads the session of a recipe."""
    given = changes.pop("frames", None) or frames()
    return load_session(mapping(model, **changes), {name: as_columns(rows) for name, rows in given.items()}, base)


def as_columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}
