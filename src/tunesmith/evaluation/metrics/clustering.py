"""Agreement of clusters with classes, up to a renaming of the clusters: V-measure and the adjusted Rand index.

Each function takes the rows of one system, their class in ``labels`` and their cluster in ``decisions``, and returns a function
of weights (B, N), see ``classification``.
"""

from __future__ import annotations

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.evaluation.metrics.classification import Statistic, Values
from tunesmith.evaluation.metrics.predictions import Predictions


def v_measure(predictions: Predictions) -> Statistic:
    """In [0, 1]: the harmonic mean of homogeneity (a cluster has one class) and completeness (a class has one cluster).

    Equal to 2 I(class; cluster) / (H(class) + H(cluster)). Source: Rosenberg and Hirschberg 2007, "V-Measure".
    """
    count_pairs = contingency(predictions)

    def statistic(weights: Values) -> Values:
        table = count_pairs(weights)
        shares = table / table.sum(axis=(1, 2), keepdims=True)
        classes, clusters = entropy(shares.sum(axis=2)), entropy(shares.sum(axis=1))
        mutual = classes + clusters - entropy(shares.reshape(len(shares), -1))
        whole = classes + clusters
        return np.where(whole > 0, 2 * mutual / np.where(whole > 0, whole, 1), 1.0)

    return statistic


def adjusted_rand(predictions: Predictions) -> Statistic:
    """Pairs of rows that are together in both, corrected for chance: at most 1, and 0 in expectation for random clusters.

    Source: Hubert and Arabie 1985, "Comparing Partitions", equation 5.
    """
    count_pairs = contingency(predictions)

    def statistic(weights: Values) -> Values:
        table = count_pairs(weights)
        both = pairs(table).sum(axis=(1, 2))
        classes, clusters = pairs(table.sum(axis=2)).sum(axis=1), pairs(table.sum(axis=1)).sum(axis=1)
        chance = classes * clusters / np.maximum(pairs(table.sum(axis=(1, 2))), 1)
        most = (classes + clusters) / 2
        return np.where(most > chance, (both - chance) / np.where(most > chance, most - chance, 1), 1.0)

    return statistic


def contingency(predictions: Predictions) -> Statistic:
    """Returns a function from weights (B, N) to the rows of each class and cluster (B, K, J)."""
    classes, row_class = np.unique(predictions.labels, return_inverse=True)
    clusters, row_cluster = np.unique(predictions.decisions, return_inverse=True)
    shape = (len(classes), len(clusters))
    cell = np.zeros((len(row_class), shape[0] * shape[1]))
    cell[np.arange(len(row_class)), row_class * shape[1] + row_cluster] = 1
    return lambda weights: (weights @ cell).reshape(-1, *shape)


def entropy(shares: Array) -> Array:
    """Entropy (B,) in nats of shares (B, M) that add up to 1."""
    return np.asarray(-(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1))


def pairs(counts: Array) -> Array:
    """Returns the number of pairs of so many rows."""
    return np.asarray(counts * (counts - 1) / 2)
