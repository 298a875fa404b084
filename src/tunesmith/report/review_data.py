"""Holds the content of a review page, and packs as much of it as a page of bounded size holds."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from tunesmith.report.markup import Markup
from tunesmith.report.numbers import plural
from tunesmith.results import Finding, finite

MOST_BYTES = 1_350_000
"""Upper limit of the packed rows; with styles and scripts the page stays below 1.5 MB."""
SHORTER_TEXTS = (500, 200)
"""Characters to which the texts of rows that no diagnosis flags are cut, one after the other, until the page is small enough."""
DECIMALS = {"scores": 6, "confidence": 3, "variability": 3}


@dataclass(frozen=True)
class ReviewRows:
    """The rows to review as columns: plain lists, all of length N.

    Attributes:
        row_ids: positions in the source file; unique together with the split.
        pairs: second texts, or None if rows have one text.
        given: the label in the data as an index into the labels; -1 without a label.
        proposed: the proposed label as an index into the labels; -1 without a proposal.
        scores: label quality of the row in [0, 1], 0 is the worst; None if it was not scored.
        diagnoses: the diagnoses that flag each row, as indices into the diagnosis names.
        reasons: explanations for the reviewer; may be empty.
        confidence: mean probability of the given label over the epochs, in [0, 1]; NaN for rows without training dynamics.
        variability: standard deviation of that probability; NaN likewise.
        correctness: number of epochs in which the given label was predicted.
    """

    row_ids: list[int]
    splits: list[str]
    texts: list[str]
    pairs: list[str] | None
    given: list[int]
    proposed: list[int]
    scores: list[float | None]
    flagged: list[bool]
    diagnoses: list[list[int]]
    reasons: list[str]
    confidence: list[float] | None = None
    variability: list[float] | None = None
    correctness: list[int] | None = None

    def __post_init__(self) -> None:
        for name, column in self.columns().items():
            if column is not None and len(column) != len(self.row_ids):
                raise ValueError(f"rows.{name} has {len(column):,} values for {plural(len(self.row_ids), 'row')}")
        for i, score in enumerate(self.scores):
            if score is not None and not 0 <= score <= 1:
                raise ValueError(f"rows.scores[{i}] is {score}, not in [0, 1]")
        has_column = [column is not None for column in (self.confidence, self.variability, self.correctness)]
        if any(has_column) and not all(has_column):
            raise ValueError("rows.confidence, rows.variability and rows.correctness make the data map: give all three or none")

    def columns(self) -> dict[str, list[Any] | None]:
        """Returns column name -> values, in the order of the fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Review:
    """The content of the page.

    Attributes:
        source: name of the reviewed file.
        source_sha256: digest of that file; the key of stored decisions, so that they are restored only with the same data.
        labels: all labels.
        findings: the findings of the diagnoses, including skipped ones.
    """

    title: str
    source: str
    source_sha256: str
    labels: tuple[str, ...]
    diagnosis_names: tuple[str, ...]
    findings: tuple[Finding, ...]
    rows: ReviewRows

    def __post_init__(self) -> None:
        check_indices("rows.given", self.rows.given, -1, len(self.labels), "labels")
        check_indices("rows.proposed", self.rows.proposed, -1, len(self.labels), "labels")
        for i, flags in enumerate(self.rows.diagnoses):
            check_indices(f"rows.diagnoses[{i}]", flags, 0, len(self.diagnosis_names), "diagnosis_names")


def check_indices(name: str, indices: Sequence[int], least: int, end: int, into: str) -> None:
    """Raises ValueError if an index is not in [``least``, ``end``)."""
    for i, index in enumerate(indices):
        if not least <= index < end:
            raise ValueError(f"{name}[{i}] is {index}, but {into} has {end:,} entries")


@dataclass(frozen=True)
class PackedRows:
    """The data of the page as base64 of gzip of JSON, and a note on what was left out; empty if nothing was."""

    text: Markup
    note: str = ""


def packed_rows(review: Review, most_bytes: int = MOST_BYTES) -> PackedRows:
    """Packs all rows; if they are too large, cuts the texts that no diagnosis flags, then keeps the rows to review first."""
    text = packed(review, review.rows)
    if len(text) <= most_bytes:
        return PackedRows(text)
    for characters in SHORTER_TEXTS:
        rows = with_short_texts(review.rows, characters)
        text = packed(review, rows)
        if len(text) <= most_bytes:
            return PackedRows(text, f"The texts of rows that no diagnosis flags are cut to {plural(characters, 'character')}.")
    order, n = first_to_review(rows), len(rows.row_ids)
    while len(text) > most_bytes and n:
        n = min(n - 1, int(0.97 * n * most_bytes / len(text)))
        text = packed(review, selected(rows, sorted(order[:n])))
    note = f"The page holds {n:,} of {plural(len(order), 'row')}, the worst first; corrections.csv and rows.parquet hold all."
    return PackedRows(text, note)


def packed(review: Review, rows: ReviewRows) -> Markup:
    """Formats labels, diagnoses and rows as base64 of gzip of JSON: the same text for the same rows."""
    data: dict[str, Any] = {name: getattr(review, name) for name in ("source_sha256", "labels", "diagnosis_names")}
    data["rows"] = {name: rounded(name, column) for name, column in rows.columns().items()}
    plain = json.dumps(finite(data), ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
    return Markup(base64.b64encode(gzip.compress(plain, mtime=0)).decode("ascii"))


def rounded(name: str, column: list[Any] | None) -> list[Any] | None:
    """Rounds a column of numbers to the decimals that the page uses."""
    if column is None or name not in DECIMALS:
        return column
    return [None if value is None else round(value, DECIMALS[name]) for value in column]


def with_short_texts(rows: ReviewRows, characters: int) -> ReviewRows:
    """Cuts the texts of rows that no diagnosis flags."""

    def short(texts: list[str]) -> list[str]:
        return [text if flags else cut(text, characters) for text, flags in zip(texts, rows.diagnoses, strict=True)]

    return replace(rows, texts=short(rows.texts), pairs=None if rows.pairs is None else short(rows.pairs))


def cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]} …"


def first_to_review(rows: ReviewRows) -> list[int]:
    """Sorts the positions of the rows: flagged, then those another diagnosis names, then the rest, the worst first."""

    def rank(i: int) -> tuple[bool, bool, float]:
        score = rows.scores[i]
        return not rows.flagged[i], not rows.diagnoses[i], 2.0 if score is None else score

    return sorted(range(len(rows.row_ids)), key=rank)


def selected(rows: ReviewRows, positions: list[int]) -> ReviewRows:
    """Selects the rows at these positions."""
    return replace(rows, **{name: [c[i] for i in positions] for name, c in rows.columns().items() if c is not None})
