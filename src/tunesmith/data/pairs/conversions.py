"""Converts rows to another format (labelled texts to triplets, NLI to pairs, ...), and counts left-out rows.

The result is never quadratic: a class of 10,000 texts has 50 million pairs, so each text is the anchor of a fixed number of rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.data.cells import is_missing, listed, plural
from tunesmith.data.labelled.labels import class_name
from tunesmith.data.pairs.formats import PairFormat, PairKind
from tunesmith.data.pairs.pair_classes import NamedClasses, PairLabels, class_key, different_classes, same_class
from tunesmith.data.pairs.rows import CLASS_KINDS, is_unlabelled
from tunesmith.data.table import Table
from tunesmith.errors import DataError

TRIPLET = ("anchor", "positive", "negative")
PAIR = ("anchor", "positive")
Row = tuple[str, ...]


@dataclass(frozen=True)
class Converted:
    """Rows in another format, texts in the order of ``columns``, and the number of left-out source rows by reason."""

    kind: PairKind
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    n_source: int
    left_out: Mapping[str, int]

    def summary(self) -> str:
        lost = "; ".join(f"{count:,} {reason}" for reason, count in self.left_out.items())
        return f"{plural(len(self.rows), 'row')} of {' + '.join(self.columns)} from {self.n_source:,}" + (
            f" ({lost})" if lost else ""
        )


@dataclass(frozen=True)
class Conversion:
    """How rows are converted.

    Attributes:
        draw: draws positives and negatives.
        per_text: number of rows with the same labelled text as anchor.
        left_out: reason -> number of source rows that are not used; counted during the conversion.
        pairs: the rows; read as labelled pairs where they are.
    """

    draw: np.random.Generator
    per_text: int
    left_out: Counter[str]
    pairs: PairLabels


def convert(
    table: Table,
    row_format: PairFormat,
    to: PairKind,
    seed: int = 0,
    per_text: int = 1,
    named: NamedClasses | None = None,
) -> Converted:
    """Converts the rows of a table to another format. Raises DataError if there is no such conversion, or it leaves no row.

    Args:
        per_text: number of rows with the same labelled text as anchor.
        named: the classes of labelled pairs that the user named.
    """
    if (row_format.kind, to) not in CONVERSIONS:
        possible = [after for before, after in CONVERSIONS if before == row_format.kind]
        message = f"{row_format.name} rows cannot become {to.replace('_', ' ')} rows."
        raise DataError.one(table.source, message, f"They can become: {listed(possible) or 'nothing else'}.")
    is_cut = CONVERSIONS[row_format.kind, to] is without_negatives  # rows without a negative are used, too
    columns = [table.columns[name] for name in (row_format.texts[:2] if is_cut else row_format.columns)]
    complete = [cells for cells in zip(*columns, strict=True) if not any(is_missing(cell) for cell in cells)]
    left_out: Counter[str] = Counter()
    if len(complete) < len(table):
        left_out["without a text or a label"] = len(table) - len(complete)
    if row_format.kind in CLASS_KINDS:
        labelled = [cells for cells in complete if not is_unlabelled(cells[-1])]
        left_out.update(f"labelled {str(cells[-1]).strip()}" for cells in complete if is_unlabelled(cells[-1]))
        complete = [(*cells[:-1], class_name(cells[-1])) for cells in labelled]
    texts = [tuple(str(cell).strip() for cell in cells) for cells in complete]
    labels = PairLabels(texts, row_format.texts, table.source, named or NamedClasses())
    conversion = Conversion(np.random.default_rng(seed), per_text, left_out, labels)
    rows = tuple(dict.fromkeys(CONVERSIONS[row_format.kind, to](texts, conversion)))
    if not rows:
        reasons = "; ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        raise DataError.one(
            table.source, f"no {to.replace('_', ' ')} row can be made from {plural(len(table), 'row')} ({reasons})."
        )
    return Converted(to, TRIPLET if to == "triplet" else PAIR, rows, len(table), dict(left_out))


Convert = Callable[[Sequence[Row], Conversion], Iterator[Row]]


def same_pairs(rows: Sequence[Row], conversion: Conversion) -> Iterator[Row]:
    """Selects pairs with the same meaning: entailment, duplicates, ...; rows are text, text, label."""
    same = same_class(conversion.pairs)
    for first, second, label in rows:
        if class_key(label) == same:
            yield first, second
        else:
            conversion.left_out[f"labelled {label}"] += 1


def pair_triplets(rows: Sequence[Row], conversion: Conversion) -> Iterator[Row]:
    """Joins every pair with the same meaning with a negative of its first text, see ``different_classes``."""
    same = same_class(conversion.pairs)
    different = different_classes(conversion.pairs, same)
    negatives: dict[str, list[str]] = defaultdict(list)
    for first, second, label in rows:
        if class_key(label) in different:
            negatives[first].append(second)
    for first, second, label in rows:
        if class_key(label) in different:
            conversion.left_out[f"labelled {label}, used as a negative where it can be"] += 1
        elif class_key(label) != same:
            conversion.left_out[f"labelled {label}"] += 1
        elif first not in negatives:
            conversion.left_out["without a negative"] += 1
        else:
            yield first, second, negatives[first][int(conversion.draw.integers(len(negatives[first])))]


def labelled_triplets(rows: Sequence[Row], conversion: Conversion) -> Iterator[Row]:
    """Joins each text with another of its class and one of another class; rows are text, label."""
    texts_by_class = group_by_class(rows, conversion.left_out)
    classes = sorted(texts_by_class)
    if len(classes) < 2:
        return
    sizes = np.array([len(texts_by_class[name]) for name in classes], dtype=float)
    for k, name in enumerate(classes):
        chances = np.where(np.arange(len(classes)) == k, 0, sizes) / (sizes.sum() - sizes[k])
        for text, positive in others_of_class(texts_by_class[name], conversion):
            other = texts_by_class[classes[int(conversion.draw.choice(len(classes), p=chances))]]
            yield text, positive, other[int(conversion.draw.integers(len(other)))]


def labelled_pairs(rows: Sequence[Row], conversion: Conversion) -> Iterator[Row]:
    """Joins each text with another of its class."""
    for texts in group_by_class(rows, conversion.left_out).values():
        yield from others_of_class(texts, conversion)


def group_by_class(rows: Sequence[Row], left_out: Counter[str]) -> dict[str, list[str]]:
    """Groups the distinct texts by class; leaves out classes with a single text."""
    texts_by_class: dict[str, dict[str, None]] = defaultdict(dict)
    for text, label in rows:
        texts_by_class[label][text] = None
    alone = [name for name, texts in texts_by_class.items() if len(texts) < 2]
    if alone:
        left_out["alone in their class"] += len(alone)
    return {name: list(texts) for name, texts in texts_by_class.items() if name not in alone}


def others_of_class(texts: Sequence[str], conversion: Conversion) -> Iterator[tuple[str, str]]:
    """Joins each text with others of its class, drawn at random without itself."""
    for i, text in enumerate(texts):
        for step in conversion.draw.integers(1, len(texts), conversion.per_text).tolist():
            yield text, texts[(i + step) % len(texts)]


def tuple_triplets(rows: Sequence[Row], _conversion: Conversion) -> Iterator[Row]:
    """Makes a triplet for each negative; rows are anchor, positive, negatives."""
    for anchor, positive, *negatives in rows:
        for negative in negatives:
            yield anchor, positive, negative


def without_negatives(rows: Sequence[Row], _conversion: Conversion) -> Iterator[Row]:
    for anchor, positive, *_ in rows:
        yield anchor, positive


CONVERSIONS: Mapping[tuple[PairKind, PairKind], Convert] = {
    ("labelled_pair", "positive_pair"): same_pairs,
    ("labelled_pair", "triplet"): pair_triplets,
    ("labelled_text", "positive_pair"): labelled_pairs,
    ("labelled_text", "triplet"): labelled_triplets,
    ("tuple", "triplet"): tuple_triplets,
    ("tuple", "positive_pair"): without_negatives,
    ("triplet", "positive_pair"): without_negatives,
}
