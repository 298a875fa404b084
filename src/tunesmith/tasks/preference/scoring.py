"""Scores answers by a model and its reference: one table of log-probabilities, from which all figures of a run are computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.data.preferences.load import prompt_clusters
from tunesmith.data.split import spread_positions
from tunesmith.evaluation.metrics.answers import is_looping
from tunesmith.evaluation.outputs import Outputs, TokenLosses
from tunesmith.generation.decode import GeneratedText
from tunesmith.models.chat.answers import Answers, RenderedAnswers
from tunesmith.models.language.token_losses import token_losses
from tunesmith.tasks.language.scoring import GenerationEval, TokenSession, generate_answers
from tunesmith.tasks.preference.data import PreferenceRows
from tunesmith.training.losses.preference_choice import ChosenLosses

TIE = 1e-6
"""Differences of log-probabilities below this share of them are rounding in fp32: ties, which count half."""


@dataclass(frozen=True)
class AnswerScores:
    """The log-probabilities of the answers of one split under one model.

    Attributes:
        logps: one array (N) a side: the log-probability of each answer, in nats.
        counts: one array (N) a side: the tokens of each answer.
        generated: the texts that the model generates after a few prompts.
    """

    logps: tuple[Array, ...]
    counts: tuple[Array, ...]
    generated: tuple[GeneratedText, ...] = ()

    def first_rows(self, count: int, n_sample: int) -> AnswerScores:
        """Returns the scores of the first rows, and of as many generated answers as the split has."""
        logps, counts = (tuple(side[:count] for side in part) for part in (self.logps, self.counts))
        return AnswerScores(logps, counts, self.generated[:n_sample])


@dataclass(frozen=True)
class PreferenceSplit:
    """One evaluation split, tokenised once for all systems.

    Attributes:
        rows: its tokens (N).
        source: its rows as they were read, more than N if some were left out.
        sample: (n) positions among the N rows whose prompts are answered by generation.
        prompts: (n) token ids before the answer.
        reference: the scores of the model before training.
    """

    split: str
    rows: RenderedAnswers
    source: PreferenceRows
    sample: tuple[int, ...] = ()
    prompts: tuple[list[int], ...] = ()
    reference: AnswerScores = field(default_factory=lambda: AnswerScores((), ()))

    @cached_property
    def clusters(self) -> Array:
        """Returns the cluster of every row (N): those with one prompt or group share one."""
        return np.asarray(prompt_clusters(self.source)[list(self.rows.positions)])

    def first_rows(self, count: int) -> PreferenceSplit:
        """Returns the split with its first rows, and as many generated answers."""
        n_sample = sum(position < count for position in self.sample)
        return replace(
            self,
            rows=self.rows.take(range(min(count, len(self.rows)))),
            sample=self.sample[:n_sample],
            prompts=self.prompts[:n_sample],
            reference=self.reference.first_rows(count, n_sample),
        )

    def with_sample(self, count: int) -> PreferenceSplit:
        """Returns the split with at most so many generated answers."""
        keep = spread_positions(len(self.sample), count)
        reference = replace(self.reference, generated=tuple(self.reference.generated[i] for i in keep))
        sample, prompts = (tuple(part[i] for i in keep) for part in (self.sample, self.prompts))
        return replace(self, sample=sample, prompts=prompts, reference=reference)  # type: ignore[arg-type]


def make_split(source: PreferenceRows, rows: RenderedAnswers, n_answers: int) -> PreferenceSplit:
    """Returns a split with a few prompts that are spread over it, as the rows have them; rows with the same prompt count once."""
    by_prompt = {source.prompts[position]: i for i, position in reversed(list(enumerate(rows.positions)))}
    asked = sorted(i for prompt, i in by_prompt.items() if prompt)
    sample = tuple(asked[i] for i in spread_positions(len(asked), n_answers))
    starts = rows.chosen.starts
    prompts = tuple(rows.chosen.input_ids[i][: starts[i]].tolist() for i in sample)
    return PreferenceSplit(source.split, rows, source, sample, prompts)


def score_answers(
    session: TokenSession, model: torch.nn.Module, split: PreferenceSplit, settings: GenerationEval, max_rows: int = 64
) -> AnswerScores:
    """Computes the log-probabilities of all answers of a split, and generates after its sampled prompts."""
    was_training = model.training
    model.eval()
    sides = [side_losses(session, model, side, max_rows) for side in split.rows.sides]
    generated = tuple(generate_answers(session, model, split.prompts, settings)) if split.prompts else ()
    model.train(was_training)
    return AnswerScores(tuple(-side.sums for side in sides), tuple(side.counts for side in sides), generated)


def side_losses(session: TokenSession, model: torch.nn.Module, side: Answers, max_rows: int = 64) -> TokenLosses:
    """Computes the summed losses of the answers of one side."""
    precision = session.fast_path.precision
    return token_losses(model, side.input_ids, side.labels, session.pad_id, precision, max_rows=max_rows)  # type: ignore[arg-type]


def rewards(scores: AnswerScores, reference: AnswerScores, losses: ChosenLosses) -> tuple[Array, ...]:
    """Returns the implicit reward of each answer (N), one array a side; without a reference that of the model alone."""
    sides = []
    for logps, before, counts in zip(scores.logps, reference.logps, scores.counts, strict=True):
        nats = logps - before if losses.has_reference else logps
        sides.append(losses.beta * (nats / np.maximum(1, counts) if losses.per_token else nats))
    return tuple(sides)


def won(first: Array, second: Array, scale: Array) -> Array:
    """Returns 1 where the first value is larger, 0 where the second is, and 0.5 for ties up to rounding at this scale (N)."""
    difference = first - second
    is_tie = np.abs(difference) <= TIE * scale
    return np.where(is_tie, 0.5, (difference > 0).astype(np.float64))


def rounding(scores: AnswerScores, reference: AnswerScores, losses: ChosenLosses) -> Array:
    """Returns the size of the numbers (N) whose rounding moves a row's rewards; 0 without a reference, where nothing cancels."""
    if not losses.has_reference:
        return np.zeros(len(scores.logps[0]))
    sides = [np.abs(logps) + np.abs(old) for logps, old in zip(scores.logps, reference.logps, strict=True)]
    shortest = np.maximum(1, np.min(scores.counts, axis=0))
    return np.asarray(losses.beta * sum(sides) / (shortest if losses.per_token else 1))


def outputs_of(scores: AnswerScores, split: PreferenceSplit, losses: ChosenLosses) -> Outputs:
    """Returns the scores of each row and the figures of a model on a split: see ``recipe.metric_names.PREFERENCE_METRICS``."""
    of_sides, scale = rewards(scores, split.reference, losses), rounding(scores, split.reference, losses)
    if split.rows.desirable is None:
        means = [logps / np.maximum(1, counts) for logps, counts in zip(scores.logps, scores.counts, strict=True)]
        row_scores = {
            "accuracy": won(of_sides[0], of_sides[1], scale),
            "likelihood_accuracy": won(means[0], means[1], np.zeros(len(scale))),
        }
    else:
        sign = np.where(split.rows.desirable, 1.0, -1.0)
        row_scores = {"accuracy": won(sign * of_sides[0], np.zeros(len(sign)), scale)}
    good, bad = by_kind(of_sides, split.rows.desirable)
    changes = tuple(logps - old for logps, old in zip(scores.logps, split.reference.logps, strict=True))
    good_change, bad_change = by_kind(changes, split.rows.desirable)
    nats, counts = (by_kind(part, split.rows.desirable)[0] for part in (scores.logps, scores.counts))
    figures: dict[str, float] = {
        "margin": mean(good) - mean(bad),
        "chosen_change": mean(good_change),
        "rejected_change": mean(bad_change),
        "chosen_nll": float(-nats.sum() / max(1, counts.sum())),
        **generated_figures(scores),
    }
    values = row_values(scores, split.reference, of_sides)
    texts = tuple(answer.text for answer in scores.generated)
    return Outputs(row_scores=row_scores, row_values=values, figures=figures, texts=texts)


def row_values(scores: AnswerScores, reference: AnswerScores, of_sides: Sequence[Array]) -> dict[str, Array]:
    """Returns the log-probabilities of each answer (N) by the model and by the one before training, and its reward."""
    names = ("chosen", "rejected") if len(of_sides) > 1 else ("answer",)
    values: dict[str, Array] = {}
    for name, logps, old, reward in zip(names, scores.logps, reference.logps, of_sides, strict=True):
        values |= {f"{name}_logp": logps, f"{name}_logp_before": old, f"{name}_reward": reward}
    return values


def by_kind(sides: Sequence[Array], desirable: Sequence[bool] | None) -> tuple[Array, Array]:
    """Returns the values of the good and of the bad answers, of pairs or of judged answers."""
    if desirable is None:
        return sides[0], sides[1]
    is_good = np.array(desirable)
    return sides[0][is_good], sides[0][~is_good]


def mean(values: Array) -> float:
    """Returns the mean; NaN of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")


def generated_figures(scores: AnswerScores) -> Mapping[str, float]:
    """Returns the mean length of the generated answers in tokens, and the share of them that loop; empty without any."""
    if not scores.generated:
        return {}
    sizes = [len(answer.token_ids) for answer in scores.generated]
    return {
        "answer_tokens": float(np.mean(sizes)),
        "looping": float(np.mean([is_looping(answer.text) for answer in scores.generated])),
    }
