"""Claims the folder of a run before the work, fills it under a temporary name, and renames it when it is complete."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.errors import InputError, OutputError, Problem
from tunesmith.machine import environment, peak_memory_bytes
from tunesmith.results import finite

RESULT = "result.json"
PREDICTIONS, PREDICTIONS_OF_SEEDS = "predictions.parquet", "predictions_of_seeds.parquet"
EPOCH_LOGITS = "epoch_logits.npz"
SMOKE_ROWS = 100
"""Rows of each split that a smoke run uses at most."""


@dataclass(frozen=True)
class RunFolder:
    """The two paths of a run.

    Attributes:
        final: the folder the user named; it appears when the run is done.
        work: the folder beside it that holds the run until then.
    """

    final: Path
    work: Path

    @property
    def checkpoints(self) -> Path:
        return self.work / "checkpoints"

    @property
    def metrics_log(self) -> Path:
        return self.work / "metrics.jsonl"

    @property
    def model(self) -> Path:
        return self.work / "model"


def claim(output: str | Path, *, resume: bool = False, overwrite: bool = False) -> RunFolder:
    """Returns the run folder for an output path. Writes nothing.

    Raises:
        OutputError: the path is a file, cannot be written to, or holds another run and neither ``resume``
            nor ``overwrite`` is set; ``resume`` with nothing to resume.
    """
    final = Path(output)
    folder = RunFolder(final, final.with_name(final.name + ".partial"))
    require_writable(folder)
    if overwrite:
        return folder
    if resume:
        if folder.work.is_dir():
            return folder
        message = f"there is no interrupted run at {folder.work}."
        if (final / RESULT).exists():
            message = f"{final} is a finished run; there is nothing to resume."
        raise OutputError.one(str(final), message, "Start it without --resume.")
    if folder.work.exists():
        message, remedy = f"an unfinished run is at {folder.work}.", "Continue it with --resume, or start over with --overwrite."
        raise OutputError.one(str(final), message, remedy)
    if final.is_dir() and any(final.iterdir()):
        message = f"the output folder holds {'another run' if (final / RESULT).exists() else 'other files'}."
        raise OutputError.one(str(final), message, "Choose another `output`, or replace it with --overwrite.")
    return folder


def require_writable(folder: RunFolder) -> None:
    """Raises OutputError if the output cannot be made: a file is in the way, or the parent folder is read-only."""
    for path in (folder.final, folder.work):
        if path.exists() and not path.is_dir():
            raise OutputError.one(str(path), "a file of this name is in the way of the run folder.", "Choose another `output`.")
    parent = folder.final.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise OutputError.one(str(folder.final), f"{parent} is a file, not a folder.", "Choose another `output`.")
    if not os.access(parent, os.W_OK):
        raise OutputError.one(str(folder.final), f"{parent} cannot be written to.", "Choose another `output`.")


def begin(folder: RunFolder, recipe_text: str, resolved_text: str, *, resume: bool = False) -> None:
    """Makes the working folder and saves the recipe in it; a resumed run keeps what it has, and has to have the same recipe."""
    resolved = folder.work / "resolved.yaml"
    if not resume:
        if folder.work.exists():
            shutil.rmtree(folder.work)
        folder.work.mkdir(parents=True)
        (folder.work / "recipe.yaml").write_text(recipe_text, encoding="utf-8")
        resolved.write_text(resolved_text, encoding="utf-8")
        return
    if not resolved.exists():
        raise OutputError.one(str(folder.work), "the unfinished run has no resolved.yaml.", "Start over with --overwrite.")
    before, now = (settings(text) for text in (resolved.read_text(encoding="utf-8"), resolved_text))
    changed = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    if changed:
        remedy = "Set it back, or start over with --overwrite."
        changes = {key: f"was {before.get(key)} when the run was started, is {now.get(key)} now." for key in changed}
        raise InputError([Problem("resume", key, message, remedy) for key, message in changes.items()])


def settings(text: str) -> dict[str, Any]:
    """Flattens a YAML text to ``section.key -> value``."""
    import yaml

    flat: dict[str, Any] = {}
    stack = [("", yaml.safe_load(text) or {})]
    while stack:
        path, node = stack.pop()
        if isinstance(node, dict) and node:
            stack.extend((f"{path}.{key}" if path else str(key), value) for key, value in node.items())
        else:
            flat[path] = node
    return flat


def finish(folder: RunFolder) -> Path:
    """Gives the complete run its final name, replacing what was there, and returns that folder."""
    if folder.final.exists():
        shutil.rmtree(folder.final)
    folder.final.parent.mkdir(parents=True, exist_ok=True)
    folder.work.replace(folder.final)
    return folder.final


def write_record(path: Path, plain: Mapping[str, Any]) -> None:
    """Writes an outcome as JSON, with versions, machine and peak memory."""
    record = {**plain, "environment": environment(), "peak_memory_bytes": peak_memory_bytes()}
    path.write_text(json.dumps(finite(record), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_lines(path: Path, events: list[dict[str, Any]]) -> None:
    """Replaces a JSON-lines file by these objects."""
    path.write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events), encoding="utf-8")


def seed_places(folder: RunFolder, seed: int, n_seeds: int) -> tuple[Path, Path]:
    """Returns one seed's checkpoint folder, which is made, and the path of its log."""
    place = folder.checkpoints if n_seeds == 1 else folder.checkpoints / f"seed-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    return place, folder.metrics_log if n_seeds == 1 else folder.work / f"metrics-seed-{seed}.jsonl"


def nearest_folder(path: Path) -> Path:
    """Returns the folder itself or its nearest parent that exists."""
    while not path.is_dir():
        path = path.absolute().parent
    return path
