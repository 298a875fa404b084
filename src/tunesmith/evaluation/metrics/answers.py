"""What written answers are worth beside their references: a number from 0 to 1 for each row, higher is better.

``row_means`` gives their means, intervals and verdicts.
"""

from __future__ import annotations

import importlib.util
import json
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any

import numpy as np

from tunesmith.errors import RecipeError
from tunesmith.evaluation.metrics.classification import Values

SHORT_WORDS = 5
"""References of at most so many words (median) are judged by exact match first."""
NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?")
ARTICLES = re.compile(r"\b(a|an|the)\b")
WORDS = re.compile(r"\w+")
PUNCTUATION = str.maketrans("", "", string.punctuation)
WHERE = "evaluate.answers.function"
KINDS = "Give file.py:name, a function of (answer, reference, row)."

Row = Mapping[str, Any]
OneAnswer = Callable[[str, str], float]
UserFunction = Callable[[str, str, Row], Any]


def exact_match(answer: str, reference: str) -> float:
    """1 where both are the same number, or the same words after SQuAD's normalisation; numbers may have thousands separators."""
    numbers = number(answer), number(reference)
    if None not in numbers:
        return float(numbers[0] == numbers[1])
    return float(squad_words(answer) == squad_words(reference))


def token_f1(answer: str, reference: str) -> float:
    """The F1 of the words both have, by number; 1 where neither has any (Rajpurkar et al. 2016, SQuAD, section 6.1)."""
    ours, theirs = squad_words(answer), squad_words(reference)
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (Counter(ours) & Counter(theirs)).total() / (len(ours) + len(theirs))


def rouge_l(answer: str, reference: str) -> float:
    """ROUGE-L, F1 with beta 1 by the longest common subsequence of words (Lin 2004, eq. 2 to 4); case folded, not stemmed.

    ``rouge_score`` without its stemmer gives the same for ASCII texts; the summary is one sentence. 1 where neither has words.
    """
    ours, theirs = WORDS.findall(answer.casefold()), WORDS.findall(reference.casefold())
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * common_subsequence(ours, theirs) / (len(ours) + len(theirs))


def json_valid(answer: str, _reference: str) -> float:
    """1 where the whole answer is JSON (RFC 8259: NaN and infinities are not)."""
    return float(parsed(answer) is not NOT_JSON)


def json_equal(answer: str, reference: str) -> float:
    """1 where both are the same JSON value; the order of keys and the spelling of numbers do not matter."""
    value = parsed(answer)
    return float(value is not NOT_JSON and same_value(value, parsed(reference)))


METRICS: Mapping[str, OneAnswer] = MappingProxyType(
    {"exact_match": exact_match, "token_f1": token_f1, "rouge_l": rouge_l, "json_valid": json_valid, "json_equal": json_equal}
)
"""The metrics of answers by name, each of (answer, reference)."""
WHOLE = frozenset({"json_valid", "json_equal"})
"""They read the whole answer, whatever the pattern."""


def answer_metrics_for(references: Sequence[str], pattern: str | None = None, function: str | None = None) -> tuple[str, ...]:
    """The names of the metrics that suit these references, the leading one first.

    The user's function leads where there is one; then JSON, where every reference is an object or an array; else exact match
    where there is a pattern or the references are short (a median of at most ``SHORT_WORDS`` words); else ROUGE-L.
    """
    words = median([len(reference.split()) for reference in references]) if references else 0
    texts = ("exact_match", "token_f1", "rouge_l") if pattern or words <= SHORT_WORDS else ("rouge_l", "token_f1", "exact_match")
    of_json = bool(references) and all(isinstance(parsed(reference), dict | list) for reference in references)
    return (("function",) if function else ()) + (("json_equal", "json_valid") if of_json else ()) + texts


def answer_scores(
    names: Sequence[str], answers: Sequence[str], references: Sequence[str], rows: Sequence[Row], row_ids: Sequence[int],
    pattern: str | None = None, function: UserFunction | None = None,
) -> dict[str, Values]:  # fmt: skip
    """Metric name -> (N) its value for each row, in [0, 1].

    Args:
        pattern: its first group, where it matches last, is what counts of an answer and of a reference; an answer without a
            match is worth 0. References none of which matches are taken whole: they are the bare results.
        function: as ``answer_function`` read it, for the name ``function``; it is given whole answers and references.

    Raises:
        RecipeError: the pattern matches only some references; the function fails or returns no number from 0 to 1.
    """
    short = counted_parts(answers, references, row_ids, pattern) if pattern else list(zip(answers, references, strict=True))
    whole = list(zip(answers, references, strict=True))
    found: dict[str, Values] = {}
    for name in names:
        if name == "function" and function is not None:
            given = zip(answers, references, rows, row_ids, strict=True)
            found[name] = np.array([called(function, answer, reference, row, row_id) for answer, reference, row, row_id in given])
        else:
            pairs: Sequence[tuple[str | None, str]] = whole if name in WHOLE else short
            found[name] = np.array([0.0 if answer is None else METRICS[name](answer, reference) for answer, reference in pairs])
    return found


def counted_parts(
    answers: Sequence[str], references: Sequence[str], row_ids: Sequence[int], pattern: str
) -> list[tuple[str | None, str]]:
    """What counts of each answer (None where the pattern does not match) and of its reference."""
    compiled = compiled_pattern(pattern)
    wanted = [last_match(compiled, reference) for reference in references]
    missing = [row_id for row_id, part in zip(row_ids, wanted, strict=True) if part is None]
    if 0 < len(missing) < len(wanted):
        raise RecipeError.one(
            "evaluate.answers.pattern", f"{pattern!r} matches {len(wanted) - len(missing)} of {len(wanted)} references; "
            f"the first without a match is row {missing[0]}.", "Give a pattern that matches every reference, or none of them.",
        )  # fmt: skip
    parts = [last_match(compiled, answer) for answer in answers]
    return [(part, whole if of is None else of) for part, whole, of in zip(parts, references, wanted, strict=True)]


def compiled_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression. Raises RecipeError where it is none, or has no group."""
    where = "evaluate.answers.pattern"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise RecipeError.one(where, f"{pattern!r} is no regular expression: {error}.") from error
    if not compiled.groups:
        raise RecipeError.one(where, f"{pattern!r} has no group.", 'Put what counts in parentheses: "#### (.*)".')
    return compiled


def last_match(pattern: re.Pattern[str], text: str) -> str | None:
    """The first group where the pattern matches last; None where it does not match, or without that group."""
    matches = list(pattern.finditer(text))
    part = matches[-1].group(1) if matches else None
    return None if part is None else part.strip()


def number(text: str) -> Decimal | None:
    """The number that the text is, thousands separators or not; None where it is none."""
    whole = text.strip()
    return Decimal(whole.replace(",", "")) if NUMBER.fullmatch(whole) and whole.isascii() else None


def squad_words(text: str) -> list[str]:
    """The words after SQuAD's normalisation: lower case, no punctuation, no articles (its ``evaluate-v1.1.py``)."""
    return ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split()


def common_subsequence(one: Sequence[str], two: Sequence[str]) -> int:
    """The length of the longest common subsequence, by bits (Hyyro 2004, "Bit-parallel LCS-length computation algorithms")."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(one)) - 1
    open_places = full
    for word in two:
        met = open_places & places.get(word, 0)
        open_places = (open_places + met | open_places - met) & full
    return len(one) - open_places.bit_count()


NOT_JSON = object()


def parsed(text: str) -> Any:
    """The JSON value of the text, or ``NOT_JSON``."""
    try:
        return json.loads(text, parse_constant=refused)
    except (ValueError, RecursionError):
        return NOT_JSON


def refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def same_value(one: Any, two: Any) -> bool:
    """Whether two JSON values are the same; true is not 1, 1.0 is."""
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same_value(value, two[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(same_value(*pair) for pair in zip(one, two, strict=True))
    return bool(one == two)


def answer_function(named: str, base: Path) -> UserFunction:
    """The function that ``file.py:name`` names; relative files are looked for beside the recipe.

    It is loaded since the recipe names it, and the file is run to do so.

    Raises:
        RecipeError: no such file or function, or the file fails.
    """
    path, _, name = named.rpartition(":")
    file = base / path
    if not path.endswith(".py") or not name:
        raise RecipeError.one(WHERE, f"{named!r} names no function.", KINDS)
    if not file.is_file():
        raise RecipeError.one(WHERE, f"there is no file {file}.", KINDS)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise RecipeError.one(WHERE, f"{file} cannot be read as Python.", KINDS)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RecipeError.one(WHERE, f"{file} fails: {type(error).__name__}: {error}.") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise RecipeError.one(WHERE, f"{file} has no function {name}.", KINDS)
    return function  # type: ignore[no-any-return]


def called(function: UserFunction, answer: str, reference: str, row: Row, row_id: int) -> float:
    """What the user's function says of an answer. Raises RecipeError with file and row where it is no number from 0 to 1."""
    code = getattr(function, "__code__", None)
    where = f"{WHERE} {code.co_filename if code else ''}:{getattr(function, '__name__', function)}, row {row_id}"
    try:
        said = function(answer, reference, row)
    except Exception as error:
        raise RecipeError.one(where, f"the function failed: {type(error).__name__}: {error}.") from error
    if not isinstance(said, bool | int | float | np.number | np.bool_) or not 0 <= float(said) <= 1:
        raise RecipeError.one(where, f"the function returned {said!r}; a number from 0 to 1 was expected.")
    return float(said)
