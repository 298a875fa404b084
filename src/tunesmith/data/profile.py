"""Describes a column by the few figures that column detection needs."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.data.cells import is_missing, is_number, is_whole, one_line, plural
from tunesmith.data.numbers import plain_numbers

SAMPLE_CELLS = 5_000
UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Characters of scripts without spaces between words: Thai, kana, CJK, Hangul."""


@dataclass(frozen=True)
class Profile:
    """The figures of one column.

    Attributes:
        n: sampled cells that are not missing.
        missing_share, number_share, whole_share, list_share: shares in [0, 1]; the first of all cells, the others of ``n``.
        distinct: number of different values.
        values: up to 12 different values, sorted.
        mean_chars, mean_words: of the cells as text; a character of an unspaced script counts as half a word.
    """

    n: int
    missing_share: float
    number_share: float
    whole_share: float
    list_share: float
    distinct: int
    values: tuple[str, ...]
    mean_chars: float
    mean_words: float
    has_spaces: bool

    @property
    def distinct_share(self) -> float:
        return self.distinct / self.n if self.n else 0.0

    @property
    def is_worded(self) -> bool:
        """Whether there are cells, and they are words, not numbers or lists."""
        return self.n > 0 and self.number_share < 0.5 and self.list_share == 0

    @property
    def is_text(self) -> bool:
        """Whether cells read like language: several words, mostly different."""
        return self.is_worded and self.mean_words >= 2 and self.mean_chars >= 6 and self.distinct_share >= 0.1

    @property
    def is_classes(self) -> bool:
        """Whether cells are few short values that repeat."""
        return 2 <= self.distinct <= max(2, 0.3 * self.n) and self.mean_chars <= 60 and not self.is_score

    @property
    def is_score(self) -> bool:
        """Whether cells are numbers with decimals."""
        return self.number_share >= 0.9 and self.whole_share < 1.0

    @property
    def is_codes(self) -> bool:
        """Whether cells are the whole numbers from 0 or 1 upward without a gap, as class ids are."""
        if self.n == 0 or not all(map(is_whole, self.values)) or self.whole_share < 1.0 or not 2 <= self.distinct <= 12:
            return False
        codes = sorted({float(value) for value in self.values})
        return codes[0] in (0, 1) and codes[-1] - codes[0] == len(codes) - 1

    @property
    def is_key(self) -> bool:
        """Whether every row has a different short value without spaces."""
        return self.n > 1 and self.distinct == self.n and not self.has_spaces and self.mean_chars <= 60 and not self.is_score

    def words(self) -> str:
        if self.n == 0:
            return "empty"
        if self.list_share > 0.5:
            return "lists"
        if self.distinct == 1:
            return f"only {self.values[0]!r}"
        if self.is_codes or (self.distinct <= 4 and self.mean_chars <= 20):
            *others, last = map(one_line, self.values)
            return f"only {', '.join(others)} and {last}"
        if self.is_classes:
            return plural(self.distinct, "different value")
        if self.number_share >= 0.9:
            return "numbers"
        if self.is_text:
            return f"text of {plural(round(self.mean_chars), 'character')} on average"
        return "a different value in every row" if self.distinct == self.n else f"{self.distinct} different short values"


def profile(cells: Sequence[Any]) -> Profile:
    """Computes the figures of one column. The sample is random, so that no periodic order hides a value, and reproducible."""
    sample = cells
    if len(cells) > SAMPLE_CELLS:
        sample = [cells[i] for i in sorted(random.Random(0).sample(range(len(cells)), SAMPLE_CELLS))]
    present = [cell for cell in sample if not is_missing(cell)]
    texts = [str(cell) for cell in present]
    numbers, note = plain_numbers(present)
    is_ambiguous = bool(note) and numbers is present
    n = len(present)
    distinct = set(texts)

    def share(count: float) -> float:
        return count / n if n else 0.0

    return Profile(
        n=n,
        missing_share=1 - n / len(sample) if sample else 1.0,
        number_share=1.0 if is_ambiguous else share(sum(map(is_number, numbers))),
        whole_share=share(sum(map(is_whole, numbers))),
        list_share=share(sum(isinstance(cell, list | tuple) for cell in present)),
        distinct=len(distinct),
        values=tuple(sorted(distinct)[:12]),
        mean_chars=share(sum(map(len, texts))),
        mean_words=share(sum(map(count_words, texts))),
        has_spaces=any(" " in text.strip() for text in texts),
    )


def count_words(text: str) -> float:
    # Most texts are ASCII, which is quick to see; only the others are searched for scripts without spaces.
    unspaced = 0 if text.isascii() else len(UNSPACED.findall(text))
    return len(text.split()) + unspaced / 2
