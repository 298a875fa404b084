"""Text metrics of generated answers against references: a value in [0, 1] for each row, higher is better.

``means`` computes their means, intervals and verdicts.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.errors import RecipeError
from tunesmith.evaluation.metrics.classification import Values
from tunesmith.evaluation.metrics.function_file import failure_words, load_function

SHORT_WORDS = 5
"""References of at most so many words (median) get exact match as the primary metric."""
LOOP_WORDS, LOOP_CHARACTERS = 4, 20
"""Words, or characters of a text without spaces, from which a repetition counts as a loop."""
NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?")
ARTICLES = re.compile(r"\b(a|an|the)\b")
WORDS = re.compile(r"[^\W_]+")  # as rouge_score: an underscore separates words
PUNCTUATION = str.maketrans("", "", string.punctuation)
FUNCTION_KEY, PATTERN_KEY = "evaluate.answers.function", "evaluate.answers.pattern"
KINDS = "Give file.py:name, a function of (answer, reference, row)."

Row = Mapping[str, Any]
TextMetric = Callable[[str, str], float]
UserFunction = Callable[[str, str, Row], object]


def exact_match(answer: str, reference: str) -> float:
    """1 for the same number, or the same words after SQuAD's normalisation; numbers may have thousands separators."""
    numbers = number(answer), number(reference)
    if None not in numbers:
        return float(numbers[0] == numbers[1])
    return float(squad_words(answer) == squad_words(reference))


def token_f1(answer: str, reference: str) -> float:
    """F1 of the shared words, counted with repeats; 1 if neither has any (Rajpurkar et al. 2016, SQuAD, section 6.1)."""
    ours, theirs = squad_words(answer), squad_words(reference)
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (Counter(ours) & Counter(theirs)).total() / (len(ours) + len(theirs))


def rouge_l(answer: str, reference: str) -> float:
    """ROUGE-L, F1 with beta 1 by the longest common subsequence of words (Lin 2004, eq. 2 to 4); case folded, not stemmed.

    ``rouge_score`` without its stemmer gives the same for ASCII texts; the summary is one sentence. 1 if neither has words.
    """
    ours, theirs = WORDS.findall(answer.casefold()), WORDS.findall(reference.casefold())
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * common_subsequence(ours, theirs) / (len(ours) + len(theirs))


def json_valid(answer: str, _reference: str) -> float:
    """1 if the whole answer is JSON (RFC 8259: NaN and infinities are not)."""
    return float(parse_json(answer) is not NOT_JSON)


def json_equal(answer: str, reference: str) -> float:
    """1 if both are the same JSON value; the order of keys and the spelling of numbers do not matter."""
    value = parse_json(answer)
    return float(value is not NOT_JSON and same_value(value, parse_json(reference)))


METRICS: Mapping[str, TextMetric] = MappingProxyType(
    {"exact_match": exact_match, "token_f1": token_f1, "rouge_l": rouge_l, "json_valid": json_valid, "json_equal": json_equal}
)
"""Metric name -> function of (answer, reference)."""
IGNORES_PATTERN = frozenset({"json_valid", "json_equal"})
"""Metrics that read the whole answer, even with a pattern."""


def answer_metrics_for(references: Sequence[str], pattern: str | None = None, function: str | None = None) -> tuple[str, ...]:
    """Selects the metrics that suit these references, the leading one first.

    The user's function leads if there is one; then JSON, if every reference is an object or an array; else exact match if
    there is a pattern or the references are short (a median of at most ``SHORT_WORDS`` words); else ROUGE-L.
    """
    words = median([len(reference.split()) for reference in references]) if references else 0
    texts = ("exact_match", "token_f1", "rouge_l") if pattern or words <= SHORT_WORDS else ("rouge_l", "token_f1", "exact_match")
    are_json = bool(references) and all(isinstance(parse_json(reference), dict | list) for reference in references)
    return (("function",) if function else ()) + (("json_equal", "json_valid") if are_json else ()) + texts


def answer_scores(
    names: Sequence[str],
    answers: Sequence[str],
    references: Sequence[str],
    rows: Sequence[Row],
    row_ids: Sequence[int],
    pattern: str | None = None,
    function: UserFunction | None = None,
) -> dict[str, Values]:
    """Metric name -> (N) its value for each row, in [0, 1].

    Args:
        pattern: the first group of its last match is scored, of an answer and of a reference; an answer without a match scores 0.
            If no reference matches, they are taken whole: they are the bare results.
        function: from ``answer_function``, for the name ``function``; it gets whole answers and references.
    """
    whole = list(zip(answers, references, strict=True))
    parts = matched_parts(answers, references, row_ids, pattern) if pattern else whole
    scores: dict[str, Values] = {}
    for name in names:
        if name == "function" and function is not None:
            calls = zip(answers, references, rows, row_ids, strict=True)
            scores[name] = np.array([call_function(function, *call) for call in calls])
        else:
            pairs: Sequence[tuple[str | None, str]] = whole if name in IGNORES_PATTERN else parts
            scores[name] = np.array([0.0 if answer is None else METRICS[name](answer, reference) for answer, reference in pairs])
    return scores


def matched_parts(
    answers: Sequence[str], references: Sequence[str], row_ids: Sequence[int], pattern: str
) -> list[tuple[str | None, str]]:
    """Returns the part of each answer that the pattern matches (None without a match) and that of its reference."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise RecipeError.one(PATTERN_KEY, f"{pattern!r} is no regular expression: {error}.") from error
    if not compiled.groups:
        raise RecipeError.one(PATTERN_KEY, f"{pattern!r} has no group.", 'Put the scored part in parentheses: "#### (.*)".')
    targets = [last_match(compiled, reference) for reference in references]
    missing = [row_id for row_id, part in zip(row_ids, targets, strict=True) if part is None]
    if 0 < len(missing) < len(targets):
        counts = f"{len(targets) - len(missing)} of {plural(len(targets), 'reference')}"
        message = f"{pattern!r} matches {counts}; the first without a match is row {missing[0]}."
        raise RecipeError.one(PATTERN_KEY, message, "Give a pattern that matches every reference, or none of them.")
    parts = [last_match(compiled, answer) for answer in answers]
    return [(part, whole if target is None else target) for part, whole, target in zip(parts, references, targets, strict=True)]


def last_match(pattern: re.Pattern[str], text: str) -> str | None:
    """Returns the first group of the last match; None without a match, or if the group did not take part."""
    matches = list(pattern.finditer(text))
    part = matches[-1].group(1) if matches else None
    return None if part is None else part.strip()


def number(text: str) -> Decimal | None:
    """Parses a number, with or without thousands separators; None if the text is none."""
    whole = text.strip()
    return Decimal(whole.replace(",", "")) if NUMBER.fullmatch(whole) and whole.isascii() else None


def squad_words(text: str) -> list[str]:
    """Returns the words after SQuAD's normalisation: lower case, no punctuation, no articles (its ``evaluate-v1.1.py``)."""
    return ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split()


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Computes the length of the longest common subsequence (Hyyro 2004, "Bit-parallel LCS-length computation algorithms")."""
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(first)) - 1
    open_places = full
    for word in second:
        matches = open_places & places.get(word, 0)
        open_places = (open_places + matches | open_places - matches) & full
    return len(first) - open_places.bit_count()


def is_looping(text: str) -> bool:
    """Returns whether a text ends in a repetition of the same words that fills at least half of it.

    The repeated words occur at least twice, and are four or more together. A text without spaces is read by characters.
    """
    words: Sequence[str] = text.split()
    if len(words) < LOOP_WORDS and len(text.strip()) >= LOOP_CHARACTERS:
        words = text.strip()
    n = len(words)
    for period in range(1, n // 2 + 1):
        repeated = next((k for k in range(n - period) if words[n - 1 - k] != words[n - 1 - k - period]), n - period)
        if repeated >= period and repeated + period >= max(LOOP_WORDS, n / 2):
            return True
    return False


NOT_JSON = object()


def parse_json(text: str) -> Any:
    """Returns the JSON value of the text, or ``NOT_JSON``."""
    try:
        return json.loads(text, parse_constant=reject_constant)
    except (ValueError, RecursionError):
        return NOT_JSON


def reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def same_value(first: object, second: object) -> bool:
    """Returns whether two JSON values are the same; true is not 1, 1.0 is."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same_value(value, second[key]) for key, value in first.items())
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(same_value(*pair) for pair in zip(first, second, strict=True))
    return bool(first == second)


def answer_function(reference: str, base: Path) -> UserFunction:
    """Loads the function ``file.py:name`` by running the file, which is looked up as every file of a recipe (``locate``)."""
    return load_function(reference, base, FUNCTION_KEY, KINDS)


def call_function(function: UserFunction, answer: str, reference: str, row: Row, row_id: int) -> float:
    """Calls the user's function. Raises RecipeError with file and row if it fails or returns no number from 0 to 1."""
    code = getattr(function, "__code__", None)
    file = code.co_filename if code else ""
    where = f"{FUNCTION_KEY} {file}:{getattr(function, '__name__', function)}, row {row_id}"
    try:
        score = function(answer, reference, row)
    except Exception as error:
        raise RecipeError.one(where, f"the function failed: {failure_words(error, Path(file))}.") from error
    if not isinstance(score, bool | int | float | np.number | np.bool_) or not 0 <= float(score) <= 1:
        raise RecipeError.one(where, f"the function returned {score!r}; a number from 0 to 1 was expected.")
    return float(score)


def repetition(text: str) -> float:
    """Returns the share of the words of a text that occurred in it before."""
    words = text.lower().split()
    return 1.0 - len(set(words)) / len(words) if words else 0.0
