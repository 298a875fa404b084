"""Finds rows of an evaluation split whose text is in train, exactly or nearly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tunesmith.data.near_duplicates import SearchedTexts, near_duplicates


@dataclass(frozen=True)
class Leak:
    """A row whose text is in train.

    Attributes:
        position: of the row in its split.
        train_position: of the training row with the most similar text.
        overlap: of the shingles of both texts, 1 for equal normalised texts.
    """

    position: int
    train_position: int
    overlap: float

    @property
    def is_exact(self) -> bool:
        return self.overlap == 1.0

    def reason(self, train_row: int, what: str = "text") -> str:
        """Describes the leak by the id of the training row."""
        return f"same {what} as train row {train_row}" if self.is_exact else f"nearly the {what} of train row {train_row}"


def find_leaks(
    train: Sequence[str],
    texts: Sequence[str],
    train_pairs: Sequence[str] | None = None,
    pairs: Sequence[str] | None = None,
    searched: SearchedTexts | None = None,
) -> list[Leak]:
    """Finds the texts that are in train, or nearly; of pairs both texts have to be."""
    both = [*train_pairs, *pairs] if train_pairs is not None and pairs is not None else None
    overlap, partner = near_duplicates([*train, *texts], both, searched=searched).nearly_same().nearest_earlier(len(train))
    n = len(train)
    return [Leak(i - n, int(partner[i]), float(overlap[i])) for i in range(n, n + len(texts)) if partner[i] >= 0]


def divided(leaks: Sequence[Leak], sizes: Mapping[str, int]) -> dict[str, list[Leak]]:
    """Divides the leaks of splits that were searched together, one after the other, so that near-duplicates are found once.

    Args:
        sizes: split -> its number of rows, in the order of the search.

    Returns:
        Split -> its leaks, with positions in the split.
    """
    found: dict[str, list[Leak]] = {}
    start = 0
    for split, size in sizes.items():
        own = [leak for leak in leaks if start <= leak.position < start + size]
        found[split] = [replace(leak, position=leak.position - start) for leak in own]
        start += size
    return found


def counted(leaks: Sequence[Leak]) -> str:
    """Describes how many leaks are exact: ``(5 exactly, 7 nearly)``."""
    n_exact = sum(leak.is_exact for leak in leaks)
    return f"({n_exact} exactly, {len(leaks) - n_exact} nearly)"
