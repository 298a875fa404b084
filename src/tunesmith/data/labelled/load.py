"""From the recipe's data section to the splits of a run: read, map, label, divide, look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np

from tunesmith.data.cells import listed
from tunesmith.data.checks.labelled import label_counts, survey
from tunesmith.data.columns import detect_columns, find_column
from tunesmith.data.labelled.examples import make_examples, read_texts
from tunesmith.data.labelled.labels import MULTI, UNKNOWN, encode, infer_labels, label_cells, label_notes, marker
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.read import read_sources, read_table
from tunesmith.data.split import split_by_column, split_examples
from tunesmith.data.table import Columns, Examples, Labels, Table
from tunesmith.errors import DataError, InputError, Problem, RecipeError
from tunesmith.recipe.sections import DataSection, Recipe
from tunesmith.recipe.suggest import closest
from tunesmith.recipe.tasks import task_settings
from tunesmith.results import Finding

T = TypeVar("T")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Splits:
    """The rows of a run.

    Attributes:
        labels: as train has them.
        columns: as found in train.
        notes: what was assumed or decided, as sentences for the user.
        not_sampled: training rows left out by ``data.max_rows``.
    """

    train: Examples
    validation: Examples | None
    test: Examples | None
    labels: Labels
    columns: Columns
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    not_sampled: int = 0

    def named(self) -> dict[str, Examples]:
        """Split name -> rows, for the splits there are."""
        return {x.split: x for x in (self.train, self.validation, self.test) if x is not None}


def load_splits(
    recipe: Recipe, base: Path, frames: Mapping[str, Any] | None = None, others: Mapping[str, Sequence[str]] | None = None,
    *, keep_unlabelled: bool = False,
) -> Splits:  # fmt: skip
    """Everything a run needs of its data.

    Columns are detected in train; the other files use the same ones, or, where detected columns are missing there, are
    looked at on their own (and a note says so). A label that train does not have is an error in validation, since it would
    bend every decision made on it; in test such rows are kept out, counted and reported.

    Args:
        base: the folder that the recipe's paths start from.
        frames: tables in memory (see ``table_from_frame``) that stand for ``train``, ``validation`` or ``test``.
        others: further columns to keep with the rows -> what else such a name may mean, for the message where it is no column.
        keep_unlabelled: rows without a label are among the rows, with None for it, instead of counted and dropped.

    Raises:
        DataError: with the problems of all files where they do not depend on each other.
    """
    task = task_settings(recipe)
    if task.family != "labelled":
        message = f"it has no labels to be looked at: the task is {recipe.task}."
        remedy = f"Use check and train for it, {' and '.join(task.commands)} for its model."
        raise RecipeError.one("the recipe", message, remedy)
    notes: list[str] = []
    tables = read_tables(recipe.data, base, frames or {}, notes)
    for table in tables.values():
        notes.extend(f"{table.source}: {note}" for note in table.notes)
    asked = {split for split in SPLITS if split in (frames or {}) or isinstance(getattr(recipe.data, split), str)}
    columns = map_columns(tables, recipe, asked, notes)
    labels = train_labels(tables["train"], columns["train"], recipe, notes)
    kept = {split: other_columns(table, others or {}) for split, table in tables.items()}
    splits = build_examples(tables, columns, labels, recipe, kept, keep_unlabelled)
    divide(splits, recipe)
    train = sampled(splits["train"], recipe, notes)
    findings = survey(train, splits.get("validation"), splits.get("test"), labels)
    return Splits(
        train, splits.get("validation"), splits.get("test"), labels, columns["train"], tuple(notes), tuple(findings),
        len(splits["train"]) - len(train),
    )  # fmt: skip


def collect(problems: list[Problem], work: Callable[[], T]) -> T | None:
    """The result; None where it failed, with its problems added to the list."""
    try:
        return work()
    except InputError as error:
        problems.extend(error.problems)
        return None


def read_tables(data: DataSection, base: Path, frames: Mapping[str, Any], notes: list[str]) -> dict[str, Table]:
    """The tables that exist for train, validation and test, whether given as files, in one folder or by a split column."""
    wrong = sorted(set(frames) - set(SPLITS))
    if wrong:
        raise DataError.one("", f"Tables were given for {listed(wrong)}; train, validation and test were expected.")
    problems: list[Problem] = []
    tables: dict[str, Table] = {}
    found = collect(problems, lambda: train_sources(data, base, frames))
    tables.update(found or {})
    for split in SPLITS[1:]:
        source = getattr(data, split)
        if split in frames:
            table = collect(problems, lambda split=split: table_from_frame(frames[split], split))  # type: ignore[misc]
        elif isinstance(source, str):
            read = lambda source=source, split=split: read_table(  # noqa: E731
                source, header=data.header, encoding=data.encoding, base=base, split=split
            )
            table = collect(problems, read)
        else:
            keep_or_leave(tables, data, split, notes)
            continue
        if table is not None:
            tables[split] = table
    if problems:
        raise DataError(problems)
    return tables


def train_sources(data: DataSection, base: Path, frames: Mapping[str, Any]) -> dict[str, Table]:
    """The splits that the training source holds: one for a file, several for a folder, a hub data set or a split column."""
    if "train" in frames:
        tables = {"train": table_from_frame(frames["train"], "train")}
    else:
        tables = read_sources(data.train, header=data.header, encoding=data.encoding, base=base)
    if "train" not in tables:
        raise DataError.one(data.train, f"The source has no train rows, only {listed(tables)}.", "Give a file for data.train.")
    return {split: table for split, table in tables.items() if split in SPLITS}


def keep_or_leave(tables: dict[str, Table], data: DataSection, split: str, notes: list[str]) -> None:
    """Decides on a split that came along with train: used unless the recipe itself asks for something else."""
    if split not in tables:
        return
    source = tables[split].source
    if split in data.model_fields_set:
        del tables[split]
        notes.append(f"{source} is not used: the recipe sets data.{split}.")
    else:
        notes.append(f"{source} is used for {split}.")


def map_columns(tables: dict[str, Table], recipe: Recipe, asked: set[str], notes: list[str]) -> dict[str, Columns]:
    """The columns of each table. A split column in train divides the table here, in place."""
    given = recipe.data.columns
    columns = {"train": detect_columns(tables["train"], recipe.task, given)}
    split_column = columns["train"].split
    if split_column is not None:
        divide_by_column(tables, split_column, recipe.data, notes)
    leave_unlabelled(tables, columns["train"], asked, notes)
    problems: list[Problem] = []
    for split, table in tables.items():
        found = columns["train"]
        needed = [name for name in (found.text, found.pair, *found.label) if name is not None]
        absent = [name for name in needed if name not in table.columns]
        if split == "train":
            continue
        if absent:
            own = collect(problems, lambda table=table: detect_columns(table, recipe.task, given))  # type: ignore[misc]
            if own is None:
                continue
            mapped = ", ".join(f"{part} {getattr(own, part)!r}" for part in ("text", "pair") if getattr(own, part))
            notes.append(
                f"{table.source} has no column {listed(absent)}; its own are used: {mapped}, label {listed(own.label)!r}."
            )
            check_same_shape(table, found, own, problems)
            columns[split] = own
        else:
            extra: dict[str, Any] = {part: None for part in ("id", "group") if getattr(found, part) not in table.columns}
            if lacking := [name for name in found.annotators if name not in table.columns]:
                extra |= {"annotators": (), "counted": ()}
                notes.append(f"{table.source} has no column {listed(lacking)}: nothing is known of its annotators.")
            columns[split] = replace(found, **extra)
    if problems:
        raise DataError(problems)
    return columns


def leave_unlabelled(tables: dict[str, Table], columns: Columns, asked: set[str], notes: list[str]) -> None:
    """Leaves out splits that came along with train and have no labels, as published test sets do; what was asked for stays."""
    for split in [split for split in tables if split not in asked and split != "train"]:
        table = tables[split]
        cells = [cell for name in columns.label for cell in table.columns.get(name, [])]
        if all(marker(cell) is not None or str(cell) in ("-1", "-1.0") for cell in cells):
            del tables[split]
            notes.append(f"{table.source} is not used for {split}: none of its {len(table)} rows has a label.")


def check_same_shape(table: Table, found: Columns, own: Columns, problems: list[Problem]) -> None:
    if (own.pair is None) != (found.pair is None) or len(own.label) != len(found.label):
        message = "The file was understood differently from train (single texts against pairs, or other label columns)."
        problems.append(Problem("data", table.source, message, "Give its columns the names that train has."))


def divide_by_column(tables: dict[str, Table], column: str, data: DataSection, notes: list[str]) -> None:
    parts = split_by_column(tables["train"], column)
    tables["train"] = parts.pop("train")
    for split, part in parts.items():
        is_given = isinstance(getattr(data, split), str) or split in tables or split in data.model_fields_set
        if is_given:
            notes.append(
                f"The {len(part)} rows that the column {column!r} marks as {split} are not used: {split} is given otherwise."
            )
        else:
            tables[split] = part
            notes.append(f"The column {column!r} divides the rows; {len(part)} are {split}.")


def train_labels(table: Table, columns: Columns, recipe: Recipe, notes: list[str]) -> Labels:
    """The labels of the training rows whose texts can be used."""
    separator = recipe.data.label_separator
    unusable = set(read_texts(table, columns.text, "text")[1])
    cells = [cell for i, cell in enumerate(label_cells(table, columns)) if i not in unusable]
    if not cells:
        message = f"None of the {table.rows_read} rows has a text in the column {columns.text!r}."
        raise DataError.one(table.source, message, "Name the column that holds the text: columns: {text: NAME}.")
    names = columns.label if len(columns.label) > 1 else ()
    labels = infer_labels(cells, recipe.task, separator, names, table.source)
    notes.extend(label_notes(cells, labels, separator))
    return labels


def build_examples(
    tables: dict[str, Table], columns: dict[str, Columns], labels: Labels, recipe: Recipe,
    others: Mapping[str, Mapping[str, str]], keep_unlabelled: bool,
) -> dict[str, Examples]:  # fmt: skip
    problems: list[Problem] = []
    splits: dict[str, Examples] = {}
    separator = recipe.data.label_separator
    for split, table in tables.items():
        if split == "validation":
            problems.extend(unseen_problems(table, columns[split], labels, separator))
        make = lambda table=table, split=split: make_examples(  # noqa: E731
            table, columns[split], labels, split, separator, others[split], keep_unlabelled=keep_unlabelled
        )
        made = collect(problems, make)
        if made is not None:
            splits[split] = made
    if problems:
        raise DataError(problems)
    return {split: splits[split] for split in SPLITS if split in splits}


def other_columns(table: Table, others: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The column behind each further name that was asked for. Raises DataError with every name that is none."""
    found = {name: find_column(table, name) for name in others}
    problems = []
    for name in [name for name, column in found.items() if column is None]:
        remedy = closest(name, [*table.columns, *others[name]]) or "Correct the name in the recipe."
        message = f"There is no column {name!r}, which the recipe asks for; the columns are {listed(table.columns)}."
        problems.append(Problem("data", table.source, message, remedy))
    if problems:
        raise DataError(problems)
    return {name: column for name, column in found.items() if column is not None}


def unseen_problems(table: Table, columns: Columns, labels: Labels, separator: str | None) -> list[Problem]:
    """The problem that validation has labels which train does not have, with the labels and the first rows."""
    cells = label_cells(table, columns)
    reasons = encode(cells, labels, separator)[1]
    unseen: dict[str, int] = {}
    for i, reason in reasons.items():
        if reason == UNKNOWN:
            unseen.setdefault(str(cells[i]), i)
    if not unseen:
        return []
    count = sum(reason == UNKNOWN for reason in reasons.values())
    shown = listed((f"{label!r} in {table.place(i)}" for label, i in unseen.items()), 5)
    message = f"{count} rows of validation have a label that train does not have: {shown}."
    return [
        Problem(
            "labels", table.source, message, f"Correct them or add such rows to train, whose labels are {listed(labels.names)}."
        )
    ]


def divide(splits: dict[str, Examples], recipe: Recipe) -> None:
    """Takes the shares that the recipe asks for out of train, in place: test first. Both are shares of all training rows."""
    rows = len(splits["train"])
    for split in ("test", "validation"):
        share = getattr(recipe.data, split)
        if isinstance(share, float) and split not in splits:
            left = len(splits["train"])
            if share * rows >= left:
                raise DataError.one(
                    recipe.data.train, "The shares for validation and test leave no training row.", "Make them smaller."
                )
            splits["train"], splits[split] = split_examples(splits["train"], share * rows / left, recipe.train.seed, split)


class TrainingRows(Protocol):
    """The rows of a split, whatever a row is."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def rows_read(self) -> int: ...

    def __len__(self) -> int: ...

    def take(self, positions: list[int], split: str, /) -> Self: ...


Rows = TypeVar("Rows", bound=TrainingRows)


def sampled(train: Rows, recipe: Recipe, notes: list[str]) -> Rows:
    """Train as it is, or cut down to ``data.max_rows`` random rows, in their order."""
    limit = recipe.data.max_rows
    if limit is None or len(train) <= limit:
        return train
    notes.append(f"{limit:,} of {len(train):,} training rows are used, a random sample (data.max_rows).")
    picked = np.sort(np.random.default_rng(recipe.train.seed).permutation(len(train))[:limit])
    return replace(train.take(picked.tolist(), "train"), rows_read=train.rows_read)


def data_record(splits: Splits) -> dict[str, Any]:
    """The data part of ``result.json``: plain JSON types. In each split rows + dropped + not_sampled = rows_read."""
    columns = splits.columns
    parts = {"text": columns.text, "pair": columns.pair, "label": list(columns.label), "id": columns.id, "group": columns.group}
    return {
        "columns": {**parts, "split": columns.split, "annotators": list(columns.annotators)},
        "columns_reasons": dict(columns.reasons),
        "labels": list(splits.labels.names),
        "problem_type": splits.labels.problem_type,
        "notes": list(splits.notes),
        "splits": {name: split_record(x, splits) for name, x in splits.named().items()},
    }


def split_record(examples: Examples, splits: Splits) -> dict[str, Any]:
    dropped = [row for row in examples.bad_rows if row.dropped]
    repaired = Counter(row.reason for row in examples.bad_rows if not row.dropped)
    return {
        "source": examples.source,
        "sha256": examples.sha256,
        "rows_read": examples.rows_read,
        "rows": len(examples),
        "dropped": dict(Counter(row.reason for row in dropped)),
        "repaired": dict(repaired),
        "not_sampled": splits.not_sampled if examples.split == "train" else 0,
        "dropped_rows": [{"row_id": row.row_id, "line": row.line, "reason": row.reason} for row in dropped[:20]],
        "label_counts": label_counts(examples, splits.labels),
        "labels_per_row": labels_per_row(examples) if splits.labels.problem_type == MULTI else None,
    }


def labels_per_row(examples: Examples) -> float:
    """The mean number of labels a row."""
    return float(np.mean([sum(label) for label in examples.labels]))
