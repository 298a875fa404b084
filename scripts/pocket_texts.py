"""Generates the pretraining texts of builtin:pocket: passages with dialogues, lessons on words, stories, letters, recipes."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

from pocket_facts import Question, any_passage, packed
from pocket_world import (
    ANIMALS,
    COLOURS,
    DAYS,
    FEELINGS,
    FOODS,
    JOBS,
    MONTHS,
    NAMES,
    NUMBERS,
    OPPOSITES,
    PLACES,
    PLURALS,
    PRONOUNS,
    RHYMES,
    SPOTS,
    THINGS,
    VERBS,
    WEATHER,
    a,
    capital,
    series,
)  # fmt: skip

LABELS = (
    ("Question", "Answer"), ("Q", "A"), ("Asked", "Said"), ("Riddle", "Solution"), ("Teacher", "Pupil"), ("Child", "Mother"),
    ("Guest", "Host"), ("Clerk", "Porter"), ("Problem", "Result"), ("One", "Two"),
)  # fmt: skip
TEXT_LABELS = ("Text", "Story", "Given", "Read this", "Note", "Facts", "Page", "Board", "News")


def talk(dice: Random) -> str:
    """Generates a passage and a dialogue of two people about it."""
    passage, (one, two) = any_passage(dice), dice.sample(NAMES, 2)
    said = []
    for question in passage.questions:
        answer = question.sentence if dice.random() < 0.6 else capital(question.short) + "."
        said.append(
            dice.choice((
                f'"{question.asked}" asked {one}. "{answer}" said {two}.',
                f'{one} asked, "{question.asked}" {two} said, "{answer}"',
                f'{one}: "{question.asked}" {two}: "{answer}"',
            )).replace('." said', '," said')
        )  # fmt: skip
    return f"{passage.text} {' '.join(said)}"


def sheet(dice: Random) -> str:
    """Generates labelled questions and answers; the question is before or after the passage."""
    ask, tell = dice.choice(LABELS)
    text, gap = dice.choice(TEXT_LABELS), dice.choice((": ", ": ", ":\n", " - "))
    line, short = dice.choice(("\n", "\n\n")), dice.random() < 0.3
    passages = [any_passage(dice) for _ in range(dice.choice((1, 2, 2, 3)))]
    parts = []
    for passage in passages:
        if dice.random() < 0.5:
            question = dice.choice(passage.questions)
            parts += [f"{ask}{gap}{question.asked}", f"{text}{gap}{passage.text}", f"{tell}{gap}{answered(question, short)}"]
        else:
            parts.append(f"{text}{gap}{passage.text}")
            parts += [f"{ask}{gap}{q.asked}{line}{tell}{gap}{answered(q, short)}" for q in passage.questions]
    return line.join(parts)


def answered(question: Question, short: bool) -> str:
    return question.short if short else question.sentence


def wondering(dice: Random) -> str:
    """Generates a question, the passage, and its answer."""
    passage, name = any_passage(dice), dice.choice(NAMES)
    question = dice.choice(passage.questions)
    lead = dice.choice(
        ("{} wanted to know: {}", "{} asked: {}", "{} wondered: {}", "{} came with a question. {}", "{} had to find out: {}")
    )
    end = dice.choice(("So: {}", "Then it was clear. {}", "The answer was easy. {}", "Now we know it. {}", "{}"))
    rest = [q.sentence for q in passage.questions if q is not question and dice.random() < 0.4]
    return " ".join([lead.format(name, question.asked), passage.text, end.format(question.sentence), *rest])


def recap(dice: Random) -> str:
    """Generates a passage, and the same in other words and another order."""
    passage = any_passage(dice)
    again = dice.choice(("To say it again:", "In other words:", "So this is how it was.", "Remember:", "Once more:", "That is:"))
    told = [capital(q.sentence.removeprefix("Yes, ").removeprefix("No, ")) for q in passage.questions]
    return (
        " ".join([dice.choice(WEATHER), passage.text, again, *told])
        if dice.random() < 0.5
        else " ".join([passage.text, again, *told])
    )


def slips(dice: Random) -> str:
    """Generates lists as lines, with commas, and as printed by the machine at the station."""
    passage = packed(dice)
    things = dice.sample([*THINGS, *FOODS], dice.choice((2, 3, 3, 4, 5)))
    named = series([a(thing) for thing in things])
    name = dice.choice(NAMES)
    heads = (
        f"{name} took {named}.",
        f"On the table there are {named}.",
        f"{name} wants to buy {named}.",
        f"In the box lie {named}.",
    )
    forms = (
        "\n".join(things), ", ".join(things), "\n".join(f"- {thing}" for thing in things), json.dumps(things),
        " and ".join(things), f"({', '.join(things)})", f"{NUMBERS[len(things)]}: {', '.join(things)}", json.dumps(things),
        "\n".join(f"{i}. {thing}" for i, thing in enumerate(things, 1)), f"backwards: {', '.join(reversed(things))}",
    )  # fmt: skip
    link = dice.choice(("List:", "The slip says:", "In short:", "Printed:", "Here it is again.", "Written down:"))
    chosen = "\n".join(dice.sample(forms, dice.choice((1, 2))))
    return f"{dice.choice(heads)}\n{link}\n{chosen}\n{passage.text} {passage.questions[0].sentence}"


def cards(dice: Random) -> str:
    """Generates who has what, as a card with field names."""
    rows = []
    for name in dice.sample(NAMES, dice.choice((1, 2, 3))):
        colour, thing, place = dice.choice(COLOURS), dice.choice(list(THINGS)), dice.choice(list(PLACES))
        fields = dict(dice.sample([("who", name), ("colour", colour), ("thing", thing), ("place", place)], 4))
        said = dice.choice((
            f"{name} took the {colour} {thing} to the {place}.", f"{name} lost the {colour} {thing} {PLACES[place]} the {place}.",
            f"{capital(PLACES[place])} the {place}, {name} found {a(f'{colour} {thing}')}.",
        ))  # fmt: skip
        form = dice.choice((
            json.dumps(fields), "\n".join(f"{key}: {value}" for key, value in fields.items()),
            "; ".join(f"{key} = {value}" for key, value in fields.items()), " | ".join(fields.values()),
            "\n".join(fields.values()),
        ))  # fmt: skip
        rows.append(f"{said}\n{form}")
    return "\n".join(rows)


def opposites(dice: Random) -> str:
    says = (
        "The opposite of {one} is {two}.", "{One} is the opposite of {two}.", "{One} and {two} are opposites.",
        "What is not {one} is {two}.",
        "{name} said {one}, but {other} said {two}.", "Was the {thing} {one}? No, it was {two}.",
        "The {thing} was {one} and the {thing2} was {two}.",
        '"Not {one}, {two}!" said {name}.', "{one} - {two}", "{one}: {two}", "First the {thing} was {one}, then it was {two}.",
        "{one}\n{two}\n",
    )  # fmt: skip
    same = dice.choice(says) if dice.random() < 0.4 else ""
    told = []
    for pair in dice.sample(OPPOSITES, dice.choice((3, 4, 6, 8))):
        one, two = dice.sample(pair, 2)
        name, other = dice.sample(NAMES, 2)
        thing, thing2 = dice.sample(list(THINGS), 2)
        words = {"one": one, "two": two, "One": capital(one), "name": name, "other": other, "thing": thing, "thing2": thing2}
        told.append((same or dice.choice(says)).format(**words))
    return ("\n" if "-" in same or ":" in same or "\n" in same else " ").join(told).strip()


def plurals(dice: Random) -> str:
    says = (
        "One {one}, {n} {many}.", "There was one {one}; soon there were {n} {many}.",
        "{name} saw one {one}, {other} saw {n} {many}.",
        "One is called {a_one}, more are called {many}.", "{a_One} came, and then {n} more {many} came.",
        "one {one}, many {many}",
        "{one}: {many}", "{one} - {many}", 'We say one {one}, but {n} {many}.', "{one}\n{many}\n",
        "The {one} is here, the other {many} are there.",
    )  # fmt: skip
    same = dice.choice(says) if dice.random() < 0.4 else ""
    told = []
    for one in dice.sample(list(PLURALS), dice.choice((3, 4, 6, 8))):
        name, other = dice.sample(NAMES, 2)
        words = {"one": one, "many": PLURALS[one], "n": dice.choice(NUMBERS[2:13]), "a_one": a(one), "a_One": capital(a(one))}
        told.append((same or dice.choice(says)).format(name=name, other=other, **words))
    return ("\n" if same and same[-1] not in '."' else " ").join(told).strip()


def action(dice: Random, verb: tuple[str, str, str, str]) -> tuple[str, str, str, str]:
    """Generates somebody who acts, with the sentence in the present, past and future."""
    name, (base, now, past, after) = dice.choice(NAMES), verb
    rest = after.format(
        place=dice.choice(list(PLACES)), thing=dice.choice(list(THINGS)), food=dice.choice(list(FOODS)),
        animal=dice.choice(list(ANIMALS)),
        spot=dice.choice(SPOTS),
    )  # fmt: skip
    return name, f"{name} {now} {rest}", f"{name} {past} {rest}", f"{name} will {base} {rest}"


def tenses(dice: Random) -> str:
    says = (
        "Today {now}. Yesterday {past}.", "{now}. {past} yesterday, too.", "Now {now}. Long ago {past}.",
        "Yesterday {past}. Today {now}.",
        "{now}.\n{past}.\n", "now: {now}\npast: {past}\n", "Every day {now}. Last week {past}, and tomorrow {will}.",
        "{now}. {past}.",
        "{past}. {now}.", "Tomorrow {will}. Today {now}. Yesterday {past}.", '"{now}," we say today. Tomorrow we say, "{past}."',
    )  # fmt: skip
    same = dice.choice(says) if dice.random() < 0.5 else ""
    told = []
    for verb in dice.sample(VERBS, dice.choice((2, 3, 4, 5))):
        _, now, past, will = action(dice, verb)
        told.append((same or dice.choice(says)).format(now=now, past=past, will=will))
    return ("" if "\n" in same else " ").join(told).strip()


def calendar(dice: Random) -> str:
    told = []
    for _ in range(dice.choice((3, 4, 5))):
        names = dice.choice((DAYS, DAYS, MONTHS))
        i = dice.randrange(len(names))
        today, tomorrow = names[i], names[(i + 1) % len(names)]
        told.append(dice.choice((
            f"After {today} comes {tomorrow}.", f"Before {tomorrow} comes {today}.", f"{today}, then {tomorrow}.",
            f"{tomorrow} follows {today}.",
            f"The day after {today} is {tomorrow}." if names is DAYS else f"The month after {today} is {tomorrow}.",
            f"Today is {today}, so tomorrow is {tomorrow}." if names is DAYS else f"Now it is {today}; next it is {tomorrow}.",
        )))  # fmt: skip
    return " ".join(told)


def counting(dice: Random) -> str:
    told = []
    for _ in range(dice.choice((3, 4, 5, 6))):
        one, two = dice.randint(0, 9), dice.randint(0, 9)
        big, small = max(one, two), min(one, two)
        low = sorted(dice.sample(range(1, 21), 3))
        named = capital(series([NUMBERS[n] for n in dice.sample(low, 3)]))
        told.append(dice.choice((
            f"{capital(NUMBERS[one])} and {NUMBERS[two]} makes {NUMBERS[one + two]}.",
            f"{capital(NUMBERS[big])} less {NUMBERS[small]} makes {NUMBERS[big - small]}.",
            f"After {NUMBERS[one]} comes {NUMBERS[one + 1]}.", f"{one} + {two} = {one + two}",
            f"{named}: in order {series([NUMBERS[n] for n in low])}.",
            f"{named}: the biggest is {NUMBERS[low[-1]]} and the smallest is {NUMBERS[low[0]]}.",
        )))  # fmt: skip
    return " ".join(told)


def rhymes(dice: Random) -> str:
    told = []
    for group in dice.sample(RHYMES, dice.choice((3, 4, 5))):
        one, two = dice.sample(group, 2)
        told.append(dice.choice((
            f"{capital(one)} rhymes with {two}.", f"{capital(one)} and {two} rhyme.", f"A {one}, a {two}, a song for you.",
            f"{dice.choice(NAMES)} sang of the {one} and the {two}.", f"The word {one} ends like the word {two}.",
        )))  # fmt: skip
    return " ".join(told)


MEETING = (
    "On {day} {name} went to the {place}.", "{name} lived in a small house near the {place}.", "{name} had {a_thing}.",
    "One morning {name} could not find the {thing}.", "{name} and {other} met {at_place}.",
    "Every {day} {name} walked to the {place} with the {animal}.",
)  # fmt: skip
HAPPENING = (
    'There {subject} saw {a_animal}.', "The {animal} sat {spot}.", "{name} was {feeling}, for the {thing} was gone.",
    "{name} looked {spot}, but there was nothing.",
    "{other} came by and asked what was wrong.", '"I have lost my {thing}," said {name}.',
    '"Let us look for the {thing}," said {other}.',
    "Together they went to the {place}.", "The {animal} ran away with the {thing}.", "{name} called the {animal}, and it came.",
    "{other} gave {name} {food}.",
    '"Look," said {other}, "the {thing} is {spot}!"', "They shared {food} and talked of old times.",
    "{other} was {feeling2}, and {name} was {feeling}.",
    "{name} took the {thing} and put it into the bag.", "Then the bell rang {count} times.",
    "A boat with {a_colour} sail came into the harbour.",
)  # fmt: skip
ENDING = (
    "In the end the {thing} was found {spot}.", "{name} was {feeling2} and went home.",
    "{name} thanked {other}, and they went home together.",
    "That night {name} dreamed of the {animal}.", "From that day on {name} and {other} were friends.",
    "And the {animal}? It slept {spot}.",
    "So {name} got the {thing} back.", "{other} still tells this story at the {place}.",
)  # fmt: skip


def story(dice: Random) -> str:
    """Generates about ten sentences about two people, a thing and an animal."""
    name, other = dice.sample(NAMES, 2)
    thing, animal, place, colour = (
        dice.choice(list(THINGS)),
        dice.choice(list(ANIMALS)),
        dice.choice(list(PLACES)),
        dice.choice(COLOURS),
    )
    feeling, feeling2 = dice.sample(FEELINGS, 2)
    words = {
        "name": name, "other": other, "thing": thing, "animal": animal, "place": place, "day": dice.choice(DAYS),
        "subject": PRONOUNS[name][0],
        "a_thing": a(f"{colour} {thing}"), "a_animal": a(animal), "a_colour": a(colour), "spot": dice.choice(SPOTS),
        "at_place": f"{PLACES[place]} the {place}",
        "feeling": feeling, "feeling2": feeling2, "food": a(dice.choice(list(FOODS))), "count": dice.choice(NUMBERS[2:13]),
    }  # fmt: skip
    plot = [
        dice.choice(WEATHER),
        *dice.sample(MEETING, 2),
        *dice.sample(HAPPENING, dice.choice((3, 4, 5))),
        *dice.sample(ENDING, 2),
    ]
    return " ".join(plot).format(**words)


def letter(dice: Random) -> str:
    name, other, third = dice.sample(NAMES, 3)
    thing, place = dice.choice(list(THINGS)), dice.choice(list(PLACES))
    passage = any_passage(dice)
    asks = dice.choice((
        f"Could you bring me the {thing} on {dice.choice(DAYS)}?",
        f"Have you seen my {thing}? I think it is {dice.choice(SPOTS)}.",
        f"Please come to the {place} and bring the {thing}.", f"I have found your {thing}. It was {dice.choice(SPOTS)}.",
    ))  # fmt: skip
    greets = dice.choice((f"Greetings from {third}.", f"{third} says hello.", f"{third} is well.", "All is well here."))
    return f"Dear {name},\n{dice.choice(WEATHER)} {passage.text} {asks} {greets}\nYours, {other}"


def recipe(dice: Random) -> str:
    """Generates how something is made, and what comes first, next and last."""
    one, two, three = dice.sample(list(FOODS.values()), 3)
    pot = dice.choice(("pot", "bowl", "pan", "jug", "dish"))
    steps = [
        f"wash the {one}", f"cut the {two}", f"put the {one} into the {pot}", f"add the {two} and the {three}",
        f"cook it all for {dice.choice(NUMBERS[3:13])} minutes",
        f"stir with a {dice.choice(('long', 'clean', 'big'))} spoon", "let it rest by the window", "serve it with bread",
    ]  # fmt: skip
    kept = sorted(dice.sample(range(len(steps)), 4))
    words = dice.choice((("First", "Then", "After that", "Last"), ("First", "Next", "Then", "In the end")))
    told = " ".join(f"{word} {steps[i]}." for word, i in zip(words, kept, strict=True))
    ask = dice.choice(
        (
            f"What comes first? {capital(steps[kept[0]])}.",
            f"What comes last? {capital(steps[kept[-1]])}.",
            f"What comes after {words[0].lower()}? {capital(steps[kept[1]])}.",
        )
    )
    return f"How to make soup of {one}. {told} {ask if dice.random() < 0.6 else dice.choice(WEATHER)}"


# what belongs together; how it is told; how it is asked from the one side and from the other
GAMES = (
    (NAMES, tuple(THINGS),
        ("{a} has the {b}.", "{a} keeps the {b}.", "The {b} is {a}'s.", "The {b} belongs to {a}.", "{a}: {b}.", "{a} {b},"),
     ("{a}? The {b}.", "What has {a}? The {b}.", "{a} - {b}.", "{a}: {b}."),
     ("The {b}? {a}.", "Who has the {b}? {a}.", "{b} - {a}.", "{b}: {a}.")),
    (NAMES, COLOURS, ("{a} is in {b}.", "{a} wears {b}.", "{a} likes {b}.", "{a}: {b}.", "{a} {b},"),
     ("{a}? {b}.", "What colour has {a}? {b}.", "{a} - {b}.", "{a}: {b}."),
     ("{b}? {a}.", "Who is {b}? {a}.", "{b} - {a}.", "{b}: {a}.")),
    (tuple(THINGS), COLOURS, ("The {a} is {b}.", "the {b} {a},", "Here is the {b} {a}.", "{a}: {b}."),
     ("The {a}? {b}.", "What colour is the {a}? {b}.", "{a} - {b}."), ("{b}? The {a}.", "What is {b}? The {a}.", "{b} - {a}.")),
    (tuple(THINGS), SPOTS, ("The {a} is {b}.", "There is {a_a} {b}.", "You find the {a} {b}."),
     ("The {a}? {b}.", "Where is the {a}? {b}.", "{a}: {b}."), ("What is {b}? The {a}.", "{b}: the {a}.", "{b}? The {a}.")),
    (NAMES, JOBS, ("{a} is the {b}.", "The {b} is {a}.", "{a}, the {b}."), ("{a}? The {b}.", "What is {a}? The {b}."),
        ("The {b}? {a}.", "Who is the {b}? {a}.")),
)  # fmt: skip


def game(dice: Random) -> str:
    """Generates a memory game: pairs are stated once, then asked for, often."""
    ones, twos, say, from_one, from_two = dice.choice(GAMES)
    n = dice.choice((2, 3, 3, 4, 5, 6))
    told = [{"a": one, "b": two, "a_a": a(one)} for one, two in zip(dice.sample(ones, n), dice.sample(twos, n), strict=True)]
    said, asked = dice.choice(say), dice.choice((from_one, from_two))
    way, line = dice.choice(asked), dice.choice((" ", " ", " ", "\n"))
    order = dice.sample(told, n) + dice.sample(told, n)
    return line.join([*(said.format(**pair) for pair in told), *(way.format(**pair) for pair in order[: n + dice.randint(0, n)])])


def echo(dice: Random) -> str:
    """Generates a row of words, and the same row again."""
    pool = dice.choice(
        (NAMES, tuple(THINGS), COLOURS, tuple(FOODS.values()), tuple(PLURALS), (*NAMES, *COLOURS, *THINGS, *PLACES))
    )
    row = dice.sample(pool, dice.randint(3, 8))
    link, again = (
        dice.choice((", ", " ", ", ", "\n", " and ")),
        dice.choice(("{0}. {0}.", "{0}; {0}", "{0}\n{0}", "{0}. Once more: {0}.", "{0}\n\n{0}\n\n{0}", "{0}? {0}!")),
    )
    return again.format(link.join(row))


TEXTS: tuple[tuple[Callable[[Random], str], int], ...] = (
    (talk, 16), (sheet, 18), (wondering, 10), (recap, 8), (slips, 7), (cards, 6), (opposites, 5), (plurals, 5), (tenses, 7),
    (calendar, 2), (counting, 4), (rhymes, 1), (story, 6), (letter, 2), (recipe, 2), (game, 14), (echo, 4),
)  # fmt: skip
"""What a text may be, and how often it is."""
EARLY_SHARE = 0.7


def any_text(dice: Random, early: bool = False) -> str:
    """Generates a text; early in training mostly one with repetitions, from which a model learns to copy from the context."""
    makers, weights = zip(*TEXTS, strict=True)
    made: str = (dice.choice((game, game, echo)) if early and dice.random() < EARLY_SHARE else dice.choices(makers, weights)[0])(
        dice
    )
    return made
