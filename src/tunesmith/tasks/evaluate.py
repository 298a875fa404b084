"""The evidence of a run, for every task: metrics with intervals, verdicts against baselines, alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.predictions import MULTI, SINGLE
from tunesmith.evaluation.outputs import Resampling, SplitMetrics, all_verdicts, baseline_result, metric_values
from tunesmith.evaluation.outputs import metrics_of_outputs as compute_metrics
from tunesmith.recipe.metric_names import higher_is_better
from tunesmith.recipe.sections import Recipe
from tunesmith.results import Metric
from tunesmith.tasks.task import Baselines, Evaluation, SeedResult, Session, TaskSteps
from tunesmith.training.alarms import RunFacts, alarms

MAJORITY = "majority"


def resampling_of(recipe: Recipe) -> Resampling:
    """Returns the number of resamples and their seed."""
    return Resampling(recipe.evaluate.n_resamples, recipe.train.seed)


def best_seed(seeds: Sequence[SeedResult], metric: str) -> SeedResult:
    """Returns the seed whose best evaluation on validation is the best; the first of equals."""
    sign = 1.0 if higher_is_better(metric) else -1.0
    return max(seeds, key=lambda seed: float("-inf") if seed.fit.best_value is None else sign * seed.fit.best_value)


def evaluate_seeds(steps: TaskSteps[Any, Any], session: Session, seeds: Sequence[SeedResult], baselines: Baselines) -> Evaluation:
    """Computes the metrics, verdicts and alarms of the trained models on every evaluation split."""
    decisions = steps.choose_thresholds(seeds, baselines.systems)
    metrics, resampling = steps.metrics(session), resampling_of(session.data.recipe)
    outputs = {split.split: [seed.outputs[split.split] for seed in decisions.seeds] for split in metrics}
    values: list[Metric] = []
    for split in metrics:
        values += compute_metrics(outputs[split.split], split, resampling)
    best = best_seed(decisions.seeds, session.metric)
    evaluation = Evaluation(
        seeds=decisions.seeds,
        best=best,
        metrics=tuple(values),
        baselines=tuple(baseline_result(system, metrics, resampling) for system in decisions.systems),
        verdicts=all_verdicts(outputs, decisions.systems, metrics, resampling),
        alarms=(),
        systems=replace(baselines, systems=decisions.systems),
        thresholds=decisions.thresholds,
        notes=decisions.notes,
    )
    gone_off = (*steps.alarms(best.session, evaluation), *alarms(alarm_inputs(evaluation, metrics)))
    return replace(evaluation, alarms=gone_off)


def alarm_inputs(evaluation: Evaluation, metrics: Sequence[SplitMetrics]) -> RunFacts:
    """Collects what the alarms read, from the best seed. The majority is compared on the most telling split that it predicts."""
    best, session = evaluation.best, evaluation.best.session
    metric, majority = session.metric, next((s.outputs for s in evaluation.systems.systems if s.name == MAJORITY), {})
    split = next((split for split in reversed(metrics) if split.split in majority), metrics[-1])
    return RunFacts(
        metric=metric,
        higher_is_better=higher_is_better(metric),
        class_names=session.class_names,
        decisions=class_decisions(session, best, metrics),
        history=best.fit.history,
        expected_first_loss=session.expected_loss,
        asked_learning_rate=best.fit.learning_rate,
        highest_learning_rate=best.fit.highest_learning_rate,
        ours=metric_values(best.outputs[split.split], split).get(metric),
        majority=metric_values(majority[split.split], split).get(metric) if majority else None,
        truncated_share={name: one.n_truncated / max(1, one.n_rows) for name, one in session.lengths.items()},
        max_length=max((one.record.get("max_length") or 0 for one in session.lengths.values()), default=0),
    )


def class_decisions(session: Session, seed: SeedResult, metrics: Sequence[SplitMetrics]) -> dict[str, Array]:
    """Returns split -> decided classes (N) or (N, K), the most telling split first; empty where the task predicts no classes."""
    found = {split.split: seed.outputs[split.split] for split in reversed(metrics)} if session.class_names else {}
    return {
        split: outputs.predictions.decisions
        for split, outputs in found.items()
        if outputs.predictions is not None and outputs.problem_type in (SINGLE, MULTI)
    }
