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
    row_format = scorable_format(table, columns)
    names = score_names(row_format)
    sides = [[None if is_missing(cell) else str(cell).strip() for cell in table.columns[name]] for name in row_format.texts]
    model = load_teacher(str(teacher), row_format.kind, logits, max_length)
    source = table.sha256 or sha256_of_rows(sides)
    settings = ScoreSettings(str(teacher), hash_model(str(teacher), Path()), source, row_format.columns, logits, max_length)
    order = longest_first([-1 if None in texts else sum(len(text or "") for text in texts) for texts in zip(*sides, strict=True)])
    if not len(order):
        raise DataError.one(table.source, f"every row is {WITHOUT_TEXT}.", f"The columns are {listed(row_format.texts)}.")
    scores = np.full((len(table), len(sides) - 1), np.nan)
    with begin(work, settings, resume), disk_errors(work.path.parent):
        n_kept = write_parts(work, order, scorer(model, sides), listener)
        fill(scores, work, order)
        scored = with_scores(table, names, scores)
        write_rows(work.path, scored.columns)
        shutil.rmtree(work.parts)
    margins = scores[:, :1] - scores[:, 1:] if row_format.kind in RANKED else None
    return TeacherScores(
        path=work.path,
        format=row_format.kind,
        columns=row_format.texts,
        scores=names,
        teacher=model.kind,
        scale=model.scale,
        n_rows=len(table),
        n_missing=len(table) - len(order),
        n_kept=n_kept,
        n_positive_higher=None if margins is None else int((margins[order] > 0).all(axis=1).sum()),
        largest_margin=None if margins is None else float(np.nanmax(np.abs(margins))),
        recipe_columns=recipe_columns(scored, row_format, names),
        notes=(note,) if note else (),
        seconds=round(time.perf_counter() - started, 3),
    )


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


def score_names(row_format: PairFormat) -> tuple[str, ...]:
    """Names the columns of the scores: of each text but the first."""
    n = len(row_format.texts) - 1
    return (SCORE,) if n == 1 else tuple(f"{SCORE}_{i + 1}" for i in range(n))


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


def with_scores(table: Table, names: Sequence[str], scores: Array) -> Table:
    """Returns the table with the columns of the scores; None where a row has none."""
    new = {name: [None if np.isnan(x) else float(f"{x:.7g}") for x in scores[:, k].tolist()] for k, name in enumerate(names)}
    return replace(table, columns={**table.columns, **new})


def recipe_columns(table: Table, row_format: PairFormat, names: Sequence[str]) -> dict[str, Any]:
    """Returns the ``data.columns`` of a recipe that trains on the scored rows; empty if they are detected without."""
    is_ranked = row_format.kind in RANKED
    expected = (row_format.texts, tuple(names))
    try:
        found = detect_pair_format(table)
    except DataError:
        found = None
    if (
        found is not None
        and (found.texts, found.target) == expected
        and found.kind == ("teacher_scores" if is_ranked else "scored_pair")
    ):
        return {}
    if is_ranked:
        first, second, *negatives = row_format.texts
        return {"anchor": first, "positive": second, "negative": negatives, "score": list(names)}
    return {"text": row_format.texts[0], "pair": row_format.texts[1], "score": names[0]}
