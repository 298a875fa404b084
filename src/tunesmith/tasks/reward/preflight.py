"""Checks what a reward model reads: the end of answers, pairs that are equal after they were cut, one pair token by token."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.errors import Problem
from tunesmith.models.reward.reading import EncodedPairs
from tunesmith.preflight.report import CheckLine
from tunesmith.tasks.reward.model import RewardSession

SHOWN_CHARACTERS = 80
SAME_REMEDY = "Raise data.max_length, or write reward.truncation_side: left, which keeps the answers' ends."
NOT_ENDED = "A reward model has to tell finished answers from those that were cut off. "
KEEP_ENDS = "Use reward.truncation_side: left."
OTHER_TOKENIZER = "The tokenizer puts no special token behind a text, as [SEP] is: name a model, or model.tokenizer, that does."


def model_checks(session: RewardSession) -> Iterator[CheckLine]:
    """Checks the template, the ends of the answers, and the pairs after they were cut."""
    reader = session.reader
    if reader.template is not None:
        yield CheckLine("template", reader.template.sentence())
    else:
        yield CheckLine("template", "prompt and answer are two texts, with a separator after each")
    for pairs in session.pairs.values():
        yield same_line(pairs)
    yield ends_line(session)
    first = session.pairs["train"]
    for name, side in (("chosen", first.chosen), ("rejected", first.rejected)):
        text = session.loaded.tokenizer.decode(side.input_ids[0]).replace("\n", "⏎")
        shown = text if len(text) <= 2 * SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} … {text[-SHOWN_CHARACTERS:]}"
        yield CheckLine(f"{name} of the first pair", shown)


def same_line(pairs: EncodedPairs) -> CheckLine:
    """Counts the pairs with twice the same tokens; a problem if all are so, a note if some are."""
    n_same, name = int(pairs.same.sum()), f"same tokens in {pairs.split}"
    figure = f"{n_same:,} of {plural(len(pairs), 'pair')} ({n_same / max(1, len(pairs)):.1%})"
    if n_same == len(pairs):
        problem = Problem(
            name, "data.max_length", "both answers of every pair are the same tokens after they were cut.", SAME_REMEDY
        )
        return CheckLine(name, figure, problem)
    rows = ", ".join(str(pairs.chosen.row_ids[i]) for i in np.flatnonzero(pairs.same)[:5].tolist())
    note = f"{figure} have twice the same tokens after they were cut, such as row {rows}" if n_same else ""
    return CheckLine(name, figure, note=note, remedy=SAME_REMEDY)


def ends_line(session: RewardSession) -> CheckLine:
    """Checks that every answer ends with the token that only finished answers have."""
    sides = [side for pairs in session.pairs.values() for side in (pairs.chosen, pairs.rejected)]
    ended = [session.reader.is_ended(side) for side in sides]
    n_open, total = sum(int((~rows).sum()) for rows in ended), sum(map(len, ended))
    if n_open:
        message = f"{n_open:,} of {plural(total, 'answer')} do not end with a special token."
        is_kept = session.reader.truncation_side == "left"
        where, remedy = ("model.tokenizer", OTHER_TOKENIZER) if is_kept else ("reward.truncation_side", KEEP_ENDS)
        return CheckLine("ends", f"{n_open:,} without", Problem("ends", where, message, NOT_ENDED + remedy))
    return CheckLine("ends", f"all of {plural(total, 'answer')} end with a token that stands only after finished answers")
