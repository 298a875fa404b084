"""Counts valid texts generated under random regular expressions and JSON schemas, by greedy search, sampling and beam search.

    python benchmarks/grammars.py [--count 200] [--model ../shared/models/stories3M]

``re.fullmatch`` and ``jsonschema`` check validity; neither is used in the generation.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
from record import write

from tunesmith.generation.arguments import Decoding
from tunesmith.generation.constraints import Constraints
from tunesmith.generation.decode import GeneratedText, generate

WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampling": {"do_sample": True, "num_return_sequences": 2},
    "beams": {"num_beams": 4, "num_return_sequences": 2},
}
MAX_NEW_TOKENS = 128
MAX_ROWS = 128
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CLASSES = ("[a-z]", "[A-Z]", "[0-9]", r"\d", r"\w", "[aeiou]", "[^ ]", "[a-z ]", ".", r"[A-Za-z,']", r"\s")
WORDS = ("cat", "dog", "fox", "red", "Lily", "the", "park", "big", "day", "once")


def main() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--model", type=Path, default=Path("../shared/models/stories3M"))
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype="float32").eval()
    draw = random.Random(0)
    regexes = [expression(draw, 3) for _ in range(args.count)]
    schemas = [schema(draw, 2) for _ in range(args.count)]
    figures: dict[str, Any] = {"model": args.model.name, "max_new_tokens": MAX_NEW_TOKENS, "runs": [], "invalid": []}
    for name, settings in WAYS.items():
        for kind, wanted in (("regex", regexes), ("json_schema", schemas)):
            started = time.perf_counter()
            found = texts_of(model, tokenizer, [Constraints(**{kind: one}) for one in wanted], settings)
            seconds = time.perf_counter() - started
            texts = [(one, text) for one, written in zip(wanted, found, strict=True) for text in written]
            invalid = [[kind, name, one, text.text] for one, text in texts if not is_valid(kind, one, text.text)]
            n_reported = sum(text.satisfied is False for _, text in texts)
            figures["invalid"] += invalid
            figures["runs"].append({
                "kind": kind, "way": name, "grammars": len(wanted), "texts": len(texts), "valid": len(texts) - len(invalid),
                "reported_unsatisfied": n_reported,
                "mean_tokens": round(sum(len(text.token_ids) for _, text in texts) / len(texts), 1),
                "seconds": round(seconds, 1),
            })  # fmt: skip
            print(figures["runs"][-1], flush=True)
    write("grammars", figures)


def texts_of(model: Any, tokenizer: Any, wanted: list[Constraints], settings: dict[str, Any]) -> list[list[GeneratedText]]:
    prompts = [tokenizer("Once upon a time, there was a note that said: ")["input_ids"]] * len(wanted)
    return generate(model, tokenizer, prompts, Decoding(max_new_tokens=MAX_NEW_TOKENS, **settings), wanted, max_rows=MAX_ROWS)


def is_valid(kind: str, wanted: Any, text: str) -> bool:
    if kind == "regex":
        return within_seconds(lambda: re.fullmatch(wanted, text) is not None)
    try:
        jsonschema.validate(json.loads(text), wanted)
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


def within_seconds(check: Callable[[], bool], seconds: int = 60) -> bool:
    """Returns the function's value; raises if ``re`` takes too long, as it can with nested repetitions."""

    def stop(_number: int, _frame: Any) -> None:
        raise TimeoutError("re.fullmatch took more than a minute")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        return check()
    finally:
        signal.alarm(0)


def expression(draw: random.Random, depth: int) -> str:
    """Draws a random regular expression: words, classes, groups, alternatives and repetitions."""
    parts = [repeated(draw, atom(draw, depth)) for _ in range(draw.randint(1, 4))]
    if depth and draw.random() < 0.3:
        return "|".join(["".join(parts), expression(draw, depth - 1)])
    return "".join(parts)


def atom(draw: random.Random, depth: int) -> str:
    kind = draw.random()
    if depth and kind < 0.35:
        return f"({'?:' if draw.random() < 0.5 else ''}{expression(draw, depth - 1)})"
    if kind < 0.65:
        return draw.choice(CLASSES)
    if kind < 0.85:
        return f"(?:{draw.choice(WORDS)})"
    return draw.choice([*LETTERS, r"\.", r"\?", "-", " ", "!", r"\(", "é"])


def repeated(draw: random.Random, part: str) -> str:
    low = draw.randint(0, 3)
    return (
        part
        + draw.choices(["", "?", "*", "+", f"{{{low},{low + draw.randint(1, 4)}}}", f"{{{max(1, low)}}}"], [5, 1, 1, 2, 2, 1])[0]
    )


def schema(draw: random.Random, depth: int) -> dict[str, Any]:
    """Draws a random schema: objects, arrays, texts, numbers, enumerations, alternatives."""
    kinds = [text_schema, number_schema, choice_schema]
    if depth:
        kinds += [object_schema, object_schema, array_schema, either_schema]
    return draw.choice(kinds)(draw, depth) if depth < 2 else object_schema(draw, depth)


def text_schema(draw: random.Random, _depth: int) -> dict[str, Any]:
    return {
        "type": "string",
        **draw.choice([{}, {"maxLength": 12}, {"minLength": 2, "maxLength": 8}, {"pattern": "^[a-z]{2,6}$"}]),
    }


def number_schema(draw: random.Random, _depth: int) -> dict[str, Any]:
    low = draw.randint(-20, 50)
    return draw.choice(
        [{"type": "integer"}, {"type": "integer", "minimum": low, "maximum": low + 40}, {"type": "number"}, {"type": "boolean"}]
    )


def choice_schema(draw: random.Random, _depth: int) -> dict[str, Any]:
    return draw.choice([{"enum": draw.sample([*WORDS, 1, 2, None, True], 3)}, {"const": draw.choice(WORDS)}, {"type": "null"}])


def either_schema(draw: random.Random, depth: int) -> dict[str, Any]:
    return {"anyOf": [schema(draw, depth - 1), schema(draw, depth - 1)]}


def array_schema(draw: random.Random, depth: int) -> dict[str, Any]:
    low = draw.randint(0, 2)
    return {"type": "array", "items": schema(draw, depth - 1), **draw.choice([{}, {"minItems": low, "maxItems": low + 2}])}


def object_schema(draw: random.Random, depth: int) -> dict[str, Any]:
    names = draw.sample(["name", "age", "color", "toys", "friend", "is_big"], draw.randint(1, 3))
    properties = {name: schema(draw, depth - 1) for name in names}
    return {
        "type": "object",
        "properties": properties,
        "required": names[: draw.randint(0, len(names))],
        "additionalProperties": False,
    }


if __name__ == "__main__":
    main()
