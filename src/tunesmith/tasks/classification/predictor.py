"""Predicts new texts with the saved model of a classifier or regression."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.data.table import Examples, Labels
from tunesmith.disk import read_json, write_text
from tunesmith.errors import InputError, ModelError
from tunesmith.evaluation.metrics.predictions import decide
from tunesmith.models.kind import is_embedding_folder, is_language_run
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.tasks import TASKS
from tunesmith.recipe.template import parse_template
from tunesmith.report.missing_run import no_model, require_there
from tunesmith.report.words import MASKED
from tunesmith.results import RunResult
from tunesmith.run_folder import RESULT, require_saved_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tunesmith.models.fast.path import FastPath
    from tunesmith.models.many_processes import Outputs

CONFIG = "tunesmith.json"


@dataclass(frozen=True)
class PredictorConfig:
    """The settings of a predictor beside the weights, as saved in ``model/tunesmith.json``.

    Attributes:
        thresholds: see ``metrics.predictions.decide``; None for the default ones.
        label_separator, template, label_map: the recipe's ``data.label_separator``, ``data.template`` and ``data.labels``.
    """

    labels: Labels
    max_length: int
    thresholds: list[float] | None
    columns: dict[str, Any]
    label_separator: str | None = None
    template: str | None = None
    label_map: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        plain = {
            "problem_type": self.labels.problem_type, "labels": list(self.labels.names), "max_length": self.max_length,
            "thresholds": self.thresholds, "columns": self.columns, "mean": self.labels.mean, "scale": self.labels.scale,
            "label_type": self.labels.value_type, "class_order": list(self.labels.order), "label_separator": self.label_separator,
            "template": self.template, "label_map": self.label_map,
        }  # fmt: skip
        write_text(folder / CONFIG, json.dumps(plain, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> PredictorConfig:
        """Loads the settings beside a saved model. Raises ModelError if there are none."""
        path = folder / CONFIG
        if is_embedding_folder(folder) or not path.exists():
            raise predicts_no_labels(folder)
        plain = read_json(path, ConfigShape)
        return cls(
            Labels(
                plain["problem_type"],
                tuple(plain["labels"]),
                plain.get("mean", 0.0),
                plain.get("scale", 1.0),
                plain.get("label_type", "str"),
                tuple(plain.get("class_order") or ()),
            ),
            max_length=plain["max_length"],
            thresholds=plain.get("thresholds"),
            columns=plain["columns"],
            label_separator=plain.get("label_separator"),
            template=plain.get("template"),
            label_map=plain.get("label_map") or {},
        )


@dataclass(frozen=True)
class ColumnsShape:
    text: str | None
    pair: str | None
    label: list[str] | None = None


@dataclass(frozen=True)
class ConfigShape:
    """The types of ``tunesmith.json``."""

    problem_type: str
    labels: list[str]
    max_length: int
    columns: ColumnsShape
    thresholds: list[float | int] | None = None
    mean: float | int = 0.0
    scale: float | int = 1.0
    label_type: Literal["str", "int", "float", "bool"] = "str"
    class_order: list[str] | None = None
    label_separator: str | None = None
    template: str | None = None
    label_map: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.problem_type not in (SINGLE, MULTI, REGRESSION):
            raise ValueError(f"there is no problem type {self.problem_type!r}")
        n_thresholds = len(self.labels) if self.problem_type == MULTI else 1
        if self.max_length < 1 or (self.thresholds is not None and len(self.thresholds) != n_thresholds):
            raise ValueError("max_length is below 1, or the thresholds do not match the labels")
        if self.template is not None:
            parse_template(self.template)
        maps = [value for value in (self.label_map or {}).values() if isinstance(value, dict)] or [self.label_map or {}]
        if not all(name is None or isinstance(name, str | int | float) for classes in maps for name in classes.values()):
            raise ValueError("label_map leads to something that is no class")
        for label in self.labels:
            try:
                _ = Labels(self.problem_type, (label,), value_type=self.label_type).values
            except ValueError:
                raise ValueError(f"the label {label!r} is no {self.label_type}, which is the label_type") from None


def predicts_no_labels(folder: Path) -> InputError:
    """Returns the error about a model without labels, with the verbs that its task has instead."""
    if is_embedding_folder(folder):
        remedy = "Use tunesmith embed for its vectors, and tunesmith evaluate to measure them."
        return ModelError.one(str(folder), "this is an embedding model: it predicts no labels.", remedy)
    if not (folder.parent / RESULT).exists():
        remedy = "Give the folder of a run that `tunesmith train` finished, or of a classifier with its config.json."
        lacks = f"it has no {CONFIG}{no_model(folder)}"
        return ModelError.one(str(folder), f"this is no model of a finished run: {lacks}.", remedy)
    result = RunResult.load(folder.parent / RESULT)
    if result.data.get("problem_type") == MASKED:
        remedy = f"Its losses are in {folder.parent / RESULT}; model.name: {folder.parent} in a recipe trains it further."
        return ModelError.one(
            str(folder), "this is a masked language model: it predicts no labels and generates no answers.", remedy
        )
    if is_language_run(folder.parent):
        remedy = "Use tunesmith generate for its texts (--choices if answers are labels), evaluate to measure it."
        return ModelError.one(str(folder), "this is a language model: it predicts no labels.", remedy)
    settings = TASKS.get(result.task)
    if settings is None:
        return ModelError.one(str(folder.parent / RESULT), f"there is no task {result.task!r}.", "Restore the file.")
    if "predict" in settings.commands:
        message = f"the file is missing; it holds the labels and the settings of this run of {settings.noun}."
        return ModelError.one(
            str(folder / CONFIG), message, "Restore the file, copy the folder of the run again, or train it again."
        )
    verbs = " or ".join(f"tunesmith {verb}" for verb in settings.commands)
    return ModelError.one(str(folder), f"this is a run of {settings.noun}: it predicts no labels.", f"Use {verbs}.")


@dataclass(frozen=True)
class Predictor:
    """A trained classifier or regression in memory with everything that predictions need.

    Attributes:
        outputs_of: computes the batches in other processes (``many_processes``); None if the model is here.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    config: PredictorConfig
    fast_path: FastPath
    outputs_of: Outputs | None = None

    def scores(self, texts: list[str], pairs: list[str] | None = None, listener: Listener = silent) -> np.ndarray:
        """Computes probabilities (N, K) in the order of the labels, or numbers (N) for a regression.

        The listener gets a note on the number of rows that are longer than the model reads.
        """
        from tunesmith.models.encode import encode
        from tunesmith.models.inference import in_row_order, logits
        from tunesmith.tasks.classification.scoring import to_scores

        examples = Examples("predict", "", list(range(len(texts))), texts, [None] * len(texts), pairs)
        encoded = encode(self.tokenizer, examples, self.config.max_length)
        if encoded.n_truncated:
            cut = f"{encoded.n_truncated:,} of {plural(len(texts), 'row')}"
            listener(Event("note", f"{cut} were truncated at {plural(encoded.max_length, 'token')}, the longest that it reads."))
        pad_id = self.tokenizer.pad_token_id
        if self.outputs_of is None:
            outputs = logits(self.model, encoded, pad_id, self.fast_path)
        else:
            outputs = in_row_order(encoded, pad_id, self.outputs_of)
        if not np.isfinite(outputs).all():
            message = "its outputs are not finite for some texts, so its weights are damaged."
            raise ModelError.one(str(self.tokenizer.name_or_path), message, "Copy the folder of the run again.")
        return to_scores(self.config.labels.problem_type, outputs)

    def rows(self, scores: np.ndarray) -> list[dict[str, Any]]:
        """Converts scores to one dictionary a row: ``prediction`` and ``probability`` with ``pred_probs``, or ``score``."""
        names, kind = self.config.labels.names, self.config.labels.problem_type
        if kind == REGRESSION:
            return [{"prediction": value, "score": value} for value in scores.tolist()]
        decisions = decide(kind, scores, self.config.thresholds)
        if kind == MULTI:
            chosen = [[names[i] for i in np.flatnonzero(row)] for row in decisions]
            return [{"prediction": labels, "pred_probs": probs} for labels, probs in zip(chosen, scores.tolist(), strict=True)]
        return [
            {"prediction": names[label], "probability": probs[label], "pred_probs": probs}
            for label, probs in zip(decisions.tolist(), scores.tolist(), strict=True)
        ]


def load_predictor(run: Path) -> Predictor:
    """Loads the model of a finished run onto this machine's device and fast path. Raises ModelError."""
    from tunesmith.machine import quiet_libraries, stay_offline
    from tunesmith.models.adapters.attach import is_adapter, reload_classifier
    from tunesmith.models.load import load_tokenizer, require_own_tokenizer
    from tunesmith.models.source import ModelSource, check_folder

    require_saved_model(run)
    folder = run / "model" if (run / "model").is_dir() else run
    if not folder.is_dir():
        require_there(run)
        raise ModelError.one(str(run), "this is a file, not the folder of a run.", "Name the folder, such as runs/first.")
    config = PredictorConfig.load(folder)
    if not is_adapter(folder):
        check_folder(folder, str(folder))
    stay_offline()
    quiet_libraries()
    model = reload_classifier(folder)
    if model.config.num_labels != max(1, config.labels.n):
        message = (
            f"its model has {plural(model.config.num_labels, 'output')}, and {CONFIG} names {plural(config.labels.n, 'label')}."
        )
        raise ModelError.one(str(folder), message, "Copy the folder of the run again.")
    tokenizer = load_tokenizer(source := ModelSource(str(run), str(folder), "run"))
    require_own_tokenizer(source, model, tokenizer)
    return ready_predictor(model, tokenizer, config)


def ready_predictor(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: PredictorConfig) -> Predictor:
    """Makes a predictor of a loaded model, on this machine's device and fast path."""
    from tunesmith.machine import device_name
    from tunesmith.models.fast.path import apply_fast_path, choose_fast_path
    from tunesmith.models.inference import supported_path
    from tunesmith.models.load import set_padding

    model = model.to(device_name())
    fast_path = supported_path(model, choose_fast_path(fast=True, device=device_name()))
    apply_fast_path(model, fast_path)
    set_padding(model, tokenizer)
    return Predictor(model, tokenizer, config, fast_path)
