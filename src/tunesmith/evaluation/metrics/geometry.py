"""Geometry of embeddings: alignment, uniformity, isotropy. Models with the same figures may differ in retrieval quality.

Alignment and uniformity: Wang and Isola 2020, "Understanding Contrastive Representation Learning through Alignment and
Uniformity on the Hypersphere", equations 2 and 3. IsoScore: Rudman et al. 2022, "IsoScore: Measuring the Uniformity of Embedding
Space Utilization", algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.results import Alarm

TEMPERATURE = 2.0
MAX_ROWS = 4_000
"""Rows drawn at random for the mean over all pairs."""
COLLAPSED_COSINE = 0.99
"""Mean cosine of different texts above which embeddings count as collapsed."""


@dataclass(frozen=True)
class Geometry:
    """Geometry of a set of vectors (N, D), normalised to length 1.

    Attributes:
        mean_cosine: of two different rows, in [-1, 1]; 0 for uniformly distributed directions.
        uniformity: log of the mean of exp(-2 |x - y|^2) over pairs, at most 0; lower is more spread.
        uniform: the uniformity of vectors drawn uniformly from the sphere of as many dimensions.
        iso_score: in [0, 1]; the share of the dimensions that are used equally.
        alignment: mean |x - y|^2 of positive pairs, in [0, 4]; None without pairs.
    """

    mean_cosine: float
    uniformity: float
    uniform: float
    iso_score: float
    alignment: float | None = None


def collapse_alarms(geometry: Geometry | None) -> tuple[Alarm, ...]:
    """Returns the alarm of collapsed embeddings; empty unless they have collapsed."""
    if geometry is None or not geometry.mean_cosine > COLLAPSED_COSINE:
        return ()
    message = f"different texts have nearly the same vector: their mean cosine is {geometry.mean_cosine:.3f}."
    remedy = "Train from another model, or with a smaller learning rate and more negatives."
    return (Alarm("collapsed embeddings", message, remedy),)


def geometry(vectors: Array, pairs: tuple[Array, Array] | None = None) -> Geometry:
    """Computes the geometry of vectors (N, D).

    Args:
        pairs: vectors of positive pairs, (P, D) each.
    """
    if len(vectors) < 2:
        raise ValueError(f"{len(vectors)} vectors have no geometry; at least two are needed")
    unit = on_sphere(vectors)
    sample = unit
    if len(unit) > MAX_ROWS:
        sample = unit[np.random.default_rng(0).choice(len(unit), MAX_ROWS, replace=False)]
    alignment = None if pairs is None else float(((on_sphere(pairs[0]) - on_sphere(pairs[1])) ** 2).sum(axis=1).mean())
    return Geometry(mean_cosine(unit), uniformity(sample), uniform_uniformity(vectors.shape[1]), iso_score(unit), alignment)


def on_sphere(vectors: Array) -> Array:
    """Returns the vectors (N, D) with length 1, float64."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise ValueError(f"{int((~np.isfinite(lengths) | (lengths == 0)).sum())} vectors have length 0 or are not finite")
    return np.asarray(wide / lengths)


def mean_cosine(unit: Array) -> float:
    """Mean cosine of two different unit vectors (N, D): |sum|^2 counts each pair twice and each row once."""
    n = len(unit)
    return float((np.square(unit.sum(axis=0)).sum() - n) / (n * (n - 1)))


def uniformity(unit: Array) -> float:
    """Log of the mean over different rows of exp(-t |x - y|^2), t = 2."""
    n = len(unit)
    kernel = np.exp(-2 * TEMPERATURE * (1 - unit @ unit.T))
    return float(np.log((kernel.sum() - np.trace(kernel)) / (n * (n - 1))))


def uniform_uniformity(dimension: int) -> float:
    """Returns the expectation of ``uniformity`` for the uniform distribution on the sphere.

    |x - y|^2 = 2 - 2 u, and E exp(k u) = 0F1(; D / 2; k^2 / 4) for the cosine u of two such vectors, with k = 2 t.
    """
    from scipy.special import hyp0f1  # type: ignore[import-untyped]

    k = 2 * TEMPERATURE
    return float(np.log(hyp0f1(dimension / 2, k * k / 4)) - k)


def iso_score(vectors: Array) -> float:
    """IsoScore in [0, 1]: 1 for equal variance along all principal axes, 0 for variance along one."""
    n = vectors.shape[1]
    if n == 1:
        return 1.0
    variances = np.linalg.eigvalsh(np.cov(vectors, rowvar=False))
    length = np.linalg.norm(variances)
    if length == 0:
        return 0.0
    defect = np.linalg.norm(np.sqrt(n) * variances / length - 1) / np.sqrt(2 * (n - np.sqrt(n)))
    used = (n - defect**2 * (n - np.sqrt(n))) ** 2 / n**2
    return float(np.clip((n * used - 1) / (n - 1), 0, 1))
