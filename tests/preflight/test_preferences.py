"""The line about the bias of length: of pairs and of judged answers, with intervals that count dependent rows once."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.data.preferences.test_pairs import pairs_of, read
from tunesmith.data.preferences.conversions import judged_of_pairs
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.preflight.preferences import length_line

SHAPES = ("longer", "shorter")


def rows_with(n_prompts: int, n_pairs: int, longer: set[int]) -> PreferencePairs:
    """Returns pairs of which the chosen answer is the longer one for the prompts with these numbers."""
    names = [f"{word} {i}" for i, word in enumerate(np.random.default_rng(0).permutation([f"w{i}" for i in range(n_prompts)]))]
    answers = [("long answer {}", "no {}")[:: 1 if i in longer else -1] for i in range(n_prompts)]
    return pairs_of(*[
        {"prompt": names[i], "chosen": answers[i][0].format(k), "rejected": answers[i][1].format(k)}
        for i in range(n_prompts) for k in range(n_pairs)
    ])  # fmt: skip


def interval(figure: str) -> tuple[float, float]:
    """Returns the ends of the interval in a figure, in percent."""
    match = re.search(r"\[([\d.]+)%, ([\d.]+)%\]", figure)
    assert match is not None
    return float(match[1]), float(match[2])


@pytest.mark.parametrize("word", SHAPES)
def test_the_more_frequent_direction_is_named_for_pairs_and_judged_answers(word: str) -> None:
    pairs = rows_with(40, 1, set(range(30 if word == "longer" else 10)))
    assert length_line(pairs).figure.startswith(f"the {word} answer is chosen in 75.0% of 40 pairs [")
    line = length_line(judged_of_pairs(pairs))
    assert line.figure.startswith(f"a good answer is {word} than a bad one in 75.")
    assert line.figure.endswith(f"({'11 and 6' if word == 'longer' else '6 and 11'} characters on average)")


@pytest.mark.parametrize("is_judged", [False, True])
def test_many_pairs_of_few_prompts_say_little(is_judged: bool) -> None:
    many, few = rows_with(40, 1, set(range(36))), rows_with(8, 5, set(range(7)))
    lines = [length_line(judged_of_pairs(rows) if is_judged else rows) for rows in (many, few)]
    widths = [high - low for low, high in (interval(line.figure) for line in lines)]
    assert widths[1] > 1.5 * widths[0]
    assert lines[0].note
    assert not lines[1].note


def test_answers_of_one_length_have_no_direction() -> None:
    rows = read(*[{"prompt": f"q{i}", "completion": f"a{i}", "label": i % 2 == 0} for i in range(8)])
    assert isinstance(rows, JudgedAnswers)
    assert "in 50.0% of all comparisons" in length_line(rows).figure
    assert not length_line(rows).note
