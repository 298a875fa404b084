"""Aligns a file that writes the classes in another way than the training file: as numbers or as the names of these numbers.

Truth values and 0 and 1 are aligned, too, and numbers with a decimal comma or a decimal point.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.cells import is_number, listed
from tunesmith.data.labelled.labels import SINGLE, class_name, marker
from tunesmith.data.table import Columns, Labels, Table

DECIMAL = re.compile(r"[+-]?\d+(?:[.,]\d+)?")


def align_class_numbers(tables: dict[str, Table], columns: Mapping[str, Columns], labels: Labels, notes: list[str]) -> None:
    """Rewrites the labels of the other splits, in place, in the notation that train has, and notes each file."""
    for split in [split for split in tables if split != "train"]:
        tables[split] = aligned(tables[split], columns[split], labels, notes)


def aligned(table: Table, columns: Columns, labels: Labels, notes: list[str]) -> Table:
    """Returns the table with the labels in the notation that train has, and notes the change; the same table if nothing changes.

    The names come from the training file (see ``class_order``), else from the table's own declaration. Its labels are rewritten
    only as a whole: each of them has to be a number from 0 to K-1 of K names, or each one of the names.
    """
    if labels.problem_type != SINGLE or len(columns.label) != 1:
        return table
    own = columns.label[0]
    names = labels.order or table.classes.get(own, ())
    occurring = {class_name(cell) for cell in table.columns[own] if marker(cell, labels.names) is None} - {"-1"}
    renamed = translation(occurring, labels.names, names) or other_notation(occurring, labels.names)
    if not renamed:
        return table
    cells = [renamed.get(class_name(cell), cell) for cell in table.columns[own]]
    shown = listed((f"{old} is {new}" for old, new in renamed.items()), 5)
    notes.append(f"{table.source}: the column {own} writes the classes in another way than train, and is aligned: {shown}.")
    return replace(table, columns={**table.columns, own: cells})


def translation(occurring: set[str], ours: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Returns label -> label of train; empty if nothing has to be aligned, or the labels are not those of ``names``."""
    numbers = [str(number) for number in range(len(names))]
    if occurring <= set(ours):
        return {}
    for old, new in ((numbers, names), (names, numbers)):
        if set(ours) <= set(new) and occurring <= set(old):
            return dict(zip(old, new, strict=True))
    return {}


def other_notation(occurring: set[str], ours: Sequence[str]) -> dict[str, str]:
    """Returns label -> label of train where one file has 0 and 1 and the other false and true, or a decimal comma and a point.

    Empty unless this explains every label of both files. A comma is a decimal comma only if the other file has a decimal point:
    ``1,0`` beside ``1`` may as well be two labels.
    """
    if occurring <= set(ours):
        return {}
    both = ((occurring, ours), (ours, occurring))
    keys = [truth_value] if any({"0", "1"}.issuperset(names) for names, _ in both) else []
    if any("," in "".join(some) and "." in "".join(others) for some, others in both):
        keys.append(decimal_value)
    for key in keys:
        names = {value: name for name in ours if (value := key(name)) is not None}
        values = {name: value for name in sorted(occurring) if (value := key(name)) in names}
        if len(names) == len(ours) and len(values) == len(occurring):
            return {name: names[value] for name, value in values.items() if value is not None}
    return {}


def truth_value(name: str) -> float | None:
    """Returns 0 or 1 for a truth value in any notation; None for every other name."""
    return {"0": 0.0, "false": 0.0, "1": 1.0, "true": 1.0}.get(name.lower())


def decimal_value(name: str) -> float | None:
    """Returns the number with a decimal comma or a decimal point; None for every other name."""
    return float(name.replace(",", ".")) if DECIMAL.fullmatch(name) else None


def class_order(train: Table, label: str, n_classes: int) -> tuple[str, ...]:
    """Returns the class names in the order of their numbers: as declared, else as the label and another column pair them.

    Either of the two columns may hold the names. Empty if no column pairs names with the numbers 0 to K-1.
    """
    if label in train.classes:
        return tuple(train.classes[label])
    for name in train.columns:
        pairs = set() if name == label else paired(train.columns[label], train.columns[name], n_classes)
        order = names_by_number(pairs) or names_by_number({(b, a) for a, b in pairs})
        if not all(map(is_number, order)):
            return tuple(order)
    return ()


def paired(first: Sequence[Any], second: Sequence[Any], n_classes: int) -> set[tuple[str, str]]:
    """Returns the pairs of classes in two columns; empty if there are more than ``n_classes``."""
    pairs = set()
    for a, b in zip(first, second, strict=True):
        if marker(a) is None and marker(b) is None:
            pairs.add((class_name(a), class_name(b)))
        if len(pairs) > n_classes:
            return set()
    return pairs


def names_by_number(pairs: set[tuple[str, str]]) -> Sequence[str]:
    """Returns the names of (name, number) in the order of the numbers; empty unless these are exactly 0 to K-1, once each."""
    name_of: dict[Any, str] = {number: name for name, number in pairs}
    numbers = [str(number) for number in range(len(name_of))]
    is_one_to_one = len(pairs) == len(name_of) == len({name for name, _ in pairs})
    return [name_of[number] for number in numbers] if is_one_to_one and name_of.keys() == set(numbers) else ()
