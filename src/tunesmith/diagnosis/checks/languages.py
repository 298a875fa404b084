"""Rows in another language or script than the rest of their split, and splits that differ from train in their languages."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from tunesmith.data.cells import listed
from tunesmith.diagnosis.evidence import Diagnosis, Evidence, skip
from tunesmith.errors import MissingExtra

NAME = "language"
SURE = 0.95
"""Normalised probability from which a text's language counts as known."""
LONG_ENOUGH = 40
"""Characters below which no detector can tell a language."""
ENOUGH = 500
"""Characters of a text that are read: two sentences tell a language, and reading costs by the character."""
RARE_SHARE = 0.05
DRIFT, ALPHA = 0.05, 0.01
"""Change of a language's share between two splits that is worth a word, and how sure it has to be."""
FEWEST = 20
"""Rows of a known language below which the shares of a split say nothing."""


@lru_cache(maxsize=65_536)
def script_of(character: str) -> str:
    """The script of a letter by its Unicode name: LATIN, CYRILLIC, CJK, ...; empty for anything else."""
    if not character.isalpha():
        return ""
    return unicodedata.name(character, "").split(" ")[0].split("-")[0]


def main_script(text: str) -> str:
    """The script of most letters; empty where there are none."""
    if text.isascii():
        return "LATIN" if any(c.isalpha() for c in text) else ""
    counts = Counter(filter(None, map(script_of, text)))
    return counts.most_common(1)[0][0] if counts else ""


def languages_of(texts: Sequence[str]) -> list[str]:
    """The language code of each text (N); empty where it is too short or not sure.

    Raises:
        MissingExtra: the ``py3langid`` library is not installed.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise MissingExtra.of("py3langid", "diagnosis", "Telling languages") from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found = []
    for text in texts:
        language, chance = identifier.classify(text[:ENOUGH]) if len(text) >= LONG_ENOUGH else ("", 0.0)
        found.append(language if chance >= SURE else "")
    return found


def language(evidence: Evidence) -> Diagnosis:
    """Rows whose script, or surely known language, less than one row in twenty has."""
    scripts = [main_script(text) for text in evidence.rows.texts]
    try:
        spoken = languages_of(evidence.rows.texts)
    except MissingExtra as error:
        return skip(NAME, error.problems[0].line())
    named = [
        f"{script.lower()} script" if script not in ("", "LATIN") and not code else code
        for script, code in zip(scripts, spoken, strict=True)
    ]
    counts = Counter(filter(None, named))
    total = sum(counts.values())
    rare = {code for code, count in counts.items() if count < RARE_SHARE * total}
    flagged = np.array([code in rare for code in named])
    usual = counts.most_common(1)[0][0] if counts else ""
    reasons = {int(i): f"reads as {named[i]}, most rows as {usual}" for i in np.flatnonzero(flagged)}
    shown = listed((f"{code}: {count:,}" for code, count in counts.most_common()), 5)
    summary = f"Languages of {total:,} rows that are long enough to tell: {shown or 'none'}."
    figures = {"rows_of_language": dict(counts), "language_of_row": named}
    return Diagnosis(NAME, summary, (), None, flagged, reasons=reasons, figures=figures)


def language_drift(train: Diagnosis, other: Diagnosis, split: str) -> Diagnosis:
    """Languages whose share in another split is not that of train, by more than ``DRIFT`` and than chance (Fisher's exact test
    at ``ALPHA``, with Bonferroni's correction for the languages). Flagged: rows of ``split`` in languages that train has less of.

    Args:
        train, other: what ``language`` says of the two splits.
    """
    name = f"language_drift_{split}"
    if train.skipped or other.skipped:
        return skip(name, train.skipped or other.skipped)
    here, there = (found.figures["rows_of_language"] for found in (train, other))
    n_here, n_there = sum(here.values()), sum(there.values())
    if min(n_here, n_there) < FEWEST:
        return skip(name, f"it needs {FEWEST} rows that are long enough to tell, train has {n_here:,} and {split} {n_there:,}")
    changes = drift(here, there)
    more = {change.language for change in changes if change.elsewhere > change.in_train}
    named = other.figures["language_of_row"]
    words = {change.language: f"{change.language} is {change.in_train:.1%} of train and {change.elsewhere:.1%} of {split}"
             for change in changes}  # fmt: skip
    reasons = {i: f"reads as {code}; {words[code]}" for i, code in enumerate(named) if code in more}
    flagged = np.array([code in more for code in named])
    if not changes:
        summary = f"The languages of {split} have the shares they have in train."
        return Diagnosis(name, summary, (), None, flagged)
    summary = f"{listed(words.values(), 5)}."
    remedy = f"A figure on {split} is one for its languages: add such rows to train, or take them out of {split}."
    figures = {"changes": [asdict(change) for change in changes]}
    return Diagnosis(name, summary, (), None, flagged, reasons=reasons, remedy=remedy, figures=figures)


@dataclass(frozen=True)
class Change:
    """A language's share of train and of another split."""

    language: str
    in_train: float
    elsewhere: float


def drift(here: Mapping[str, int], there: Mapping[str, int]) -> list[Change]:
    """The languages whose share differs by more than ``DRIFT`` and than chance, the largest difference first."""
    from scipy.stats import fisher_exact  # type: ignore[import-untyped]

    n_here, n_there, every = sum(here.values()), sum(there.values()), sorted({*here, *there})
    found = []
    for code in every:
        a, b = here.get(code, 0), there.get(code, 0)
        if abs(a / n_here - b / n_there) > DRIFT and fisher_exact([[a, n_here - a], [b, n_there - b]])[1] < ALPHA / len(every):
            found.append(Change(code, a / n_here, b / n_there))
    return sorted(found, key=lambda change: -abs(change.in_train - change.elsewhere))
