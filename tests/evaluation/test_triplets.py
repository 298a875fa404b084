"""Triplets of labelled texts: what each consists of, how they depend on each other, and the coverage of their interval."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.evaluation.metrics.means import mean_metric
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.triplets import Triplets, draw_triplets, triplet_accuracy

CLASSES = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(np.array)


def drawn(classes: np.ndarray, seed: int = 0) -> Triplets:
    return draw_triplets(classes, np.arange(len(classes)), seed)


@given(CLASSES, st.integers(0, 3))
def test_each_text_is_the_anchor_once_and_texts_are_shared_only_within_a_block(classes: np.ndarray, seed: int) -> None:
    triplets = drawn(classes, seed)
    assert (classes[triplets.anchor] == classes[triplets.positive]).all()
    assert (classes[triplets.anchor] != classes[triplets.negative]).all()
    assert (triplets.anchor != triplets.positive).all()
    sizes = Counter(classes.tolist())
    usable = sum(n for n in sizes.values() if n > 1)
    expected = usable if sum(n > 1 for n in sizes.values()) > 1 else 0
    assert triplets.anchor.tolist() == sorted(set(triplets.anchor.tolist()))
    assert len(triplets) == expected
    assert len(triplets) + triplets.n_left_out == len(classes)
    block_of: dict[int, int] = {}
    for part in (triplets.anchor, triplets.positive, triplets.negative):
        for text, block in zip(part.tolist(), triplets.block.tolist(), strict=True):
            assert block_of.setdefault(text, block) == block


def test_there_are_as_many_blocks_as_the_classes_allow() -> None:
    assert len(set(drawn(np.repeat([0, 1, 2], 20)).block)) == 15  # four texts each
    assert len(set(drawn(np.repeat([0, 1], [60, 8])).block)) == 4  # one for each two texts of the small class
    assert len(set(drawn(np.repeat([0, 1, 2], [5, 5, 4])).block)) == 3


def test_the_same_seed_draws_the_same_triplets() -> None:
    classes = np.repeat([0, 1, 2], 20)
    first, again, other = (drawn(classes, seed) for seed in (3, 3, 4))
    assert (first.positive == again.positive).all()
    assert (first.negative == again.negative).all()
    assert (first.positive != other.positive).any()


def test_of_dependent_texts_one_is_used_and_the_others_are_counted() -> None:
    triplets = draw_triplets(np.repeat([0, 1], 6), np.array([0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), 0)
    assert triplets.n_dependent == 2
    assert len(triplets) == 10
    assert len(set(triplets.anchor.tolist()) & {0, 1, 2}) == 1
    assert "2 texts left out, equal or nearly equal" in triplets.summary()


def test_a_tie_is_wrong() -> None:
    assert triplet_accuracy(np.array([0.5, 0.5, 0.6]), np.array([0.5, 0.6, 0.5])).tolist() == [0, 0, 1]


@pytest.mark.parametrize(("sizes", "noise"), [((30, 30), 0.5), ((10,) * 6, 1.0), ((60, 16), 0.5)])
def test_the_interval_covers_the_expected_accuracy(sizes: tuple[int, ...], noise: float) -> None:
    """Texts of which three in ten say nothing about their class: every triplet with such a text is a coin toss."""
    draw = np.random.default_rng(1)
    centres = draw.normal(size=(len(sizes), 8))

    def values(times: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        classes = np.repeat(np.arange(len(sizes)), np.array(sizes) * times)
        vectors = centres[classes] + noise * draw.normal(size=(len(classes), 8))
        empty = draw.random(len(classes)) < 0.3
        vectors[empty] = draw.normal(size=(int(empty.sum()), 8))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        triplets = drawn(classes, seed)
        near, far = ((vectors[triplets.anchor] * vectors[part]).sum(1) for part in (triplets.positive, triplets.negative))
        return triplet_accuracy(near, far), triplets.block

    expected, n_covered, n_runs = values(200, 0)[0].mean(), 0, 200
    for seed in range(n_runs):
        scores, block = values(1, seed)
        metric = mean_metric("triplet_accuracy", "test", [scores], Resampling(300, seed).of_rows(block))
        assert metric.low is not None
        assert metric.high is not None
        n_covered += metric.low <= expected <= metric.high
    assert n_covered / n_runs > 0.915  # of 95 %, less twice the error of 200 runs
