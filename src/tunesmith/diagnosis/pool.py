"""The rows of several data sets as one, and what was found between them: as findings and as files."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.personal import personal_data_kinds
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.checks.agreement import Agreement, Answers, Asked, agreement, differing, given_names
from tunesmith.diagnosis.checks.leakage import how_much
from tunesmith.diagnosis.checks.transfer import Opposite, Transfer
from tunesmith.diagnosis.evidence import LISTED, Diagnosis, evidence_of, worst_first
from tunesmith.results import TEXT_CHARACTERS, Finding

OPPOSITE_COLUMNS = (
    "overlap", "first", "first_row_id", "first_split", "first_label", "first_rows",
    "second", "second_row_id", "second_split", "second_label", "second_rows",
)  # fmt: skip
FEWEST = 2
ORACLE_COLUMNS = ("data", "row_id", "split", "given", "oracle", "confidence")


@dataclass(frozen=True)
class Pool:
    """The rows of S data sets, one set after the other.

    Attributes:
        sets: the rows of each, with the ids of the shared labels.
        splits: for each data set the split of each of its rows.
    """

    names: tuple[str, ...]
    labels: Labels
    sets: tuple[Examples, ...]
    splits: tuple[list[str], ...]

    @property
    def sizes(self) -> list[int]:
        return [len(rows) for rows in self.sets]

    @property
    def owner(self) -> Array:
        """The data set of each row (N)."""
        return np.repeat(np.arange(len(self.sets)), self.sizes)

    def slices(self) -> list[slice]:
        """Where the rows of each data set are."""
        ends = np.cumsum([0, *self.sizes]).tolist()
        return [slice(start, stop) for start, stop in itertools.pairwise(ends)]

    def rows(self) -> Examples:
        """All rows as one set, without groups and names: those mean something within a data set only."""
        pairs = None if self.sets[0].pairs is None else [pair for rows in self.sets for pair in rows.pairs or []]
        return replace(
            self.sets[0], row_ids=[i for rows in self.sets for i in rows.row_ids],
            texts=[text for rows in self.sets for text in rows.texts], pairs=pairs,
            labels=[label for rows in self.sets for label in rows.labels], groups=None, ids=None,
        )  # fmt: skip

    def place(self, position: int) -> tuple[str, int, str, str]:
        """Data set, row id, split and label name of a pooled row."""
        owner = int(np.searchsorted(np.cumsum(self.sizes), position, side="right"))
        own = position - sum(self.sizes[:owner])
        rows = self.sets[owner]
        return self.names[owner], rows.row_ids[own], self.splits[owner][own], self.labels.names[rows.labels[own]]


def shown(text: str) -> str:
    """The beginning of a text; nothing where it holds personal data."""
    return "" if personal_data_kinds(text) else text[:TEXT_CHARACTERS]


def same_texts(pool: Pool, reached: Array) -> Finding:
    """How many rows of each data set another one has, too.

    Args:
        reached: see ``between.twins``.
    """
    parts, flagged = [], np.zeros(len(reached), dtype=bool)
    for i, rows in enumerate(pool.slices()):
        for j, other in enumerate(pool.names):
            if i != j and reached[rows, j].any():
                flagged[rows] |= reached[rows, j]
                parts.append(f"{int(reached[rows, j].sum()):,} of {pool.sizes[i]:,} rows of {pool.names[i]} are in {other}")
    summary = f"{'; '.join(parts)}: exactly, or nearly." if parts else "No data set has a text of another one."
    remedy = "They are not trained on where the other data set is the test." if flagged.any() else ""
    return Finding("same_texts", summary, int(flagged.sum()), remedy=remedy)


def opposite_finding(pool: Pool, found: Sequence[Opposite], flagged: Array, reached: Array) -> Finding:
    """The same texts with different labels; the share is of the rows whose text another data set has."""
    elsewhere = reached.sum(axis=1) > 1
    n, n_both = int(flagged.sum()), int(elsewhere.sum())
    summary = "No text is in two data sets, so none is labelled twice."
    if n_both:
        share = f"{n:,} of the {n_both:,} rows whose text another data set has ({n / n_both:.0%})"
        summary = f"{share} are labelled differently there.{by_sets(pool, found)}"
    texts = pool.rows().texts
    rows = tuple({**opposite_row(pool, pair), "text": shown(texts[pair.first])} for pair in found[:LISTED])
    remedy = "Read them: they show where the data sets draw the line between two labels differently." if n else ""
    return Finding("opposite_labels", summary, n, rows=rows, remedy=remedy)


def by_sets(pool: Pool, found: Sequence[Opposite]) -> str:
    """How many texts each two of several data sets label differently; empty for two."""
    counts = Counter((pool.place(pair.first)[0], pool.place(pair.second)[0]) for pair in found)
    shown = "; ".join(f"{n:,} of {one} and {other}" for (one, other), n in counts.most_common())
    return f" Texts: {shown}." if len(pool.sets) > FEWEST and shown else ""


def opposite_row(pool: Pool, pair: Opposite) -> dict[str, Any]:
    """A pair of rows as a finding holds it."""
    name, row_id, split, label = pool.place(pair.first)
    other, other_row, other_split, other_label = pool.place(pair.second)
    reason = f"{label} here, {other_label} in {other}: {how_much(pair.overlap)} row {other_row}"
    return {
        "row_id": row_id, "split": split, "data": name, "given": label, "other_data": other, "other_row_id": other_row,
        "other_split": other_split, "other_label": other_label, "reason": reason,
    }  # fmt: skip


def write_opposite(pool: Pool, found: Sequence[Opposite], path: Path) -> None:
    """One line a text that two data sets label differently, the closest first."""
    rows = pool.rows()
    sides = [("text", rows.texts), *([("pair", rows.pairs)] if rows.pairs is not None else [])]
    header = [*OPPOSITE_COLUMNS, *(f"{side}_{name}" for name, _ in sides for side in ("first", "second"))]

    def lines() -> Iterator[list[Any]]:
        for pair in found:
            first, second = pool.place(pair.first), pool.place(pair.second)
            texts = [shown(side[position]) for _, side in sides for position in (pair.first, pair.second)]
            yield [f"{pair.overlap:.3f}", *first, pair.n_first, *second, pair.n_second, *texts]

    write_csv(path, header, lines())


def transfer_finding(matrix: Sequence[Transfer]) -> Finding:
    """What models of one data set are worth on the others, beside the other's own."""
    own = {cell.tested_on: cell for cell in matrix if cell.held_out}
    sentences, below = [], False
    for cell in matrix:
        if not cell.held_out:
            of_own = own[cell.tested_on]
            sentences.append(
                f"Trained on {cell.trained_on}: MCC {value_of(cell)} on {cell.tested_on}, its own {value_of(of_own)}."
            )
            below |= cell.high is not None and of_own.low is not None and cell.high < of_own.low
    remedy = (
        "Where the interval is below that of its own rows, the labels mean something else there or the texts are of another kind."
    )
    return Finding("transfer", " ".join(sentences), remedy=remedy if below else "")


def value_of(cell: Transfer) -> str:
    if cell.value is None:
        return f"not known ({cell.note})"
    value, low, high = (None if part is None else round(part, 2) + 0.0 for part in (cell.value, cell.low, cell.high))
    return f"{value:.2f}" if low is None else f"{value:.2f} ({low:.2f} to {high:.2f})"


@dataclass(frozen=True)
class Heard:
    """What an oracle said of one data set, all splits together."""

    answers: Answers
    agreement: Agreement
    diagnosis: Diagnosis


def heard(pool: Pool, asked: Sequence[Asked]) -> list[Heard]:
    """The oracle's answers, its agreement, and the rows that differ, for each data set."""
    found = []
    for name, rows, said in zip(pool.names, pool.sets, asked, strict=True):
        answers = joined(list(said.answers.values()))
        agreed = agreement(name, said.oracle, given_names(rows, pool.labels), answers, pool.labels.names)
        found.append(Heard(answers, agreed, differing(evidence_of(rows, pool.labels), agreed, answers)))
    return found


def joined(parts: Sequence[Answers]) -> Answers:
    """The answers of several splits as one."""
    confidence = None
    if all(part.confidence is not None for part in parts):
        confidence = np.concatenate([part.confidence for part in parts])  # type: ignore[misc]
    remarks = tuple(dict.fromkeys(remark for part in parts for remark in part.remarks))
    return Answers([name for part in parts for name in part.names], confidence, parts[0].known, remarks)


def oracle_finding(pool: Pool, i: int, said: Heard) -> Finding:
    """The rows of a data set on which the oracle says something else, the first fifty named."""
    found, rows = said.diagnosis, pool.sets[i]
    listed = tuple(
        {"row_id": rows.row_ids[k], "split": pool.splits[i][k], "data": pool.names[i], "reason": found.reasons[k],
         "text": shown(rows.texts[k])}
        for k in worst_first(found)[:LISTED]
    )  # fmt: skip
    n = 0 if found.flagged is None else int(found.flagged.sum())
    return Finding(f"oracle_{pool.names[i]}", found.summary, n, found.skipped, listed, found.remedy)


def write_oracle(pool: Pool, said: Sequence[Heard], path: Path) -> None:
    """One line a row on which the oracle says something else, data set by data set, the worst first."""

    def lines() -> Iterator[list[Any]]:
        for i, one in enumerate(said):
            given, answers = given_names(pool.sets[i], pool.labels), one.answers
            for k in worst_first(one.diagnosis):
                sure = "" if answers.confidence is None or np.isnan(answers.confidence[k]) else f"{answers.confidence[k]:.4g}"
                row = [pool.names[i], pool.sets[i].row_ids[k], pool.splits[i][k], given[k], answers.names[k], sure]
                yield [*row, shown(pool.sets[i].texts[k])]

    write_csv(path, [*ORACLE_COLUMNS, "text"], lines())


def write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)
