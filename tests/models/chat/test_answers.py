"""Pairs as tokens: the prompt of inference, one beginning, an end in both answers, and nothing lost without being counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.language_models import tokenizer as word_tokenizer
from tunesmith.data.chat.messages import Turn
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.errors import DataError
from tunesmith.models.chat.answers import SAME, answers_record, conversations_of, render_answers
from tunesmith.models.chat.prompts import prompt_ids
from tunesmith.models.chat.template import NO_TEMPLATE, Template, adopt_template, named_template
from tunesmith.models.encode import IGNORE_INDEX

LIMIT = 64


def turns(*contents: str, first: str = "user") -> tuple[Turn, ...]:
    roles = ("user", "assistant") if first == "user" else ("assistant", "user")
    return tuple(Turn(roles[i % 2], content) for i, content in enumerate(contents))


def pairs(*rows: tuple[str, str, str]) -> PreferencePairs:
    return PreferencePairs(
        "train",
        "rows",
        tuple(range(len(rows))),
        kind="chosen_rejected",
        columns=("prompt", "chosen", "rejected"),
        prompts=tuple(turns(prompt) for prompt, _, _ in rows),
        chosen=tuple(turns(chosen, first="assistant") for _, chosen, _ in rows),
        rejected=tuple(turns(rejected, first="assistant") for _, _, rejected in rows),
    )


ROWS = (("who has the lamp ?", " Ann has it now", " Ben"), ("is it red ?", " no", " yes and it is in the garden"))


def with_template(tokenizer: Any, name: str = "dialogue") -> Template:
    template = named_template(tokenizer, name)
    adopt_template(tokenizer, template)
    return template


@pytest.mark.parametrize("templated", [False, True])
def test_both_answers_follow_the_prompt_of_inference_and_end(byte_tokenizer: Callable[..., Any], templated: bool) -> None:
    tokenizer = byte_tokenizer(bos="<bos>", adds_bos=True)
    template = with_template(tokenizer) if templated else NO_TEMPLATE
    rows = pairs(*ROWS)
    rendered = render_answers(tokenizer, rows, template, 1000)
    assert rendered.rejected is not None
    assert rendered.without_end == ()
    for i, prompt in enumerate(rows.prompts):
        expected = prompt_ids(tokenizer, template, prompt)
        for side in rendered.sides:
            ids, start = side.input_ids[i].tolist(), side.starts[i]
            assert ids[:start] == expected
            assert ids.count(tokenizer.bos_token_id) == 1
            assert [token for token in side.labels[i].tolist() if token != IGNORE_INDEX] == ids[start:]
            assert tokenizer.eos_token_id in ids[start:]
    assert rendered.end_ids == (tokenizer.eos_token_id,)


def test_all_turns_of_an_answer_are_supervised_and_no_turn_of_the_prompt(byte_tokenizer: Callable[..., Any]) -> None:
    tokenizer = byte_tokenizer()
    template = with_template(tokenizer)
    rows = PreferencePairs(
        "train", "rows", (0,), kind="chosen_rejected", columns=("chosen", "rejected"),
        prompts=(turns("who ?", "me", "you ?"),), chosen=(turns("yes", "so ?", "yes !", first="assistant"),),
        rejected=(turns("no", first="assistant"),),
    )  # fmt: skip
    rendered = render_answers(tokenizer, rows, template, 1000)
    learnt = [tokenizer.decode([token for token in side.labels[0].tolist() if token != IGNORE_INDEX]) for side in rendered.sides]
    assert learnt == [" yes<eos> yes !<eos>", " no<eos>"]
    assert all(not turn.is_supervised for turn in conversations_of(rows).turns[0][:3])


def test_a_long_pair_is_left_out_and_counted() -> None:
    tokenizer = word_tokenizer()
    rendered = render_answers(tokenizer, pairs(*ROWS), NO_TEMPLATE, 11)
    assert rendered.row_ids == (0,)
    assert rendered.dropped == {"longer than 11 tokens": (1,)}
    assert answers_record(rendered)["rows_dropped"] == {"longer than 11 tokens": 1}


def test_truncation_cuts_the_prompt_of_both_sides_alike_and_never_an_answer() -> None:
    tokenizer = word_tokenizer()
    prompt = "it was there and it is in the garden now . who has the red lamp ?"
    rows = pairs((prompt, " Ann", " Ben has it now"))
    whole, cut = (render_answers(tokenizer, rows, NO_TEMPLATE, limit, "truncate") for limit in (LIMIT, 16))
    assert cut.rejected is not None
    assert whole.rejected is not None
    assert cut.cut == (0,)
    assert max(cut.lengths) == 16
    for side, of_whole in zip(cut.sides, whole.sides, strict=True):
        assert side.counts == of_whole.counts
        n_cut = len(of_whole.input_ids[0]) - len(side.input_ids[0])
        assert side.input_ids[0].tolist() == of_whole.input_ids[0].tolist()[n_cut:]
    starts = [side.starts[0] for side in cut.sides]
    assert starts[0] == starts[1]
    assert np.array_equal(cut.chosen.input_ids[0][: starts[0]], cut.rejected.input_ids[0][: starts[0]])


def test_truncation_keeps_the_beginning_of_text(byte_tokenizer: Callable[..., Any]) -> None:
    tokenizer = byte_tokenizer(bos="<bos>", adds_bos=True)
    rows = pairs(("who is it at the door and who is it at the other door ?", " me", " you"))
    rendered = render_answers(tokenizer, rows, NO_TEMPLATE, 20, "truncate")
    assert rendered.cut == (0,)
    assert all(side.input_ids[0][0] == tokenizer.bos_token_id for side in rendered.sides)


def test_a_pair_whose_answer_leaves_no_room_for_its_prompt_is_left_out() -> None:
    tokenizer = word_tokenizer()
    rows = pairs(("who has it ?", " Ann has it now and it is in the garden", " Ben"), ("is it red ?", " no", " yes"))
    rendered = render_answers(tokenizer, rows, NO_TEMPLATE, 11, "truncate")
    assert rendered.row_ids == (1,)
    assert list(rendered.dropped.values()) == [(0,)]


def test_long_rows_are_an_error_if_the_recipe_says_so() -> None:
    with pytest.raises(DataError, match="1 of 2 rows are longer than 11 tokens: rows 1"):
        render_answers(word_tokenizer(), pairs(*ROWS), NO_TEMPLATE, 11, "error")


def test_pairs_of_the_same_tokens_are_left_out_and_all_of_them_are_an_error() -> None:
    same = ("is it red ?", " no", " no")
    rendered = render_answers(word_tokenizer(), pairs(ROWS[0], same), NO_TEMPLATE, LIMIT)
    assert rendered.dropped == {SAME: (1,)}
    with pytest.raises(DataError, match="whose two answers are the same tokens") as caught:
        render_answers(word_tokenizer(), pairs(same, same), NO_TEMPLATE, LIMIT)
    assert caught.value.problems[0].remedy == "Give pairs of different answers."


def test_judged_answers_have_one_side() -> None:
    rows = JudgedAnswers(
        "train", "rows", (0, 1), kind="judged", columns=("prompt", "completion", "label"),
        prompts=(turns("who ?"), turns("who ?")), answers=(turns(" Ann", first="assistant"), turns(" Ben", first="assistant")),
        desirable=(True, False),
    )  # fmt: skip
    rendered = render_answers(word_tokenizer(), rows, NO_TEMPLATE, LIMIT)
    assert rendered.rejected is None
    assert rendered.desirable == (True, False)
    assert rendered.take([1]).desirable == (False,)
