"""Regression metrics as functions of row weights, see ``classification``."""

from __future__ import annotations

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.classification import Statistic, Values
from tunesmith.evaluation.metrics.predictions import Predictions


def pearson(predictions: Predictions) -> Statistic:
    """Linear correlation of scores and labels in [-1, 1]; NaN if one of them is constant."""
    x = _centred(predictions.scores)
    y = _centred(predictions.labels)
    moments = np.stack([x, y, x * x, y * y, x * y], axis=1)

    def statistic(weights: Values) -> Values:
        mean_x, mean_y, xx, yy, xy = (weights @ moments / weights.sum(axis=1, keepdims=True)).T
        return _correlation(xy - mean_x * mean_y, xx - mean_x**2, yy - mean_y**2)

    return statistic


def spearman(predictions: Predictions) -> Statistic:
    """Correlation of the ranks (ties share their mean rank) in [-1, 1]; NaN if scores or labels are constant."""
    rank_scores, rank_labels = _ranks(predictions.scores), _ranks(predictions.labels)

    def statistic(weights: Values) -> Values:
        total = weights.sum(axis=1, keepdims=True)
        x = rank_scores(weights) - total / 2
        y = rank_labels(weights) - total / 2
        wx = weights * x
        above = np.einsum("ij,ij->i", wx, y)
        return _correlation(above, np.einsum("ij,ij->i", wx, x), np.einsum("ij,ij,ij->i", weights, y, y))

    return statistic


def pearson_spearman(predictions: Predictions) -> Statistic:
    """Mean of both correlations: GLUE's score of STS-B (Wang et al. 2018, section 3.2); NaN if one of them is undefined."""
    linear, of_ranks = pearson(predictions), spearman(predictions)
    return lambda weights: (linear(weights) + of_ranks(weights)) / 2


def rmse(predictions: Predictions) -> Statistic:
    """Root of the mean squared error, in the unit of the label."""
    squares = (predictions.scores - predictions.labels) ** 2
    return lambda weights: np.sqrt(weights @ squares / weights.sum(axis=1))


def mae(predictions: Predictions) -> Statistic:
    """Mean absolute error, in the unit of the label."""
    errors = np.abs(predictions.scores - predictions.labels)
    return lambda weights: weights @ errors / weights.sum(axis=1)


def r2(predictions: Predictions) -> Statistic:
    """Share of the labels' variance explained, at most 1; NaN if the labels are constant."""
    y = _centred(predictions.labels)
    moments = np.stack([(predictions.scores - predictions.labels) ** 2, y, y * y], axis=1)

    def statistic(weights: Values) -> Values:
        error, mean, square = (weights @ moments / weights.sum(axis=1, keepdims=True)).T
        variance = square - mean**2
        spread = variance > 1e-12 * np.maximum(square, 1e-300)
        return np.where(spread, 1 - error / np.where(spread, variance, 1.0), np.nan)

    return statistic


def _centred(values: Array) -> Values:
    """Values minus their mean, so that sums of squares lose no digits."""
    return np.asarray(values - values.mean(), dtype=np.float64)


def _ranks(values: Array) -> Statistic:
    """Weights (B, N) -> mid-ranks (B, N) of the values in the weighted sample, counted from 0."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) > 0])

    def ranks(weights: Values) -> Values:
        sizes = np.add.reduceat(weights[:, order], starts, axis=1)
        return (np.cumsum(sizes, axis=1) - sizes / 2)[:, group]

    return ranks


def _correlation(covariance: Values, variance_x: Values, variance_y: Values) -> Values:
    product = variance_x * variance_y
    varied = (variance_x > 1e-14 * variance_x.max(initial=0)) & (variance_y > 1e-14 * variance_y.max(initial=0))
    varied &= product > 0
    return np.where(varied, covariance / np.sqrt(np.where(varied, product, 1.0)), np.nan)
