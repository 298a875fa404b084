"""A classifier's bias on single words: pinned bias of a word list, and the effect of replacing its words by hypernyms."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed, plural
from tunesmith.data.table import Labels
from tunesmith.diagnosis.evidence import Diagnosis, skip
from tunesmith.errors import InputError, MissingExtra, ModelError

TextScores = Callable[[tuple[str, ...]], Array]
"""Texts to probabilities (N, K)."""
RowScores = Callable[[list[int], list[str]], Array]
"""Positions of rows and their changed texts to probabilities (N, K)."""

LEXICON = "oewn:2024"
SHOWN = 5
STEPS_FROM_ROOT = 3
"""Hypernyms nearer to the root than this (entity, physical entity, object) carry no meaning."""


@dataclass(frozen=True)
class WordList:
    """The words of a list (T) under the user's name for it."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class LabelledTexts:
    """The labelled rows that hypernyms are substituted in.

    Attributes:
        texts: (N).
        given: class ids (N).
        scores: probabilities of rows whose texts have changed, each by a model that was not trained on the row.
    """

    texts: Sequence[str]
    given: Array
    scores: RowScores


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


def pinned_bias(words: Sequence[str], scores: TextScores, target: int) -> PinnedBias:
    """Measures the bias of a word list, read word by word, towards the class ``target``. Raises ValueError if it is empty."""
    if not words:
        raise ValueError("a word list is needed for pinned bias, an empty one was given")
    chance = np.asarray(scores(tuple(words)))[:, target]
    pinned, half, mean = (float(np.abs(chance - phi).mean()) for phi in (np.minimum(chance, 0.5), 0.5, chance.mean()))
    return PinnedBias(tuple(words), chance, pinned, half, mean)


def hypernyms(words: Sequence[str], lexicon: str = LEXICON) -> dict[str, str]:
    """Word -> a more general noun from WordNet's first sense, for the words that have one.

    The first sense is often the wrong one, and slurs and names are missing, so report the words without a hypernym.
    """
    try:
        import wn
    except ImportError as error:
        raise MissingExtra.of("wn", "diagnosis", "Replacing words by hypernyms") from error
    try:
        net: Any = wn.Wordnet(lexicon)
    except wn.Error as error:
        message = f"the WordNet {lexicon} is not on this machine."
        raise ModelError.one("hypernyms", message, f"Run: python -m wn download {lexicon}") from error
    replacements = {}
    for word in words:
        for synset in net.synsets(word, pos="n")[:1]:
            above = [h for h in synset.hypernyms() if h.min_depth() >= STEPS_FROM_ROOT]
            if above and (lemmas := above[0].lemmas()):
                replacements[word] = str(lemmas[0])
    return replacements


def replace_words(texts: Sequence[str], replacements: Mapping[str, str]) -> list[str]:
    """Replaces whole words in the texts, ignoring case."""
    if not replacements:
        return list(texts)
    lower = {word.lower(): other for word, other in replacements.items()}
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(lower, key=len, reverse=True))) + r")\b", re.IGNORECASE)
    return [pattern.sub(lambda match: lower[match.group().lower()], text) for text in texts]


@dataclass(frozen=True)
class Substitution:
    """The effect of replacing words by hypernyms on a model.

    Attributes:
        replaced: word -> hypernym.
        missing: words without a usable hypernym in WordNet.
        n_changed: texts that hold one of the words.
        accuracy_before, accuracy_after: on these texts; None if there are none.
        bias_before, bias_after: pinned bias of the replaced words, and of their substitutes: bias may move there.
    """

    replaced: dict[str, str]
    missing: tuple[str, ...]
    n_changed: int
    accuracy_before: float | None
    accuracy_after: float | None
    bias_before: float | None
    bias_after: float | None


def substitution(
    words: Sequence[str], replacements: Mapping[str, str], rows: LabelledTexts, scores: TextScores, target: int
) -> Substitution:
    """Measures accuracy and bias before and after the words are replaced in the texts.

    Args:
        scores: probabilities of words that stand alone.
    """
    changed = replace_words(rows.texts, replacements)
    touched = [i for i, (old, new) in enumerate(zip(rows.texts, changed, strict=True)) if old != new]
    before, after = (
        accuracy(rows.scores(touched, [texts[i] for i in touched]), rows.given[touched]) for texts in (rows.texts, changed)
    )
    used = [word for word in words if word in replacements]
    substitutes = list(dict.fromkeys(replacements[word] for word in used))
    bias_before, bias_after = (pinned_bias(side, scores, target).pinned if side else None for side in (used, substitutes))
    return Substitution(
        replaced=dict(replacements),
        missing=tuple(word for word in words if word not in replacements),
        n_changed=len(touched),
        accuracy_before=before,
        accuracy_after=after,
        bias_before=bias_before,
        bias_after=bias_after,
    )


def accuracy(pred_probs: Array, given: Array) -> float | None:
    """Share of rows whose most probable class is the given one; None without rows."""
    return float((np.asarray(pred_probs).argmax(axis=1) == given).mean()) if len(given) else None


def word_list_bias(word_list: WordList, labels: Labels, scores: TextScores) -> tuple[Diagnosis, int]:
    """Measures the pinned bias of a list towards every class.

    Returns:
        The diagnosis, and the class with the largest bias (of equal ones the most probable).
    """
    words = word_list.words
    biases = [pinned_bias(words, scores, k) for k in range(labels.n)]
    means = [float(bias.probability.mean()) for bias in biases]
    target = max(range(labels.n), key=lambda k: (biases[k].pinned, means[k]))
    bias, label = biases[target], labels.names[target]
    strongest = np.argsort(-bias.probability, kind="stable")[:SHOWN].tolist()
    shown = listed(f"{bias.words[i]} {bias.probability[i]:.2f}" for i in strongest)
    if bias.pinned > 0:
        leaning = f"pinned bias {bias.pinned:.3f} towards {label} (0 is none, 0.5 the most)"
    else:
        leaning = f"no word alone reaches one half for any class; nearest is {label}"
    table = [
        {
            "list": word_list.name,
            "label": labels.names[k],
            "n_words": len(words),
            "pinned_bias": bias.pinned,
            "bias_around_half": bias.around_half,
            "bias_around_mean": bias.around_mean,
            "mean_probability": means[k],
        }
        for k, bias in enumerate(biases)
    ]
    summary = f"{plural(len(words), 'word')}, each given to the models alone: {leaning}; highest: {shown}."
    return Diagnosis(f"word_list_{word_list.name}", summary, ("pred_probs",), figures={"table": table}), target


def hypernym_effect(word_list: WordList, rows: LabelledTexts, scores: TextScores, label: str, target: int) -> Diagnosis:
    """Measures accuracy and bias after the words of a list are replaced by hypernyms; skipped without WordNet.

    Args:
        label, target: name and id of the class the list is biased towards.
    """
    own, words = f"hypernyms_{word_list.name}", word_list.words
    try:
        replacements = hypernyms(words, LEXICON)
    except InputError as error:
        return skip(own, error.problems[0].line())
    if not replacements:
        return skip(own, f"WordNet has no hypernym for any of the {plural(len(words), 'word')} of {word_list.name}")
    effect = substitution(words, replacements, rows, scores, target)
    shown = listed((f"{word}: {other}" for word, other in effect.replaced.items()), SHOWN)
    missing = f"; none for {listed(effect.missing, SHOWN)}" if effect.missing else ""
    moved = "no labelled row has one"
    if effect.n_changed:
        accuracies = f"accuracy {effect.accuracy_before:.3f} becomes {effect.accuracy_after:.3f}"
        moved = f"{accuracies} in the {plural(effect.n_changed, 'labelled row')} with one"
    summary = (
        f"Hypernyms of {len(effect.replaced):,} of {plural(len(words), 'word')} ({shown}{missing}): {moved}; "
        f"pinned bias towards {label} "
        f"{effect.bias_before:.3f}, of the hypernyms {effect.bias_after:.3f}."
    )
    values = asdict(effect)
    figures = {"list": word_list.name, "label": label, "n_replaced": len(effect.replaced), "n_missing": len(effect.missing)}
    figures |= {"n_rows": effect.n_changed}
    figures |= {name: values[name] for name in ("accuracy_before", "accuracy_after", "bias_before", "bias_after")}
    figures |= {"replaced": "|".join(f"{word}:{other}" for word, other in effect.replaced.items())}
    return Diagnosis(own, summary, ("pred_probs",), figures={"table": [figures]})
