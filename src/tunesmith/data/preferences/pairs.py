"""Builds the usable pairs and judged answers of a table, and the reasons of left-out rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith.data.cells import clip, is_number, plural
from tunesmith.data.chat.formats import parse_messages
from tunesmith.data.chat.messages import NotUsable, Turns
from tunesmith.data.preferences.dialogues import same_turns
from tunesmith.data.preferences.formats import OBJECT_RANK, OBJECT_SCORE, OBJECT_TEXT, PreferenceFormat
from tunesmith.data.preferences.judgements import Judgements, read_judgements, read_winners
from tunesmith.data.preferences.row_cells import WITHOUT_ANSWER, Cells
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.data.preferences.within_prompts import WithinPrompts
from tunesmith.data.table import Table, repaired_rows, unread_rows
from tunesmith.errors import DataError, InputError

SAME_ANSWERS = "whose two answers are the same"
TIED, WITHOUT_JUDGEMENT = "with a tie", "without a judgement"
NO_SUCH_ANSWER = "with the position of an answer that its list has not"
NO_LISTS = "with lists of answers and scores of different lengths"
ONE_ANSWER = "whose prompt has no answer with another score"
NONE_DIFFERENT = "whose prompt has no different answer with another score"


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
    """The pairs that are read from a table so far, with the positions of their rows, and what is left out."""

    table: Table
    pairs: list[Pair] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    reasons: dict[str, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    within: WithinPrompts = field(default_factory=WithinPrompts)

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
    whose answers follow different prompts. A list of answers gives a pair for each two of different scores, up to a limit; the
    notes count the answers and pairs that are left out.

    Args:
        labels: maps cells to judgements, see ``judgements``.
        group: the column of groups.
    """
    found = PairList(table, reasons=unread_rows(table))
    cells = Cells(table, row_format)
    if row_format.kind == "judged":
        notes += cells.notes()
        return judged_answers(cells, found, split, read_judgements(table, row_format, labels), group)
    READERS[row_format.kind](cells, found, labels)
    notes += [*cells.notes(), *found.notes, *found.within.notes(split)]
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


def read_chosen_rejected(cells: Cells, found: PairList, _labels: Mapping[str, Any]) -> None:
    """Reads rows of a chosen and a rejected answer, or of two dialogues that end with them."""

    def read(i: int) -> None:
        prompt, chosen, rejected = cells.two_answers(i, ("chosen", "rejected"))
        found.add(i, Pair(prompt, chosen, rejected, margin=margin_of(cells, i)))

    found.each_row(read)


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
    found.notes.append(f"{cells.table.source}: {winners.sentence(cells.row_format)}.")

    def read(i: int) -> None:
        winner = winners.at(i)
        if winner is None:
            raise NotUsable(TIED if winners.is_tie(i) else WITHOUT_JUDGEMENT)
        prompt, *answers = cells.two_answers(i, ("completion", "second"))
        chosen, rejected = answers if winner else reversed(answers)
        found.add(i, Pair(prompt, chosen, rejected))

    found.each_row(read)


def read_two_scores(cells: Cells, found: PairList, _labels: Mapping[str, Any]) -> None:
    """Reads rows of two answers with a score each; the higher one is that of the better answer."""

    def read(i: int) -> None:
        scores = [cells.cell(part, i) for part in ("score", "second_score")]
        if not all(map(is_number, scores)):
            raise NotUsable(WITHOUT_JUDGEMENT)
        first, second = map(float, scores)
        if first == second:
            raise NotUsable(TIED)
        prompt, *answers = cells.two_answers(i, ("completion", "second"))
        chosen, rejected = answers if first > second else reversed(answers)
        found.add(i, Pair(prompt, chosen, rejected, gap=abs(first - second)))

    found.each_row(read)


def read_best_of_list(cells: Cells, found: PairList, _labels: Mapping[str, Any]) -> None:
    """Reads rows of a list of answers with the position of the best one: a pair of it and each other one."""
    column = cells.row_format.columns["label"]
    if not any(is_number(cell) and float(cell) == 0 for cell in cells.column("label")):
        message = f"the column {column!r} should hold the position of the best answer, counted from 0, and holds no 0."
        raise DataError.one(cells.table.source, message, "Count from 0, or give prompt, chosen and rejected.")

    def read(i: int) -> None:
        items, cell = parse_messages(cells.cell("completion", i)), cells.cell("label", i)
        if not isinstance(items, list | tuple) or not items:
            raise NotUsable(WITHOUT_ANSWER)
        if not is_number(cell):
            raise NotUsable(WITHOUT_JUDGEMENT)
        if not (0 <= float(cell) < len(items) and float(cell).is_integer()):
            raise NotUsable(NO_SUCH_ANSWER)
        texts = [first_value(item, OBJECT_TEXT) if isinstance(item, Mapping) else item for item in items]
        prompt = cells.prompt(i)
        answers = [cells.answer(text, prompt) for text in texts]
        add_pairs(found, prompt, [(i, answer, float(k == int(float(cell)))) for k, answer in enumerate(answers)], has_gap=False)

    found.each_row(read)


def read_lists(cells: Cells, found: PairList, _labels: Mapping[str, Any]) -> None:
    """Reads rows of a prompt with a list of answers and their scores or ranks: a pair for each two that differ."""
    sign = -1.0 if cells.row_format.kind == "ranked" else 1.0

    def read(i: int) -> None:
        prompt = cells.prompt(i)
        scored, n_unscored = list_of_answers(cells, i)
        add_pairs(found, prompt, [(i, cells.answer(text, prompt), sign * value) for text, value in scored])
        found.within.unscored += n_unscored

    found.each_row(read)


def list_of_answers(cells: Cells, i: int) -> tuple[list[tuple[Any, float]], int]:
    """Returns the answers of a row with the score or rank of each, and how many have none. Raises NotUsable."""
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
    scored = [(text, float(value)) for text, value in both if is_number(value)]
    return scored, len(both) - len(scored)


def first_value(item: Any, keys: Sequence[str]) -> Any:
    """Returns the value of the first of these keys that an object has."""
    return next((item[key] for key in keys if isinstance(item, Mapping) and item.get(key) is not None), None)


def add_pairs(found: PairList, prompt: Turns, answers: Sequence[tuple[int, Turns, float]], *, has_gap: bool = True) -> None:
    """Adds a pair for each two answers of different scores, at most so many of one prompt. Raises NotUsable if there is none.

    Args:
        answers: the position of the row, the answer, and its score.
        has_gap: whether the difference of two scores says how much better an answer is.
    """
    better = sorted(answers, key=lambda answer: -answer[2])
    pairs = [(first, second) for k, first in enumerate(better) for second in better[k + 1 :] if first[2] > second[2]]
    used = found.within.choose(pairs, lambda answer: answer[1])
    if not used:
        raise NotUsable(NONE_DIFFERENT if pairs else TIED if len(answers) > 1 else ONE_ANSWER)
    for (i, chosen, high), (_, rejected, low) in used:
        found.add(i, Pair(prompt, chosen, rejected, gap=high - low if has_gap else None))


def read_rated(cells: Cells, found: PairList, _labels: Mapping[str, Any]) -> None:
    """Reads rows of one answer with a score or a rank; the answers to one prompt are compared with each other."""
    by_prompt: dict[tuple[tuple[str, str], ...], list[tuple[int, Turns, Turns, float]]] = {}

    part, sign = ("rank", -1.0) if "rank" in cells.row_format.columns else ("score", 1.0)

    def read(i: int) -> None:
        cell = cells.cell(part, i)
        if not is_number(cell):
            raise NotUsable(WITHOUT_JUDGEMENT)
        prompt, answer = cells.one_answer(i, "completion")
        by_prompt.setdefault(key_of(prompt), []).append((i, prompt, answer, sign * float(cell)))

    found.each_row(read)
    for answers in by_prompt.values():
        try:
            add_pairs(found, answers[0][1], [(i, answer, score) for i, _, answer, score in answers])
        except NotUsable as reason:
            for i, *_ in answers:
                found.leave_out(i, NONE_DIFFERENT if str(reason) == NONE_DIFFERENT else ONE_ANSWER)


def key_of(turns: Turns) -> tuple[tuple[str, str], ...]:
    """Returns what two equal prompts have in common."""
    return tuple((turn.role, turn.content.strip()) for turn in turns)


READERS: Mapping[str, Callable[[Cells, PairList, Mapping[str, Any]], None]] = {
    "chosen_rejected": read_chosen_rejected,
    "compared": read_compared,
    "two_scores": read_two_scores,
    "best_of_list": read_best_of_list,
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
        rows.append((i, *cells.one_answer(i, "completion"), desirable))

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
