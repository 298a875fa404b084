"""Builds the usable pairs and judged answers of a table, and the reasons of left-out rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith.data.cells import clip, is_missing, is_number, plural
from tunesmith.data.chat.formats import are_dialogues, parse_messages
from tunesmith.data.chat.messages import NotUsable, Turns
from tunesmith.data.chat.rows import with_context
from tunesmith.data.preferences.dialogues import answer_turns, prompt_turns, same_turns, split_dialogue
from tunesmith.data.preferences.formats import OBJECT_RANK, OBJECT_SCORE, OBJECT_TEXT, PreferenceFormat
from tunesmith.data.preferences.judgements import Judgements, read_judgements, read_winners
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.data.split import spread_positions
from tunesmith.data.table import Table, repaired_rows, unread_rows
from tunesmith.errors import DataError, InputError

WITHOUT_PROMPT, EMPTY_PROMPT = "without a prompt", "with an empty prompt"
WITHOUT_ANSWER, EMPTY_ANSWER = "without an answer", "with an empty answer"
OTHER_PROMPTS = "whose two answers follow different prompts"
SAME_ANSWERS = "whose two answers are the same"
TIED, WITHOUT_JUDGEMENT = "with a tie", "without a judgement"
NO_LISTS = "with lists of answers and scores of different lengths"
ONE_ANSWER = "whose prompt has no answer with another score"
MOST_PAIRS = 64
"""Pairs of the answers to one prompt; of more, which a few dozen answers make, so many are taken evenly."""


@dataclass(frozen=True)
class Pair:
    """A chosen and a rejected answer to one prompt."""

    prompt: Turns
    chosen: Turns
    rejected: Turns
    gap: float | None = None
    margin: float | None = None


@dataclass
class PairList:
    """The pairs that are read from a table so far, with the positions of their rows and the reasons of left-out rows."""

    table: Table
    pairs: list[Pair] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    reasons: dict[str, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, position: int, pair: Pair) -> None:
        """Adds a pair. Raises NotUsable if both answers are the same."""
        if same_turns(pair.chosen, pair.rejected):
            raise NotUsable(SAME_ANSWERS)
        self.pairs.append(pair)
        self.positions.append(position)

    def leave_out(self, position: int, reason: str) -> None:
        self.reasons.setdefault(reason, []).append(self.table.row_ids[position])

    def each_row(self, read: Callable[[int], None]) -> None:
        """Calls a function with the position of each row, and leaves out those for which it raises NotUsable."""
        for i in range(len(self.table)):
            try:
                read(i)
            except NotUsable as reason:
                self.leave_out(i, str(reason))


def usable_preferences(
    table: Table, row_format: PreferenceFormat, split: str, *, labels: Mapping[str, Any], group: str | None, notes: list[str]
) -> PreferencePairs | JudgedAnswers:
    """Builds the rows of a table that hold a preference. Raises DataError if no row is left, or for a negative margin.

    Left out and counted are rows without a prompt or an answer, with an empty answer, with two equal answers, with a tie, and
    whose answers follow different prompts. A list of answers gives a pair for each two of different scores.

    Args:
        labels: maps cells to judgements, see ``judgements``.
        group: the column of groups.
    """
    found = PairList(table, reasons=unread_rows(table))
    cells = Cells(table, row_format)
    if row_format.kind == "judged":
        return judged_answers(cells, found, split, read_judgements(table, row_format, labels), group)
    READERS[row_format.kind](cells, found, labels)
    notes += found.notes
    if not found.pairs:
        raise nothing_left(found, row_format)
    pairs, positions = found.pairs, found.positions
    margins = [pair.margin for pair in pairs if pair.margin is not None]
    gaps = [pair.gap for pair in pairs if pair.gap is not None]
    return PreferencePairs(
        split,
        table.source,
        tuple(table.row_ids[i] for i in positions),
        kind=row_format.kind,
        columns=tuple(row_format.columns.values()),
        prompts=tuple(pair.prompt for pair in pairs),
        chosen=tuple(pair.chosen for pair in pairs),
        rejected=tuple(pair.rejected for pair in pairs),
        margins=tuple(margins) if margins else None,
        gaps=tuple(gaps) if gaps else None,
        rows=raw_rows(table, positions),
        **provenance(found, positions, group),
    )


def provenance(found: PairList, positions: Sequence[int], group: str | None) -> dict[str, Any]:
    """Returns the fields that tell where rows come from."""
    table = found.table
    return {
        "groups": None if group is None else table.groups(group, positions),
        "left_out": {reason: tuple(ids) for reason, ids in found.reasons.items()},
        "repairs": repaired_rows(table),
        "rows_read": table.rows_read or len(table),
        "sha256": table.sha256,
    }


def raw_rows(table: Table, positions: Sequence[int]) -> tuple[Mapping[str, Any], ...]:
    return tuple({name: column[i] for name, column in table.columns.items()} for i in positions)


def nothing_left(found: PairList, row_format: PreferenceFormat) -> InputError:
    """Returns the error of a table without a usable row, with the reasons."""
    counted = "; ".join(f"{len(ids):,} {reason}" for reason, ids in found.reasons.items())
    message = f"none of {plural(len(found.table), 'row')} can be used ({counted}). They were read as {row_format.sentence()}."
    remedy = "Both answers must be texts that differ, and follow one prompt."
    return DataError.one(found.table.source, message, remedy)


@dataclass(frozen=True)
class Cells:
    """The cells of a table by part."""

    table: Table
    row_format: PreferenceFormat

    def cell(self, part: str, i: int) -> Any:
        name = self.row_format.columns.get(part)
        return None if name is None else self.table.columns[name][i]

    def column(self, part: str) -> Sequence[Any]:
        return self.table.columns[self.row_format.columns[part]]

    def prompt(self, i: int) -> Turns:
        """Returns the prompt of a row with its context before it; empty without a column. Raises NotUsable for an empty cell."""
        own: Turns = ()
        if "prompt" in self.row_format.columns:
            cell = self.cell("prompt", i)
            if is_missing(cell) or cell == []:
                raise NotUsable(WITHOUT_PROMPT)
            own = prompt_turns(cell)
            if all(turn.role == "assistant" or turn.is_empty for turn in own):
                raise NotUsable(EMPTY_PROMPT)
        return self.in_context(own, i)

    def in_context(self, turns: Turns, i: int) -> Turns:
        """Puts the system prompt and the history of a row before its turns."""
        return with_context(turns, {part: self.cell(part, i) for part in ("system", "history")}) if turns else ()

    def answer(self, cell: object, prompt: Turns) -> Turns:
        """Reads an answer. Raises NotUsable for a missing or an empty one."""
        if cell is None or cell == []:
            raise NotUsable(WITHOUT_ANSWER)
        return not_empty(answer_turns(cell, prompt))


def not_empty(answer: Turns) -> Turns:
    """Returns an answer. Raises NotUsable for an empty one."""
    if answer[-1].is_empty:
        raise NotUsable(EMPTY_ANSWER)
    return answer


def read_chosen_rejected(cells: Cells, found: PairList, _labels: Mapping[str, Any]) -> None:
    """Reads rows of a chosen and a rejected answer, or of two dialogues that end with them."""
    dialogues = [are_dialogues(cells.column(part)) for part in ("chosen", "rejected")]
    repeats = "prompt" in cells.row_format.columns and repeats_prompt(cells)
    if repeats:
        found.notes.append(f"{cells.table.source}: both answers begin with the prompt, which is left out of them.")

    def read(i: int) -> None:
        sides = cells.cell("chosen", i), cells.cell("rejected", i)
        if any(is_missing(side) and not isinstance(side, str) for side in sides):
            raise NotUsable(WITHOUT_ANSWER)
        prompt = cells.prompt(i)
        if prompt and not all(dialogues):
            sides = tuple(without_prompt(side, cells.cell("prompt", i)) for side in sides) if repeats else sides
            chosen, rejected = (cells.answer(side, prompt) for side in sides)
        else:
            of_chosen, of_rejected = (
                split_dialogue(side, is_dialogue=is_one) for side, is_one in zip(sides, dialogues, strict=True)
            )
            if not same_turns(of_chosen[0], of_rejected[0]):
                raise NotUsable(OTHER_PROMPTS)
            chosen, rejected = not_empty(of_chosen[1]), not_empty(of_rejected[1])
            prompt = cells.in_context(of_chosen[0], i)
        found.add(i, Pair(prompt, chosen, rejected, margin=margin_of(cells, i)))

    found.each_row(read)


def repeats_prompt(cells: Cells) -> bool:
    """Tells whether the texts of nearly all answers begin with their prompt."""
    rows = [
        (prompt, side)
        for prompt, *sides in zip(*(cells.column(part) for part in ("prompt", "chosen", "rejected")), strict=True)
        for side in sides
        if isinstance(prompt, str) and isinstance(side, str) and prompt.strip() and side.strip()
    ]
    return bool(rows) and sum(side.lstrip().startswith(prompt.strip()) for prompt, side in rows) >= 0.9 * len(rows)


def without_prompt(cell: Any, prompt: Any) -> Any:
    """Leaves the prompt out of the beginning of an answer."""
    return cell.lstrip().removeprefix(prompt.strip()).lstrip() if isinstance(cell, str) and isinstance(prompt, str) else cell


def margin_of(cells: Cells, i: int) -> float | None:
    """Returns the margin of a row. Raises DataError for one that is negative or no number; None without a column."""
    if "margin" not in cells.row_format.columns:
        return None
    cell = cells.cell("margin", i)
    if not is_number(cell) or float(cell) < 0:
        message = f"The margin is {clip(cell)}; it is a number of at least 0, by which the chosen answer should be ahead."
        remedy = "A negative margin would reward the rejected answer: exchange the two answers, or correct the margin."
        raise DataError.one(f"{cells.table.source}, {cells.table.place(i)}", message, remedy)
    return float(cell)


def read_compared(cells: Cells, found: PairList, labels: Mapping[str, Any]) -> None:
    """Reads rows of two answers and which of them is better."""
    winners = read_winners(cells.table, cells.row_format, labels)

    def read(i: int) -> None:
        winner = winners.at(i)
        if winner is None:
            raise NotUsable(TIED if winners.is_tie(i) else WITHOUT_JUDGEMENT)
        first, second = cells.cell("completion", i), cells.cell("second", i)
        if "prompt" in cells.row_format.columns:
            prompt = cells.prompt(i)
            answers = [cells.answer(cell, prompt) for cell in (first, second)]
        else:
            split = [split_dialogue(cell, is_dialogue=is_one) for cell, is_one in ((first, dialogues[0]), (second, dialogues[1]))]
            if not same_turns(split[0][0], split[1][0]):
                raise NotUsable(OTHER_PROMPTS)
            prompt, answers = split[0][0], [not_empty(answer) for _, answer in split]
        chosen, rejected = answers if winner else reversed(answers)
        found.add(i, Pair(prompt, chosen, rejected))

    dialogues = [are_dialogues(cells.column(part)) for part in ("completion", "second")]
    found.each_row(read)


def read_lists(cells: Cells, found: PairList, _labels: Mapping[str, Any]) -> None:
    """Reads rows of a prompt with a list of answers and their scores or ranks: a pair for each two that differ."""
    sign = -1.0 if cells.row_format.kind == "ranked" else 1.0

    def read(i: int) -> None:
        prompt = cells.prompt(i)
        texts, values = list_of_answers(cells, i)
        answers = [(cells.answer(text, prompt), sign * value) for text, value in zip(texts, values, strict=True)]
        add_pairs(found, prompt, [(i, answer, value) for answer, value in answers])

    found.each_row(read)


def list_of_answers(cells: Cells, i: int) -> tuple[list[Any], list[float]]:
    """Returns the answers of a row with the number of each; those without a number are left out. Raises NotUsable."""
    items = parse_messages(cells.cell("completion", i))
    if not isinstance(items, list | tuple) or not items:
        raise NotUsable(WITHOUT_ANSWER)
    part = "rank" if cells.row_format.kind == "ranked" else "score"
    if part in cells.row_format.columns:
        values = parse_messages(cells.cell(part, i))
        if not isinstance(values, list | tuple) or len(values) != len(items):
            raise NotUsable(NO_LISTS)
        both = list(zip(items, values, strict=True))
    else:
        keys = OBJECT_RANK if part == "rank" else OBJECT_SCORE
        both = [(first_value(item, OBJECT_TEXT), first_value(item, keys)) for item in items]
    usable = [(text, float(value)) for text, value in both if is_number(value)]
    return [text for text, _ in usable], [value for _, value in usable]


def first_value(item: Any, keys: Sequence[str]) -> Any:
    """Returns the value of the first of these keys that an object has."""
    return next((item[key] for key in keys if isinstance(item, Mapping) and item.get(key) is not None), None)


def add_pairs(found: PairList, prompt: Turns, answers: Sequence[tuple[int, Turns, float]]) -> None:
    """Adds a pair for each two answers of different scores, at most so many of one prompt. Raises NotUsable if there is none.

    Args:
        answers: the position of the row, the answer, and its score.
    """
    better = sorted(answers, key=lambda answer: -answer[2])
    pairs = [
        (better[a], better[b])
        for a in range(len(better))
        for b in range(a + 1, len(better))
        if better[a][2] > better[b][2] and not same_turns(better[a][1], better[b][1])
    ]
    if not pairs:
        raise NotUsable(TIED if len(answers) > 1 else ONE_ANSWER)
    for k in spread_positions(len(pairs), MOST_PAIRS):
        (i, chosen, high), (_, rejected, low) = pairs[k]
        found.add(i, Pair(prompt, chosen, rejected, gap=high - low))


def read_rated(cells: Cells, found: PairList, _labels: Mapping[str, Any]) -> None:
    """Reads rows of one answer with a score; the answers to one prompt are compared with each other."""
    by_prompt: dict[tuple[tuple[str, str], ...], list[tuple[int, Turns, Turns, float]]] = {}

    def read(i: int) -> None:
        prompt, cell = cells.prompt(i), cells.cell("score", i)
        if not is_number(cell):
            raise NotUsable(WITHOUT_JUDGEMENT)
        answer = cells.answer(cells.cell("completion", i), prompt)
        by_prompt.setdefault(key_of(prompt), []).append((i, prompt, answer, float(cell)))

    found.each_row(read)
    for answers in by_prompt.values():
        try:
            add_pairs(found, answers[0][1], [(i, answer, score) for i, _, answer, score in answers])
        except NotUsable:
            for i, *_ in answers:
                found.leave_out(i, ONE_ANSWER)


def key_of(turns: Turns) -> tuple[tuple[str, str], ...]:
    """Returns what two equal prompts have in common."""
    return tuple((turn.role, turn.content.strip()) for turn in turns)


READERS: Mapping[str, Callable[[Cells, PairList, Mapping[str, Any]], None]] = {
    "chosen_rejected": read_chosen_rejected,
    "compared": read_compared,
    "scored": read_lists,
    "ranked": read_lists,
    "rated": read_rated,
}


def judged_answers(cells: Cells, found: PairList, split: str, judgements: Judgements, group: str | None) -> JudgedAnswers:
    """Reads rows of one answer that is good or bad. Raises DataError if none is left."""
    table, rows = cells.table, list[tuple[int, Turns, Turns, bool]]()

    def read(i: int) -> None:
        desirable = judgements.at(i)
        if desirable is None:
            raise NotUsable(TIED if judgements.is_tie(i) else WITHOUT_JUDGEMENT)
        prompt, cell = cells.prompt(i), cells.cell("completion", i)
        if "prompt" not in cells.row_format.columns:
            prompt, answer = split_dialogue(cell, is_dialogue=is_dialogue)
            rows.append((i, cells.in_context(prompt, i), not_empty(answer), desirable))
        else:
            rows.append((i, prompt, cells.answer(cell, prompt), desirable))

    is_dialogue = are_dialogues(cells.column("completion"))
    found.each_row(read)
    if not rows:
        raise nothing_left(found, cells.row_format)
    positions = [i for i, *_ in rows]
    return JudgedAnswers(
        split,
        table.source,
        tuple(table.row_ids[i] for i in positions),
        kind=cells.row_format.kind,
        columns=tuple(cells.row_format.columns.values()),
        prompts=tuple(prompt for _, prompt, _, _ in rows),
        answers=tuple(answer for _, _, answer, _ in rows),
        desirable=tuple(desirable for *_, desirable in rows),
        rows=raw_rows(table, positions),
        **provenance(found, positions, group),
    )
