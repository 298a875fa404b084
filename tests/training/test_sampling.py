"""The order of the training rows: a permutation, the same for the same seed and epoch, and with little padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.training.sampling import BucketedSampler, bucketed_order, interleaved_order, interleaved_rows

LENGTHS = np.random.default_rng(0).integers(4, 60, 3001)


def padding_share(order: np.ndarray) -> float:
    """The share of padding among the tokens of one epoch, in batches of 32."""
    sizes = [LENGTHS[order[start : start + 32]] for start in range(0, len(order), 32)]
    return 1.0 - float(LENGTHS.sum()) / sum(int(batch.max()) * len(batch) for batch in sizes)


@pytest.mark.parametrize("rows", [0, 1, 5, 31, 32, 33, 1600, 1601, 1633, 2400, 3001])
@pytest.mark.parametrize("batch_size", [1, 8, 32])
def test_every_row_comes_once(rows, batch_size):
    order = bucketed_order(LENGTHS[:rows], batch_size, seed=1, epoch=0)
    assert sorted(order.tolist()) == list(range(rows))


def test_order_is_a_function_of_seed_and_epoch():
    first = bucketed_order(LENGTHS, 32, seed=1, epoch=2)
    np.random.seed(99)
    assert np.array_equal(bucketed_order(LENGTHS, 32, seed=1, epoch=2), first)
    assert not np.array_equal(bucketed_order(LENGTHS, 32, seed=1, epoch=3), first)
    assert not np.array_equal(bucketed_order(LENGTHS, 32, seed=2, epoch=2), first)


def test_little_padding():
    order = bucketed_order(LENGTHS, 32, seed=0, epoch=0)
    shuffled = np.random.default_rng(0).permutation(len(LENGTHS))
    assert padding_share(order) < 0.04
    assert padding_share(shuffled) > 0.4


def test_batches_are_in_random_order_and_change_their_rows():
    order = bucketed_order(LENGTHS, 32, seed=0, epoch=0)
    means = LENGTHS[order][: 93 * 32].reshape(-1, 32).mean(axis=1)
    assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.3
    first = {frozenset(batch) for batch in order[: 93 * 32].reshape(-1, 32).tolist()}
    second = {frozenset(batch) for batch in bucketed_order(LENGTHS, 32, 0, 1)[: 93 * 32].reshape(-1, 32).tolist()}
    assert not first & second


def test_incomplete_batch_is_last_and_of_ordinary_length():
    means = [LENGTHS[bucketed_order(LENGTHS, 32, 0, epoch)[-25:]].mean() for epoch in range(40)]
    assert np.mean(means) == pytest.approx(LENGTHS.mean(), rel=0.05)


def test_sampler_follows_the_epoch():
    sampler = BucketedSampler(LENGTHS, 32, seed=5)
    assert len(sampler) == len(LENGTHS)
    first = list(sampler)
    assert list(sampler) == first == bucketed_order(LENGTHS, 32, 5, 0).tolist()
    sampler.set_epoch(1)
    assert list(sampler) == bucketed_order(LENGTHS, 32, 5, 1).tolist()


@given(st.integers(2, 60), st.floats(0.1, 0.9), st.integers(2, 9), st.integers(0, 5))
def test_good_and_bad_answers_are_spread_over_the_epoch(count: int, share: float, batch_size: int, epoch: int) -> None:
    desirable = np.arange(count) < max(1, round(share * count))
    order = interleaved_order(desirable, batch_size, 7, epoch)
    assert len(order) == interleaved_rows(count, batch_size)
    assert len(order) % batch_size != 1
    assert len(set(order.tolist())) == len(order)
    assert order.tolist() == interleaved_order(desirable, batch_size, 7, epoch).tolist()
    for start in range(0, count - batch_size, batch_size):  # a batch has its share of good answers, to one or two
        n_good = int(desirable[order[start : start + batch_size]].sum())
        assert abs(n_good - batch_size * desirable.mean()) <= 2


def test_a_sorted_file_gives_batches_of_both_kinds_in_another_order_each_epoch() -> None:
    desirable = np.array([True] * 20 + [False] * 20)
    first, second = (interleaved_order(desirable, 4, 0, epoch) for epoch in (0, 1))
    assert first.tolist() != second.tolist()
    assert all(0 < desirable[order[i : i + 4]].sum() < 4 for order in (first, second) for i in range(0, 40, 4))
