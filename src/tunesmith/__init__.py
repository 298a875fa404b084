"""tunesmith: a tuned model and the evidence that it is better.

import tunesmith
run = tunesmith.train(frame, output="runs/tickets")   # a DataFrame, a path, or a list of dictionaries
print(run.verdicts, run.predict(["where is my parcel?"]).predictions)
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.errors import InputError as InputError
    from tunesmith.errors import TunesmithError as TunesmithError
    from tunesmith.generation.generator import generate as generate
    from tunesmith.results import RunResult as RunResult
    from tunesmith.tasks.embedding.evaluate_model import evaluate_retrieval as evaluate_retrieval
    from tunesmith.tasks.embedding.evaluate_model import evaluate_similarity as evaluate_similarity
    from tunesmith.tasks.finished import Run as Run
    from tunesmith.tasks.language.evaluate_model import evaluate_language as evaluate_language
    from tunesmith.workflows.apply import apply as apply
    from tunesmith.workflows.compare import compare as compare
    from tunesmith.workflows.compare_answers import compare_answers as compare_answers
    from tunesmith.workflows.demo import demo as demo
    from tunesmith.workflows.embed import embed as embed
    from tunesmith.workflows.estimator import TextClassifier as TextClassifier
    from tunesmith.workflows.estimator import TextRegressor as TextRegressor
    from tunesmith.workflows.evaluate_mteb import evaluate_mteb as evaluate_mteb
    from tunesmith.workflows.from_tables import adapt as adapt
    from tunesmith.workflows.from_tables import check as check
    from tunesmith.workflows.from_tables import diagnose as diagnose
    from tunesmith.workflows.from_tables import evaluate as evaluate
    from tunesmith.workflows.from_tables import experiment as experiment
    from tunesmith.workflows.from_tables import rounds as rounds
    from tunesmith.workflows.from_tables import trace as trace
    from tunesmith.workflows.from_tables import train as train
    from tunesmith.workflows.init import init as init
    from tunesmith.workflows.losses import losses as losses
    from tunesmith.workflows.mteb_encoder import mteb_encoder as mteb_encoder
    from tunesmith.workflows.predict import predict as predict
    from tunesmith.workflows.reward_test import reward_test as reward_test
    from tunesmith.workflows.teacher_scores import teacher_scores as teacher_scores

__version__ = "0.1.0"

# name -> module that has it; loaded at first use, so that importing tunesmith stays light.
PUBLIC = {
    "Run": "tasks.finished", "RunResult": "results", "InputError": "errors", "TunesmithError": "errors",
    "TextClassifier": "workflows.estimator", "TextRegressor": "workflows.estimator",
    "adapt": "workflows.from_tables", "apply": "workflows.apply", "check": "workflows.from_tables",
    "compare": "workflows.compare", "compare_answers": "workflows.compare_answers",
    "demo": "workflows.demo", "diagnose": "workflows.from_tables",
    "embed": "workflows.embed",
    "evaluate": "workflows.from_tables", "evaluate_language": "tasks.language.evaluate_model",
    "evaluate_mteb": "workflows.evaluate_mteb",
    "evaluate_retrieval": "tasks.embedding.evaluate_model", "evaluate_similarity": "tasks.embedding.evaluate_model",
    "experiment": "workflows.from_tables",
    "generate": "generation.generator", "init": "workflows.init", "losses": "workflows.losses",
    "mteb_encoder": "workflows.mteb_encoder", "predict": "workflows.predict",
    "report": "workflows.report", "reward_test": "workflows.reward_test", "rounds": "workflows.from_tables",
    "teacher_scores": "workflows.teacher_scores",
    "trace": "workflows.from_tables", "train": "workflows.from_tables",
}  # fmt: skip

__all__ = [*PUBLIC, "__version__"]


class _Package(ModuleType):
    """Keeps ``tunesmith.report`` the function: importing a module of the folder ``report`` would set that name to the folder."""

    @property
    def report(self) -> Any:
        return import_module("tunesmith.workflows.report").report

    @report.setter
    def report(self, folder: ModuleType) -> None: ...


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    """Lists the public names, so that completion finds them before they are loaded."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"tunesmith has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"tunesmith.{PUBLIC[name]}"), name)
