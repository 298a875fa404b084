"""The order of the training rows: a permutation, the same for the same seed and epoch, and with little padding."""

import numpy as np
import pytest

from tunesmith.training.sampling import BucketedSampler, bucketed_order

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
