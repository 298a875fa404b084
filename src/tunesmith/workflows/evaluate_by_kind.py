"""Evaluates a model of any kind on rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from tunesmith.models.kind import HUB, WRITING, ModelKind, detect_model_kind
from tunesmith.recipe.tasks import TASKS
from tunesmith.results import RunResult
from tunesmith.tasks.finished import Run, folder_of
from tunesmith.tasks.saved_recipe import result_of_model

MEASURES: Mapping[ModelKind, tuple[str, str]] = {
    **dict.fromkeys(WRITING, ("tasks.language.evaluate_model", "evaluate_language")),
    "embedding": ("tasks.embedding.evaluate_model", "evaluate_similarity"),
    "reward": ("tasks.reward.evaluate_model", "evaluate_reward"),
    "classifier": ("workflows.evaluate", "evaluate"),
}
"""Kind of model -> the module and the function that measure it; imported when they are needed."""
OF_PREFERENCES = ("tasks.preference.evaluate_model", "evaluate_preferences")
"""The same for a causal model that is the run of a preference task."""
OF_RUNS = ("classifier", "reward")
"""Kinds whose function takes a run itself."""


def evaluate_by_kind(target: str | Path | Run, data: object, *, kind: ModelKind | None = None, **options: Any) -> RunResult:
    """Measures a classifier, an embedding or reward model, or a language model by the function of its kind.

    Args:
        target: a run or its folder; of an embedding or language model also another folder, ``hub:NAME`` or ``builtin:NAME``.
        data: the path or name of rows, or a table in memory.
        kind: the model's, if it is known.
        options: those of ``workflows.evaluate.evaluate``, ``evaluate_similarity``, ``evaluate_reward`` or ``evaluate_language``.

    Raises InputError if the model or the rows cannot be used.
    """
    name = str(folder_of(target))
    kind = detect_model_kind(name) if kind is None else kind
    module, function = MEASURES[kind]
    if kind == "causal" and is_preference_run(name):
        module, function = OF_PREFERENCES
    measure: Callable[..., RunResult] = getattr(import_module(f"tunesmith.{module}"), function)
    if "against" in options:
        options["against"] = [str(other).removeprefix(HUB) for other in options["against"]]
    return measure(target if kind in OF_RUNS else name.removeprefix(HUB), data, **options)


def is_preference_run(name: str) -> bool:
    """Tells whether a name is the run of a preference task, or a model that one has kept."""
    result = result_of_model(Path(name))
    settings = None if result is None else TASKS.get(result.task)
    return settings is not None and settings.has_key(("preference",))
