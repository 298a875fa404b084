"""Spoils good answers in ways that a reward should notice: empty, of another question, in another order, cut, repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

TIMES = 3
"""How often a repeated answer is said."""


def empty(_answers: Sequence[str], _i: int, _dice: Random) -> str:
    """Returns nothing."""
    return ""


def of_another_row(answers: Sequence[str], i: int, dice: Random) -> str:
    """Returns the answer of another row that differs; the row's own where all are the same."""
    others = [answer for answer in answers if answer != answers[i]]
    return dice.choice(others) if others else answers[i]


def shuffled_words(answers: Sequence[str], i: int, dice: Random) -> str:
    """Returns the words of the answer in another order; a single word stays."""
    words = answers[i].split()
    return " ".join(dice.sample(words, len(words)))


def truncated(answers: Sequence[str], i: int, _dice: Random) -> str:
    """Returns the first half of the answer's words, or of the characters of a single word."""
    words = answers[i].split()
    return " ".join(words[: len(words) // 2]) if len(words) > 1 else answers[i].strip()[: len(answers[i].strip()) // 2]


def repeated(answers: Sequence[str], i: int, _dice: Random) -> str:
    """Returns the answer several times, one after the other."""
    return " ".join([answers[i].strip()] * TIMES)


VARIANTS: Mapping[str, Callable[[Sequence[str], int, Random], str]] = {
    "empty": empty,
    "of another row": of_another_row,
    "words shuffled": shuffled_words,
    "truncated": truncated,
    "repeated": repeated,
}
"""Name of a variant -> (all answers, position, dice) -> the spoilt answer."""
UNFINISHED = ("truncated",)
"""Variants that have not ended, as answers that a limit of tokens has cut."""


def variants_of(answers: Sequence[str], seed: int) -> dict[str, list[str]]:
    """Returns variant -> the spoilt answer of each row (N), the same for one seed."""
    return {
        name: [make(answers, i, Random(f"{seed} {name} {i}")) for i in range(len(answers))] for name, make in VARIANTS.items()
    }
