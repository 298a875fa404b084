"""What a generated text has to fulfil: words in it, words not in it, one of several answers, a regular expression, a JSON schema.

Everything is said and judged of the text, not of tokens: a word may be spelled by any tokens, with or without a blank before it.
What a whole word is says ``generation.words``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith.errors import GenerationError, Problem
from tunesmith.generation.expressions import is_match
from tunesmith.generation.words import has_word

FORMS = ("choices", "regex", "json_schema")


@dataclass(frozen=True)
class Constraints:
    """What the written text, without the prompt, has to fulfil.

    Attributes:
        must_include: words or phrases, spelled exactly so, each as a whole word (``generation.words``) in the text.
        any_of: of each tuple at least one word or phrase has to be in the text.
        forbid: words or phrases that may not be in the text as whole words, nor begin in the prompt and end in the text.
        bias: word -> what is added to the log-probability of the token that completes it; upstream's ``sequence_bias``.
        choices: the text is exactly one of these, but for a blank before it.
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
        problems = list(problems_of(self))
        if problems:
            raise GenerationError(problems)

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Of each group at least one word has to be in the text."""
        return (*((word,) for word in self.must_include), *self.any_of)

    @property
    def form(self) -> str | None:
        """The one of ``FORMS`` that the text has to have; None where it is free."""
        return next((name for name in FORMS if getattr(self, name) not in ((), None)), None)

    def __bool__(self) -> bool:
        return bool(self.groups or self.forbid or self.bias or self.form)


def problems_of(wanted: Constraints) -> Iterator[Problem]:
    """Everything that no text could fulfil, or that cannot be understood."""
    yield from empty_words(wanted)
    for word in wanted.must_include:
        yield from contradicted(wanted, f"must_include {word!r}", (word,))
    for group in wanted.any_of:
        yield from contradicted(wanted, f"any_of {','.join(group)}", group)
    yield from forms_together(wanted)
    repeated = sorted({choice for choice in wanted.choices if wanted.choices.count(choice) > 1})
    if repeated:
        yield problem("choices", f"{repeated[0]!r} is there twice.", "Name each choice once.")
    yield from unreadable(wanted)


def empty_words(wanted: Constraints) -> Iterator[Problem]:
    named = [
        *(("must_include", word) for word in wanted.must_include), *(("forbid", word) for word in wanted.forbid),
        *(("any_of", word) for group in wanted.any_of for word in group), *(("bias", word) for word in wanted.bias),
        *(("choices", choice) for choice in wanted.choices),
    ]  # fmt: skip
    for name, word in named:
        if not word.strip():
            yield problem(name, "a word is empty.", "Give each word at least one character.")
        elif word != word.strip():
            yield problem(name, f"{word!r} has a blank at an end, which is no part of a word.", f"Write {word.strip()!r}.")
    if () in wanted.any_of:
        yield problem("any_of", "a group has no words.", "Give each group at least one word.")


def contradicted(wanted: Constraints, where: str, group: Sequence[str]) -> Iterator[Problem]:
    """The problem of a group of which every word would bring a forbidden one with it."""
    inside = [next((bad for bad in wanted.forbid if bad and has_word(word, bad)), None) for word in group]
    if group and all(inside):
        of = "" if inside[0] in group else f" (it holds {inside[0]!r})"
        yield problem(where, f"what has to be in the text is also forbidden{of}.", "Leave one of the two out.")


def forms_together(wanted: Constraints) -> Iterator[Problem]:
    forms = [name for name in FORMS if getattr(wanted, name) not in ((), None)]
    if len(forms) > 1:
        yield problem(" and ".join(forms), "each says what the whole text is.", "Give one of them.")
    words = [name for name in ("must_include", "any_of", "forbid") if getattr(wanted, name)]
    if forms and words:
        remedy = f"Leave {words[0]} out, or write it into the {forms[0]}."
        yield problem(f"{forms[0]} and {words[0]}", f"{forms[0]} says what the whole text is.", remedy)


def unreadable(wanted: Constraints) -> Iterator[Problem]:
    if wanted.regex is not None:
        try:
            re.compile(wanted.regex)
        except re.error as error:
            yield problem("regex", f"{wanted.regex!r} is no regular expression: {error}.")
    if wanted.json_schema is not None and not isinstance(wanted.json_schema, Mapping):
        yield problem("json_schema", "a schema is a JSON object.", 'For example {"type": "object"}.')


def problem(where: str, message: str, remedy: str = "") -> Problem:
    return Problem(GenerationError.check, where, message, remedy)


def unfulfilled(wanted: Constraints, text: str, prompt: str = "") -> list[str]:
    """What the text does not fulfil, as words for the user; empty where it fulfils everything. Only the text is looked at.

    Args:
        prompt: the text before it; its last character is the neighbour of the first one.
    """
    missing = [f"{' or '.join(map(repr, group))} is missing" for group in wanted.groups if not any_in(group, text, prompt)]
    found = [f"{word!r} is in it" for word in wanted.forbid if has_word(text, word, prompt, within=False)]
    wrong = []
    if wanted.choices and text.strip() not in wanted.choices:
        wrong.append("it is none of the choices")
    if wanted.regex is not None and not is_match(wanted.regex, text):
        wrong.append("it does not match the regular expression")
    if wanted.json_schema is not None:
        wrong += against_schema(wanted.json_schema, text)
    return [*missing, *found, *wrong]


def any_in(group: Sequence[str], text: str, prompt: str) -> bool:
    return any(has_word(text, word, prompt) for word in group)


def against_schema(schema: Mapping[str, Any], text: str) -> list[str]:
    import jsonschema  # type: ignore[import-untyped]

    try:
        value = json.loads(text)
    except ValueError:
        return ["it is no JSON"]
    error = next(jsonschema.validators.validator_for(schema)(schema).iter_errors(value), None)
    return [] if error is None else [f"it does not fulfil the schema: {error.message}"]
