"""Conversations and texts to token ids, with what is learnt of them by offsets; everything dropped, cut or divided is counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.cells import listed
from tunesmith.data.chat.rows import Conversations
from tunesmith.errors import DataError, ModelError, RecipeError
from tunesmith.models.chat.spans import CHANGED, LOST, NO_END, OTHER_PROMPT, LossOn, Refusal, Written, write
from tunesmith.models.chat.template import Template, edges
from tunesmith.models.chat.truncation import NOT_LEARNT, Ids, LongRows, Row, fit_row, fit_text, frame_of, n_learnt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHUNK_ROWS = 2_000
"""Rows that are written and tokenised at a time; the encodings of all rows would fill the memory."""
NOTHING_LEARNT = "in which nothing is learnt"
FEW = 0.01
"""A template that does not fit a smaller share of the rows costs those rows; one that does not fit more is refused."""
REMEDIES = {
    CHANGED: "Use sft.loss_on: completion, which learns the last answer only.",
    OTHER_PROMPT: "The answers must begin as the template's own prompt for them does, for instance with <think>; or use a model "
    "with another template.",
    LOST: "The template may be one for images and texts. Use a model whose template writes plain texts.",
    NO_END: "A model that never learns an end never stops. Use a model whose template ends answers with one of its tokens.",
}


@dataclass(frozen=True)
class Rendered:
    """The token ids of one split (N), one entry a row, or a window of a long text.

    Attributes:
        row_ids: of the source, one for each entry.
        positions: of the conversation that each entry comes from.
        labels: the token ids where they are learnt, else -100.
        dropped: why conversations are not here -> their row ids.
        cut, divided, rejoined: row ids of those that lost tokens, became several windows, or have prompt and answer tokenised
            apart since together their tokens run into each other.
        without_end: row ids of entries with an answer whose end-of-turn token is not learnt: none, or it is a fault.
        end_ids: the tokens that end learnt answers; generation stops at them.
        target_tokens_lost: tokens that would have been learnt, of what was cut or dropped for its length.
    """

    split: str
    row_ids: tuple[int, ...]
    positions: tuple[int, ...]
    input_ids: tuple[Ids, ...]
    labels: tuple[Ids, ...]
    max_length: int | None
    loss_on: LossOn
    dropped: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    cut: tuple[int, ...] = ()
    divided: tuple[int, ...] = ()
    rejoined: tuple[int, ...] = ()
    without_end: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()
    target_tokens_lost: int = 0

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def tokens(self) -> int:
        return sum(map(len, self.input_ids))

    @property
    def target_tokens(self) -> int:
        """Tokens that are learnt. A row's first token is not predicted, so it never counts."""
        return sum(map(n_learnt, self.labels))

    @property
    def supervised_share(self) -> float:
        """The share of the tokens that is learnt, in [0, 1]."""
        return self.target_tokens / self.tokens if len(self) else 0.0


def render_record(rendered: Rendered) -> dict[str, Any]:
    """What became of a split's rows and how much of it is learnt, for result.json; plain JSON types."""
    lengths = np.fromiter(map(len, rendered.input_ids), np.int64, len(rendered))
    return {
        "rows": len(rendered), "max_length": rendered.max_length, "loss_on": rendered.loss_on,
        "tokens": rendered.tokens, "target_tokens": rendered.target_tokens, "supervised_share": rendered.supervised_share,
        "target_tokens_lost": rendered.target_tokens_lost,
        "dropped": {reason: len(ids) for reason, ids in rendered.dropped.items()},
        "rows_cut": len(rendered.cut), "rows_divided": len(rendered.divided), "rows_rejoined": len(rendered.rejoined),
        "rows_without_end": len(rendered.without_end), "end_ids": list(rendered.end_ids),
        "length_tokens": {**{f"p{q}": int(np.percentile(lengths, q)) for q in (50, 90, 99)}, "max": int(lengths.max())},
    }  # fmt: skip


def render(
    tokenizer: PreTrainedTokenizerBase, conversations: Conversations, template: Template, max_length: int | None = None,
    loss_on: LossOn | None = None, long_rows: LongRows | None = None, *, masked: bool = False,
) -> Rendered:  # fmt: skip
    """The token ids of every row with what is learnt of them.

    A conversation begins as the template writes it and a text as the tokenizer begins texts, so a beginning-of-text token stands
    there once or not at all. The tokens before the last answer are those of the prompt at inference, in every row: where tokens
    of prompt and answer would run into each other, the two are tokenised apart. An answer is learnt with its end-of-turn token.

    Long rows: ``drop`` leaves them out, ``error`` refuses them. ``truncate`` cuts conversations at their beginning, after the
    beginning-of-text token: the last answer stays whole, since half an answer teaches to stop in the middle, and an earlier
    one that lost its beginning is not learnt; a row whose answer fills more than seven eighths is dropped. Of texts it cuts the
    end. ``split`` makes windows of a text, each of which begins as texts begin; only the last ends with the end-of-text token.

    Args:
        max_length: tokens; None is no limit.
        loss_on: ``assistant`` when not said, ``all`` for plain texts.
        long_rows: ``drop`` when not said, ``split`` for plain texts.
        masked: for a masked language model: texts stand between the tokenizer's own marks, which are not learnt.

    Raises:
        ModelError: no end-of-text token or no offsets, or the template does not fit more than 1 % of the rows.
        RecipeError: options that the form of the rows does not have.
        DataError: rows are too long and ``long_rows`` is ``error``, or no row is left.
    """
    is_text = conversations.kind == "text"
    loss_on = loss_on or ("all" if is_text else "assistant")
    long_rows = long_rows or ("split" if is_text else "drop")
    check(tokenizer, conversations, template, loss_on, long_rows)
    tally = Tally()
    if is_text:
        frame = frame_of(tokenizer, masked)
        for position, ids in text_tokens(tokenizer, conversations):
            tally.add(position, *fit_text(ids, frame, max_length, long_rows))
    else:
        for position, found in conversation_rows(tokenizer, conversations, template, loss_on):
            if isinstance(found, Refusal):
                tally.add(position, [], found.reason)
            else:
                tally.add(position, *fit_row(found, max_length, long_rows, tokenizer.bos_token_id, loss_on))
    if long_rows == "error" and tally.too_long:
        refuse_long(conversations, tally, max_length)
    if not tally.rows:
        refuse_all(conversations, tally)
    ends = [] if masked else [tokenizer.eos_token_id]
    return finished(conversations, tally, max_length, loss_on, frozenset(tokenizer.added_tokens_decoder), ends)


@dataclass
class Tally:
    """What has become of the conversations so far; all by their positions."""

    rows: list[tuple[int, Row]] = field(default_factory=list)
    dropped: dict[str, list[int]] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    divided: list[int] = field(default_factory=list)
    too_long: list[int] = field(default_factory=list)
    lost: int = 0

    def add(self, position: int, rows: Sequence[Row], reason: str = "", lost: int = 0, long: bool = False) -> None:
        """A conversation's rows: several are windows, none is one that is left out for that reason."""
        self.lost += lost
        if long:
            self.too_long.append(position)
        learnt = [row for row in rows if n_learnt(row.labels)]
        if not learnt:
            self.dropped.setdefault(reason or NOTHING_LEARNT, []).append(position)
            return
        self.rows += [(position, row) for row in learnt]
        if len(learnt) > 1:
            self.divided.append(position)
        elif long:
            self.cut.append(position)


def refuse_long(conversations: Conversations, tally: Tally, max_length: int | None) -> None:
    shown = listed((conversations.row_ids[position] for position in tally.too_long), 5)
    message = f"{len(tally.too_long):,} of {len(conversations):,} rows are longer than {max_length} tokens: rows {shown}."
    raise DataError.one(conversations.source, message, "Raise data.max_length, or say sft.long_rows: drop or truncate.")


def refuse_all(conversations: Conversations, tally: Tally) -> None:
    counted = "; ".join(f"{len(positions):,} {reason}" for reason, positions in tally.dropped.items())
    message = f"none of {len(conversations):,} rows of {conversations.split} can be learnt ({counted})."
    longest = any(reason.endswith("tokens") for reason in tally.dropped)
    remedy = "Raise data.max_length." if longest else "Correct the rows, or use a model with another chat template."
    raise DataError.one(conversations.source, message, remedy)


def finished(
    conversations: Conversations, tally: Tally, max_length: int | None, loss_on: LossOn, added: frozenset[int],
    text_ends: Sequence[int],
) -> Rendered:  # fmt: skip
    """The rendered split, by row ids; with a second look at whether every answer's end is learnt."""
    row_ids = conversations.row_ids

    def named(positions: Sequence[int]) -> tuple[int, ...]:
        return tuple(row_ids[position] for position in positions)

    is_text = conversations.kind == "text"
    ends = [text_ends if is_text else ends_of(row, loss_on, added) for _, row in tally.rows]
    return Rendered(
        conversations.split, named([position for position, _ in tally.rows]), tuple(position for position, _ in tally.rows),
        tuple(row.ids for _, row in tally.rows), tuple(row.labels for _, row in tally.rows), max_length, loss_on,
        {reason: named(positions) for reason, positions in tally.dropped.items()}, named(tally.cut), named(tally.divided),
        named([position for position, row in tally.rows if row.rejoined]),
        named([position for (position, _), found in zip(tally.rows, ends, strict=True) if not added.issuperset(found)]),
        tuple(sorted(added.intersection(end for found in ends for end in found))), tally.lost,
    )  # fmt: skip


def ends_of(row: Row, loss_on: LossOn, added: frozenset[int]) -> list[int]:
    """The last learnt token of each answer; where all is learnt, that of the last answer, which white space may follow."""
    if loss_on == "all":
        ids: list[int] = row.ids.tolist()
        return [ids[answer_stop(ids, added) - 1]]
    is_end = (row.labels != NOT_LEARNT) & np.append(row.labels[1:] == NOT_LEARNT, True)
    found: list[int] = row.labels[is_end].tolist()
    return found


def check(
    tokenizer: PreTrainedTokenizerBase, conversations: Conversations, template: Template, loss_on: LossOn, long_rows: LongRows
) -> None:
    """Raises for options and tokenizers that rows of this form cannot be rendered with."""
    if conversations.kind == "text" and loss_on != "all":
        message = f"{loss_on} is asked for, and plain texts have no answers."
        raise RecipeError.one("sft.loss_on", message, "Leave it out, or say all.")
    if conversations.kind != "text" and long_rows == "split":
        message = "split makes windows of plain texts; a conversation in pieces has answers without questions."
        raise RecipeError.one("sft.long_rows", message, "Use drop, truncate or error.")
    if not tokenizer.is_fast:
        message = "it cannot say where its tokens stand in the text, so what is learnt cannot be found."
        raise ModelError.one("tokenizer", message, "Use a model with a tokenizer.json.")
    known = tokenizer.get_vocab()
    lacking = [token for token in template.new_tokens if token not in known]
    if lacking:
        raise ValueError(f"the tokenizer lacks {lacking}: give it the template first (chat_template.adopt)")


def conversation_rows(
    tokenizer: PreTrainedTokenizerBase, conversations: Conversations, template: Template, loss_on: LossOn
) -> Iterator[tuple[int, Row | Refusal]]:
    """Each conversation's position and tokens, or why it has none.

    Raises:
        ModelError: the template does not fit more than 1 % of the rows.
    """
    before = list(edges(tokenizer)[0]) if template.source == "none" else []
    unfit: list[tuple[int, Refusal]] = []
    for start in range(0, len(conversations), CHUNK_ROWS):
        found = write(tokenizer, template, conversations.turns[start : start + CHUNK_ROWS], loss_on)
        rows = iter(tokenised(tokenizer, [one for one in found if isinstance(one, Written)], before, loss_on))
        for position, one in enumerate(found, start):
            yield position, one if isinstance(one, Refusal) else next(rows)
            if isinstance(one, Refusal) and one.reason in REMEDIES:
                unfit.append((position, one))
    if len(unfit) > FEW * len(conversations):
        position, first = unfit[0]
        where = f"{conversations.source}, row {conversations.row_ids[position]}"
        detail = f" ({first.detail})" if first.detail else ""
        message = f"{len(unfit):,} of {len(conversations):,} rows are rows {first.reason}{detail}."
        raise ModelError.one(f"chat template {template.name}; {where}", message, REMEDIES[first.reason])


def tokenised(tokenizer: PreTrainedTokenizerBase, written: Sequence[Written], before: list[int], loss_on: LossOn) -> list[Row]:
    """The tokens of each text; those before the last answer are the prompt's own."""
    if not written:
        return []
    options: dict[str, Any] = {"add_special_tokens": False, "return_attention_mask": False, "verbose": False}
    wholes = tokenizer([one.text for one in written], **options)["input_ids"]
    prompts = tokenizer([one.prompt for one in written], **options)
    added = frozenset(tokenizer.added_tokens_decoder)
    rows = []
    for i, (one, whole, prompt) in enumerate(zip(written, wholes, prompts["input_ids"], strict=True)):
        rejoined = whole[: len(prompt)] != prompt
        ids = before + (prompt + continuation(tokenizer, one.text[len(one.prompt) :]) if rejoined else whole)
        answer = len(before) + len(prompt)
        spans = [(answer, answer_stop(ids, added))]
        for first, last in one.answers[:-1]:
            spans.append(token_span(prompts, i, first, last, len(before)))
        rows.append(labelled(ids, spans, answer, rejoined, loss_on))
    return rows


def continuation(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The tokens of a text that follows another: without the space that some tokenizers put before a text."""
    line = tokenizer("\n", add_special_tokens=False)["input_ids"]
    ids: list[int] = tokenizer("\n" + text, add_special_tokens=False)["input_ids"]
    if ids[: len(line)] == line:
        return ids[len(line) :]
    alone: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return alone


def answer_stop(ids: list[int], added: frozenset[int]) -> int:
    """The place after the last special token: what follows the end of the last answer is white space."""
    return next(len(ids) - i for i, token in enumerate(reversed(ids)) if token in added)


def token_span(encodings: Any, i: int, first: int, last: int, offset: int) -> tuple[int, int]:
    """The tokens of the characters from ``first`` to ``last``. A token that begins before them is none of them."""
    start = next(token for at in range(first, last) if (token := encodings.char_to_token(i, at)) is not None)
    start += encodings.token_to_chars(i, start).start < first
    stop = encodings.char_to_token(i, last - 1) + 1
    return offset + start, offset + stop


def labelled(ids: list[int], spans: Sequence[tuple[int, int]], answer: int, rejoined: bool, loss_on: LossOn) -> Row:
    tokens = np.array(ids, dtype=np.int32)
    if loss_on == "all":
        return Row(tokens, tokens.copy(), answer, rejoined)
    labels = np.full(len(ids), NOT_LEARNT, dtype=np.int32)
    for start, stop in spans:
        labels[start:stop] = tokens[start:stop]
    return Row(tokens, labels, answer, rejoined)


def text_tokens(tokenizer: PreTrainedTokenizerBase, conversations: Conversations) -> Iterator[tuple[int, list[int]]]:
    """Each text's position and tokens, without what frames them."""
    for start in range(0, len(conversations), CHUNK_ROWS):
        texts = [turns[0].content for turns in conversations.turns[start : start + CHUNK_ROWS]]
        found = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
        yield from enumerate(found, start)
