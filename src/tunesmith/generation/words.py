"""Finds whole words in a text, also during generation, by an automaton that is independent of the tokens.

A word is found if its characters are in the text and no letter, digit, mark or underscore touches it on a side on which it has
one itself: ``fox`` is in "the fox." and in "fox-trot", not in "foxes" nor "Fox". Scripts without blanks (Chinese, Japanese,
Thai, ...) have no such edges: there only the characters count.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.generation.token_text import INNER, VocabularyText

UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF), (0x20000, 0x323AF),
)  # fmt: skip
"""Scripts without blanks between words: Thai and Lao, Myanmar, Khmer, kana, and the Han ideographs."""
NEVER = 10_000
"""Distance in tokens to a word that cannot be reached."""
DETOUR = 3
"""Cost of a token that is not in the tokenizer's own spelling of the word, in tokens that are."""

State = tuple[frozenset[int], bool]


@lru_cache(maxsize=65536)
def joins(character: str) -> bool:
    """Returns True if a character forms one word with such a neighbour."""
    point = ord(character)
    if any(low <= point <= high for low, high in UNSPACED):
        return False
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")


def has_word(text: str, word: str, before: str = "", within: bool = True) -> bool:
    """Returns True if the word is in ``text`` as a whole word.

    Args:
        before: the preceding text, whose last character may join the first of ``text``.
        within: the whole word has to be in ``text``; else it may begin in ``before``.
    """
    whole, start = before + text, len(before) if within else 0
    while (start := whole.find(word, start)) >= 0:
        end = start + len(word)
        left = start > 0 and joins(whole[start - 1]) and joins(word[0])
        right = end < len(whole) and joins(whole[end]) and joins(word[-1])
        if not left and not right and end > len(before):
            return True
        start += 1
    return False


@dataclass(frozen=True, eq=False)
class Automaton:
    """The automaton of one word.

    Attributes:
        states: the numbers of matched characters (several if the word overlaps itself), and whether the last character joins.
            The last state, ``found``, is final.
        alphabet: the word's code points, ascending.
        steps: (S, C) the state after each class of characters: those of ``alphabet``, then others that do not join and that do.
        at_end: (S,) whether the word is found if the text ends here.
    """

    word: str
    states: tuple[State, ...]
    alphabet: Array
    steps: Array
    at_end: Array

    @property
    def found(self) -> int:
        return len(self.states)

    def classes(self, points: Array, joining: Array) -> Array:
        """Returns the class of each code point."""
        place = np.searchsorted(self.alphabet, points).clip(max=len(self.alphabet) - 1)
        return np.where(self.alphabet[place] == points, place, len(self.alphabet) + joining)

    def after(self, before: str, within: bool) -> int:
        """Returns the state after a prompt; words inside it never count. ``within``: the word may not begin in it either."""
        joined = bool(before) and joins(before[-1])
        if within or not before:
            return self.states.index((frozenset(), joined))
        state: State = (frozenset(), False)
        for character in before[-4 * len(self.word) - 4 :]:
            state = advanced(self.word, state, character, joins(character))
        return self.states.index((state[0] - {len(self.word)}, joined))


def advanced(word: str, state: State, character: str, joining: bool) -> State:
    """Returns the state after one more character, whether or not it completes the word."""
    matched, joined = state
    begins = not joins(word[0]) or not joined
    new = {n + 1 for n in (*matched, *([0] if begins else [])) if n < len(word) and word[n] == character}
    return frozenset(new), joining


def stepped(word: str, state: State, character: str, joining: bool) -> State | None:
    """Returns the state after one more character; None if it completes the word."""
    new = advanced(word, state, character, joining)
    is_complete = (len(word) in state[0] and not joining) or (len(word) in new[0] and not joins(word[-1]))
    return None if is_complete else new


def automaton(word: str) -> Automaton:
    """Builds the automaton of one word, with all reachable states."""
    letters = sorted(set(word))
    kinds = [*((letter, joins(letter)) for letter in letters), ("", False), ("", True)]
    states: list[State] = [(frozenset(), False), (frozenset(), True)]
    rows: list[list[State | None]] = []
    while len(rows) < len(states):
        state = states[len(rows)]
        reached = [stepped(word, state, character, joining) for character, joining in kinds]
        rows.append(reached)
        for new in (*reached, (state[0] - {len(word)}, state[1])):
            if new is not None and new not in states:
                states.append(new)
    found = len(states)
    steps = [[found if new is None else states.index(new) for new in row] for row in rows]
    table = np.array([*steps, [found] * len(kinds)], dtype=np.int16)
    at_end = np.array([len(word) in matched for matched, _ in states] + [True])
    return Automaton(word, tuple(states), np.array([ord(letter) for letter in letters], dtype=np.uint32), table, at_end)


@dataclass(eq=False)
class Spelling:
    """The spellings of one word in a vocabulary; ``usual`` are the tokenizer's own in several contexts."""

    automaton: Automaton
    vocabulary: VocabularyText
    usual: tuple[tuple[int, ...], ...]
    _tables: dict[int, Array] = field(default_factory=dict)
    _guided: dict[tuple[int, int], Array] = field(default_factory=dict)

    def table(self, place: int) -> Array:
        """Returns the state after each token at a place: (S + 1, V)."""
        if place in self._tables:
            return self._tables[place]
        tokens, n_states = self.vocabulary.at(place), self.automaton.found + 1
        table = np.repeat(np.arange(n_states, dtype=np.int16)[:, None], len(tokens.following), axis=1)
        current = table[:, tokens.order]
        for points in tokens.columns:
            distinct, where = np.unique(points, return_inverse=True)
            joining = np.array([joins(chr(point)) for point in distinct], dtype=np.int64)
            classes = self.automaton.classes(distinct, joining)[where]
            current[:, : len(points)] = self.automaton.steps[current[:, : len(points)], classes[None, :]]
        table[:, tokens.order] = current
        self._tables[place] = table
        return table

    @cached_property
    def guide(self) -> dict[int, Array]:
        """Place -> (S + 1,) distance to the word: the tokenizer's own tokens count 1, others ``DETOUR``."""
        return self._distance(DETOUR)

    @cached_property
    def least(self) -> dict[int, Array]:
        """Place -> (S + 1,) the fewest tokens to the word; ``NEVER`` if it cannot be reached."""
        return self._distance(1)

    def whole(self, least: bool) -> int:
        """Returns the tokens of the whole word from the worst place to begin it."""
        return int((self.least if least else self.guide)[INNER][:2].max())

    def towards(self, place: int, state: int) -> Array:
        """Returns the tokens that lead towards the word."""
        key = (place, state)
        if key not in self._guided:
            tokens = np.zeros(self.vocabulary.n_tokens, dtype=bool)
            for distances in (self.guide, self.least):
                if place in distances:
                    tokens |= self._successors(place, distances)[state] < distances[place][state]
            self._guided[key] = np.flatnonzero(tokens)
        return self._guided[key]

    def _distance(self, detour: int) -> dict[int, Array]:
        """Computes shortest paths to the word by Bellman's equation."""
        letters = [letter.encode("utf-8") for letter in sorted(set(self.automaton.word))]
        inside = {letter[:end] for letter in letters for end in range(1, len(letter))}
        places = [INNER, *sorted(self.vocabulary.place_after(piece) for piece in inside)]
        usual = self._usual_steps()
        goal = np.where(self.automaton.at_end, 0, NEVER).astype(np.int32)
        values = {place: goal.copy() if place == INNER else np.full_like(goal, NEVER) for place in places}
        changed = True
        while changed:
            changed = False
            for place in places:
                after = self._successors(place, values)
                best = np.minimum(after.min(axis=1) + detour, NEVER)
                for at, state, token in usual:
                    if at == place:
                        best[state] = min(best[state], after[state, token] + 1)
                new = np.minimum(values[place], best)
                changed |= bool((new < values[place]).any())
                values[place] = new
        return values

    def _successors(self, place: int, values: dict[int, Array]) -> Array:
        """Returns the value after each token; ``NEVER`` for tokens that lead to a place without values: (S + 1, V)."""
        after, following = self.table(place), self.vocabulary.at(place).following
        values_after = np.full(after.shape, NEVER, dtype=np.int32)
        for target, value in values.items():
            tokens = np.flatnonzero(following == target)
            values_after[:, tokens] = value[after[:, tokens]]
        return values_after

    def _usual_steps(self) -> list[tuple[int, int, int]]:
        """Returns (place, state, token) of every step in the tokenizer's own spellings."""
        steps = []
        for sequence in self.usual:
            for state in (0, 1):
                place = INNER
                for token in sequence:
                    steps.append((place, state, token))
                    state = int(self.table(place)[state, token])
                    place = int(self.vocabulary.at(place).following[token])
        return steps
