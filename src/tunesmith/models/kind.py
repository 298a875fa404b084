"""What kind of model a name or a folder is (language model, embedding or reward model, classifier), and the verbs for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tunesmith.errors import InputError, ModelError
from tunesmith.recipe.sections import ModelSection
from tunesmith.recipe.tasks import TASKS
from tunesmith.results import RunResult
from tunesmith.run_folder import require_saved_model

ModelKind = Literal["causal", "seq2seq", "embedding", "reward", "classifier"]
WRITING: tuple[ModelKind, ...] = ("causal", "seq2seq")
"""The kinds that generate texts: decoders, and encoder-decoders, whose encoder alone is also an embedding model."""
RESULT = "result.json"
MODULES = "modules.json"
"""The file of sentence-transformers' models."""
REWARD = "reward.json"
"""The file of settings beside a reward model."""
HUB, BUILTIN = "hub:", "builtin:"
CAUSAL = ("ForCausalLM", "LMHeadModel")
"""The endings of transformers' causal language models."""
SEQ2SEQ = ("ForConditionalGeneration", "MTModel")
"""The endings of transformers' encoder-decoders."""
CLASSIFIER = "ForSequenceClassification"
PEFT_SETTINGS = "adapter_config.json"
CLASSIFIER_ADAPTER = "SEQ_CLS"
"""Peft's task type of classifiers."""
GENERATE = "Use tunesmith generate for its texts (--choices if answers are labels), evaluate to measure it."
OTHER_KINDS = (
    (CAUSAL, "a causal language model", GENERATE),
    (("ForMaskedLM",), "a masked language model", "Train it: model.name in a recipe; tunesmith embed gives its vectors."),
    (
        ("ForTokenClassification",),
        "a model that labels single tokens",
        "tunesmith classifies whole texts; model.name trains its body.",
    ),
    (("ForQuestionAnswering",), "a model that marks answers in a text", "model.name in a recipe trains its body."),
    (SEQ2SEQ, "an encoder-decoder", GENERATE),
    (("Model",), "a model without a classification head", "Train it: model.name in a recipe; tunesmith embed gives its vectors."),
)
"""Endings of architectures -> what such a model is, and what tunesmith does with it."""


def detect_model_kind(name: str) -> ModelKind:
    """Returns the kind of a run, a folder, ``hub:NAME`` or ``builtin:NAME``. What is none of the others is a classifier."""
    folder, is_named = Path(name), name.startswith((BUILTIN, HUB))
    require_saved_model(folder)
    if is_reward_model(folder):
        return "reward"
    files = [folder / inner / file for inner in ("", "model") for file in ("config.json", "base.json")]
    if is_named or any(file.exists() for file in files):
        if is_causal_model(name.removeprefix(HUB)):
            return "causal"
        if is_causal_model(name.removeprefix(HUB), SEQ2SEQ, "seq2seq"):
            return "seq2seq"
    if (is_named or (folder / "config.json").exists()) and is_classifier(name.removeprefix(HUB)):
        return "classifier"
    if is_named or (folder / "config.json").exists() or is_embedding_folder(folder) or is_embedding_folder(folder / "model"):
        return "embedding"
    return "classifier"


def is_embedding_folder(folder: Path) -> bool:
    """Tells whether a folder holds a model of sentence-transformers."""
    return (folder / MODULES).exists()


def is_reward_model(folder: Path) -> bool:
    """Tells whether a folder is a run of a reward model, or holds one that a run saved."""
    return any((place / REWARD).exists() for place in (folder, folder / "model"))


def is_language_run(run: Path) -> bool:
    settings = TASKS.get(RunResult.load(run / RESULT).task) if (run / RESULT).exists() else None
    return settings is not None and settings.family == "language"


def is_causal_model(name: str, endings: tuple[str, ...] = CAUSAL, objective: str = "causal") -> bool:
    """Tells whether a name is a causal language model: the run of one, a folder, a hub id or ``builtin:NAME``.

    Args:
        endings, objective: of the architecture, and of an adapter's base model; those of encoder-decoders ask for one of them.
    """
    from tunesmith.models.adapters.base import BASE_FILE, AdapterBase

    path = Path(name)
    if (path / RESULT).exists() and not is_language_run(path):
        return False
    for folder in (path, path / "model"):
        if is_embedding_folder(folder):
            return False
        if (folder / BASE_FILE).exists():
            return AdapterBase.load(folder).objective == objective
    return any(kind.endswith(endings) for kind in architectures(name))


def architectures(name: str) -> tuple[str, ...]:
    """Returns the architectures in the config of a folder, a hub id or ``builtin:NAME``. Raises ModelError if it is no model."""
    from tunesmith.models.load import load_config
    from tunesmith.models.source import find_model

    return tuple(map(str, load_config(find_model(ModelSection(name=name), Path())).architectures or ()))


def is_classifier(name: str) -> bool:
    """Tells whether a folder or a hub id is a classifier or regression of texts with its head, or peft's adapter of one."""
    folder = Path(name)
    if is_embedding_folder(folder):
        return False
    if (folder / PEFT_SETTINGS).is_file():
        settings = adapter_settings(folder)
        head, base = settings.get("task_type"), settings.get("base_model_name_or_path")
        return head == CLASSIFIER_ADAPTER or (head is None and isinstance(base, str) and is_classifier(base))
    return any(kind.endswith(CLASSIFIER) for kind in architectures(name))


def adapter_settings(folder: Path) -> dict[str, Any]:
    """Reads peft's settings of an adapter. Raises ModelError if they cannot be read."""
    from tunesmith.models.model_files import read_settings

    return read_settings(folder / PEFT_SETTINGS, str(folder))


def not_a_classifier(name: str) -> InputError:
    """Returns the error about a folder, a hub id or ``builtin:NAME`` that is no classifier: what it is, and the verbs for it."""
    folder = Path(name)
    if is_embedding_folder(folder) or (name.startswith(BUILTIN) and not is_causal_model(name)):
        remedy = "Use tunesmith embed for its vectors, and tunesmith evaluate to measure them."
        return ModelError.one(name, "this is an embedding model: it predicts no labels.", remedy)
    if (folder / PEFT_SETTINGS).is_file():
        task = adapter_settings(folder).get("task_type") or "none"
        message = f"this is an adapter of peft for another task (task_type {task}): it predicts no labels."
        return ModelError.one(
            name, message, GENERATE if task in ("CAUSAL_LM", "SEQ_2_SEQ_LM") else "Name the adapter of a classifier."
        )
    kinds = architectures(name)
    for endings, what, remedy in OTHER_KINDS:
        if named := [kind for kind in kinds if kind.endswith(endings)]:
            return ModelError.one(name, f"this is {what} ({named[0]}): it predicts no labels.", remedy)
    shown = ", ".join(kinds) or "config.json names none"
    return ModelError.one(
        name, f"this is no classifier of texts (architecture: {shown}).", "Name a classifier or a finished run."
    )
