"""Reads the JSON files of a model's folder, and checks them before transformers reads them, without importing torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunesmith.errors import ModelError
from tunesmith.recipe.tree import shorten

COPY = "Copy or download it again."
SETTINGS = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def check_settings(folder: Path, where: str) -> None:
    """Raises ModelError if a settings file of a model's folder is not JSON, or is evidently of another kind."""
    for name in SETTINGS:
        path = folder / name
        if not path.is_file():
            continue
        settings = read_settings(path, where)
        if name == "config.json" and "model_type" not in settings:
            raise ModelError.one(where, "config.json names no model_type, so transformers cannot know what it is.")
        if name == "tokenizer.json" and not isinstance(settings.get("model"), dict):
            raise ModelError.one(where, 'tokenizer.json holds no tokenizer: it has no object "model".', COPY)
        for key in TOKEN_IDS:
            if key in settings and not is_token_id(settings[key]):
                message = f"{name} has no token id under {key}: {shorten(repr(settings[key]))}."
                raise ModelError.one(where, message, "Write a whole number there, or a list of them.")


def read_settings(path: Path, where: str) -> dict[str, Any]:
    """Reads a JSON object. Raises ModelError with the file and the reason if it is none."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError.one(where, f"{path.name} cannot be read: {explain(error)}.", COPY) from None
    if not isinstance(settings, dict):
        raise ModelError.one(where, f"{path.name} holds no JSON object.", COPY)
    return settings


def explain(error: Exception) -> str:
    """Returns the reason why a text is no JSON; Python's own limits are put in words of the file."""
    if isinstance(error, RecursionError):
        return "its lists or objects are nested too deeply"
    text = str(error).rstrip(".")
    return "it holds a number of thousands of digits" if text.startswith("Exceeds the limit") else text


def is_token_id(value: object) -> bool:
    """Tells whether a value is a whole number, a list of them, or null."""
    ids = value if isinstance(value, list) else [] if value is None else [value]
    return all(isinstance(token, int) and not isinstance(token, bool) for token in ids)
