"""Input variants t(x): a part of each row, its words in another order, or a row without one of its words. Text in, text out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.data.cells import is_missing
from tunesmith.data.table import Examples
from tunesmith.diagnosis.checks.shortcuts import WORD, lower_words

NULL = " "
"""The input without information. Some tokenizers fail on an empty text (Ethayarajh et al. 2022 use a space, too)."""
JOINT = "+"
ALIASES = {"premise_only": "text_only", "hypothesis_only": "pair_only"}
"""The field's other names of variants."""
PAIR_VARIANTS = frozenset({"text_only", "pair_only", "overlap_only"})
SHUFFLED = "shuffled_words"
DESCRIPTIONS = {
    "text_only": "the first text alone",
    "pair_only": "the second text alone",
    SHUFFLED: "the text in random word order",
    "overlap_only": "what both texts share",
}

Sides = tuple[list[str], list[str] | None]


def variant_columns(name: str) -> tuple[str, ...]:
    """Returns the columns that a variant consists of; none for the named variants."""
    return () if ALIASES.get(name, name) in DESCRIPTIONS else tuple(part.strip() for part in name.split(JOINT))


def describe(name: str) -> str:
    """Names a variant within a sentence."""
    return DESCRIPTIONS.get(name) or f"{' and '.join(variant_columns(name))} alone"


def make_variant(rows: Examples, name: str, seed: int = 0) -> Examples:
    """Returns the rows with t(x) as their texts. Blank texts become ``NULL``.

    Args:
        name: one of ``DESCRIPTIONS``, or columns in ``rows.others``, joined by ``+``: their cells, a line each, without missing.
        seed: of the shuffled words.
    """
    if columns := variant_columns(name):
        cells = zip(*(rows.others[column] for column in columns), strict=True)
        joined = ["\n".join(str(cell) for cell in row if not is_missing(cell)) for row in cells]
        return replace(rows, texts=fill_blanks(joined), pairs=None)
    texts, pairs = VARIANTS[name](rows, seed)
    return replace(rows, texts=fill_blanks(texts), pairs=None if pairs is None else fill_blanks(pairs))


def fill_blanks(texts: Sequence[str]) -> list[str]:
    """Returns the texts, ``NULL`` in place of blank ones."""
    return [text if text.strip() else NULL for text in texts]


def shuffled_words(rows: Examples, seed: int) -> Sides:
    """Returns the words (between white space) of every text in random order; both sides of a pair keep their own."""
    draw = np.random.default_rng(seed)

    def shuffled(text: str) -> str:
        words = text.split()
        return " ".join(words[i] for i in draw.permutation(len(words)))

    return [shuffled(text) for text in rows.texts], None if rows.pairs is None else [shuffled(text) for text in rows.pairs]


def overlap_only(rows: Examples, _seed: int) -> Sides:
    """Returns the words of the second text that the first has too, ignoring case, in the order of the second."""
    shared = []
    for first, second in zip(rows.texts, rows.pairs or [], strict=True):
        there = set(lower_words(first))
        shared.append(" ".join(word for word in lower_words(second) if word in there))
    return shared, None


VARIANTS: dict[str, Callable[[Examples, int], Sides]] = {
    "text_only": lambda rows, _seed: (rows.texts, None),
    "pair_only": lambda rows, _seed: (list(rows.pairs or []), None),
    SHUFFLED: shuffled_words,
    "overlap_only": overlap_only,
}


@dataclass(frozen=True)
class OmittedWord:
    """One word of one row.

    Attributes:
        row: position of the row.
        side: ``text`` or ``pair``.
        place: of the word among the words of its side, from 0.
    """

    row: int
    side: str
    place: int
    word: str


def without_each_word(rows: Examples, positions: Sequence[int], most: int) -> tuple[list[OmittedWord], Examples]:
    """Returns the words of the rows at those positions (M over all), and M rows that each lack one of them.

    Args:
        most: words of a side that are omitted one at a time; later words stay in all rows.
    """
    omitted: list[OmittedWord] = []
    texts: list[str] = []
    pairs: list[str] = []
    for i in positions:
        sides = {"text": rows.texts[i], **({} if rows.pairs is None else {"pair": rows.pairs[i]})}
        for side, text in sides.items():
            for place, match in enumerate(list(WORD.finditer(text))[:most]):
                shorter = f"{text[: match.start()].rstrip()} {text[match.end() :].lstrip()}".strip()
                omitted.append(OmittedWord(i, side, place, match.group()))
                texts.append(shorter if side == "text" else rows.texts[i])
                pairs.append(shorter if side == "pair" else sides.get("pair", ""))
    part = rows.take([word.row for word in omitted], rows.split)
    return omitted, replace(part, texts=fill_blanks(texts), pairs=None if rows.pairs is None else fill_blanks(pairs))


def n_words(rows: Examples, position: int) -> int:
    """Returns the number of words of the longer side of a row."""
    sides = [rows.texts[position], *([] if rows.pairs is None else [rows.pairs[position]])]
    return max(len(WORD.findall(side)) for side in sides)
