"""Reads prompts with lists of candidate answers and their scores, without torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tunesmith.data.cells import plural
from tunesmith.data.chat.messages import NotUsable, Turns
from tunesmith.data.preferences.formats import detect_preference_format
from tunesmith.data.preferences.pairs import ONE_ANSWER, TIED, list_of_answers
from tunesmith.data.preferences.row_cells import Cells
from tunesmith.data.preferences.within_prompts import WithinPrompts
from tunesmith.data.readers.read import read_table
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection


@dataclass(frozen=True)
class Candidates:
    """The answers to one prompt with their scores, which differ."""

    prompt: Turns
    answers: tuple[Turns, ...]
    scores: tuple[float, ...]


def read_candidates(source: str, notes: list[str]) -> list[Candidates]:
    """Reads the lists of a file, relative to the current folder; those without two different scores are left out.

    Raises DataError if none is left.

    Args:
        notes: gets sentences about the lists and the answers that are left out.
    """
    table = read_table(source, base=Path(), split="test")
    row_format = detect_preference_format(table, ColumnsSection())
    found, within, reasons = list[Candidates](), WithinPrompts(), Counter[str]()
    if row_format.kind in ("scored", "ranked"):
        cells, sign = Cells(table, row_format), -1.0 if row_format.kind == "ranked" else 1.0
        for i in range(len(table)):
            try:
                prompt = cells.prompt(i)
                scored, n_unscored = list_of_answers(cells, i)
                answers = tuple(cells.answer(text, prompt) for text, _ in scored)
            except NotUsable as reason:
                reasons[str(reason)] += 1
                continue
            if len({value for _, value in scored}) < 2:
                reasons[TIED if len(scored) > 1 else ONE_ANSWER] += 1
                continue
            found.append(Candidates(prompt, answers, tuple(sign * value for _, value in scored)))
            within.unscored += n_unscored
    if not found:
        message = f"it holds no prompts with lists of answers and different scores ({row_format.sentence()})."
        raise DataError.one(source, message, "Give prompt, responses and scores.")
    notes += [f"{plural(n, 'row')} of {source} {reason} {'is' if n == 1 else 'are'} not used." for reason, n in reasons.items()]
    notes += within.notes(source)
    return found
