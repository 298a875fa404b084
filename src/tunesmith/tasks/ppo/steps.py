"""Lists the steps of policies that are trained by rewards, named as in ``tasks.task``."""

from __future__ import annotations

from tunesmith.tasks.policies import evaluation, outputs
from tunesmith.tasks.policies import training as shared
from tunesmith.tasks.policies.data import PolicyTaskData
from tunesmith.tasks.ppo import alarms, model, preflight, training
from tunesmith.tasks.ppo.model import PpoSession
from tunesmith.tasks.task import TaskSteps

STEPS: TaskSteps[PolicyTaskData, PpoSession] = TaskSteps(
    load=model.load,
    model_checks=preflight.model_checks,
    sample_outputs=shared.sample_outputs,
    sample_unit="prompt",
    sample_measure="largest difference of a prompt's loss",
    trial_parts=training.trial_parts,
    evaluate_fn=shared.evaluate_fn,
    trainer_spec=training.trainer_spec,
    outputs=evaluation.outputs,
    baselines=evaluation.baselines,
    metrics=evaluation.metrics,
    alarms=alarms.alarms,
    save_model=outputs.save_model,
    prediction_columns=outputs.prediction_columns,
    save_files=outputs.save_files,
    data_record=outputs.data_record,
    training_record=outputs.training_record,
)
