"""tunesmith: a tuned model and the evidence that it is better.

import tunesmith
run = tunesmith.train(frame, output="runs/tickets")   # a DataFrame, a path, or a list of dictionaries
print(run.verdicts, run.predict(["where is my parcel?"]))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.answering import generate as generate
    from tunesmith.api import check as check
    from tunesmith.api import diagnose as diagnose
    from tunesmith.api import train as train
    from tunesmith.errors import InputError as InputError
    from tunesmith.errors import TunesmithError as TunesmithError
    from tunesmith.examine import evaluate_retrieval as evaluate_retrieval
    from tunesmith.examine import evaluate_similarity as evaluate_similarity
    from tunesmith.examine_language import evaluate_language as evaluate_language
    from tunesmith.results import RunResult as RunResult
    from tunesmith.trained import Run as Run
    from tunesmith.use import compare as compare
    from tunesmith.use import evaluate as evaluate
    from tunesmith.use import predict as predict
    from tunesmith.vectors import embed as embed

__version__ = "0.1.0"

# name -> module that has it; loaded at first use, so that importing tunesmith stays light.
PUBLIC = {
    "Run": "trained", "RunResult": "results", "InputError": "errors", "TunesmithError": "errors",
    "check": "api", "compare": "use", "diagnose": "api", "embed": "vectors", "evaluate": "use",
    "evaluate_language": "examine_language", "generate": "answering",
    "evaluate_retrieval": "examine", "evaluate_similarity": "examine", "predict": "use", "train": "api",
}  # fmt: skip

__all__ = [*PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"tunesmith has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"tunesmith.{PUBLIC[name]}"), name)
