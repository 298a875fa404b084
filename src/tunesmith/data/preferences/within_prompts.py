"""Chooses the pairs of the answers to one prompt, and counts the pairs and answers that are left out beside those in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tunesmith.data.cells import plural
from tunesmith.data.chat.messages import Turns
from tunesmith.data.preferences.dialogues import same_turns
from tunesmith.data.split import spread_positions

MOST_PAIRS = 64
"""Pairs of the answers to one prompt; of more, which a few dozen answers make, so many are taken evenly."""
T = TypeVar("T")


@dataclass
class WithinPrompts:
    """Counts what is left out of prompts of which pairs are used.

    Attributes:
        cut_prompts, cut_pairs: prompts with more than ``MOST_PAIRS`` pairs, and the pairs beyond.
        same: pairs of twice the same answer, with different scores or judgements.
        unscored: answers of lists without a score or a rank.
    """

    cut_prompts: int = 0
    cut_pairs: int = 0
    same: int = 0
    unscored: int = 0

    def choose(self, pairs: Sequence[tuple[T, T]], turns: Callable[[T], Turns]) -> list[tuple[T, T]]:
        """Returns those pairs of one prompt that are used, at most ``MOST_PAIRS`` of different answers, and counts the others.

        Where no two answers differ, nothing is counted: then rows are left out, which are counted as rows.
        """
        different = [(a, b) for a, b in pairs if not same_turns(turns(a), turns(b))]
        if different:
            self.same += len(pairs) - len(different)
        if len(different) > MOST_PAIRS:
            self.cut_prompts += 1
            self.cut_pairs += len(different) - MOST_PAIRS
        return [different[k] for k in spread_positions(len(different), MOST_PAIRS)]

    def notes(self, split: str) -> Iterator[str]:
        """Yields a sentence for each kind of pairs and answers that is left out."""
        if self.cut_pairs:
            more = f"more pairs of answers than the {MOST_PAIRS} that are used"
            prompts = f"{plural(self.cut_prompts, 'prompt')} of {split} {'has' if self.cut_prompts == 1 else 'have'} {more}"
            yield f"{prompts}: {plural(self.cut_pairs, 'pair', 'is', 'are')} left out."
        if self.same:
            pairs = f"{plural(self.same, 'pair')} of {split} with twice the same answer, scored or judged differently,"
            yield f"{pairs} {'is' if self.same == 1 else 'are'} left out."
        if self.unscored:
            answers = f"{plural(self.unscored, 'answer')} of {split} without a score or a rank"
            yield f"{answers} {'is' if self.unscored == 1 else 'are'} left out."
