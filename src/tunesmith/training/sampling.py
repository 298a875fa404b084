"""Orders the training rows: batches of similar length, in an order that depends only on seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Dataset, Sampler

BATCHES_PER_POOL = 50
"""Batches sorted together. More of them mean less padding, and fewer possible neighbours of a row."""


def bucketed_order(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """Returns the positions of all rows in training order (N): each ``batch_size`` of them are a batch of similar length.

    Rows are shuffled, sorted by length within pools of fifty batches, cut into batches, and the batches are shuffled. A last
    batch that is not full stays last. A pure function of its arguments, so that a resumed run gets the same batches.

    Args:
        lengths: (N) tokens.
    """
    draw = np.random.default_rng([seed, epoch])
    order = draw.permutation(len(lengths))
    pool = batch_size * BATCHES_PER_POOL
    pieces = [order[start : start + pool] for start in range(0, len(order), pool)]
    if len(pieces) > 1 and len(pieces[-1]) < pool // 2:
        pieces[-2:] = [np.concatenate(pieces[-2:])]
    # The rows that fill no batch are taken from the shuffled order, so that they are no longer or shorter than the rest.
    rest = len(order) % batch_size
    last = pieces[-1][len(pieces[-1]) - rest :] if pieces else order
    if rest:
        pieces[-1] = pieces[-1][:-rest]
    full = np.concatenate([piece[np.argsort(lengths[piece], kind="stable")] for piece in pieces]) if pieces else order
    batches = full.reshape(-1, batch_size)
    return np.concatenate([batches[draw.permutation(len(batches))].reshape(-1), last if rest else order[:0]])


class Positions(Dataset[int]):
    """The numbers that a sampler yields, as a dataset of ``count`` rows; the collator turns a list of them into a batch."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, position: int) -> int:
        return position


class BucketedSampler(Sampler[int]):
    """Yields ``bucketed_order`` of the epoch that ``set_epoch`` names; upstream's trainer calls it before every epoch."""

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = np.asarray(lengths), batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        yield from bucketed_order(self.lengths, self.batch_size, self.seed, self.epoch).tolist()


def interleaved_order(desirable: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """Returns the positions of all rows in training order (N), with good and bad answers spread evenly.

    Both kinds are shuffled, and each kind is spread over the whole epoch, so that every batch has about its share of both. A pure
    function of its arguments. A last batch of one row is left out, since the loss compares the rows of a batch: another row in
    each epoch.

    Args:
        desirable: (N) whether an answer is a good one.
    """
    draw = np.random.default_rng([seed, epoch])
    places = np.empty(len(desirable))
    for kind in (True, False):
        rows = draw.permutation(np.flatnonzero(desirable == kind))
        # In the middle of equal parts of the epoch, moved together by one draw, so that ties fall either way.
        places[rows] = (np.arange(len(rows)) + draw.random()) / max(1, len(rows))
    order = np.argsort(places, kind="stable")
    return order[: interleaved_rows(len(order), batch_size)]


def interleaved_rows(count: int, batch_size: int) -> int:
    """Returns the number of rows of an epoch of ``interleaved_order``."""
    return count - 1 if count % batch_size == 1 else count


class InterleavedSampler(Sampler[int]):
    """Yields ``interleaved_order`` of the epoch that ``set_epoch`` names; upstream's trainer calls it before every epoch."""

    def __init__(self, desirable: np.ndarray, batch_size: int, seed: int) -> None:
        self.desirable, self.batch_size, self.seed, self.epoch = np.asarray(desirable), batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return interleaved_rows(len(self.desirable), self.batch_size)

    def __iter__(self) -> Iterator[int]:
        yield from interleaved_order(self.desirable, self.batch_size, self.seed, self.epoch).tolist()
