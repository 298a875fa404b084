"""Pairs of sampled answers: the best against the worst, and a counted reason for every prompt without a pair."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.data.preferences.sampled import (
    CUT,
    EMPTY,
    SAME,
    TIED,
    SampledAnswer,
    SampledPrompt,
    compared,
    pairs_by_reward,
    pairs_to_compare,
    read_sampled,
    write_sampled,
)


def prompt(index: int, *answers: tuple[str, float], cut: tuple[int, ...] = ()) -> SampledPrompt:
    made = (SampledAnswer(text, 3, i not in cut, reward) for i, (text, reward) in enumerate(answers))
    return SampledPrompt("train", index, index, f"prompt {index}", tuple(made))


PROMPTS = [
    prompt(0, ("low", 0.1), ("high", 0.9), ("middle", 0.5)),
    prompt(1, ("one", 0.5), ("two", 0.5)),
    prompt(2, ("same", 0.5), (" same ", 0.7)),
    prompt(3, ("short", 0.5), ("cut", 0.7), cut=(1,)),
    prompt(4, (" ", 0.5), ("text", 0.7)),
    prompt(5, ("best but cut", 9.0), ("good", 2.0), ("bad", -1.0), cut=(0,)),
]


def test_the_best_answer_is_chosen_and_the_worst_rejected() -> None:
    made = pairs_by_reward(PROMPTS, keep_cut=False)
    assert [(pair.index, pair.first, pair.second) for pair in made.pairs] == [(0, "high", "low"), (5, "good", "bad")]
    assert made.left_out == {TIED: 1, SAME: 1, CUT: 1, EMPTY: 1}


def test_cut_answers_take_part_where_they_are_kept() -> None:
    made = pairs_by_reward(PROMPTS, keep_cut=True)
    assert [pair.first for pair in made.pairs] == ["high", "cut", "best but cut"]
    assert made.left_out == {TIED: 1, SAME: 1, EMPTY: 1}


def test_a_person_sees_two_different_answers_and_ties_are_left_out() -> None:
    to_compare = pairs_to_compare(PROMPTS, keep_cut=False)
    assert [(pair.first, pair.second) for pair in to_compare.pairs] == [("low", "high"), ("one", "two"), ("good", "bad")]
    made = compared(to_compare, ["second", "tie", "first"])
    assert [(pair.first, pair.second) for pair in made.pairs] == [("high", "low"), ("good", "bad")]
    assert made.left_out == {**to_compare.left_out, TIED: 1}


@pytest.mark.parametrize("gold", [None, 2.5])
def test_sampled_answers_are_read_as_they_were_written(tmp_path: Path, gold: float | None) -> None:
    answer = SampledAnswer(' "ünï"\u2028code', 3, False, 0.1, gold)
    prompts = [SampledPrompt("test", 0, 7, "a\nb", (answer, answer))]
    write_sampled(prompts, tmp_path / "sampled.jsonl")
    assert read_sampled(tmp_path / "sampled.jsonl") == prompts
