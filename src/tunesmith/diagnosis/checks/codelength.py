"""Minimum description length of the labels: the online (prequential) code, the bits to transmit all labels to a receiver.

Blier and Ollivier 2018, "The Description Length of Deep Learning Models"; Voita and Titov 2020, "Information-Theoretic Probing
with Minimum Description Length", section 2.2. The rows are divided into blocks of growing size. The labels of the first block are
sent by a uniform code, those of each other block by a model of all blocks before it. Fewer bits: the labels are easier to learn
from the texts, or from fewer of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.diagnosis.checks.pvi import MODEL_WEIGHTS, mixed

FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Ends of the blocks as shares of the rows, as in Voita and Titov 2020."""
SWITCH = 0.1
"""Probability that another weight of the model begins with a block."""
ORDERS = 5
"""Random orders of the rows. The code depends on the order, so its mean and range are reported."""

FitAndPredict = Callable[[Array, Array], Array]
"""Positions of the rows to fit to, and of the rows to predict (M), to probabilities (M, K)."""


@dataclass(frozen=True)
class Codelength:
    """Bits of the online code of N labels.

    Attributes:
        bits_of_order: for each order of the rows.
        n, n_classes: rows and classes.
    """

    bits_of_order: tuple[float, ...]
    n: int
    n_classes: int

    @property
    def bits(self) -> float:
        """The mean over the orders."""
        return float(np.mean(self.bits_of_order))

    @property
    def bits_per_label(self) -> float:
        return self.bits / self.n

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest number of bits per label over the orders."""
        return min(self.bits_of_order) / self.n, max(self.bits_of_order) / self.n

    @property
    def compression(self) -> float:
        """Bits of the uniform code divided by those of this one: 1 where nothing was learnt and the classes are balanced."""
        return float(self.n * np.log2(self.n_classes) / self.bits)


def online_code(fit_and_predict: FitAndPredict, given: Array, n_classes: int, units: Array, seed: int = 0) -> Codelength:
    """Computes the online code of the labels in several random orders of the rows.

    Args:
        given: class ids (N), all of them labelled.
        units: the unit of each row (N). Rows of one unit stay in one block, so that no label is cheap because of a copy.
        seed: of the orders.
    """
    draw = np.random.default_rng(seed)
    bits = []
    for _ in range(ORDERS):
        place = draw.permutation(int(units.max()) + 1)[units]
        order = np.argsort(place, kind="stable")
        bits.append(code_in_order(fit_and_predict, given, n_classes, order, block_ends(place[order])))
    return Codelength(tuple(bits), len(given), n_classes)


def block_ends(units: Array) -> list[int]:
    """Returns the ends of the blocks for the unit of each row (N) in order; a block that would divide a unit ends after it."""
    n = len(units)
    last = np.flatnonzero(np.append(units[1:] != units[:-1], True)) + 1  # row counts at which a unit ends
    wanted = [max(1, round(share * n)) for share in FRACTIONS]
    return sorted({int(last[np.searchsorted(last, count)]) for count in wanted})


def code_in_order(fit_and_predict: FitAndPredict, given: Array, n_classes: int, order: Array, ends: list[int]) -> float:
    """Computes the bits of one order. The first block costs log2 K bits a label.

    The models of few rows are overconfident. So their probabilities are mixed with the class frequencies of the rows seen, by
    weights from 0 (the frequencies alone) to 3. The code is a Bayesian mixture over these weights, which may change between
    blocks: it costs about log2(31) bits more than the best weight for all blocks, and a receiver can compute it, too (fixed
    share; van Erven, Gruenwald and de Rooij 2012, "Catching up faster by switching sooner").
    """
    log_share = np.full(
        len(MODEL_WEIGHTS), -np.log(len(MODEL_WEIGHTS))
    )  # log probability of the labels so far and of each weight
    for start, stop in itertools.pairwise(ends):
        seen, block = order[:start], order[start:stop]
        prior = (np.bincount(given[seen], minlength=n_classes) + 0.5) / (start + 0.5 * n_classes)  # Krichevsky and Trofimov
        p = fit_and_predict(seen, block) if len(np.unique(given[seen])) > 1 else np.tile(prior, (len(block), 1))
        p = (start * p + n_classes * prior) / (start + n_classes)  # no class has probability 0
        total = np.logaddexp.reduce(log_share) + np.log(SWITCH / len(MODEL_WEIGHTS))
        log_share = np.logaddexp(np.log1p(-SWITCH) + log_share, total)
        log_p, log_prior, rows = np.log(p), np.log(prior), np.arange(len(block))
        log_share += [float(mixed(log_p, log_prior, weight)[rows, given[block]].sum()) for weight in MODEL_WEIGHTS]
    return ends[0] * float(np.log2(n_classes)) - float(np.logaddexp.reduce(log_share) / np.log(2))
