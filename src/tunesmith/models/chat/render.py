"""Tokenises conversations and texts, with labels for the supervised tokens; counts all rows dropped, truncated or split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.cells import listed, plural
from tunesmith.data.chat.rows import Conversations
from tunesmith.errors import DataError, ModelError, RecipeError
from tunesmith.models.chat.control_tokens import continuation, tokenise
from tunesmith.models.chat.spans import CHANGED, LOST, NO_END, OTHER_PROMPT, LossOn, Refusal, RenderedChat, render_chats
from tunesmith.models.chat.template import Template, edges, lacking
from tunesmith.models.chat.truncation import Fitted, Frame, Ids, LongRows, Row, fit_row, fit_text, make_frame, n_supervised
from tunesmith.models.encode import IGNORE_INDEX

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHUNK_ROWS = 2_000
"""Rows rendered and tokenised at a time; the encodings of all rows would fill the memory."""
NO_SUPERVISED_TOKENS = "without a supervised token"  # a key in result.json
FEW = 0.01
"""Share of rows that a template may not fit: those rows are dropped; a template that fits fewer rows is refused."""
REMEDIES = {
    CHANGED: "Use sft.loss_on: completion, which trains on the last answer only.",
    OTHER_PROMPT: "The answers must begin as the template's own prompt for them does, for instance with <think>; or use a model "
    "with another template.",
    LOST: "The template may be one for images and texts. Use a model whose template writes plain texts.",
    NO_END: "A model that never learns an end never stops. Use a model whose template ends answers with one of its tokens.",
}


@dataclass(frozen=True)
class Rendered:
    """The tokenised rows of one split (N); an entry is a row, or a window of a long text.

    Attributes:
        row_ids: in the source, one for each entry.
        positions: position of the conversation of each entry.
        labels: the token ids of supervised tokens, else -100.
        dropped: reason -> row ids of dropped conversations.
        cut, divided, rejoined: row ids of conversations that were truncated, split into windows, or have prompt and answer
            tokenised apart since one token would span both.
        without_end: row ids of entries whose answer has no supervised end-of-turn token; not empty is a fault.
        end_ids: tokens that end supervised answers; generation stops at them.
        target_tokens_lost: supervised tokens lost by truncation or dropping for length.
        has_targets: an encoder reads ``input_ids``, and ``labels`` are the targets of a decoder, of other lengths.
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
    has_targets: bool = False

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def tokens(self) -> int:
        """Number of tokens that the model reads or predicts."""
        return sum(map(len, self.input_ids)) + (self.target_tokens if self.has_targets else 0)

    @property
    def target_tokens(self) -> int:
        """Number of supervised tokens. A row's first token is not predicted, so it never counts, unless it is a decoder's."""
        return sum(map(len, self.labels)) if self.has_targets else sum(map(n_supervised, self.labels))

    @property
    def supervised_share(self) -> float:
        """The share of supervised tokens, in [0, 1]."""
        return self.target_tokens / self.tokens if len(self) else 0.0


def render_record(rendered: Rendered) -> dict[str, Any]:
    """Summarises a split's rows and supervised tokens for result.json; plain JSON types."""
    return {
        "rows": len(rendered), "max_length": rendered.max_length, "loss_on": rendered.loss_on,
        "tokens": rendered.tokens, "target_tokens": rendered.target_tokens, "supervised_share": rendered.supervised_share,
        "target_tokens_lost": rendered.target_tokens_lost,
        "dropped": {reason: len(ids) for reason, ids in rendered.dropped.items()},
        "rows_cut": len(rendered.cut), "rows_divided": len(rendered.divided), "rows_rejoined": len(rendered.rejoined),
        "rows_without_end": len(rendered.without_end), "end_ids": list(rendered.end_ids),
        "length_tokens": length_quantiles(rendered.input_ids),
        **({"target_length_tokens": length_quantiles(rendered.labels)} if rendered.has_targets else {}),
    }  # fmt: skip


def length_quantiles(rows: Sequence[Ids]) -> dict[str, int]:
    """Returns quantiles and the maximum of the lengths of rows in tokens."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return {**{f"p{q}": int(np.percentile(lengths, q)) for q in (50, 90, 99)}, "max": int(lengths.max())}


def render(
    tokenizer: PreTrainedTokenizerBase,
    conversations: Conversations,
    template: Template,
    max_length: int | None = None,
    loss_on: LossOn | None = None,
    long_rows: LongRows | None = None,
    *,
    masked: bool = False,
) -> Rendered:
    """Tokenises every row and labels its supervised tokens.

    A conversation begins as the template writes it and a text as the tokenizer begins texts, so it has at most one
    beginning-of-text token. A control token in a content is tokenised as text. The tokens before the last answer are those of
    the prompt at inference, in every row: if one token would span prompt and answer, the two are tokenised apart. An answer is
    supervised with its end-of-turn token.

    Long rows: ``drop`` leaves them out, ``error`` refuses them. ``truncate`` cuts texts at the end, and conversations after the
    beginning-of-text token: the last answer stays whole (half an answer trains an early stop), and an earlier one without
    its beginning is not supervised; a row whose answer fills more than 7/8 is dropped. ``split`` makes windows of texts, which
    all begin as texts begin; only the last ends with the end-of-text token.

    Args:
        max_length: in tokens; None for no limit.
        loss_on, long_rows: None for ``assistant`` and ``drop``, with plain texts for ``all`` and ``split``.
        masked: for a masked language model: texts are framed by the tokenizer's special tokens, which are not supervised.

    Raises:
        ModelError: no end-of-text token or no offsets, or the template does not fit more than 1 % of the rows.
        RecipeError: options that the form of the rows does not have.
        DataError: rows are too long and ``long_rows`` is ``error``, or no row is left.
    """
    is_text = conversations.kind == "text"
    loss_on, long_rows = loss_on or ("all" if is_text else "assistant"), long_rows or ("split" if is_text else "drop")
    check_options(tokenizer, conversations, template, loss_on, long_rows)
    if is_text:
        rows = fitted_texts(tokenizer, conversations, make_frame(tokenizer, masked), max_length, long_rows)
    else:
        rows = fitted_chats(tokenizer, conversations, template, max_length, loss_on, long_rows)
    tally = Tally()
    for position, fitted in rows:
        tally.add(position, *fitted)
    check_tally(tally, conversations, max_length, long_rows)
    added = frozenset(tokenizer.added_tokens_decoder)
    text_ends = [] if masked else [tokenizer.eos_token_id]
    ends = [text_ends if is_text else answer_ends(row, loss_on, added) for _, row in tally.rows]
    return tally.make_rendered(conversations, max_length, loss_on, ends, added)


@dataclass
class Tally:
    """Rows and counts of the conversations so far; all by position."""

    rows: list[tuple[int, Row]] = field(default_factory=list)
    dropped: dict[str, list[int]] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    divided: list[int] = field(default_factory=list)
    too_long: list[int] = field(default_factory=list)
    lost: int = 0

    def add(self, position: int, rows: Sequence[Row], reason: str = "", lost: int = 0, long: bool = False) -> None:
        """Adds a conversation: several rows are windows, none means that it is dropped for that reason."""
        self.lost += lost
        if long:
            self.too_long.append(position)
        supervised = [row for row in rows if row.n_supervised]
        if not supervised:
            self.dropped.setdefault(reason or NO_SUPERVISED_TOKENS, []).append(position)
            return
        self.rows += [(position, row) for row in supervised]
        if len(supervised) > 1:
            self.divided.append(position)
        elif long:
            self.cut.append(position)

    def make_rendered(
        self,
        conversations: Conversations,
        max_length: int | None,
        loss_on: LossOn,
        ends: Sequence[Sequence[int]],
        added: frozenset[int],
    ) -> Rendered:
        """Makes the split by row ids.

        Args:
            ends: for each row the supervised tokens that end its answers.
            added: special tokens, one of which has to end each answer.
        """

        def row_ids(positions: Sequence[int]) -> tuple[int, ...]:
            return tuple(conversations.row_ids[position] for position in positions)

        positions, rows = [position for position, _ in self.rows], [row for _, row in self.rows]
        unended = [position for position, own in zip(positions, ends, strict=True) if not added.issuperset(own)]
        return Rendered(
            split=conversations.split,
            row_ids=row_ids(positions),
            positions=tuple(positions),
            input_ids=tuple(row.ids for row in rows),
            labels=tuple(row.labels for row in rows),
            max_length=max_length,
            loss_on=loss_on,
            dropped={reason: row_ids(dropped) for reason, dropped in self.dropped.items()},
            cut=row_ids(self.cut),
            divided=row_ids(self.divided),
            rejoined=row_ids([position for position, row in self.rows if row.rejoined]),
            without_end=row_ids(unended),
            end_ids=tuple(sorted(added.intersection(end for own in ends for end in own))),
            target_tokens_lost=self.lost,
        )


def check_tally(tally: Tally, conversations: Conversations, max_length: int | None, long_rows: LongRows) -> None:
    """Raises DataError if rows are too long and ``long_rows`` is ``error``, or if no row is left."""
    if long_rows == "error" and tally.too_long and max_length is not None:
        shown = listed((conversations.row_ids[position] for position in tally.too_long), 5)
        message = (
            f"{len(tally.too_long):,} of {plural(len(conversations), 'row')} are longer than "
            f"{plural(max_length, 'token')}: rows {shown}."
        )
        raise DataError.one(conversations.source, message, "Raise data.max_length, or set sft.long_rows: drop or truncate.")
    if not tally.rows:
        counts = "; ".join(f"{len(positions):,} {reason}" for reason, positions in tally.dropped.items())
        message = f"none of {plural(len(conversations), 'row')} of {conversations.split} can be trained on ({counts})."
        is_length = any(reason.endswith("tokens") for reason in tally.dropped)
        remedy = "Raise data.max_length." if is_length else "Correct the rows, or use a model with another chat template."
        raise DataError.one(conversations.source, message, remedy)


def answer_ends(row: Row, loss_on: LossOn, added: frozenset[int]) -> list[int]:
    """Returns the last supervised token of each answer; with ``all`` only of the last, which white space may follow."""
    if loss_on == "all":
        ids: list[int] = row.ids.tolist()
        return [ids[answer_stop(ids, added) - 1]]
    is_end = (row.labels != IGNORE_INDEX) & np.append(row.labels[1:] == IGNORE_INDEX, True)
    return list(row.labels[is_end].tolist())


def check_options(
    tokenizer: PreTrainedTokenizerBase, conversations: Conversations, template: Template, loss_on: LossOn, long_rows: LongRows
) -> None:
    """Raises errors for options and tokenizers that rows of this form cannot be tokenised with."""
    if conversations.kind == "text" and loss_on != "all":
        message = f"{loss_on} is requested, but plain texts have no answers."
        raise RecipeError.one("sft.loss_on", message, "Leave it out, or write all.")
    if loss_on == "all" and not all(turn.is_supervised for turns in conversations.turns for turn in turns):
        message = "all is requested, but rows have answers of weight 0, which must not be supervised."
        raise RecipeError.one("sft.loss_on", message, "Leave it out: assistant trains on the answers of weight 1.")
    if conversations.kind != "text" and long_rows == "split":
        message = "split makes windows of plain texts; a conversation in pieces has answers without questions."
        raise RecipeError.one("sft.long_rows", message, "Use drop, truncate or error.")
    if not tokenizer.is_fast:
        message = "it has no offsets of tokens in the text, so the supervised tokens cannot be found."
        raise ModelError.one("tokenizer", message, "Use a model with a tokenizer.json.")
    missing = lacking(tokenizer, template.new_tokens)
    if missing:
        raise ValueError(f"the tokenizer lacks {list(missing)}: call chat.template.adopt_template first")


def fitted_chats(
    tokenizer: PreTrainedTokenizerBase,
    conversations: Conversations,
    template: Template,
    max_length: int | None,
    loss_on: LossOn,
    long_rows: LongRows,
) -> Iterator[tuple[int, Fitted]]:
    """Yields each conversation's position and fitted row, or why it has none. Raises ModelError if more than 1 % do not fit."""
    before, bos_id = list(edges(tokenizer)[0]) if template.source == "none" else [], tokenizer.bos_token_id
    unfit: list[tuple[int, Refusal]] = []
    for start in range(0, len(conversations), CHUNK_ROWS):
        chats = render_chats(tokenizer, template, conversations.turns[start : start + CHUNK_ROWS], loss_on)
        rows = iter(tokenize_chats(tokenizer, [chat for chat in chats if isinstance(chat, RenderedChat)], before, loss_on))
        for position, chat in enumerate(chats, start):
            if isinstance(chat, RenderedChat):
                yield position, fit_row(next(rows), max_length, long_rows, bos_id, loss_on)
                continue
            yield position, ([], chat.reason, 0, False)
            if chat.reason in REMEDIES:
                unfit.append((position, chat))
    if len(unfit) > FEW * len(conversations):
        position, first = unfit[0]
        where = f"{conversations.source}, row {conversations.row_ids[position]}"
        detail = f" ({first.detail})" if first.detail else ""
        message = f"{len(unfit):,} of {plural(len(conversations), 'row', 'is a row', 'are rows')} {first.reason}{detail}."
        raise ModelError.one(f"chat template {template.name}; {where}", message, REMEDIES[first.reason])


def tokenize_chats(
    tokenizer: PreTrainedTokenizerBase, chats: Sequence[RenderedChat], before: list[int], loss_on: LossOn
) -> list[Row]:
    """Tokenises rendered chats after the ids ``before``; tokens before the last answer are those of the prompt alone."""
    if not chats:
        return []
    wholes, prompts = (tokenise(tokenizer, texts) for texts in ([chat.text for chat in chats], [chat.prompt for chat in chats]))
    added = frozenset(tokenizer.added_tokens_decoder)
    rows = []
    for chat, whole, prompt in zip(chats, wholes, prompts, strict=True):
        rejoined = whole.ids[: len(prompt.ids)] != prompt.ids
        ids = before + (prompt.ids + continuation(tokenizer, chat.text[len(chat.prompt) :]).ids if rejoined else whole.ids)
        answer = len(before) + len(prompt.ids)
        spans = [(answer, answer_stop(ids, added))]
        for first, last in chat.answers[:-1]:
            start = next(token for at in range(first, last) if (token := prompt.token_at(at)) is not None)
            start += prompt.starts[start] < first  # a token that begins before the answer is left out
            end = next(token for at in range(last - 1, first - 1, -1) if (token := prompt.token_at(at)) is not None)
            spans.append((len(before) + start, len(before) + end + 1))
        tokens = np.array(ids, dtype=np.int32)
        labels = tokens.copy() if loss_on == "all" else np.full(len(ids), IGNORE_INDEX, dtype=np.int32)
        for start, stop in spans:
            labels[start:stop] = tokens[start:stop]
        rows.append(Row(tokens, labels, answer, rejoined))
    return rows


def answer_stop(ids: list[int], added: frozenset[int]) -> int:
    """Returns the position after the last special token, which ends the last answer; only white space follows."""
    return next(len(ids) - i for i, token in enumerate(reversed(ids)) if token in added)


def fitted_texts(
    tokenizer: PreTrainedTokenizerBase, conversations: Conversations, frame: Frame, max_length: int | None, long_rows: LongRows
) -> Iterator[tuple[int, Fitted]]:
    """Yields each text's position and fitted rows."""
    for start in range(0, len(conversations), CHUNK_ROWS):
        texts = [turns[0].content for turns in conversations.turns[start : start + CHUNK_ROWS]]
        chunk = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
        for position, ids in enumerate(chunk, start):
            yield position, fit_text(ids, frame, max_length, long_rows)
