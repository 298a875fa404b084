"""Computes which label cells of a table its corrections change, in the notation of the table; refuses those that do not fit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunesmith.data.cells import clip, listed, plural
from tunesmith.data.corrections.corrections_csv import RELABEL, REMOVE, Correction
from tunesmith.data.labelled.label_forms import plain_labels
from tunesmith.data.labelled.label_map import KEY, LabelMap, map_cells
from tunesmith.data.labelled.labels import class_name, marker, notation_key
from tunesmith.data.table import Table
from tunesmith.errors import DataError, Problem

SHOWN_ROWS = 5
MANY = 0.1
"""Share of the labels that may be changed without being told to: so many wrong labels are rare, a wrong diagnosis is not."""


@dataclass(frozen=True)
class LabelChanges:
    """The new label cells and the removed rows, both by row id."""

    column: str
    labels: Mapping[int, Any]
    removed: frozenset[int]


@dataclass(frozen=True)
class MappedColumn:
    """The label cells of a column as classes, by the map of a recipe.

    Attributes:
        written: class -> the labels of the file that are mapped to it, those that occur first.
        labels: all labels of the file.
    """

    cells: Sequence[Any]
    written: Mapping[str, Sequence[str]]
    labels: frozenset[str]

    @classmethod
    def of(cls, table: Table, name: str, labels: Mapping[str, Any]) -> MappedColumn | None:
        """Maps a column; None if there is no map, or the column holds the classes themselves."""
        if not labels:
            return None
        label_map = LabelMap.of_column(labels, table.classes.get(name, ()))
        try:
            cells = plain_labels(table, name).cells
        except DataError:  # not a column of labels; the corrections do not fit it either
            cells = table.columns[name]
        mapped = map_cells(cells, label_map, None)
        if not mapped.used and set(mapped.unknown) <= set(label_map.targets):
            return None
        written = defaultdict[str, list[str]](list)
        for (key, label), _ in mapped.used.most_common():
            if (value := label_map.classes[key]) is not None:
                written[class_name(value)].append(label)
        for key, value in label_map.classes.items():  # classes that no row has
            if value is not None and not written[class_name(value)]:
                written[class_name(value)].append(class_name(key))
        return cls(mapped.cells, written, frozenset(label for _, label in mapped.used))


def find_changes(
    corrections: Sequence[Correction], table: Table, column: str | None, labels: Mapping[str, Any] | None = None
) -> LabelChanges:
    """Computes the changes of the table. Raises DataError with the first corrections that do not fit.

    Args:
        labels: label of the file -> class of the corrections (``data.labels``); empty if they are the same.
    """
    twice = [row_id for row_id, n in Counter(c.row_id for c in corrections).items() if n > 1]
    if twice:
        raise DataError.one(
            table.source, f"{plural(len(twice), 'row', 'is', 'are')} corrected twice: {listed(map(str, twice), SHOWN_ROWS)}."
        )
    position = {row_id: i for i, row_id in enumerate(table.row_ids)}
    absent = [c.row_id for c in corrections if c.row_id not in position]
    if absent:
        shown = listed(map(str, absent), SHOWN_ROWS)
        message = f"{plural(len(absent), 'correction', 'names', 'name')} rows that the file does not have: {shown}."
        raise DataError.one(table.source, message, "Apply them to the file that was diagnosed.")
    if column is not None and column not in table.columns:
        raise DataError.one(table.source, f"There is no column {column!r}, only {listed(table.columns)}.")
    names = [column] if column is not None else list(table.columns)
    as_classes = {name: MappedColumn.of(table, name, labels or {}) for name in names}
    given_in = {name: list(table.columns[name] if mapped is None else mapped.cells) for name, mapped in as_classes.items()}
    misfits = {name: [c for c in corrections if not fits(given_in[name][position[c.row_id]], c.given)] for name in names}
    fitting = [name for name in names if not misfits[name]]
    if len(fitting) > 1:
        message = f"The columns {listed(fitting)} both hold the given labels of the corrections."
        raise DataError.one(table.source, message, "Name the label column.")
    if not fitting:
        raise misfit_error(replace(table, columns=given_in), misfits, position, len(corrections))
    mapped = as_classes[fitting[0]]
    if mapped is not None:
        corrections = in_labels_of_file(corrections, mapped, table)
    cells = table.columns[fitting[0]]
    labelled = next((cell for cell in cells if marker(cell) is None), None)
    old = {c.row_id: cells[position[c.row_id]] for c in corrections}
    models = {row_id: cell if marker(cell) is None else labelled for row_id, cell in old.items()}
    relabelled = {c.row_id: like_cell(models[c.row_id], c.proposed) for c in corrections if c.action == RELABEL}
    return LabelChanges(fitting[0], relabelled, frozenset(c.row_id for c in corrections if c.action == REMOVE))


def require_few(changes: LabelChanges, table: Table) -> None:
    """Raises DataError if more than ``MANY`` of the labels, or all labels of a class, would be changed or removed.

    Rows that had no label are not counted: nothing of them is lost.
    """
    old = {i: cell_labels(cell) for i, cell in zip(table.row_ids, table.columns[changes.column], strict=True)}
    are_lists = any(isinstance(cell, list | tuple) for cell in table.columns[changes.column])
    new = {i: cell_labels(str(cell).split(", ") if are_lists else cell) for i, cell in changes.labels.items()}
    new |= dict.fromkeys(changes.removed, frozenset())
    classes = Counter(label for labels in old.values() for label in labels)
    lost = Counter(label for i, labels in new.items() for label in old[i] - labels)
    n_lost, n_labels = sum(bool(old[i]) and labels != old[i] for i, labels in new.items()), sum(map(bool, old.values()))
    whole = [label for label, n in lost.items() if n == classes[label]]
    if n_lost > MANY * n_labels:
        share = f"({n_lost / n_labels:.0%}; up to {MANY:.0%} is usual)"
        message = f"the corrections change {n_lost:,} of {plural(n_labels, 'label')} {share}."
    elif whole:
        message = f"the corrections change every label of the class {clip(whole[0])}."
    else:
        return
    raise DataError.one(table.source, message, "Look through them on the review page first; --allow-many applies them all.")


def cell_label(cell: object) -> str:
    """Writes a cell as in a corrections file: the class name; several joined by commas; empty if unlabelled."""
    if isinstance(cell, list | tuple):
        return ", ".join(map(class_name, cell))
    return "" if marker(cell) is not None else class_name(cell)


def cell_labels(cell: object) -> frozenset[str]:
    """Returns the class names of a cell, of which a list may have several; none if it is unlabelled."""
    return frozenset(filter(None, map(class_name, cell) if isinstance(cell, list | tuple) else [cell_label(cell)]))


def fits(cell: object, given: str) -> bool:
    """Returns whether a cell holds the given label; an empty label fits an empty cell and the -1 of unlabelled rows."""
    label = cell_label(cell)
    is_same = given in (label, class_name(cell)) or (label != "" and notation_key(label) == notation_key(given))
    return is_same or (not given and label == "-1")


def like_cell(cell: object, proposed: str) -> bool | float | str:
    """Converts the proposed label to the type of a cell."""
    for kind in (bool, int, float):
        if isinstance(cell, kind):
            return proposed.lower() in ("true", "1") if kind is bool else kind(float(proposed))
    return proposed


def misfit_error(table: Table, misfits: Mapping[str, list[Correction]], position: Mapping[int, int], n: int) -> DataError:
    """Makes the error about the column that the fewest of the ``n`` corrections do not fit, with the first of these.

    Of several such columns it is the one that most often holds a proposed label.
    """
    known = {c.proposed for corrections in misfits.values() for c in corrections}
    in_column = {name: sum(cell_label(cell) in known for cell in table.columns[name]) for name in misfits}
    nearest = min(misfits, key=lambda name: (len(misfits[name]), -in_column[name]))
    problems = []
    for c in misfits[nearest][:SHOWN_ROWS]:
        i = position[c.row_id]
        expected = f"{nearest} is {cell_label(table.columns[nearest][i])!r}, the correction expects {c.given!r}."
        problems.append(Problem("data", f"{table.source}, {table.place(i)}", expected))
    message = f"{len(misfits[nearest])} of {plural(n, 'correction', 'does', 'do')} not fit the labels in the file."
    remedy = f"Apply them to the file that was diagnosed; if that was done with {KEY}, give this map as well (--labels)."
    return DataError([Problem("data", table.source, message, remedy), *problems])


def in_labels_of_file(corrections: Sequence[Correction], mapped: MappedColumn, table: Table) -> list[Correction]:
    """Writes the proposed classes as the labels of the file; a label of the file stays as it is.

    Raises DataError with the classes that several labels of the file are mapped to, or none: only the user can tell which.
    """
    changed, unclear = [], dict[str, str]()
    for c in corrections:
        written = mapped.written.get(c.proposed, ())
        if c.action != RELABEL or (not written and c.proposed in mapped.labels):
            changed.append(c)
        elif len(written) == 1:
            changed.append(replace(c, proposed=written[0]))
        else:
            unclear[c.proposed] = listed(written, SHOWN_ROWS)
    if not unclear:
        return changed
    problems = []
    for proposed, written in unclear.items():
        n = plural(sum(c.proposed == proposed for c in corrections), "correction", "proposes", "propose")
        message = f"{n} {clip(proposed)}, which {KEY} makes of {f'several labels: {written}' if written else 'no label'}."
        remedy = "Write the label of the file into the column proposed of the corrections, or take them out."
        problems.append(Problem("data", table.source, message, remedy))
    raise DataError(problems)
