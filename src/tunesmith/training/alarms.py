"""Defines the alarms: signs that a run did not work although it ended. Pure functions of the recorded values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tunesmith.data.cells import listed, plural
from tunesmith.recipe.metric_names import UNBOUNDED_METRICS, metric_title
from tunesmith.report.numbers import number, with_interval
from tunesmith.results import Alarm, Verdict
from tunesmith.training.history import LogHistory, evaluations

OVERFIT_FACTOR = 1.5
MANY_TRUNCATED = 0.5
SMALLEST_FALL = 1e-3
"""A loss that fell by a smaller share has not fallen: the order of the rows in a batch changes it as much by rounding."""
FEW_OTHERS = 0.1
"""Predictions of other classes than the commonest, over the rows with other labels, up to which nearly all are one class."""
CEILING = 0.9995
"""A metric whose best value is 1 is printed as 1.000 from here on."""
STILL_IMPROVING = 0.05
"""Share of the gain since the first evaluation that the last step has to add."""
FIRST_LOSS_FACTOR, FIRST_LOSS_MARGIN = 1.5, 0.5
"""A first loss above factor * expected + margin is abnormal. The margin (in the loss's unit) is for expected losses near zero."""


@dataclass(frozen=True)
class AlarmInputs:
    """The recorded values that the alarms read.

    Attributes:
        metric: the primary metric; ``ours`` and ``majority`` are its values on the evaluation split (None: undefined).
        selection_metric, selects_higher: the metric that selects the checkpoint, and whether larger values of it are better.
        majority_verdict: the verdict against that baseline; None without one.
        decisions, truth: split -> class ids (N), or (N, K) for several labels: decided, and right; empty for a regression.
        expected_first_loss: see ``tasks.task.Session``; NaN if none is known.
        baselines: name -> value of the primary metric on the evaluation split ``split``.
        chance: the verdict against random decisions on the main split; None without classes.
        requested_learning_rate, highest_learning_rate: the rate that the schedule should reach, and the highest of any step.
        truncated_share: split -> share of rows that lost tokens.
        loss_falls: whether a training that works has a falling loss, see ``recipe.tasks.TaskSettings``.
    """

    metric: str
    higher_is_better: bool
    class_names: tuple[str, ...]
    selection_metric: str
    selects_higher: bool
    decisions: dict[str, np.ndarray] = field(default_factory=dict)
    truth: dict[str, np.ndarray] = field(default_factory=dict)
    history: LogHistory = field(default_factory=list)
    expected_first_loss: float = float("nan")
    requested_learning_rate: float = 0.0
    highest_learning_rate: float = 0.0
    ours: float | None = None
    majority: float | None = None
    baselines: Mapping[str, float] = field(default_factory=dict)
    split: str = ""
    chance: Verdict | None = None
    majority_verdict: Verdict | None = None
    truncated_share: dict[str, float] = field(default_factory=dict)
    max_length: int = 0
    loss_falls: bool = True


def alarms(inputs: AlarmInputs) -> tuple[Alarm, ...]:
    """Returns every alarm that is raised, in the order of ``ALARMS``."""
    return tuple(alarm for detect in ALARMS if (alarm := detect(inputs)) is not None)


def one_class(inputs: AlarmInputs) -> Alarm | None:
    """Detects a split with nearly all predictions of one class, or nearly none of several labels, unlike its true labels."""
    remedy = "Train longer or with a higher learning rate (more epochs, more rows), "
    remedy += "and set train.class_weights: balanced if one class dominates."
    for split, decisions in inputs.decisions.items():
        n, truth = len(decisions), inputs.truth.get(split)
        if n < 10:
            continue
        usual = int(np.bincount(decisions).argmax()) if decisions.ndim == 1 else 0
        n_others, n_true = (0 if table is None else count_others(table, usual) for table in (decisions, truth))
        if n_others > FEW_OTHERS * n_true:
            continue
        if decisions.ndim == 1:
            message = f"{n - n_others:,} of {plural(n, 'prediction')} on {split} are the class {inputs.class_names[usual]!r}"
            message += f"; {plural(n_true, 'row', 'has', 'have')} another label" if n_true else ""
        else:
            count = f"A label was predicted for {n_others:,}" if n_others else "Not one label was predicted for any"
            message = f"{count} of the {plural(n, 'row')} of {split}; {n_true:,} have one"
        return Alarm("one class", f"{message}: the model learnt hardly anything about the texts.", remedy)
    return None


def count_others(table: np.ndarray, usual: int) -> int:
    """Counts the rows of another class than the usual one; of a table for several labels, those with any label."""
    return int((table != usual).sum() if table.ndim == 1 else table.any(axis=1).sum())


def is_abnormal_first_loss(loss: float, expected: float) -> bool:
    """Tells whether a first loss is far above the expected one; False if none is known (NaN)."""
    return loss > FIRST_LOSS_FACTOR * expected + FIRST_LOSS_MARGIN


def first_loss_abnormal(inputs: AlarmInputs) -> Alarm | None:
    """Detects a first logged training loss far above chance level."""
    first = next((entry["loss"] for entry in inputs.history if "loss" in entry), None)
    if first is None or not is_abnormal_first_loss(first, inputs.expected_first_loss):
        return None
    return Alarm(
        "first loss abnormal",
        f"The first training loss was {number(first)}; at chance level it is {number(inputs.expected_first_loss)}.",
        "Check the precision, the learning rate, and whether the model's head and tokenizer belong to these rows.",
    )


def loss_not_lower(inputs: AlarmInputs) -> Alarm | None:
    """Detects a training loss that did not fall by at least a thousandth."""
    losses = [entry["loss"] for entry in inputs.history if "loss" in entry]
    if len(losses) < 4 or not inputs.loss_falls:
        return None
    tenth = max(1, len(losses) // 10)
    first, last = float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:]))
    if last < first - SMALLEST_FALL * abs(first):
        return None
    return Alarm(
        "loss not lower",
        f"The training loss ended at {number(last)}; it began at {number(first)}.",
        "Check the learning rate (too high and too low both do this), train_layers, and whether labels belong to the texts.",
    )


def not_above_majority(inputs: AlarmInputs) -> Alarm | None:
    """Detects a result that is not better than the baseline ``majority``: by the verdict, else by the two values."""
    if inputs.ours is None or inputs.majority is None:
        return None
    verdict = inputs.majority_verdict
    is_above = inputs.ours > inputs.majority if inputs.higher_is_better else inputs.ours < inputs.majority
    if is_above if verdict is None else verdict.word == "better":
        return None
    message = f"{metric_title(inputs.metric)} is {number(inputs.ours)}; the baseline majority has {number(inputs.majority)}"
    if verdict is not None and verdict.low is not None and verdict.high is not None:
        message += f"; the interval of the difference is [{number(verdict.low)}, {number(verdict.high)}]"
    remedy = (
        "Do not use this model. Train longer or with another learning rate, and read the findings about labels and duplicates."
    )
    return Alarm("not above majority", f"{message}.", remedy)


def at_ceiling(inputs: AlarmInputs) -> Alarm | None:
    """Detects a test that a baseline solves as well as the model, so that nothing can be better on it."""
    if inputs.ours is None or not inputs.higher_is_better or inputs.metric in UNBOUNDED_METRICS:
        return None
    return ceiling_alarm(inputs.metric, inputs.split, inputs.ours, inputs.baselines)


def ceiling_alarm(metric: str, split: str, ours: float, baselines: Mapping[str, float]) -> Alarm | None:
    """Returns the alarm about a metric with the maximum 1 that the model and a baseline both reach; None if they do not."""
    solved = [name for name, value in baselines.items() if value >= CEILING]
    if ours < CEILING or not solved:
        return None
    message = f"{metric_title(metric)} on {split} is {number(ours)}, and that of {listed(solved)}, too: nothing can be better"
    remedy = "Give a harder test: rows that the baseline gets wrong; for pairs, more texts to search among (evaluate.corpus)."
    return Alarm("at the ceiling", f"{message}, so this test cannot tell whether the training helped.", remedy)


def still_improving(inputs: AlarmInputs) -> Alarm | None:
    """Detects a selection metric whose last two evaluations are the best, with a last step that is a part of the whole gain."""
    sign = 1.0 if inputs.selects_higher else -1.0
    measured = [entry.get(f"eval_{inputs.selection_metric}", float("nan")) for entry in evaluations(inputs.history)]
    values = [sign * value for value in measured if value is not None and np.isfinite(value)]
    if len(values) < 3 or not values[-1] > values[-2] > max(values[:-2]):
        return None
    if values[-1] - values[-2] < STILL_IMPROVING * (values[-1] - values[0]):
        return None
    return Alarm(
        "still improving at the end",
        f"The last evaluation on validation was the best ({metric_title(inputs.selection_metric)} {number(sign * values[-1])}), "
        f"the one before the second best ({number(sign * values[-2])}): the training ended too early.",
        "Raise train.num_train_epochs (or train.max_steps); the best evaluation is kept.",
    )


def not_above_chance(inputs: AlarmInputs) -> Alarm | None:
    """Detects predictions that cannot be told from random ones, by MCC, which no system that ignores the text can raise."""
    found = inputs.chance
    if found is None or found.word == "better" or found.n_clusters == 1:
        return None
    value = "undefined" if found.difference is None else with_interval(found.difference, found.low, found.high)
    return Alarm(
        "not above chance",
        f"{metric_title(found.metric)} on {found.split} is {value}; random decisions have 0, and {plural(found.n, 'row')} "
        "cannot tell the two apart.",
        "Do not use this model. Train longer or with another learning rate, check that the labels belong to the texts, or give "
        "more test rows.",
    )


def overfitted(inputs: AlarmInputs) -> Alarm | None:
    """Detects a validation loss that rose well above its lowest value while the training loss went on falling."""
    measured = [(entry["step"], entry["eval_loss"]) for entry in evaluations(inputs.history) if np.isfinite(entry["eval_loss"])]
    losses = [entry["loss"] for entry in inputs.history if "loss" in entry]
    if len(measured) < 3 or not losses or not inputs.loss_falls:
        return None
    lowest_step, lowest = min(measured, key=lambda pair: pair[1])
    last, training = measured[-1][1], float(np.mean(losses[-max(1, len(losses) // 10) :]))
    # Of losses above 0: the last one is more than 1.5 times both. A loss may be below 0.
    if not all(last - other > (OVERFIT_FACTOR - 1) * abs(other) for other in (lowest, training)):
        return None
    return Alarm(
        "validation far from training",
        f"Validation loss was lowest at step {lowest_step} ({number(lowest)}) and ended at {number(last)}, "
        f"the training loss at {number(training)}: the model memorised training rows.",
        "Train for fewer epochs, or set train.early_stopping; the best checkpoint, not the last, was kept.",
    )


def learning_rate_not_reached(inputs: AlarmInputs) -> Alarm | None:
    """Detects a run that ended before its warm-up."""
    if inputs.highest_learning_rate >= 0.9 * inputs.requested_learning_rate:
        return None
    return Alarm(
        "learning rate not reached",
        f"The highest learning rate was {inputs.highest_learning_rate:.3g}; {inputs.requested_learning_rate:.3g} was requested.",
        "The warm-up is longer than the run, or a schedule kept it low: lower train.warmup_steps or train longer.",
    )


def not_finite(inputs: AlarmInputs) -> Alarm | None:
    """Detects a logged loss or gradient norm that is NaN or infinite."""
    # Without any finite evaluation loss there is none to check: validation rows of embeddings may have another format.
    measured = any(np.isfinite(entry["eval_loss"]) for entry in evaluations(inputs.history))
    names = ("loss", "eval_loss", "grad_norm") if measured else ("loss", "grad_norm")
    bad = [e["step"] for e in inputs.history for name in names if not np.isfinite(e.get(name, 0.0))]
    if not bad:
        return None
    return Alarm(
        "not finite",
        f"A loss or gradient norm was not finite, first at step {bad[0]}.",
        "Lower train.learning_rate; on a GPU prefer bf16 to fp16.",
    )


def mostly_truncated(inputs: AlarmInputs) -> Alarm | None:
    """Detects a split of which most rows lost tokens, or are left out for their length."""
    for split, share in inputs.truncated_share.items():
        if share > MANY_TRUNCATED:
            return Alarm(
                "most rows truncated",
                f"{share:.0%} of the {split} rows do not fit into {plural(inputs.max_length, 'token')}: they are "
                "truncated or left out.",
                "Raise data.max_length as far as the model allows, or shorten or split the texts.",
            )
    return None


ALARMS: tuple[Callable[[AlarmInputs], Alarm | None], ...] = (
    not_finite,
    first_loss_abnormal,
    one_class,
    not_above_majority,
    not_above_chance,
    at_ceiling,
    loss_not_lower,
    still_improving,
    overfitted,
    learning_rate_not_reached,
    mostly_truncated,
)
