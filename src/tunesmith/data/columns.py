"""Detects the role of each column: by the recipe, else by names, else by content, else asks the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith.data import column_names
from tunesmith.data.cells import is_missing, listed, plural
from tunesmith.data.column_names import plain_name
from tunesmith.data.labelled.label_forms import may_hold_labels
from tunesmith.data.profile import Profile, profile
from tunesmith.data.table import Columns, Table
from tunesmith.errors import DataError, Problem, UndecidedColumn
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.recipe.tasks import TASKS

NAMED_IN_RECIPE, JOINED = "named in the recipe", "joined by data.template"
LENGTH_RATIO = 3.0
"""Two text columns whose mean lengths differ by a smaller factor are equally good candidates."""
MIN_GROUPS = 20
"""A column with fewer groups is more likely a property of rows than their source."""


@dataclass
class Roles:
    """The columns that are assigned to each role so far, and why, while the columns of a table are detected."""

    table: Table
    profiles: dict[str, Profile]
    assigned: dict[str, tuple[str, ...]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def assign(self, part: str, names: Iterable[str], reason: str) -> None:
        self.assigned[part], self.reasons[part] = tuple(names), reason

    def free(self) -> list[str]:
        used = {name for names in self.assigned.values() for name in names}
        return [name for name in self.table.columns if name not in used]


def detect_columns(table: Table, task: str, given: ColumnsSection, need_label: bool = True) -> Columns:
    """Assigns columns to roles, with a reason for each in plain words.

    Args:
        task: ``classification`` or ``regression``; decides, for example, between a class and a rating.
        given: the recipe's section. A column is named, or counted from 1 (``"4"``).
        need_label: False for rows that only get predictions.

    Raises:
        UndecidedColumn: no column looks like text or like a label, or several do equally well.
        DataError: a named column is missing (the message offers the closest name), or one column has two roles.
    """
    roles = Roles(table, {name: profile(cells) for name, cells in table.columns.items()})
    assign_given(roles, given)
    assign_joined(roles)
    assign_split(roles)
    if "id" not in roles.assigned and (ids := named(roles, column_names.ID)):
        roles.assign("id", ids[:1], f"it is called {ids[0]!r}")
    assign_text(roles)
    if "label" not in roles.assigned:
        assign_label(roles, task, need_label)
    assign_group(roles)
    assign_key(roles)
    unused = roles.free()
    if unused:
        roles.reasons["unused"] = listed(unused)
    return Columns(
        text=roles.assigned["text"][0],
        label=roles.assigned.get("label", ()),
        **{part: roles.assigned[part][0] for part in ("pair", "id", "group", "split") if part in roles.assigned},
        annotators=roles.assigned.get("annotators", ()),
        counted=tuple(given.annotators) if isinstance(given.annotators, dict) else (),
        unused=tuple(unused),
        other_texts=other_texts(roles),
        reasons=roles.reasons,
    )


def columns_of_training(table: Table, trained: Mapping[str, Any], given: ColumnsSection) -> ColumnsSection:
    """Fills in the columns that a run was trained on, for the parts that are not given and whose columns the table has.

    Args:
        trained: part -> its column or columns in training.
    """
    known = {}
    for part in ("text", "pair", "label"):
        names = trained.get(part) or []
        wanted = [names] if isinstance(names, str) else list(names)
        if getattr(given, part) is None and wanted and all(name in table.columns for name in wanted):
            known[part] = wanted[0] if len(wanted) == 1 else wanted
    return given.model_copy(update=known)


def replaced_columns(table: Table, trained: Mapping[str, Any], given: ColumnsSection, columns: Columns) -> list[str]:
    """Describes each column that is used in place of the one that a run was trained on, which the table does not have."""
    notes = []
    for part in ("text", "pair", "label"):
        names, own = trained.get(part) or [], getattr(columns, part) or []
        wanted, used = ([names] if isinstance(names, str) else list(names), [own] if isinstance(own, str) else list(own))
        absent = [name for name in wanted if name not in table.columns]
        if absent and used and getattr(given, part) is None:
            notes.append(
                f"{table.source} has no column {listed(absent)}, which the run has as its {part}; "
                f"{listed(used)} is used instead: {columns.reasons[part]}."
            )
    return notes


def assign_given(roles: Roles, given: ColumnsSection) -> None:
    """Assigns the columns that the recipe names. Raises DataError with every wrong one."""
    problems: list[Problem] = []
    users: dict[str, str] = {}
    for part in ("text", "pair", "label", "id", "group", "split", "annotators"):
        value = getattr(given, part)
        if value is None:
            continue
        names = []
        for wanted in [value] if isinstance(value, str) else value.values() if isinstance(value, dict) else value:
            name = find_column(roles.table, wanted)
            if name is None:
                columns = list(roles.table.columns)
                plain = {plain_name(column): column for column in columns}
                near = difflib.get_close_matches(plain_name(wanted), list(plain), n=1, cutoff=0.6)
                remedy = f"Name one of them as the {part} (recipe: data.columns.{part})."
                if near:
                    remedy = f"Did you mean {plain[near[0]]}?"
                if not roles.table.has_header:
                    remedy = f"The file has no header, so its columns are counted: {listed(columns)}."
                message = f"There is no column {wanted!r} for the {part}; the columns are {described(roles, columns)}."
                problems.append(Problem("data", roles.table.source, message, remedy))
            elif name in users:
                message = f"The column {name!r} is named as {users[name]} and as {part}."
                problems.append(Problem("data", roles.table.source, message, "Give each role a column of its own."))
            else:
                users[name] = part
                names.append(name)
        roles.assign(part, names, NAMED_IN_RECIPE)
    if problems:
        raise DataError(problems)


def assign_joined(roles: Roles) -> None:
    """Keeps the columns that ``data.template`` joins to the text from other roles. Raises DataError if one is the label."""
    (text,) = roles.assigned.get("text", ("",))
    joined = roles.table.joined.get(text, ())
    if both := [name for name in roles.assigned.get("label", ()) if name in joined]:
        message = f"The column {both[0]!r} is named as the label and in data.template: the text would tell the label."
        raise DataError.one(roles.table.source, message, "Leave it out of the template.")
    used = {name for names in roles.assigned.values() for name in names}
    if own := [name for name in joined if name not in used]:
        roles.assign("template", own, JOINED)
        roles.reasons["text"] = f"made of {listed(joined)} by data.template"


def find_column(table: Table, wanted: str) -> str | None:
    """Returns the column of that name, or the one at that position counted from 1; None where there is neither."""
    if wanted in table.columns:
        return wanted
    names = list(table.columns)
    if wanted.isdecimal() and len(wanted) < 10 and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    return None


def require_column(table: Table, wanted: str, part: str) -> str:
    """Finds the column of a part by its name or its position counted from 1. Raises DataError if there is none."""
    column = find_column(table, wanted)
    if column is None:
        message = f"There is no column {wanted!r} for the {part}."
        raise DataError.one(table.source, message, f"Columns: {listed(table.columns)}.")
    return column


def described(roles: Roles, names: Sequence[str]) -> str:
    """Lists the columns with their content: ``text (text of 58 characters on average), label (only 0 and 1)``."""
    return listed(f"{name} ({roles.profiles[name].words()})" for name in names)


def assign_split(roles: Roles) -> None:
    """Assigns a column called split, set, ... in which every cell is a word for train, validation or test."""
    if "split" in roles.assigned:
        return
    for name in named(roles, column_names.SPLIT):
        words = {str(cell).strip().casefold() for cell in roles.table.columns[name] if not is_missing(cell)}
        splits = {column_names.SPLIT_WORDS.get(word) for word in words}
        if None not in splits and "train" in splits and len(splits) > 1:
            roles.assign("split", [name], f"it is called {name!r} and holds {listed(sorted(words))}")
            return


def named(roles: Roles, names: Sequence[str]) -> list[str]:
    """Returns the free columns of those names, in the order of ``names``."""
    by_plain = {plain_name(name): name for name in reversed(roles.free())}
    return [by_plain[name] for name in names if name in by_plain]


def assign_text(roles: Roles) -> None:
    if "text" in roles.assigned:
        return
    if "pair" not in roles.assigned:
        for pair in column_names.PAIRS:
            names = named(roles, pair)
            if len(names) == 2 and is_pair(pair[0], roles.profiles[names[0]], roles.profiles[names[1]]):
                reason = f"{names[0]!r} and {names[1]!r} are the usual names of a pair"
                roles.assign("text", names[:1], reason)
                roles.assign("pair", names[1:], reason)
                return
    for tier in column_names.TEXT:
        names = named(roles, tier)
        if len(names) > 1:
            names = [name for name in names if roles.profiles[name].is_text] or names
        if len(names) > 1:
            raise ambiguous(roles, "text", names, "are usual names of a text")
        if names:
            roles.assign("text", names, f"it is called {names[0]!r} ({roles.profiles[names[0]].words()})")
            return
    assign_text_by_content(roles)


def is_pair(name: str, first: Profile, second: Profile) -> bool:
    """Tells whether two columns with the names of a pair hold one; ``pair`` beside ``text`` may also be the key of two rows."""
    return first.number_share < 0.5 and second.number_share < 0.5 and (name != "text" or second.is_text)


def other_texts(roles: Roles) -> tuple[str, ...]:
    """Returns the free columns that read like language, where the recipe does not name the text and there is no pair."""
    if {"pair", "template"} & roles.assigned.keys() or roles.reasons["text"] == NAMED_IN_RECIPE:
        return ()
    return tuple(name for name in roles.free() if roles.profiles[name].is_text)


def assign_text_by_content(roles: Roles) -> None:
    """Assigns the column that reads like language; in a file without a header, two of similar length are a pair."""
    texts = [name for name in roles.free() if roles.profiles[name].is_text]
    texts.sort(key=lambda name: -roles.profiles[name].mean_chars)
    longest = roles.profiles[texts[0]].mean_chars if texts else 0.0
    candidates = [name for name in texts if roles.profiles[name].mean_chars * LENGTH_RATIO > longest]
    if not candidates:
        # The last resort, for tables of single words or names: mostly different short words.
        worded = [(name, roles.profiles[name]) for name in roles.free() if roles.profiles[name].is_worded]
        candidates = [name for name, column in worded if column.distinct_share >= 0.5 and column.mean_chars >= 3]
    if not candidates:
        message = f"No column looks like text; the columns are {described(roles, list(roles.table.columns))}."
        raise UndecidedColumn(roles.table.source, message, "text")
    if len(candidates) == 2 and not roles.table.has_header and "pair" not in roles.assigned:
        first, second = (name for name in roles.table.columns if name in candidates)
        reason = "the two columns that look like natural language, in a file without column names"
        roles.assign("text", [first], reason)
        roles.assign("pair", [second], reason)
    elif len(candidates) > 1:
        raise ambiguous(roles, "text", candidates, "look like text")
    else:
        why = "the only column that looks like natural language" if len(texts) < 2 else "by far the longest texts"
        roles.assign("text", candidates, f"{why} ({roles.profiles[candidates[0]].words()})")


def assign_label(roles: Roles, task: str, need_label: bool) -> None:
    numeric = TASKS[task].numeric_labels
    tiers = column_names.SCORE if numeric else column_names.LABEL
    for tier in tiers:
        names = [name for name in named(roles, tier) if roles.profiles[name].n]
        if numeric:
            names = [name for name in names if roles.profiles[name].number_share >= 0.9]
        if len(names) > 1:
            names = [name for name in names if roles.profiles[name].is_classes or roles.profiles[name].is_score] or names
        if len(names) > 1:
            raise ambiguous(roles, "label", names, "are usual names of a label")
        if names:
            roles.assign("label", names, f"it is called {names[0]!r} ({roles.profiles[names[0]].words()})")
            return
    best = best_labels(roles, task)
    if len(best) > 1 and need_label:
        raise ambiguous(roles, "label", best, "could hold the label")
    if len(best) == 1:
        roles.assign("label", best, f"by its content: {roles.profiles[best[0]].words()}")
    elif need_label:
        message = f"No column looks like a label; the columns are {described(roles, list(roles.table.columns))}."
        raise UndecidedColumn(roles.table.source, message, "label")


def best_labels(roles: Roles, task: str) -> list[str]:
    """Returns the best label candidates by content: numbered classes, else few values, else (and for scores) numbers."""
    free = [name for name in roles.free() if roles.profiles[name].missing_share < 0.5 and may_hold_labels(roles.table, name)]
    scores = [name for name in free if roles.profiles[name].is_score]
    codes = [name for name in free if roles.profiles[name].is_codes]
    classes = [name for name in free if roles.profiles[name].is_classes]
    if TASKS[task].numeric_labels:
        return scores or [name for name in free if roles.profiles[name].number_share >= 0.9 and roles.profiles[name].distinct > 1]
    return codes or classes or scores


def assign_group(roles: Roles) -> None:
    """Assigns a column with a usual group name whose values repeat, with enough different ones to split by."""
    if "group" in roles.assigned:
        return
    for name in named(roles, column_names.GROUP):
        column = roles.profiles[name]
        repeats = column.distinct >= MIN_GROUPS and column.distinct_share < 0.9
        if repeats and column.missing_share < 0.5 and column.list_share == 0:
            reason = f"it is called {name!r} and its {plural(column.distinct, 'value')} repeat: rows of one value stay together"
            roles.assign("group", [name], reason)
            return


def assign_key(roles: Roles) -> None:
    """Assigns, in a file without a header, the only column with a different short value in every row as the id."""
    if "id" in roles.assigned or roles.table.has_header:
        return
    keys = [name for name in roles.free() if roles.profiles[name].is_key]
    if len(keys) == 1:
        roles.assign("id", keys, "a different value without spaces in every row")


def ambiguous(roles: Roles, part: str, names: Sequence[str], what: str) -> UndecidedColumn:
    """Asks the user to choose, with the recipe line for each choice; texts stand in the order of the table, as a pair."""
    if part == "text":
        names = [name for name in roles.table.columns if name in names]
    return UndecidedColumn(roles.table.source, f"{plural(len(names), 'column')} {what}: {described(roles, names)}.", part, names)
