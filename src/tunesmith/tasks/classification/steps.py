"""Lists the steps of classifiers and regressions, named as in ``tasks.task``."""

from __future__ import annotations

from tunesmith.tasks.classification import distillation, evaluation, model, outputs, scoring, training
from tunesmith.tasks.classification.data import LabelledTaskData
from tunesmith.tasks.classification.model import LabelledSession
from tunesmith.tasks.task import TaskSteps

STEPS: TaskSteps[LabelledTaskData, LabelledSession] = TaskSteps(
    load=model.load,
    model_checks=training.model_checks,
    sample_outputs=training.sample_outputs,
    trial_parts=training.trial_parts,
    evaluate_fn=training.evaluate_fn,
    start=distillation.distil,
    trainer_spec=training.trainer_spec,
    as_saved=outputs.as_saved,
    outputs=scoring.outputs,
    baselines=evaluation.baselines,
    metrics=evaluation.metrics,
    choose_thresholds=evaluation.choose_thresholds,
    save_model=outputs.save_model,
    prediction_columns=outputs.prediction_columns,
    save_files=outputs.save_files,
    data_record=outputs.data_record,
    training_record=outputs.training_record,
)
