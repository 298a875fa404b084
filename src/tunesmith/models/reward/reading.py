"""Tokenises answers with their prompts for a reward model: the same in training, in evaluation and where answers are rewarded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.data.chat.messages import Turns
from tunesmith.data.chat.rows import Conversations
from tunesmith.data.preferences.rows import PreferencePairs
from tunesmith.errors import ModelError
from tunesmith.models.chat.render import render
from tunesmith.models.chat.template import Template
from tunesmith.models.encode import Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Side = Literal["left", "right"]
ROLE_NAMES = {"user": "Human", "assistant": "Assistant", "system": "System", "tool": "Tool"}


@dataclass(frozen=True)
class AnswerReader:
    """Reads answers as tokens.

    A decoder reads prompt and answer by the chat template. An encoder reads two texts: the prompt, with the roles of its turns if
    there are several, and the answer. Both end with a token that stands only after a finished answer: the template's end of a
    turn, or the encoder's last separator. Long inputs are cut on one side; on the left the answer's end is kept.

    Attributes:
        template: None for an encoder.
        max_length: largest number of tokens.
        truncation_side: the side of the sequence on which tokens are cut, by upstream's name.
    """

    tokenizer: PreTrainedTokenizerBase
    template: Template | None
    max_length: int
    truncation_side: Side = "left"

    def read(self, split: str, row_ids: Sequence[int], prompts: Sequence[Turns], answers: Sequence[Turns], *,
             finished: Sequence[bool] | None = None) -> Encoded:  # fmt: skip
        """Returns the tokens of each answer behind its prompt (N).

        Args:
            finished: (N) whether an answer has ended; one that was cut off has no end. None: all have.
        """
        whole, types = self.decoder_ids(prompts, answers) if self.template is not None else self.encoder_ids(prompts, answers)
        if finished is not None:
            ends = [ids if ended else ids[: self.end_place(ids)] for ids, ended in zip(whole, finished, strict=True)]
            types = types and [of_row[: len(ids)] for of_row, ids in zip(types, ends, strict=True)]
            whole = ends
        kept = [self.cut(ids) for ids in whole]
        return Encoded(
            split=split,
            row_ids=list(row_ids),
            input_ids=[[ids[i] for i in places] for ids, places in zip(whole, kept, strict=True)],
            token_type_ids=types and [[of_row[i] for i in places] for of_row, places in zip(types, kept, strict=True)],
            labels=[None] * len(whole),
            lengths=np.fromiter(map(len, kept), np.int64, len(kept)),
            full_lengths=np.fromiter(map(len, whole), np.int64, len(whole)),
            max_length=self.max_length,
        )

    def decoder_ids(self, prompts: Sequence[Turns], answers: Sequence[Turns]) -> tuple[list[list[int]], None]:
        """Returns the ids of prompts and answers as the chat template writes them. Raises ModelError if it refuses one."""
        assert self.template is not None
        turns = tuple((*prompt, *answer) for prompt, answer in zip(prompts, answers, strict=True))
        chats = Conversations("train", "the answers", tuple(range(len(turns))), kind="messages", columns=(), turns=turns)
        rendered = render(self.tokenizer, chats, self.template, None, "completion", "drop")
        if len(rendered) < len(turns):
            reason, ids = next(iter(rendered.dropped.items()))
            message = f"it does not write an answer {reason} (row {ids[0]} of {len(turns)})."
            raise ModelError.one(f"chat template {self.template.name}", message, "Use a model with another template.")
        return [ids.tolist() for ids in rendered.input_ids], None

    def encoder_ids(self, prompts: Sequence[Turns], answers: Sequence[Turns]) -> tuple[list[list[int]], list[list[int]] | None]:
        """Returns the ids of prompts and answers as two texts, and their segments if the model has them."""
        texts, seconds = [dialogue_text(prompt) for prompt in prompts], [dialogue_text(answer) for answer in answers]
        options: dict[str, Any] = {"return_attention_mask": False, "verbose": False, "truncation": False}
        # A special token that a text holds is text.
        options |= {"split_special_tokens": True, "return_token_type_ids": "token_type_ids" in self.tokenizer.model_input_names}
        both = any(texts)
        out = self.tokenizer(texts, seconds, **options) if both else self.tokenizer(seconds, **options)
        return out["input_ids"], out.get("token_type_ids") if both else None

    def end_place(self, ids: Sequence[int]) -> int:
        """Returns the position of the token that ends a finished answer: the last special one; an unknown token is text."""
        special = frozenset(self.tokenizer.all_special_ids) | frozenset(self.tokenizer.added_tokens_decoder)
        special -= {self.tokenizer.unk_token_id}
        return next((i for i in range(len(ids) - 1, -1, -1) if ids[i] in special), len(ids))

    def cut(self, ids: Sequence[int]) -> list[int]:
        """Returns the positions of the tokens that are kept: special tokens at the start and the end stay."""
        excess = len(ids) - self.max_length
        if excess <= 0:
            return list(range(len(ids)))
        special = frozenset(self.tokenizer.all_special_ids)
        first = 1 if ids[0] in special else 0
        last = len(ids) - 1 if ids[-1] in special else len(ids)
        if self.truncation_side == "left":
            return [*range(first), *range(first + excess, len(ids))]
        return [*range(last - excess), *range(last, len(ids))]

    def is_ended(self, rows: Encoded) -> np.ndarray:
        """Tells which rows (N) end with a special token, which at most white space follows."""
        return np.array([len(ids) - 2 <= self.end_place(ids) < len(ids) for ids in rows.input_ids], dtype=bool)


def dialogue_text(turns: Iterable[Any]) -> str:
    """Returns turns as one text: a single turn as it is, several with the names of their roles before them."""
    turns = tuple(turns)
    if len(turns) == 1:
        return str(turns[0].text)
    return "\n\n".join(f"{ROLE_NAMES[turn.role]}: {turn.text}" for turn in turns)


@dataclass(frozen=True)
class EncodedPairs:
    """The tokens of the pairs of one split (N).

    Attributes:
        margins: (N) by how much the chosen answer should be ahead; None without.
    """

    chosen: Encoded
    rejected: Encoded
    margins: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def split(self) -> str:
        return self.chosen.split

    @property
    def lengths(self) -> np.ndarray:
        """Returns the tokens of the longer answer of each pair (N)."""
        longer: np.ndarray = np.maximum(self.chosen.lengths, self.rejected.lengths)
        return longer

    @property
    def same(self) -> np.ndarray:
        """Tells which pairs (N) have twice the same tokens, from which nothing can be learned."""
        equal: list[bool] = [a == b for a, b in zip(self.chosen.input_ids, self.rejected.input_ids, strict=True)]
        return np.array(equal, dtype=bool)

    @property
    def cut(self) -> np.ndarray:
        """Tells which pairs (N) have lost tokens of one side or both."""
        sides = [side.full_lengths > side.lengths for side in (self.chosen, self.rejected)]
        return np.asarray(sides[0] | sides[1])

    def take(self, positions: Sequence[int] | np.ndarray) -> EncodedPairs:
        index = np.asarray(positions, dtype=np.int64)
        margins = None if self.margins is None else self.margins[index]
        return EncodedPairs(self.chosen.take(index), self.rejected.take(index), margins)


def read_pairs(reader: AnswerReader, rows: PreferencePairs) -> EncodedPairs:
    """Returns the tokens of both answers of each pair."""
    chosen, rejected = (reader.read(rows.split, rows.row_ids, rows.prompts, side) for side in (rows.chosen, rows.rejected))
    return EncodedPairs(chosen, rejected, None if rows.margins is None else np.array(rows.margins))
