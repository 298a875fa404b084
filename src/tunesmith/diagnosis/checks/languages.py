"""Language and script checks: rows in a rare language of their split, and splits whose languages differ from train."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.cells import listed, plural
from tunesmith.diagnosis.evidence import Diagnosis, Evidence, skip
from tunesmith.errors import MissingExtra

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

NAME = "language"
MIN_PROBABILITY = 0.95
"""Normalised probability above which a detected language counts as known."""
MIN_CHARACTERS = 40
"""Shorter texts get no language: no detector is reliable on them."""
MAX_CHARACTERS = 500
"""Characters of a text that are read: two sentences are enough, and the cost grows with each character."""
RARE_SHARE = 0.05
DRIFT, ALPHA = 0.05, 0.01
"""Smallest reported change of a language's share between two splits, and its significance level."""
MIN_ROWS = 20
"""Fewest rows of a known language for comparing the shares of a split."""


@lru_cache(maxsize=65_536)
def script_of(character: str) -> str:
    """Returns the script of a letter by its Unicode name: LATIN, CYRILLIC, CJK, ...; empty for other characters."""
    if not character.isalpha():
        return ""
    return unicodedata.name(character, "").split(" ")[0].split("-")[0]


def main_script(text: str) -> str:
    """Returns the script of most letters; empty for a text without letters."""
    if text.isascii():
        return "LATIN" if any(c.isalpha() for c in text) else ""
    counts = Counter(filter(None, map(script_of, text)))
    return counts.most_common(1)[0][0] if counts else ""


def detect_languages(texts: Sequence[str]) -> list[str]:
    """Returns the language code of each text (N); empty for short texts and uncertain detections.

    Raises MissingExtra if a text is long enough and ``py3langid`` is not installed.
    """
    codes = []
    for text in texts:
        code, probability = load_identifier().classify(text[:MAX_CHARACTERS]) if len(text) >= MIN_CHARACTERS else ("", 0.0)
        codes.append(code if probability >= MIN_PROBABILITY else "")
    return codes


@cache
def load_identifier() -> LanguageIdentifier:
    """Loads the model of py3langid, whose file takes half a second to unpack."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise MissingExtra.of("py3langid", "diagnosis", "Language detection") from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language(evidence: Evidence) -> Diagnosis:
    """Flags rows whose script or known language less than one row in twenty has."""
    scripts = [main_script(text) for text in evidence.rows.texts]
    try:
        codes = detect_languages(evidence.rows.texts)
    except MissingExtra as error:
        return skip(NAME, error.problems[0].line())
    names = [
        f"{script.lower()} script" if script not in ("", "LATIN") and not code else code
        for script, code in zip(scripts, codes, strict=True)
    ]
    counts = Counter(filter(None, names))
    total = sum(counts.values())
    rare = {name for name, count in counts.items() if count < RARE_SHARE * total}
    flagged = np.array([name in rare for name in names])
    usual = counts.most_common(1)[0][0] if counts else ""
    reasons = {int(i): f"detected as {names[i]}, most rows as {usual}" for i in np.flatnonzero(flagged)}
    shown = listed((f"{name}: {count:,}" for name, count in counts.most_common()), 5)
    summary = f"Languages of {plural(total, 'row')} that are long enough to detect one: {shown or 'none'}."
    figures = {"rows_of_language": dict(counts), "language_of_row": names}
    return Diagnosis(NAME, summary, flagged=flagged, reasons=reasons, figures=figures)


def language_drift(train: Diagnosis, other: Diagnosis, split: str) -> Diagnosis:
    """Flags rows of ``split`` in languages whose share there exceeds that in train.

    A change counts if it is larger than ``DRIFT`` and significant by Fisher's exact test at ``ALPHA``, with Bonferroni's
    correction for the languages.

    Args:
        train, other: the ``language`` diagnoses of the two splits.
    """
    name = f"language_drift_{split}"
    if train.skipped or other.skipped:
        return skip(name, train.skipped or other.skipped)
    here, there = (diagnosis.figures["rows_of_language"] for diagnosis in (train, other))
    n_here, n_there = sum(here.values()), sum(there.values())
    if min(n_here, n_there) < MIN_ROWS:
        return skip(name, f"it needs {MIN_ROWS} rows with a detected language, train has {n_here:,} and {split} {n_there:,}")
    changes = drift(here, there)
    more = {change.language for change in changes if change.elsewhere > change.in_train}
    row_languages = other.figures["language_of_row"]
    flagged = np.array([code in more for code in row_languages])
    if not changes:
        return Diagnosis(name, f"The languages of {split} have the shares they have in train.", flagged=flagged)
    words = {c.language: f"{c.language} is {c.in_train:.1%} of train and {c.elsewhere:.1%} of {split}" for c in changes}
    return Diagnosis(
        name,
        f"{listed(words.values(), 5)}.",
        flagged=flagged,
        reasons={i: f"detected as {code}; {words[code]}" for i, code in enumerate(row_languages) if code in more},
        remedy=f"A figure on {split} is one for its languages: add such rows to train, or take them out of {split}.",
        figures={"changes": [asdict(change) for change in changes]},
    )


@dataclass(frozen=True)
class Change:
    """A language's share of train and of another split."""

    language: str
    in_train: float
    elsewhere: float


def drift(here: Mapping[str, int], there: Mapping[str, int]) -> list[Change]:
    """Returns the languages whose share differs by more than ``DRIFT`` and significantly, the largest difference first."""
    from scipy.stats import fisher_exact  # type: ignore[import-untyped]

    n_here, n_there, codes = sum(here.values()), sum(there.values()), sorted({*here, *there})
    changes = []
    for code in codes:
        a, b = here.get(code, 0), there.get(code, 0)
        if abs(a / n_here - b / n_there) > DRIFT and fisher_exact([[a, n_here - a], [b, n_there - b]])[1] < ALPHA / len(codes):
            changes.append(Change(code, a / n_here, b / n_there))
    return sorted(changes, key=lambda change: -abs(change.in_train - change.elsewhere))
