"""Lists the steps of policies that are trained by rewards, named as in ``tasks.task``."""

from __future__ import annotations

from tunesmith.tasks.grpo import alarms, model, outputs, preflight, training
from tunesmith.tasks.grpo.model import GrpoSession
from tunesmith.tasks.policies import evaluation
from tunesmith.tasks.policies import outputs as written
from tunesmith.tasks.policies import training as shared
from tunesmith.tasks.policies.data import PolicyTaskData
from tunesmith.tasks.task import TaskSteps

STEPS: TaskSteps[PolicyTaskData, GrpoSession] = TaskSteps(
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
    save_model=written.save_model,
    prediction_columns=written.prediction_columns,
    save_files=written.save_files,
    data_record=written.data_record,
    training_record=outputs.training_record,
)
