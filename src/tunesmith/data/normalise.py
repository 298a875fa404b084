"""Normalises texts, so that equal keys mean duplicates."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Sequence

# Translating ASCII and searching only the rest is several times faster than one regular expression over all.
ASCII_SEPARATORS = {code: " " for code in range(128) if not chr(code).isalnum()}
OTHER_SEPARATORS = re.compile(r"[^\w\x00-\x7f]+")
KEPT_CATEGORIES = ("M", "So")
"""Unicode categories that carry meaning although Python counts them as separators: vowel signs and accents (M*), emoji (So)."""


def normalise(text: str) -> str:
    """Returns the text in Unicode's NFKC form, case folded, with runs of punctuation and white space as one space.

    Emoji stay, since two texts may differ only in them. Texts of punctuation only (``:-)``) stay, too.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = text.casefold()
    words = text.translate(ASCII_SEPARATORS)
    if not words.isascii():
        words = OTHER_SEPARATORS.sub(lambda run: spaced(run.group()), words)
    return " ".join(words.split()) or " ".join(text.split())


@functools.lru_cache(maxsize=4096)
def spaced(run: str) -> str:
    """Replaces a run of separators by spaces, except for the kept categories."""
    return "".join(character if unicodedata.category(character).startswith(KEPT_CATEGORIES) else " " for character in run)


def text_keys(texts: Sequence[str], pairs: Sequence[str] | None, key: Callable[[str], str] = normalise) -> list[str]:
    """Returns one key a row (N): equal keys are duplicates. The two texts of a pair keep their order.

    Args:
        key: ``normalise``, or a function that looks its results up.
    """
    if pairs is None:
        return [key(text) for text in texts]
    return [f"{key(text)}\n{key(pair)}" for text, pair in zip(texts, pairs, strict=True)]
