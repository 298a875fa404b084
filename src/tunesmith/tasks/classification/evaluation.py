"""Is the result better, or is it noise: metrics with intervals, baselines on the same rows, verdicts, alarms."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.data.table import Examples
from tunesmith.evaluation.baselines.frozen import Embedded, linear_on_embeddings
from tunesmith.evaluation.baselines.majority import majority
from tunesmith.evaluation.baselines.predictions import BaselinePredictions, score_baseline, tune_baseline
from tunesmith.evaluation.baselines.tfidf import tfidf_linear
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.predictions import MULTI, SINGLE, Predictions
from tunesmith.evaluation.metrics.table import compute
from tunesmith.evaluation.metrics.thresholds import tune
from tunesmith.evaluation.metrics.verdict import verdicts
from tunesmith.models.encode import encode
from tunesmith.models.fast.path import apply_kernels, restore
from tunesmith.models.inference import mean_embeddings
from tunesmith.progress import Event, Listener
from tunesmith.recipe.metric_names import METRICS, baselines_of, higher_is_better, metric_of
from tunesmith.results import Alarm, Baseline, Metric, Verdict
from tunesmith.tasks.classification.data import Inputs
from tunesmith.tasks.classification.model import JUDGED, Ready, SeedRun, chosen
from tunesmith.tasks.classification.training import predict
from tunesmith.training.alarms import RunFacts, alarms


@dataclass(frozen=True)
class Judged:
    """The evidence of a run.

    Attributes:
        runs: the seeds' runs with the final decisions.
        thresholds: tuned on validation; None for the usual ones.
    """

    runs: tuple[SeedRun, ...]
    metrics: tuple[Metric, ...]
    baselines: tuple[Baseline, ...]
    verdicts: tuple[Verdict, ...]
    alarms: tuple[Alarm, ...]
    thresholds: list[float] | None
    notes: tuple[str, ...]


def run_baselines(inputs: Inputs, ready: Ready, listener: Listener) -> tuple[list[BaselinePredictions], Embedded | None]:
    """Every baseline the recipe asks for, on the judged splits; and the embeddings of train, where one of them needed any."""
    asked, labels = baselines_of(inputs.recipe), inputs.splits.labels
    found, of_train = [], None
    for done, name in enumerate(asked, 1):
        if name == "frozen":
            started, vectors = time.perf_counter(), embeddings(inputs, ready)
            seconds = time.perf_counter() - started
            found.append(linear_on_embeddings(labels, inputs.splits.train, judged_splits(inputs), vectors, seconds))
            of_train = vectors["train"]
        else:
            found.append(MAKERS[name](inputs, ready))
        listener(Event("step", "baselines", done, len(asked)))
    return found, of_train


def judged_splits(inputs: Inputs) -> list[Examples]:
    """The splits that are judged."""
    return [split for split in (inputs.splits.validation, inputs.splits.test) if split is not None]


def majority_answers(inputs: Inputs, _ready: Ready) -> BaselinePredictions:
    return majority(inputs.splits.labels, inputs.splits.train, judged_splits(inputs))


def tfidf_answers(inputs: Inputs, _ready: Ready) -> BaselinePredictions:
    return tfidf_linear(inputs.splits.labels, inputs.splits.train, judged_splits(inputs))


def embeddings(inputs: Inputs, ready: Ready) -> dict[str, Embedded]:
    """Split -> the untouched base model's mean embeddings."""
    body = ready.loaded.model.base_model
    apply_kernels(body, ready.kernels)
    try:
        return {split.split: embed(split, body, ready) for split in (inputs.splits.train, *judged_splits(inputs))}
    finally:
        restore(body)


def embed(split: Examples, body: Any, ready: Ready) -> Embedded:
    """Embeddings (N, D) of the texts, or of both texts of pairs."""
    prepared = ready.prepared
    if split.pairs is None:
        return mean_embeddings(body, prepared.encoded[split.split], prepared.pad_id, ready.kernels)
    first, second = (
        encode(ready.loaded.tokenizer, Examples(split.split, "", split.row_ids, side, split.labels), prepared.max_length)
        for side in (split.texts, split.pairs)
    )
    return (
        mean_embeddings(body, first, prepared.pad_id, ready.kernels),
        mean_embeddings(body, second, prepared.pad_id, ready.kernels),
    )


def untuned_answers(inputs: Inputs, ready: Ready) -> BaselinePredictions:
    """The base model as it came, where it came with a head for these labels."""
    if ready.loaded.new_weights:
        return BaselinePredictions("untuned", {}, 0.0, "the base model has no head for these labels, so it cannot answer")
    started, prepared = time.perf_counter(), ready.prepared
    said = {
        split.split: predict(ready.loaded.model, prepared.encoded[split.split], prepared.pad_id, prepared.labels, ready.kernels)[
            0
        ]
        for split in judged_splits(inputs)
    }
    return BaselinePredictions("untuned", said, time.perf_counter() - started, "the base model as it came")


MAKERS: dict[str, Callable[[Inputs, Ready], BaselinePredictions]] = {
    "majority": majority_answers,
    "tfidf": tfidf_answers,
    "untuned": untuned_answers,
}


def judge(inputs: Inputs, runs: Sequence[SeedRun], baselines: Sequence[BaselinePredictions], listener: Listener) -> Judged:
    """Thresholds from validation, then metrics, verdicts and alarms on the judged splits."""
    recipe, kind = inputs.recipe, inputs.splits.labels.problem_type
    thresholds, notes = choose_thresholds(inputs, runs)
    decided = tuple(with_thresholds(run, kind, thresholds) for run in runs)
    metrics = [
        metric for split in splits_of(decided) for metric in measured(inputs, split, [run.predictions[split] for run in decided])
    ]
    if thresholds is not None:  # the baselines get the same advantage
        baselines = [tune_baseline(kind, answers, metric_of(recipe), recipe.train.seed) for answers in baselines]
    compared = tuple(
        score_baseline(kind, answers, splits_of(decided), recipe.evaluate.n_resamples, recipe.train.seed) for answers in baselines
    )
    verdicts = verdicts_on(inputs, decided, baselines)
    listener(Event("step", "judging", 1, 1))
    gone_off = alarms(facts(inputs, decided, baselines, metric_of(recipe)))
    return Judged(decided, tuple(metrics), compared, verdicts, gone_off, thresholds, notes)


def splits_of(runs: Sequence[SeedRun]) -> list[str]:
    return [split for split in JUDGED if split in runs[0].predictions]


def main_split(runs: Sequence[SeedRun]) -> str:
    """The split the verdict is given on: test, or validation where there is none."""
    return splits_of(runs)[-1]


def choose_thresholds(inputs: Inputs, runs: Sequence[SeedRun]) -> tuple[list[float] | None, tuple[str, ...]]:
    """Thresholds tuned on validation for the leading metric, where decisions depend on one and the metric on decisions.

    With several seeds they are those of the chosen one: it is the model that is kept.
    """
    if not inputs.recipe.evaluate.tune_threshold:
        return None, ()
    kept = chosen(runs, higher_is_better(metric_of(inputs.recipe)))
    found = tune(kept.predictions["validation"], metric_of(inputs.recipe), inputs.recipe.train.seed)
    if found is None:
        return None, ()
    if "test" not in kept.predictions:
        return None, ("thresholds were not tuned: without test rows, validation would judge what was fitted to it",)
    return list(found.values), (found.note,)


def with_thresholds(run: SeedRun, kind: str, thresholds: list[float] | None) -> SeedRun:
    """The run with its decisions made anew."""
    decided = {split: said.decided(kind, thresholds) for split, said in run.predictions.items()}
    return SeedRun(run.seed, run.fit, run.model, decided, run.losses)


def measured(inputs: Inputs, split: str, said: list[Predictions]) -> tuple[Metric, ...]:
    """Every metric of the task with its interval, over rows and seeds."""
    names = tuple(METRICS[inputs.recipe.task])
    n_resamples, seed = inputs.recipe.evaluate.n_resamples, inputs.recipe.train.seed
    return metric_intervals(
        inputs.splits.labels.problem_type, said, split, names, n_resamples=n_resamples, seed=seed
    )  # fmt: skip


def verdicts_on(inputs: Inputs, runs: Sequence[SeedRun], baselines: Sequence[BaselinePredictions]) -> tuple[Verdict, ...]:
    """The leading metric, and accuracy where it is another one, against every baseline that could answer."""
    metric, split, kind = metric_of(inputs.recipe), main_split(runs), inputs.splits.labels.problem_type
    names = list(dict.fromkeys([metric, *(["accuracy"] if kind == SINGLE else [])]))
    ours = [run.predictions[split] for run in runs]
    n_resamples, seed = inputs.recipe.evaluate.n_resamples, inputs.recipe.train.seed
    found = [
        verdicts(names, ours, [baseline.predictions[split]], baseline.name, split, n_resamples, seed)
        for baseline in baselines
        if baseline.predictions
    ]
    return tuple(said[position] for position in range(len(names)) for said in found)


def facts(inputs: Inputs, runs: Sequence[SeedRun], baselines: Sequence[BaselinePredictions], metric: str) -> RunFacts:
    """What the alarms look at, from the first seed's run."""
    run, labels, split = runs[0], inputs.splits.labels, main_split(runs)
    commonest = next((b.predictions[split] for b in baselines if b.name == "majority"), None)
    classes = labels.problem_type in (SINGLE, MULTI)
    return RunFacts(
        metric=metric, higher_is_better=higher_is_better(metric), class_names=labels.names,
        decisions={name: run.predictions[name].decisions for name in reversed(splits_of(runs))} if classes else {},
        history=run.fit.history, asked_learning_rate=run.fit.learning_rate,
        ours=compute(labels.problem_type, run.predictions[split])[metric],
        majority=None if commonest is None else compute(labels.problem_type, commonest)[metric],
    )  # fmt: skip
