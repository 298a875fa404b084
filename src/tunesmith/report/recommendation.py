"""Recommends in one sentence what to do with the model of a run: use it, use a simpler one, or get more test rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from tunesmith.recipe.metric_names import DECISION_METRICS, LABEL_METRICS, LOSS_METRICS, REWARD_METRICS, TEXT_METRICS
from tunesmith.report.numbers import is_number, number, plural, with_interval
from tunesmith.report.words import (
    CAUSAL,
    SEQ2SEQ,
    display_name,
    find,
    main_metric,
    part,
    sample_unit,
    verdicts_on,
    written_metric,
)
from tunesmith.results import Alarm, Metric, RunResult, Verdict

USELESS = {
    "certificate failed": "",
    "one class": "",
    "collapsed embeddings": "",
    "empty answers": "",
    "repetitive answers": "",
    "not above majority": "it is not shown to be better than predicting the same for every row",
    "not above chance": "it is not shown to be better than random decisions",
}
"""Alarms of a run whose model is of no use, whatever its metrics are; with the reason, or empty if the message is the reason."""
WITHOUT_LEARNING = frozenset({"majority", "chance"})
"""Baselines that do not read the texts: a model that is no better than one of them is no alternative to them either."""
WITHOUT_ANSWERS = frozenset({"length"})
"""Baselines that order answers and write none: no alternative to a language model."""
MOST_TIMES = 20
"""Number of test rows, in multiples of the present number, beyond which more rows are no advice."""
SOLVED = "at the ceiling"
"""The alarm about a test that a baseline solves, too."""

ANSWER_ROWS = "evaluate.answers.rows"
"""Recipe key of the number of rows to which answers are generated."""

REWARD, GOLD = REWARD_METRICS

Action = Literal["use", "use the simpler one", "get more test rows", "do not use", "none"]


@dataclass(frozen=True)
class Recommendation:
    """What to do with the model, and why, in one sentence."""

    action: Action
    sentence: str


def recommendation(result: RunResult) -> Recommendation:
    """Recommends an action from the alarms, the verdicts on the judging metric, and the split that judged."""
    metric = judging_metric(result)
    useless = next((alarm for alarm in result.alarms if alarm.name in USELESS), None)
    if useless is not None:
        return when_useless(useless, verdicts_on(result, metric) if metric is not None else [])
    if metric is None or not is_number(metric.value):
        return Recommendation("none", "No recommendation: nothing was measured that tells whether the model is good.")
    verdicts = verdicts_on(result, metric)
    if not verdicts:
        return Recommendation("none", "No recommendation: the model was not compared with a baseline.")
    solved = next((alarm for alarm in result.alarms if alarm.name == SOLVED), None)
    if solved is not None:
        return Recommendation("get more test rows", f"Get a harder test: {' '.join(solved.message.split())}")
    worse, undecided = (next((v for v in verdicts if v.word == word), None) for word in ("worse", "cannot tell"))
    if worse is not None:
        return when_worse(worse, metric, result)
    if undecided is not None:
        return when_undecided(undecided, metric, result)
    return when_better(verdicts[0], metric, len(verdicts), bool(result.alarms))


def judging_metric(result: RunResult) -> Metric | None:
    """Returns the primary metric; beside a loss that was asked for that of the written answers, beside a reward the gold one."""
    metric = main_metric(result)
    if metric is not None and metric.name == REWARD:
        return find(result.metrics, GOLD, metric.split) or metric
    if metric is None or metric.name not in LOSS_METRICS:
        return metric
    return written_metric(result, metric.split) or metric


def when_useless(alarm: Alarm, verdicts: Sequence[Verdict]) -> Recommendation:
    """Advises against the model, and names the baseline that is better."""
    reason = USELESS[alarm.name] or " ".join(alarm.message.split()).rstrip(".")
    better = next((v for v in verdicts if v.word == "worse" and v.against not in WITHOUT_LEARNING), None)
    instead = f"; {display_name(better.against)} is better by {amount(better)} {display_name(better.metric)}" if better else ""
    return Recommendation("do not use", f"Do not use this model: {reason}{instead}.")


def when_worse(verdict: Verdict, metric: Metric, result: RunResult) -> Recommendation:
    """Recommends the baseline that is better than the model."""
    baseline, name = display_name(verdict.against), display_name(metric.name)
    if is_no_alternative(verdict, result):
        reason = f"it is worse than {baseline} in {name} by {amount(verdict)}"
        return Recommendation("do not use", f"Do not use this model: {reason}.")
    reason = f"the fine-tuned model is worse in {name} by {amount(verdict)}"
    return Recommendation("use the simpler one", f"Use the simpler one, {baseline}: {reason}.")


def when_undecided(verdict: Verdict, metric: Metric, result: RunResult) -> Recommendation:
    """Recommends more test rows where they would decide, else the baseline that the model is not shown to beat."""
    baseline, name = display_name(verdict.against), display_name(metric.name)
    needed, now = rows_needed(verdict, result), plural(verdict.n, sample_unit(verdict))
    get = f"Evaluate more answers ({ANSWER_ROWS})" if is_of_some_answers(metric, result) else "Get more test rows"
    if not is_number(verdict.difference) or not is_number(verdict.low) or not is_number(verdict.high):
        why = f" ({verdict.note.rstrip('.')})" if verdict.note and verdict.difference != 0 else ""
        reason = f"{now} cannot tell whether the model is better than {baseline} in {name}{why}"
        if verdict.difference == 0:
            reason = f"on {now} the model and {baseline} have the same {name}"
        return Recommendation("get more test rows", f"{get}: {reason}.")
    if is_ahead(verdict, metric) and needed is not None and needed <= MOST_TIMES * verdict.n:
        size = f"a difference of this size from {baseline} ({amount(verdict)} {name})"
        more = f"about {rounded_up(needed):,} would show {size} in about 8 of 10 cases; {now} cannot"
        if n_seeds(result) > 1:  # the part of the uncertainty that is due to the seeds does not fall with the rows
            more = f"{now} and {plural(n_seeds(result), 'seed')} (train.n_seeds) cannot show {size}"
        return Recommendation("get more test rows", f"{get}{' or seeds' if n_seeds(result) > 1 else ''}: {more}.")
    difference = with_interval(verdict.difference, verdict.low, verdict.high, signed=True)
    reason = f"not shown to be better in {name} (difference {difference})"
    if is_no_alternative(verdict, result):
        return Recommendation("do not use", f"Do not use this model: compared with {baseline}, it is {reason}.")
    return Recommendation("use the simpler one", f"Use the simpler one, {baseline}: the fine-tuned model is {reason}.")


def is_no_alternative(verdict: Verdict, result: RunResult) -> bool:
    """Returns whether the baseline of a verdict cannot be used in place of the model."""
    writes = result.data.get("problem_type") == CAUSAL
    return verdict.against in WITHOUT_LEARNING or (writes and verdict.against in WITHOUT_ANSWERS)


def when_better(verdict: Verdict, metric: Metric, n_verdicts: int, has_alarms: bool) -> Recommendation:
    """Recommends the model, with what limits the recommendation."""
    baseline, name = display_name(verdict.against), display_name(metric.name)
    others = ", the strongest baseline," if n_verdicts > 1 else ""
    sentence = f"Use this model: it is better than {baseline}{others} in {name} by {amount(verdict)}"
    if metric.split == "validation" or metric.n_candidates > 1:
        sentence += f", judged by the {metric.split} rows that also selected it, so confirm it on a test file (data.test)"
    if has_alarms:
        sentence += f"{';' if ', judged' in sentence else ','} but read the alarms first"
    return Recommendation("use", f"{sentence}.")


def is_of_some_answers(metric: Metric, result: RunResult) -> bool:
    """Returns whether the metric was computed on answers to only a part of the rows of its split."""
    n, written = part(result.data, "splits", metric.split).get("rows"), (*TEXT_METRICS, *LABEL_METRICS)
    return result.data.get("problem_type") in (CAUSAL, SEQ2SEQ) and metric.name in written and is_number(n) and metric.n < n


def n_seeds(result: RunResult) -> int:
    return len(part(result.training).get("seeds") or ())


def is_ahead(verdict: Verdict, metric: Metric) -> bool:
    return is_number(verdict.difference) and (verdict.difference if metric.higher_is_better else -verdict.difference) > 0


def amount(verdict: Verdict) -> str:
    """Formats the size of the difference, without its sign."""
    return number(abs(verdict.difference)) if is_number(verdict.difference) else "an unknown amount"


def rows_needed(verdict: Verdict, result: RunResult) -> int | None:
    """Estimates how many rows would show the measured difference with a probability of 80 %; None if it is unknown.

    The smallest detectable difference shrinks with the square root of the number of rows, so n (detectable / difference)^2.
    Holm's correction divides the 5 % among the comparisons of the split that are undecided. The exact test of a
    metric of decisions rejects from one row of difference more, the usual continuity correction: 2 / difference rows more.
    """
    if not (is_number(verdict.smallest_detectable) and is_number(verdict.difference) and verdict.difference and verdict.n):
        return None
    undecided = [v for v in result.verdicts if v.split == verdict.split and v.word == "cannot tell" and v.p_two_sided is not None]
    quantile = NormalDist().inv_cdf
    wider = (quantile(1 - 0.025 / max(1, len(undecided))) + quantile(0.8)) / (quantile(0.975) + quantile(0.8))
    ratio = wider * verdict.smallest_detectable / verdict.difference
    has_exact_test = verdict.metric in DECISION_METRICS and verdict.n_clusters is None
    needed = verdict.n * ratio * ratio + (2 / abs(verdict.difference) if has_exact_test else 0.0)
    return max(verdict.n + 1, math.ceil(needed)) if math.isfinite(needed) else None


def rounded_up(n: int) -> int:
    """Rounds up to two significant digits."""
    step = int(10 ** max(0, len(str(n)) - 2))
    return -(-n // step) * step
