"""Divides rows whose positives and negatives are lists of texts into rows of one text a column.

FlagEmbedding writes such lists; Tevatron and DPR write lists of passages, objects with a title and a text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.cells import is_missing, plural
from tunesmith.data.column_names import plain_name
from tunesmith.data.labelled.label_forms import is_form_of_all, parse_form
from tunesmith.data.pairs.formats import NEGATIVE, POSITIVE, text_of_item
from tunesmith.data.table import Table

WITHOUT_NEGATIVES = (
    "{} no negatives ({} is empty) and cannot be a triplet; embedding.convert: positive_pair uses every row, without negatives"
)


def divide_text_lists(table: Table) -> tuple[Table, str]:
    """Returns a table with one positive a row and one negative a column, and a note; the table itself if it has no such lists.

    Each positive becomes a row with the negatives of its query. All rows get as many negatives as most lists have: longer lists
    lose their last ones, which are counted, and shorter ones repeat theirs. If a row has several positives, row ids count the
    new rows. A column of negatives that are empty lists in every row is left out: the rows are pairs.
    """
    readable = {name: texts for name in table.columns if (texts := text_lists(name, table.columns[name])) is not None}
    if not readable:
        return table, ""
    lists = {name: [texts or [] for texts in column] for name, column in readable.items()}
    positives = [lists[name] for name in lists if plain_name(name) in POSITIVE]
    places = [(i, rank) for i in range(len(table)) for rank in range(max([1, *(len(texts[i]) for texts in positives)]))]
    columns: dict[str, list[Any]] = {}
    n_cut, remarks = 0, [unread_words(name, column, table) for name, column in readable.items() if None in column]
    for name, cells in table.columns.items():
        if name not in lists:
            columns[name] = [cells[i] for i, _ in places]
        elif plain_name(name) in POSITIVE:
            columns[name] = [lists[name][i][rank] if rank < len(lists[name][i]) else None for i, rank in places]
        elif not any(lists[name]):
            remarks.append(f"{name} is an empty list in every row, so there are no negatives")
        else:
            width = Counter(len(texts) for texts in lists[name] if texts).most_common(1)[0][0]
            n_cut += sum(max(0, len(texts) - width) for texts in lists[name])
            for k in range(width):
                own = [texts[k % len(texts)] if texts else None for texts in lists[name]]
                columns[name if width == 1 else f"{name}_{k + 1}"] = [own[i] for i, _ in places]
            n_without = sum(not lists[name][i] for i, _ in places)
            remarks += [WITHOUT_NEGATIVES.format(plural(n_without, "row", "has", "have"), name)] if n_without else []
    if n_cut:
        remarks.insert(0, f"{plural(n_cut, 'negative')} of longer lists left out")
    rows = f"{plural(len(places), 'row')} from {len(table):,}"
    note = f"Lists of texts, as in the files of FlagEmbedding, Tevatron and DPR: {'; '.join([rows, *remarks])}."
    if len(places) == len(table):
        return replace(table, columns=columns), note
    lines = None if table.lines is None else [table.lines[i] for i, _ in places]
    whole = Table.whole(table.source, columns, sha256=table.sha256, notes=table.notes)
    return replace(whole, lines=lines, bad_rows=table.bad_rows), note


def unread_words(name: str, column: Sequence[list[str] | None], table: Table) -> str:
    """Describes the cells of a column that are neither texts nor lists of texts, and count as empty."""
    unread = [i for i, texts in enumerate(column) if texts is None]
    rows = f"{plural(len(unread), 'row')}, first {table.place(unread[0])}"
    return f"{name} is neither a text nor a list of texts in {rows}, and counts as empty there"


def text_lists(name: str, cells: Sequence[Any]) -> list[list[str] | None] | None:
    """Returns the lists of texts of a column with the name of positives or negatives; None if it holds something else.

    A text among lists is a list of one. An empty list is no text, and a missing or empty item of a list is left out. A cell
    that is neither is None, where most are lists of texts.
    """
    if plain_name(name) not in POSITIVE and not NEGATIVE.fullmatch(plain_name(name)):
        return None
    if not any(isinstance(cell, list) for cell in cells):
        parsed = [parse_form(cell) for cell in cells]
        if not is_form_of_all(cells, parsed):
            return None
        cells = parsed
    readable = [texts_of_cell(cell) for cell in cells]
    n_lists = sum(texts is not None for texts, cell in zip(readable, cells, strict=True) if isinstance(cell, list))
    if n_lists <= len(cells) / 2 and None in readable:
        return None
    return readable if any(readable) or plain_name(name) not in POSITIVE else None


def texts_of_cell(cell: Any) -> list[str] | None:
    """Returns the texts of a cell: a list of texts, or one text; None if it holds something else."""
    items = [] if is_missing(cell) else [cell] if isinstance(cell, str) else cell
    texts = [text_of_item(item) for item in items] if isinstance(items, list) else [None]
    return None if None in texts else [text for text in texts if text is not None and not is_missing(text)]
