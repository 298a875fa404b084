"""Figures of vectors against what is known: the sphere, one direction, all pairs one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tunesmith.evaluation.metrics.geometry import collapse_alarms, geometry, iso_score, uniform_uniformity


def drawn(n: int, dimension: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dimension))


@pytest.mark.parametrize("dimension", [2, 3, 16, 384])
def test_vectors_in_all_directions_have_the_uniformity_of_the_sphere(dimension: int) -> None:
    found = geometry(drawn(3_000, dimension))
    assert found.uniformity == pytest.approx(found.uniform, abs=0.02)
    assert found.mean_cosine == pytest.approx(0, abs=0.01)


def test_the_reference_is_known_on_three_spheres() -> None:
    """In three dimensions the cosine is uniform in [-1, 1]: E exp(4 u) = sinh(4) / 4; in one it is 1 or -1."""
    assert uniform_uniformity(3) == pytest.approx(np.log(np.sinh(4) / 4) - 4)
    assert uniform_uniformity(1) == pytest.approx(np.log((1 + np.exp(-8)) / 2))
    assert uniform_uniformity(5_000) == pytest.approx(-4 + 16 / (2 * 5_000), abs=1e-4)


def test_all_pairs_one_by_one_give_the_same() -> None:
    vectors = drawn(12, 4)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = list(itertools.combinations(unit, 2))
    found = geometry(vectors, (vectors[:6], vectors[6:]))
    assert found.mean_cosine == pytest.approx(np.mean([a @ b for a, b in pairs]))
    assert found.uniformity == pytest.approx(np.log(np.mean([np.exp(-2 * ((a - b) ** 2).sum()) for a, b in pairs])))
    assert found.alignment == pytest.approx(np.mean([((a - b) ** 2).sum() for a, b in zip(unit[:6], unit[6:], strict=True)]))


def test_iso_score_is_one_for_a_ball_and_zero_for_a_line() -> None:
    assert iso_score(drawn(200_000, 5)) == pytest.approx(1, abs=0.01)
    line = np.outer(np.random.default_rng(0).normal(size=500), [1.0, 2.0, 3.0, 4.0])
    assert iso_score(line) == pytest.approx(0, abs=1e-6)
    half = drawn(200_000, 10) * np.array([1.0] * 5 + [0.0] * 5)
    assert iso_score(half) == pytest.approx((10 * 0.5 - 1) / 9, abs=0.01)  # the share of the dimensions, put on [0, 1]


def test_one_vector_for_every_text_is_a_collapse() -> None:
    same = np.ones((50, 8)) + 1e-3 * drawn(50, 8)
    (alarm,) = collapse_alarms(geometry(same))
    assert "mean cosine is 1.000" in alarm.message
    assert collapse_alarms(geometry(drawn(50, 8))) == collapse_alarms(None) == ()


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((1, 3)), "1 vectors have no geometry"),
        (np.zeros((3, 3)), "3 vectors have length 0"),
        (np.full((3, 3), np.nan), "not finite"),
    ],
)
def test_what_has_no_geometry_is_reported(vectors: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        geometry(vectors)
