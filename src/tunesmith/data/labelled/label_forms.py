"""Converts labels in other forms to class names or lists of them: lists written as text, 0/1 vectors, objects of 0 and 1."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.data.cells import UNLABELLED, clip, is_missing, is_number, is_whole, plural, row_numbers
from tunesmith.data.column_names import plain_name
from tunesmith.data.table import Table
from tunesmith.errors import DataError

FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
BRACKETS = {"[": "]", "(": ")", "{": "}"}
ADJACENT = re.compile(r"(?<=['\"])\s+(?=['\"])")
"""White space between two quoted words, as NumPy prints an array of words."""
ARRAY = re.compile(r"(?:array|tensor)\((\[.*\])(?:,\s*\w+=[^(),]+)*\)", re.DOTALL)
"""An array as NumPy and PyTorch write it among other objects: ``array(['a', 'b'], dtype=object)``."""
QUOTED = r"""(?P<quoted>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
SCALAR = re.compile(QUOTED + r"|\b(?:np|numpy)\.(?:(?P<constant>True|False)_|\w+\((?P<value>[^()]*)\))")
"""A scalar as NumPy 2 writes it: ``np.str_('a')``, ``np.int64(1)``, ``np.True_``."""
QUOTED_OR_WORD = re.compile(QUOTED + r"|\b(?P<word>null|nan|NaN|true|false)\b")
PYTHON_WORDS = {"true": "True", "false": "False"}
"""Python's words for those of JSON; the others mean None."""
BYTES = re.compile(r"b'[^']*'|b\"[^\"]*\"")
ARRAYS = ("array(", "tensor(")
NUMBERS = re.compile(r"\[[\s\d.+-]*\]")
BARE_VECTOR = re.compile(r"[01](?:\s*[,;|\s]\s*[01]){2,}")
"""Three or more values of 0 and 1 without brackets."""
CHOICES = '"choices"'
MAX_CHARACTERS = 10_000
"""Longer cells are no lists of labels."""
ROW_NUMBER = re.compile(r"unnamed:_\d+|#|row|line|n|nr\.?|no\.?|num|number|.*(id|idx|index)")
"""Names of columns of numbers that are different in every row, such as the index that pandas writes."""
MIN_ROW_NUMBERS = 10
AS_BYTES = "The labels are bytes as Python prints them, such as {}; they are read as {}."
AS_TEXT = "The labels are lists written as text, such as {}; they are read as lists."
SOME_AS_TEXT = (
    "{} as text, such as {} ({}), beside labels that are no lists; each is read as the name of one class. "
    "To learn several labels a row, write every label of the column as a list, a single one as ['a']."
)
VECTORS = (
    "The labels are vectors of {n} values 0 and 1. Each position is read as one label, called label_0 to {last}; "
    "to give them names, write one column for each."
)
OBJECTS = "The labels are objects of 0 and 1; each key with 1 is read as a label."
MINUS_ONES = "The label is the vector {}; -1 is neither 0 nor 1."
MINUS_ONES_REMEDY = "Write 0 for a label that the row does not have, and leave the label empty in rows where one is not known."
SOFT = "The label is a list of numbers with decimals, {}; classes were expected."
SOFT_REMEDY = "Write the class with the largest probability, or one column of 0 and 1 for each class."
NESTED = "The label is {}, {}; a class or a list of classes was expected."
SPANS = "The label holds parts of the text with a name each, {}, as doccano, Prodigy and spaCy export them."
SPANS_REMEDY = "Parts of a text are no task here. Give each row one label, or a list of labels, for the whole text."
SPAN_ENDS = ("end", "end_offset", "end_char")
NESTED_REMEDY = "Write one class a cell, or a list of names."


@dataclass(frozen=True)
class PlainLabels:
    """The label cells of a column as class names, numbers, or lists of these.

    Attributes:
        notes: other forms that were read, as sentences.
        names: all labels of vectors (by position) or of objects (sorted keys), also those that no row has; empty for other forms.
    """

    cells: list[Any]
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def plain_labels(table: Table, name: str) -> PlainLabels:
    """Converts the label cells of a column from other forms, each of which counts only if every labelled cell has it.

    Raises DataError for objects and lists that hold no classes, with the row.
    """
    cells, notes = parsed_cells(table, unwrapped(table.columns[name]))
    present = [cell for cell in cells if cell is not None]
    if present and all(isinstance(cell, dict) for cell in present):
        flags = [cell and keys_with_one(cell) for cell in cells]
        if all(flag is not None for cell, flag in zip(cells, flags, strict=True) if cell):
            return PlainLabels(flags, (*notes, OBJECTS), tuple(sorted({key for cell in present for key in cell})))
    if is_vectors(present):
        usual = Counter(map(len, present)).most_common(1)[0][0]
        names = vector_names(usual)
        reject_other_vectors(table, cells, len(names))
        notes.append(VECTORS.format(n=len(names), last=names[-1]))
        chosen = [cell and [label for label, flag in zip(names, cell, strict=True) if flag_of(flag)] for cell in cells]
        return PlainLabels(chosen, tuple(notes), names)
    reject_minus_ones(table, cells)
    for i, cell in enumerate(cells):
        if isinstance(cell, list | tuple | dict):
            reject_nested(table, i, cell)
    return PlainLabels(cells, tuple(notes))


def parsed_cells(table: Table, cells: list[Any]) -> tuple[list[Any], list[str]]:
    """Parses the texts of a column if all are lists, vectors or objects, with a note; another names lists beside other labels."""
    first = next((cell for cell in cells if not is_missing(cell)), None)
    has_choices = any(isinstance(cell, str) and CHOICES in cell for cell in cells)
    forms = {cell: parse_form(cell) for cell in {cell for cell in cells if isinstance(cell, str)}}  # cells repeat
    parsed = [forms[cell] if isinstance(cell, str) else None for cell in cells]
    if has_choices:
        parsed = [choices_of(cell, form) for cell, form in zip(cells, parsed, strict=True)]
    if isinstance(first, str) and is_form_of_all(cells, parsed):
        return parsed, [AS_TEXT.format(clip(first))]
    are_texts = all(isinstance(cell, str) or is_missing(cell) for cell in cells)
    if isinstance(first, str) and are_texts and (names := decoded_bytes(forms)):
        return [names.get(cell) for cell in cells], [AS_BYTES.format(clip(first), clip(names[first]))]
    lists = [i for i, form in enumerate(parsed) if isinstance(form, list) and is_list_text(cells[i], form)]
    if not lists:
        return cells, []
    rows = row_numbers([table.row_ids[i] for i in lists])
    return cells, [SOME_AS_TEXT.format(plural(len(lists), "label", "is a list", "are lists"), clip(cells[lists[0]]), rows)]


def decoded_bytes(texts: Iterable[str]) -> dict[str, str]:
    """Returns text -> name for bytes as Python prints them; empty if another text is among them, which is not missing."""
    names: dict[str, str] = {}
    for text in texts:
        if is_missing(text):
            continue
        try:
            value = ast.literal_eval(text.strip()) if BYTES.fullmatch(text.strip()) else None
        except (ValueError, SyntaxError):
            return {}
        if not isinstance(value, bytes):
            return {}
        names[text] = value.decode("utf-8", "replace")
    return names


def may_hold_labels(table: Table, name: str) -> bool:
    """Tells whether a column may be the label: it holds neither row numbers, nor objects or lists without classes."""
    cells = [cell for cell in table.columns[name] if not is_missing(cell)]
    if cells and isinstance(cells[0], list | tuple | dict):
        try:
            plain_labels(table, name)
        except DataError:
            return False
    are_row_numbers = ROW_NUMBER.fullmatch(plain_name(name)) is not None and all(map(is_whole, cells))
    return bool(cells) and not (are_row_numbers and len(set(map(str, cells))) == len(cells) >= MIN_ROW_NUMBERS)


def unwrapped(cells: list[Any]) -> list[Any]:
    """Takes the labels out of the objects of Label Studio (``{"choices": [...]}``) and of spaCy (``{"cats": {...}}``)."""
    if any(isinstance(cell, dict) and isinstance(cell.get("choices"), list) for cell in cells):
        return [cell.get("choices") if isinstance(cell, dict) else cell if is_missing(cell) else [cell] for cell in cells]
    return [cell["cats"] if isinstance(cell, dict) and isinstance(cell.get("cats"), dict) else cell for cell in cells]


def vector_names(length: int) -> tuple[str, ...]:
    """Returns the names of the labels of a vector, by position."""
    return tuple(f"label_{i}" for i in range(length))


def parse_form(cell: Any) -> Any:
    """Parses a text such as ``['a', 'b']``, ``[1 0 0]`` or ``{"a": 1}``; None for a missing cell and for any other text."""
    text = cell.strip() if isinstance(cell, str) else ""
    if "np." in text or "numpy." in text:
        text = SCALAR.sub(plain_scalar, text)
    if text.startswith(ARRAYS) and (match := ARRAY.fullmatch(text)):
        text = match.group(1)
    if BARE_VECTOR.fullmatch(text):
        return re.findall("[01]", text)
    if len(text) < 2 or BRACKETS.get(text[0]) != text[-1] or len(text) > MAX_CHARACTERS:
        return None
    if NUMBERS.fullmatch(text):
        return text[1:-1].split()
    for parse in (json.loads, literal):
        try:
            value = parse(ADJACENT.sub(", ", text))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list | tuple | set | frozenset):
            return sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
        return value if isinstance(value, dict) else None
    are_words = text[0] == "[" or (text[0] == "{" and ":" not in text)  # PostgreSQL writes an array in braces
    return [unquoted(part.strip()) for part in text[1:-1].split(",")] if are_words else None


def plain_scalar(match: re.Match[str]) -> str:
    return match["quoted"] or match["constant"] or match["value"]


def literal(text: str) -> Any:
    """Parses a value that Python printed, also with JSON's words or nan in it. Raises ValueError or SyntaxError for others."""
    return ast.literal_eval(QUOTED_OR_WORD.sub(lambda match: match["quoted"] or PYTHON_WORDS.get(match["word"], "None"), text))


def unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def choices_of(cell: Any, form: Any) -> Any:
    """Returns the classes of a cell of Label Studio's csv: one is a plain word, several are ``{"choices": [...]}``."""
    if isinstance(form, dict) and isinstance(form.get("choices"), list):
        return form["choices"]
    return form if form is not None or is_missing(cell) else [cell]


def is_form_of_all(cells: Sequence[Any], parsed: Sequence[Any]) -> bool:
    """Returns whether all labelled cells were parsed, and one of them holds quotes, a comma, or several values."""
    labelled = [
        (cell, form)
        for cell, form in zip(cells, parsed, strict=True)
        if not is_missing(cell) and str(cell).strip().lower() not in UNLABELLED
    ]
    is_list = any(isinstance(form, dict) or is_list_text(cell, form) for cell, form in labelled if form is not None)
    return is_list and all(form is not None for _, form in labelled)


def is_list_text(cell: str, form: Sequence[Any]) -> bool:
    """Returns whether a text was surely written as a list: not ``[deleted]``, which may be a name."""
    return len(form) != 1 or "'" in cell or '"' in cell or cell.lstrip().startswith(ARRAYS)


def flag_of(value: Any) -> bool | None:
    """Returns whether a value is 1 or 0 in any notation; None for every other value."""
    return FLAGS.get(str(value).strip().lower())


def keys_with_one(cell: dict[str, Any]) -> list[str] | None:
    """Returns the keys whose value is 1 (a value of None is 0); None if there are other values."""
    flags = {key: False if value is None else flag_of(value) for key, value in cell.items()}
    return None if not flags or None in flags.values() else [key for key, flag in flags.items() if flag]


def is_vectors(cells: Sequence[Any]) -> bool:
    """Returns whether the cells are lists of 0 and 1, and cannot be sets of these classes: one repeats a value, or two differ."""
    if not cells or not all(isinstance(cell, list | tuple) and len(cell) > 1 for cell in cells):
        return False
    flags = [[flag_of(value) for value in cell if not is_missing(value)] for cell in cells]
    if any(None in row for row in flags):
        return False
    return any(len(set(row)) < len(row) for row in flags) or len(set(map(tuple, flags))) > 1


def reject_other_vectors(table: Table, cells: Sequence[Any], length: int) -> None:
    """Raises DataError for a vector of another length than most have, or with a missing value."""
    for i, cell in enumerate(cells):
        if cell is not None and (len(cell) != length or any(map(is_missing, cell))):
            message = f"The label is the vector {clip(cell)}; {plural(length, 'value')} of 0 or 1 were expected, as in most rows."
            raise DataError.one(f"{table.source}, {table.place(i)}", message, "Correct it, or leave it empty for no label.")


def reject_minus_ones(table: Table, cells: Sequence[Any]) -> None:
    """Raises DataError for vectors of -1 and 1, or of -1, 0 and 1: -1 may be a label that is absent, or one that is unknown."""
    present = [cell for cell in cells if cell is not None]
    if not present or not all(isinstance(cell, list | tuple) and len(cell) == len(present[0]) > 1 for cell in present):
        return
    if all(is_whole(item) and float(item) in (-1, 0, 1) for cell in present for item in cell):
        for i, cell in enumerate(cells):
            if cell is not None and any(float(item) == -1 for item in cell):
                raise DataError.one(f"{table.source}, {table.place(i)}", MINUS_ONES.format(clip(cell)), MINUS_ONES_REMEDY)


def is_span(item: Any) -> bool:
    """Tells whether an item is a part of a text: its first and last character with a name, or an object with an end."""
    if isinstance(item, dict):
        return any(isinstance(item.get(key), int) for key in SPAN_ENDS) or are_spans(item.get("entities"))
    return isinstance(item, list | tuple) and [type(part) for part in item] == [int, int, str]


def are_spans(items: Any) -> bool:
    return isinstance(items, list | tuple) and any(map(is_span, items))


def reject_nested(table: Table, i: int, cell: Any) -> None:
    """Raises DataError for an object, and for a list that holds objects, lists or probabilities."""
    items = cell if isinstance(cell, list | tuple) else [cell]
    nested = next((item for item in items if isinstance(item, list | tuple | dict)), None)
    place = f"{table.source}, {table.place(i)}"
    if nested is not None:
        if is_span(nested):
            raise DataError.one(place, SPANS.format(clip(cell)), SPANS_REMEDY)
        kind = "an object" if isinstance(nested, dict) else "a list of lists"
        raise DataError.one(place, NESTED.format(kind, clip(cell)), NESTED_REMEDY)
    if isinstance(cell, list | tuple) and any(is_number(item) and not is_whole(item) for item in cell):
        raise DataError.one(place, SOFT.format(clip(cell)), SOFT_REMEDY)
