"""Makes texts, and pairs of them, from those of the training rows: with words left out or replaced, or continued by another.

A teacher labels them, see ``distillation``; so pairs may be anything from unrelated to equal. The closer they are to real rows,
the better the student: most are a training row with its texts altered.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from tunesmith.data.cells import plural
from tunesmith.data.table import Examples
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.tasks import task_settings

DISTILLATION = ("train", "distillation")
MOST_ROWS = 2_000
"""Of training rows: with more, a model learns enough from the rows themselves."""
FEWEST_ROWS = 10
MOST_TEXTS, MOST_TOKENS = 3_000, 300_000
"""Of the synthetic texts or pairs, and of all tokens in them; the second counts where texts are long."""
EPOCHS = 6
"""Three are over in half the time, but half as near to the teacher: 89 rows of STS-B, teacher 0.820, student 0.788 and 0.802."""
MOST_STEPS = 2
"""Steps of distillation for each step of the training."""
MOST_DROPPED, MOST_REPLACED = 0.3, 0.5
"""Largest shares of words that are left out of a text, and replaced by a word of any text; the shares are drawn evenly below."""


@dataclass(frozen=True)
class DistillationPlan:
    """The number of texts, or pairs, to make, and of optimizer steps on them."""

    n_texts: int
    n_steps: int
    is_of_pairs: bool

    @property
    def words(self) -> str:
        made = plural(self.n_texts, f"synthetic {'pair' if self.is_of_pairs else 'text'}")
        return f"{plural(self.n_steps, 'step')} on {made} of the training texts"


def plan_distillation(recipe: Recipe, rows: Examples, mean_tokens: float, training_steps: int) -> DistillationPlan | None:
    """Plans ``EPOCHS`` epochs of synthetic texts or pairs, with at most twice the steps of the training.

    Returns None where the recipe does not want them, and for too few or too many rows.

    Args:
        mean_tokens: of a training row.
    """
    wanted = task_settings(recipe).has_key(DISTILLATION) and recipe.train.distillation == "auto"
    if not wanted or not FEWEST_ROWS <= len(rows) <= MOST_ROWS:
        return None
    batch_rows = recipe.train.batch_rows
    n_texts = min(MOST_TEXTS, max(batch_rows, int(MOST_TOKENS / mean_tokens)), training_steps * batch_rows)
    return DistillationPlan(
        n_texts, min(MOST_STEPS * training_steps, EPOCHS * math.ceil(n_texts / batch_rows)), rows.pairs is not None
    )


def synthetic_rows(rows: Examples, count: int, seed: int) -> Examples:
    """Makes so many texts, or pairs of texts, without labels from those of rows."""
    texts, pairs = synthetic_pairs(rows, count, seed) if rows.pairs else (synthetic_texts(rows.texts, count, seed), None)
    return Examples("synthetic", "", list(range(count)), texts, [None] * count, pairs=pairs)


def synthetic_texts(texts: list[str], count: int, seed: int) -> list[str]:
    """Makes so many texts from those of rows: of ten, eight are altered ones, and two end as another one does."""
    draw, words = random.Random(seed), [word for text in texts for word in split(text)[0]]
    made = []
    for i in range(count):
        text = draw.choice(texts)
        made.append(altered(text, words, draw) if i % 10 < 8 else continued(text, draw.choice(texts), draw))
    return made


def synthetic_pairs(rows: Examples, count: int, seed: int) -> tuple[list[str], list[str]]:
    """Makes so many pairs from the texts of rows, which are pairs themselves; from unrelated to nearly equal ones.

    Of ten pairs one is a first and a second text of any rows, two are a text and the same altered, five a row with both texts
    altered, and two a row whose second text ends as that of another.
    """
    draw, firsts, seconds = random.Random(seed), rows.texts, rows.pairs or []
    every = [*firsts, *seconds]
    words = [word for text in every for word in split(text)[0]]
    made = []
    for i in range(count):
        row, kind = draw.randrange(len(firsts)), i % 10
        first, second = firsts[row], seconds[row]
        if kind < 1:
            made.append((first, draw.choice(seconds)))
        elif kind < 3:
            text = draw.choice(every)
            made.append((text, altered(text, words, draw)))
        elif kind < 8:
            made.append((altered(first, words, draw), altered(second, words, draw)))
        else:
            made.append((first, continued(second, draw.choice(seconds), draw)))
    return [first for first, _ in made], [second for _, second in made]


def altered(text: str, words: list[str], draw: random.Random) -> str:
    """Leaves words out of a text and replaces others by any of ``words``; without spaces, characters."""
    parts, blank = split(text)
    replaced, dropped = draw.random() * MOST_REPLACED, draw.random() * MOST_DROPPED
    kept = [part for part in parts if draw.random() > dropped] or parts
    return blank.join(draw.choice(words) if draw.random() < replaced else part for part in kept)


def continued(text: str, other: str, draw: random.Random) -> str:
    """Replaces the end of a text by the end of another one, of any length."""
    (parts, blank), (others, _) = split(text), split(other)
    return blank.join([*parts[: draw.randrange(len(parts) + 1)], *others[draw.randrange(len(others) + 1) :]]) or text


def split(text: str) -> tuple[list[str], str]:
    """Returns the words of a text and a blank, or the characters of a text without spaces and nothing between them."""
    words = text.split()
    return (words, " ") if len(words) > 1 else (list("".join(words)), "")
