"""Rows within the limit of tokens: whole, without their beginning or end, in windows, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.errors import RecipeError
from tunesmith.models.chat.spans import LossOn
from tunesmith.models.chat.template import edges, end_token

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LongRows = Literal["drop", "truncate", "split", "error"]
Ids = np.ndarray[Any, np.dtype[np.int32]]

NOT_LEARNT = -100
TOO_LONG = "longer than {} tokens"
ANSWER_TOO_LONG = "whose answer leaves no room for its question in {} tokens"
LEAST_PROMPT = 1 / 8
"""Of the limit: a row that is cut keeps so much of what stands before the answer, or it would answer nothing."""


@dataclass(frozen=True)
class Row:
    """One row in tokens.

    Attributes:
        answer: the place of the first token of the last answer; 0 in a plain text.
        rejoined: prompt and answer were tokenised apart, since together their tokens run into each other.
    """

    ids: Ids
    labels: Ids
    answer: int = 0
    rejoined: bool = False


Fitted = tuple[list[Row], str, int, bool]
"""Rows, why there are none, target tokens lost, and whether the limit was exceeded."""


def fit_row(row: Row, max_length: int | None, long_rows: LongRows, bos_id: int | None, loss_on: LossOn) -> Fitted:
    """A conversation within the limit: as it is, without its beginning, or not at all."""
    n = len(row.ids)
    if max_length is None or n <= max_length:
        return [row], "", 0, False
    if long_rows != "truncate":
        return [], TOO_LONG.format(max_length), n_learnt(row.labels), True
    kept = 1 if bos_id is not None and row.ids[0] == bos_id else 0
    start = n - (max_length - kept)
    if row.answer - start < LEAST_PROMPT * max_length:
        return [], ANSWER_TOO_LONG.format(max_length), n_learnt(row.labels), True
    labels = row.labels[start:].copy()
    if loss_on != "all" and row.labels[start - 1] != NOT_LEARNT and labels[0] != NOT_LEARNT:
        labels[: int(np.argmax(labels == NOT_LEARNT))] = NOT_LEARNT
    cut = Row(np.concatenate([row.ids[:kept], row.ids[start:]]), np.concatenate([row.labels[:kept], labels]), 0, row.rejoined)
    return [cut], "", n_learnt(row.labels) - n_learnt(cut.labels), True


def fit_text(ids: list[int], frame: Frame, max_length: int | None, long_rows: LongRows) -> Fitted:
    """A text within the limit: as it is, without its end, in windows, or not at all."""
    body = [*ids, *frame.last]
    room = len(body) if max_length is None else max_length - len(frame.before) - len(frame.after)
    if room < 1:
        message = f"{max_length} tokens leave no room for a text between the tokens that the tokenizer puts around it."
        raise RecipeError.one("data.max_length", message, "Give more.")
    if len(body) <= room:
        return [framed(body, frame)], "", 0, False
    if long_rows == "split":
        return [framed(body[first:last], frame) for first, last in windows(len(body), room)], "", 0, True
    if long_rows == "truncate":
        return [framed(body[:room], frame)], "", len(body) - room, True
    return [], TOO_LONG.format(max_length), len(body), True


def framed(body: list[int], frame: Frame) -> Row:
    ids = np.array([*frame.before, *body, *frame.after], dtype=np.int32)
    labels = ids.copy()
    if not frame.is_learnt:
        labels[: len(frame.before)] = NOT_LEARNT
        labels[len(ids) - len(frame.after) :] = NOT_LEARNT
    return Row(ids, labels)


@dataclass(frozen=True)
class Frame:
    """What stands around the tokens of a text: before each window, after each, and after the last."""

    before: list[int]
    after: list[int]
    last: list[int]
    is_learnt: bool


def frame_of(tokenizer: PreTrainedTokenizerBase, masked: bool) -> Frame:
    """How the tokenizer frames texts. A causal model's text ends with the end-of-text token, also where it does not add one."""
    before, after = edges(tokenizer)
    if masked:
        return Frame(list(before), list(after), [], False)
    end_token(tokenizer)
    return Frame(list(before), [], [int(tokenizer.eos_token_id)], True)


def windows(n_tokens: int, room: int) -> list[tuple[int, int]]:
    """Where a text is divided: full windows, but the last two share what is left, so that none is a stump."""
    stops = list(range(room, n_tokens, room))
    if stops:
        begin = stops[-1] - room
        stops[-1] = begin + (n_tokens - begin + 1) // 2
    return list(zip([0, *stops], [*stops, n_tokens], strict=True))


def n_learnt(labels: Ids) -> int:
    return int((labels[1:] != NOT_LEARNT).sum())
