"""Finds near-duplicate texts: MinHash over shingles of five characters, banding, and the exact overlap of the candidates.

Broder 1997, "On the resemblance and containment of documents"; banding as in Leskovec et al., "Mining of Massive Datasets",
section 3.4. Shingles are of characters, since a short text has few words. All arithmetic is on whole arrays: a million short
texts take minutes, not hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import compress

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.normalise import normalise, text_keys

SHINGLE = 5
"""Characters in a shingle."""
BANDS, BAND_ROWS = 20, 4
"""Probability of a shared bucket for overlap s: 1 - (1 - s^4)^20: 1.000 at 0.8, 0.996 at 0.7, 0.94 at 0.6, 0.30 at 0.37."""
THRESHOLD, RELATED = 0.7, 0.5
"""Overlap of texts that are nearly the same, which are named, and of those that may come from one text, which splits keep on one
side: two copies of a text of twelve words, each with another word replaced, overlap by about 0.55."""
SLACK = 0.2
"""Candidates whose signatures agree by so much less than the threshold are dropped: four standard errors of 80 hashes."""
CHUNK_CHARACTERS, AGREEMENT_PAIRS, MERGED_PAIRS = 1 << 20, 1 << 16, 1 << 20
MAX_BUCKET = 50
"""In a larger bucket a text is compared with the next and the first only: a template used 10,000 times has 50 million pairs."""
SEED = 20_210_611


@dataclass(frozen=True)
class NearDuplicates:
    """The rows with the same text, and the pairs of different texts that are nearly the same.

    Attributes:
        text_ids: number of each row's text (N), 0 to U - 1; rows with the same normalised text share one.
        first_row: the first row with each text (U).
        a, b: numbers of nearly the same texts (P), each pair once, the earlier text in ``a``.
        overlap: Jaccard overlap of their shingles (P), from the threshold to 1. The two texts of a pair count as one.
        keys: of pairs of texts, the key of each numbered text (U), see ``text_keys``; else None.
    """

    text_ids: Array
    first_row: Array
    a: Array
    b: Array
    overlap: Array
    keys: Sequence[str] | None = None

    @cached_property
    def least(self) -> Array:
        """Computes the smaller of the overlaps of both texts of a pair (P); ``overlap`` for single texts."""
        if self.keys is None:
            return self.overlap
        return np.minimum(*(exact_overlap(side, self.a, self.b) for side in sides_of(self.keys)))

    def nearest_earlier(self, n_first: int | None = None) -> tuple[Array, Array]:
        """Returns for each row (N) the largest overlap with an earlier row, and that row; 0 and -1 where there is none.

        Args:
            n_first: only rows before this one count as earlier; the results of these rows themselves are then meaningless.
        """
        end = len(self.text_ids) if n_first is None else n_first
        counted = self.first_row[self.a] < end
        order = np.argsort(self.overlap[counted], kind="stable")  # the largest is written last
        overlap, partner = np.zeros(len(self.first_row)), np.full(len(self.first_row), -1)
        overlap[self.b[counted][order]] = self.overlap[counted][order]
        partner[self.b[counted][order]] = self.first_row[self.a[counted][order]]
        original = self.first_row[self.text_ids]
        is_copy = (original != np.arange(len(original))) & (original < end)
        return np.where(is_copy, 1.0, overlap[self.text_ids]), np.where(is_copy, original, partner[self.text_ids])

    def at_least(self, threshold: float) -> NearDuplicates:
        """Returns the pairs with that overlap or more."""
        kept = self.overlap >= threshold
        return replace(self, a=self.a[kept], b=self.b[kept], overlap=self.overlap[kept])

    def nearly_same(self) -> NearDuplicates:
        """Returns the pairs whose texts overlap by ``THRESHOLD`` or more, with that overlap.

        Of pairs of texts both have to: two hypotheses about one long premise overlap by 0.8 together, and are not the same.
        """
        kept = self.least >= THRESHOLD
        return replace(self, a=self.a[kept], b=self.b[kept], overlap=self.least[kept])

    def part(self, start: int, stop: int) -> NearDuplicates:
        """Restricts the result to the rows from ``start`` up to ``stop``, which then count from 0."""
        kept, first_row, text_ids = np.unique(self.text_ids[start:stop], return_index=True, return_inverse=True)
        number = np.full(len(self.first_row), -1)
        number[kept] = np.arange(len(kept))
        a, b = number[self.a], number[self.b]
        inside = (a >= 0) & (b >= 0)
        a, b = a[inside], b[inside]
        swapped = first_row[a] > first_row[b]
        ends = np.where(swapped, b, a), np.where(swapped, a, b)
        keys = None if self.keys is None else [self.keys[i] for i in kept.tolist()]
        return NearDuplicates(text_ids, first_row, *ends, self.overlap[inside], keys)


@dataclass
class SearchedTexts:
    """The texts of earlier searches, so that further searches do not compute their keys, signatures and overlaps again.

    A search finds the same with it and without it: its buckets hold its own texts alone.

    Attributes:
        keys: text -> its key, see ``text_keys``.
        numbers: key -> its row in ``signatures``.
        overlaps: two such rows, the smaller first -> the overlap of their texts.
    """

    keys: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    signatures: Array = field(default_factory=lambda: minhash([]))
    overlaps: dict[tuple[int, int], float] = field(default_factory=dict)

    def keys_of(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[str]:
        """Returns one key a row (N), see ``text_keys``."""
        self.keys |= {text: normalise(text) for text in {*texts, *(pairs or ())} - self.keys.keys()}
        return text_keys(texts, pairs, self.keys.__getitem__)

    def signatures_of(self, distinct: Sequence[str]) -> Array:
        """Returns the signatures of different keys (N, BANDS * BAND_ROWS)."""
        new = [key for key in distinct if key not in self.numbers]
        self.numbers |= {key: number for number, key in enumerate(new, len(self.numbers))}
        self.signatures = np.concatenate([self.signatures, minhash(new)]) if new else self.signatures
        return self.signatures[[self.numbers[key] for key in distinct]]

    def overlaps_of(self, distinct: Sequence[str], a: Array, b: Array) -> Array:
        """Returns the overlap of each pair of keys (P), see ``exact_overlap``."""
        rows = [self.numbers[key] for key in distinct]
        pairs = [(min(rows[i], rows[j]), max(rows[i], rows[j])) for i, j in zip(a.tolist(), b.tolist(), strict=True)]
        new = np.array([pair not in self.overlaps for pair in pairs], dtype=bool)
        self.overlaps.update(zip(compress(pairs, new), exact_overlap(distinct, a[new], b[new]).tolist(), strict=True))
        return np.array([self.overlaps[pair] for pair in pairs])


def near_duplicates(
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    threshold: float = THRESHOLD,
    searched: SearchedTexts | None = None,
) -> NearDuplicates:
    """Finds texts that are equal or overlap by the threshold or more after normalisation. A pair counts as one text.

    Args:
        searched: the texts of earlier searches, to which these are added.
    """
    searched = SearchedTexts() if searched is None else searched
    numbers: dict[str, int] = {}
    text_ids = np.array([numbers.setdefault(key, len(numbers)) for key in searched.keys_of(texts, pairs)], dtype=np.int64)
    _, first_row = np.unique(text_ids, return_index=True)
    distinct = list(numbers)
    signatures = searched.signatures_of(distinct)
    a, b = candidates(signatures)
    agreement = np.empty(len(a))  # share of equal positions of two signatures, an unbiased estimate of the overlap
    for start in range(0, len(a), AGREEMENT_PAIRS):
        part = slice(start, start + AGREEMENT_PAIRS)
        agreement[part] = (signatures[a[part]] == signatures[b[part]]).mean(axis=1)
    a, b = a[agreement >= threshold - SLACK], b[agreement >= threshold - SLACK]
    overlap = searched.overlaps_of(distinct, a, b)
    kept = overlap >= threshold
    return NearDuplicates(text_ids, first_row, a[kept], b[kept], overlap[kept], None if pairs is None else distinct)


def sides_of(keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the first and the second texts of the keys of pairs, see ``text_keys``."""
    parts = [key.partition("\n") for key in keys]
    return [first for first, _, _ in parts], [second for _, _, second in parts]


def shingle_hashes(texts: Sequence[str]) -> tuple[Array, Array]:
    """Hashes every shingle of every text (T), one after the other; also returns the start of each text among them (N).

    Each text gets two spaces on both sides, so that n characters have n shingles; an empty text has one shingle.
    """
    margin = " " * (SHINGLE // 2)
    padded = [f"{margin}{text}{margin}" if len(text) >= SHINGLE - 2 * len(margin) else text.center(SHINGLE) for text in texts]
    lengths = np.fromiter((len(text) for text in padded), dtype=np.int64, count=len(padded))
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    hashes = codes[: len(codes) - SHINGLE + 1].copy()
    for i in range(1, SHINGLE):
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
        hashes += codes[i : len(codes) - SHINGLE + 1 + i]
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(32)
    counts = lengths - SHINGLE + 1
    ends = np.cumsum(lengths)
    inside = np.ones(len(hashes) + SHINGLE - 1, dtype=bool)
    for i in range(1, SHINGLE):  # shingles that would cross the end of their text
        inside[ends - i] = False
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return hashes[inside[: len(hashes)]].astype(np.uint32), starts


def minhash(texts: Sequence[str]) -> Array:
    """Computes signatures (N, BANDS * BAND_ROWS), uint32: two agree at a position with the probability of their overlap."""
    draw = np.random.default_rng(SEED)
    n = BANDS * BAND_ROWS
    factors = draw.integers(1, 1 << 32, n, dtype=np.uint64).astype(np.uint32) | np.uint32(1)
    offsets = draw.integers(0, 1 << 32, n, dtype=np.uint64).astype(np.uint32)
    signatures = np.empty((len(texts), n), dtype=np.uint32)
    for begin, end in chunks(texts):
        hashes, starts = shingle_hashes(texts[begin:end])
        mixed = np.empty_like(hashes)
        for i in range(n):
            np.multiply(hashes, factors[i], out=mixed)
            mixed += offsets[i]
            mixed ^= mixed >> np.uint32(15)
            mixed *= np.uint32(0x2C1B3C6D)
            signatures[begin:end, i] = np.minimum.reduceat(mixed, starts)
    return signatures


def chunks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yields ranges of texts with about CHUNK_CHARACTERS characters together."""
    begin, size = 0, 0
    for i, text in enumerate(texts):
        size += len(text) + 2 * SHINGLE
        if size >= CHUNK_CHARACTERS:
            yield begin, i + 1
            begin, size = i + 1, 0
    if begin < len(texts):
        yield begin, len(texts)


def candidates(signatures: Array) -> tuple[Array, Array]:
    """Returns pairs of positions that share a bucket in some band, each once, first < second."""
    n, codes, most = len(signatures), list[Array](), MERGED_PAIRS
    for band in range(BANDS):
        part = np.ascontiguousarray(signatures[:, band * BAND_ROWS : (band + 1) * BAND_ROWS]).view(np.uint64)
        key = part[:, 0] * np.uint64(0x9E3779B97F4A7C15) ^ (part[:, 1] * np.uint64(0xC2B2AE3D27D4EB4F) >> np.uint64(1))
        order = np.argsort(key, kind="stable")
        for first, second in bucket_pairs(order, key[order]):
            codes.append(np.minimum(first, second) * np.int64(n) + np.maximum(first, second))
        if sum(map(len, codes)) > most:  # saves memory: most pairs share a bucket in most bands
            codes = [distinct_codes(codes)]
            most = max(most, 2 * len(codes[0]))
    pairs = distinct_codes(codes)
    return pairs // n, pairs % n


def distinct_codes(codes: Sequence[Array]) -> Array:
    """Returns the different numbers of several arrays, ascending. ``np.unique`` takes four times as long: it hashes integers."""
    joined = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *codes]))
    return np.asarray(joined[np.diff(joined, prepend=-1) != 0])  # the numbers are not negative


def bucket_pairs(order: Array, keys: Array) -> Iterator[tuple[Array, Array]]:
    """Yields pairs (first, second) of positions with equal keys; ``order`` are positions sorted by key."""
    edges = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]]))
    starts = np.repeat(edges[:-1], np.diff(edges))
    sizes = np.repeat(np.diff(edges), np.diff(edges))
    rank = np.arange(len(keys)) - starts
    for step in range(1, MAX_BUCKET):
        with_next = np.flatnonzero((rank + step < sizes) & ((sizes <= MAX_BUCKET) | (step == 1)))
        if not len(with_next):
            break
        yield order[with_next], order[with_next + step]
    crowded = np.flatnonzero((sizes > MAX_BUCKET) & (rank > 1))
    if len(crowded):
        yield order[starts[crowded]], order[crowded]


def shingle_sets(texts: Sequence[str]) -> list[frozenset[int]]:
    """Returns the hashes of each text's shingles."""
    return [frozenset(shingle_hashes([text])[0].tolist()) for text in texts]


def exact_overlap(texts: Sequence[str], first: Array, second: Array) -> Array:
    """Computes the Jaccard overlap of the shingle sets of each pair (P)."""
    overlaps = np.empty(len(first))

    @lru_cache(maxsize=100_000)
    def shingles(i: int) -> frozenset[int]:
        return shingle_sets([texts[i]])[0]

    for position, (i, j) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        a, b = shingles(i), shingles(j)
        shared = len(a & b)
        overlaps[position] = shared / (len(a) + len(b) - shared)
    return overlaps
