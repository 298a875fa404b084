"""Compares how files of one task write their classes, so that differently coded ones do not become a union of classes."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tunesmith.data.cells import is_number, is_whole, listed, plural
from tunesmith.data.labelled.class_numbers import other_notation, translation
from tunesmith.data.labelled.label_notes import look
from tunesmith.errors import DataError, InputError

SHOWN = 8


@dataclass(frozen=True)
class FileClasses:
    """The classes of one file.

    Attributes:
        names: those that its rows have.
        order: the names in the order of their numbers, if the file gives it; else empty.
        mapped: whether a map in the recipe gave them, so that they are what the user means.
    """

    source: str
    names: frozenset[str]
    order: Sequence[str] = ()
    mapped: bool = False


@dataclass(frozen=True)
class SharedCoding:
    """How each of several files is read so that all have the classes of the first.

    Attributes:
        renamed: for each file label -> class; empty if nothing is renamed.
        notes: sentences for the user.
    """

    renamed: tuple[Mapping[str, str], ...]
    notes: tuple[str, ...]


def shared_coding(files: Sequence[FileClasses], *, other_topics: bool = False, remedy: str = "") -> SharedCoding:
    """Aligns the classes of further training files with those of the first.

    Numbers are read as the names that a file declares for them, 0 and 1 as truth values, decimal commas as points. A file that
    adds classes to others that it shares is noted. Files of pairs, texts and tables are compared in the same way.

    Args:
        other_topics: a file may name classes none of which the others have, as groups of texts about other topics are.
        remedy: what else the user may do about a file that is refused.

    Raises DataError for a file that shares no class with those before it, unless a map in the recipe gave its classes; and for
    numbers of one file that are classes beside names of another.
    """
    ours, order = files[0].names, tuple(files[0].order)
    renamed: list[Mapping[str, str]] = [{}]
    notes = []
    for file in files[1:]:
        own = {} if file.names <= ours else alignment(file, ours, order)
        names = frozenset(own.get(name, name) for name in file.names)
        is_apart = bool(names and ours) and not names & ours and not file.mapped
        if is_apart and not (other_topics and are_numbers(names) == are_numbers(ours)):
            raise other_coding(files[0].source, ours, file, remedy)
        if own:
            shown = listed((f"{old} is {new}" for old, new in own.items()), SHOWN)
            notes.append(
                f"{file.source}: its classes are written in another way than in {files[0].source}, and aligned: {shown}."
            )
        if names - ours:
            added = listed(sorted(names - ours), SHOWN)
            notes.append(
                f"{file.source} adds {plural(len(names - ours), 'class')} that {files[0].source} does not have: {added}."
            )
        renamed.append(own)
        ours |= names
    return SharedCoding(tuple(renamed), tuple(notes))


def alignment(file: FileClasses, ours: frozenset[str], order: Sequence[str]) -> dict[str, str]:
    """Returns label -> class of the files before, if numbers with known names or another notation explain every label."""
    occurring = set(file.names)
    own = translation(occurring, sorted(ours), tuple(order) or tuple(file.order)) or other_notation(occurring, sorted(ours))
    return {old: own[old] for old in sorted(occurring) if own.get(old, old) != old}


def are_numbers(names: Collection[str]) -> bool:
    """Returns whether some classes are numbers."""
    return any(map(is_number, names))


def in_order(name: str) -> tuple[float, str]:
    """Returns the sort key of a class: numbers by their value, before names."""
    return (float(name), name) if is_number(name) else (math.inf, name)


def other_coding(source: str, ours: Collection[str], file: FileClasses, further: str = "") -> InputError:
    """Returns the error about two files without a common class, with an example of ``data.labels``, and a further remedy."""
    theirs = sorted(file.names, key=in_order)
    message = f"None of its classes ({listed(theirs, SHOWN)}) is one of {source} ({listed(sorted(ours), SHOWN)})."
    if all(map(is_whole, file.names)) != all(map(is_whole, ours)):
        message += " One has numbers and the other names, and no file says which number is which name."
    alike = {look(name): name for name in sorted(ours)}
    example = ", ".join(f"{label}: {alike.get(look(label), 'NAME')}" for label in theirs[:3])
    dots = ", ..." if len(theirs) > 3 else ""
    remedy = (
        f"Say what they mean, for example data.labels: {{{file.source}: {{{example}{dots}}}}}, or write the classes "
        f"in the same way. To keep them as further classes, map each to itself.{f' {further}' if further else ''}"
    )
    return DataError.one(file.source, message, remedy)
