"""Finds where two records of runs differ (``record_runs.py``)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from run_record import key_tree

ABSENT = "(absent)"
MOST_CHARACTERS = 160
OF_VERBS = ("verbs", "made", "made_tables")


def shown(value: Any) -> str:
    """Return a value as JSON on one line, long ones cut."""
    text = value if value is ABSENT else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} …"


def same(before: Any, after: Any) -> bool:
    """Return whether two JSON values are equal, types and the sign of zero included."""
    return json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)


def walk(before: Any, after: Any, place: str) -> Iterator[str]:
    """Give one line for each place in which two JSON values differ."""
    if same(before, after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from walk(before.get(key, ABSENT), after.get(key, ABSENT), f"{place} / {key}")
    elif isinstance(before, list) and isinstance(after, list):
        yield from walk_lists(before, after, place)
    else:
        yield f"{place}: {shown(before)} -> {shown(after)}"


def walk_lists(before: list[Any], after: list[Any], place: str) -> Iterator[str]:
    """Give one line for each item that was changed, added or removed."""
    first, second = ([json.dumps(item, sort_keys=True) for item in items] for items in (before, after))
    for kind, low, high, start, stop in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if kind != "equal":
            pairs = zip_longest(before[low:high], after[start:stop], fillvalue=ABSENT)
            for number, (old, new) in enumerate(pairs):
                yield from walk(old, new, f"{place}[{low + number}]")


def structure(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a run's record does not depend on the last bits of floats: keys, columns, files, counts, exit codes."""
    verbs, tables = run.get("verbs", {}), run["tables"] | run.get("made_tables", {})
    return {
        "train": {"exit_code": run["train"]["exit_code"]},
        "verbs": {
            name: {"exit_code": done["exit_code"], "keys": sorted(key_tree(done["output"]))} for name, done in verbs.items()
        },
        "files": dict.fromkeys(run["files"] | run.get("made", {}), "present"),
        "tables": {name: {"rows": table["rows"], "columns": types_of(table)} for name, table in tables.items()},
        "result_keys": run.get("result_keys", []),
        "alarms": sorted(run.get("result", {}).get("alarms") or {}),
    }


def types_of(table: Mapping[str, Any]) -> dict[str, str]:
    """Return column -> type."""
    return {name: column["type"] for name, column in table["columns"].items()}


def notes_and_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return what a reader should know of the comparison, and one line for each difference.

    Runs that only one record has count as differences, unless the other one was restricted to some runs. The verbs are not
    compared where one of the records has none.
    """
    notes, lines = [], []
    machines = list(walk(before["fingerprint"], after["fingerprint"], "machine"))
    if machines:
        notes += [*machines, "The machines differ, so floats may differ in their last bits: only the structure is compared."]
    with_verbs = before["with_verbs"] and after["with_verbs"]
    if not with_verbs:
        notes.append("One of the records has no verbs: only the trainings are compared.")
    for name in dict.fromkeys([*before["runs"], *after["runs"]]):
        old, new = (compared(record["runs"].get(name), with_verbs, exact=not machines) for record in (before, after))
        if old is not None and new is not None:
            lines += walk(old, new, name)
        elif (before if old is None else after)["only"]:
            notes.append(f"{name} is in one of the records only and was not compared.")
        else:
            lines.append(f"{name} / run: " + ("absent -> recorded" if old is None else "recorded -> absent"))
    return notes, lines


def compared(run: dict[str, Any] | None, with_verbs: bool, *, exact: bool) -> dict[str, Any] | None:
    """Return the part of a run's record that is compared; None where there is no such run."""
    if run is None:
        return None
    kept = run if with_verbs else {key: value for key, value in run.items() if key not in OF_VERBS}
    return kept if exact else structure(kept)
