"""Computes the evidence of a run, for every task: metrics with intervals, verdicts against baselines, alarms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import MULTI, SINGLE
from tunesmith.errors import RecipeError
from tunesmith.evaluation.metrics.chance import CHANCE, CORRELATIONS, chance_verdict
from tunesmith.evaluation.metrics.chance import METRIC as CHANCE_METRIC
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.outputs import (
    BaselineOutputs,
    Outputs,
    SplitMetrics,
    all_verdicts,
    baseline_result,
    metric_values,
    predictions_of,
    resamplings,
)
from tunesmith.evaluation.outputs import metrics_of_outputs as compute_metrics
from tunesmith.recipe.metric_roles import is_higher_better
from tunesmith.recipe.tasks import task_settings
from tunesmith.results import Verdict
from tunesmith.tasks.task import Baselines, Evaluation, SeedResult, Session, TaskSteps
from tunesmith.training.alarms import AlarmInputs, alarms
from tunesmith.training.history import evaluations

MAJORITY = "majority"


def best_seed(seeds: Sequence[SeedResult], *, higher_is_better: bool) -> SeedResult:
    """Returns the seed whose best evaluation on validation is the best; the first of equals.

    Args:
        higher_is_better: whether larger values of the selection metric are better.
    """
    sign = 1.0 if higher_is_better else -1.0
    return max(seeds, key=lambda seed: float("-inf") if seed.fit.best_value is None else sign * seed.fit.best_value)


def evaluate_seeds(steps: TaskSteps[Any, Any], session: Session, seeds: Sequence[SeedResult], baselines: Baselines) -> Evaluation:
    """Computes the metrics, verdicts and alarms of the trained models on every evaluation split."""
    decisions = steps.choose_thresholds(seeds, baselines.systems)
    recipe = session.data.recipe
    metrics = [replace(split, n_candidates=n_candidates(split.split, seeds)) for split in steps.metrics(session)]
    resampling = Resampling(recipe.evaluate.n_resamples, recipe.train.seed)
    outputs = {split.split: [seed.outputs[split.split] for seed in decisions.seeds] for split in metrics}
    best = best_seed(decisions.seeds, higher_is_better=is_higher_better(recipe, session.checkpoint_metric))
    evaluation = Evaluation(
        seeds=decisions.seeds,
        best=best,
        metrics=tuple(value for split in metrics for value in compute_metrics(outputs[split.split], split, resampling)),
        baselines=tuple(baseline_result(system, metrics, resampling) for system in decisions.systems),
        verdicts=all_verdicts(outputs, decisions.systems, metrics, resampling),
        alarms=(),
        systems=replace(baselines, systems=decisions.systems),
        splits=tuple(metrics),
        thresholds=decisions.thresholds,
        notes=decisions.notes,
    )
    raised = (*steps.alarms(best.session, evaluation), *alarms(alarm_inputs(evaluation, metrics, resampling)))
    return replace(evaluation, alarms=raised)


def n_candidates(split: str, seeds: Sequence[SeedResult]) -> int:
    """Returns the number of checkpoints of which the best on this split is evaluated; 1 for splits that select nothing."""
    return max(1, *(len(evaluations(seed.fit.history)) for seed in seeds)) if split == "validation" else 1


def alarm_inputs(evaluation: Evaluation, metrics: Sequence[SplitMetrics], resampling: Resampling) -> AlarmInputs:
    """Collects the inputs of the alarms, from the best seed."""
    best, session = evaluation.best, evaluation.best.session
    majority = next((system.outputs for system in evaluation.systems.systems if system.name == MAJORITY), {})
    split, metric = next((split for split in reversed(metrics) if split.split in majority), metrics[-1]), session.metric
    return AlarmInputs(
        metric=metric,
        higher_is_better=is_higher_better(session.data.recipe, metric),
        selection_metric=session.checkpoint_metric,
        selects_higher=is_higher_better(session.data.recipe, session.checkpoint_metric),
        class_names=session.class_names,
        decisions=class_tables(session, best, metrics, "decisions"),
        truth=class_tables(session, best, metrics, "labels"),
        history=best.fit.history,
        expected_first_loss=session.expected_loss,
        requested_learning_rate=best.fit.learning_rate,
        highest_learning_rate=best.fit.highest_learning_rate,
        ours=defined_value(best.outputs[split.split], split, metric),
        baselines=baseline_values(evaluation.systems.systems, split, metric),
        split=split.split,
        chance=verdict_on_chance(evaluation, metrics[-1], resampling),
        majority=defined_value(majority[split.split], split, metric) if majority else None,
        majority_verdict=next(
            (v for v in evaluation.verdicts if (v.against, v.metric, v.split) == (MAJORITY, metric, split.split)), None
        ),
        truncated_share={split: rows.n_truncated / max(1, rows.n_rows) for split, rows in session.lengths.items()},
        loss_falls=task_settings(session.data.recipe).loss_falls,
        max_length=max((rows.record.get("max_length") or 0 for rows in session.lengths.values()), default=0),
    )


def baseline_values(systems: Sequence[BaselineOutputs], split: SplitMetrics, metric: str) -> dict[str, float]:
    """Returns name -> value of the metric, of the baselines that have one on the split."""
    values = {
        system.name: defined_value(system.outputs[split.split], split, metric)
        for system in systems
        if split.split in system.outputs
    }
    return {name: value for name, value in values.items() if value is not None}


def verdict_on_chance(evaluation: Evaluation, split: SplitMetrics, resampling: Resampling) -> Verdict | None:
    """Returns the verdict against random decisions, whether or not they are a baseline of the run; None without classes."""
    found = next((v for v in evaluation.verdicts if (v.against, v.metric) == (CHANCE, CHANCE_METRIC)), None)
    outputs = [seed.outputs[split.split] for seed in evaluation.seeds]
    problem = outputs[0].problem_type
    if found is not None or not evaluation.best.session.class_names or problem not in (SINGLE, MULTI):
        return found
    of_rows = resamplings(split, resampling)["predictions"]
    return chance_verdict(CHANCE_METRIC, predictions_of(outputs), {CHANCE_METRIC: 0.0}, problem, split.split, of_rows)


def defined_value(outputs: Outputs, split: SplitMetrics, metric: str) -> float | None:
    """Computes one metric; None where it is undefined or the split does not have it. The correlation of a constant is 0 here."""
    try:
        value = metric_values(outputs, split).get(metric)
    except RecipeError:  # the user's function failed: the note of its metric says so
        return None
    if value is not None and math.isnan(value):
        return 0.0 if metric in CORRELATIONS else None
    return value


def class_tables(session: Session, seed: SeedResult, metrics: Sequence[SplitMetrics], part: str) -> dict[str, Array]:
    """Returns split -> the classes (N) or (N, K) of that part of the predictions, the main split first; empty without classes."""
    outputs_of = {split.split: seed.outputs[split.split] for split in reversed(metrics)} if session.class_names else {}
    return {
        split: getattr(outputs.predictions, part)
        for split, outputs in outputs_of.items()
        if outputs.predictions is not None and outputs.problem_type in (SINGLE, MULTI)
    }
