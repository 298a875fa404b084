"""A task in one file: classes of texts by counted words.

Adding it takes this file, a row in ``recipe.tasks.TASKS`` with its word in ``recipe.sections.TaskName``, and a line in
``tasks.table.TASKS``; ``install`` does both for the length of a test.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytest

from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.labelled.load import LabelledData, data_record, load_labelled_data
from tunesmith.data.split import at_most
from tunesmith.data.table import Examples
from tunesmith.evaluation.baselines.majority import majority
from tunesmith.evaluation.metrics.predictions import from_scores
from tunesmith.evaluation.outputs import Outputs, SplitMetrics, metric_values
from tunesmith.models.encode import Encoded, length_record
from tunesmith.models.source import ModelSource
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.static import sizes
from tunesmith.recipe import sections
from tunesmith.recipe import tasks as settings
from tunesmith.recipe.learning_rates import LearningRates
from tunesmith.recipe.metric_names import CLASS_METRICS
from tunesmith.tasks import table
from tunesmith.tasks.task import (
    Baselines,
    EvaluateFn,
    Request,
    SavedModel,
    Session,
    SplitLengths,
    TaskData,
    TaskReading,
    TaskSteps,
)

NAME = "toy"
LONGEST = 64
SETTINGS = settings.TaskSettings(
    name=NAME,
    task=NAME,  # type: ignore[arg-type]
    family="labelled",
    noun="counted words",
    description="Counts words.",
    commands=("compare", "report"),
    columns=("text", "label"),
    metrics=CLASS_METRICS,
    default_metric="macro_f1",
    baselines=("majority",),
    learning_rates=LearningRates(((inf, 1e-2),), adapter=((inf, 1e-2),)),
)


@dataclass(frozen=True, kw_only=True)
class ToyData(TaskData):
    splits: LabelledData


def read(request: Request) -> ToyData:
    """Reads texts with one class each."""
    recipe, base = request.loaded.recipe, request.loaded.base
    splits = load_labelled_data(recipe.model_copy(update={"task": "classification"}), base, request.frames)
    cut: dict[str, Any] = {name: at_most(rows, request.max_rows) for name, rows in splits.named().items()}
    source = ModelSource(recipe.model.name, "", "folder")
    return ToyData(recipe=recipe, source=source, base=base, findings=splits.findings, splits=replace(splits, **cut))


def check_rows(data: ToyData) -> Iterator[CheckLine]:
    yield sizes(data.splits)


@dataclass(frozen=True, kw_only=True)
class ToySession(Session):
    data: ToyData = field()
    words: Mapping[str, int]
    encoded: Mapping[str, Encoded]


def load(data: ToyData, seed: int, _earlier: ToySession | None = None) -> ToySession:
    """Numbers the words of train and makes a weight for each word and class, drawn by this seed."""
    import torch

    from tunesmith.models.fast.path import FastPath

    train, labels = data.splits.train, data.splits.labels
    words = {word: i for i, word in enumerate(sorted({word for text in train.texts for word in text.split()}), 2)}
    limit = data.recipe.data.max_length or LONGEST
    encoded = {name: count_words(rows, words, limit) for name, rows in data.splits.named().items()}
    torch.manual_seed(seed)
    return ToySession(
        data=data,
        model=counted_words(len(words) + 2, labels.n),
        fast_path=FastPath(),
        rows_per_epoch=len(train),
        metric=settings.primary_metric(data.recipe),
        expected_loss=float(np.log(labels.n)),
        class_names=labels.names,
        lengths={name: SplitLengths(len(rows), rows.n_truncated, length_record(rows)) for name, rows in encoded.items()},
        words=words,
        encoded=encoded,
    )


def count_words(rows: Examples, words: Mapping[str, int], limit: int) -> Encoded:
    """Returns the numbers of the words of each row: 0 is padding, 1 a word that train does not have."""
    ids = [[words.get(word, 1) for word in text.split()] for text in rows.texts]
    cut = [one[:limit] for one in ids]
    sizes_after, sizes_before = (np.array([len(one) for one in some]) for some in (cut, ids))
    return Encoded(rows.split, rows.row_ids, cut, None, rows.labels, sizes_after, sizes_before, limit)


def counted_words(n_words: int, n_classes: int) -> Any:
    """Makes a linear model of counted words."""
    import torch

    class CountedWords(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = torch.nn.Parameter(0.1 * torch.randn(n_words, n_classes))

        def forward(self, input_ids: Any, attention_mask: Any) -> dict[str, Any]:
            return {"logits": (self.weights[input_ids] * attention_mask.unsqueeze(-1)).sum(dim=1)}

    return CountedWords()


def predict(model: Any, rows: Encoded) -> Outputs:
    from tunesmith.models.inference import run_model, select_logits

    logits = run_model(model, rows, 0, select_logits).astype(np.float64)
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    predictions = from_scores(SINGLE, rows.labels, scores, row_ids=rows.row_ids)
    return Outputs(SINGLE, predictions, -np.log(scores[np.arange(len(rows)), rows.labels]))


def outputs(session: ToySession) -> dict[str, Outputs]:
    return {name: predict(session.model, rows) for name, rows in session.encoded.items() if name != "train"}


def sample_outputs(session: ToySession, max_rows: int) -> Any:
    from tunesmith.models.equivalence import fp32_logits, spread_rows

    return fp32_logits(session.model, spread_rows(session.encoded["train"]), 0, max_rows)


def loss_of(session: ToySession) -> Any:
    from tunesmith.training.losses.classification import loss_function

    return loss_function(session.data.splits.labels, None, 0.0)


def trial_parts(session: ToySession) -> list[Any]:
    import torch

    from tunesmith.models.inference import pad_batch
    from tunesmith.preflight.trial_step import TrialPart

    train, loss = session.encoded["train"], loss_of(session)

    def compute_loss(positions: list[int]) -> torch.Tensor:
        rows = train.take(positions)
        value: torch.Tensor = loss(session.model(**pad_batch(rows, np.arange(len(rows)), 0)), torch.tensor(rows.labels))
        return value

    return [TrialPart(train.lengths, compute_loss, session.model)]


def split_metrics(session: ToySession, split: str) -> SplitMetrics:
    return SplitMetrics(split, CLASS_METRICS, (session.metric,), session.metric)


def evaluate_fn(session: ToySession, max_rows: int | None) -> EvaluateFn:
    rows = session.encoded["validation"]
    rows = rows if max_rows is None else rows.take(list(range(min(max_rows, len(rows)))))

    def evaluate(model: Any) -> dict[str, float]:
        found = predict(model, rows)
        assert found.losses is not None
        return {"loss": float(found.losses.mean()), **metric_values(found, split_metrics(session, rows.split))}

    return evaluate


def trainer_spec(session: ToySession, evaluate: EvaluateFn, _seed: int) -> Any:
    from tunesmith.training.fit import TrainerSpec
    from tunesmith.training.trainers.rows import RowTrainer

    def make(arguments: Any, schedule: Any) -> RowTrainer:
        return RowTrainer(
            model=session.model,
            args=arguments,
            encoded=session.encoded["train"],
            pad_id=0,
            fast_path=session.fast_path,
            loss=loss_of(session),
            evaluate_fn=evaluate,
            expected_loss=session.expected_loss,
            steps_per_epoch=schedule.steps_per_epoch,
            epoch_logits=None,
        )

    return TrainerSpec(make)


def baselines(session: ToySession, _listener: Any) -> Baselines:
    targets = [rows for name, rows in session.data.splits.named().items() if name != "train"]
    return Baselines((majority(session.data.splits.labels, session.data.splits.train, targets),))


def save_model(session: ToySession, folder: Path, _thresholds: list[float] | None) -> SavedModel:
    """Saves the weights and the words, and proves that the files give the same logits."""
    from safetensors.torch import save_file

    from tunesmith.models.equivalence import reload_equality

    folder.mkdir(parents=True, exist_ok=True)
    save_file(session.model.state_dict(), folder / "model.safetensors")
    (folder / "words.json").write_text(json.dumps(dict(session.words)), encoding="utf-8")
    name = "the saved model equals the trained one"
    return SavedModel((reload_equality(session.model, reload_model(folder), session.encoded["train"], 0, name),))


def reload_model(folder: Path) -> Any:
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    model = counted_words(*weights["weights"].shape)
    model.load_state_dict(weights)
    return model


def prediction_columns(session: ToySession, split: str, found: Outputs) -> dict[str, list[Any]]:
    rows, names = session.data.splits.named()[split], session.class_names
    assert found.predictions is not None
    assert found.losses is not None
    return {
        "row_id": list(rows.row_ids),
        "split": [split] * len(rows),
        "label": [names[int(i)] for i in found.predictions.labels],
        "prediction": [names[int(i)] for i in found.predictions.decisions],
        "loss": found.losses.tolist(),
        "pred_probs": found.predictions.scores.tolist(),
        "text": list(rows.texts),
    }


READING = TaskReading(read, check_rows)
STEPS: TaskSteps[ToyData, ToySession] = TaskSteps(
    load=load,
    sample_outputs=sample_outputs,
    trial_parts=trial_parts,
    evaluate_fn=evaluate_fn,
    trainer_spec=trainer_spec,
    outputs=outputs,
    baselines=baselines,
    metrics=lambda session: [split_metrics(session, split) for split in session.encoded if split != "train"],
    save_model=save_model,
    prediction_columns=prediction_columns,
    data_record=lambda session: data_record(session.data.splits),
)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds the task to the tables."""
    for rows, row in ((settings.TASKS, SETTINGS), (table.TASKS, table.Task(READING, lambda: STEPS))):
        monkeypatch.setitem(gc.get_referents(rows)[0], NAME, row)  # the dictionary behind the read-only table
    columns = {("data", "columns", name): settings.KEY_TASKS.get(("data", "columns", name)) for name in SETTINGS.columns}
    for key, names in columns.items():
        if names is not None:
            monkeypatch.setitem(gc.get_referents(settings.KEY_TASKS)[0], key, (*names, NAME))
    word = sections.Recipe.model_fields["task"]
    monkeypatch.setattr(word, "annotation", Literal[(*get_args(sections.TaskName), NAME)])
    sections.Recipe.model_rebuild(force=True)
