"""Lists the steps of sentence embeddings, named as in ``tasks.task``."""

from __future__ import annotations

from tunesmith.tasks.embedding import evaluation, model, outputs, training
from tunesmith.tasks.embedding.data import EmbeddingTaskData
from tunesmith.tasks.embedding.model import EmbeddingSession
from tunesmith.tasks.task import TaskSteps

STEPS: TaskSteps[EmbeddingTaskData, EmbeddingSession] = TaskSteps(
    prepare=model.prepare,
    load=model.load,
    sample_outputs=training.sample_outputs,
    sample_unit="text",
    sample_measure=outputs.SAMPLE_MEASURE,
    trial_parts=training.trial_parts,
    evaluate_fn=training.evaluate_fn,
    trainer_spec=training.trainer_spec,
    as_saved=outputs.as_saved,
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
