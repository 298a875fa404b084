"""Writes tiny recipes and generated rows for them, of kinds that the built-in data do not have.

The rows are computed from their position alone, so that they are the same on every machine.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

THINGS = ("lamp", "kettle", "bicycle", "radio", "chair", "camera", "stove", "blanket", "clock", "printer", "tent")
PRAISE = ("It works well every day", "I would buy it again", "Nothing to complain about", "Better than I expected")
BLAME = ("It broke after a week", "I want my money back", "It is too loud and too slow", "Worse than the old one")
PLACES = ("in the kitchen", "at work", "on the road", "in the garden", "at my sister's house")
PARTS = (("flaw", "the handle is loose"), ("praise", "the colour is lovely"), ("delivery", "the parcel came late"))

Row = dict[str, Any]


def pick(words: Sequence[str], position: int, step: int) -> str:
    """Return the word that belongs to a position."""
    return words[(position * step + position // len(words)) % len(words)]


def opinion(i: int) -> str:
    """Return a short review; those at even positions are good."""
    words = BLAME if i % 2 else PRAISE
    return f"The {pick(THINGS, i, 5)} stands {pick(PLACES, i, 3)}. {pick(words, i, 1)}, number {i}."


def review_rows(first: int, n: int) -> list[Row]:
    """Return texts with a number; one in forty has no text, one in fifty no number."""
    return [
        {
            "id": f"r{i}",
            "review": "" if i % 40 == 39 else opinion(i),
            "stars": "" if i % 50 == 49 else f"{(1.5 if i % 2 else 4.0) + (i * 7 % 10) / 10:.1f}",
        }
        for i in range(first, first + n)
    ]


def pair_rows(n: int) -> list[Row]:
    """Return pairs of texts with one of three labels, a topic, a group, and a column with the split."""
    rows = []
    for i in range(n):
        thing, place, label = pick(THINGS, i, 4), pick(PLACES, i, 2), ("yes", "no", "maybe")[i % 3]
        second = {"yes": f"There is a {thing} {place}", "no": f"There is no {thing} anywhere", "maybe": f"The {thing} is new"}
        split = ("train", "train", "train", "validation", "test")[i // 3 % 5]
        first = f"A {thing} with the number {i} stands {place}."
        rows.append(
            {"premise": first, "hypothesis": f"{second[label]}.", "label": label, "topic": thing, "group": i // 3, "split": split}
        )
    return rows


def flag_rows(n: int) -> list[Row]:
    """Return texts with several columns of 0 and 1."""
    rows = []
    for i in range(n):
        on = [bool((i + 1) >> bit & 1) for bit in range(len(PARTS))]
        parts = ", and ".join(text for (_, text), is_on in zip(PARTS, on, strict=True) if is_on) or "nothing else to say"
        text = f"About the {pick(THINGS, i, 3)} {pick(PLACES, i, 2)}: {parts}, case {i}."
        rows.append({"text": text, **{name: int(is_on) for (name, _), is_on in zip(PARTS, on, strict=True)}})
    return rows


def alike_rows(first: int, n: int) -> list[Row]:
    """Return pairs of sentences with a similarity from 0 to 5."""
    rows = []
    for i in range(first, first + n):
        thing, place, score = pick(THINGS, i, 5), pick(PLACES, i, 2), i % 6
        second = f"Our {thing} is {place}." if score > 3 else f"Our {thing} was sold." if score > 1 else "It rains today."
        rows.append({"sentence1": f"The {thing} number {i} stands {place}.", "sentence2": second, "score": score})
    return rows


def talk_rows(n: int) -> list[Row]:
    """Return conversations of two questions and two answers."""
    rows = []
    for i in range(n):
        thing, place = pick(THINGS, i, 5), pick(PLACES, i, 2)
        turns = (f"Where is the {thing}?", f"The {thing} is {place}.", f"Who has {i % 9} of them?", "Mara has them.")
        roles = ("user", "assistant", "user", "assistant")
        rows.append({"messages": [{"role": role, "content": text} for role, text in zip(roles, turns, strict=True)]})
    return rows


FEW = {"n_resamples": 500}
RECIPES: dict[str, Row] = {
    "made-regression": {
        "task": "regression",
        "data": {"train": "reviews.csv", "validation": 0.2, "test": "reviews_test.csv"},
        "train": {"max_steps": 4, "n_evaluations": 2, "train_layers": "last 1"},
        "evaluate": {"baselines": ["majority", "tfidf"], **FEW},
    },
    "made-pairs": {
        "task": "classification",
        "data": {"train": "pairs.csv", "columns": {"group": "group", "split": "split"}},
        "train": {"max_steps": 4, "n_evaluations": 2, "train_layers": "last 1"},
        "evaluate": {"metric": "accuracy", "baselines": ["majority", "tfidf", "frozen"], **FEW},
        "diagnose": {"n_folds": 3, "inputs": ["text_only", "pair_only", "overlap_only"], "slices": ["topic"], "words_of_rows": 1},
    },
    "made-flags": {
        "task": "classification",
        "data": {"train": "flags.csv", "test": 0.3, "columns": {"text": "text", "label": [name for name, _ in PARTS]}},
        "train": {"max_steps": 4, "n_evaluations": 2, "train_layers": "head", "class_weights": "balanced"},
        "evaluate": {"baselines": ["majority"], **FEW},
    },
    "made-scored-pairs": {
        "task": "embedding",
        "data": {"train": "alike.csv", "validation": 0.2, "test": "alike_test.csv"},
        "embedding": {"matryoshka_dimensions": [64], "score_range": [0, 5]},
        "train": {"max_steps": 3, "n_evaluations": 1, "train_layers": "last 1"},
        "evaluate": FEW,
    },
    "made-conversations": {
        "task": "sft",
        "model": {"name": "builtin:pocket"},
        "data": {"train": "talks.jsonl", "validation": 0.2, "test": 0.2},
        "sft": {"chat_template": "chatml", "loss_on": "completion", "packing": True},
        "train": {"max_steps": 4, "n_evaluations": 1},
        "evaluate": {"answers": {"rows": 4, "shots": 0, "max_new_tokens": 12}, **FEW},
    },
}


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as csv with ``\\n`` line ends."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_made(folder: Path) -> dict[str, Path]:
    """Write the generated rows and their recipes into a folder; returns name -> recipe file."""
    tables = {
        "reviews.csv": review_rows(0, 120), "reviews_test.csv": review_rows(200, 40), "pairs.csv": pair_rows(150),
        "flags.csv": flag_rows(120), "alike.csv": alike_rows(0, 90), "alike_test.csv": alike_rows(100, 40),
    }  # fmt: skip
    for name, rows in tables.items():
        write_csv(folder / name, rows)
    lines = [json.dumps(row) for row in talk_rows(60)]
    (folder / "talks.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    paths = {}
    for name, recipe in RECIPES.items():
        paths[name] = folder / f"{name}.yaml"
        paths[name].write_text(yaml.safe_dump({**recipe, "output": f"runs/{name}"}, sort_keys=False), encoding="utf-8")
    return paths
