"""Changed inputs t(x): a part of each row, its words in another order, or a row without one of its words. Text in, text out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.data.cells import is_missing
from tunesmith.data.table import Examples
from tunesmith.diagnosis.checks.shortcuts import WORD, words_of

NULL = " "
"""The input that tells nothing. An empty text makes trouble in some tokenizers (Ethayarajh et al. 2022 use a space, too)."""
JOINT = "+"
ALIASES = {"premise_only": "text_only", "hypothesis_only": "pair_only"}
OF_PAIRS = frozenset({"text_only", "pair_only", "overlap_only"})
IN_WORDS = {
    "text_only": "the first text alone",
    "pair_only": "the second text alone",
    "shuffled_words": "the text in random word order",
    "overlap_only": "what both texts share",
}
SHUFFLED = "shuffled_words"

Sides = tuple[list[str], list[str] | None]


def known_name(name: str) -> str:
    """The name that is used for an input: the field's other names are taken, too."""
    return ALIASES.get(name, name)


def columns_of(name: str) -> tuple[str, ...]:
    """The columns that an input is made of; none for the inputs that have a name of their own."""
    return () if known_name(name) in IN_WORDS else tuple(part.strip() for part in name.split(JOINT))


def in_words(name: str) -> str:
    """An input as a sentence names it."""
    return IN_WORDS.get(name) or f"{' and '.join(columns_of(name))} alone"


def changed(rows: Examples, name: str, seed: int = 0) -> Examples:
    """The rows with t(x) as their texts. What is left empty becomes ``NULL``.

    Args:
        name: one of ``IN_WORDS``, or columns in ``rows.others``, joined by ``+``.
        seed: of the shuffled words.
    """
    columns = columns_of(name)
    texts, pairs = joined(rows, columns) if columns else CHANGES[name](rows, seed)
    return replace(rows, texts=filled(texts), pairs=None if pairs is None else filled(pairs))


def filled(texts: Sequence[str]) -> list[str]:
    """The texts, ``NULL`` in place of blank ones."""
    return [text if text.strip() else NULL for text in texts]


def null_input(rows: Examples) -> Examples:
    """The rows with nothing in them."""
    return replace(rows, texts=[NULL] * len(rows), pairs=None)


def joined(rows: Examples, columns: Sequence[str]) -> Sides:
    """The cells of the columns as one text, a line each; missing cells are left out."""
    cells = zip(*(rows.others[column] for column in columns), strict=True)
    return ["\n".join(str(cell) for cell in row if not is_missing(cell)) for row in cells], None


def text_only(rows: Examples, _seed: int) -> Sides:
    return rows.texts, None


def pair_only(rows: Examples, _seed: int) -> Sides:
    return list(rows.pairs or []), None


def shuffled_words(rows: Examples, seed: int) -> Sides:
    """The words (between white space) of every text in random order; both sides of a pair keep their own."""
    draw = np.random.default_rng(seed)

    def shuffled(text: str) -> str:
        words = text.split()
        return " ".join(words[i] for i in draw.permutation(len(words)))

    return [shuffled(text) for text in rows.texts], None if rows.pairs is None else [shuffled(text) for text in rows.pairs]


def overlap_only(rows: Examples, _seed: int) -> Sides:
    """The words of the second text that the first has, too, case aside, in the order of the second."""
    shared = []
    for first, second in zip(rows.texts, rows.pairs or [], strict=True):
        there = set(words_of(first))
        shared.append(" ".join(word for word in words_of(second) if word in there))
    return shared, None


CHANGES: dict[str, Callable[[Examples, int], Sides]] = {
    "text_only": text_only,
    "pair_only": pair_only,
    SHUFFLED: shuffled_words,
    "overlap_only": overlap_only,
}


@dataclass(frozen=True)
class LeftOut:
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


def without_each_word(rows: Examples, positions: Sequence[int], most: int) -> tuple[list[LeftOut], Examples]:
    """The words of the rows at those positions (M over all), and M rows that each lack one of them.

    Args:
        most: words of a row that are left out; what comes later in a side stays.
    """
    left: list[LeftOut] = []
    texts: list[str] = []
    pairs: list[str] = []
    for i in positions:
        sides = {"text": rows.texts[i], **({} if rows.pairs is None else {"pair": rows.pairs[i]})}
        for side, text in sides.items():
            for place, match in enumerate(list(WORD.finditer(text))[:most]):
                shorter = f"{text[: match.start()].rstrip()} {text[match.end() :].lstrip()}".strip()
                left.append(LeftOut(i, side, place, match.group()))
                texts.append(shorter if side == "text" else rows.texts[i])
                pairs.append(shorter if side == "pair" else sides.get("pair", ""))
    part = rows.take([word.row for word in left], rows.split)
    return left, replace(part, texts=filled(texts), pairs=None if rows.pairs is None else filled(pairs))


def n_words(rows: Examples, position: int) -> int:
    """The most words that a side of the row has."""
    sides = [rows.texts[position], *([] if rows.pairs is None else [rows.pairs[position]])]
    return max(len(WORD.findall(side)) for side in sides)
