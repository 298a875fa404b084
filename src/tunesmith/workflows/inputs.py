"""Hashes every file that a recipe names, so that a resumed run is known to go on with the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tunesmith.data.readers.hashes import hash_path, hash_table
from tunesmith.data.readers.read import resolve_path
from tunesmith.disk import hash_files
from tunesmith.recipe.files import is_file_name
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.recipe.sections import Recipe

MODEL_FILES = ("*", "[0-9]*_*/*"), (".safetensors", ".json", ".txt", ".model", ".tiktoken", ".jinja", ".py")
"""Patterns and suffixes of a model's files that are loaded; another run may be in the folder as well."""


def input_hashes(loaded: LoadedRecipe, frames: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Returns recipe key -> sha256 of each file, folder or table in memory that the recipe names.

    The sha256 is empty for a file that cannot be read. Of a hub model it is the commit in the cache. Built-in data and models
    belong to the installed version and are left out.
    """
    hashes = {f"data.{split}": hash_table(frame) for split, frame in (frames or {}).items()}
    for key, name in named_files(loaded.recipe):
        if key not in hashes and is_file_name(name):
            path = resolve_path(name, loaded.base)
            if path.exists():
                hashes[key] = hash_path(path)
            elif not key.endswith("chat_template"):  # else it is the name of a template
                hashes[key] = ""
    models = {key: hash_model(name, loaded.base, loaded.recipe.model.revision) for key, name in named_models(loaded.recipe)}
    return hashes | {key: sha256 for key, sha256 in models.items() if sha256}


def named_files(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yields recipe key and name of each data file, and of the files of text and code that a training uses."""
    data, evaluate = recipe.data, recipe.evaluate
    function = evaluate.answers.function
    names: dict[str, object] = {
        "data.train": data.train,
        "data.validation": data.file("validation"),
        "data.test": data.file("test"),
        **{f"data.also[{i}]": name for i, name in enumerate(data.also)},
        "evaluate.retrieval": evaluate.retrieval,
        "evaluate.general": evaluate.general,
        "evaluate.function": None if evaluate.function is None else evaluate.function.rpartition(":")[0],
        "evaluate.answers.function": None if function is None else function.rpartition(":")[0],
        **{f"rewards.reward_funcs[{i}]": name.rpartition(":")[0] for i, name in enumerate(recipe.rewards.reward_funcs)},
        "rewards.gold": None if recipe.rewards.gold is None else recipe.rewards.gold.rpartition(":")[0],
        "reward.shifted": recipe.reward.shifted,
        "reward.chat_template": recipe.reward.chat_template,
        "sft.chat_template": recipe.sft.chat_template,
        "ppo.chat_template": recipe.ppo.chat_template,
        "grpo.chat_template": recipe.grpo.chat_template,
        "preference.chat_template": recipe.preference.chat_template,
    }
    return ((key, name) for key, name in names.items() if isinstance(name, str) and name)


def named_models(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yields recipe key and name of each model that a training loads; rewards that are functions of files are none."""
    embedding, negatives = recipe.embedding, recipe.embedding.hard_negatives
    rewards = {f"rewards.reward_funcs[{i}]": name for i, name in enumerate(recipe.rewards.reward_funcs)}
    rewards |= {"rewards.gold": recipe.rewards.gold or ""}
    names = {
        "model.name": recipe.model.name,
        "embedding.first_stage": embedding.first_stage,
        "embedding.guide": embedding.guide,
        "embedding.hard_negatives.cross_encoder": None if negatives is None else negatives.cross_encoder,
        **{key: name for key, name in rewards.items() if ":" not in name},
    }
    return ((key, name) for key, name in names.items() if name)


def hash_model(name: str, base: Path, revision: str | None = None) -> str:
    """Returns the sha256 of a model's files, or its commit if it is a cached hub model; empty if it is built in or not here."""
    path = resolve_path(name, base)
    if path.is_dir():
        return hash_files(path / "model" if (path / "model").is_dir() else path, *MODEL_FILES)
    return cached_commit(name, revision) if is_file_name(name) else ""


def cached_commit(name: str, revision: str | None) -> str:
    """Returns the commit of a hub model in the cache; empty if it is not there."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        path = try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError:
        return ""
    return Path(path).parent.name if isinstance(path, str) else ""
