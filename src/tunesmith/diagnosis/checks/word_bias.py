"""What a classifier makes of single words: pinned bias of a word list, and the same with words replaced by more general ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed
from tunesmith.data.table import Labels
from tunesmith.diagnosis.evidence import Diagnosis, skip
from tunesmith.errors import InputError, MissingExtra, ModelError

Scores = Callable[[list[str]], Array]
"""Texts to probabilities (N, K)."""
RowScores = Callable[[list[int], list[str]], Array]
"""Positions of rows and their changed texts to probabilities (N, K)."""

LEXICON = "oewn:2024"
SHOWN = 5
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


def substitution(words: Sequence[str], replacements: Mapping[str, str], texts: Sequence[str], given: Array, of_rows: RowScores,
                 scores: Scores, target: int) -> Substitution:  # fmt: skip
    """How much accuracy and bias move when the words are replaced in the texts the model reads.

    Args:
        given: class ids (N).
        of_rows: probabilities of rows whose texts have changed, each by a model that did not see the row.
        scores: probabilities of words that stand alone.
    """
    changed = replace_words(texts, replacements)
    touched = [i for i, (old, new) in enumerate(zip(texts, changed, strict=True)) if old != new]
    before, after = (accuracy(of_rows(touched, [side[i] for i in touched]), given[touched]) for side in (texts, changed))
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


def word_list(name: str, words: Sequence[str], labels: Labels, scores: Scores) -> tuple[Diagnosis, int]:
    """The pinned bias of a list towards every class, and the class it leans to most (of equal ones the most probable)."""
    biases = [pinned_bias(words, scores, k) for k in range(labels.n)]
    means = [float(bias.probability.mean()) for bias in biases]
    target = max(range(labels.n), key=lambda k: (biases[k].pinned, means[k]))
    found, label = biases[target], labels.names[target]
    strongest = np.argsort(-found.probability, kind="stable")[:SHOWN].tolist()
    shown = listed(f"{found.words[i]} {found.probability[i]:.2f}" for i in strongest)
    if found.pinned > 0:
        leaning = f"pinned bias {found.pinned:.3f} towards {label} (0 is none, 0.5 the most)"
    else:
        leaning = f"no word alone reaches one half for any class; nearest is {label}"
    table = [
        {"list": name, "label": labels.names[k], "n_words": len(words), "pinned_bias": bias.pinned,
         "bias_around_half": bias.around_half, "bias_around_mean": bias.around_mean, "mean_probability": means[k]}
        for k, bias in enumerate(biases)
    ]  # fmt: skip
    summary = f"{len(words):,} words, each read alone: {leaning}; highest: {shown}."
    return Diagnosis(f"word_list_{name}", summary, ("pred_probs",), figures={"table": table}), target


def hypernym_list(name: str, words: Sequence[str], texts: Sequence[str], given: Array, label: str, target: int,
                  of_rows: RowScores, scores: Scores) -> Diagnosis:  # fmt: skip
    """How accuracy and bias move when the words of a list are replaced by hypernyms; skipped without WordNet."""
    own = f"hypernyms_{name}"
    try:
        replacements = hypernyms(words, LEXICON)
    except InputError as error:
        return skip(own, error.problems[0].line())
    if not replacements:
        return skip(own, f"WordNet has no hypernym for any of the {len(words):,} words of {name}")
    done = substitution(words, replacements, texts, given, of_rows, scores, target)
    shown = listed((f"{word}: {other}" for word, other in done.replaced.items()), SHOWN)
    missing = f"; none for {listed(done.missing, SHOWN)}" if done.missing else ""
    moved = (
        f"accuracy {done.accuracy_before:.3f} becomes {done.accuracy_after:.3f} in the {done.n_changed:,} labelled rows with one"
        if done.n_changed
        else "no labelled row has one"
    )
    summary = (
        f"Hypernyms of {len(done.replaced):,} of {len(words):,} words ({shown}{missing}): {moved}; pinned bias towards {label} "
        f"{done.bias_before:.3f}, of the hypernyms {done.bias_after:.3f}."
    )
    figures = {
        "list": name, "label": label, "n_replaced": len(done.replaced), "n_missing": len(done.missing), "n_rows": done.n_changed,
        "accuracy_before": done.accuracy_before, "accuracy_after": done.accuracy_after, "bias_before": done.bias_before,
        "bias_after": done.bias_after, "replaced": "|".join(f"{word}:{other}" for word, other in done.replaced.items()),
    }  # fmt: skip
    return Diagnosis(own, summary, ("pred_probs",), figures={"table": [figures]})
