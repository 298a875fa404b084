"""What a classifier makes of single words: pinned bias of a word list, and the same with words replaced by more general ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.errors import MissingExtra, ModelError
from tunesmith.metrics.predictions import Array

Scores = Callable[[list[str]], Array]
"""Texts to probabilities (N, K)."""

LEXICON = "oewn:2024"
STEPS_FROM_ROOT = 3
"""Hypernyms nearer to the root than this (entity, physical entity, object) say nothing."""


@dataclass(frozen=True)
class PinnedBias:
    """Bias of a word list towards one class.

    Attributes:
        words: (T).
        probability: the class's probability for each word standing alone (T).
        pinned: mean |p - phi| with phi = min(p, 0.5): only words above one half count (Badjatiya et al. 2019, equation 2).
        around_half, around_mean: the same with phi = 0.5, and with phi = the mean probability of the list.
    """

    words: tuple[str, ...]
    probability: Array
    pinned: float
    around_half: float
    around_mean: float


def pinned_bias(words: Sequence[str], scores: Scores, target: int) -> PinnedBias:
    """The bias of a list of words towards the class ``target``; each word is given to the model alone.

    Raises:
        ValueError: the list is empty.
    """
    if not words:
        raise ValueError("a word list is needed for pinned bias, an empty one was given")
    chance = np.asarray(scores(list(words)))[:, target]
    return PinnedBias(
        tuple(words), chance, float(np.abs(chance - np.minimum(chance, 0.5)).mean()), float(np.abs(chance - 0.5).mean()),
        float(np.abs(chance - chance.mean()).mean()),
    )  # fmt: skip


def hypernyms(words: Sequence[str], lexicon: str = LEXICON) -> dict[str, str]:
    """Word -> a more general noun from WordNet's first sense, for the words that have one.

    The first sense is often the wrong one, and slurs and names are missing: what could not be replaced is to be reported.

    Raises:
        MissingExtra: the ``wn`` library is not installed.
        ModelError: its WordNet is not on this machine.
    """
    try:
        import wn
    except ImportError as error:
        raise MissingExtra.of("wn", "diagnosis", "Replacing words by hypernyms") from error
    try:
        net: Any = wn.Wordnet(lexicon)
    except wn.Error as error:
        raise ModelError.one(
            "hypernyms", f"the WordNet {lexicon} is not on this machine.", f"Run: python -m wn download {lexicon}"
        ) from error
    found = {}
    for word in words:
        for synset in net.synsets(word, pos="n")[:1]:
            above = [h for h in synset.hypernyms() if h.min_depth() >= STEPS_FROM_ROOT]
            if above and (lemmas := above[0].lemmas()):
                found[word] = str(lemmas[0])
    return found


def replace_words(texts: Sequence[str], replacements: Mapping[str, str]) -> list[str]:
    """The texts with whole words replaced, case aside."""
    if not replacements:
        return list(texts)
    lower = {word.lower(): other for word, other in replacements.items()}
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(lower, key=len, reverse=True))) + r")\b", re.IGNORECASE)
    return [pattern.sub(lambda match: lower[match.group().lower()], text) for text in texts]


@dataclass(frozen=True)
class Substitution:
    """What replacing words by hypernyms does to a model.

    Attributes:
        replaced: word -> hypernym.
        missing: words WordNet has no usable hypernym for.
        n_changed: texts that hold one of the words.
        accuracy_before, accuracy_after: on these texts; None where there are none.
        bias_before, bias_after: pinned bias of the words that were replaced, and of their substitutes: bias may move there.
    """

    replaced: dict[str, str]
    missing: tuple[str, ...]
    n_changed: int
    accuracy_before: float | None
    accuracy_after: float | None
    bias_before: float | None
    bias_after: float | None


def substitution(words: Sequence[str], replacements: Mapping[str, str], texts: Sequence[str], given: Array, scores: Scores,
                 target: int) -> Substitution:  # fmt: skip
    """How much accuracy and bias move when the words are replaced in the texts the model reads."""
    changed = replace_words(texts, replacements)
    touched = [i for i, (old, new) in enumerate(zip(texts, changed, strict=True)) if old != new]
    before, after = (accuracy(scores([side[i] for i in touched]), given[touched]) for side in (texts, changed))
    used = [word for word in words if word in replacements]
    substitutes = list(dict.fromkeys(replacements[word] for word in used))
    return Substitution(
        dict(replacements), tuple(word for word in words if word not in replacements), len(touched), before, after,
        pinned_bias(used, scores, target).pinned if used else None,
        pinned_bias(substitutes, scores, target).pinned if substitutes else None,
    )  # fmt: skip


def accuracy(chances: Array, given: Array) -> float | None:
    """Share of rows whose most probable class is the given one; None without rows."""
    return float((np.asarray(chances).argmax(axis=1) == given).mean()) if len(given) else None
