"""Texts of a regular expression or a JSON schema, by the library llguidance, right under greedy search, sampling and beams.

llguidance says which tokens may follow. That alone does not end a text in time: a model may fill a string until no token is left.
So when few tokens are left, a token is only allowed where the text can still be brought to an end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.errors import GenerationError, MissingExtra
from tunesmith.generation.constraints import Constraints
from tunesmith.generation.expressions import Nodes, follow, parsed, shortest
from tunesmith.generation.token_text import continued, kept_with

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CLOSERS = '}]"'
"""Characters that end a part of a JSON text, the most useful first."""
ASCII_CLASSES = {
    r"\d": "[0-9]", r"\D": r"[\x00-/:-\x7F]", r"\w": "[0-9A-Za-z_]", r"\W": r"[\x00-/:-@\[-\^`\{-\x7F]",
    r"\s": r"[ \t\n\r\f\v]", r"\S": "[!-~]",
}  # fmt: skip
MOST_CLOSING = 128
RESERVE = 16
LOOKED_AT = 12
"""Tokens, the likeliest first, of which it is found out whether the text can still end in time."""
JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""As Python writes JSON; with blanks anywhere a model can write blanks for ever."""


@dataclass(frozen=True)
class Followed:
    """The state of a text: llguidance's, and what an expression still has to match, with the bytes of an unfinished character."""

    matcher: Any
    nodes: Nodes | None
    unfinished: bytes = b""


@dataclass(eq=False)
class Grammar:
    """The rule that keeps a text to a grammar (``generation.processors.Rule``).

    Attributes:
        vocabulary: llguidance's view of the tokenizer.
        source: the grammar as llguidance takes it.
        nodes: the regular expression as it can be followed here; None for others, and for schemas.
        ends: ids that end a text.
        n_vocabulary: width of the model's logits.
        n_good: tokens that the decoding may choose from where the end has to be kept in reach; greedy search needs one.
    """

    vocabulary: Any
    source: str
    nodes: Nodes | None
    ends: Array
    n_vocabulary: int
    n_good: int = LOOKED_AT

    def start(self) -> Followed:
        import llguidance

        return Followed(llguidance.LLMatcher(self.vocabulary, self.source), self.nodes)

    def step(self, state: Followed, token: int) -> Followed:
        matcher = state.matcher.deep_copy()
        matcher.consume_token(token)
        nodes, unfinished = self.followed(state, token)
        return Followed(matcher, nodes, unfinished)

    def followed(self, state: Followed, token: int) -> tuple[Nodes | None, bytes]:
        """What an expression has to match after one more token, and the bytes of an unfinished character."""
        if state.nodes is None:
            return None, b""
        read = continued(state.unfinished, self.vocabulary.decode_bytes([token]))
        return (frozenset(), b"") if read is None else (follow(state.nodes, read[0]), read[1])

    def barred(self, state: Followed, left: int, scores: torch.Tensor) -> Array:
        bad = ~self.allowed(state.matcher)
        way = self.closing(state)
        if way is None or left > len(way) + self.reserve:
            return bad
        in_time = (token for token in likeliest(scores, bad) if self.ends_in_time(state, token, left - 1))
        good = list(islice(in_time, self.n_good)) or way[:1] or self.ends.tolist()
        bad = np.ones(self.n_vocabulary, dtype=bool)
        bad[good] = False
        return bad

    def allowed(self, matcher: Any) -> Array:
        """(V,) the tokens that may follow; the ends where the text is whole."""
        bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
        found = bits[: self.n_vocabulary].astype(bool)
        found[self.ends] = matcher.is_accepting()
        return found

    def ends_in_time(self, state: Followed, token: int, left: int) -> bool:
        """Whether the text can be whole with so many tokens after that one."""
        if token in self.ends:
            return True
        if state.nodes is None:
            way = self.closing(self.step(state, token))
        else:
            way = self.closing(Followed(None, *self.followed(state, token)))
        return way is not None and len(way) <= left

    @cached_property
    def reserve(self) -> int:
        """The tokens left beyond those to the end from which on the end is kept in reach: as many as a part may open at once."""
        return max(RESERVE, 2 * len(self.closing(self.start()) or []))

    def closing(self, state: Followed) -> list[int] | None:
        """Tokens that make the text whole, few but not always the fewest; None where none were found."""
        if state.nodes is None:
            return self.searched(state.matcher)
        text = None if state.unfinished else shortest(state.nodes)
        if text is None:
            return None
        return [token for letter in text for token in self.vocabulary.tokenize_bytes(letter.encode())]

    @cached_property
    def letters(self) -> list[int]:
        """The token of each printable character of ASCII, as far as it has one; those that close a part of a JSON text first."""
        order = [*CLOSERS, *(chr(byte) for byte in range(32, 127) if chr(byte) not in CLOSERS)]
        spelled = [self.vocabulary.tokenize_bytes(letter.encode()) for letter in order]
        return [tokens[0] for tokens in spelled if len(tokens) == 1]

    def searched(self, matcher: Any) -> list[int] | None:
        """Tokens that make the text of a schema whole, found by closing what is open."""
        way: list[int] = []
        seen: set[bytes] = set()
        matcher = matcher.deep_copy()
        while len(way) < MOST_CLOSING:
            if matcher.is_error():
                return None
            if matcher.is_accepting():
                return way
            forced = matcher.compute_ff_tokens() or self.nearest(matcher, seen)
            if not forced:
                return None
            matcher.consume_tokens(forced)
            way += forced
        return None

    def nearest(self, matcher: Any, seen: set[bytes]) -> list[int]:
        """The letter that seems to bring the end nearest: one that leads to where the text has not been, closing ones first."""
        here = matcher.compute_bitmask()
        seen.add(here)
        possible = [token for token in self.letters if here[token >> 3] >> (token & 7) & 1]
        for token in possible:
            after = matcher.deep_copy()
            after.consume_token(token)
            if after.is_accepting() or after.compute_bitmask() not in seen:
                return [token]
        return possible[:1]


def likeliest(scores: torch.Tensor, bad: Array) -> list[int]:
    """The tokens that may follow, the ``LOOKED_AT`` with the highest scores."""
    possible = scores.masked_fill(torch.from_numpy(bad).to(scores.device), -torch.inf)
    best, tokens = torch.topk(possible, min(LOOKED_AT, len(possible)))
    return tokens[torch.isfinite(best)].tolist()  # type: ignore[no-any-return]


def grammar_of(
    tokenizer: PreTrainedTokenizerBase, wanted: Constraints, n_vocabulary: int, ends: Array, n_good: int = LOOKED_AT
) -> Grammar:
    """The grammar of a regular expression or a schema.

    Raises:
        MissingExtra: llguidance is not installed.
        GenerationError: it does not parse, or holds what cannot be generated (look-around, back references).
    """
    try:
        import llguidance
        import llguidance.hf
    except ImportError:
        raise MissingExtra.of("llguidance", "constraints", "text of a regular expression or a JSON schema") from None
    if not len(ends):
        raise GenerationError.one(str(wanted.form), "the tokenizer has no token that ends a text.", "Use another model.")
    if not tokenizer.is_fast:
        raise GenerationError.one(str(wanted.form), "the tokenizer has no tokenizer.json, which llguidance needs.")
    source = source_of(wanted.regex, wanted.json_schema)
    kept, key = kept_with(tokenizer), ("llguidance", n_vocabulary, len(tokenizer), int(ends[0]))
    if key not in kept:
        kept[key] = llguidance.hf.from_tokenizer(tokenizer, n_vocab=n_vocabulary, eos_token=int(ends[0]))
    is_wrong, said = llguidance.LLMatcher.validate_grammar_with_warnings(source, kept[key])
    if is_wrong:
        what = "expression" if wanted.regex is not None else "schema"
        raise GenerationError.one(str(wanted.form), f"this {what} cannot be generated: {' '.join(' '.join(said).split())}")
    nodes = None if wanted.regex is None else parsed(wanted.regex)
    return Grammar(kept[key], source, nodes, ends, n_vocabulary, n_good)


def source_of(regex: str | None, schema: Mapping[str, Any] | None) -> str:
    """The grammar as llguidance takes it."""
    import llguidance

    source: str
    if regex is not None:
        source = llguidance.LLMatcher.grammar_from_regex(in_ascii(regex))
    else:
        source = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=JSON_STYLE)  # type: ignore[arg-type]
    return source


def in_ascii(regex: str) -> str:
    """The expression with its classes of digits, letters and blanks, and of everything else, restricted to ASCII.

    What is digit and letter beyond ASCII differs between Rust's expressions and Python's; what is written matches in both.
    Inside negated sets the classes stay, where the larger one is the safe one.
    """
    written, at, negated = "", 0, False
    while at < len(regex):
        part = regex[at : at + 2] if regex[at] == "\\" else regex[at]
        if regex.startswith("[^", at):
            negated = True
        elif part == "]":
            negated = False
        written += ASCII_CLASSES.get(part, part) if not negated else part
        at += len(part)
    return written
