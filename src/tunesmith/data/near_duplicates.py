"""Which texts are nearly the same: MinHash over pieces of five characters, buckets, and the exact overlap of what meets there.

Broder 1997, "On the resemblance and containment of documents"; banding as in Leskovec et al., "Mining of Massive Datasets",
section 3.4. Pieces of characters and not of words, since a short text has few words. All of it is arithmetic on whole arrays: a
million short texts take minutes, not hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.normalise import text_keys

Array = NDArray[Any]

PIECE = 5
"""Characters in a piece of text."""
BANDS, BAND_ROWS = 20, 4
"""Two texts meet with probability 1 - (1 - s^4)^20 for overlap s: 1.000 at 0.8, 0.996 at 0.7, 0.94 at 0.6, 0.30 at 0.37."""
THRESHOLD = 0.7
SLACK = 0.2
"""Candidates whose signatures agree on so much less than the threshold are not looked at: four standard errors of 80 hashes."""
CHUNK_PIECES = 1 << 20
MOST_IN_BUCKET = 50
"""In a larger bucket a text is compared with the next and the first only: a template filled 10,000 times has 50 million pairs."""
SEED = 20_210_611


@dataclass(frozen=True)
class Near:
    """Which rows have the same text, and which different texts are nearly the same.

    Attributes:
        text_of: the number of each row's text (N), 0 to U - 1; rows with the same normalised text share one.
        first_row: the first row with each text (U).
        a, b: numbers of nearly the same texts (P), each pair once, the text that comes first in ``a``.
        overlap: Jaccard overlap of their pieces (P), from the threshold to 1.
    """

    text_of: Array
    first_row: Array
    a: Array
    b: Array
    overlap: Array

    def nearest_earlier(self, n_first: int | None = None) -> tuple[Array, Array]:
        """For each row (N) the largest overlap with an earlier row, and that row; 0 and -1 where there is none.

        Args:
            n_first: only rows before this one count as earlier; the overlap of these rows themselves is then of no use.
        """
        end = len(self.text_of) if n_first is None else n_first
        counted = self.first_row[self.a] < end
        order = np.argsort(self.overlap[counted], kind="stable")  # the largest is written last
        overlap, partner = np.zeros(len(self.first_row)), np.full(len(self.first_row), -1)
        overlap[self.b[counted][order]] = self.overlap[counted][order]
        partner[self.b[counted][order]] = self.first_row[self.a[counted][order]]
        original = self.first_row[self.text_of]
        is_copy = (original != np.arange(len(original))) & (original < end)
        return np.where(is_copy, 1.0, overlap[self.text_of]), np.where(is_copy, original, partner[self.text_of])

    def part(self, start: int, stop: int) -> Near:
        """The same of the rows from ``start`` up to ``stop``, which then count from 0."""
        kept, first_row, text_of = np.unique(self.text_of[start:stop], return_index=True, return_inverse=True)
        number = np.full(len(self.first_row), -1)
        number[kept] = np.arange(len(kept))
        a, b = number[self.a], number[self.b]
        inside = (a >= 0) & (b >= 0)
        a, b = a[inside], b[inside]
        swapped = first_row[a] > first_row[b]
        return Near(text_of, first_row, np.where(swapped, b, a), np.where(swapped, a, b), self.overlap[inside])


def near_duplicates(texts: Sequence[str], pairs: Sequence[str] | None = None, threshold: float = THRESHOLD) -> Near:
    """Equal texts, and texts that overlap by the threshold or more, after normalisation. The two texts of a pair count as one."""
    numbers: dict[str, int] = {}
    text_of = np.array([numbers.setdefault(key, len(numbers)) for key in text_keys(texts, pairs)], dtype=np.int64)
    _, first_row = np.unique(text_of, return_index=True)
    return Near(text_of, first_row, *near_distinct(list(numbers), threshold))


def near_distinct(texts: Sequence[str], threshold: float) -> tuple[Array, Array, Array]:
    """Pairs (a, b) of texts that are all different, and their overlap, each (P)."""
    signatures = minhash(texts)
    first, second = candidates(signatures)
    agreeing = agreement(signatures, first, second) >= threshold - SLACK
    first, second = first[agreeing], second[agreeing]
    overlap = exact_overlap(texts, first, second)
    kept = overlap >= threshold
    return first[kept], second[kept], overlap[kept]


def pieces(texts: Sequence[str]) -> tuple[Array, Array]:
    """Hashes (T) of every piece of every text, one after the other, and where each text begins among them (N).

    Two spaces are put before and after a text, so that one of n characters has n pieces; an empty one is filled up to have one.
    """
    margin = " " * (PIECE // 2)
    padded = [f"{margin}{text}{margin}" if len(text) >= PIECE - 2 * len(margin) else text.center(PIECE) for text in texts]
    lengths = np.fromiter((len(text) for text in padded), dtype=np.int64, count=len(padded))
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    hashes = codes[: len(codes) - PIECE + 1].copy()
    for i in range(1, PIECE):
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
        hashes += codes[i : len(codes) - PIECE + 1 + i]
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(32)
    counts = lengths - PIECE + 1
    ends = np.cumsum(lengths)
    inside = np.ones(len(hashes) + PIECE - 1, dtype=bool)
    for i in range(1, PIECE):  # pieces that would reach over the end of their text
        inside[ends - i] = False
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return hashes[inside[: len(hashes)]].astype(np.uint32), starts


def minhash(texts: Sequence[str]) -> Array:
    """Signatures (N, BANDS * BAND_ROWS) uint32: the chance that two agree in a place is the overlap of their texts."""
    draw = np.random.default_rng(SEED)
    n = BANDS * BAND_ROWS
    factors = draw.integers(1, 1 << 32, n, dtype=np.uint64).astype(np.uint32) | np.uint32(1)
    offsets = draw.integers(0, 1 << 32, n, dtype=np.uint64).astype(np.uint32)
    signatures = np.empty((len(texts), n), dtype=np.uint32)
    for begin, end in chunks(texts):
        hashes, starts = pieces(texts[begin:end])
        mixed = np.empty_like(hashes)
        for i in range(n):
            np.multiply(hashes, factors[i], out=mixed)
            mixed += offsets[i]
            mixed ^= mixed >> np.uint32(15)
            mixed *= np.uint32(0x2C1B3C6D)
            signatures[begin:end, i] = np.minimum.reduceat(mixed, starts)
    return signatures


def chunks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Ranges of texts with about CHUNK_PIECES characters together."""
    begin, size = 0, 0
    for i, text in enumerate(texts):
        size += len(text) + 2 * PIECE
        if size >= CHUNK_PIECES:
            yield begin, i + 1
            begin, size = i + 1, 0
    if begin < len(texts):
        yield begin, len(texts)


def candidates(signatures: Array) -> tuple[Array, Array]:
    """Pairs of positions that share a bucket in some band, each once, first < second."""
    n = len(signatures)
    found = []
    for band in range(BANDS):
        part = np.ascontiguousarray(signatures[:, band * BAND_ROWS : (band + 1) * BAND_ROWS]).view(np.uint64)
        key = part[:, 0] * np.uint64(0x9E3779B97F4A7C15) ^ (part[:, 1] * np.uint64(0xC2B2AE3D27D4EB4F) >> np.uint64(1))
        order = np.argsort(key, kind="stable")
        for first, second in bucket_pairs(order, key[order]):
            found.append(np.minimum(first, second) * np.int64(n) + np.maximum(first, second))
        if len(found) > BANDS:  # keep what is held small: most pairs meet in most bands
            found = [np.unique(np.concatenate(found))]
    codes = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
    return codes // n, codes % n


def bucket_pairs(order: Array, keys: Array) -> Iterator[tuple[Array, Array]]:
    """Pairs (first, second) of positions with equal keys; ``order`` are positions sorted by key."""
    edges = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]]))
    start_of = np.repeat(edges[:-1], np.diff(edges))
    size_of = np.repeat(np.diff(edges), np.diff(edges))
    place = np.arange(len(keys)) - start_of
    for step in range(1, MOST_IN_BUCKET):
        with_next = np.flatnonzero((place + step < size_of) & ((size_of <= MOST_IN_BUCKET) | (step == 1)))
        if not len(with_next):
            break
        yield order[with_next], order[with_next + step]
    crowded = np.flatnonzero((size_of > MOST_IN_BUCKET) & (place > 1))
    if len(crowded):
        yield order[start_of[crowded]], order[crowded]


def agreement(signatures: Array, first: Array, second: Array) -> Array:
    """Share of equal places of two signatures (P), an unbiased estimate of the overlap."""
    shares = np.empty(len(first))
    step = 1 << 16
    for start in range(0, len(first), step):
        rows = slice(start, start + step)
        shares[rows] = (signatures[first[rows]] == signatures[second[rows]]).mean(axis=1)
    return shares


def exact_overlap(texts: Sequence[str], first: Array, second: Array) -> Array:
    """Jaccard overlap of the sets of pieces of each pair (P)."""
    overlaps = np.empty(len(first))
    kept: dict[int, frozenset[int]] = {}

    def pieces_of(i: int) -> frozenset[int]:
        if i not in kept:
            if len(kept) > 100_000:
                kept.clear()
            kept[i] = frozenset(pieces([texts[i]])[0].tolist())
        return kept[i]

    for position, (i, j) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        a, b = pieces_of(i), pieces_of(j)
        shared = len(a & b)
        overlaps[position] = shared / (len(a) + len(b) - shared)
    return overlaps


def clusters(near: Near, also: tuple[Array, Array] | None = None) -> Array:
    """The number of each row's cluster (N): rows that are the same or near, directly or through other rows, share one.

    Args:
        also: further links between rows: (first, second).
    """
    from scipy.sparse import coo_array  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    a, b = (
        (near.a, near.b)
        if also is None
        else (np.concatenate([x, near.text_of[y]]) for x, y in zip((near.a, near.b), also, strict=True))
    )
    n = len(near.first_row)
    links = coo_array((np.ones(len(a)), (a, b)), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1][near.text_of])
