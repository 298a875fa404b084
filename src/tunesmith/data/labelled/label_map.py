"""Maps the labels of a file to names of classes (``data.labels``), and leaves out the rows of labels that are mapped to null."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tunesmith.data.cells import clip, is_number, listed, plural
from tunesmith.data.labelled.class_numbers import truth_value
from tunesmith.data.labelled.label_forms import plain_labels
from tunesmith.data.labelled.labels import class_name, class_names, notation_key, words_in
from tunesmith.data.table import BadRow, Columns, Table
from tunesmith.errors import DataError, InputError, Problem
from tunesmith.recipe.suggest import closest

KEY = "data.labels"
MAPPED_TO_NULL = f"which {KEY} maps to null"
"""The end of the reason of rows that are left out by a map."""
SHOWN = 8
ONE_COLUMN = f"{KEY} maps the labels in the cells of one column; here each of the columns {{}} is a class of its own, of 0 and 1."


def is_by_file(labels: Mapping[str, Any]) -> bool:
    """Returns whether ``data.labels`` holds a map for each file, and not one map for all."""
    return bool(labels) and all(isinstance(value, Mapping) for value in labels.values())


def map_of(labels: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    """Returns the map of one file; empty if it has none.

    Args:
        labels: as in the recipe: one map for all files, or a map for each.
        names: what the file may be called there.
    """
    if not is_by_file(labels):
        return labels
    return next((labels[name] for name in names if name in labels), {})


@dataclass(frozen=True)
class LabelMap:
    """A map from the labels of a file to classes.

    A label is found in any notation: ``0`` as ``0.0``, ``true`` as ``True`` or, where the keys are 0 and 1, as ``1``.

    Attributes:
        classes: label -> class, or None for rows that are left out.
        declared: the names that the file declares for its class numbers, if the keys are these numbers.
    """

    classes: Mapping[str, Any]
    declared: tuple[str, ...] = ()

    @cached_property
    def exact(self) -> dict[str, str]:
        """Label as a class name -> key."""
        return {class_name(key): key for key in self.classes}

    @cached_property
    def notations(self) -> dict[str, str]:
        """Label in any notation, see ``notation_key`` -> key."""
        return {notation_key(name): key for name, key in self.exact.items()}

    @cached_property
    def truths(self) -> dict[float, str]:
        """0 or 1 -> key, of keys that are truth values or these numbers."""
        return {value: key for name, key in self.exact.items() if (value := truth_value(name)) is not None}

    @classmethod
    def of_column(cls, classes: Mapping[str, Any], declared: Sequence[str]) -> LabelMap:
        """Makes the map of a column; its keys are numbers of the declared names unless one of them is such a name."""
        plain = cls(classes)
        has_names = any(name in plain.exact or notation_key(name) in plain.notations for name in declared)
        return plain if has_names else cls(classes, tuple(declared))

    @property
    def targets(self) -> tuple[str, ...]:
        """Returns the names of the classes, each once."""
        return tuple(dict.fromkeys(class_name(value) for value in self.classes.values() if value is not None))

    @property
    def has_numbers(self) -> bool:
        """Whether all classes are numbers, among which a -1 that is no label would be one more class."""
        return all(map(is_number, self.targets))

    def key(self, name: str) -> str | None:
        """Returns the key of a label; None if the map does not have it."""
        if name in self.exact:
            return self.exact[name]
        if (notation := notation_key(name)) in self.notations:
            return self.notations[notation]
        if name in self.declared:
            return self.exact.get(str(self.declared.index(name)))
        value = truth_value(name)
        return None if value is None else self.truths.get(value)

    def order(self, declared: Sequence[str] = ()) -> tuple[str, ...]:
        """Returns the classes in the order of their numbers, if each is that of one number; else empty.

        Args:
            declared: the names that the file declares for the numbers; empty: the keys are the numbers.
        """
        labels = tuple(declared) or tuple(map(str, range(len(self.classes))))
        keys = [self.key(label) for label in labels]
        classes = [None if key is None else self.classes[key] for key in keys]
        names = tuple(class_name(value) for value in classes if value is not None)
        return names if len(set(names)) == len(labels) else ()


@dataclass(frozen=True)
class MappedLabels:
    """The label cells of a table by a map.

    Attributes:
        used: (key, label as the file writes it) -> number of rows.
        unknown: label that the map does not have -> number of rows.
        left_out: label in lists of several that is mapped to null -> number of such lists that keep another label.
        reasons: position -> reason of a row that is left out.
    """

    cells: list[Any]
    used: Counter[tuple[str, str]]
    unknown: Counter[str]
    left_out: Counter[str]
    reasons: dict[int, str]

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(key for key, _ in self.used)


def map_cells(cells: Sequence[Any], label_map: LabelMap, separator: str | None, *, keep_null: bool = False) -> MappedLabels:
    """Maps label cells; missing ones stay as they are, and so do labels that the map does not have.

    Args:
        cells: as ``label_forms.plain_labels`` gives them.
        separator: splits a text into several labels.
        keep_null: words such as ``null`` are labels; those among the keys always are.
    """
    kept = words_in(cells) if keep_null else frozenset(label_map.exact)
    mapped = MappedLabels([], Counter(), Counter(), Counter(), {})
    for i, cell in enumerate(cells):
        names = class_names(cell, separator, kept)
        keys = [label_map.key(name) for name in names or ()]
        is_list = isinstance(cell, list | tuple) or (bool(separator) and isinstance(cell, str))
        for name, key in zip(names or (), keys, strict=True):
            if key is not None:
                mapped.used[key, name] += 1
            elif name != "-1":
                mapped.unknown[name] += 1
        mapped.cells.append(mapped_cell(cell, names, keys, label_map, is_list=is_list))
        if not keys or None in keys:
            continue
        nulls = [name for name, key in zip(names or (), keys, strict=True) if key is not None and label_map.classes[key] is None]
        if len(nulls) == len(keys):
            mapped.reasons[i] = f"labelled {', '.join(nulls)}, {MAPPED_TO_NULL}"
        else:
            mapped.left_out.update(nulls)
    return mapped


def mapped_cell(cell: Any, names: Sequence[str] | None, keys: Sequence[str | None], label_map: LabelMap, *, is_list: bool) -> Any:
    """Returns the class of a cell, or the list of its classes."""
    if names is None:
        return cell
    classes = [
        name if key is None else label_map.classes[key]
        for name, key in zip(names, keys, strict=True)
        if key is None or label_map.classes[key] is not None
    ]
    if is_list:
        return classes
    is_unlabelled = names[0] == "-1" and keys[0] is None and label_map.has_numbers
    return None if is_unlabelled or not classes else cell if keys[0] is None else classes[0]


@dataclass(frozen=True)
class MappedTable:
    """A table with its labels mapped, the keys that it used, and its labels before."""

    table: Table
    keys: frozenset[str]
    labels: tuple[str, ...]
    problems: tuple[Problem, ...] = ()


def mapped_table(
    table: Table,
    columns: Columns,
    classes: Mapping[str, Any],
    notes: list[str],
    *,
    separator: str | None = None,
    keep_null: bool = False,
    partly: bool = False,
) -> MappedTable:
    """Maps the labels of a table, also those of its annotators, and notes how; rows mapped to null become bad rows.

    A table whose labels are the names of the classes already is returned as it is.

    Args:
        partly: labels that the map does not have stay as they are; else they are a problem.
    """
    if len(columns.label) != 1:
        message = ONE_COLUMN.format(listed(columns.label))
        problem = Problem("labels", table.source, message, f"Rename these columns, or give them up for one; remove {KEY}.")
        return MappedTable(table, frozenset(), columns.label, (problem,))
    name = columns.label[0]
    label_map = LabelMap.of_column(classes, table.classes.get(name, ()))
    plain = plain_labels(table, name)
    mapped = map_cells(plain.cells, label_map, separator, keep_null=keep_null)
    labels = tuple(dict.fromkeys([*(label for _, label in mapped.used), *mapped.unknown]))
    if not mapped.used and set(labels) <= set(label_map.targets):
        if labels:
            notes.append(f"{table.source}: the column {name} holds names of classes already; {KEY} is not needed for it.")
        return MappedTable(table, frozenset(), labels)
    if mapped.unknown and not partly:
        return MappedTable(table, mapped.keys, labels, (unknown_problem(table, name, mapped, label_map),))
    notes.extend(f"{table.source}: {note}" for note in (*plain.notes, *map_notes(name, mapped, label_map)))
    cells = {name: mapped.cells}
    if not columns.counted:
        votes = {column: map_cells(table.columns[column], label_map, None).cells for column in columns.annotators}
        cells |= votes
    order = label_map.order(table.classes.get(name, ()))
    declared = {column: names for column, names in table.classes.items() if column != name} | ({name: order} if order else {})
    whole = replace(table, columns={**table.columns, **cells}, classes=declared)
    return MappedTable(without_rows(whole, mapped.reasons), mapped.keys, labels)


def without_rows(table: Table, reasons: Mapping[int, str]) -> Table:
    """Removes the rows at these positions and keeps them as bad rows with their reason."""
    lines = table.lines
    bad = [BadRow(table.row_ids[i], None if lines is None else lines[i], reason, is_read=True) for i, reason in reasons.items()]
    kept = table.take([i for i in range(len(table)) if i not in reasons])
    return replace(kept, bad_rows=(*table.bad_rows, *bad))


def map_notes(column: str, mapped: MappedLabels, label_map: LabelMap) -> Iterator[str]:
    """Says as what each label is read, with the number of rows."""
    words = []
    for (key, label), n in sorted(mapped.used.items(), key=lambda item: list(label_map.classes).index(item[0][0])):
        target = label_map.classes[key]
        words.append(f"{label} {'is left out' if target is None else f'is {target}'} ({plural(n, 'row')})")
    yield f"the column {column} is read by {KEY}: {listed(words, SHOWN)}."
    if mapped.left_out:
        shown = listed(f"{label} ({n:,})" for label, n in mapped.left_out.most_common())
        yield f"{KEY} leaves out labels of rows that have others: {shown}."


def unknown_problem(table: Table, column: str, mapped: MappedLabels, label_map: LabelMap) -> Problem:
    """Lists the labels of a file that its map does not have, with their rows and the closest keys."""
    words = []
    for label, n in mapped.unknown.most_common():
        near = closest(label, list(label_map.exact))
        words.append(f"{clip(label)} ({plural(n, 'row')}{f'; {near[0].lower()}{near[1:]}' if near else ''})")
    what = plural(len(words), "label", "is no key", "are no keys")
    if not mapped.used:
        keys = listed(map(clip, label_map.classes), SHOWN)
        message = f"None of the labels of the column {column} is a key of {KEY} ({keys}): it holds {listed(words, SHOWN)}."
    else:
        message = f"{what} of {KEY}, in the column {column}: {listed(words, SHOWN)}."
    example = ", ".join(
        f"{label}: {label if label in label_map.targets else 'NAME'}" for label, _ in mapped.unknown.most_common(2)
    )
    remedy = (
        f"Give each a class, such as {{{example}}}, or null to leave its rows out. A map for each file: {KEY}: {{FILE: MAP}}."
    )
    return Problem("labels", table.source, message, remedy)


def unused_keys(maps: Sequence[tuple[Mapping[str, Any], Sequence[MappedTable]]], notes: list[str]) -> list[Problem]:
    """Notes the keys that no file has, and returns a problem for each map of which no key is a label.

    Args:
        maps: each map with the tables it was applied to.
    """
    problems = []
    for classes, tables in maps:
        used = frozenset[str]().union(*(table.keys for table in tables))
        unused = [key for key in classes if key not in used]
        if not unused or any(table.problems for table in tables) or not any(table.labels for table in tables):
            continue
        sources = listed(table.table.source for table in tables)
        if used:
            notes.append(f"{sources}: no row has the label {listed(map(clip, unused))}, a key of {KEY}.")
        else:
            labels = listed(dict.fromkeys(label for table in tables for label in table.labels), SHOWN)
            message = f"No key of {KEY} is a label there: the keys are {listed(unused, SHOWN)}, the labels {labels}."
            problems.append(Problem("labels", sources, message, f"Correct the keys, or remove {KEY}."))
    return problems


@dataclass(frozen=True)
class LabelReading:
    """The settings by which the labels of a recipe's files are mapped: ``data.labels`` and how cells are read."""

    labels: Mapping[str, Any]
    separator: str | None = None
    keep_null: bool = False


def map_tables(
    tables: dict[str, Table],
    columns: Mapping[str, Columns],
    names: Mapping[str, Sequence[str]],
    reading: LabelReading,
    notes: list[str],
) -> frozenset[str]:
    """Maps the labels of all tables, in place, and returns the tables that have a map.

    Args:
        names: table -> what its file may be called in ``data.labels``.

    Raises DataError with the labels that a map does not have, for all files, and if no key of a map is a label.
    """
    applied: dict[int, tuple[Mapping[str, Any], list[MappedTable]]] = {}
    for key in tables:
        classes = map_of(reading.labels, names[key])
        if not classes:
            continue
        mapped = mapped_table(tables[key], columns[key], classes, notes, separator=reading.separator, keep_null=reading.keep_null)
        applied.setdefault(id(classes), (classes, []))[1].append(mapped)
        tables[key] = mapped.table
    problems = [problem for _, own in applied.values() for mapped in own for problem in mapped.problems]
    problems += unused_keys(list(applied.values()), notes)
    if problems:
        raise DataError(problems)
    empty = [table for table in tables.values() if not len(table)]
    if empty:
        raise nothing_left(empty[0])
    return frozenset(key for key in tables if map_of(reading.labels, names[key]))


def nothing_left(table: Table) -> InputError:
    """Returns the error about a file of which every row is left out."""
    counts = Counter(row.reason for row in table.bad_rows if row.dropped)
    shown = "; ".join(f"{reason}: {plural(n, 'row')}" for reason, n in counts.most_common(3))
    return DataError.one(table.source, f"No row is left ({shown}).", f"Give one of its labels a class in {KEY}.")
