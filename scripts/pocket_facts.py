"""Generates short passages about the harbour town with questions: question, answer in a sentence, answer in a word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from pocket_world import ANIMALS, COLOURS, DAYS, FEELINGS, FOODS, JOBS, NAMES, NUMBERS, PLACES, PRONOUNS, SPOTS, THINGS, a, series


@dataclass(frozen=True)
class Question:
    """Holds a question and its answers; ``kind`` names the subject, whatever the words."""

    kind: str
    asked: str
    sentence: str
    short: str


@dataclass(frozen=True)
class Passage:
    sentences: list[str]
    questions: list[Question]

    @property
    def text(self) -> str:
        return " ".join(self.sentences)


HAS = (
    "{name} has {a_thing}.", "{name} has the {colour} {thing}.", "The {colour} {thing} belongs to {name}.",
    "{name} keeps {a_thing}.",
    "{name} brought {a_thing}.", "{name} is holding {a_thing}.", "There is {a_thing} in {name}'s bag.",
    "{name} bought {a_thing}.",
    "{name} owns {a_thing}.", "{name} came with {a_thing}.", "{name} carries the {colour} {thing}.",
    "The {colour} {thing} is {name}'s.",
)  # fmt: skip
WHO_HAS = (
    "Who has the {colour} {thing}?", "Whose is the {colour} {thing}?", "Who does the {colour} {thing} belong to?",
    "Who owns the {colour} {thing}?", "Who is the owner of the {colour} {thing}?",
)  # fmt: skip
IS_WITH = (
    "{name} has the {colour} {thing}.", "The {colour} {thing} belongs to {name}.", "It is {name} who has the {colour} {thing}.",
    "The {colour} {thing} is {name}'s.",
)  # fmt: skip


def owners(dice: Random) -> Passage:
    """Generates two to four people with a thing each; often the same thing in other colours."""
    n = dice.choice((2, 2, 3, 3, 4))
    names, colours = dice.sample(NAMES, n), dice.sample(COLOURS, n)
    same = dice.random() < 0.3
    things = [dice.choice(list(THINGS))] * n if same else dice.sample(list(THINGS), n)
    rows = [
        {"name": name, "colour": colour, "thing": thing, "a_thing": a(f"{colour} {thing}")}
        for name, colour, thing in zip(names, colours, things, strict=True)
    ]
    said = dice.choice((HAS, HAS, HAS, (dice.choice(HAS),)))
    return Passage(
        [dice.choice(said).format(**row) for row in rows], [owner_question(dice, row, rows) for row in dice.sample(rows, n)]
    )


def owner_question(dice: Random, row: dict[str, str], rows: list[dict[str, str]]) -> Question:
    kind = dice.choice(("who", "who", "colour", "colour", "what", "yes", "no"))
    is_with = dice.choice(IS_WITH).format(**row)
    if kind == "who":
        return Question(kind, dice.choice(WHO_HAS).format(**row), is_with, row["name"])
    if kind == "colour":
        asked = dice.choice(
            ("What colour is {name}'s {thing}?", "Which colour has {name}'s {thing}?", "{name}'s {thing} is of what colour?")
        )
        return Question(kind, asked.format(**row), f"{row['name']}'s {row['thing']} is {row['colour']}.", row["colour"])
    if kind == "what":
        asked = dice.choice(("What does {name} have?", "What belongs to {name}?", "What is {name}'s?"))
        return Question(
            kind,
            asked.format(**row),
            f"{row['name']} has the {row['colour']} {row['thing']}.",
            f"the {row['colour']} {row['thing']}",
        )
    other = row if kind == "yes" else dice.choice([one for one in rows if one is not row])
    if dice.random() < 0.5:
        asked = f"Does {row['name']} have the {other['colour']} {other['thing']}?"
        return Question("yes-no", asked, f"{kind.capitalize()}, {dice.choice(IS_WITH).format(**other)}", kind)
    asked = f"Is {row['name']}'s {row['thing']} {other['colour']}?"
    return Question("yes-no", asked, f"{kind.capitalize()}, {row['name']}'s {row['thing']} is {row['colour']}.", kind)


def spots(dice: Random) -> Passage:
    """Generates things and animals and where they are."""
    n = dice.choice((2, 3, 3, 4))
    things, places = dice.sample([*THINGS, *ANIMALS], n), dice.sample(SPOTS, n)
    said = (
        "The {thing} is {spot}.",
        "The {thing} is {spot}.",
        "You find the {thing} {spot}.",
        "There is {a_thing} {spot}.",
        "{Spot} is the {thing}.",
    )
    sentences, questions = [], []
    for thing, spot in zip(things, places, strict=True):
        sentences.append(dice.choice(said).format(thing=thing, spot=spot, a_thing=a(thing), Spot=spot.capitalize()))
        kind = dice.choice(("where", "where", "what-there", "yes", "no"))
        where = f"The {thing} is {spot}."
        if kind == "where":
            asked = dice.choice(
                ("Where is the {thing}?", "Where can I find the {thing}?", "In which place is the {thing}?")
            ).format(thing=thing)
            questions.append(Question(kind, asked, where, spot))
        elif kind == "what-there":
            questions.append(Question(kind, f"What is {spot}?", where, f"the {thing}"))
        else:
            other = spot if kind == "yes" else dice.choice([one for one in places if one != spot])
            questions.append(Question("yes-no", f"Is the {thing} {other}?", f"{kind.capitalize()}, the {thing} is {spot}.", kind))
    return Passage(sentences, dice.sample(questions, n))


def trips(dice: Random) -> Passage:
    """Generates who went where on which day."""
    n = dice.choice((2, 3, 3))
    sentences, questions = [], []
    verb = dice.choice(("went", "walked", "came", "drove"))
    base = {"went": "go", "walked": "walk", "came": "come", "drove": "drive"}[verb]
    for name, place, day in zip(dice.sample(NAMES, n), dice.sample(list(PLACES), n), dice.sample(DAYS, n), strict=True):
        said = (f"{name} {verb} to the {place} on {day}.", f"On {day} {name} {verb} to the {place}.")
        sentences.append(dice.choice(said))
        went = dice.choice(said)
        questions.append(dice.choice((
            Question("where-to", f"Where did {name} {base}?", went, f"to the {place}"),
            Question("who", f"Who {verb} to the {place}?", went, name),
            Question("when", f"When did {name} {base} to the {place}?", went, f"on {day}"),
            Question("who", f"Who {verb} there on {day}?", went, name),
        )))  # fmt: skip
    return Passage(sentences, dice.sample(questions, n))


def jobs(dice: Random) -> Passage:
    n = dice.choice((2, 3, 3, 4))
    sentences, questions = [], []
    for name, job in zip(dice.sample(NAMES, n), dice.sample(JOBS, n), strict=True):
        said = (f"{name} is the {job}.", f"The {job} is called {name}.", f"{name} works as the {job}.", f"The {job} is {name}.")
        sentences.append(dice.choice(said))
        asked = dice.choice((
            Question("who", f"Who is the {job}?", dice.choice(said), name),
            Question("who", f"What is the name of the {job}?", dice.choice(said), name),
            Question("job", f"What is the work of {name}?", dice.choice(said), job),
            Question("job", f"What is {name}?", dice.choice(said), f"the {job}"),
        ))  # fmt: skip
        questions.append(asked)
    return Passage(sentences, dice.sample(questions, n))


def likes(dice: Random) -> Passage:
    """Generates what people like, and how they feel."""
    n = dice.choice((2, 3, 3))
    plain = dice.random() < 0.5
    words = dice.sample(FEELINGS if plain else [*FOODS.values(), *ANIMALS.values()], n)
    sentences, questions = [], []
    for name, word in zip(dice.sample(NAMES, n), words, strict=True):
        said = f"{name} {'is' if plain else dice.choice(('likes', 'loves', 'wants'))} {word}."
        sentences.append(said)
        who = Question("who", f"Who {said.split()[1]} {word}?", said, name)
        what = (
            Question("feeling", f"How does {name} feel?", said, word)
            if plain
            else Question("what", f"What does {name} like?", said, word)
        )
        questions.append(dice.choice((who, what)))
    return Passage(sentences, dice.sample(questions, n))


def amounts(dice: Random) -> Passage:
    """Generates who has how many of what."""
    n = dice.choice((2, 3, 3))
    verb, base = dice.choice(
        (("has", ""), ("picked", "pick"), ("found", "find"), ("bought", "buy"), ("ate", "eat"), ("counted", "count"))
    )
    sentences, questions = [], []
    foods = dice.sample(list(FOODS.values()), n)
    for name, food, number in zip(dice.sample(NAMES, n), foods, dice.sample(NUMBERS[2:13], n), strict=True):
        said = f"{name} {verb} {number} {food}."
        sentences.append(said)
        asked = f"How many {food} did {name} {base}?" if base else f"How many {food} does {name} have?"
        questions.append(dice.choice((
            Question("how-many", asked, said, number),
            Question("how-many", asked, said, number),
            Question("who", f"Who {verb} {number} {food}?", said, name),
            Question("what", f"What did {name} {base}?" if base else f"What does {name} have?", said, f"{number} {food}"),
        )))  # fmt: skip
    return Passage(sentences, dice.sample(questions, n))


def queue(dice: Random) -> Passage:
    """Generates who came first, next and last."""
    names = dice.sample(NAMES, dice.choice((3, 3, 4)))
    first, last = names[0], names[-1]
    lead = dice.choice(("{} came first.", "First came {}.", "The first was {}.")).format(first)
    between = [dice.choice(("Then came {}.", "After that came {}.", "Next was {}.")).format(name) for name in names[1:-1]]
    end = dice.choice(("{} came last.", "Last came {}.", "The last was {}.")).format(last)
    i = dice.randrange(len(names) - 1)
    questions = [
        Question("who", "Who came first?", f"{first} came first.", first),
        Question("who", "Who came last?", f"{last} came last.", last),
        Question("who", f"Who came after {names[i]}?", f"After {names[i]} came {names[i + 1]}.", names[i + 1]),
        Question("who", f"Who came before {names[i + 1]}?", f"Before {names[i + 1]} came {names[i]}.", names[i]),
        Question("people", "How many people came?", f"{NUMBERS[len(names)].capitalize()} people came.", NUMBERS[len(names)]),
    ]
    return Passage([lead, *between, end], dice.sample(questions, 3))


def older(dice: Random) -> Passage:
    """Generates which of two people is more of something."""
    more, less = dice.choice(
        (("older", "younger"), ("taller", "shorter"), ("faster", "slower"), ("stronger", "weaker"), ("richer", "poorer"))
    )
    one, two = dice.sample(NAMES, 2)
    said = dice.choice((f"{one} is {more} than {two}.", f"{two} is {less} than {one}."))
    questions = [
        Question("who", f"Who is {more}?", f"{one} is {more} than {two}.", one),
        Question("who", f"Who is {less}?", f"{two} is {less} than {one}.", two),
        Question("who", f"Who is {more}, {one} or {two}?", f"{one} is {more}.", one),
        Question("who", f"Who is {less}, {two} or {one}?", f"{two} is {less}.", two),
    ]
    return Passage([said], dice.sample(questions, 3))


PACKED = (
    "{name} packed {list}.", "{name} bought {list}.", "In {name}'s bag there are {list}.", "{name} put {list} on the table.",
    "{name} needs {list}.", "{name} found {list}.", "{name} carried {list} home.", "{name} asked for {list}.",
)  # fmt: skip


def packed(dice: Random) -> Passage:
    """Generates one person and a list of things, with questions about the list."""
    name, n = dice.choice(NAMES), dice.choice((2, 3, 3, 3, 4, 4, 5))
    things = dice.sample([*THINGS, *FOODS], n)
    with_articles = series([a(thing) for thing in things])
    said = dice.choice(PACKED).format(name=name, list=with_articles)
    number = NUMBERS[n]
    after = dice.randrange(n - 1)
    questions = [
        Question("list", dice.choice(("Which things are these?", "What are the things?", "Name the things.")),
            f"The things are {with_articles}.", ", ".join(things)),
        Question("count", dice.choice(("How many things are these?", "How many things are there?")),
            f"{number.capitalize()} things: {', '.join(things)}.", number),
        Question("backwards", dice.choice(("Say the things backwards.", "What is the list backwards?")),
            f"Backwards: {', '.join(reversed(things))}.", ", ".join(reversed(things))),
        Question("first", "Which thing is named first?", f"The {things[0]} is named first.", things[0]),
        Question("last", "Which thing is named last?", f"The {things[-1]} is named last.", things[-1]),
        Question("next", f"Which thing is named after the {things[after]}?",
            f"After the {things[after]} comes the {things[after + 1]}.", things[after + 1]),
    ]  # fmt: skip
    return Passage([said], dice.sample(questions, dice.choice((2, 3, 4))))


def sums(dice: Random) -> Passage:
    """Generates somebody who gets some more, or gives some away."""
    one, two = dice.sample(NAMES, 2)
    food = dice.choice(list(FOODS.values()))
    subject, object_, _ = PRONOUNS[one]
    before, change = dice.randint(2, 9), dice.randint(1, 6)
    more = before <= change + 1 or dice.random() < 0.5
    now = before + change if more else before - change
    start, step, end = NUMBERS[before], NUMBERS[change], NUMBERS[now]
    happened = (
        dice.choice((f"{two} gave {object_} {step} more.", f"Then {subject} got {step} more.", f"{two} brought {step} more."))
        if more
        else dice.choice((f"{subject.capitalize()} gave {step} to {two}.", f"{subject.capitalize()} ate {step}.",
            f"{two} took {step} away."))
    )  # fmt: skip
    said = [f"{one} had {start} {food}.", happened]
    word = "and" if more else "less"
    sentence = f"{start.capitalize()} {word} {step} makes {end}, so {one} has {end} {food} now."
    asked = dice.choice((f"How many {food} does {one} have now?", f"How many {food} has {one} now?"))
    return Passage(said, [Question("sum", asked, sentence, end)])


PASSAGES: tuple[tuple[Callable[[Random], Passage], int], ...] = (
    (owners, 7), (spots, 4), (trips, 3), (jobs, 2), (likes, 2), (amounts, 3), (queue, 2), (older, 1), (packed, 5), (sums, 2),
)  # fmt: skip
"""What a passage may be, and how often it is."""


def any_passage(dice: Random) -> Passage:
    makers, weights = zip(*PASSAGES, strict=True)
    made: Passage = dice.choices(makers, weights)[0](dice)
    return made
