"""Constraints on generated texts: required and forbidden words, choices, a regular expression, a JSON schema.

All constraints apply to the text, not to tokens: any tokens may spell a word, with or without a blank before it.
``generation.words`` defines whole words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith.data.cells import clip
from tunesmith.data.readers.plain_cells import SURROGATE
from tunesmith.errors import GenerationError, Problem
from tunesmith.generation.expressions import is_match
from tunesmith.generation.words import has_word

FORMS = ("choices", "regex", "json_schema")
CUT_CHARACTER = "half a character (a cut emoji, or a byte that is not UTF-8)"
"""Describes half a surrogate pair. Python reads a byte of a command line that is not UTF-8 as one."""


@dataclass(frozen=True)
class Constraints:
    """Constraints on the generated text, without the prompt.

    Attributes:
        must_include: words or phrases, spelled exactly so, each as a whole word (``generation.words``) in the text.
        any_of: of each tuple at least one word or phrase has to be in the text.
        forbid: words or phrases that may not be in the text as whole words, nor begin in the prompt and end in the text.
        bias: word -> value added to the log-probability of the token that completes it; upstream's ``sequence_bias``.
        choices: the text is exactly one of these, except for a blank before it.
        regex: the whole text matches, as by ``re.fullmatch``.
        json_schema: the whole text is JSON that fulfils the schema.
    """

    must_include: tuple[str, ...] = ()
    any_of: tuple[tuple[str, ...], ...] = ()
    forbid: tuple[str, ...] = ()
    bias: Mapping[str, float] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    regex: str | None = None
    json_schema: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "any_of", tuple(tuple(group) for group in self.any_of))
        for name in ("must_include", "forbid", "choices"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        problems = list(find_problems(self))
        if problems:
            raise GenerationError(problems)

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Groups of required words; at least one word of each group has to be in the text."""
        return (*((word,) for word in self.must_include), *self.any_of)

    @property
    def form(self) -> str | None:
        """The one of ``FORMS`` that determines the whole text; None if there is none."""
        return next((name for name in FORMS if getattr(self, name) not in ((), None)), None)

    def __bool__(self) -> bool:
        return bool(self.groups or self.forbid or self.bias or self.form)


def find_problems(constraints: Constraints) -> Iterator[Problem]:
    """Yields contradictions, which no text could fulfil, and constraints that cannot be parsed."""
    words = words_of(constraints)
    yield from empty_words(words)
    yield from cut_characters(constraints, words)
    if () in constraints.any_of:
        yield problem("any_of", "a group has no words.", "Give each group at least one word.")
    for word in constraints.must_include:
        yield from contradictions(constraints, f"must_include {word!r}", (word,))
    for group in constraints.any_of:
        yield from contradictions(constraints, f"any_of {','.join(group)}", group)
    forms = [name for name in FORMS if getattr(constraints, name) not in ((), None)]
    if len(forms) > 1:
        yield problem(" and ".join(forms), "each determines the whole text.", "Give one of them.")
    others = [name for name in ("must_include", "any_of", "forbid") if getattr(constraints, name)]
    if forms and others:
        remedy = f"Leave {others[0]} out, or write it into the {forms[0]}."
        yield problem(f"{forms[0]} and {others[0]}", f"{forms[0]} determines the whole text.", remedy)
    repeated = sorted({choice for choice in constraints.choices if constraints.choices.count(choice) > 1})
    if repeated:
        yield problem("choices", f"{repeated[0]!r} is there twice.", "Name each choice once.")
    if constraints.regex is not None:
        try:
            re.compile(constraints.regex)
        except re.error as error:
            yield problem("regex", f"{constraints.regex!r} is no regular expression: {error}.")
    if constraints.json_schema is not None and not isinstance(constraints.json_schema, Mapping):
        yield problem("json_schema", "a schema is a JSON object.", 'For example {"type": "object"}.')


def words_of(constraints: Constraints) -> list[tuple[str, str]]:
    """Lists the words of all constraints, each with the constraint's name."""
    words: dict[str, Sequence[str]] = {
        "must_include": constraints.must_include,
        "forbid": constraints.forbid,
        "any_of": [word for group in constraints.any_of for word in group],
        "bias": list(constraints.bias),
        "choices": constraints.choices,
    }
    return [(name, word) for name, own in words.items() for word in own]


def empty_words(words: Sequence[tuple[str, str]]) -> Iterator[Problem]:
    for name, word in words:
        if not word.strip():
            yield problem(name, "a word is empty.", "Give each word at least one character.")
        elif word != word.strip():
            yield problem(name, f"{word!r} has a blank at an end, which is no part of a word.", f"Write {word.strip()!r}.")


def cut_characters(constraints: Constraints, words: Sequence[tuple[str, str]]) -> Iterator[Problem]:
    """Yields a problem for each constraint with half a surrogate pair: no tokens spell it, so no text could fulfil it."""
    schema = constraints.json_schema
    texts = [*words, ("regex", constraints.regex or "")]
    texts += [] if schema is None else [("json_schema", json.dumps(schema, ensure_ascii=False, default=str, skipkeys=True))]
    for name, text in texts:
        if SURROGATE.search(text):
            yield problem(name, f"{clip(text)} holds {CUT_CHARACTER}.", "Write whole characters.")


def contradictions(constraints: Constraints, where: str, group: Sequence[str]) -> Iterator[Problem]:
    """Yields a problem if every word of a group contains a forbidden one."""
    inside = [next((bad for bad in constraints.forbid if bad and has_word(word, bad)), None) for word in group]
    if group and all(inside):
        contained = "" if inside[0] in group else f" (it contains {inside[0]!r})"
        yield problem(where, f"the required text is also forbidden{contained}.", "Leave one of the two out.")


def problem(where: str, message: str, remedy: str = "") -> Problem:
    return Problem(GenerationError.check, where, message, remedy)


def unfulfilled(constraints: Constraints, text: str, prompt: str = "") -> list[str]:
    """Lists the constraints that a text does not fulfil, for the user; the prompt's last character may join its first word."""
    missing = [group for group in constraints.groups if not any(has_word(text, word, prompt) for word in group)]
    present = [word for word in constraints.forbid if has_word(text, word, prompt, within=False)]
    problems = [f"{' or '.join(map(repr, group))} is missing" for group in missing]
    problems += [f"{word!r} is in it" for word in present]
    if constraints.choices and text.strip() not in constraints.choices:
        problems.append("it is none of the choices")
    if constraints.regex is not None and not is_match(constraints.regex, text):
        problems.append("it does not match the regular expression")
    if constraints.json_schema is not None:
        import jsonschema  # type: ignore[import-untyped]

        try:
            value = json.loads(text)
        except ValueError:
            return [*problems, "it is no JSON"]
        schema = constraints.json_schema
        error = next(jsonschema.validators.validator_for(schema)(schema).iter_errors(value), None)
        problems += [] if error is None else [f"it does not fulfil the schema: {error.message}"]
    return problems
