"""Lists the steps of preference runs, named as in ``tasks.task``."""

from __future__ import annotations

from tunesmith.tasks.preference import evaluation, model, outputs, preflight, training
from tunesmith.tasks.preference.data import PreferenceTaskData
from tunesmith.tasks.preference.model import PreferenceSession
from tunesmith.tasks.task import TaskSteps

STEPS: TaskSteps[PreferenceTaskData, PreferenceSession] = TaskSteps(
    load=model.load,
    model_checks=preflight.model_checks,
    sample_outputs=training.sample_outputs,
    sample_measure="largest difference of a row's loss",
    trial_parts=training.trial_parts,
    evaluate_fn=training.evaluate_fn,
    trainer_spec=training.trainer_spec,
    outputs=evaluation.outputs,
    baselines=evaluation.baselines,
    metrics=evaluation.metrics,
    alarms=evaluation.alarms,
    save_model=outputs.save_model,
    prediction_columns=outputs.prediction_columns,
    save_files=outputs.save_files,
    data_record=outputs.data_record,
    training_record=outputs.training_record,
)
