"""Rewards of the recipes of ppo and grpo on children's stories, as TRL calls them."""

import re

WORDS = frozenset({"happy", "friend", "park", "mom", "play"})


def words_of(text):
    return re.findall(r"[a-z']+", text.lower())


def five_words(completions, **_):
    """The share of the sentences of each answer that hold one of five words."""
    rewards = []
    for text in completions:
        sentences = [sentence for sentence in re.split(r"[.!?]+", text) if sentence.strip()]
        rewards.append(sum(bool(WORDS & set(words_of(sentence))) for sentence in sentences) / max(1, len(sentences)))
    return rewards


def varied_words(completions, **_):
    """A third for each of the words that an answer holds, less a penalty for repeated words: held back as gold."""
    scores = []
    for text in completions:
        words = words_of(text)
        repeated = 1 - len(set(words)) / len(words) if words else 0.0
        scores.append(len(WORDS & set(words)) / 3 - 1.5 * max(0.0, repeated - 0.25))
    return scores
