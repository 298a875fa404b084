"""Alarms: signs that a run did not work although it ended. Pure functions of what the run recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tunesmith.results import Alarm
from tunesmith.training.history import LogHistory, evaluations

FAR_FACTOR = 1.5
MOST = 0.5
FIRST_LOSS_FACTOR, FIRST_LOSS_MARGIN = 1.5, 0.5
"""A first loss above factor * expected + margin is abnormal. The margin (in the loss's unit) is for expected losses near zero."""


@dataclass(frozen=True)
class RunFacts:
    """What the alarms look at.

    Attributes:
        metric: the leading metric; ``ours`` and ``majority`` are its values on the judged split (None: undefined).
        decisions: split -> class ids (N), or (N, K) decisions for several labels; empty for a regression.
        expected_first_loss: see ``tasks.task.Session``; NaN where none is known.
        asked_learning_rate, highest_learning_rate: the rate that the schedule should have reached, and the highest of any step.
        truncated_share: split -> share of rows that lost tokens.
    """

    metric: str
    higher_is_better: bool
    class_names: tuple[str, ...]
    decisions: dict[str, np.ndarray] = field(default_factory=dict)
    history: LogHistory = field(default_factory=list)
    expected_first_loss: float = float("nan")
    asked_learning_rate: float = 0.0
    highest_learning_rate: float = 0.0
    ours: float | None = None
    majority: float | None = None
    truncated_share: dict[str, float] = field(default_factory=dict)
    max_length: int = 0


def alarms(facts: RunFacts) -> tuple[Alarm, ...]:
    """Every alarm that goes off, in the order of ``ALARMS``."""
    return tuple(alarm for look in ALARMS if (alarm := look(facts)) is not None)


def one_class(facts: RunFacts) -> Alarm | None:
    """All predictions of a split are the same."""
    for split, decided in facts.decisions.items():
        if len(decided) < 10:
            continue
        if decided.ndim == 1 and (decided == decided[0]).all():
            name = facts.class_names[int(decided[0])]
            said = (
                f"All {len(decided):,} predictions on {split} are the class {name!r}: the model learnt nothing about the texts."
            )
        elif decided.ndim == 2 and not decided.any():
            said = f"Not one label was predicted for any of the {len(decided):,} rows of {split}."
        else:
            continue
        remedy = (
            "Train longer or with a higher learning rate (more epochs, more rows), "
            "and set train.class_weights: balanced if one class dominates."
        )
        return Alarm("one class", said, remedy)
    return None


def is_abnormal_first_loss(loss: float, expected: float) -> bool:
    """Whether a first loss is far above the expected one; False where none is known (NaN)."""
    return loss > FIRST_LOSS_FACTOR * expected + FIRST_LOSS_MARGIN


def first_loss_abnormal(facts: RunFacts) -> Alarm | None:
    """The first logged training loss is far above that of a model that knows nothing."""
    first = next((entry["loss"] for entry in facts.history if "loss" in entry), None)
    if first is None or not is_abnormal_first_loss(first, facts.expected_first_loss):
        return None
    return Alarm(
        "first loss abnormal",
        f"The first training loss was {first:.4f}; a model that knows nothing has {facts.expected_first_loss:.4f}.",
        "Check the precision, the learning rate, and whether the model's head and tokenizer belong to these rows.",
    )


def loss_not_lower(facts: RunFacts) -> Alarm | None:
    """The training loss at the end is not below where it began."""
    losses = [entry["loss"] for entry in facts.history if "loss" in entry]
    if len(losses) < 4:
        return None
    tenth = max(1, len(losses) // 10)
    first, last = float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:]))
    if last < first:
        return None
    return Alarm(
        "loss not lower", f"The training loss ended at {last:.4f}; it began at {first:.4f}.",
        "Check the learning rate (too high and too low both do this), train_layers, and whether labels belong to the texts.",
    )  # fmt: skip


def not_above_majority(facts: RunFacts) -> Alarm | None:
    """The result is not better than always giving the commonest answer."""
    if facts.ours is None or facts.majority is None:
        return None
    better = facts.ours > facts.majority if facts.higher_is_better else facts.ours < facts.majority
    if better:
        return None
    return Alarm(
        "not above majority", f"{facts.metric} is {facts.ours:.4f}; always giving the commonest answer has {facts.majority:.4f}.",
        "Do not use this model. Train longer or with another learning rate, and read the findings about labels and duplicates.",
    )  # fmt: skip


def overfitted(facts: RunFacts) -> Alarm | None:
    """Validation loss rose well above its lowest point while the training loss went on falling."""
    seen = [(entry["step"], entry["eval_loss"]) for entry in evaluations(facts.history) if np.isfinite(entry["eval_loss"])]
    losses = [entry["loss"] for entry in facts.history if "loss" in entry]
    if len(seen) < 3 or not losses:
        return None
    lowest_step, lowest = min(seen, key=lambda pair: pair[1])
    last, training = seen[-1][1], float(np.mean(losses[-max(1, len(losses) // 10) :]))
    if not (last > FAR_FACTOR * lowest and last > FAR_FACTOR * training):
        return None
    return Alarm(
        "validation far from training",
        f"Validation loss was lowest at step {lowest_step} ({lowest:.4f}) and ended at {last:.4f}, "
        f"the training loss at {training:.4f}: it learnt the rows by heart.",
        "Train for fewer epochs, or set train.early_stopping; the best checkpoint, not the last, was kept.",
    )  # fmt: skip


def learning_rate_not_reached(facts: RunFacts) -> Alarm | None:
    """The run ended before the warm-up did."""
    if facts.highest_learning_rate >= 0.9 * facts.asked_learning_rate:
        return None
    return Alarm(
        "learning rate not reached",
        f"The highest learning rate was {facts.highest_learning_rate:.3g}; {facts.asked_learning_rate:.3g} was asked for.",
        "The warm-up is longer than the run, or a schedule kept it low: lower train.warmup_steps or train longer.",
    )  # fmt: skip


def not_finite(facts: RunFacts) -> Alarm | None:
    """A logged figure is NaN or infinite."""
    # A loss that no evaluation has cannot be measured: validation rows of embeddings may be of another shape.
    measured = any(np.isfinite(entry["eval_loss"]) for entry in evaluations(facts.history))
    names = ("loss", "eval_loss", "grad_norm") if measured else ("loss", "grad_norm")
    bad = [e["step"] for e in facts.history for name in names if not np.isfinite(e.get(name, 0.0))]
    if not bad:
        return None
    return Alarm(
        "not finite",
        f"A loss or gradient norm was not finite, first at step {bad[0]}.",
        "Lower train.learning_rate; on a GPU prefer bf16 to fp16.",
    )


def mostly_truncated(facts: RunFacts) -> Alarm | None:
    """Most rows of a split lost tokens, or are left out for their length."""
    for split, share in facts.truncated_share.items():
        if share > MOST:
            return Alarm(
                "most rows truncated",
                f"{share:.0%} of the {split} rows do not fit into {facts.max_length} tokens: they are cut or left out.",
                "Raise data.max_length as far as the model allows, or shorten or split the texts.",
            )  # fmt: skip
    return None


ALARMS: tuple[Callable[[RunFacts], Alarm | None], ...] = (
    not_finite,
    first_loss_abnormal,
    one_class,
    not_above_majority,
    loss_not_lower,
    overfitted,
    learning_rate_not_reached,
    mostly_truncated,
)
