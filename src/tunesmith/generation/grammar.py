"""Restricts texts to a regular expression or a JSON schema by llguidance, under greedy search, sampling and beams.

llguidance determines the tokens that may follow. That alone does not end a text in time: a model may fill a string until no token
is left. So when few tokens are left, a token is only allowed if the text can still be completed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.errors import GenerationError, MissingExtra, first_line
from tunesmith.generation.constraints import Constraints
from tunesmith.generation.expressions import Nodes, follow, parsed, shortest
from tunesmith.generation.token_text import complete_characters, tokenizer_cache

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from transformers import PreTrainedTokenizerBase

CLOSERS = '}]"'
"""Characters that close a part of a JSON text, the most useful first."""
ASCII_CLASSES = {
    r"\d": "[0-9]", r"\D": r"[\x00-/:-\x7F]", r"\w": "[0-9A-Za-z_]", r"\W": r"[\x00-/:-@\[-\^`\{-\x7F]",
    r"\s": r"[ \t\n\r\f\v]", r"\S": "[!-~]",
}  # fmt: skip
MOST_CLOSING = 128
RESERVE = 16
N_CANDIDATES = 12
"""Likeliest tokens for which it is checked whether the text can still end in time."""
JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""Python's JSON style; with optional blanks a model could generate blanks forever."""


@dataclass(frozen=True)
class GrammarState:
    """The state of a text.

    Attributes:
        matcher: llguidance's state; None if only the expression is followed.
        nodes: expressions that the rest has to match.
        unfinished: bytes of an incomplete character.
    """

    matcher: LLMatcher | None
    nodes: Nodes | None
    unfinished: bytes = b""


@dataclass(eq=False)
class Grammar:
    """The rule that restricts a text to a grammar (``generation.processors.TokenRule``).

    Attributes:
        vocabulary: llguidance's form of the tokenizer.
        source: the grammar in llguidance's form.
        nodes: the parsed regular expression; None for schemas and for expressions that ``expressions`` cannot parse.
        ends: ids that end a text.
        n_vocabulary: width of the model's logits.
        n_good: tokens offered to the decoding when the text has to end soon; greedy search needs one.
    """

    vocabulary: LLTokenizer
    source: str
    nodes: Nodes | None
    ends: Array
    n_vocabulary: int
    n_good: int = N_CANDIDATES

    def start(self) -> GrammarState:
        import llguidance

        return GrammarState(llguidance.LLMatcher(self.vocabulary, self.source), self.nodes)

    def step(self, state: GrammarState, token: int) -> GrammarState:
        assert state.matcher is not None
        matcher = state.matcher.deep_copy()
        matcher.consume_token(token)
        return self.follow_expression(state, token, matcher)

    def follow_expression(self, state: GrammarState, token: int, matcher: LLMatcher | None = None) -> GrammarState:
        """Returns the state of the expression after one more token, with this matcher."""
        if state.nodes is None:
            return GrammarState(matcher, None)
        characters = complete_characters(state.unfinished, self.vocabulary.decode_bytes([token]))
        if characters is None:
            return GrammarState(matcher, frozenset())
        return GrammarState(matcher, follow(state.nodes, characters[0]), characters[1])

    def barred(self, state: GrammarState, left: int, scores: torch.Tensor) -> Array:
        assert state.matcher is not None
        bad = ~self.allowed(state.matcher)
        completion = self.completion(state)
        if completion is None or left > len(completion) + self.reserve:
            return bad
        possible = scores.masked_fill(torch.from_numpy(bad).to(scores.device), -torch.inf)
        best, tokens = torch.topk(possible, min(N_CANDIDATES, len(possible)))
        likeliest = tokens[torch.isfinite(best)].tolist()
        in_time = (token for token in likeliest if self.ends_in_time(state, token, left - 1))
        good = list(islice(in_time, self.n_good)) or completion[:1] or self.ends.tolist()
        bad = np.ones(self.n_vocabulary, dtype=bool)
        bad[good] = False
        return bad

    def allowed(self, matcher: LLMatcher) -> Array:
        """Returns the tokens that may follow, with the ends if the text is complete: (V,) bool."""
        bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
        is_allowed = bits[: self.n_vocabulary].astype(bool)
        is_allowed[self.ends] = matcher.is_accepting()
        return is_allowed

    def ends_in_time(self, state: GrammarState, token: int, left: int) -> bool:
        """Returns True if the text can be completed with ``left`` tokens after this one."""
        if token in self.ends:
            return True
        after = self.step(state, token) if state.nodes is None else self.follow_expression(state, token)
        completion = self.completion(after)
        return completion is not None and len(completion) <= left

    @cached_property
    def reserve(self) -> int:
        """Tokens left, beyond those of a completion, from which on tokens are checked: a token may open several parts at once."""
        return max(RESERVE, 2 * len(self.completion(self.start()) or []))

    def completion(self, state: GrammarState) -> list[int] | None:
        """Returns tokens that complete the text, few but not always the fewest; None if none were found."""
        if state.nodes is None:
            return self.search_completion(state.matcher)
        text = None if state.unfinished else shortest(state.nodes)
        if text is None:
            return None
        return [token for letter in text for token in self.vocabulary.tokenize_bytes(letter.encode())]

    @cached_property
    def letters(self) -> list[int]:
        """Single tokens of printable ASCII characters; those that close a part of a JSON text first."""
        order = [*CLOSERS, *(chr(byte) for byte in range(32, 127) if chr(byte) not in CLOSERS)]
        spelled = [self.vocabulary.tokenize_bytes(letter.encode()) for letter in order]
        return [tokens[0] for tokens in spelled if len(tokens) == 1]

    def search_completion(self, matcher: LLMatcher | None) -> list[int] | None:
        """Finds tokens that complete the text of a schema, by closing open parts."""
        assert matcher is not None
        completion: list[int] = []
        seen: set[bytes] = set()
        matcher = matcher.deep_copy()
        while len(completion) < MOST_CLOSING:
            if matcher.is_error():
                return None
            if matcher.is_accepting():
                return completion
            forced = matcher.compute_ff_tokens() or self.next_letter(matcher, seen)
            if not forced:
                return None
            matcher.consume_tokens(forced)
            completion += forced
        return None

    def next_letter(self, matcher: LLMatcher, seen: set[bytes]) -> list[int]:
        """Returns the first letter that ends the text or leads to an unseen state, closing ones first."""
        here = matcher.compute_bitmask()
        seen.add(here)
        possible = [token for token in self.letters if here[token >> 3] >> (token & 7) & 1]
        for token in possible:
            after = matcher.deep_copy()
            after.consume_token(token)
            if after.is_accepting() or after.compute_bitmask() not in seen:
                return [token]
        return possible[:1]


def make_grammar(
    tokenizer: PreTrainedTokenizerBase, constraints: Constraints, n_vocabulary: int, ends: Array, n_good: int = N_CANDIDATES
) -> Grammar:
    """Makes the grammar of a regular expression or a schema. Raises GenerationError for what cannot be generated."""
    try:
        import llguidance
        import llguidance.hf
    except ImportError:
        raise MissingExtra.of("llguidance", "constraints", "text of a regular expression or a JSON schema") from None
    if not len(ends):
        raise GenerationError.one(str(constraints.form), "the tokenizer has no token that ends a text.", "Use another model.")
    if not tokenizer.is_fast:
        raise GenerationError.one(str(constraints.form), "the tokenizer has no tokenizer.json, which llguidance needs.")
    cache, key = tokenizer_cache(tokenizer), ("llguidance", n_vocabulary, len(tokenizer), int(ends[0]))
    if key not in cache:
        try:
            cache[key] = llguidance.hf.from_tokenizer(tokenizer, n_vocab=n_vocabulary, eos_token=int(ends[0]))
        except ValueError as error:
            message = f"llguidance cannot read this tokenizer: {first_line(error)}."
            raise GenerationError.one(str(constraints.form), message, "Use choices, or another model.") from error
    regex, schema, matcher = constraints.regex, json.dumps(constraints.json_schema), llguidance.LLMatcher
    source: str
    if regex is not None:
        source = matcher.grammar_from_regex(in_ascii(regex))
    else:
        source = matcher.grammar_from_json_schema(schema, overrides=JSON_STYLE)  # type: ignore[arg-type]
    is_wrong, messages = matcher.validate_grammar_with_warnings(source, cache[key])
    if is_wrong:
        kind = "expression" if regex is not None else "schema"
        message = f"this {kind} cannot be generated: {' '.join(' '.join(messages).split())}"
        raise GenerationError.one(str(constraints.form), message)
    return Grammar(cache[key], source, None if regex is None else parsed(regex), ends, n_vocabulary, n_good)


def in_ascii(regex: str) -> str:
    r"""Restricts the classes \d, \w, \s and their complements in an expression to ASCII.

    Digits and letters beyond ASCII differ between Rust's expressions and Python's; the restricted text matches in both.
    Classes inside negated sets stay, since there the larger class is the safe one.
    """
    converted, at, negated = "", 0, False
    while at < len(regex):
        part = regex[at : at + 2] if regex[at] == "\\" else regex[at]
        if regex.startswith("[^", at):
            negated = True
        elif part == "]":
            negated = False
        converted += ASCII_CLASSES.get(part, part) if not negated else part
        at += len(part)
    return converted
