"""Tokenises prompts with two answers, or with one judged answer; counts all rows dropped or cut. An answer is never cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.data.cells import listed, plural
from tunesmith.data.chat.formats import ChatKind
from tunesmith.data.chat.messages import Turns
from tunesmith.data.chat.rows import Conversations
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.errors import DataError
from tunesmith.models.chat.render import render
from tunesmith.models.chat.template import Template
from tunesmith.models.chat.truncation import ANSWER_TOO_LONG, LEAST_PROMPT, TOO_LONG, Ids, n_supervised
from tunesmith.models.encode import IGNORE_INDEX

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PreferenceRows = PreferencePairs | JudgedAnswers
LongPairs = Literal["drop", "truncate", "error"]
SAME = "whose two answers are the same tokens"  # a key in result.json


@dataclass(frozen=True)
class Answers:
    """One answer of each row (N) behind its prompt.

    Attributes:
        input_ids: (N) token ids of prompt and answer.
        labels: (N) token ids of the answer, else -100.
    """

    input_ids: tuple[Ids, ...]
    labels: tuple[Ids, ...]

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def starts(self) -> tuple[int, ...]:
        """Returns the position of the first token of each answer (N), which is the length of its prompt."""
        return tuple(int(np.argmax(labels != IGNORE_INDEX)) for labels in self.labels)

    @property
    def counts(self) -> tuple[int, ...]:
        """Returns the number of tokens of each answer (N). A row's first token is not predicted, so it never counts."""
        return tuple(map(n_supervised, self.labels))

    def take(self, positions: Sequence[int]) -> Answers:
        return Answers(tuple(self.input_ids[i] for i in positions), tuple(self.labels[i] for i in positions))


@dataclass(frozen=True)
class RenderedAnswers:
    """The tokenised rows of one split of preference data (N).

    Attributes:
        row_ids, positions: in the source, and among the split's rows.
        chosen, rejected: both answers of each pair; of judged answers the first is the answer, and the second None.
        desirable: (N) whether a judged answer is a good one; None for pairs.
        dropped: reason -> row ids.
        cut: row ids of rows whose prompt lost tokens at its start.
        without_end: row ids of answers that no special token ends.
        end_ids: the tokens that end answers; generation stops at them.
    """

    split: str
    row_ids: tuple[int, ...]
    positions: tuple[int, ...]
    chosen: Answers
    rejected: Answers | None
    max_length: int
    desirable: tuple[bool, ...] | None = None
    dropped: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    cut: tuple[int, ...] = ()
    without_end: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def sides(self) -> tuple[Answers, ...]:
        return (self.chosen,) if self.rejected is None else (self.chosen, self.rejected)

    @property
    def lengths(self) -> Ids:
        """Returns the tokens of the longest sequence of each row (N)."""
        sizes = [[len(ids) for ids in side.input_ids] for side in self.sides]
        return np.array(sizes, dtype=np.int32).max(axis=0) if len(self) else np.zeros(0, dtype=np.int32)

    def take(self, positions: Sequence[int]) -> RenderedAnswers:
        """Selects rows by their position."""
        return replace(
            self,
            row_ids=tuple(self.row_ids[i] for i in positions),
            positions=tuple(self.positions[i] for i in positions),
            chosen=self.chosen.take(positions),
            rejected=None if self.rejected is None else self.rejected.take(positions),
            desirable=None if self.desirable is None else tuple(self.desirable[i] for i in positions),
        )


def render_answers(
    tokenizer: PreTrainedTokenizerBase,
    rows: PreferenceRows,
    template: Template,
    max_length: int,
    long_rows: LongPairs = "drop",
) -> RenderedAnswers:
    """Tokenises every row; all turns of the assistant in an answer are supervised, with the tokens that end them.

    The tokens before an answer are those of the prompt at inference. A row longer than the limit is left out; ``truncate`` cuts
    its prompt after the beginning-of-text token, on both sides by the same number of tokens, and leaves the row out if less
    than an eighth of the limit would be left of the prompt; ``error`` refuses it. A pair with a side that the template refuses is
    left out, and so is one with twice the same tokens, from which nothing can be learnt.

    Raises DataError if no row is left, or ``long_rows`` is ``error`` and rows are too long; else as ``models.chat.render``.
    """
    parts = (rows.chosen, rows.rejected) if isinstance(rows, PreferencePairs) else (rows.answers,)
    rendered = [render(tokenizer, conversations_of(rows, part), template, None, "assistant", "drop") for part in parts]
    dropped: dict[str, list[int]] = {}
    for side in rendered:
        for reason, ids in side.dropped.items():
            dropped[reason] = [*dict.fromkeys([*dropped.get(reason, ()), *ids])]
    places = [{position: i for i, position in enumerate(side.positions)} for side in rendered]
    common = [position for position in rendered[0].positions if all(position in place for place in places)]
    sides = [
        Answers(tuple(side.input_ids[place[p]] for p in common), tuple(side.labels[place[p]] for p in common))
        for side, place in zip(rendered, places, strict=True)
    ]
    whole = RenderedAnswers(
        split=rows.split,
        row_ids=tuple(rows.row_ids[position] for position in common),
        positions=tuple(common),
        chosen=sides[0],
        rejected=sides[1] if len(sides) > 1 else None,
        max_length=max_length,
        desirable=tuple(rows.desirable[p] for p in common) if isinstance(rows, JudgedAnswers) else None,
        without_end=tuple(dict.fromkeys(row_id for side in rendered for row_id in side.without_end)),
        end_ids=tuple(sorted({end for side in rendered for end in side.end_ids})),
    )
    return fitted(whole, rows, dropped, tokenizer.bos_token_id, long_rows)


def conversations_of(rows: PreferenceRows, answers: Sequence[Turns] | None = None) -> Conversations:
    """Returns prompts with one answer each, by default the first, as conversations whose prompts are not supervised."""
    answers = answers_of(rows) if answers is None else answers
    turns = tuple(
        (*(replace(turn, is_supervised=False) for turn in prompt), *answer)
        for prompt, answer in zip(rows.prompts, answers, strict=True)
    )
    return Conversations(rows.split, rows.source, rows.row_ids, kind=chat_kind(rows), columns=rows.columns, turns=turns)


def answers_of(rows: PreferenceRows) -> Sequence[Turns]:
    """Returns the chosen answer of each pair, or the judged answer (N)."""
    return rows.chosen if isinstance(rows, PreferencePairs) else rows.answers


def chat_kind(rows: PreferenceRows) -> ChatKind:
    """Returns the form of the rows by which a chat template is chosen: messages where a row has several turns or roles."""
    answers = answers_of(rows)
    is_plain = all(
        [turn.role for turn in prompt] == ["user"] and len(a) == 1 for prompt, a in zip(rows.prompts, answers, strict=True)
    )
    return "prompt_completion" if is_plain else "messages"


def fitted(
    rows: RenderedAnswers, source: PreferenceRows, dropped: dict[str, list[int]], bos_id: int | None, long_rows: LongPairs
) -> RenderedAnswers:
    """Leaves out or cuts the rows that exceed the limit, and leaves out pairs of equal tokens."""
    limit, lengths, starts = rows.max_length, rows.lengths, np.array([side.starts for side in rows.sides]).min(axis=0)
    too_long = lengths > limit
    if long_rows == "error" and too_long.any():
        shown = listed((rows.row_ids[i] for i in np.flatnonzero(too_long)), 5)
        message = (
            f"{int(too_long.sum()):,} of {plural(len(source), 'row')} are longer than {plural(limit, 'token')}: rows {shown}."
        )
        raise DataError.one(source.source, message, "Raise data.max_length, or set preference.long_rows: drop or truncate.")
    kept: list[int] = []
    cuts: dict[int, int] = {}
    for i, row_id in enumerate(rows.row_ids):
        over, reason = int(lengths[i]) - limit, ""
        if rows.rejected is not None and np.array_equal(rows.chosen.input_ids[i], rows.rejected.input_ids[i]):
            reason = SAME
        elif over > 0 and long_rows != "truncate":
            reason = TOO_LONG.format(limit)
        elif over > 0 and starts[i] - over < LEAST_PROMPT * limit:
            reason = ANSWER_TOO_LONG.format(limit)
        if reason:
            dropped.setdefault(reason, []).append(row_id)
            continue
        kept.append(i)
        if over > 0:
            cuts[i] = over
    if not kept:
        counts = "; ".join(f"{len(ids):,} {reason}" for reason, ids in dropped.items())
        message = f"none of {plural(len(source), 'row')} of {rows.split} can be used ({counts})."
        remedy = "Give pairs of different answers." if set(dropped) == {SAME} else "Raise data.max_length, or correct the rows."
        raise DataError.one(source.source, message, remedy)
    sides = [with_cut_prompts(side, cuts, bos_id).take(kept) for side in rows.sides]
    return replace(
        rows.take(kept),
        chosen=sides[0],
        rejected=sides[1] if len(sides) > 1 else None,
        dropped={reason: tuple(ids) for reason, ids in dropped.items()},
        cut=tuple(rows.row_ids[i] for i in cuts),
    )


def with_cut_prompts(side: Answers, cuts: Mapping[int, int], bos_id: int | None) -> Answers:
    """Removes tokens from the start of prompts, behind the beginning-of-text token.

    Args:
        cuts: position of the row -> number of tokens.
    """
    ids, labels = list(side.input_ids), list(side.labels)
    for i, count in cuts.items():
        first = 1 if bos_id is not None and ids[i][0] == bos_id else 0
        ids[i], labels[i] = (np.delete(part[i], slice(first, first + count)) for part in (side.input_ids, side.labels))
    return Answers(tuple(ids), tuple(labels))


def answers_record(rows: RenderedAnswers) -> dict[str, Any]:
    """Summarises a split's lengths and what was dropped or cut for result.json; plain JSON types."""
    lengths, counts = rows.lengths, {name: side.counts for name, side in zip(("chosen", "rejected"), rows.sides, strict=False)}
    edges: list[float]
    histogram, edges = np.histogram(lengths, bins=min(30, max(1, int(np.ptp(lengths)))))  # type: ignore[assignment]
    return {
        "max_length": rows.max_length,
        "rows_dropped": {reason: len(ids) for reason, ids in rows.dropped.items()},
        "rows_truncated": len(rows.cut),
        "rows_without_end": len(rows.without_end),
        "end_ids": list(rows.end_ids),
        "answer_tokens": {name: float(np.mean(sizes)) for name, sizes in counts.items()},
        "length_tokens": {**{f"p{q}": int(np.percentile(lengths, q)) for q in (50, 90, 99)}, "max": int(lengths.max())},
        "length_histogram": {"edges": [float(edge) for edge in edges], "counts": histogram.tolist()},
    }
