"""A finished run: its result, and its model for new texts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.labelled.labels import MULTI, REGRESSION
from tunesmith.data.table import Examples, Labels
from tunesmith.errors import InputError, ModelError
from tunesmith.evaluation.metrics.predictions import decide
from tunesmith.models.kind import is_embedding_folder, is_language_run
from tunesmith.recipe.tasks import TASKS
from tunesmith.report.words import MASKED
from tunesmith.results import RunResult, Verdict
from tunesmith.run_folder import RESULT

if TYPE_CHECKING:
    from tunesmith.models.fast.path import FastPath

USE = "tunesmith.json"


@dataclass(frozen=True)
class PredictorConfig:
    """What beside the weights is needed to use a model: kept in ``model/tunesmith.json``.

    Attributes:
        thresholds: see ``metrics.predictions.decide``; None for the usual ones.
    """

    labels: Labels
    max_length: int
    thresholds: list[float] | None
    columns: dict[str, Any]

    def save(self, folder: Path) -> None:
        plain = {
            "problem_type": self.labels.problem_type, "labels": list(self.labels.names), "max_length": self.max_length,
            "thresholds": self.thresholds, "columns": self.columns, "mean": self.labels.mean, "scale": self.labels.scale,
        }  # fmt: skip
        (folder / USE).write_text(json.dumps(plain, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> PredictorConfig:
        """The record beside a saved model. Raises ModelError where there is none."""
        path = folder / USE
        if is_embedding_folder(folder) or not path.exists():
            raise predicts_no_labels(folder)
        plain = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            Labels(plain["problem_type"], tuple(plain["labels"]), plain.get("mean", 0.0), plain.get("scale", 1.0)),
            plain["max_length"], plain["thresholds"], plain["columns"],
        )  # fmt: skip


def predicts_no_labels(folder: Path) -> InputError:
    """Returns the error about a model without labels, with the verbs that its task has instead."""
    if is_embedding_folder(folder):
        remedy = "Use tunesmith embed for its vectors, and tunesmith evaluate to measure them."
        return ModelError.one(str(folder), "this is an embedding model: it predicts no labels.", remedy)
    if not (folder.parent / RESULT).exists():
        remedy = "Give the folder of a run that `tunesmith train` finished."
        return ModelError.one(str(folder), f"this is no model of a finished run: it has no {USE}.", remedy)
    result = RunResult.load(folder.parent / RESULT)
    if result.data.get("problem_type") == MASKED:
        remedy = f"Its losses are in {folder.parent / RESULT}; model.name: {folder.parent} in a recipe trains it further."
        return ModelError.one(
            str(folder), "this is a masked language model: it predicts no labels and writes no answers.", remedy
        )
    if is_language_run(folder.parent):
        remedy = "Use tunesmith generate for what it writes (--choices where answers are labels), evaluate to measure it."
        return ModelError.one(str(folder), "this is a language model: it predicts no labels.", remedy)
    verbs = " or ".join(f"tunesmith {verb}" for verb in TASKS[result.task].commands)
    return ModelError.one(str(folder), f"this is a run of {TASKS[result.task].noun}: it predicts no labels.", f"Use {verbs}.")


@dataclass(frozen=True)
class Predictor:
    """A trained model in memory with everything that is needed to predict."""

    model: Any
    tokenizer: Any
    record: PredictorConfig
    fast_path: FastPath

    def scores(self, texts: list[str], pairs: list[str] | None = None) -> np.ndarray:
        """Probabilities (N, K) in the order of the labels, or numbers (N) for a regression."""
        from tunesmith.models.encode import encode
        from tunesmith.models.inference import logits
        from tunesmith.tasks.classification.scoring import to_scores

        examples = Examples("predict", "", list(range(len(texts))), texts, [None] * len(texts), pairs)
        outputs = logits(
            self.model, encode(self.tokenizer, examples, self.record.max_length), self.tokenizer.pad_token_id, self.fast_path
        )
        return to_scores(self.record.labels.problem_type, outputs)

    def rows(self, scores: np.ndarray) -> list[dict[str, Any]]:
        """One dictionary a row: ``prediction`` and ``probability`` with ``pred_probs``, or ``score``."""
        names, kind = self.record.labels.names, self.record.labels.problem_type
        if kind == REGRESSION:
            return [{"prediction": value, "score": value} for value in scores.tolist()]
        decided = decide(kind, scores, self.record.thresholds)
        if kind == MULTI:
            chosen = [[names[i] for i in np.flatnonzero(row)] for row in decided]
            return [{"prediction": labels, "pred_probs": probs} for labels, probs in zip(chosen, scores.tolist(), strict=True)]
        return [
            {"prediction": names[label], "probability": probs[label], "pred_probs": probs}
            for label, probs in zip(decided.tolist(), scores.tolist(), strict=True)
        ]


def load_predictor(run: Path) -> Predictor:
    """The model of a finished run, on this machine's device and fast path.

    Raises:
        ModelError: the folder holds no finished run, or its model is damaged.
    """
    from transformers import AutoTokenizer

    from tunesmith.machine import device_name, quiet_libraries, stay_offline
    from tunesmith.models.adapters.attach import is_adapter, reload_classifier
    from tunesmith.models.fast.path import apply_fast_path, choose_fast_path
    from tunesmith.models.source import check_folder

    folder = run / "model" if (run / "model").is_dir() else run
    if not folder.is_dir():
        raise ModelError.one(str(run), "there is no such run.")
    record = PredictorConfig.load(folder)
    if not is_adapter(folder):
        check_folder(folder, str(folder))
    stay_offline()
    quiet_libraries()
    model = reload_classifier(folder).to(device_name())
    fast_path = choose_fast_path(fast=True, device=device_name())
    apply_fast_path(model, fast_path)
    return Predictor(model, AutoTokenizer.from_pretrained(folder), record, fast_path)


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: the run folder.
        result: what ``result.json`` holds.
    """

    folder: Path
    result: RunResult

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """A run from its folder. Raises ModelError where it is not a finished one."""
        path = Path(folder)
        if not (path / RESULT).exists():
            raise ModelError.one(str(path), f"this is no finished run: it has no {RESULT}.")
        return cls(path, RunResult.load(path / RESULT))

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The comparison with every baseline."""
        return self.result.verdicts

    @cached_property
    def predictor(self) -> Predictor:
        """The model, loaded at the first use."""
        return load_predictor(self.folder)

    def predict(self, texts: list[str], pairs: list[str] | None = None) -> list[dict[str, Any]]:
        """One dictionary a text: see ``Predictor.rows``."""
        return self.predictor.rows(self.predictor.scores(list(texts), pairs))
