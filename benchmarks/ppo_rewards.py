"""Rewards of the benchmarks of PPO: five words, a gold reward of them, a proxy (weights in ``proxy.json``), reversed words."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

WORDS = frozenset({"happy", "friend", "park", "mom", "play"})
WEIGHTS: dict[str, float] = {}


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def five_words(completions: Sequence[str], **_: object) -> list[float]:
    """The share of the sentences of each answer that hold one of the words."""
    rewards = []
    for text in completions:
        sentences = [sentence for sentence in re.split(r"[.!?]+", text) if sentence.strip()]
        rewards.append(sum(bool(WORDS & set(words_of(sentence))) for sentence in sentences) / max(1, len(sentences)))
    return rewards


def gold(completions: Sequence[str], **_: object) -> list[float]:
    """A third for each of the words that an answer holds, less a penalty for repeated words."""
    scores = []
    for text in completions:
        words = words_of(text)
        repeated = 1 - len(set(words)) / len(words) if words else 0.0
        scores.append(len(WORDS & set(words)) / 3 - 1.5 * max(0.0, repeated - 0.25))
    return scores


def proxy(completions: Sequence[str], **_: object) -> list[float]:
    """The sum of the weights of an answer's words."""
    if not WEIGHTS:
        WEIGHTS.update(json.loads((Path(__file__).parent / "proxy.json").read_text(encoding="utf-8")))
    return [sum(WEIGHTS.get(word, 0.0) for word in words_of(text)) for text in completions]


def right_words(prompts: Sequence[str], completions: Sequence[str], **_: object) -> list[float]:
    """The share of the words of a reversed prompt, or of the answer if it has more, that stand at their place in the answer."""
    found = []
    for prompt, text in zip(prompts, completions, strict=True):
        right, words = prompt.split()[:0:-1], text.split()
        found.append(sum(a == b for a, b in zip(right, words, strict=False)) / max(len(right), len(words)))
    return found
