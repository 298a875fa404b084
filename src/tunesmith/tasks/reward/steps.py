"""Lists the steps of reward models, named as in ``tasks.task``."""

from __future__ import annotations

from tunesmith.tasks.reward import evaluation, model, outputs, preflight, training
from tunesmith.tasks.reward.data import RewardData
from tunesmith.tasks.reward.model import RewardSession
from tunesmith.tasks.task import TaskSteps

STEPS: TaskSteps[RewardData, RewardSession] = TaskSteps(
    load=model.load,
    model_checks=preflight.model_checks,
    sample_outputs=training.sample_outputs,
    sample_unit="answer",
    sample_measure="largest difference of a reward",
    trial_parts=training.trial_parts,
    evaluate_fn=training.evaluate_fn,
    trainer_spec=training.trainer_spec,
    outputs=evaluation.outputs,
    baselines=evaluation.baselines,
    metrics=evaluation.metrics,
    choose_thresholds=evaluation.choose_thresholds,
    alarms=evaluation.alarms,
    save_model=outputs.save_model,
    prediction_columns=outputs.prediction_columns,
    save_files=outputs.save_files,
    data_record=outputs.data_record,
    training_record=outputs.training_record,
)
