"""Loads the data of a classification or regression run: reads, maps columns, encodes labels, splits and checks."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.cells import listed, plural
from tunesmith.data.checks.labelled import check_rows, label_counts, with_files
from tunesmith.data.columns import detect_columns, find_column
from tunesmith.data.labelled.also import also_key, append_files, names_in_recipe, read_also
from tunesmith.data.labelled.class_numbers import align_class_numbers, class_order
from tunesmith.data.labelled.label_forms import plain_labels, vector_names
from tunesmith.data.labelled.label_map import LabelReading, map_tables
from tunesmith.data.labelled.label_notes import label_notes, totals_note, unknown_word
from tunesmith.data.labelled.labels import (
    MULTI,
    REGRESSION,
    SINGLE,
    UNKNOWN,
    encode,
    infer_labels,
    label_cells,
    marker,
    value_type,
)
from tunesmith.data.labelled.rows import make_examples, read_texts, written_label
from tunesmith.data.near_duplicates import SearchedTexts
from tunesmith.data.readers.annotation_files import reject_other_tasks, reject_unaccepted
from tunesmith.data.readers.splits import apply_split_column, collect, read_splits
from tunesmith.data.records import SplitData, split_record
from tunesmith.data.split import SPLITS, limit_rows, split_examples, take_shares
from tunesmith.data.table import BadRow, Columns, Examples, Labels, Table
from tunesmith.data.template import with_template
from tunesmith.errors import DataError, NoLabels, Problem
from tunesmith.recipe.sections import ColumnsSection, Recipe
from tunesmith.recipe.suggest import closest
from tunesmith.recipe.tasks import task_settings
from tunesmith.results import Finding


@dataclass(frozen=True)
class LabelledData(SplitData[Examples]):
    """The rows of a classification or regression run, with the label set and the columns of train."""

    labels: Labels
    columns: Columns
    findings: tuple[Finding, ...] = field(default=(), kw_only=True)


def load_labelled_data(
    recipe: Recipe,
    base: Path,
    frames: Mapping[str, Any] | None = None,
    others: Mapping[str, Sequence[str]] | None = None,
    *,
    keep_unlabelled: bool = False,
    row_ids: Container[int] | None = None,
) -> LabelledData:
    """Loads the rows, labels and findings of a run.

    Columns are detected in train; the other files use the same ones, or, where these are missing, are mapped on their own (and
    a note reports it). Class numbers are aligned with the names in train, or the reverse, with a note. A label that train does
    not have is an error in validation, since it would bias model selection; such rows of test are left out and reported.

    Args:
        base: the folder that the recipe's paths start from.
        frames: tables in memory (see ``table_from_frame``) that replace ``train``, ``validation`` or ``test``.
        others: further columns to keep with the rows -> the other meanings that such a name may have, for the error message.
        keep_unlabelled: keeps rows without a label, with None for it, instead of dropping and counting them.
        row_ids: the training rows that are used instead of a random sample where ``data.max_rows`` limits them.

    Raises:
        NoLabels: the recipe's task has no labels.
        DataError: with the problems of all files where they do not depend on each other.
    """
    settings = task_settings(recipe)
    if settings.family != "labelled":
        raise NoLabels(recipe.task, settings.commands)
    frames, others, notes, searched = frames or {}, others or {}, list[str](), SearchedTexts()
    tables = read_tables(recipe, base, frames, notes)
    recipe = with_text_of_template(recipe)
    columns = map_columns(tables, recipe, frames, notes)
    mapped = map_labels(tables, columns, recipe, notes)
    append_files(tables, columns, mapped, recipe, notes)
    labels = train_labels(tables["train"], columns["train"], recipe, notes)
    align_class_numbers(tables, columns, labels, notes)
    splits = build_examples(tables, columns, labels, recipe, others, keep_unlabelled)
    take_shares(splits, recipe, base, split_examples, notes, searched)
    limit_rows(splits, recipe, notes, row_ids)
    train, validation, test = splits["train"], splits.get("validation"), splits.get("test")
    return LabelledData(
        train,
        validation,
        test,
        labels,
        columns["train"],
        notes=tuple(notes),
        findings=tuple(with_files(check_rows(train, validation, test, labels, searched), (train, validation, test))),
    )


def read_tables(recipe: Recipe, base: Path, frames: Mapping[str, Any], notes: list[str]) -> dict[str, Table]:
    """Reads the tables of the splits, and of further training files by ``also_key``, with the column that the template joins."""
    data = recipe.data
    of_splits = {name: frame for name, frame in frames.items() if name not in map(also_key, range(len(data.also)))}
    problems: list[Problem] = []
    tables = collect(problems, partial(read_splits, data, base, of_splits, notes)) or {}
    tables |= collect(problems, partial(read_also, data, base, frames, notes)) or {}
    for key, table in tables.items():
        notes.extend(f"{table.source}: {note}" for note in table.notes)
        if data.template is not None:
            tables[key] = collect(problems, partial(with_template, table, data.template)) or table
    if problems:
        raise DataError(problems)
    return tables


def with_text_of_template(recipe: Recipe) -> Recipe:
    """Returns the recipe whose text column is the one that ``data.template`` makes, if it has a template."""
    if recipe.data.template is None:
        return recipe
    columns = recipe.data.columns.model_copy(update={"text": recipe.data.template})
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"columns": columns})})


def map_labels(tables: dict[str, Table], columns: Mapping[str, Columns], recipe: Recipe, notes: list[str]) -> frozenset[str]:
    """Maps the labels of all tables by ``data.labels``, in place; returns the tables that have a map."""
    data = recipe.data
    if not data.labels:
        return frozenset()
    reading = LabelReading(data.labels, data.label_separator, data.keep_null_labels)
    return map_tables(tables, columns, names_in_recipe(data, tables), reading, notes)


def map_columns(tables: dict[str, Table], recipe: Recipe, frames: Container[str], notes: list[str]) -> dict[str, Columns]:
    """Detects the columns of each table. Divides train by its split column and drops unlabelled splits, in place.

    Args:
        frames: the tables that are in memory; they and the files of the recipe stay even without labels.
    """
    requested = {key for key in tables if key in frames or key not in SPLITS or recipe.data.file(key) is not None}
    if recipe.data.columns.text is None and recipe.data.columns.label is None:
        reject_other_tasks(tables["train"])
    ours = detect_columns(tables["train"], recipe.task, recipe.data.columns)
    for table in tables.values():
        reject_unaccepted(table, ours.label)
    if ours.split is not None:
        apply_split_column(tables, ours.split, recipe.data, notes)
    drop_unlabelled_splits(tables, ours, requested, notes)
    problems: list[Problem] = []
    columns = {"train": ours}
    needed = [name for name in (ours.text, ours.pair, *ours.label) if name is not None]
    for split, table in tables.items():
        absent = [name for name in needed if name not in table.columns]
        if split == "train":
            continue
        if not absent:
            columns[split] = without_missing_columns(ours, table, notes)
            continue
        own = collect(problems, partial(detect_columns, table, recipe.task, given_columns(table, split, recipe)))
        if own is None:
            continue
        mapped = ", ".join(f"{part} {getattr(own, part)!r}" for part in ("text", "pair") if getattr(own, part))
        notes.append(f"{table.source} has no column {listed(absent)}; its own are used: {mapped}, label {listed(own.label)!r}.")
        if (own.pair is None) != (ours.pair is None) or len(own.label) != len(ours.label):
            message = "The file has another form than train (single texts against pairs, or other label columns)."
            problems.append(Problem("data", table.source, message, "Give its columns the names that train has."))
        columns[split] = own
    if problems:
        raise DataError(problems)
    notes.extend(note for split, table in tables.items() for note in totals_note(table, columns[split]))
    return columns


def given_columns(table: Table, key: str, recipe: Recipe) -> ColumnsSection:
    """Returns the recipe's columns, which a further file has only if it has all of them; that of the template is always there."""
    given = recipe.data.columns
    names = [
        name
        for value in given.model_dump(exclude_none=True).values()
        for name in (value if not isinstance(value, str) else [value])
    ]
    if key in SPLITS or all(find_column(table, name) is not None for name in names):
        return given
    return ColumnsSection(text=recipe.data.template)


def without_missing_columns(columns: Columns, table: Table, notes: list[str]) -> Columns:
    """Removes the optional columns (id, group, annotators) that the table does not have."""
    removed: dict[str, Any] = {part: None for part in ("id", "group") if getattr(columns, part) not in table.columns}
    if lacking := [name for name in columns.annotators if name not in table.columns]:
        removed |= {"annotators": (), "counted": ()}
        notes.append(f"{table.source} has no column {listed(lacking)}: nothing is known of its annotators.")
    return replace(columns, **removed)


def drop_unlabelled_splits(tables: dict[str, Table], columns: Columns, requested: set[str], notes: list[str]) -> None:
    """Drops splits that came with train and have no labels, as published test sets do; requested splits stay."""
    for split in [split for split in tables if split not in requested and split != "train"]:
        table = tables[split]
        cells = [cell for name in columns.label for cell in table.columns.get(name, [])]
        if all(marker(cell) is not None or str(cell) in ("-1", "-1.0") for cell in cells):
            del tables[split]
            notes.append(f"{table.source} is not used for {split}: none of its {plural(len(table), 'row')} has a label.")


def train_labels(table: Table, columns: Columns, recipe: Recipe, notes: list[str]) -> Labels:
    """Infers the labels from the training rows with a usable text."""
    separator = recipe.data.label_separator
    unusable = set(read_texts(table, columns.text, "text")[1])
    usable = [i for i in range(len(table)) if i not in unusable]
    cells = label_cells(table, columns)
    cells, row_ids = [cells[i] for i in usable], [table.row_ids[i] for i in usable]
    if not cells:
        message = f"None of the {plural(table.rows_read, 'row')} has a text in the column {columns.text!r}."
        raise DataError.one(table.source, message, "Name the column that holds the text: columns: {text: NAME}.")
    names = columns.label
    if len(columns.label) == 1:
        plain = plain_labels(table, columns.label[0])
        notes.extend(plain.notes)
        names = plain.names if any(plain.cells) else ()
    keep_null = recipe.data.keep_null_labels
    labels = infer_labels(cells, recipe.task, separator, names, table.source, keep_null=keep_null)
    if labels.problem_type != REGRESSION:
        labels = replace(labels, value_type=value_type(cells))
    if labels.problem_type == SINGLE:
        labels = replace(labels, order=class_order(table, columns.label[0], labels.n))
    notes.extend(label_notes(cells, labels, separator, row_ids))
    return labels


def build_examples(
    tables: dict[str, Table],
    columns: dict[str, Columns],
    labels: Labels,
    recipe: Recipe,
    others: Mapping[str, Sequence[str]],
    keep_unlabelled: bool,
) -> dict[str, Examples]:
    """Builds the examples of every split. Raises DataError with the problems of all tables."""
    separator = recipe.data.label_separator
    make = partial(make_examples, labels=labels, separator=separator, keep_unlabelled=keep_unlabelled)
    kept = {split: other_columns(table, others) for split, table in tables.items()}
    problems: list[Problem] = []
    splits: dict[str, Examples] = {}
    for split, table in tables.items():
        problems.extend(vector_problems(table, columns[split], labels))
        if split == "validation":
            problems.extend(unseen_label_problems(table, columns[split], labels, separator))
        examples = collect(problems, partial(make, table, columns[split], split=split, others=kept[split]))
        if examples is not None:
            splits[split] = examples
    if problems:
        raise DataError(problems)
    return {split: splits[split] for split in SPLITS if split in splits}


def vector_problems(table: Table, columns: Columns, labels: Labels) -> list[Problem]:
    """Reports vectors of 0 and 1 of another length than those of train: their positions mean other labels."""
    names = plain_labels(table, columns.label[0]).names if len(columns.label) == 1 else ()
    if names == labels.names or names != vector_names(len(names)) or labels.names != vector_names(labels.n):
        return []
    message = f"The labels are vectors of {plural(len(names), 'value')} 0 and 1; those of train have {labels.n}."
    return [Problem("labels", table.source, message, "Write one position for each label of train, in the same order.")]


def other_columns(table: Table, others: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Finds the column behind each further requested name. Raises DataError with every name that is not a column."""
    columns = {name: find_column(table, name) for name in others}
    problems = []
    for name in [name for name, column in columns.items() if column is None]:
        remedy = closest(name, [*table.columns, *others[name]]) or "Correct the name in the recipe."
        message = f"There is no column {name!r}, which the recipe names; the columns are {listed(table.columns)}."
        problems.append(Problem("data", table.source, message, remedy))
    if problems:
        raise DataError(problems)
    return {name: column for name, column in columns.items() if column is not None}


def unseen_label_problems(table: Table, columns: Columns, labels: Labels, separator: str | None) -> list[Problem]:
    """Reports labels of validation that train does not have, with their first rows."""
    cells = label_cells(table, columns)
    unknown = [i for i, reason in encode(cells, labels, separator)[1].items() if reason == UNKNOWN]
    if not unknown:
        return []
    first_rows: dict[str, int] = {}
    for i in unknown:
        first_rows.setdefault(written_label(cells[i]), i)
    shown = listed((f"{unknown_word(label, labels.names)} in {table.place(i)}" for label, i in first_rows.items()), 5)
    message = f"{plural(len(unknown), 'row')} of validation with a label that train does not have: {shown}."
    remedy = f"Correct them or add such rows to train, whose labels are {listed(labels.names)}."
    return [Problem("labels", table.source, message, remedy)]


def data_record(data: LabelledData) -> dict[str, Any]:
    """Records the data for ``result.json`` as plain JSON types."""
    columns = data.columns
    splits = {}
    for name, rows in data.named().items():
        dropped = [row for row in rows.bad_rows if row.dropped]
        special = {
            "dropped_rows": [dropped_record(rows, row) for row in dropped[:20]],
            "label_counts": label_counts(rows, data.labels),
            "labels_per_row": float(np.mean([sum(row) for row in rows.labels])) if data.labels.problem_type == MULTI else None,
        }
        splits[name] = split_record(rows, special | files_record(rows))
    parts = {"text": columns.text, "pair": columns.pair, "label": list(columns.label), "id": columns.id, "group": columns.group}
    return {
        "columns": {**parts, "split": columns.split, "annotators": list(columns.annotators)},
        "columns_reasons": dict(columns.reasons),
        "labels": list(data.labels.names),
        "label_type": data.labels.value_type,
        "problem_type": data.labels.problem_type,
        "notes": list(data.notes),
        "splits": splits,
    }


def dropped_record(rows: Examples, row: BadRow) -> dict[str, Any]:
    """Records a row that is not used: its id, its line and the reason; also its file where there are several."""
    place = rows.row_of_file(row.row_id)
    own = {} if place is None else {"source": place.file.source, "source_row_id": place.row_id}
    return {"row_id": row.row_id, **own, "line": row.line, "reason": row.reason}


def files_record(rows: Examples) -> dict[str, Any]:
    """Records the files whose rows are concatenated, each with the row id of its first row; empty for one file."""
    files = [
        {"source": file.source, "sha256": file.sha256, "first_row": file.first_row, "rows_read": file.rows_read}
        for file in rows.files
    ]
    return {"files": files} if files else {}
