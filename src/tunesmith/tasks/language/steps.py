"""Lists the steps of language models, named as in ``tasks.task``."""

from __future__ import annotations

from tunesmith.tasks.language import evaluation, model, outputs, preflight, training
from tunesmith.tasks.language.data import LanguageTaskData
from tunesmith.tasks.language.model import LanguageSession
from tunesmith.tasks.task import TaskSteps

STEPS: TaskSteps[LanguageTaskData, LanguageSession] = TaskSteps(
    load=model.load,
    model_checks=preflight.model_checks,
    sample_outputs=training.sample_outputs,
    sample_measure="largest difference of a row's loss",
    trial_parts=training.trial_parts,
    evaluate_fn=training.evaluate_fn,
    trainer_spec=training.trainer_spec,
    as_saved=model.as_saved,
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
