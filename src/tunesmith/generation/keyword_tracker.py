"""The state of hypotheses with regard to all words that are forced or forbidden, many hypotheses and tokens at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.errors import GenerationError
from tunesmith.generation.constraints import Constraints
from tunesmith.generation.token_text import INNER, START, Surfaces, kept_with, surfaces_of
from tunesmith.generation.words import NEVER, Spelling, automaton

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BEFORE = ("a", ".", "\n", '"')
"""What may stand before a word: the tokenizer is asked how it spells the word behind each."""


@dataclass(eq=False)
class Watch:
    """The words of one set of constraints over a vocabulary.

    The state of a hypothesis is a place (``generation.surfaces``) and K states, one for each word's automaton.

    Attributes:
        words: K spellings, the forced ones first.
        groups: for each group of forced words the positions of its words.
        n_forced: how many of the words are forced; the others are forbidden.
    """

    surfaces: Surfaces
    words: tuple[Spelling, ...]
    groups: tuple[tuple[int, ...], ...]
    n_forced: int
    _tables: dict[int, Array] = field(default_factory=dict)
    _barred: dict[tuple[int, tuple[int, ...]], Array] = field(default_factory=dict)
    _ways_out: dict[tuple[int, ...], bool] = field(default_factory=dict)
    _towards: dict[tuple[int, bytes], Array] = field(default_factory=dict)

    def begin(self, prompt: str) -> tuple[int, Array]:
        """The place and the (K,) states after the text of a prompt."""
        states = [word.automaton.after(prompt, within=k < self.n_forced) for k, word in enumerate(self.words)]
        return INNER if prompt else START, np.array(states, dtype=np.int64)

    def table(self, place: int) -> Array:
        """(K, S, V) the states after each token written at that place."""
        if place not in self._tables:
            tables = [word.table(place) for word in self.words]
            stacked = np.zeros((len(tables), max(map(len, tables), default=1), self.surfaces.n_tokens), dtype=np.int16)
            for k, table in enumerate(tables):
                stacked[k, : len(table)] = table
            self._tables[place] = stacked
        return self._tables[place]

    def step(self, place: int, states: Array, tokens: Array) -> tuple[Array, Array]:
        """The places (...) and states (..., K) after tokens (...), of hypotheses at one place with states (..., K)."""
        which = np.arange(len(self.words))
        after: Array = self.table(place)[which, states, tokens[..., None]].astype(np.int64)
        return self.surfaces.at(place).following[tokens], after

    def step_one(self, place: int, states: Array, token: int) -> tuple[int, Array]:
        """The place and the (K,) states after one token."""
        places, after = self.step(place, states[None], np.array([token]))
        return int(places[0]), after[0]

    def fulfilled(self, states: Array) -> Array:
        """(...) whether a word of every group is in the text if it ends here."""
        good = np.ones(states.shape[:-1], dtype=bool)
        for group in self.groups:
            good = good & np.logical_or.reduce([self.words[k].automaton.at_end[states[..., k]] for k in group])
        return good

    def need(self, places: Array, states: Array, least: bool = False) -> Array:
        """(...) tokens that suffice for all groups that are missing; 0 where none is.

        Every missing group counts whole, from the worst place to begin it, but for the one that is nearest: what is written of
        others will have to be written again. So from anywhere some token lowers the number by one.

        Args:
            least: count the fewest tokens; else the tokenizer's own way of spelling, by which the search is guided.
        """
        total, nearest = np.zeros(places.shape, dtype=np.int64), np.zeros(places.shape, dtype=np.int64)
        for group in self.groups:
            whole = min(self.words[k].whole(least) for k in group)
            distance = np.minimum.reduce([self._distance(k, places, states[..., k], least) for k in group])
            missing = ~np.logical_or.reduce([states[..., k] == self.words[k].automaton.found for k in group])
            total += whole * missing
            nearest = np.maximum(nearest, (whole - distance) * missing)
        return np.where(self.fulfilled(states), 0, total - nearest)

    def _distance(self, k: int, places: Array, states: Array, least: bool) -> Array:
        known = self.words[k].least if least else self.words[k].guide
        inside: Array = known[INNER][states]
        if (places <= START).all():
            return inside
        found = np.minimum(inside + 3, NEVER)  # at most three bytes end the character that another word began
        for place, values in known.items():
            found = np.where(places == place, values[states], found)
        found = np.where(places == START, inside, found)
        return np.where(states == self.words[k].automaton.found, 0, found)

    def barred(self, place: int, states: Array) -> Array:
        """(V,) tokens that may not follow: they end a forbidden word, spell one that none makes longer, or break a character."""
        key = (place, tuple(states[self.n_forced :].tolist()))
        if key not in self._barred:
            bad = self._ending(place, states)
            stands = np.flatnonzero(~bad & self._stands_after(place, states))
            for token in stands.tolist():
                after_place, after = self.step_one(place, states, token)
                bad[token] = after_place > START or not self._leads_out(after)
            self._barred[key] = bad
        return self._barred[key]

    def _ending(self, place: int, states: Array) -> Array:
        """(V,) tokens that end a forbidden word, or break a character."""
        table, bad = self.table(place), self.surfaces.at(place).following < 0
        for k in range(self.n_forced, len(self.words)):
            bad = bad | (table[k, states[k]] == self.words[k].automaton.found)
        return np.asarray(bad)

    def _stands_after(self, place: int, states: Array) -> Array:
        """(V,) tokens after which a forbidden word stands at the end of the text."""
        table, found = self.table(place), np.zeros(self.surfaces.n_tokens, dtype=bool)
        for k in range(self.n_forced, len(self.words)):
            found |= self.words[k].automaton.at_end[table[k, states[k]]]
        return found

    def _leads_out(self, states: Array) -> bool:
        """Whether some token makes a longer word of the forbidden one that stands there."""
        key = tuple(states[self.n_forced :].tolist())
        if key not in self._ways_out:
            good = ~self._ending(INNER, states) & ~self._stands_after(INNER, states)
            self._ways_out[key] = bool((good & (self.surfaces.at(INNER).following == INNER)).any())
        return self._ways_out[key]

    def leaves_open(self, place: int, states: Array) -> Array:
        """(V,) tokens after which the text may not end: a forbidden word would stand at its end, or half a character."""
        return self._stands_after(place, states) | (self.surfaces.at(place).following > START)

    def may_end(self, places: Array, states: Array) -> Array:
        """(...) whether the text may end here, as far as forbidden words and characters are concerned."""
        good = places <= START
        for k in range(self.n_forced, len(self.words)):
            good = good & ~self.words[k].automaton.at_end[states[..., k]]
        return good

    def towards(self, place: int, states: Array) -> Array:
        """The tokens that bring a missing word nearer."""
        key = (place, states.tobytes())
        if key not in self._towards:
            found: list[Array] = []
            for group in self.groups:
                if all(states[k] != self.words[k].automaton.found for k in group):
                    found += [self.words[k].towards(INNER if place == START else place, int(states[k])) for k in group]
            self._towards[key] = np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)
        return self._towards[key]


def watch_of(tokenizer: PreTrainedTokenizerBase, wanted: Constraints, n_vocabulary: int) -> Watch:
    """The watch over the words of some constraints.

    Raises:
        GenerationError: no token sequence spells a forced word.
    """
    surfaces = surfaces_of(tokenizer, n_vocabulary)
    forced = [word for group in wanted.groups for word in group]
    words = tuple(spelling_of(tokenizer, surfaces, word) for word in (*forced, *wanted.forbid))
    sizes = np.cumsum([0, *(len(group) for group in wanted.groups)])
    groups = tuple(tuple(range(start, end)) for start, end in pairwise(sizes.tolist()))
    for group in groups:
        if all(words[k].least[INNER][:2].min() >= NEVER for k in group):
            named = " or ".join(repr(forced[k]) for k in group)
            raise GenerationError.one(f"must_include {named}", "no tokens of this tokenizer spell it.", "Choose another word.")
    return Watch(surfaces, words, groups, len(forced))


def spelling_of(tokenizer: PreTrainedTokenizerBase, surfaces: Surfaces, word: str) -> Spelling:
    """The spelling of a word; made once for a tokenizer and kept with it."""
    kept, key = kept_with(tokenizer), ("spelling", word, surfaces.n_tokens, len(tokenizer))
    if key not in kept:
        kept[key] = Spelling(automaton(word), surfaces, tuple(usual_sequences(tokenizer, word)))
    made: Spelling = kept[key]
    return made


def usual_sequences(tokenizer: Any, word: str, before: Sequence[str] = BEFORE) -> list[tuple[int, ...]]:
    """How the tokenizer itself spells a word inside a text, with a blank before it and without; unknown tokens left out."""
    found: dict[tuple[int, ...], None] = {}
    for context in before:
        known = tokenizer.encode(context, add_special_tokens=False)
        for blank in (" ", ""):
            whole = tokenizer.encode(f"{context}{blank}{word}", add_special_tokens=False)
            if whole[: len(known)] == known and len(whole) > len(known) and tokenizer.unk_token_id not in whole[len(known) :]:
                found[tuple(whole[len(known) :])] = None
    return list(found)
