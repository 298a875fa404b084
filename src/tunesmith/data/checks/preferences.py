"""Checks preference data before any model is loaded: contradictions, repeats, cycles, leakage; and the rows that are not used."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from tunesmith.data.cells import is_number
from tunesmith.data.chat.messages import Turns
from tunesmith.data.checks.rows import dropped_rows, leakage, row_finding
from tunesmith.data.column_names import plain_name
from tunesmith.data.normalise import normalise
from tunesmith.data.preferences.load import first_texts
from tunesmith.data.preferences.pairs import key_of
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.results import Finding

Key: TypeAlias = tuple[tuple[str, str], ...]


def check_pairs(splits: Mapping[str, PreferencePairs], judged: Mapping[str, JudgedAnswers]) -> tuple[Finding, ...]:
    """Runs every check of pairs.

    Args:
        splits: split name -> rows, train first.
        judged: split name -> the judged answers of which the pairs were made; empty where the rows are pairs.
    """
    train, *others = splits.values()
    found = [
        *dropped_rows(splits.values()),
        contradictions(list(splits.values())),
        *(contradictory_judgements(rows) for rows in judged.values()),
        *(repeated_pairs(rows) for rows in splits.values()),
        *(cycles(rows) for rows in splits.values()),
        *answers_elsewhere(train),
        *(scored_otherwise(rows) for rows in splits.values()),
        *leakage(train, others, first_texts, "prompt", "the prompts of {count} are in train"),
    ]
    return tuple(finding for finding in found if finding is not None)


def check_judged(splits: Mapping[str, JudgedAnswers]) -> tuple[Finding, ...]:
    """Runs every check of answers that are judged one by one."""
    train, *others = splits.values()
    found = [
        *dropped_rows(splits.values()),
        *(contradictory_judgements(rows) for rows in splits.values()),
        *(repeated_judgements(rows) for rows in splits.values()),
        *leakage(train, others, first_texts, "prompt", "the prompts of {count} are in train"),
    ]
    return tuple(finding for finding in found if finding is not None)


def pair_keys(rows: PreferencePairs) -> list[tuple[Key, Key, Key]]:
    """Returns what equal pairs have in common (N): the contents of prompt, chosen and rejected answer."""
    return [tuple(map(normal_key, parts)) for parts in zip(rows.prompts, rows.chosen, rows.rejected, strict=True)]  # type: ignore[misc]


def judged_keys(rows: JudgedAnswers) -> list[tuple[Key, Key]]:
    """Returns what equal judged answers have in common (N): the contents of prompt and answer."""
    return [(normal_key(prompt), normal_key(answer)) for prompt, answer in zip(rows.prompts, rows.answers, strict=True)]


def normal_key(turns: Turns) -> Key:
    """Returns what two lists of turns have in common that differ by case and white space only."""
    return tuple((role, normalise(content)) for role, content in key_of(turns))


def contradictions(splits: Sequence[PreferencePairs]) -> Finding | None:
    """Finds pairs of train whose answers stand the other way round in another pair with the same prompt, of any split."""
    train = splits[0]
    places: dict[tuple[Key, Key, Key], tuple[PreferencePairs, int]] = {}
    for rows in splits:
        for i, key in enumerate(pair_keys(rows)):
            places.setdefault(key, (rows, i))
    flagged = []
    for i, (prompt, chosen, rejected) in enumerate(pair_keys(train)):
        other = places.get((prompt, rejected, chosen))
        if other is not None:
            rows, k = other
            flagged.append((i, f"the other way round in row {rows.row_ids[k]} of {rows.split}"))
    summary = "{count} have a pair with the same prompt and the same answers the other way round"
    return row_finding("contradictory_pairs", train, flagged, summary, "Decide which answer is better, and remove the other row.")


def repeated_pairs(rows: PreferencePairs) -> Finding | None:
    """Finds pairs that stand several times in a split."""
    flagged = ((i, f"the same pair as row {rows.row_ids[k]}") for i, k in repeats(pair_keys(rows)))
    return row_finding("repeated_pairs", rows, flagged, "{count} repeat an earlier pair", REMOVE_REPEATS)


def repeated_judgements(rows: JudgedAnswers) -> Finding | None:
    """Finds answers to one prompt that are judged alike in several rows.

    An answer in several pairs of one row, such as a list of answers with scores, is no repeat: the row has it once.
    """
    keys = list(zip(judged_keys(rows), rows.desirable, strict=True))
    flagged = (
        (i, f"the same answer with the same judgement as row {rows.row_ids[k]}")
        for i, k in repeats(keys)
        if rows.row_ids[i] != rows.row_ids[k]
    )
    return row_finding("repeated_judgements", rows, flagged, "{count} repeat an earlier judgement of an answer", REMOVE_REPEATS)


REMOVE_REPEATS = "Remove the repeats."


def repeats(keys: Iterable[Hashable]) -> Iterator[tuple[int, int]]:
    """Yields the position of each key that stood earlier, and the position at which it stood first."""
    first: dict[Hashable, int] = {}
    for i, key in enumerate(keys):
        if first.setdefault(key, i) != i:
            yield i, first[key]


def cycles(rows: PreferencePairs) -> Finding | None:
    """Finds pairs that are part of a cycle: of three or more answers to one prompt each is preferred to the next.

    Two answers that are each preferred to the other are contradictions, not cycles.
    """
    wins: dict[Key, dict[Key, set[Key]]] = {}
    keys = pair_keys(rows)
    for prompt, chosen, rejected in keys:
        wins.setdefault(prompt, {}).setdefault(chosen, set()).add(rejected)
    flagged = []
    for i, (prompt, chosen, rejected) in enumerate(keys):
        graph = wins[prompt]
        if chosen not in graph.get(rejected, ()) and reaches(graph, rejected, chosen):
            flagged.append((i, "the rejected answer is preferred to the chosen one by way of other answers"))
    summary = "{count} are part of a cycle of preferences"
    return row_finding("cycles", rows, flagged, summary, "No reward can fit them all: decide anew, or remove these pairs.")


def reaches(graph: Mapping[Key, set[Key]], start: Key, goal: Key) -> bool:
    """Tells whether preferences lead from one answer to another."""
    seen, waiting = {start}, [start]
    while waiting:
        for answer in graph.get(waiting.pop(), ()):
            if answer == goal:
                return True
            if answer not in seen:
                seen.add(answer)
                waiting.append(answer)
    return False


def answers_elsewhere(rows: PreferencePairs) -> Iterator[Finding | None]:
    """Finds answers that begin with a role, as if they were whole dialogues."""
    roles = ("assistant:", "human:", "user:", "### response")
    flagged = [
        (i, "an answer begins with the name of a role")
        for i, answers in enumerate(zip(rows.chosen, rows.rejected, strict=True))
        if any(answer[0].content.lstrip().casefold().startswith(roles) for answer in answers)
    ]
    remedy = "Write the answer alone, and the dialogue before it into the prompt."
    yield row_finding("answers_with_role", rows, flagged, "{count} have an answer that begins with a role", remedy)


def scored_otherwise(rows: PreferencePairs) -> Finding | None:
    """Finds pairs whose rejected answer has the higher score, in columns such as ``score_chosen`` and ``score_rejected``."""
    flagged = []
    for i, cells in enumerate(rows.rows if rows.kind == "chosen_rejected" else ()):
        named = {plain_name(name): cell for name, cell in cells.items()}
        for names in SCORES_OF_SIDES:
            high, low = (named.get(name) for name in names)
            if is_number(high) and is_number(low) and float(high) < float(low):  # type: ignore[arg-type]
                flagged.append((i, f"{names[0]} is {high}, {names[1]} is {low}"))
    remedy = "If it is so in most rows, chosen and rejected are exchanged: see data.columns."
    return row_finding(
        "scored_otherwise", rows, flagged, "{count} have a rejected answer with a higher score than the chosen", remedy
    )


SCORES_OF_SIDES = tuple(
    names for word in ("score", "rating", "avg_rating", "reward")
    for names in ((f"{word}_chosen", f"{word}_rejected"), (f"chosen_{word}", f"rejected_{word}"))
)  # fmt: skip
"""Usual names of the scores of a chosen and a rejected answer."""


def contradictory_judgements(rows: JudgedAnswers) -> Finding | None:
    """Finds answers to one prompt that are judged good in one row and bad in another."""
    first: dict[tuple[Key, Key], int] = {}
    flagged = []
    for i, key in enumerate(judged_keys(rows)):
        k = first.setdefault(key, i)
        if rows.desirable[k] != rows.desirable[i]:
            flagged += [(k, f"judged otherwise in row {rows.row_ids[i]}"), (i, f"judged otherwise in row {rows.row_ids[k]}")]
    summary = "{count} hold an answer that is good in one row and bad in another"
    return row_finding("contradictory_judgements", rows, flagged, summary, "Decide which it is, and remove the other row.")
