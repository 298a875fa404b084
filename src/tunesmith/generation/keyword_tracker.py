"""Tracks required and forbidden words in generated texts, for many hypotheses and tokens at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.errors import GenerationError
from tunesmith.generation.constraints import Constraints
from tunesmith.generation.token_text import INNER, START, VocabularyText, tokenizer_cache, vocabulary_text
from tunesmith.generation.words import NEVER, Spelling, automaton

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BEFORE = ("a", ".", "\n", '"')
"""Contexts of a word; the tokenizer's spelling of the word after each is recorded."""


@dataclass(eq=False)
class KeywordTracker:
    """The words of one set of constraints over a vocabulary.

    The state of a hypothesis is a place (``generation.token_text``) and K states, one for each word's automaton.

    Attributes:
        words: K spellings, the required ones first.
        groups: for each group of required words the positions of its words.
        n_forced: number of required words; the others are forbidden.
    """

    vocabulary: VocabularyText
    words: tuple[Spelling, ...]
    groups: tuple[tuple[int, ...], ...]
    n_forced: int
    _tables: dict[int, Array] = field(default_factory=dict)
    _barred: dict[tuple[int, tuple[int, ...]], Array] = field(default_factory=dict)
    _ways_out: dict[tuple[int, ...], bool] = field(default_factory=dict)
    _towards: dict[tuple[int, bytes], Array] = field(default_factory=dict)

    def begin(self, prompt: str) -> tuple[int, Array]:
        """Returns the place and the states (K,) after the text of a prompt."""
        states = [word.automaton.after(prompt, within=k < self.n_forced) for k, word in enumerate(self.words)]
        return INNER if prompt else START, np.array(states, dtype=np.int64)

    def table(self, place: int) -> Array:
        """Returns the states after each token at a place: (K, S, V)."""
        if place not in self._tables:
            tables = [word.table(place) for word in self.words]
            stacked = np.zeros((len(tables), max(map(len, tables), default=1), self.vocabulary.n_tokens), dtype=np.int16)
            for k, table in enumerate(tables):
                stacked[k, : len(table)] = table
            self._tables[place] = stacked
        return self._tables[place]

    def step(self, place: int, states: Array, tokens: Array) -> tuple[Array, Array]:
        """Returns places (...) and states (..., K) after tokens (...), for hypotheses at one place with states (..., K)."""
        which = np.arange(len(self.words))
        after: Array = self.table(place)[which, states, tokens[..., None]].astype(np.int64)
        return self.vocabulary.at(place).following[tokens], after

    def step_one(self, place: int, states: Array, token: int) -> tuple[int, Array]:
        """Returns the place and the states (K,) after one token."""
        places, after = self.step(place, states[None], np.array([token]))
        return int(places[0]), after[0]

    def need(self, places: Array, states: Array, least: bool = False) -> Array:
        """Returns the number of tokens that suffice for all missing groups; 0 if none is missing: (...).

        Every missing group counts whole, from the worst place to begin it, except the nearest one: progress in the others is
        lost. So from anywhere some token lowers the number by one.

        Args:
            least: count the fewest tokens; else the tokenizer's own spelling, which guides the search.
        """
        total, nearest = np.zeros(places.shape, dtype=np.int64), np.zeros(places.shape, dtype=np.int64)
        is_fulfilled = np.ones(states.shape[:-1], dtype=bool)  # a word of every group is in the text if it ends here
        for group in self.groups:
            is_fulfilled &= np.logical_or.reduce([self.words[k].automaton.at_end[states[..., k]] for k in group])
            whole = min(self.words[k].whole(least) for k in group)
            distance = np.minimum.reduce([self._distance(k, places, states[..., k], least) for k in group])
            missing = ~np.logical_or.reduce([states[..., k] == self.words[k].automaton.found for k in group])
            total += whole * missing
            nearest = np.maximum(nearest, (whole - distance) * missing)
        return np.where(is_fulfilled, 0, total - nearest)

    def _distance(self, k: int, places: Array, states: Array, least: bool) -> Array:
        distances = self.words[k].least if least else self.words[k].guide
        inside: Array = distances[INNER][states]
        if (places <= START).all():
            return inside
        distance = np.minimum(inside + 3, NEVER)  # at most three bytes complete the character that another word began
        for place, values in distances.items():
            distance = np.where(places == place, values[states], distance)
        distance = np.where(places == START, inside, distance)
        return np.where(states == self.words[k].automaton.found, 0, distance)

    def barred(self, place: int, states: Array) -> Array:
        """Returns tokens that complete a forbidden word, spell one that no token extends, or break a character: (V,) bool."""
        key = (place, tuple(states[self.n_forced :].tolist()))
        if key not in self._barred:
            bad = self._ending(place, states)
            for token in np.flatnonzero(~bad & self._completing(place, states)).tolist():
                after_place, after = self.step_one(place, states, token)
                bad[token] = after_place > START or not self._leads_out(after)
            self._barred[key] = bad
        return self._barred[key]

    def _ending(self, place: int, states: Array) -> Array:
        """Returns tokens that complete a forbidden word, or break a character: (V,) bool."""
        table, bad = self.table(place), self.vocabulary.at(place).following < 0
        for k in range(self.n_forced, len(self.words)):
            bad = bad | (table[k, states[k]] == self.words[k].automaton.found)
        return np.asarray(bad)

    def _completing(self, place: int, states: Array) -> Array:
        """Returns tokens after which a forbidden word is at the end of the text: (V,) bool."""
        table, at_end = self.table(place), np.zeros(self.vocabulary.n_tokens, dtype=bool)
        for k in range(self.n_forced, len(self.words)):
            at_end |= self.words[k].automaton.at_end[table[k, states[k]]]
        return at_end

    def _leads_out(self, states: Array) -> bool:
        """Returns True if some token extends the forbidden word at the end to a longer word."""
        key = tuple(states[self.n_forced :].tolist())
        if key not in self._ways_out:
            good = ~self._ending(INNER, states) & ~self._completing(INNER, states)
            self._ways_out[key] = bool((good & (self.vocabulary.at(INNER).following == INNER)).any())
        return self._ways_out[key]

    def leaves_open(self, place: int, states: Array) -> Array:
        """Returns tokens after which a forbidden word, or an incomplete character, is at the end of the text: (V,) bool."""
        return self._completing(place, states) | (self.vocabulary.at(place).following > START)

    def may_end(self, places: Array, states: Array) -> Array:
        """Returns whether forbidden words and characters allow the text to end here: (...) bool."""
        good = places <= START
        for k in range(self.n_forced, len(self.words)):
            good = good & ~self.words[k].automaton.at_end[states[..., k]]
        return good

    def towards(self, place: int, states: Array) -> Array:
        """Returns the tokens that lead towards a missing word."""
        key = (place, states.tobytes())
        if key not in self._towards:
            tokens: list[Array] = [np.zeros(0, dtype=np.int64)]
            for group in self.groups:
                if all(states[k] != self.words[k].automaton.found for k in group):
                    tokens += [self.words[k].towards(INNER if place == START else place, int(states[k])) for k in group]
            self._towards[key] = np.unique(np.concatenate(tokens))
        return self._towards[key]


def make_tracker(tokenizer: PreTrainedTokenizerBase, constraints: Constraints, n_vocabulary: int) -> KeywordTracker:
    """Makes the tracker for the words of some constraints. Raises GenerationError if no token sequence spells a required word."""
    vocabulary = vocabulary_text(tokenizer, n_vocabulary)
    forced = [word for group in constraints.groups for word in group]
    words = tuple(make_spelling(tokenizer, vocabulary, word) for word in (*forced, *constraints.forbid))
    sizes = np.cumsum([0, *(len(group) for group in constraints.groups)])
    groups = tuple(tuple(range(start, end)) for start, end in pairwise(sizes.tolist()))
    for group in groups:
        if all(words[k].least[INNER][:2].min() >= NEVER for k in group):
            named = " or ".join(repr(forced[k]) for k in group)
            raise GenerationError.one(f"must_include {named}", "no tokens of this tokenizer spell it.", "Choose another word.")
    return KeywordTracker(vocabulary, words, groups, len(forced))


def make_spelling(tokenizer: PreTrainedTokenizerBase, vocabulary: VocabularyText, word: str) -> Spelling:
    """Returns the spelling of a word, cached with the tokenizer."""
    cache, key = tokenizer_cache(tokenizer), ("spelling", word, vocabulary.n_tokens, len(tokenizer))
    if key not in cache:
        cache[key] = Spelling(automaton(word), vocabulary, tuple(usual_sequences(tokenizer, word)))
    spelling: Spelling = cache[key]
    return spelling


def usual_sequences(tokenizer: PreTrainedTokenizerBase, word: str, before: Sequence[str] = BEFORE) -> list[tuple[int, ...]]:
    """Returns the tokenizer's own spellings of a word inside a text, with and without a blank, without unknown tokens."""
    sequences: dict[tuple[int, ...], None] = {}
    for context in before:
        prefix = tokenizer.encode(context, add_special_tokens=False)
        for blank in (" ", ""):
            whole = tokenizer.encode(f"{context}{blank}{word}", add_special_tokens=False)
            spelling = tuple(whole[len(prefix) :])
            if whole[: len(prefix)] == prefix and spelling and tokenizer.unk_token_id not in spelling:
                sequences[spelling] = None
    return list(sequences)
