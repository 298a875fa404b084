"""Lists the steps of rerankers: those of a classifier of pairs, evaluated on a search as well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tunesmith.tasks.classification.steps import STEPS as CLASSIFICATION
from tunesmith.tasks.reranker import evaluation, model
from tunesmith.tasks.task import TaskSteps

CLASSIFIER: TaskSteps[Any, Any] = CLASSIFICATION
STEPS = replace(
    CLASSIFIER,
    prepare=model.prepare,
    outputs=evaluation.outputs,
    metrics=evaluation.metrics,
    baselines=evaluation.baselines,
    prediction_columns=evaluation.prediction_columns,
    data_record=evaluation.data_record,
)
