"""Describes to the user how unusual labels were read, and labels that train does not have."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from tunesmith.data.cells import is_number, is_whole, listed, plural, row_numbers
from tunesmith.data.labelled.labels import MULTI, REGRESSION, class_names, marker
from tunesmith.data.numbers import plain_numbers
from tunesmith.data.table import Columns, Labels, Table

SEPARATORS = (",", "|", ";")
"""Usual separators of several labels in one cell."""
SHOWN_ROWS = 5
TOTALS = re.compile(r"(?:grand |sub)?totals?|sum|average|mean|count|summe|gesamt|somme|suma|totale")
"""Words in the first cell of a table's last row, if that sums up the others."""
KEPT_APART = "they are kept as different classes. Write them in the same way in the file if they mean one class."
DAMAGED = (
    "Encoding damage in the names of classes: {}. "
    "Correct them in the source, or read the file with the right encoding (data.encoding)."
)


def label_notes(
    cells: Sequence[Any], labels: Labels, separator: str | None = None, row_ids: Sequence[int] | None = None
) -> tuple[str, ...]:
    """Describes to the user how unusual labels were read, as sentences.

    Args:
        row_ids: the row of each cell; None: its position.
    """
    if labels.problem_type == REGRESSION:
        return tuple(filter(None, [plain_numbers(cells)[1]]))
    notes = []
    if any("." in str(cell) and is_whole(cell) for cell in cells if not isinstance(cell, list | tuple)):
        notes.append("The labels are whole numbers written with decimals (1.0); they are read as classes (1).")
    if not all(map(is_whole, labels.names)) and all(map(is_number, labels.names)):
        notes.append(
            f"The {plural(labels.n, 'number', 'is', 'are')} read as names of classes; task: regression learns the number itself."
        )
    rows = [(names, n) for cell, n in tally(cells) if (names := class_names(cell, separator, labels.names)) is not None]
    if labels.problem_type == MULTI and all(len(names) == 1 for names, _ in rows):
        notes.append("Every row has exactly one label; write its name into one column to learn classes that exclude each other.")
    counts: Counter[str] = Counter()
    for names, n in rows:
        counts.update(dict.fromkeys(names, n))
    if "-1" in counts:
        meaning = "a class like the others" if "-1" in labels.names else "rows without a label"
        notes.append(f"-1 occurs {plural(counts['-1'], 'time')} as a label and is read as {meaning}.")
    notes += left_out_items(cells, separator, labels.names)
    return (*notes, *name_notes(cells, labels, separator, range(len(cells)) if row_ids is None else row_ids))


def name_notes(cells: Sequence[Any], labels: Labels, separator: str | None, row_ids: Sequence[int]) -> list[str]:
    """Describes class names that may be lists, that look the same, or are damaged, with their first rows."""
    separated = {} if separator else separated_names(labels.names)
    groups, damaged = alike_names(labels.names), [name for name in labels.names if "\ufffd" in name]
    rows: dict[str, list[int]] = {name: [] for names in (*separated.values(), *groups, damaged) for name in names}
    if not rows:
        return []
    for row_id, cell in zip(row_ids, cells, strict=True):
        for name in class_names(cell, separator, labels.names) or ():
            if name in rows:
                rows[name].append(row_id)
    shown = [DAMAGED.format(listed(with_rows(name, rows[name]) for name in damaged))] if damaged else []
    return [*separator_notes(separated, rows), *alike_notes(groups, rows), *shown]


def with_rows(name: str, ids: Sequence[int], show: Callable[[str], str] = repr) -> str:
    """Quotes a class name with the number of its rows and the first of them: ``'yes' (2 rows: 1, 3)``."""
    return f"{show(name)} ({plural(len(ids), 'row')}: {listed(ids, SHOWN_ROWS)})"


def left_out_items(cells: Sequence[Any], separator: str | None, names: Container[str]) -> list[str]:
    """Counts the words for "not labelled" in lists of labels, and in cells of several, which are left out of their list."""
    lists = [cell if isinstance(cell, list | tuple) else several_in(cell, separator, names) for cell in cells]
    items = [str(item).strip() for items in lists for item in items if marker(item, names)]
    words = " and ".join(sorted(set(items)))
    kept = "set data.keep_null_labels: true to keep it as a label"
    return [f"{words} occurs {plural(len(items), 'time')} in lists of labels and is left out; {kept}."] if items else []


def totals_note(table: Table, columns: Columns) -> tuple[str, ...]:
    """Describes a last row that looks like the totals of a table: such a word as its text, and a number as its label."""
    if not len(table) or len(columns.label) != 1:
        return ()
    text, label = table.columns[columns.text][-1], table.columns[columns.label[0]][-1]
    if not isinstance(text, str) or TOTALS.fullmatch(text.strip().lower()) is None or not is_number(label):
        return ()
    return (
        f"{table.source}, {table.place(len(table) - 1)}: the text {text.strip()!r} beside {label} looks like the totals of a "
        "table, and is used as a row like the others. Remove it from the file if it is none.",
    )


def several_in(cell: Any, separator: str | None, names: Container[str]) -> list[str]:
    """Returns the parts of a cell with a separator in it; none of other cells, and of those without any label."""
    is_text = bool(separator) and isinstance(cell, str) and marker(cell, names) is None
    return cell.split(separator) if is_text else []


def separated_names(names: Sequence[str]) -> dict[str, list[str]]:
    """Returns separator -> class names that are made of parts of other names with it, as lists of labels are."""
    found = {}
    for separator in SEPARATORS:
        lists = [name for name in names if separator in name]
        if lists and len({part.strip() for name in names for part in name.split(separator)}) <= len(names):
            found[separator] = lists
    return found


def separator_notes(separated: Mapping[str, Sequence[str]], rows: Mapping[str, Sequence[int]]) -> list[str]:
    """Asks about class names that may be lists of labels."""
    notes = []
    for separator, lists in separated.items():
        ids = sorted({row_id for name in lists for row_id in rows[name]})
        shown = f"{plural(len(lists), 'label', 'holds', 'hold')} a {separator!r}, such as {lists[0]!r} ({row_numbers(ids)})"
        notes.append(f'{shown}; if a cell holds several labels, set data.label_separator: "{separator}".')
    return notes


def tally(cells: Sequence[Any]) -> list[tuple[Any, int]]:
    """Counts the cells, each list on its own."""
    counts = Counter((type(cell), cell) for cell in cells if not isinstance(cell, list | tuple))
    return [*((cell, n) for (_, cell), n in counts.items()), *((cell, 1) for cell in cells if isinstance(cell, list | tuple))]


def alike_names(names: Sequence[str]) -> list[list[str]]:
    """Groups the class names that look the same."""
    alike = defaultdict(list)
    for name in names:
        alike[look(name)].append(name)
    return [group for group in alike.values() if len(group) > 1]


def alike_notes(groups: Sequence[Sequence[str]], rows: Mapping[str, Sequence[int]]) -> list[str]:
    """Describes class names that look the same, with their rows."""
    notes = []
    for group in groups:
        visible = {" ".join(name.casefold().split()) for name in group}
        show = ascii if len(visible) > 1 else repr
        shown = " and ".join(with_rows(name, rows[name], show) for name in group)
        what = "case or spaces" if len(visible) == 1 else "case, spaces, invisible characters or the form of Unicode"
        notes.append(f"The labels {shown} differ only in {what}; {KEPT_APART}")
    return notes


def unknown_words(labels: Sequence[str], names: Sequence[str]) -> str:
    """Lists labels that train does not have, the most frequent first, with the number of rows."""
    return listed((f"{unknown_word(label, names)}: {plural(n, 'row')}" for label, n in Counter(labels).most_common()), 5)


def unknown_word(label: str, names: Sequence[str]) -> str:
    """Quotes a label that train does not have, with the class of train that looks the same, if there is one."""
    alike = next((name for name in names if look(name) == look(label)), None)
    return repr(label) if alike is None else f"{label!a} (train has {alike!a})"


def look(name: str) -> str:
    """Returns a key that is equal for names that look the same: in Unicode's NFKC form, without invisible characters."""
    text = unicodedata.normalize("NFKC", name)
    visible = [" " if letter.isspace() else letter for letter in text if letter.isspace() or not is_invisible(letter)]
    return " ".join("".join(visible).casefold().split())


def is_invisible(letter: str) -> bool:
    """Returns whether a character has no width: formats, controls, variation selectors, and the fillers of Hangul."""
    return (
        unicodedata.category(letter) in ("Cf", "Cc")
        or letter in "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
        or ("\ufe00" <= letter <= "\ufe0f")
    )
