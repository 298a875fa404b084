"""The outputs of one system on one split, and the metrics and verdicts made from them. Every task goes through here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.retrieval import Judgements
from tunesmith.evaluation.metrics.chance import CORRELATIONS, chance_verdict
from tunesmith.evaluation.metrics.chance import METRIC as CHANCE_METRIC
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.means import (
    TokenSums,
    bits_per_byte,
    mean_metric,
    mean_verdict,
    perplexity_of,
    token_mean_metrics,
    token_mean_verdict,
)
from tunesmith.evaluation.metrics.own_function import MeasuredRows
from tunesmith.evaluation.metrics.own_metrics import own_metrics, own_verdict
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.resample import Resampling, cluster_numbers
from tunesmith.evaluation.metrics.retrieval import DEFAULT, query_metrics
from tunesmith.evaluation.metrics.table import compute
from tunesmith.evaluation.metrics.verdict import holm, verdicts
from tunesmith.evaluation.over_optimisation import Fit
from tunesmith.recipe.metric_names import LOSS_METRICS, at_dimension
from tunesmith.results import Baseline, Metric, Verdict

WON_BY_A_CONSTANT = ("accuracy", "micro_f1")
"""Metrics in which the most frequent class alone beats random decisions; there is no verdict against chance on them."""
COMPUTED_AS: Mapping[str, str] = MappingProxyType({"best_f1": "macro_f1"})
"""Reported metric -> the metric of ``metrics.table`` that computes it, where the two names differ."""


@dataclass(frozen=True)
class TokenLosses:
    """The losses of rows of tokens.

    Attributes:
        sums: (N) float64, the sum of the losses of a row's counted tokens, in nats.
        counts: (N) int64, its counted tokens; 0 where nothing of the row is counted.
    """

    sums: Array
    counts: Array

    def __len__(self) -> int:
        return len(self.sums)

    @property
    def mean(self) -> float:
        """The mean over all counted tokens, in nats. Raises ValueError where there are none."""
        if not self.counts.sum():
            raise ValueError("no token is counted")
        return float(self.sums.sum() / self.counts.sum())


@dataclass(frozen=True)
class Outputs:
    """What one system (a trained model, a base model, a baseline) puts out on one split. Absent parts are None or empty.

    Attributes:
        problem_type: of the predictions, see ``metrics.predictions``.
        predictions: labels, scores and decisions of the N rows.
        losses: (N) the training loss of each row, without class weights.
        row_scores: metric -> (n) a value per row or query: retrieval, exact match, pair accuracy, in [0, 1]; or a number of
            ``metric_names.UNBOUNDED_METRICS``, such as a reward.
        row_values: name -> (N) further values of each row for predictions.parquet, which no metric is computed from here.
        token_losses: (N) summed losses and token counts.
        n_bytes: (N) UTF-8 bytes of the counted tokens of each row.
        texts: (n) generated texts.
        figures: metric -> one value of all rows together, which has no interval.
        expected: metric -> its expectation over random decisions, of the baseline ``chance`` alone.
        embeddings: per text column of the split (N, D).
        ranked: (Q, k) positions of the ranked documents of each query of a search, see ``metrics.retrieval``.
        context_curve: perplexity by window size, as JSON objects.
        best_of_n: reward of the best of n answers by n, as JSON objects.
        best_of_n_law: the law of over-optimisation fitted to their gold rewards.
        truncated: dimensions -> the outputs of the embeddings cut to so many (Matryoshka).
    """

    problem_type: str = ""
    predictions: Predictions | None = None
    losses: Array | None = None
    row_scores: Mapping[str, Array] = field(default_factory=dict)
    row_values: Mapping[str, Array] = field(default_factory=dict)
    token_losses: TokenLosses | None = None
    n_bytes: Array | None = None
    texts: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)
    embeddings: tuple[Array, ...] = ()
    ranked: Array | None = None
    context_curve: tuple[Mapping[str, float | int | None], ...] = ()
    best_of_n: tuple[Mapping[str, float | int | None], ...] = ()
    best_of_n_law: Fit | None = None
    truncated: Mapping[int, Outputs] = field(default_factory=dict)


def search_outputs(ranked: Array, judgements: Judgements, names: Sequence[str] = DEFAULT) -> Outputs:
    """Returns a ranking (Q, k) of documents with each retrieval metric of each query."""
    return Outputs(row_scores=query_metrics(ranked, judgements, names), ranked=ranked)


@dataclass(frozen=True)
class SplitMetrics:
    """The metrics of one split.

    Attributes:
        of_predictions: the metrics computed from predictions.
        verdict_metrics: those of them that verdicts are given on.
        requested: the recipe's ``evaluate.metric``: verdicts are given on it where the outputs have it; else on ``loss`` for
            token losses and on the first of the row scores.
        has_verdicts: False where the split's rows are reported but compared with nothing.
        clusters: ``predictions``, ``token_losses`` or ``row_scores`` -> (n) the cluster of each of their rows or queries; absent
            where all are independent. See ``data.row_clusters``.
        n_candidates: the checkpoints of which the best was selected on these rows, see ``Resampling``; 1 for none.
        positive: the class id that the F1 of one class counts as positive; None where the recipe names none.
        own: makes the rows that a user's function reads of a system's outputs, None for outputs that lack them; their clusters
            have the key ``own``.
        own_verdict: the metric of the function that verdicts are given on; empty without a function.
        lower: names of figures of which lower is better.
        verdict_scores: row scores that verdicts are given on beside the leading one.
    """

    split: str
    of_predictions: tuple[str, ...] = ()
    verdict_metrics: tuple[str, ...] = ()
    requested: str | None = None
    has_verdicts: bool = True
    clusters: Mapping[str, Array | None] = field(default_factory=dict)
    n_candidates: int = 1
    positive: int | None = None
    own: Callable[[Outputs], MeasuredRows | None] | None = None
    own_verdict: str = ""
    lower: frozenset[str] = frozenset()
    verdict_scores: tuple[str, ...] = ()

    def own_rows(self, seeds: Sequence[Outputs]) -> list[MeasuredRows]:
        """Returns the rows that the function reads of each seed's outputs; empty without a function or where they lack them."""
        rows = [None if self.own is None else self.own(outputs) for outputs in seeds]
        return [of_seed for of_seed in rows if of_seed is not None]


@dataclass(frozen=True)
class BaselineOutputs:
    """The outputs of a system that the run is compared with.

    Attributes:
        outputs: split -> outputs; splits it has none for are absent.
        seconds: to fit and predict.
        note: a description for the user; with no outputs, the reason.
    """

    name: str
    outputs: Mapping[str, Outputs]
    seconds: float = 0.0
    note: str = ""


def by_dimension(seeds: Sequence[Outputs]) -> Iterator[tuple[int | None, list[Outputs]]]:
    """Yields the outputs of whole embeddings (None), then those cut to each dimension."""
    yield None, list(seeds)
    for dimension in seeds[0].truncated:
        yield dimension, [outputs.truncated[dimension] for outputs in seeds]


def metrics_of_outputs(seeds: Sequence[Outputs], metrics: SplitMetrics, resampling: Resampling) -> list[Metric]:
    """Computes every metric of one system on one split with its 95 % interval.

    Args:
        seeds: the outputs of each seed's model on the same rows; the value is the mean over seeds.
    """
    split, of_kind = metrics.split, resamplings(metrics, resampling)
    every: list[Metric] = []
    for dimension, systems in by_dimension(seeds):
        found: list[Metric] = []
        if losses := token_sums(systems):
            found += token_mean_metrics(losses, systems[0].n_bytes, split, of_kind["token_losses"])
        for name in systems[0].row_scores:
            found.append(mean_metric(name, split, [outputs.row_scores[name] for outputs in systems], of_kind["row_scores"]))
        if predictions := predictions_of(systems, metrics.positive):
            computed = [COMPUTED_AS.get(name, name) for name in metrics.of_predictions]
            intervals = metric_intervals(systems[0].problem_type, predictions, split, computed, of_kind["predictions"])
            found += [replace(metric, name=name) for metric, name in zip(intervals, metrics.of_predictions, strict=True)]
        for name in systems[0].figures:
            mean = float(np.mean([outputs.figures[name] for outputs in systems]))
            higher, note = name not in metrics.lower, "one figure of all rows together: no interval"
            n = found[0].n
            found.append(Metric(name, split, value=mean, low=None, high=None, n=n, higher_is_better=higher, note=note))
        if rows := metrics.own_rows(systems):
            found += own_metrics(split, rows, of_kind["own"])
        every += [replace(metric, name=at_dimension(metric.name, dimension)) for metric in found]
    return every


def resamplings(metrics: SplitMetrics, resampling: Resampling) -> dict[str, Resampling]:
    """Returns the resampling of the rows of each kind of output."""
    selected = replace(resampling, n_candidates=metrics.n_candidates)
    kinds = ("predictions", "token_losses", "row_scores", "own")
    return {kind: selected.of_rows(cluster_numbers(metrics.clusters.get(kind))) for kind in kinds}


def token_sums(seeds: Sequence[Outputs]) -> list[TokenSums]:
    """Returns the summed losses and token counts of each seed; empty where the outputs have no token losses."""
    return [(losses.sums, losses.counts) for outputs in seeds if (losses := outputs.token_losses) is not None]


def predictions_of(seeds: Sequence[Outputs], positive: int | None = None) -> list[Predictions]:
    """Returns the predictions of each seed, with the positive class; empty where the outputs have none."""
    return [replace(outputs.predictions, positive=positive) for outputs in seeds if outputs.predictions is not None]


def metric_values(outputs: Outputs, metrics: SplitMetrics) -> dict[str, float]:
    """Computes metric -> value without intervals; NaN where a metric is undefined. Used at each evaluation during training.

    Raises RecipeError if a user's function fails.
    """
    values: dict[str, float] = {}
    for dimension, truncated in outputs.truncated.items():
        values |= {at_dimension(name, dimension): value for name, value in metric_values(truncated, metrics).items()}
    if outputs.token_losses is not None:
        loss = outputs.token_losses.mean
        values |= {"loss": loss, "perplexity": perplexity_of(loss)}
        if outputs.n_bytes is not None:
            values["bits_per_byte"] = bits_per_byte(float(outputs.token_losses.sums.sum()), max(1, int(outputs.n_bytes.sum())))
    values |= {name: float(scores.mean()) for name, scores in outputs.row_scores.items()}
    values |= outputs.figures
    for rows in metrics.own_rows([outputs]):
        values |= rows.values()
    for predictions in predictions_of([outputs], metrics.positive):
        computed = compute(outputs.problem_type, predictions)
        for name in metrics.of_predictions:
            value = computed[COMPUTED_AS.get(name, name)]
            values[name] = math.nan if value is None else value
    return values


def verdicts_of_outputs(
    seeds: Sequence[Outputs], baseline: BaselineOutputs, metrics: SplitMetrics, resampling: Resampling
) -> list[Verdict]:
    """Compares one system with a baseline on one split: one verdict per kind of output that both have, at equal dimensions.

    Args:
        seeds: the outputs of each seed's model, on the same rows as the baseline's.
    """
    theirs = baseline.outputs.get(metrics.split)
    if theirs is None or not metrics.has_verdicts:
        return []
    found: list[Verdict] = []
    for dimension, outputs in by_dimension(seeds):
        other = theirs if dimension is None else theirs.truncated.get(dimension)
        if other is not None:
            at_size = whole_verdicts(outputs, [other], baseline.name, metrics, resampling)
            found += [replace(verdict, metric=at_dimension(verdict.metric, dimension)) for verdict in at_size]
    return found


def whole_verdicts(
    seeds: Sequence[Outputs], others: Sequence[Outputs], against: str, metrics: SplitMetrics, resampling: Resampling
) -> list[Verdict]:
    """Compares outputs at one dimension: token losses, row scores, predictions, or predictions with random decisions.

    Args:
        seeds, others: the outputs of each seed's model of both systems, on the same rows.
    """
    split, of_kind, other = metrics.split, resamplings(metrics, resampling), others[0]
    found: list[Verdict] = []
    if other.token_losses is not None:
        name = metrics.requested if metrics.requested in LOSS_METRICS else "loss"
        sums, sizes = (token_sums(seeds), token_sums(others)), seeds[0].n_bytes
        found.append(token_mean_verdict(*sums, against, split, name or "loss", sizes, of_kind["token_losses"]))
    if other.row_scores:
        names = [metrics.requested, *other.row_scores]
        leading = next(name for name in names if name is not None and name in other.row_scores)
        for name in dict.fromkeys((leading, *(each for each in metrics.verdict_scores if each in other.row_scores))):
            mine, theirs = ([outputs.row_scores[name] for outputs in systems] for systems in (seeds, others))
            found.append(mean_verdict(name, mine, theirs, against, split, of_kind["row_scores"]))
    if other.predictions is not None:
        computed = [COMPUTED_AS.get(name, name) for name in metrics.verdict_metrics]
        systems = predictions_of(seeds, metrics.positive), predictions_of(others, metrics.positive)
        problem, of_rows = other.problem_type or None, of_kind["predictions"]
        given = verdicts(computed, *systems, against, split, of_rows, problem_type=problem)
        if all(len(np.unique(system.scores)) == 1 for system in systems[1]):
            with_constant = partial(
                chance_verdict, problem_type=other.problem_type, split=split, resampling=of_rows, against=against
            )
            given = tuple(with_constant(v.metric, systems[0], {v.metric: 0.0}) if v.metric in CORRELATIONS else v for v in given)
        found += [replace(verdict, metric=name) for verdict, name in zip(given, metrics.verdict_metrics, strict=True)]
    rows, their_rows = metrics.own_rows(seeds), metrics.own_rows(others)
    if rows and their_rows and metrics.own_verdict:
        found.append(own_verdict(metrics.own_verdict, rows, their_rows, against, split, of_kind["own"]))
    if other.expected:
        known = [metric for metric in other.expected if metric not in WON_BY_A_CONSTANT]
        compared = [metric for metric in dict.fromkeys((*metrics.verdict_metrics, CHANCE_METRIC)) if metric in known]
        ours, kind = predictions_of(seeds), other.problem_type
        found += [chance_verdict(metric, ours, other.expected, kind, split, of_kind["predictions"]) for metric in compared]
    return found


def baseline_result(baseline: BaselineOutputs, metrics: Sequence[SplitMetrics], resampling: Resampling) -> Baseline:
    """Computes a baseline's metrics on every split it has outputs for."""
    found = [
        metric
        for split in metrics
        if split.split in baseline.outputs
        for metric in metrics_of_outputs([baseline.outputs[split.split]], split, resampling)
    ]
    found += [
        Metric(name, split.split, value, None, None, 0, note="the expected value: no interval")
        for split in metrics
        if split.split in baseline.outputs
        for name, value in baseline.outputs[split.split].expected.items()
    ]
    return Baseline(baseline.name, tuple(found), round(baseline.seconds, 3), baseline.note)


def all_verdicts(
    seeds: Mapping[str, Sequence[Outputs]], baselines: Sequence[BaselineOutputs], metrics: Sequence[SplitMetrics],
    resampling: Resampling,
) -> tuple[Verdict, ...]:  # fmt: skip
    """Compares a run with every baseline: the main split (the last) first, then metric by metric. All are one family (Holm).

    Args:
        seeds: split -> the outputs of each seed's model.
    """
    found: list[Verdict] = []
    for split in reversed(metrics):
        given = [v for baseline in baselines for v in verdicts_of_outputs(seeds[split.split], baseline, split, resampling)]
        names = list(dict.fromkeys(verdict.metric for verdict in given))
        if split.own_verdict in names and split.own_verdict == split.requested:
            names = list(dict.fromkeys([split.own_verdict, *names]))
        found += sorted(given, key=lambda verdict: names.index(verdict.metric))
    return holm(found)
