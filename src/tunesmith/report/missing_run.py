"""Describes paths at which no run is: nothing, a checkpoint that was not kept, or a folder without a model."""

from __future__ import annotations

from pathlib import Path

from tunesmith.errors import ModelError

CHECKPOINTS = "checkpoints"


def require_there(target: str | Path) -> None:
    """Raises ModelError if nothing is at a path, with the checkpoints that exist where one is named."""
    path = Path(target)
    if path.exists():
        return
    remedy = "Name the folder of a finished run, such as runs/first, or of a model."
    place = next((folder for folder in path.parents[:2] if folder.name == CHECKPOINTS and folder.is_dir()), None)
    if place is not None:
        kept = (str(item.parent.relative_to(place)) for item in place.rglob("model"))
        models = sorted(kept, key=lambda name: (len(name), name))
        remedy = f"The run has the checkpoints {', '.join(models)}." if models else "The run kept no checkpoints with a model."
        remedy += "" if models else " train.save_strategy: all keeps them."
    raise ModelError.one(str(target), "there is no such file or folder.", remedy)


def no_model(folder: Path) -> str:
    """Says that a folder is no model of transformers either, as the end of a sentence; empty if it has a config."""
    return "" if (folder / "config.json").exists() else "; nor is it a model of transformers: it has no config.json"
