"""Computes outputs, metrics, baselines and alarms of preference runs, from a table of log-probabilities of every row."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.preferences.load import PairData
from tunesmith.data.preferences.rows import PreferencePairs
from tunesmith.evaluation.baselines.preferences import LENGTH, length_baseline
from tunesmith.evaluation.outputs import BaselineOutputs, Outputs, SplitMetrics
from tunesmith.models.chat.answers import RenderedAnswers, answers_of
from tunesmith.progress import Event, Listener
from tunesmith.recipe.metric_names import PREFERENCE_FALLING
from tunesmith.recipe.tasks import baseline_names
from tunesmith.report.numbers import number
from tunesmith.results import Alarm
from tunesmith.tasks.language.evaluation import FEWEST_ANSWERS, UNTUNED, degenerate_answers
from tunesmith.tasks.preference.model import PreferenceSession
from tunesmith.tasks.preference.scoring import PreferenceSplit, outputs_of, score_answers
from tunesmith.tasks.reward.evaluation import figures
from tunesmith.tasks.task import Baselines, Evaluation
from tunesmith.training.history import LogHistory
from tunesmith.training.losses.preference_choice import ChosenLosses

NLL_RISE = 0.05
"""Rise of the loss per token of chosen answers, in nats, that counts: a twentieth of the perplexity."""
SATURATED, EARLY = 0.02, 0.5
"""A training loss below this share of its first value, before this share of the steps, leaves hardly a gradient for the rest."""
FEWEST_LOGGED, ERRORS_BELOW = 4, 3.0
"""Logged losses of the second half of a training that are enough, and standard errors by which their mean is below 0.
With margins that do not depend on which pairs are reversed, at most 2 in 100 trainings on 64 or more are below by chance."""
DRIFT_FACTOR, DRIFT_TOKENS = 1.5, 4
"""Generated answers that are so much longer or shorter than those before training have drifted."""


def split_metrics(session: PreferenceSession, split: str) -> SplitMetrics:
    """Returns the metrics of one split, with the clusters of its rows."""
    rows = session.splits[split]
    return SplitMetrics(
        split, requested=session.metric, clusters={"row_scores": rows.clusters}, lower=frozenset(PREFERENCE_FALLING)
    )


def metrics(session: PreferenceSession) -> list[SplitMetrics]:
    """Returns the metrics of the evaluation splits."""
    return [split_metrics(session, name) for name in session.splits]


def outputs(session: PreferenceSession) -> dict[str, Outputs]:
    """Computes the model's outputs on every split."""
    return model_outputs(session, session.model)


def model_outputs(session: PreferenceSession, model: torch.nn.Module) -> dict[str, Outputs]:
    """Computes a model's outputs on every split."""
    return {
        name: outputs_of(score_answers(session, model, split, session.generation), split, session.losses)
        for name, split in session.splits.items()
    }


def baselines(session: PreferenceSession, listener: Listener) -> Baselines:
    """Computes the outputs of the model before training, and of the length of the answers."""
    requested, systems, base = baseline_names(session.data.recipe), list[BaselineOutputs](), dict[str, Outputs]()
    if UNTUNED in requested:
        started = time.perf_counter()
        base = {name: outputs_of(split.reference, split, session.losses) for name, split in session.splits.items()}
        note = "the model before training" + (": its reward is 0, so all pairs are ties" if session.losses.has_reference else "")
        systems.append(BaselineOutputs(UNTUNED, base, time.perf_counter() - started, note))
        listener(Event("step", "baselines", 1, len(requested)))
    if LENGTH in requested:
        systems.append(length_system(session))
        listener(Event("step", "baselines", len(requested), len(requested)))
    return Baselines(tuple(systems), base)


def length_system(session: PreferenceSession) -> BaselineOutputs:
    """Prefers longer answers, or shorter ones where those are chosen more often in train; ties count half."""
    if isinstance(session.data.rows, PairData):
        rows = [split.source.take(list(split.rows.positions), name) for name, split in session.splits.items()]
        pairs = [part for part in rows if isinstance(part, PreferencePairs)]
        fitted = length_baseline(session.data.rows.train, pairs)
        scores = {name: outputs.row_scores["accuracy"] for name, outputs in fitted.outputs.items()}
        return replace(fitted, outputs={name: Outputs(row_scores={"accuracy": of_rows}) for name, of_rows in scores.items()})
    started = time.perf_counter()
    longer = float(judged_by_length(session.train, session.train).mean()) >= 0.5
    of_splits = {name: judged_by_length(split.rows, session.train) for name, split in session.splits.items()}
    outputs = {name: Outputs(row_scores={"accuracy": part if longer else 1 - part}) for name, part in of_splits.items()}
    note = f"answers {'longer' if longer else 'shorter'} than the median are good, as in train"
    return BaselineOutputs(LENGTH, outputs, time.perf_counter() - started, note)


def judged_by_length(rows: RenderedAnswers, train: RenderedAnswers) -> Array:
    """Returns 1 for each judged answer (N) that is good and longer than the median of train, or neither, 0.5 for ties, else 0."""
    counts, median = np.array(rows.chosen.counts, dtype=np.float64), float(np.median(train.chosen.counts))
    sign = np.where(np.array(rows.desirable), 1.0, -1.0)
    return np.asarray(0.5 + 0.5 * np.sign(counts - median) * sign)


def alarms(session: PreferenceSession, evaluation: Evaluation) -> list[Alarm]:
    """Returns the alarms of preference runs: what happens while their loss falls."""
    name = list(session.splits)[-1]
    split, ours, fit = session.splits[name], evaluation.best.outputs[name], evaluation.best.fit
    before = outputs_of(split.reference, split, session.losses)
    found = [
        both_fall(ours, before, name),
        saturated(fit.history, fit.schedule.total_steps, session.losses),
        below_zero(fit.history, session.losses, fit.schedule.total_steps / fit.schedule.steps_per_epoch),
        length_drift(ours, before, name, chosen_tokens(split)),
        not_above_length(evaluation, name),
    ]
    answers = answers_of(split.source)
    references = [answers[split.rows.positions[row]][-1].text for row in split.sample]
    return [*(alarm for alarm in found if alarm is not None), *degenerate_answers(ours.texts, references, name)]


def both_fall(ours: Outputs, before: Outputs, split: str) -> Alarm | None:
    """Detects chosen and rejected answers that both became less likely, the chosen ones per token."""
    chosen, rejected = ours.figures["chosen_change"], ours.figures["rejected_change"]
    rise = ours.figures["chosen_nll"] - before.figures["chosen_nll"]
    if not (chosen < 0 and rejected < 0 and rise > NLL_RISE):
        return None
    message = (
        f"On {split} the log-probability of chosen answers changed by {number(chosen)} nats, of rejected ones by "
        f"{number(rejected)}: the model moved away from both. The loss per token of chosen answers rose by {number(rise)}."
    )
    remedy = "Raise preference.beta, lower train.learning_rate, or add their loss: preference.loss_type: [sigmoid, sft]."
    return Alarm("both answers less likely", message, remedy)


def saturated(history: LogHistory, total_steps: int, losses_of_run: ChosenLosses) -> Alarm | None:
    """Detects a training loss that is nearly zero early, so that the rest of the training hardly learns anything.

    A loss that falls without limit keeps its gradient however large the margin is: it is not tested.
    """
    if not losses_of_run.has_reference or losses_of_run.unbounded_start:
        return None
    losses = [(entry["step"], entry["loss"]) for entry in history if "loss" in entry]
    step = next((step for step, loss in losses if loss < SATURATED * abs(losses[0][1])), None)
    if step is None or step > EARLY * total_steps:
        return None
    message = f"The training loss fell below {SATURATED:.0%} of its first value at step {step} of {total_steps}."
    remedy = "Train for fewer steps, or lower train.learning_rate."
    if "ipo" not in losses_of_run.names:
        remedy = "Train for fewer steps, lower train.learning_rate, or use ipo, which has a margin that it does not exceed."
    return Alarm("margin saturated", message, remedy)


def below_zero(history: LogHistory, losses: ChosenLosses, epochs: float) -> Alarm | None:
    """Detects a training loss without a lowest value that is further below 0, in the second half, than it began above it.

    ``robust`` estimates the loss of DPO from pairs of which a share, label_smoothing, is reversed. That loss is never below 0, so
    the estimate is far below 0 only if fewer pairs are reversed, or if the model has learnt those that are. The standard error of
    the mean is that of successive differences, which a trend does not change, and of distinct rows.

    Args:
        epochs: passes over the training rows.
    """
    start, logged = losses.unbounded_start, [entry["loss"] for entry in history if "loss" in entry]
    late = np.array(logged[len(logged) // 2 :])
    if not start or len(late) < FEWEST_LOGGED or not late.mean() < -start:
        return None
    error = np.sqrt(np.mean(np.diff(late) ** 2) / 2 * max(1.0, epochs / 2) / len(late))
    if late.mean() + ERRORS_BELOW * error >= 0:
        return None
    message = (
        f"The training loss of the second half is {number(float(late.mean()))}. It estimates a loss that is never below 0, "
        f"assuming that {losses.label_smoothing:.1%} of the pairs are reversed (preference.label_smoothing): fewer are, or the "
        "model has learnt the reversed ones, too. It falls without limit as long as the training goes on."
    )
    remedy = "Lower preference.label_smoothing to the share that is reversed, train for fewer steps, or use sigmoid or ipo."
    return Alarm("loss far below zero", message, remedy)


def chosen_tokens(split: PreferenceSplit) -> float:
    """Returns the mean length in tokens of the better answers to the prompts whose answers are generated."""
    counts = np.array(split.rows.chosen.counts)[list(split.sample)]
    good = np.ones(len(counts), dtype=bool)
    if split.rows.desirable is not None:
        good = np.array(split.rows.desirable)[list(split.sample)]
    return float(counts[good].mean()) if good.any() else float("nan")


def length_drift(ours: Outputs, before: Outputs, split: str, chosen: float) -> Alarm | None:
    """Detects generated answers that became considerably longer or shorter, and so less like the better answers of the data.

    Args:
        chosen: mean length in tokens of the better answers; NaN if there are none.
    """
    sizes = [outputs.figures.get("answer_tokens") for outputs in (ours, before)]
    if len(ours.texts) < FEWEST_ANSWERS or sizes[0] is None or sizes[1] is None:
        return None
    long, short = max(sizes[0], sizes[1]), max(1.0, min(sizes[0], sizes[1]))
    if long < DRIFT_FACTOR * short or long - short < DRIFT_TOKENS:
        return None
    if abs(np.log(max(1.0, sizes[0]) / max(1.0, chosen))) <= abs(np.log(max(1.0, sizes[1]) / max(1.0, chosen))):
        return None
    word = "longer" if sizes[0] > sizes[1] else "shorter"
    message = (
        f"Generated answers on {split} became {word}: {plural(sizes[0], 'token')} on average, {number(sizes[1])} before "
        f"training, {number(chosen)} of the better answers."
    )
    remedy = "See the baseline length: if it is close to this run, use preference.loss_type: sigmoid_norm or preference.ld_alpha."
    return Alarm("answer length drifted", message, remedy)


def not_above_length(evaluation: Evaluation, split: str) -> Alarm | None:
    """Detects an accuracy that is not better than preferring the longer, or the shorter, answer."""
    verdict = next((v for v in evaluation.verdicts if (v.against, v.metric, v.split) == (LENGTH, "accuracy", split)), None)
    if verdict is None or verdict.word == "better":
        return None
    message = f"The model orders the answers of {split} no better than their length alone{figures(verdict)}."
    remedy = "It may have learnt no more than lengths, or too little: give more pairs, pairs of equal length, or train longer."
    return Alarm("not above length", message, remedy)
