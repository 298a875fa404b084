"""Generates pairs of a better and a worse answer to the instructions about the harbour town, four kinds of worse answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from pocket_rows import ASKED, Row

N_TRAIN_PAIRS = 600


def pairs(train: Sequence[Row], test: Sequence[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """Returns pairs for some of the training instructions, and for every test instruction: prompt, chosen, rejected.

    Half of the worse answers are wrong, the others are wordy, or say the question again, or go on after the answer.
    """
    dice = Random(f"preferences {seed}")
    chosen = dice.sample(list(train), N_TRAIN_PAIRS)
    return [pair(row, train, i, dice) for i, row in enumerate(chosen)], [pair(row, test, i, dice) for i, row in enumerate(test)]


def pair(row: Row, others: Sequence[Row], i: int, dice: Random) -> Row:
    """Returns the pair of an instruction: its answer, and a worse one of the i-th kind."""
    worse = WORSE[i % len(WORSE)](row, others, dice)
    return {"prompt": row["instruction"], "chosen": row["output"], "rejected": worse}


def kind_of(row: Row) -> str:
    """Returns the kind of an instruction, by how it is asked."""
    return next(kind for kind, ways in ASKED.items() if any(row["instruction"].startswith(way[:-2]) for way in ways))


def wrong(row: Row, others: Sequence[Row], dice: Random) -> str:
    """Returns the answer to another instruction of the same kind."""
    return dice.choice([o["output"] for o in others if kind_of(o) == kind_of(row) and o["output"] != row["output"]])


def wordy(row: Row, _others: Sequence[Row], dice: Random) -> str:
    """Returns the right answer in more words than were asked for."""
    before = dice.choice(("I think the answer is", "Well, it may be", "Let me see. That would be"))
    return f"{before} {row['output']}"


def repeating(row: Row, _others: Sequence[Row], _dice: Random) -> str:
    """Returns the question with the right answer behind it."""
    return f"{row['instruction'].split('. ', 1)[-1]} {row['output']}"


def going_on(row: Row, others: Sequence[Row], dice: Random) -> str:
    """Returns the right answer, and one that nobody asked for behind it."""
    return f"{row['output']} {wrong(row, others, dice)}"


WORSE: tuple[Callable[[Row, Sequence[Row], Random], str], ...] = (wrong, wordy, wrong, repeating, wrong, going_on)
