"""Starts a new head as a linear model of the untuned model's vectors, so that fine-tuning begins with a head that fits its body.

A random head first changes the body by gradients that say nothing about the labels; with few rows the run ends before that is
undone. Source: Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution", section 3.4
(linear probing, then fine-tuning).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.data.table import Labels
from tunesmith.evaluation.baselines.linear import LinearModel, Strengths, fit_linear, fitted_model, mean_loss
from tunesmith.models.encode import Encoded
from tunesmith.models.number_head import NumberHead

if TYPE_CHECKING:
    from tunesmith.models.load import LoadedModel

MAX_ROWS, MAX_TOKENS = 2_000, 100_000
"""Of the rows that the linear model is fitted to: with more, training itself has enough steps, and the fit would take long."""
HELD_OUT = 3
"""One row, or cluster of rows, of so many selects the strength of the regularisation."""
STRENGTHS = Strengths(inverse=(0.01, 0.1, 1.0), ridge=(1000.0, 100.0, 10.0), usual=1, many_classes=1000)
LEAST_GAIN = 0.01
"""Smallest decrease of the loss on held-out rows, as a share, from that of a model without vectors."""
SHRINK, SHRINK_LESS = 0.1, 0.3
"""Factor of the linear model's logits; the second where the weakest regularisation predicts held-out rows best. Whole, the logits
already fit wrong labels, which the body then learns within two epochs: on the demo's messages the margins of later epochs ranked
wrong labels with an AUROC of 0.6. Where the weakest is best, labels are as that model says, and more of it is worth keeping.
See docs/decisions/training-length.md."""
MOST = 10.0
"""Largest bias, either way, of a class that no row has, or every row."""


@dataclass(frozen=True)
class HeadRows:
    """The rows of a split as the head's inputs, and their labels.

    Attributes:
        vectors: (N, D), what the untuned model gives its last layer.
        labels: class ids (N), 0/1 (N, K) or floats (N).
        class_weights: (K), see ``Strengths``; None: all 1.
        clusters: (N) rows with equal numbers are held out together, see ``example_clusters``.
    """

    vectors: Array
    labels: Array
    class_weights: Array | None
    clusters: Array

    def take(self, chosen: Array) -> HeadRows:
        return HeadRows(self.vectors[chosen], self.labels[chosen], self.class_weights, self.clusters[chosen])

    def held_out(self) -> Array:
        """Returns which rows (N) select the strength: every third, and of those in clusters of several rows every third cluster.

        A row alone depends on its position only: a near-duplicate more or less in the file does not draw all others anew.
        """
        _, first, cluster, sizes = np.unique(self.clusters, return_index=True, return_inverse=True, return_counts=True)
        place, is_alone = np.argsort(np.argsort(first))[cluster], sizes[cluster] == 1
        among_several = np.cumsum(sizes[np.argsort(first)] > 1)[place] - 1
        chosen: Array = np.where(is_alone, np.arange(len(cluster)), among_several) % HELD_OUT == 0
        return place % HELD_OUT == 0 if chosen.all() or not chosen.any() else chosen


@dataclass(frozen=True)
class TokenisedRows:
    """The training rows that a head is fitted to, before the model has computed their vectors; see ``HeadRows``."""

    encoded: Encoded
    class_weights: Array | None
    clusters: Array


@dataclass(frozen=True)
class HeadStart:
    """Describes how a head starts.

    Attributes:
        words: a phrase.
        is_weakest: whether it is a linear model of classes whose weakest regularisation predicts held-out rows best.
    """

    words: str
    is_weakest: bool = False


def new_head(loaded: LoadedModel, n_outputs: int) -> str | None:
    """Returns the name of the model's new linear layer of so many outputs; None if there is none, or more than one."""
    found = [
        name
        for name, module in loaded.model.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == n_outputs and f"{name}.weight" in loaded.new_weights
    ]
    return found[0] if len(found) == 1 else None


@contextmanager
def without_layer(model: nn.Module, name: str) -> Iterator[None]:
    """Takes a layer out of a model, which then returns what that layer would have read."""
    parent, _, attribute = name.rpartition(".")
    place = model.get_submodule(parent)
    layer = getattr(place, attribute)
    setattr(place, attribute, nn.Identity())
    try:
        yield
    finally:
        setattr(place, attribute, layer)


def start_as_linear_model(
    loaded: LoadedModel,
    name: str,
    labels: Labels,
    rows: TokenisedRows,
    vectors_of: Callable[[Encoded], Array],
) -> HeadStart:
    """Sets the new layer of that name to a linear model of training rows, in place.

    It stays random where the linear model predicts held-out rows no better than the class shares, or the mean, do.

    Args:
        vectors_of: computes the outputs (N, D) of the model for rows, here without that layer.
    """
    n_rows, n_clusters = len(rows.encoded), len(set(rows.clusters.tolist()))
    if n_clusters < HELD_OUT:
        which = plural(n_rows, "row") if n_clusters == n_rows else f"{plural(n_clusters, 'independent row')} ({n_rows} in all)"
        return HeadStart(f"random, since {which} of training are too few for a linear model")
    with without_layer(loaded.model, name):
        vectors = vectors_of(rows.encoded)
    if not np.isfinite(vectors).all():
        return HeadStart("random, since the untuned model's vectors are not finite")
    linear, strength = fit_on_scaled(
        labels, HeadRows(vectors, np.asarray(rows.encoded.labels), rows.class_weights, rows.clusters)
    )
    if linear is None:
        reason = "a linear model of the untuned model's vectors predicts held-out rows no better than a constant"
        return HeadStart(f"random, since {reason}")
    factor = SHRINK_LESS if is_weakest(labels.problem_type, strength) else SHRINK
    copy_into(loaded.model.get_submodule(name), shrunk(linear, labels.mean, factor))
    fitted = f"{fitted_model(labels, strength)}, on the untuned model's vectors of {plural(n_rows, 'row')}"
    scaled = "deviations from the mean" if labels.problem_type == REGRESSION else "logits"
    return HeadStart(f"{fitted}; {scaled} scaled by {factor:g}", is_weakest(labels.problem_type, strength))


def some_rows(lengths: Array) -> list[int]:
    """Returns the positions of rows in random order, at most ``MAX_ROWS`` and about ``MAX_TOKENS``, which take seconds.

    Args:
        lengths: (N) tokens of each row.
    """
    shuffled = np.random.default_rng(0).permutation(len(lengths))[:MAX_ROWS]
    positions: list[int] = shuffled[: 1 + int((lengths[shuffled].cumsum() < MAX_TOKENS).sum())].tolist()
    return positions


def fit_on_scaled(labels: Labels, rows: HeadRows, strengths: Strengths = STRENGTHS) -> tuple[LinearModel | None, float]:
    """Fits a linear model to the vectors as they are, regularised as if each had mean 0 and all together a deviation of 1.

    A third of the rows, in whole clusters, selects the strength; the model that is returned is fitted to all of them. It is None
    if the loss of the selected one on that third is not at least ``LEAST_GAIN`` below that of a model without vectors. The rows
    have at least two clusters.
    """
    mean, deviation = rows.vectors.mean(axis=0), float(rows.vectors.std()) or 1.0
    scaled = replace(rows, vectors=(rows.vectors - mean) / deviation)
    chosen = rows.held_out()
    held, rest = scaled.take(chosen), scaled.take(~chosen)
    strengths = strengths.weighted(rows.class_weights)
    kind, validation = (labels.problem_type, labels.n), (held.vectors, held.labels)
    selected, strength = fit_linear(*kind, rest.vectors, rest.labels, validation, strengths)
    constant, _ = fit_linear(*kind, np.zeros_like(rest.vectors[:, :1]), rest.labels, None, strengths)
    losses = [
        mean_loss(labels.problem_type, model.scores(vectors), held.labels)
        for model, vectors in ((selected, held.vectors), (constant, np.zeros_like(held.vectors[:, :1])))
    ]
    if not losses[0] < (1 - LEAST_GAIN) * losses[1]:
        return None, strength
    only = Strengths(inverse=(strength,), ridge=(strength,), usual=0, class_weights=rows.class_weights)
    linear, _ = fit_linear(*kind, scaled.vectors, scaled.labels, None, only)
    weights = linear.weights / deviation
    return LinearModel(linear.problem_type, weights, linear.bias - weights @ mean), strength


def is_weakest(problem_type: str, strength: float) -> bool:
    """Tells whether this is the weakest regularisation of classes that ``STRENGTHS`` has."""
    return problem_type != REGRESSION and strength == max(STRENGTHS.inverse)


def shrunk(linear: LinearModel, mean: float, factor: float) -> LinearModel:
    """Returns the model with so many times its logits; of a regression with that much of its deviations from the mean."""
    bias = linear.bias
    bias = mean + factor * (bias - mean) if linear.problem_type == REGRESSION else factor * np.clip(bias, -MOST, MOST)
    return LinearModel(linear.problem_type, factor * linear.weights, bias)


def copy_into(layer: nn.Module, linear: LinearModel) -> None:
    """Sets the weights and the bias of a linear layer; a layer without a bias gets the weights alone."""
    assert isinstance(layer, nn.Linear)
    scale = layer.scale if isinstance(layer, NumberHead) else 1.0
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(linear.weights / scale, dtype=layer.weight.dtype))
        if layer.bias is not None:
            layer.bias.copy_(torch.as_tensor(linear.bias / scale, dtype=layer.bias.dtype))
