"""What kind of model a name or a folder is: a causal language model, an embedding model, or a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tunesmith.recipe.sections import ModelSection
from tunesmith.recipe.tasks import TASKS
from tunesmith.results import RunResult
from tunesmith.run_folder import require_finished

ModelKind = Literal["causal", "embedding", "classifier"]
RESULT = "result.json"
MODULES = "modules.json"
"""The file of sentence-transformers' models."""
HUB, BUILTIN = "hub:", "builtin:"
CAUSAL = ("ForCausalLM", "LMHeadModel")
"""The endings of transformers' causal language models."""


def detect_model_kind(name: str) -> ModelKind:
    """Returns the kind of a run, a folder, ``hub:NAME`` or ``builtin:NAME``. What is none of the others is a classifier."""
    folder, is_named = Path(name), name.startswith((BUILTIN, HUB))
    require_finished(folder)
    files = [folder / inner / file for inner in ("", "model") for file in ("config.json", "base.json")]
    if (is_named or any(file.exists() for file in files)) and is_causal_model(name.removeprefix(HUB)):
        return "causal"
    if is_named or (folder / "config.json").exists() or is_embedding_folder(folder) or is_embedding_folder(folder / "model"):
        return "embedding"
    return "classifier"


def is_embedding_folder(folder: Path) -> bool:
    """Tells whether a folder holds a model of sentence-transformers."""
    return (folder / MODULES).exists()


def is_language_run(run: Path) -> bool:
    settings = TASKS.get(RunResult.load(run / RESULT).task) if (run / RESULT).exists() else None
    return settings is not None and settings.family == "language"


def is_causal_model(name: str) -> bool:
    """Tells whether a name is a causal language model: the run of one, a folder, a hub id or ``builtin:NAME``."""
    from tunesmith.models.adapters.base import BASE_FILE, AdapterBase
    from tunesmith.models.load import load_config
    from tunesmith.models.source import find_model

    path = Path(name)
    if (path / RESULT).exists() and not is_language_run(path):
        return False
    for folder in (path, path / "model"):
        if is_embedding_folder(folder):
            return False
        if (folder / BASE_FILE).exists():
            return AdapterBase.load(folder).objective == "causal"
    config = load_config(find_model(ModelSection(name=name), Path()))
    return any(str(kind).endswith(CAUSAL) for kind in config.architectures or ())
