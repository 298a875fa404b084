"""Rows in another language or script than the rest of their split."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tunesmith.data.cells import listed
from tunesmith.data.table import Examples
from tunesmith.diagnose.evidence import Diagnosis, Evidence, skip
from tunesmith.errors import MissingExtra

NAME = "language"
SURE = 0.95
"""Normalised probability from which a text's language counts as known."""
LONG_ENOUGH = 40
"""Characters below which no detector can tell a language."""
RARE_SHARE = 0.05
DRIFT = 0.05
"""Change of a language's share between two splits that is worth a word."""


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
        language, chance = identifier.classify(text[:1000]) if len(text) >= LONG_ENOUGH else ("", 0.0)
        found.append(language if chance >= SURE else "")
    return found


def language(evidence: Evidence, others: Sequence[Examples] = ()) -> Diagnosis:
    """Rows whose script, or surely known language, less than one row in twenty has; and shares that differ between splits."""
    scripts = [main_script(text) for text in evidence.rows.texts]
    try:
        spoken = languages_of(evidence.rows.texts)
        elsewhere = {split.split: languages_of(split.texts) for split in others}
    except MissingExtra as error:
        return skip(NAME, error.problems[0].line())
    named = [
        f"{script.lower()} script" if script not in ("", "LATIN") and not code else code
        for script, code in zip(scripts, spoken, strict=True)
    ]
    counts = Counter(filter(None, named))
    total = max(1, sum(counts.values()))
    rare = {code for code, count in counts.items() if count < RARE_SHARE * total}
    flagged = np.array([code in rare for code in named])
    usual = counts.most_common(1)[0][0] if counts else ""
    reasons = {int(i): f"reads as {named[i]}, most rows as {usual}" for i in np.flatnonzero(flagged)}
    shown = listed((f"{code}: {count:,}" for code, count in counts.most_common()), 5)
    drifted = [word for split, codes in elsewhere.items() for word in drift(counts, Counter(filter(None, codes)), split)]
    summary = f"Languages of {total:,} rows that are long enough to tell: {shown or 'none'}."
    if drifted:
        summary += f" {listed(drifted)}."
    return Diagnosis(
        NAME, summary, (), None, flagged, reasons=reasons, figures={"rows_of_language": dict(counts), "drift": drifted}
    )


def drift(here: Counter[str], there: Counter[str], split: str) -> list[str]:
    """Languages whose share differs between train and another split, in words."""
    n_here, n_there = max(1, sum(here.values())), max(1, sum(there.values()))
    found = []
    for code in sorted({*here, *there}):
        a, b = here[code] / n_here, there[code] / n_there
        if abs(a - b) >= DRIFT and n_there >= 20:
            found.append(f"{code} is {a:.0%} of train and {b:.0%} of {split}")
    return found
