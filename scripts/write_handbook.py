"""Writes the built-in retrieval data: the handbook of a greenhouse whose parts have special names, and customers' questions.

    python scripts/write_handbook.py

One passage for each part and each subject, two questions about each. Customers write "the water pump", the handbook "the wren":
no base model can know this, and fine-tuning learns it. Questions about two fifths of the passages are the test; the words
of a part are learned from its other passages. The files are the same every time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

SAMPLES = Path(__file__).resolve().parents[1] / "src" / "tunesmith" / "data" / "samples" / "handbook"
N_QUESTIONS = 2

# The handbook's name -> what customers call it.
PARTS = {
    "wren": ("the water pump", "my pump", "the thing that pumps the water"),
    "badger": ("the heater", "my heating unit", "the thing that warms the air"),
    "heron": ("the roof window", "my roof vent", "the window at the top"),
    "otter": ("the drip hose", "my watering hoses", "the thin hose along the beds"),
    "lynx": ("the light sensor", "my daylight meter", "the little thing that measures the sun"),
    "magpie": ("the control panel", "my touch screen", "the display next to the entrance"),
    "tortoise": ("the battery", "my battery box", "the thing that stores the power"),
    "swift": ("the fan", "my ventilator", "the thing that blows the air around"),
    "beaver": ("the rain barrel", "my water tank", "the container for rainwater"),
    "mole": ("the moisture probe", "my soil sensor", "the stick in the ground"),
    "gecko": ("the sun blind", "my shade curtain", "the cloth against the sun"),
    "owl": ("the camera", "my watch camera", "the thing that films the plants"),
    "ant": ("the fertiliser mixer", "my feed dispenser", "the device that adds plant food"),
    "crane": ("the sliding door", "my front door", "the door I come in by"),
    "firefly": ("the grow lamp", "my plant light", "the lamp over the seedlings"),
    "newt": ("the humidifier", "my mist maker", "the nozzle that makes fog"),
    "squirrel": ("the solar panel", "my solar cells", "the panel that makes electricity"),
    "hare": ("the wifi antenna", "my radio link", "the thing that connects to the internet"),
    "bison": ("the metal frame", "my posts and beams", "the structure that holds the glass"),
    "cricket": ("the alarm", "my siren", "the thing that beeps at night"),
}

# matter -> (questions with {part}, passages with {name})
MATTERS = {
    "cleaning": (
        ("How do I clean {part}?", "{part} is full of dirt, what may I use on it?", "Is soap bad for {part}?"),
        ("Wipe the {name} twice a year with lukewarm water and a soft cloth. Solvents leave marks that never go away.",
         "Dust on the {name} comes off with a dry brush. For the rest take clear water, never a cleaning agent."),
    ),
    "noise": (
        ("Why does {part} make such a noise?", "{part} rattles all day.", "There is a humming from {part}."),
        ("A {name} that can be heard has come loose. Turn its four screws until they hold, not further.",
         "Rattling means that the {name} touches its housing. Put the rubber ring back between the two."),
    ),
    "winter": (
        ("What do I do with {part} in winter?", "Does {part} survive frost?", "Should I take {part} inside when it freezes?"),
        ("Before the first frost the {name} is emptied and taken off. It spends the cold months in a dry room.",
         "The {name} stands temperatures down to minus ten degrees. Below that cover it with two layers of fleece."),
    ),
    "replacing": (
        ("How can I replace {part}?", "{part} is broken, can I put in a new one myself?", "Where can I order {part} again?"),
        ("A new {name} comes with its own bolts. Switch the house off, loosen the old ones crosswise and lift it out.",
         "Spare units of the {name} are kept at the depot. Name the year of your house; it fits in ten minutes."),
    ),
    "installing": (
        ("How do I install {part}?", "Where does {part} go?", "In which place should {part} be put up?"),
        ("The {name} belongs on the north side, an arm's length from the corner. Mark the holes before you drill.",
         "Mount the {name} last, when everything else stands. Two people hold it while a third one fastens it."),
    ),
    "error light": (
        ("{part} shows a red light.", "What does the blinking on {part} mean?", "There is a red lamp on {part}, is that bad?"),
        ("Red on the {name} is a warning: three flashes ask for a restart, five for a technician.",
         "When the {name} flashes, read the number of flashes and look it up in table nine."),
    ),
    "guarantee": (
        ("How long is the guarantee on {part}?", "Do you pay if {part} fails next year?", "Is {part} still under warranty?"),
        ("For the {name} we stand in for five years. Keep the receipt, it counts from the day of delivery.",
         "Damage to the {name} is covered in the first three years, unless it was opened by somebody else."),
    ),
    "setting": (
        ("How do I adjust {part}?", "Which setting is right for {part}?", "{part} does too much, can I turn it down?"),
        ("The {name} has steps from one to nine. Begin with four and change one step a week.",
         "Turn the small wheel on the {name} to the left for less. After a reset it stands in the middle again."),
    ),
    "energy": (
        ("How much electricity does {part} use?", "Is {part} expensive to run?", "What does {part} need in a month?"),
        ("At full load the {name} draws twelve watts, asleep less than one. That is a few coins in a month.",
         "The consumption of the {name} stands on its plate. Most of it falls due in the morning hours."),
    ),
    "not starting": (
        ("{part} does not start.", "Why is {part} dead?", "Nothing happens when I switch {part} on."),
        ("If the {name} stays silent, its fuse has gone. It sits behind the flap; take one of the same colour.",
         "A {name} without a sign of life waits for its signal. Hold the button for ten seconds to pair it again."),
    ),
    "safety": (
        ("Is {part} dangerous for children?", "Can my dog get hurt at {part}?", "Is it safe to touch {part}?"),
        ("The {name} carries low voltage only and has no sharp edges. Nobody can be harmed by it.",
         "Keep small hands away from the {name} while it works; its cover must be closed."),
    ),
    "disposal": (
        ("How do I throw {part} away?", "Does {part} belong in the household waste?", "Do you take the old one of {part} back?"),
        ("An old {name} is returned to us free of charge. We take it apart and use its metal again.",
         "The {name} must not go into the bin. Bring it to a collection point for devices."),
    ),
}  # fmt: skip


def main() -> None:
    """Writes corpus, queries and relevance judgements."""
    (SAMPLES / "qrels").mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (SAMPLES / name).write_text(text, encoding="utf-8")


def files() -> dict[str, str]:
    """Maps file names to texts."""
    passages = [{"_id": one, "title": "", "text": text} for one, text, _, _ in entries()]
    queries = [
        {"_id": f"{one}-{i}", "text": text} for one, _, own_questions, _ in entries() for i, text in enumerate(own_questions)
    ]
    judgements = {
        split: [
            f"{one}-{i}\t{one}\t1" for one, _, own_questions, of in entries() if of == split for i in range(len(own_questions))
        ]
        for split in ("train", "test")
    }
    found = {
        name: "".join(json.dumps(row) + "\n" for row in rows)
        for name, rows in (("corpus.jsonl", passages), ("queries.jsonl", queries))
    }
    return found | {
        f"qrels/{split}.tsv": "\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n" for split, rows in judgements.items()
    }


def entries() -> Iterator[tuple[str, str, list[str], str]]:
    """Returns id, passage, questions and split of every part and subject."""
    for i, (name, called) in enumerate(PARTS.items()):
        for j, (matter, (questions, passages)) in enumerate(MATTERS.items()):
            text = passages[(i + j) % len(passages)].format(name=name)
            own_questions = [
                capital(questions[(i + j + k) % len(questions)].format(part=called[(i + 2 * j + k) % len(called)]))
                for k in range(N_QUESTIONS)
            ]
            split = "test" if (i + 2 * j) % 5 < 2 else "train"
            yield f"{name}-{matter.replace(' ', '-')}", text, own_questions, split


def capital(text: str) -> str:
    return text[0].upper() + text[1:]


if __name__ == "__main__":
    main()
