"""Which column plays which part: what the user said, else names, else content, else a question."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tunesmith.data import column_names
from tunesmith.data.cells import is_missing, listed
from tunesmith.data.column_names import plain_name
from tunesmith.data.profile import Profile, profile
from tunesmith.data.table import Columns, Table
from tunesmith.errors import DataError, Problem
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.recipe.tasks import TASKS

SAID = "named in the recipe"
# Two text columns whose mean lengths differ by less than this are equally good candidates.
LENGTH_RATIO = 3.0
# Fewer groups than this and a column of groups is more likely a property than a source of rows.
FEWEST_GROUPS = 20


@dataclass
class Roles:
    """What is known so far while one table is looked at: parts that are taken, and why."""

    table: Table
    profiles: dict[str, Profile]
    taken: dict[str, tuple[str, ...]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def take(self, part: str, names: Iterable[str], reason: str) -> None:
        self.taken[part], self.reasons[part] = tuple(names), reason

    def free(self) -> list[str]:
        used = {name for names in self.taken.values() for name in names}
        return [name for name in self.table.columns if name not in used]

    def one(self, part: str) -> str | None:
        return self.taken[part][0] if part in self.taken else None


def detect_columns(table: Table, task: str, given: ColumnsSection, need_label: bool = True) -> Columns:
    """The part of each column, with a reason for each in plain words.

    Args:
        task: ``classification`` or ``regression``; decides between, say, a class and a rating.
        given: what the recipe says. A column is named, or counted from 1 (``"4"``).
        need_label: False for rows that are only to be predicted.

    Raises:
        DataError: a named column is missing (the closest name is offered), one column has two parts, no column looks like
            text or like a label, or two do equally well (the recipe lines to choose from are given).
    """
    roles = Roles(table, {name: profile(cells) for name, cells in table.columns.items()})
    take_given(roles, given)
    take_split(roles)
    take_named(roles, "id", column_names.ID)
    take_text(roles)
    if "label" not in roles.taken:
        take_label(roles, task, need_label)
    take_group(roles)
    take_key(roles)
    unused = roles.free()
    if unused:
        roles.reasons["unused"] = listed(unused)
    return Columns(
        text=roles.taken["text"][0], pair=roles.one("pair"), label=roles.taken.get("label", ()), id=roles.one("id"),
        group=roles.one("group"), split=roles.one("split"), annotators=roles.taken.get("annotators", ()),
        counted=tuple(given.annotators) if isinstance(given.annotators, dict) else (), reasons=roles.reasons,
    )  # fmt: skip


def take_given(roles: Roles, given: ColumnsSection) -> None:
    """The columns the recipe names. Raises DataError with every wrong one."""
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
                problems.append(missing_column(roles, part, wanted))
            elif name in users:
                message = f"The column {name!r} is named as {users[name]} and as {part}."
                problems.append(Problem("data", roles.table.source, message, "Give each part a column of its own."))
            else:
                users[name] = part
                names.append(name)
        roles.take(part, names, SAID)
    if problems:
        raise DataError(problems)


def find_column(table: Table, wanted: str) -> str | None:
    """The column of that name, or the one at that place counted from 1; None where there is neither."""
    if wanted in table.columns:
        return wanted
    names = list(table.columns)
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    return None


def missing_column(roles: Roles, part: str, wanted: str) -> Problem:
    names = list(roles.table.columns)
    plain = {plain_name(name): name for name in names}
    near = difflib.get_close_matches(plain_name(wanted), list(plain), n=1, cutoff=0.6)
    remedy = f"Did you mean {plain[near[0]]}?" if near else f"Change columns.{part} in the recipe."
    if not roles.table.has_header:
        remedy = f"The file has no header, so its columns are counted: {listed(names)}."
    message = f"There is no column {wanted!r} for the {part}; the columns are {described(roles, names)}."
    return Problem("data", roles.table.source, message, remedy)


def described(roles: Roles, names: Sequence[str]) -> str:
    """The columns with what they hold: ``text (text of 58 characters on average), label (only 0 and 1)``."""
    return listed(f"{name} ({roles.profiles[name].words()})" for name in names)


def take_split(roles: Roles) -> None:
    """A column called split, set, ... where every cell is a word for train, validation or test, train among them."""
    if "split" in roles.taken:
        return
    for name in named(roles, column_names.SPLIT):
        words = {str(cell).strip().casefold() for cell in roles.table.columns[name] if not is_missing(cell)}
        meant = {column_names.SPLIT_WORDS.get(word) for word in words}
        if None not in meant and "train" in meant and len(meant) > 1:
            roles.take("split", [name], f"it is called {name!r} and holds {listed(sorted(words))}")
            return


def take_named(roles: Roles, part: str, names: Sequence[str]) -> None:
    if part not in roles.taken:
        for name in named(roles, names)[:1]:
            roles.take(part, [name], f"it is called {name!r}")


def named(roles: Roles, names: Sequence[str]) -> list[str]:
    """The free columns of those names, in the order of ``names``."""
    by_plain = {plain_name(name): name for name in reversed(roles.free())}
    return [by_plain[name] for name in names if name in by_plain]


def take_text(roles: Roles) -> None:
    if "text" in roles.taken:
        return
    if "pair" not in roles.taken:
        pair = named_pair(roles)
        if pair:
            roles.take("text", pair[:1], f"{pair[0]!r} and {pair[1]!r} are the usual names of a pair")
            roles.take("pair", pair[1:], f"{pair[0]!r} and {pair[1]!r} are the usual names of a pair")
            return
    for tier in column_names.TEXT:
        found = named(roles, tier)
        if len(found) > 1:
            found = [name for name in found if roles.profiles[name].is_text] or found
        if len(found) > 1:
            raise ambiguous(roles, "text", found, "are usual names of a text")
        if found:
            roles.take("text", found, f"it is called {found[0]!r} ({roles.profiles[found[0]].words()})")
            return
    take_text_by_content(roles)


def named_pair(roles: Roles) -> list[str]:
    """The two columns of a usual pair of names, both of them text."""
    for pair in column_names.PAIRS:
        found = named(roles, pair)
        if len(found) == 2 and all(roles.profiles[name].number_share < 0.5 for name in found):
            return found
    return []


def take_text_by_content(roles: Roles) -> None:
    """The column that reads like language; two of similar length in a file without names are a pair."""
    texts = [name for name in roles.free() if roles.profiles[name].is_text]
    texts.sort(key=lambda name: -roles.profiles[name].mean_chars)
    longest = roles.profiles[texts[0]].mean_chars if texts else 0.0
    rivals = [name for name in texts if roles.profiles[name].mean_chars * LENGTH_RATIO > longest]
    if not rivals:
        rivals = [name for name in roles.free() if is_short_text(roles.profiles[name])]
    if not rivals:
        columns = described(roles, list(roles.table.columns))
        raise DataError.one(
            roles.table.source,
            f"No column looks like text; the columns are {columns}.",
            'Say which it is: "columns: {text: NAME}".',
        )
    if len(rivals) == 2 and not roles.table.has_header and "pair" not in roles.taken:
        first, second = (name for name in roles.table.columns if name in rivals)
        reason = "the two columns that read like language, in a file without column names"
        roles.take("text", [first], reason)
        roles.take("pair", [second], reason)
    elif len(rivals) > 1:
        raise ambiguous(roles, "text", rivals, "read like text")
    else:
        why = "the only column that reads like language" if len(texts) < 2 else "by far the longest texts"
        roles.take("text", rivals, f"{why} ({roles.profiles[rivals[0]].words()})")


def is_short_text(found: Profile) -> bool:
    """Mostly different short words: the last resort for tables of single words or names."""
    return (
        found.n > 0
        and found.number_share < 0.5
        and found.list_share == 0
        and found.distinct_share >= 0.5
        and found.mean_chars >= 3
    )


def take_label(roles: Roles, task: str, need_label: bool) -> None:
    numeric = TASKS[task].numeric_labels
    tiers = column_names.SCORE if numeric else column_names.LABEL
    for tier in tiers:
        found = [name for name in named(roles, tier) if roles.profiles[name].n]
        if numeric:
            found = [name for name in found if roles.profiles[name].number_share >= 0.9]
        if len(found) > 1:
            found = [name for name in found if roles.profiles[name].is_classes or roles.profiles[name].is_score] or found
        if len(found) > 1:
            raise ambiguous(roles, "label", found, "are usual names of a label")
        if found:
            roles.take("label", found, f"it is called {found[0]!r} ({roles.profiles[found[0]].words()})")
            return
    best = best_labels(roles, task)
    if len(best) > 1 and need_label:
        raise ambiguous(roles, "label", best, "could hold the label")
    if len(best) == 1:
        roles.take("label", best, f"by its content: {roles.profiles[best[0]].words()}")
    elif need_label:
        columns = described(roles, list(roles.table.columns))
        raise DataError.one(
            roles.table.source,
            f"No column looks like a label; the columns are {columns}.",
            'Say which it is: "columns: {label: NAME}".',
        )


def best_labels(roles: Roles, task: str) -> list[str]:
    """The columns that are the best candidates by content: numbered classes, else few values, else (and for scores) numbers."""
    free = [name for name in roles.free() if roles.profiles[name].n and roles.profiles[name].missing_share < 0.5]
    scores = [name for name in free if roles.profiles[name].is_score]
    codes = [name for name in free if roles.profiles[name].is_codes]
    classes = [name for name in free if roles.profiles[name].is_classes]
    if TASKS[task].numeric_labels:
        return scores or [name for name in free if roles.profiles[name].number_share >= 0.9 and roles.profiles[name].distinct > 1]
    return codes or classes or scores


def take_group(roles: Roles) -> None:
    """A column of a usual group name whose values repeat, with enough different ones to divide by."""
    if "group" in roles.taken:
        return
    for name in named(roles, column_names.GROUP):
        found = roles.profiles[name]
        if found.distinct >= FEWEST_GROUPS and found.distinct_share < 0.9 and found.missing_share < 0.5 and found.list_share == 0:
            roles.take(
                "group", [name], f"it is called {name!r} and its {found.distinct} values repeat: rows of one value stay together"
            )
            return


def take_key(roles: Roles) -> None:
    """In a file without names: the only column with a different short value in every row."""
    if "id" in roles.taken or roles.table.has_header:
        return
    keys = [name for name in roles.free() if roles.profiles[name].is_key]
    if len(keys) == 1:
        roles.take("id", keys, "a different value without spaces in every row")


def ambiguous(roles: Roles, part: str, names: Sequence[str], what: str) -> DataError:
    """The question to the user, with the recipe line for each answer."""
    message = f"{len(names)} columns {what}: {described(roles, names)}."
    lines = " or ".join(f'"columns: {{{part}: {name}}}"' for name in names)
    return DataError([Problem("data", roles.table.source, message, f"Say which one under data in the recipe: {lines}.")])
