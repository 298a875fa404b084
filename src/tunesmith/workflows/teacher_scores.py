"""Implements ``embed --teacher``: writes the rows of a file with a teacher's scores of their texts, for MarginMSELoss."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import is_missing, listed
from tunesmith.data.column_names import plain_name
from tunesmith.data.pairs.formats import (
    ANCHOR,
    MEANING,
    NEGATIVE,
    POSITIVE,
    TEACHER_SCORE,
    PairFormat,
    PairKind,
    detect_pair_format,
)
from tunesmith.data.pairs.rows import WITHOUT_TEXT
from tunesmith.data.pairs.text_lists import divide_text_lists
from tunesmith.data.readers.given import read_given
from tunesmith.data.table import Table
from tunesmith.disk import disk_errors
from tunesmith.errors import DataError, InputError
from tunesmith.progress import Listener, silent
from tunesmith.tasks.embedding.teacher import Teacher, load_teacher
from tunesmith.workflows.inputs import hash_model
from tunesmith.workflows.parts import Work, begin, fill, longest_first, require_place, write_parts
from tunesmith.workflows.written_rows import ROW_SUFFIXES, write_rows

RANKED: tuple[PairKind, ...] = ("triplet", "tuple")
PAIRS: tuple[PairKind, ...] = ("positive_pair", "labelled_pair")
ROWS_PER_PART = 1_024
SCORE = "teacher_score"
NO_COLUMNS: Mapping[str, str | Sequence[str]] = MappingProxyType({})


@dataclass(frozen=True)
class ScoreSettings:
    """The settings that decide the scores. A resumed run must have the same."""

    model: str
    model_sha256: str
    source_sha256: str
    columns: tuple[str, ...]
    logits: bool
    max_length: int | None


@dataclass(frozen=True)
class TeacherScores:
    """The record of the written file.

    Attributes:
        format: of the rows as they were given; ``columns``: their texts, ``scores`` the new columns.
        teacher: cross-encoder, reranker or bi-encoder; ``scale``: what a score is.
        n_missing: rows without a text, which have no scores.
        n_kept: rows with scores from the interrupted run.
        n_positive_higher: scored rows whose positive has a higher score than every negative; None for pairs.
        largest_margin: the largest difference between the scores of positive and negative; None for pairs.
        recipe_columns: the ``data.columns`` that a recipe needs to train on the file; empty if they are detected.
    """

    path: Path
    format: str
    columns: tuple[str, ...]
    scores: tuple[str, ...]
    teacher: str
    scale: str
    n_rows: int
    n_missing: int
    n_kept: int
    n_positive_higher: int | None
    largest_margin: float | None
    recipe_columns: Mapping[str, Any]
    notes: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}


def teacher_scores(
    teacher: str | Path, data: object, output: str | Path, *, columns: Mapping[str, str | Sequence[str]] = NO_COLUMNS,
    logits: bool = False, max_length: int | None = None, resume: bool = False, overwrite: bool = False,
    listener: Listener = silent,
) -> TeacherScores:  # fmt: skip
    """Writes rows with a teacher's score of each of their texts, in the order of the rows and with all their columns.

    Rows of query, positive and negatives get a column for each text but the query, ``teacher_score_1`` for the positive; on them
    ``train`` uses MarginMSELoss, or DistillKLDivLoss if it is named. Pairs get one column, ``teacher_score``.

    Args:
        teacher: a cross-encoder, the run of a reranker, or an embedding model: a run, a folder, a hub id or ``builtin:NAME``.
        output: ``.jsonl``, ``.json``, ``.csv``, ``.tsv`` or ``.parquet``.
        columns: part -> column, if names and content do not decide: anchor, positive, negative; or text, pair.
        logits: of cross-encoders and rerankers, instead of probabilities.
        resume: continue an interrupted run, which must have the same settings.

    Raises:
        InputError: the rows, the teacher or the output cannot be used; nothing was written.
        Interrupted: Ctrl-C; the finished parts stay.

    Example::

        tunesmith.teacher_scores("runs/reranker", "triplets.csv", "scored.jsonl")
    """
    started, work = time.perf_counter(), Work("score", Path(output), ROW_SUFFIXES, ROWS_PER_PART)
    require_place(work, data, resume, overwrite)
    table, note = divide_text_lists(read_given(data, listener))
    rows = rows_to_score(table, columns)
    model = load_teacher(str(teacher), rows.format.kind, logits, max_length)
    source, own = table.sha256 or sha256_of_rows(rows.sides), hash_model(str(teacher), Path())
    settings = ScoreSettings(str(teacher), own, source, rows.format.columns, logits, max_length)
    scores, n_kept = write_scores(work, rows, model, settings, resume, listener)
    return TeacherScores(
        path=work.path,
        format=rows.format.kind,
        columns=rows.format.texts,
        scores=rows.names,
        teacher=model.kind,
        scale=model.scale,
        n_rows=len(table),
        n_missing=len(table) - len(rows.order),
        n_kept=n_kept,
        **margin_figures(scores[rows.order], rows.format),
        recipe_columns=recipe_columns(with_scores(rows, scores), rows),
        notes=(note,) if note else (),
        seconds=round(time.perf_counter() - started, 3),
    )


@dataclass(frozen=True)
class RowsToScore:
    """A table, and its texts that a teacher scores.

    Attributes:
        sides: texts by column, None where there is none.
        order: positions of the complete rows, the longest first.
        names: the new columns, of each text but the first.
    """

    table: Table
    format: PairFormat
    sides: list[list[str | None]]
    order: Array
    names: tuple[str, ...]


def rows_to_score(table: Table, columns: Mapping[str, str | Sequence[str]]) -> RowsToScore:
    """Reads the texts of a table. Raises DataError if its rows cannot be scored, or none is complete."""
    row_format = scorable_format(table, columns)
    sides = [[None if is_missing(cell) else str(cell).strip() for cell in table.columns[name]] for name in row_format.texts]
    order = longest_first([-1 if None in row else sum(len(text or "") for text in row) for row in zip(*sides, strict=True)])
    if not len(order):
        raise DataError.one(table.source, f"every row is {WITHOUT_TEXT}.", f"The columns are {listed(row_format.texts)}.")
    names = (SCORE,) if len(sides) == 2 else tuple(f"{SCORE}_{i}" for i in range(1, len(sides)))
    return RowsToScore(table, row_format, sides, order, names)


def write_scores(
    work: Work, rows: RowsToScore, model: Teacher, settings: ScoreSettings, resume: bool, listener: Listener
) -> tuple[Array, int]:
    """Scores the rows in parts and writes the file; returns the scores (N, K), and the number of rows that were kept."""
    scores = np.full((len(rows.table), len(rows.names)), np.nan)
    with begin(work, settings, resume), disk_errors(work.path.parent):
        n_kept = write_parts(work, rows.order, scorer(model, rows.sides), listener)
        fill(scores, work, rows.order)
        write_rows(work.path, with_scores(rows, scores).columns)
        shutil.rmtree(work.parts)
    return scores, n_kept


def margin_figures(scores: Array, row_format: PairFormat) -> dict[str, Any]:
    """Returns the two figures of ``TeacherScores`` about margins, of the scored rows (n, K)."""
    if row_format.kind not in RANKED:
        return {"n_positive_higher": None, "largest_margin": None}
    margins = scores[:, :1] - scores[:, 1:]
    return {"n_positive_higher": int((margins > 0).all(axis=1).sum()), "largest_margin": float(np.abs(margins).max())}


def scorable_format(table: Table, columns: Mapping[str, str | Sequence[str]]) -> PairFormat:
    """Returns the format of the rows. Raises DataError if they are no pairs and have no negatives, or are scored already."""
    scored = [name for name in table.columns if TEACHER_SCORE.fullmatch(plain_name(name))]
    if scored:
        message = f"the column {listed(scored)} has the name of a score, and would be read together with the teacher's."
        raise DataError.one(table.source, message, "Rename or remove it.")
    row_format = detect_pair_format(table if columns else without_labels(table), columns)
    if row_format.kind not in (*RANKED, *PAIRS):
        message = (
            f"the rows are {MEANING[row_format.kind]} ({listed(row_format.columns)}); a teacher scores documents of a query."
        )
        raise DataError.one(table.source, message, "Give rows of query, positive and negatives, or pairs of texts.")
    return row_format


def without_labels(table: Table) -> Table:
    """Returns the columns of queries, positives and negatives by their names, where there are negatives; else the table.

    A class beside them is no part of the format of the scored rows.
    """
    negatives = [name for name in table.columns if NEGATIVE.fullmatch(plain_name(name))]
    usual = {name for name in table.columns if plain_name(name) in {*ANCHOR, *POSITIVE}}
    kept = {name: cells for name, cells in table.columns.items() if name in {*usual, *negatives}}
    return replace(table, columns=kept) if negatives and len(usual) > 1 else table


def sha256_of_rows(sides: Sequence[Sequence[str | None]]) -> str:
    """Returns a hash of texts in memory, by which a resumed run recognises them."""
    from tunesmith.workflows.embed import sha256_of

    return sha256_of([text for side in sides for text in side])


def scorer(model: Teacher, sides: Sequence[Sequence[str | None]]) -> Callable[[list[int], Callable[[int], None]], Array]:
    """Returns a function that scores each text of rows but the first (n, K). Raises InputError for scores that are not finite."""

    def compute(rows: list[int], progress: Callable[[int], None]) -> Array:
        queries, scores = [sides[0][i] or "" for i in rows], []
        for k, side in enumerate(sides[1:], 1):
            scores.append(model.score(queries, [side[i] or "" for i in rows]))
            progress(len(rows) * k // (len(sides) - 1))
        matrix = np.stack(scores, axis=1).astype(np.float64)
        if not np.isfinite(matrix).all():
            raise InputError.one("teacher", "its scores of some texts are not finite numbers.", "Use another teacher.")
        return matrix

    return compute


def with_scores(rows: RowsToScore, scores: Array) -> Table:
    """Returns the table with the columns of the scores (N, K); None where a row has none."""
    new = {name: [None if np.isnan(x) else float(f"{x:.7g}") for x in scores[:, k].tolist()] for k, name in enumerate(rows.names)}
    return replace(rows.table, columns={**rows.table.columns, **new})


def recipe_columns(scored: Table, rows: RowsToScore) -> dict[str, Any]:
    """Returns the ``data.columns`` of a recipe that trains on the scored rows; empty if they are detected without."""
    is_ranked, texts = rows.format.kind in RANKED, rows.format.texts
    try:
        found = detect_pair_format(scored)
    except DataError:
        found = None
    kind = "teacher_scores" if is_ranked else "scored_pair"
    if found is not None and (found.kind, found.texts, found.target) == (kind, texts, rows.names):
        return {}
    if is_ranked:
        return {"anchor": texts[0], "positive": texts[1], "negative": list(texts[2:]), "score": list(rows.names)}
    return {"text": texts[0], "pair": texts[1], "score": rows.names[0]}
