"""Seals checkpoints with a manifest of sizes and sha256, written last and verified first. Unsealed ones are ignored."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tunesmith.data.cells import plural
from tunesmith.disk import hash_file, read_json, whole_file
from tunesmith.errors import InputError, TrainingFailed

MANIFEST = "manifest.json"
BEST = "best"
NAME, STEP_NAME = re.compile(r"checkpoint-(\d+)$"), re.compile(r"step-(\d+)$")


@dataclass(frozen=True)
class Checkpoint:
    """A folder written by the trainer at one optimizer step."""

    path: Path
    step: int


@dataclass(frozen=True)
class FileShape:
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ManifestShape:
    """The types of a manifest."""

    step: int
    files: dict[str, FileShape]


def seal(folder: Path, step: int) -> None:
    """Writes the manifest of a finished checkpoint; without one it does not count."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    entries = {str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": hash_file(path)} for path in files}
    with whole_file(folder / MANIFEST) as part, part.open("w", encoding="utf-8") as file:
        json.dump({"step": step, "files": entries}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def damage(folder: Path) -> str:
    """Returns the reason why a checkpoint cannot be used; empty if every file matches its manifest."""
    path = folder / MANIFEST
    if not path.exists():
        return "it was not finished (no manifest)"
    try:
        entries = read_json(path, ManifestShape)["files"]
    except InputError:
        return "its manifest cannot be read"
    for name, entry in entries.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != entry["bytes"]:
            return f"{name} has {plural(file.stat().st_size, 'byte')}, its manifest has {entry['bytes']:,}"
        if hash_file(file) != entry["sha256"]:
            return f"{name} was changed (sha256 differs)"
    return ""


def list_checkpoints(folder: Path, name: re.Pattern[str] = NAME) -> list[Checkpoint]:
    """Lists the checkpoints in a folder by step, sealed or not."""
    if not folder.is_dir():
        return []
    checkpoints = [Checkpoint(path, int(match.group(1))) for path in folder.iterdir() if (match := name.fullmatch(path.name))]
    return sorted(checkpoints, key=lambda checkpoint: checkpoint.step)


def newest_whole(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Returns the newest checkpoint that verifies, and a sentence for every newer one that does not."""
    notes: list[str] = []
    for checkpoint in reversed(list_checkpoints(folder)):
        reason = damage(checkpoint.path)
        if not reason:
            return checkpoint, notes
        notes.append(f"{checkpoint.path.name} is ignored: {reason}")
    return None, notes


def replace_weights(folder: Path, name: str, step: int, save_weights: Callable[[Path], None]) -> None:
    """Replaces the weights in ``folder/name`` by those that ``save_weights`` writes, completely or not at all."""
    part, best = folder / f"{name}.partial", folder / name
    shutil.rmtree(part, ignore_errors=True)
    save_weights(part)
    seal(part, step)
    if best.exists():
        shutil.rmtree(best)
    part.replace(best)


def keep_evaluation(folder: Path, step: int, best_step: int, limit: int | None, save_weights: Callable[[Path], None]) -> None:
    """Keeps the weights of an evaluation, and of all earlier ones at most ``limit``: the best one's and the newest."""
    replace_weights(folder, f"step-{step}", step, save_weights)
    others = [kept for kept in kept_evaluations(folder) if kept.step != best_step]
    n_surplus = 0 if limit is None else max(0, len(others) - (limit - 1))
    for surplus in others[:n_surplus]:
        shutil.rmtree(surplus.path)


def kept_evaluations(folder: Path) -> list[Checkpoint]:
    """Lists the evaluations whose weights, or models, are kept in a folder, by step."""
    return list_checkpoints(folder, STEP_NAME)


def best_weights(folder: Path, step: int) -> Path:
    """Returns the folder of the best weights, which must be those of that step. Raises TrainingFailed for others."""
    best = folder / BEST
    reason = damage(best)
    if not reason:
        saved_step = json.loads((best / MANIFEST).read_text(encoding="utf-8"))["step"]
        reason = "" if saved_step == step else f"they are of step {saved_step}, the best evaluation was at step {step}"
    if reason:
        raise TrainingFailed(f"The best weights at {best} cannot be used: {reason}. Start over with --overwrite.")
    return best


def keep_only(folder: Path, steps: set[int]) -> None:
    """Deletes the checkpoints of all other steps."""
    for checkpoint in list_checkpoints(folder):
        if checkpoint.step not in steps:
            shutil.rmtree(checkpoint.path)


def remove_states(folder: Path) -> None:
    """Deletes the complete states, of every seed, that training is resumed from: a finished run needs none."""
    for place in (folder, *folder.glob("seed-*")):
        keep_only(place, set())
