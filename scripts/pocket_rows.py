"""Generates instruction rows about the harbour town: ten kinds, as many rows each; no test subject is in a training row."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

from pocket_facts import PACKED, Passage, Question, owners, spots
from pocket_texts import action
from pocket_world import COLOURS, NAMES, NUMBERS, OPPOSITES, PLACES, PLURALS, THINGS, VERBS, a, capital, series

Row = dict[str, str]
HELD_OUT_WORDS = 0.15

# kind -> ways to ask for it, with the text in them
ASKED = {
    "who": ("Answer with one name. {}", "Say only the name. {}"),
    "colour": ("Answer with one colour. {}", "Say only the colour. {}"),
    "where": ("Say only the place. {}", "Answer with the place. {}"),
    "yes-no": ("Answer yes or no. {}", "Say yes or no. {}"),
    "list": ("Write the things as a JSON list. {}", "Give the things as JSON. {}"),
    "object": ("Write who, thing and colour as JSON. {}", "Make JSON of who, thing and colour. {}"),
    "past": ("Put this into the past: {}", "Write this as of yesterday: {}"),
    "opposite": ("Give the opposite: {}", "Say the opposite: {}"),
    "plural": ("Give the plural: {}", "Say the word for many of them: {}"),
    "count": ("Count the things. {}", "How many things are these? {}"),
}


def rows(n_train: int, n_test: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Returns so many training and test rows of every kind, mixed; no instruction occurs twice."""
    dice = Random(seed)
    train, test = [], []
    for kind in ASKED:
        found = apart(kind, n_train, n_test, dice)
        train += found[:n_train]
        test += found[n_train:]
    return dice.sample(train, len(train)), dice.sample(test, len(test))


def apart(kind: str, n_train: int, n_test: int, dice: Random) -> list[Row]:
    """Returns training rows, then test rows, no sentence of which is in a training row."""
    words = WORDS.get(kind, ())
    pool = dice.sample(words, len(words))
    n_held_out = round(len(pool) * HELD_OUT_WORDS)
    found: list[Row] = []
    asked, learnt = set(), set()
    while len(found) < n_train + n_test:
        in_train = len(found) < n_train
        text, output = INPUTS[kind](dice, len(found), pool[n_held_out:] if in_train else pool[:n_held_out])
        instruction, parts = dice.choice(ASKED[kind]).format(text), sentences(text)
        if instruction in asked or (not in_train and parts & learnt):
            continue
        asked.add(instruction)
        learnt |= parts if in_train else set()
        found.append({"instruction": instruction, "output": output})
    return found


def sentences(text: str) -> set[str]:
    """Splits an input into its sentences, without questions."""
    return {part for part in text.replace("? ", "?\n").replace(". ", ".\n").split("\n") if not part.endswith("?")}


def read(maker: Callable[[Random], Passage], kind: str) -> Callable[[Random, int, list[object]], tuple[str, str]]:
    """Returns a passage and a question of that kind about it."""

    def made(dice: Random, i: int, words: list[object]) -> tuple[str, str]:
        while True:
            passage = maker(dice)
            fitting = [q for q in passage.questions if q.kind == kind and wanted(q, i)]
            if len(passage.sentences) <= 3 and fitting:
                question = dice.choice(fitting)
                return f"{passage.text} {question.asked}", question.short

    return made


def wanted(question: Question, i: int) -> bool:
    """Returns whether a question may be the i-th: as many answers are yes as no."""
    return question.kind != "yes-no" or question.short == ("yes", "no")[i % 2]


def listed(dice: Random, i: int, words: list[object]) -> tuple[str, str]:
    text, things = packing(dice, 2 + i % 4)
    return text, json.dumps(things)


def counted(dice: Random, i: int, words: list[object]) -> tuple[str, str]:
    text, things = packing(dice, 2 + i % 4)
    return text, NUMBERS[len(things)]


def packing(dice: Random, n: int) -> tuple[str, list[str]]:
    things = dice.sample(list(THINGS), n)
    return dice.choice(PACKED).format(name=dice.choice(NAMES), list=series([a(thing) for thing in things])), things


def fields(dice: Random, i: int, words: list[object]) -> tuple[str, str]:
    name, colour, thing, place = dice.choice(NAMES), dice.choice(COLOURS), dice.choice(list(THINGS)), dice.choice(list(PLACES))
    at = f"{PLACES[place]} the {place}"
    text = dice.choice((
        f"{name} lost the {colour} {thing} {at}.", f"{capital(at)}, {name} found {a(f'{colour} {thing}')}.",
        f"{name} took the {colour} {thing} to the {place}.",
    ))  # fmt: skip
    return text, json.dumps({"who": name, "thing": thing, "colour": colour})


def past(dice: Random, i: int, words: list[object]) -> tuple[str, str]:
    _, now, then, _ = action(dice, words[i % len(words)])  # type: ignore[arg-type]
    return f"{now}.", f"{then}."


def plural(dice: Random, i: int, words: list[object]) -> tuple[str, str]:
    one, many = words[i % len(words)]  # type: ignore[misc]
    return one, many


def opposite(dice: Random, i: int, words: list[object]) -> tuple[str, str]:
    one, two = dice.sample(words[i % len(words)], 2)  # type: ignore[arg-type]
    return one, two


WORDS: dict[str, tuple[object, ...]] = {
    "past": VERBS,
    "opposite": OPPOSITES,
    "plural": tuple(PLURALS.items()),
}
"""The words of a word task; a fraction of them is kept for the test."""

INPUTS: dict[str, Callable[[Random, int, list[object]], tuple[str, str]]] = {
    "who": read(owners, "who"), "colour": read(owners, "colour"), "where": read(spots, "where"), "yes-no": read(owners, "yes-no"),
    "list": listed, "object": fields, "past": past, "opposite": opposite, "plural": plural, "count": counted,
}  # fmt: skip
