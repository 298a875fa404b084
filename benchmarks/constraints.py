"""Measures generation with forced and forbidden words: satisfied sets, likelihood and time, against plain beam search.

    python benchmarks/constraints.py [--sets 500] [--shared ../shared]

Random sets of 1 to 4 forced words and 0 to 4 forbidden ones, drawn from the words of stories, on two models, with 4 and 10 beams.
A regular expression checks each text independently of the generation.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from record import write

from tunesmith.generation.arguments import Decoding
from tunesmith.generation.constraints import Constraints
from tunesmith.generation.decode import GeneratedText, generate

MODELS = ("stories3M", "stories260K")
BEAMS = (4, 10)
MAX_NEW_TOKENS = 48
MAX_ROWS = 640


def main() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    args = parser.parse_args()
    texts = stories(args.shared)
    sets, openings = drawn(texts, args.sets)
    figures: dict[str, Any] = {"sets": args.sets, "max_new_tokens": MAX_NEW_TOKENS, "runs": []}
    for name in MODELS:
        folder = args.shared / "models" / name
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
        prompts = [tokenizer(opening)["input_ids"] for opening in openings]
        for beams in BEAMS:
            settings = Decoding(max_new_tokens=MAX_NEW_TOKENS, num_beams=beams)
            constrained, seconds = timed(model, tokenizer, prompts, settings, sets)
            plain, plain_seconds = timed(model, tokenizer, prompts, settings, None)
            figures["runs"].append({
                "model": name, "num_beams": beams, **counted(sets, constrained),
                "constrained": {**likelihood(constrained), "seconds": round(seconds, 1)},
                "plain_beam_search": {**likelihood(plain), "seconds": round(plain_seconds, 1)},
            })  # fmt: skip
            print(figures["runs"][-1], flush=True)
    write("constraints", figures)


def stories(shared: Path) -> list[str]:
    """Reads the paragraphs of the shared stories."""
    text = (shared / "data" / "tinystories" / "smallGPT_tiny_stories.txt").read_text(encoding="utf-8")
    return [paragraph.strip() for paragraph in text.split("\n\n") if len(paragraph.split()) > 20]


def drawn(texts: list[str], count: int) -> tuple[list[Constraints], list[str]]:
    """Draws sets of words that occur in at least 20 paragraphs, and the first five words of random ones."""
    draw = random.Random(0)
    found = Counter(word for text in texts for word in set(re.findall(r"\b[a-z]{3,}\b", text)))
    words = sorted(word for word, n in found.items() if n >= 20)
    sets = []
    for _ in range(count):
        chosen = draw.sample(words, 8)
        sets.append(Constraints(must_include=chosen[: draw.randint(1, 4)], forbid=chosen[4 : 4 + draw.randint(0, 4)]))
    return sets, [" ".join(draw.choice(texts).split()[:5]) for _ in range(count)]


def timed(
    model: Any, tokenizer: Any, prompts: list[list[int]], settings: Decoding, sets: list[Constraints] | None
) -> tuple[list[GeneratedText], float]:  # fmt: skip
    started = time.perf_counter()
    found = generate(model, tokenizer, prompts, settings, sets, max_rows=MAX_ROWS)
    return [texts[0] for texts in found], time.perf_counter() - started


def counted(sets: list[Constraints], found: list[GeneratedText]) -> dict[str, int]:
    """Counts satisfied sets, sets reported as not satisfied, and wrong reports."""
    truth = [holds(wanted, written.text) for wanted, written in zip(sets, found, strict=True)]
    reported = [bool(written.satisfied) for written in found]
    return {
        "satisfied": sum(truth),
        "reported_unsatisfied": sum(not one and bool(w.note) for one, w in zip(reported, found, strict=True)),
        "wrongly_reported": sum(a != b for a, b in zip(truth, reported, strict=True)),
    }  # fmt: skip


def holds(wanted: Constraints, text: str) -> bool:
    """Returns whether every forced word and no forbidden one is in the text as a whole word."""
    present = {
        word: re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None for word in (*wanted.must_include, *wanted.forbid)
    }
    return all(present[word] for word in wanted.must_include) and not any(present[word] for word in wanted.forbid)


def likelihood(found: list[GeneratedText]) -> dict[str, float]:
    """Returns the mean log-probability of a text and of a token under the unconstrained model."""
    sums, lengths = np.array([w.logprob for w in found]), np.array([len(w.token_ids) for w in found])
    return {"mean_logprob": round(float(sums.mean()), 3), "mean_logprob_per_token": round(float(sums.sum() / lengths.sum()), 4)}


if __name__ == "__main__":
    main()
