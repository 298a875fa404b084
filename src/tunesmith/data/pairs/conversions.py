"""Rows of one shape as rows of another: labelled texts as triplets, NLI as pairs, tuples as triplets, with what was left out.

Nothing quadratic is made: a class of 10,000 texts has 50 million pairs, so each text is the anchor of a fixed number of rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tunesmith.data.cells import is_missing, listed
from tunesmith.data.pairs.formats import Kind, Shape
from tunesmith.data.table import Table
from tunesmith.errors import DataError

ENTAILMENT = ("entailment", "entails", "e")
CONTRADICTION = ("contradiction", "contradicts", "c")
SAME = ("1", "1.0", "true", "yes", "duplicate", "same", "similar", "positive", "paraphrase", "equivalent", *ENTAILMENT)
"""Labels that say two texts mean the same, lower case."""
TRIPLET = ("anchor", "positive", "negative")
PAIR = ("anchor", "positive")
Row = tuple[str, ...]


@dataclass(frozen=True)
class Converted:
    """Rows of another shape.

    Attributes:
        rows: texts of each row, in the order of ``columns``.
        left_out: why rows of the source are in no new row -> how many.
    """

    kind: Kind
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    n_source: int
    left_out: Mapping[str, int]

    def summary(self) -> str:
        """What was made of what, in a sentence."""
        lost = "; ".join(f"{count:,} {reason}" for reason, count in self.left_out.items())
        return f"{len(self.rows):,} rows of {' + '.join(self.columns)} from {self.n_source:,}" + (f" ({lost})" if lost else "")


def convert(table: Table, shape: Shape, to: Kind, seed: int = 0, per_text: int = 1) -> Converted:
    """The rows of a table in another shape.

    Args:
        per_text: rows of which each labelled text is the anchor.

    Raises:
        DataError: there is no such conversion, or it leaves no row.
    """
    if (shape.kind, to) not in CONVERSIONS:
        known = [after for before, after in CONVERSIONS if before == shape.kind]
        message = f"{shape.kind.replace('_', ' ')} rows cannot become {to.replace('_', ' ')} rows."
        raise DataError.one(table.source, message, f"They can become: {listed(known) or 'nothing else'}.")
    columns = [table.columns[name] for name in shape.columns]
    there = [cells for cells in zip(*columns, strict=True) if not any(is_missing(cell) for cell in cells)]
    texts = [tuple(str(cell).strip() for cell in cells) for cells in there]
    left_out: Counter[str] = Counter()
    if len(texts) < len(table):
        left_out["without a text or a label"] = len(table) - len(texts)
    made = tuple(dict.fromkeys(CONVERSIONS[shape.kind, to](texts, left_out, np.random.default_rng(seed), per_text)))
    if not made:
        reasons = "; ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        raise DataError.one(table.source, f"no {to.replace('_', ' ')} row can be made of {len(table):,} rows ({reasons}).")
    return Converted(to, TRIPLET if to == "triplet" else PAIR, made, len(table), dict(left_out))


Convert = Callable[[Sequence[Row], Counter[str], np.random.Generator, int], Iterator[Row]]


def nli_pairs(rows: Sequence[Row], left_out: Counter[str], _draw: np.random.Generator, _per_text: int) -> Iterator[Row]:
    """Pairs that mean the same: entailment, duplicates, ...; rows are text, text, label."""
    for first, second, label in rows:
        if label.casefold() in SAME:
            yield first, second
        else:
            left_out[f"labelled {label}"] += 1


def nli_triplets(rows: Sequence[Row], left_out: Counter[str], draw: np.random.Generator, _per_text: int) -> Iterator[Row]:
    """Every pair that means the same with a text that is known not to belong to its first text.

    A contradiction where the labels have one (neutral texts may belong), else any text that is labelled different.
    """
    labels = {label.casefold() for _, _, label in rows}
    against = {*CONTRADICTION} & labels or labels - {*SAME}
    wrong: dict[str, list[str]] = defaultdict(list)
    for first, second, label in rows:
        if label.casefold() in against:
            wrong[first].append(second)
    for first, second, label in rows:
        if label.casefold() not in SAME:
            left_out[f"labelled {label}, used as a negative where it can be"] += 1
        elif first not in wrong:
            left_out["without a text known not to belong"] += 1
        else:
            yield first, second, wrong[first][int(draw.integers(len(wrong[first])))]


def labelled_triplets(rows: Sequence[Row], left_out: Counter[str], draw: np.random.Generator, per_text: int) -> Iterator[Row]:
    """Each text with another of its class and one of another class; rows are text, label."""
    of_class = by_class(rows, left_out)
    classes = sorted(of_class)
    if len(classes) < 2:
        return
    sizes = np.array([len(of_class[name]) for name in classes], dtype=float)
    for place, name in enumerate(classes):
        chances = np.where(np.arange(len(classes)) == place, 0, sizes) / (sizes.sum() - sizes[place])
        for text, positive in same_class(of_class[name], draw, per_text):
            other = of_class[classes[int(draw.choice(len(classes), p=chances))]]
            yield text, positive, other[int(draw.integers(len(other)))]


def labelled_pairs(rows: Sequence[Row], left_out: Counter[str], draw: np.random.Generator, per_text: int) -> Iterator[Row]:
    """Each text with another of its class."""
    for texts in by_class(rows, left_out).values():
        yield from same_class(texts, draw, per_text)


def by_class(rows: Sequence[Row], left_out: Counter[str]) -> dict[str, list[str]]:
    """Class -> its different texts; classes with one text, which has no partner, are left out."""
    of_class: dict[str, dict[str, None]] = defaultdict(dict)
    for text, label in rows:
        of_class[label][text] = None
    alone = [name for name, texts in of_class.items() if len(texts) < 2]
    if alone:
        left_out["alone in their class"] += len(alone)
    return {name: list(texts) for name, texts in of_class.items() if name not in alone}


def same_class(texts: Sequence[str], draw: np.random.Generator, per_text: int) -> Iterator[tuple[str, str]]:
    """Each text with others of its class, drawn without itself."""
    for place, text in enumerate(texts):
        for step in draw.integers(1, len(texts), per_text).tolist():
            yield text, texts[(place + step) % len(texts)]


def tuple_triplets(rows: Sequence[Row], _left_out: Counter[str], _draw: np.random.Generator, _per_text: int) -> Iterator[Row]:
    """A triplet for each negative; rows are anchor, positive, negatives."""
    for anchor, positive, *negatives in rows:
        for negative in negatives:
            yield anchor, positive, negative


def without_negatives(rows: Sequence[Row], _left_out: Counter[str], _draw: np.random.Generator, _per_text: int) -> Iterator[Row]:
    """Anchor and positive alone."""
    for anchor, positive, *_ in rows:
        yield anchor, positive


CONVERSIONS: Mapping[tuple[Kind, Kind], Convert] = MappingProxyType(
    {
        ("labelled_pair", "positive_pair"): nli_pairs,
        ("labelled_pair", "triplet"): nli_triplets,
        ("labelled_text", "positive_pair"): labelled_pairs,
        ("labelled_text", "triplet"): labelled_triplets,
        ("tuple", "triplet"): tuple_triplets,
        ("tuple", "positive_pair"): without_negatives,
        ("triplet", "positive_pair"): without_negatives,
    }
)
