"""Evaluates a model of any kind on rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.models.kind import HUB, ModelKind, detect_model_kind
from tunesmith.results import RunResult
from tunesmith.tasks.finished import Run, folder_of

if TYPE_CHECKING:
    from collections.abc import Callable


def evaluate_by_kind(target: str | Path | Run, data: object, *, kind: ModelKind | None = None, **options: Any) -> RunResult:
    """Measures a classifier, an embedding model or a causal language model by the function of its kind.

    Args:
        target: a run or its folder; of an embedding or language model also another folder, ``hub:NAME`` or ``builtin:NAME``.
        data: the path or name of rows, or a table in memory.
        kind: the model's, if it is known.
        options: those of ``workflows.evaluate.evaluate``, ``evaluate_similarity`` or ``evaluate_language``, by the kind.

    Raises InputError if the model or the rows cannot be used.
    """
    name = str(folder_of(target))
    kind = detect_model_kind(name) if kind is None else kind
    measure: Callable[..., RunResult]
    if kind == "causal":
        from tunesmith.tasks.language.evaluate_model import evaluate_language as measure
    elif kind == "embedding":
        from tunesmith.tasks.embedding.evaluate_model import evaluate_similarity as measure
    else:
        from tunesmith.workflows.evaluate import evaluate as measure
    if "against" in options:
        options["against"] = [str(other).removeprefix(HUB) for other in options["against"]]
    return measure(target if kind == "classifier" else name.removeprefix(HUB), data, **options)
