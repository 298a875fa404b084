"""Aligns a file that writes class numbers with a training file that writes the names of the same classes, or the reverse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.cells import listed
from tunesmith.data.labelled.labels import SINGLE, class_name, marker
from tunesmith.data.table import Columns, Labels, Table


def align_class_numbers(tables: dict[str, Table], columns: Mapping[str, Columns], labels: Labels, notes: list[str]) -> None:
    """Rewrites the labels of the other splits, in place, in the notation that train has, and notes each file.

    The names come from the training file (see ``ordered_names``), else from the other file's own declaration. A split is
    rewritten only as a whole: each of its labels has to be a number from 0 to K-1 of K names, or each one of the names.
    """
    if labels.problem_type != SINGLE or len(columns["train"].label) != 1:
        return
    ours = columns["train"].label[0]
    for split in [split for split in tables if split != "train"]:
        table, own = tables[split], columns[split].label[0]
        names = ordered_names(tables["train"], ours, own) or table.classes.get(own, ())
        occurring = {class_name(cell) for cell in table.columns[own] if marker(cell, labels.names) is None} - {"-1"}
        renamed = translation(occurring, labels.names, names)
        if not renamed:
            continue
        cells = [renamed.get(class_name(cell), cell) for cell in table.columns[own]]
        tables[split] = replace(table, columns={**table.columns, own: cells})
        shown = listed((f"{old} is {new}" for old, new in renamed.items()), 5)
        notes.append(f"{table.source}: the column {own} writes the classes in another way than train, and is aligned: {shown}.")


def translation(occurring: set[str], ours: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Returns label -> label of train; empty if nothing has to be aligned, or the labels are not those of ``names``."""
    numbers = [str(number) for number in range(len(names))]
    if occurring <= set(ours):
        return {}
    for old, new in ((numbers, names), (names, numbers)):
        if set(ours) <= set(new) and occurring <= set(old):
            return dict(zip(old, new, strict=True))
    return {}


def ordered_names(train: Table, ours: str, own: str) -> Sequence[str]:
    """Returns the class names of train in the order of their numbers: as declared, else as two of its columns pair them.

    Args:
        ours, own: the label columns of train and of the other file. If train has both, one may hold the numbers of the other.
    """
    if ours in train.classes or own == ours or own not in train.columns:
        return train.classes.get(ours, ())
    rows = zip(train.columns[ours], train.columns[own], strict=True)
    pairs = {(class_name(a), class_name(b)) for a, b in rows if marker(a) is None and marker(b) is None}
    return names_by_number(pairs) or names_by_number({(b, a) for a, b in pairs})


def names_by_number(pairs: set[tuple[str, str]]) -> Sequence[str]:
    """Returns the names of (name, number) in the order of the numbers; empty unless these are exactly 0 to K-1, once each."""
    name_of: dict[Any, str] = {number: name for name, number in pairs}
    numbers = [str(number) for number in range(len(name_of))]
    is_one_to_one = len(pairs) == len(name_of) == len({name for name, _ in pairs})
    return [name_of[number] for number in numbers] if is_one_to_one and name_of.keys() == set(numbers) else ()
