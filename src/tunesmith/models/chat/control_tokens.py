"""Tokenises rendered conversations so that a control token is one that the template wrote.

A special token in a content, such as ``<|im_end|>`` typed by a user, is text, with a template and without one. While turns are
rendered, a character of a
private-use plane stands for it. Afterwards its text is tokenised in two pieces, which no tokenizer joins to the special token.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tunesmith.data.chat.messages import Turn
from tunesmith.data.checks.chat import TEMPLATE_TOKENS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FIRST_STAND_IN = 0x100000
STAND_INS = re.compile("([\U00100000-\U0010fffd])")
OPTIONS: dict[str, Any] = {"add_special_tokens": False, "return_attention_mask": False, "verbose": False}


@dataclass(frozen=True)
class Tokens:
    """The token ids of a text, and the characters [start, stop) of each."""

    ids: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    stops: list[int] = field(default_factory=list)

    def token_at(self, place: int) -> int | None:
        """Returns the first token that holds the character at a place; None if no token does."""
        found = None
        for i in range(bisect_right(self.starts, place) - 1, -1, -1):
            if place < self.stops[i]:
                found = i
            elif found is not None or self.stops[i] > self.starts[i]:
                break
        return found


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Returns the special tokens and the usual tokens of templates that the tokenizer has, the longest first.

    Other added tokens, such as ``<think>``, are part of contents.
    """
    added = tokenizer.added_tokens_decoder.values()
    names = {token.content for token in added if token.special or token.content in TEMPLATE_TOKENS}
    return sorted(names - {""}, key=lambda name: (-len(name), name))


def replacer(tokenizer: PreTrainedTokenizerBase) -> Callable[[str], str]:
    """Returns a function that replaces the control tokens in a content by their stand-ins."""
    names = control_tokens(tokenizer)
    if not names:
        return lambda content: content
    places, pattern = {name: i for i, name in enumerate(names)}, re.compile("|".join(map(re.escape, names)))
    return lambda content: pattern.sub(lambda match: chr(FIRST_STAND_IN + places[match.group()]), content)


def replace_control_tokens(tokenizer: PreTrainedTokenizerBase, conversations: Sequence[Sequence[Turn]]) -> list[tuple[Turn, ...]]:
    """Replaces the control tokens in contents, calls and tools of conversations by their stand-ins."""
    replaced = replacer(tokenizer)
    return [
        tuple(replace(turn, content=replaced(turn.content), extra=replace_within(turn.extra, replaced)) for turn in turns)
        for turns in conversations
    ]


def replace_within(value: Any, replaced: Callable[[str], str]) -> Any:
    """Applies a function to every text in nested objects and lists."""
    if isinstance(value, str):
        return replaced(value)
    if isinstance(value, Mapping):
        return {replace_within(key, replaced): replace_within(part, replaced) for key, part in value.items()}
    return [replace_within(part, replaced) for part in value] if isinstance(value, list | tuple) else value


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Tokens]:
    """Tokenises rendered texts; stand-ins become the text of their control tokens."""
    batch = tokenizer(list(texts), return_offsets_mapping=True, **OPTIONS)
    rows = zip(texts, batch["input_ids"], batch["offset_mapping"], strict=True)
    return [
        tokenise_pieces(tokenizer, text)
        if STAND_INS.search(text)
        else Tokens(ids, [start for start, _ in spans], [stop for _, stop in spans])
        for text, ids, spans in rows
    ]


def tokenise_pieces(tokenizer: PreTrainedTokenizerBase, text: str) -> Tokens:
    """Tokenises a text with stand-ins piece by piece; the places of the tokens are those in this text."""
    names, tokens, place = control_tokens(tokenizer), Tokens(), 0
    for piece in STAND_INS.split(text):
        if STAND_INS.fullmatch(piece):
            name = names[ord(piece) - FIRST_STAND_IN]
            parts = [Tokens(continuation(tokenizer, part).ids) for part in (name[:1], name[1:])]
            parts = [Tokens(part.ids, [place] * len(part.ids), [place + 1] * len(part.ids)) for part in parts]
        else:
            part = continuation(tokenizer, piece) if place else tokenise(tokenizer, [piece])[0]
            parts = [Tokens(part.ids, [place + at for at in part.starts], [place + at for at in part.stops])]
        for part in parts:
            tokens = Tokens(tokens.ids + part.ids, tokens.starts + part.starts, tokens.stops + part.stops)
        place += len(piece)
    return tokens


def continuation(tokenizer: PreTrainedTokenizerBase, text: str) -> Tokens:
    """Tokenises a text that follows another: without the space that some tokenizers put before a text."""
    line = tokenizer("\n", **OPTIONS)["input_ids"]
    after = tokenise(tokenizer, ["\n" + text])[0]
    if after.ids[: len(line)] == line:
        n = len(line)
        return Tokens(after.ids[n:], [at - 1 for at in after.starts[n:]], [at - 1 for at in after.stops[n:]])
    return tokenise(tokenizer, [text])[0]
