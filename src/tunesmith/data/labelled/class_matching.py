"""Matches the classes of a model that another program trained to those of data, by their names and never by their order.

Class number 0 of a file need not be output 0 of a model: MNLI is published with entailment as 0, and models with it as 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tunesmith.data.cells import is_whole, listed, plural
from tunesmith.data.labelled.class_numbers import other_notation
from tunesmith.data.labelled.labels import MULTI, class_name, class_names, kept_texts, label_cells
from tunesmith.data.table import Columns, Labels, Table
from tunesmith.errors import InputError
from tunesmith.recipe.suggest import closest

UNNAMED = "LABEL_"
"""The beginning of the names that transformers gives to classes without names: LABEL_0, LABEL_1, ..."""
UNLABELLED = "-1"
SHOWN_CLASSES = 20


@dataclass(frozen=True)
class ClassMatch:
    """How the classes of a model and of data get the same names.

    Attributes:
        names: the classes of the model by their final names, in the order of its outputs.
        of_data: label of the data -> its final name, where the two differ.
        notes: what was matched otherwise than by equal names, as sentences for the user.
    """

    names: tuple[str, ...]
    of_data: Mapping[str, str]
    notes: tuple[str, ...] = ()


def rename_classes(names: Sequence[str], given: Mapping[str, str], where: str, also: Collection[str] = ()) -> tuple[str, ...]:
    """Returns the classes of a model by the names that the user gave to them; classes that are not in the map keep theirs.

    A class that nobody named, ``LABEL_1``, is also found by its number, ``1``.

    Args:
        where: names the model in errors.
        also: labels of the data, which may stand in the map as well.

    Raises InputError for a class that does not exist, or one name for two classes.
    """
    keys = {name: name for name in names}
    if are_unnamed(names):
        keys |= {str(i): name for i, name in enumerate(names)}
    if unknown := [key for key in given if key not in keys and key not in also]:
        message = f"the map of labels names {listed(unknown)}, which {where} does not have"
        message += f": it has {listed(names, SHOWN_CLASSES)}"
        message += f", and the data {listed(also, SHOWN_CLASSES)}." if also else "."
        raise InputError.one("--labels", message, "Write the class of the model (or of the data) first, then its name.")
    renamed = {keys[key]: new for key, new in given.items() if key in keys}
    final = tuple(renamed.get(name, name) for name in names)
    if twice := [name for name, count in Counter(final).items() if count > 1]:
        message = f"the map of labels gives {listed(twice)} to two classes of {where}: {listed(names, SHOWN_CLASSES)}."
        raise InputError.one("--labels", message, "Give each class a name of its own.")
    return final


def are_unnamed(names: Iterable[str]) -> bool:
    """Tells whether these are the names that transformers gives to classes without names."""
    return all(name == f"{UNNAMED}{i}" for i, name in enumerate(names))


def match_classes(
    names: Sequence[str], occurring: Collection[str], given: Mapping[str, str], where: str, source: str
) -> ClassMatch:
    """Matches the classes of a model to the labels of data.

    Labels match that are equal, or equal but for their case, or numbers and truth values in another notation. Classes without
    names (``LABEL_1``) match class numbers, if there are as many.

    Args:
        names: the classes of the model, in the order of its outputs.
        occurring: the labels of the data.
        given: class of the model or label of the data -> its name, as the user wrote it.
        where, source: name the model and the data in messages.

    Raises InputError, with both lists, where that leaves a label of the data without a class of the model.
    """
    final = rename_classes(names, given, where, occurring)
    of_data = {label: given[label] for label in occurring if label in given}
    labels = {of_data.get(label, label) for label in occurring}
    notes: list[str] = []
    if not labels <= set(final):
        if again := without_case(final, labels):
            final = tuple(again.get(name, name) for name in final)
            shown = listed((f"{old} is {new}" for old, new in again.items() if old != new), 5)
            notes.append(f"The classes of {where} differ from those of {source} in case only, and are matched: {shown}.")
        elif are_unnamed(final) and labels == {str(i) for i in range(len(final))}:
            final = tuple(map(str, range(len(final))))
            notes.append(f"{where} has no names of its classes: {UNNAMED}0 is read as the class number 0, and so on.")
        elif notation := other_notation(labels, final):
            of_data = {label: notation.get(of_data.get(label, label), label) for label in occurring}
            shown = listed((f"{old} is {new}" for old, new in notation.items()), 5)
            notes.append(f"{source} writes the classes in another way than {where}, and is aligned: {shown}.")
        else:
            problem = incomplete_map(names, final, occurring, given, where, source) if labels & set(final) else None
            raise problem or no_match(final, labels, where, source)
        labels = {of_data.get(label, label) for label in occurring}
    if absent := [name for name in final if name not in labels]:
        notes.append(f"No row of {source} has the class {listed(absent, SHOWN_CLASSES)}, which {where} can predict.")
    return ClassMatch(final, {old: new for old, new in of_data.items() if old != new}, tuple(notes))


def without_case(names: Sequence[str], labels: Collection[str]) -> dict[str, str]:
    """Returns class of the model -> label of the data that is equal but for its case; empty unless all labels have one."""
    folded = {name.casefold(): name for name in names}
    own = {label.casefold(): label for label in sorted(labels)}
    if len(folded) < len(names) or len(own) < len(labels) or not set(own) <= set(folded):
        return {}
    return {folded[key]: label for key, label in own.items()}


def incomplete_map(
    names: Sequence[str], final: Sequence[str], occurring: Collection[str], given: Mapping[str, str], where: str, source: str
) -> InputError | None:
    """Returns the error about a map without one of its labels or classes, or with a name of no class; None for other reasons.

    Args:
        names, final: the classes of the model, before and after the map.
        occurring, given: see ``match_classes``.
    """
    of_labels = {label: given[label] for label in sorted(occurring) if label in given}
    if wrong := {label: name for label, name in of_labels.items() if name not in final}:
        return no_such_class(wrong, final, where)
    absent = [label for label in sorted(occurring) if label not in given and label not in final]
    shown = listed(map(repr, absent), SHOWN_CLASSES)
    if absent and of_labels:
        what = plural(len(absent), "label", "is no key", "are no keys")
        free = [name for name in final if name not in {*of_labels.values(), *occurring}] or final
        remedy = f"Add {absent[0]}: NAME with a class of {where}, such as {listed(free, SHOWN_CLASSES)}."
        return InputError.one("--labels", f"{what} of the map, in {source}: {shown}.", remedy)
    left = [name for name, new in zip(names, final, strict=True) if name == new and name not in occurring]
    if not (absent and given and left):
        return None
    what = plural(len(left), "class", "is no key", "are no keys")
    of_data = f"{plural(len(absent), 'label')} of {source} {'is' if len(absent) == 1 else 'are'} no class: {shown}"
    message = f"{what} of the map, in {where}: {listed(left, SHOWN_CLASSES)}; {of_data}."
    return InputError.one("--labels", message, f"Add {left[0]}: NAME to the map.")


def no_such_class(wrong: Mapping[str, str], final: Sequence[str], where: str) -> InputError:
    """Returns the error about a map that gives labels the names of classes that the model does not have."""
    given = listed((f"{label} the name {name}" for label, name in wrong.items()), 5)
    near = [suggestion for name in wrong.values() if (suggestion := closest(name, final))]
    remedy = near[0] if near else f"It has {listed(final, SHOWN_CLASSES)}."
    return InputError.one("--labels", f"the map of labels gives {given}, and {where} has no such class.", remedy)


def no_match(names: Sequence[str], labels: Collection[str], where: str, source: str) -> InputError:
    """Returns the error about classes that do not fit, with both lists and the form of the map that makes them fit."""
    ordered = sorted(labels)
    message = (
        f"it has {plural(len(names), 'class')}, {listed(names, SHOWN_CLASSES)}; {source} has {plural(len(labels), 'label')}, "
        f"{listed(ordered, SHOWN_CLASSES)}."
    )
    if len(labels) > len(names):
        return InputError.one(where, message, "The model cannot predict them all: give rows of its classes, or another model.")
    keys = ordered if all(map(is_whole, ordered)) and not are_unnamed(names) else list(names)
    form = ", ".join(f"{key}: NAME" for key in keys[:2]) + (", ..." if len(keys) > 2 else "")
    remedy = f"No file says which is which, and the order is not guessed: give it with --labels '{{{form}}}' (labels= in Python)."
    return InputError.one(where, message, remedy)


def labels_in(table: Table, columns: Columns, labels: Labels, separator: str | None = None) -> set[str]:
    """Returns the labels that occur in the label columns of a table; ``-1`` only if it is a class of the model."""
    kept = kept_texts(labels)
    cells = label_cells(table, columns)
    names = {name for cell in cells for name in class_names(cell, separator, kept) or ()}
    if labels.problem_type == MULTI and len(columns.label) > 1:
        names |= set(columns.label)
    return names - ({UNLABELLED} - set(labels.names))


def declared_names(table: Table, columns: Columns, occurring: Collection[str]) -> dict[str, str]:
    """Returns class number -> its name as the source declares it (``ClassLabel``); empty if the labels are not such numbers."""
    own = table.classes.get(columns.label[0], ()) if len(columns.label) == 1 else ()
    numbers = {str(i): str(name) for i, name in enumerate(own)}
    return numbers if set(occurring) <= set(numbers) and not set(occurring) <= set(own) else {}


def with_renamed_labels(table: Table, columns: Columns, of_data: Mapping[str, str]) -> Table:
    """Returns the table with other names in its label column; the same table if there is nothing to rename."""
    if not of_data or len(columns.label) != 1:
        return table

    def renamed(cell: object) -> object:
        if isinstance(cell, list | tuple):
            return [of_data.get(class_name(item), item) for item in cell]
        return of_data.get(class_name(cell), cell)

    own = columns.label[0]
    return replace(table, columns={**table.columns, own: [renamed(cell) for cell in label_cells(table, columns)]})
