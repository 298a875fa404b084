"""Fits tokenised rows to the length limit: unchanged, truncated, split into windows, or dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.errors import RecipeError
from tunesmith.models.chat.spans import LossOn
from tunesmith.models.chat.template import edges, end_token
from tunesmith.models.encode import IGNORE_INDEX

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LongRows = Literal["drop", "truncate", "split", "error"]
Ids = np.ndarray[Any, np.dtype[np.int32]]

# Reasons for dropped rows, which are keys in result.json.
TOO_LONG = "longer than {} tokens"
ANSWER_TOO_LONG = "whose answer leaves no room for its question in {} tokens"
LEAST_PROMPT = 1 / 8
"""Share of the limit that a truncated row keeps at least for the tokens before the answer, since an answer needs its question."""


@dataclass(frozen=True)
class Row:
    """One tokenised row.

    Attributes:
        answer: position of the first token of the last answer; 0 in a plain text.
        rejoined: prompt and answer were tokenised apart, since one token would span both.
        is_pair: the ids are the input of an encoder, and the labels the target of a decoder, of another length.
    """

    ids: Ids
    labels: Ids
    answer: int = 0
    rejoined: bool = False
    is_pair: bool = False

    @property
    def n_supervised(self) -> int:
        """Counts the tokens with a loss."""
        return int((self.labels != IGNORE_INDEX).sum()) if self.is_pair else n_supervised(self.labels)


Fitted = tuple[list[Row], str, int, bool]
"""Rows, the reason if there are none, supervised tokens lost, and whether the limit was exceeded."""


def fit_row(row: Row, max_length: int | None, long_rows: LongRows, bos_id: int | None, loss_on: LossOn) -> Fitted:
    """Fits a conversation to the limit: unchanged, truncated on the left, or dropped."""
    n = len(row.ids)
    if max_length is None or n <= max_length:
        return [row], "", 0, False
    if long_rows != "truncate":
        return [], TOO_LONG.format(max_length), n_supervised(row.labels), True
    n_bos = 1 if bos_id is not None and row.ids[0] == bos_id else 0
    start = n - (max_length - n_bos)
    if row.answer - start < LEAST_PROMPT * max_length:
        return [], ANSWER_TOO_LONG.format(max_length), n_supervised(row.labels), True
    labels = row.labels[start:].copy()
    if loss_on != "all" and row.labels[start - 1] != IGNORE_INDEX and labels[0] != IGNORE_INDEX:
        labels[: int(np.argmax(labels == IGNORE_INDEX))] = IGNORE_INDEX
    ids = np.concatenate([row.ids[:n_bos], row.ids[start:]])
    cut = Row(ids, np.concatenate([row.labels[:n_bos], labels]), 0, row.rejoined)
    return [cut], "", n_supervised(row.labels) - n_supervised(cut.labels), True


def fit_text(ids: list[int], frame: Frame, max_length: int | None, long_rows: LongRows) -> Fitted:
    """Fits a text to the limit: unchanged, truncated on the right, split into windows, or dropped."""
    body = [*ids, *frame.last]
    room = len(body) if max_length is None else max_length - len(frame.before) - len(frame.after)
    if max_length is not None and room < 1:
        message = (
            f"{plural(max_length, 'token', 'leaves', 'leave')} no room for a text between the tokens that the "
            "tokenizer puts around it."
        )
        raise RecipeError.one("data.max_length", message, "Give more.")
    if len(body) <= room:
        return [frame.wrap(body)], "", 0, False
    if long_rows == "split":
        return [frame.wrap(body[first:last]) for first, last in windows(len(body), room)], "", 0, True
    if long_rows == "truncate":
        return [frame.wrap(body[:room])], "", len(body) - room, True
    return [], TOO_LONG.format(max_length), len(body), True


@dataclass(frozen=True)
class Frame:
    """The special tokens around the tokens of a text: before each window, after each, and after the last."""

    before: list[int]
    after: list[int]
    last: list[int]
    is_supervised: bool

    def wrap(self, body: list[int]) -> Row:
        """Makes the row of a window."""
        ids = np.array([*self.before, *body, *self.after], dtype=np.int32)
        labels = ids.copy()
        if not self.is_supervised:
            labels[: len(self.before)] = IGNORE_INDEX
            labels[len(ids) - len(self.after) :] = IGNORE_INDEX
        return Row(ids, labels)


def make_frame(tokenizer: PreTrainedTokenizerBase, masked: bool) -> Frame:
    """Returns the tokenizer's frame; for a causal model the text also ends with the end-of-text token."""
    before, after = edges(tokenizer)
    if masked:
        return Frame(list(before), list(after), [], False)
    end_token(tokenizer)
    return Frame(list(before), [], [int(tokenizer.eos_token_id)], True)


def windows(n_tokens: int, room: int) -> list[tuple[int, int]]:
    """Splits a text into full windows; the last two share the rest equally, so that none is very short."""
    stops = list(range(room, n_tokens, room))
    if stops:
        begin = stops[-1] - room
        stops[-1] = begin + (n_tokens - begin + 1) // 2
    return list(zip([0, *stops], [*stops, n_tokens], strict=True))


def n_supervised(labels: Ids) -> int:
    """Counts supervised tokens. The first token is not predicted, so it never counts."""
    return int((labels[1:] != IGNORE_INDEX).sum())
