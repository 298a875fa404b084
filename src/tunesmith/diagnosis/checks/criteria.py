"""Label criteria of two data sets: which words and lengths decide in one and not in the other, as a short decision list.

Its evidence are similar texts, matched one to one, so that both sides have texts of one kind. A condition may become a rule only
if swapping the two rows of random pairs seldom gives as large a difference for any condition (the largest statistic over all:
Westfall and Young 1993, "Resampling-Based Multiple Testing"). Pairs that share near-duplicates are one unit and swapped together.
So two random halves of one data set have no rules in at least 95 of 100 cases. The list (Rivest 1987, "Learning Decision Lists")
is fitted to one half of the pairs and evaluated on the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.diagnosis.checks.pvi import difference_interval, mean_interval
from tunesmith.diagnosis.checks.similar_texts import MIN_ROWS, Side, SimilarTexts

MOST_RULES = 7
MIN_UNITS = 40
"""Fewest independent units of pairs of similar texts, fitted and held out together."""
MOST_CANDIDATES = 10
"""Conditions that a language model may choose from: the rules, then the clearest others."""
SWAPS = 1_000
ALPHA = 0.05


@dataclass(frozen=True)
class LabelCriterion:
    """A condition, and the labels of the held-out texts in which it holds.

    Attributes:
        condition: in words.
        first_label, second_label: its most frequent label in each data set among the fitted texts.
        label: the label whose shares differ most.
        n_first, n_second: held-out texts of each data set.
        first_share, second_share: of these with ``label``; None without texts.
        low, high: 95 % interval of the difference of the two shares; None without one.
    """

    condition: str
    first_label: str
    second_label: str
    label: str
    n_first: int
    n_second: int
    first_share: float | None
    second_share: float | None
    low: float | None
    high: float | None

    @property
    def is_confirmed(self) -> bool:
        """Tells whether the shares differ among the held-out texts, too."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How well a list predicts held-out texts.

    Attributes:
        agreement, low, high: share of held-out texts whose label the list predicts, with its 95 % interval.
        majority_agreement: the same for the most frequent label of each data set.
        gain, gain_low, gain_high: difference of the two, with its 95 % interval.
    """

    agreement: float
    low: float
    high: float
    majority_agreement: float
    gain: float
    gain_low: float
    gain_high: float


@dataclass(frozen=True)
class Chosen(Figures):
    """The condition that a language model chose from the tested ones, measured as a list of its own.

    Attributes:
        rule: the condition with its figures on the held-out texts.
        n_candidates: conditions that it chose from.
    """

    rule: LabelCriterion
    n_candidates: int


@dataclass(frozen=True)
class Criteria(Figures):
    """The difference between the label criteria of two data sets.

    Attributes:
        first, second: names of the data sets.
        n_pairs, n_held_out: pairs of similar texts, and those that were not fitted to.
        rules: in their order; the last holds in all other texts. Empty if no rule is confirmed by the held-out texts.
        tendencies: confirmed conditions that are no rule, since the texts are predicted as well without; the clearest first.
        chosen: with a language model, the condition that it chose; None without one, or with fewer than two conditions.
    """

    first: str
    second: str
    n_pairs: int
    n_held_out: int
    rules: tuple[LabelCriterion, ...]
    tendencies: tuple[LabelCriterion, ...]
    chosen: Chosen | None = None


Choose = Callable[[Sequence[str], Array], str]
"""The tested conditions, and the positions of the fitted pairs, to one of the conditions."""


@dataclass(frozen=True)
class Difference:
    """A condition of which the shares of a label differ more between the data sets than in the other texts."""

    feature: int
    label: int
    statistic: float


Line = tuple[int, int, int, int]
"""A feature, the label whose shares differ, and the labels that are predicted in the first and in the second data set."""


def explain_criteria(
    names: tuple[str, str],
    texts: SimilarTexts,
    labels: Sequence[str],
    units: Array,
    seed: int = 0,
    choose: Choose | None = None,
) -> Criteria | None:
    """Fits a decision list to one half of the pairs and evaluates it on the other; None for fewer than ``MIN_UNITS`` units.

    Args:
        labels: names of the classes.
        units: the unit of each pair (P), from 0 on: its pairs stay in one half, are swapped together and count as one.
        seed: of the halves and the swaps.
        choose: chooses one of the conditions that pass the test; it is not shown the held-out half.
    """
    if len(np.unique(units)) < MIN_UNITS:
        return None
    draw = np.random.default_rng(seed)
    is_fitted = draw.permutation(np.arange(int(units.max()) + 1) % 2 == 0)[units]
    fitted, held = texts.take(is_fitted), LinkedTexts(texts.take(~is_fitted), units[~is_fitted])
    lines, tendencies = decision_list(LinkedTexts(fitted, units[is_fitted]), len(labels), draw)
    common = most_frequent(fitted.first.given), most_frequent(fitted.second.given)
    figures, named = measured_list(lines, held, common), tuple(rules(lines, held.texts, labels, held.units))
    is_tested = len(lines) > 1 or lines[0][1] >= 0
    whole = np.ones((2, len(held.texts)), dtype=bool)
    others = [make_rule(line, held.texts, whole, labels, held.units) for line in tendencies]
    found, chosen = [*lines[:-1], *tendencies][:MOST_CANDIDATES], None
    if choose is not None and len(found) > 1:
        conditions = [texts.conditions[line[0]] for line in found]
        line = found[conditions.index(choose(conditions, np.flatnonzero(is_fitted)))]
        line = (*line[:2], *predicted_labels(fitted, line[0], np.ones((2, len(fitted)), dtype=bool)))
        of_choice = measured_list([line, (0, -1, *common)], held, common)
        chosen = Chosen(make_rule(line, held.texts, whole, labels, held.units), len(found), **asdict(of_choice))
    return Criteria(
        *names,
        n_pairs=len(texts),
        n_held_out=len(held.texts),
        rules=named if is_tested and any(rule.is_confirmed for rule in named) else (),
        tendencies=tuple(rule for rule in others if rule.is_confirmed)[:MOST_RULES],
        chosen=chosen,
        **asdict(figures),
    )


@dataclass(frozen=True)
class LinkedTexts:
    """Pairs of similar texts with the unit of each (P)."""

    texts: SimilarTexts
    units: Array


def measured_list(lines: Sequence[Line], held: LinkedTexts, common: tuple[int, int]) -> Figures:
    """Returns the share of held-out texts whose label a list predicts, and its gain over one label for each data set."""
    sides = (held.texts.first, held.texts.second)
    share = np.mean([predict(lines, side, i) == side.given for i, side in enumerate(sides)], axis=0)  # of each pair
    majority = np.mean([side.given == label for side, label in zip(sides, common, strict=True)], axis=0)
    low, high = mean_interval(share, held.units)
    gain_low, gain_high = mean_interval(share - majority, held.units)
    return Figures(
        agreement=float(share.mean()),
        low=low,
        high=high,
        majority_agreement=float(majority.mean()),
        gain=float((share - majority).mean()),
        gain_low=gain_low,
        gain_high=gain_high,
    )


def decision_list(fitted: LinkedTexts, n_classes: int, draw: np.random.Generator) -> tuple[list[Line], list[Line]]:
    """Returns the lines of the list, the last for every text, and the conditions with a difference that are no line.

    Greedy: each line is the condition with the largest gain over the last line, see ``gain``.
    """
    texts, found = fitted.texts, differences(fitted, n_classes, draw)
    left = np.ones((2, len(texts)), dtype=bool)
    everywhere = next((d.label for d in found if d.feature == 0), -1)
    default = (0, everywhere, *predicted_labels(texts, 0, left))
    lines, open_ones = list[Line](), [d for d in found if d.feature != 0]
    while open_ones and len(lines) < MOST_RULES - 1:
        candidates = [(d.feature, d.label, *predicted_labels(texts, d.feature, left)) for d in open_ones]
        gains = [gain(texts, line, default, left) if is_about_criteria(line, default) else 0 for line in candidates]
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            break
        lines.append(candidates[best])
        open_ones.pop(best)
        left &= ~held_in(texts, lines[-1][0])
    others = [(d.feature, d.label, *predicted_labels(texts, d.feature, np.ones_like(left))) for d in open_ones]
    return [*lines, (0, everywhere, *predicted_labels(texts, 0, left))], others


def is_about_criteria(line: Line, default: Line) -> bool:
    """Tells whether a line gives the two data sets other labels, or the same where the last line gives them others."""
    return line[2] != line[3] or default[2] != default[3]


def held_in(texts: SimilarTexts, feature: int) -> Array:
    """Returns in which texts of both sides a condition holds (2, P)."""
    return np.stack([texts.first.features[:, feature], texts.second.features[:, feature]])


def predicted_labels(texts: SimilarTexts, feature: int, left: Array) -> tuple[int, int]:
    """Returns the most frequent label of each side among its texts in ``left`` (2, P) in which the condition holds."""
    covered = held_in(texts, feature) & left
    first, second = (
        most_frequent(side.given[rows] if rows.any() else side.given)
        for side, rows in zip((texts.first, texts.second), covered, strict=True)
    )
    return first, second


def gain(texts: SimilarTexts, line: Line, default: Line, left: Array) -> int:
    """Counts how many more texts in ``left`` (2, P) a line predicts than the last line does; 0 within two standard errors.

    A line that gains less would often predict other texts worse.
    """
    ours, theirs = np.array(line[2:])[:, None], np.array(default[2:])[:, None]
    given, changed = np.stack([texts.first.given, texts.second.given]), held_in(texts, line[0]) & left & (ours != theirs)
    better, worse = int((changed & (given == ours)).sum()), int((changed & (given == theirs)).sum())
    return better - worse if better - worse > 2 * (better + worse) ** 0.5 else 0


def differences(fitted: LinkedTexts, n_classes: int, draw: np.random.Generator) -> list[Difference]:
    """Returns the conditions whose difference between the data sets is larger than swaps of pairs give, the clearest first.

    The statistic of a condition and a label is the difference of its shares in the two data sets, minus that of the texts without
    the condition, divided by its standard error; for every text the difference itself.
    """
    texts, units = fitted.texts, fitted.units
    first, second = texts.first.features.astype(np.float32), texts.second.features.astype(np.float32)
    often = np.flatnonzero((first.sum(axis=0) >= MIN_ROWS) & (second.sum(axis=0) >= MIN_ROWS))
    first, second = first[:, often], second[:, often]
    of_units = draw.integers(0, 2, size=(SWAPS, int(units.max()) + 1))
    swaps = np.concatenate([np.zeros((1, len(texts))), of_units[:, units]]).astype(np.float32)
    n = first.sum(axis=0) + swaps @ (second - first)
    n_both = first.sum(axis=0) + second.sum(axis=0)
    values = []
    for label in range(n_classes if n_classes > 2 else 1):  # of two classes one share determines the other
        ours, theirs = first * (texts.first.given == label)[:, None], second * (texts.second.given == label)[:, None]
        hits = ours.sum(axis=0) + swaps @ (theirs - ours)
        values.append(excess(hits, n, ours.sum(axis=0) + theirs.sum(axis=0), n_both))
    statistics = np.stack(values)  # (labels, 1 + SWAPS, features); the first is without a swap
    critical = float(np.quantile(np.abs(statistics[:, 1:]).max(axis=(0, 2)), 1 - ALPHA))
    found = [
        Difference(int(often[f]), label, float(statistics[label, 0, f]))
        for f in range(len(often))
        for label in [int(np.abs(statistics[:, 0, f]).argmax())]
        if abs(statistics[label, 0, f]) > critical
    ]
    return sorted(found, key=lambda d: (-abs(d.statistic), d.feature))


def excess(hits: Array, n: Array, hits_both: Array, n_both: Array) -> Array:
    """Returns the statistics (S, F) of ``differences`` from the counts of the first data set after each swap (S, F).

    Args:
        hits_both, n_both: of both data sets together (F), which no swap changes. The first condition holds in every text.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        inside, variance = share_difference(hits, n, hits_both, n_both)
        rest = hits[:, :1] - hits, n[:, :1] - n, hits_both[:1] - hits_both, n_both[:1] - n_both
        outside, outside_variance = share_difference(*rest)
        outside[:, 0], outside_variance[:, 0] = 0, 0
        statistics = (inside - outside) / np.sqrt(variance + outside_variance)
    return np.asarray(np.where(np.isfinite(statistics), statistics, 0.0))


def share_difference(hits: Array, n: Array, hits_both: Array, n_both: Array) -> tuple[Array, Array]:
    """Returns the difference of two shares and its variance if they are equal."""
    other_hits, other_n, pooled = hits_both - hits, n_both - n, hits_both / n_both
    return hits / n - other_hits / other_n, pooled * (1 - pooled) * (1 / n + 1 / other_n)


def predict(lines: Sequence[Line], side: Side, place: int) -> Array:
    """Returns the predicted label of each text (P) of the first (0) or second (1) data set."""
    predicted, left = np.zeros(len(side.given), dtype=np.int64), np.ones(len(side.given), dtype=bool)
    for line in lines:
        predicted[left & side.features[:, line[0]]] = line[2 + place]
        left &= ~side.features[:, line[0]]
    return predicted


def rules(lines: Sequence[Line], texts: SimilarTexts, labels: Sequence[str], units: Array) -> Iterator[LabelCriterion]:
    """Yields the lines with their figures on texts in which no earlier line holds."""
    left = np.ones((2, len(texts)), dtype=bool)
    for line in lines:
        yield make_rule(line, texts, left, labels, units)
        left = left & ~held_in(texts, line[0])


def make_rule(line: Line, texts: SimilarTexts, left: Array, labels: Sequence[str], units: Array) -> LabelCriterion:
    """Computes the shares of the label of a line among the texts in ``left`` (2, P) in which its condition holds."""
    feature, label, first, second = line
    covered, shown = held_in(texts, feature) & left, label if label >= 0 else first
    hits = [side.given[rows] == shown for side, rows in zip((texts.first, texts.second), covered, strict=True)]
    shares = [float(part.mean()) if len(part) else None for part in hits]
    ends: tuple[float | None, float | None] = (None, None)
    if all(len(part) > 1 for part in hits):
        inside = np.repeat([True, False], [len(part) for part in hits])
        clusters = np.concatenate([units[rows] for rows in covered])
        low, high = difference_interval(np.concatenate(hits).astype(float), inside, clusters, 1 - ALPHA)
        ends = (low, high) if np.isfinite([low, high]).all() else ends
    names = texts.conditions[feature], labels[first], labels[second], labels[shown]
    return LabelCriterion(*names, len(hits[0]), len(hits[1]), shares[0], shares[1], *ends)


def most_frequent(given: Array) -> int:
    return int(np.bincount(given).argmax())
