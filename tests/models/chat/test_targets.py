"""Conversations as inputs of an encoder and targets of a decoder."""

from __future__ import annotations

from typing import Any

import pytest

from tests.language_models import tokenizer
from tunesmith.data.chat.messages import Turn
from tunesmith.data.chat.rows import Conversations
from tunesmith.errors import DataError, RecipeError
from tunesmith.models.chat.prompts import rendered_runs
from tunesmith.models.chat.targets import PairLimits, certify_pairs, render_targets, require_completion, unwritable
from tunesmith.models.chat.template import NO_TEMPLATE, adopt_template, choose_template

FREE = PairLimits(None, None, "drop")
ROWS = [
    (("user", "who has the lamp ?"), ("assistant", " Ann")),
    (("user", "Ann has it. who has the boat ?"), ("assistant", "Ben and Cem")),
    (("user", "red ?"), ("assistant", "no"), ("user", "blue ?"), ("assistant", "yes yes yes")),
]


def conversations(rows: Any = ROWS) -> Conversations:
    from dataclasses import fields

    turns = tuple(tuple(Turn(role, content) for role, content in row) for row in rows)
    given: dict[str, Any] = {
        "turns": turns, "split": "train", "row_ids": tuple(range(len(rows))), "source": "rows", "kind": "messages",
        "columns": ("messages",), "rows": tuple({} for _ in rows), "rows_read": len(rows), "left_out": {},
    }  # fmt: skip
    known = {field.name for field in fields(Conversations)}
    return Conversations(**{name: value for name, value in given.items() if name in known})


@pytest.mark.parametrize(("family", "before", "after"), [("t5", [], [3]), ("bart", [2], [3])])
def test_input_and_target_begin_and_end_as_the_tokenizer_does(family: str, before: list[int], after: list[int]) -> None:
    words = tokenizer(family)
    rendered = render_targets(words, conversations(), NO_TEMPLATE, FREE)
    assert rendered.input_ids[0].tolist() == [
        *before,
        *words("who has the lamp ?", add_special_tokens=False)["input_ids"],
        *after,
    ]
    assert rendered.labels[0].tolist() == words(text_target="Ann")["input_ids"]
    assert rendered.end_ids == (3,)
    assert rendered.target_tokens == sum(map(len, rendered.labels))
    assert certify_pairs(words, NO_TEMPLATE, conversations()).passed


def test_a_tokenizer_that_ends_no_text_still_ends_targets() -> None:
    words = tokenizer()  # without special tokens around texts
    rendered = render_targets(words, conversations(), NO_TEMPLATE, FREE)
    assert rendered.labels[0].tolist() == [*words("Ann")["input_ids"], words.eos_token_id]
    assert certify_pairs(words, NO_TEMPLATE, conversations()).passed


def test_turns_before_the_answer_are_the_input_written_by_the_template() -> None:
    words, rows = tokenizer("t5"), conversations()
    template = choose_template(words, None, rows, single_turns_plain=True)
    adopt_template(words, template)
    assert template.name == "dialogue"
    assert choose_template(tokenizer("t5"), None, conversations(ROWS[:2]), single_turns_plain=True) == NO_TEMPLATE
    rendered = render_targets(words, rows, template, FREE)
    texts = rendered_runs(words, rendered, 2)
    assert [supervised for _, supervised in texts] == [False, True]
    assert texts[1][0] == "yes yes yes</s>"
    assert certify_pairs(words, template, rows).passed


def test_a_target_in_place_of_the_input_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.models.chat.targets.closed", lambda _tokenizer, ids: list(ids))
    assert not certify_pairs(tokenizer("t5"), NO_TEMPLATE, conversations()).passed


def test_long_inputs_are_dropped_or_truncated_and_long_answers_always_dropped() -> None:
    words = tokenizer("t5")
    dropped = render_targets(words, conversations(), NO_TEMPLATE, PairLimits(6, None, "drop"))
    assert dropped.dropped == {"longer than 6 tokens": (1,)}
    assert dropped.target_tokens_lost == 4
    cut = render_targets(words, conversations(), NO_TEMPLATE, PairLimits(6, None, "truncate"))
    whole = render_targets(words, conversations(), NO_TEMPLATE, FREE)
    assert cut.cut == (1,)
    assert cut.input_ids[1].tolist() == [*whole.input_ids[1][:5].tolist(), 3]
    words.truncation_side = "left"
    left = render_targets(words, conversations(), NO_TEMPLATE, PairLimits(6, None, "truncate"))
    assert left.input_ids[1].tolist() == whole.input_ids[1][-6:].tolist()
    short = render_targets(words, conversations(), NO_TEMPLATE, PairLimits(6, 3, "truncate"))
    assert short.dropped == {"whose answer is longer than 3 tokens": (1, 2)}


def test_rows_that_are_too_long_are_one_error_that_names_the_limit() -> None:
    words = tokenizer("t5")
    with pytest.raises(DataError, match=r"have an answer of more than 3 tokens: rows 1, 2.*sft\.max_target_length"):
        render_targets(words, conversations(), NO_TEMPLATE, PairLimits(None, 3, "error"))
    with pytest.raises(DataError, match=r"3 whose answer is longer than 1 tokens.*Raise sft\.max_target_length"):
        render_targets(words, conversations(), NO_TEMPLATE, PairLimits(None, 1, "drop"))
    with pytest.raises(DataError, match=r"3 longer than 1 tokens.*Raise data\.max_length"):
        render_targets(words, conversations(), NO_TEMPLATE, PairLimits(1, None, "drop"))
    with pytest.raises(RecipeError, match="leaves no room"):
        render_targets(words, conversations(), NO_TEMPLATE, PairLimits(1, None, "truncate"))


@pytest.mark.parametrize(
    ("loss_on", "long_rows", "key"), [("all", None, "loss_on"), ("assistant", None, "loss_on"), (None, "split", "long_rows")]
)
def test_only_the_last_answer_is_a_target(loss_on: Any, long_rows: Any, key: str) -> None:
    require_completion("completion", "truncate")
    with pytest.raises(RecipeError, match=rf"sft\.{key}"):
        require_completion(loss_on, long_rows)


def test_answers_that_the_tokenizer_cannot_write_are_found() -> None:
    rows = conversations([(("user", "red ?"), ("assistant", answer)) for answer in ("yes", "yes {no}", "</s> is it")])
    assert unwritable(tokenizer("t5"), NO_TEMPLATE, rows).keys() >= {1}
    assert 0 not in unwritable(tokenizer("t5"), NO_TEMPLATE, rows)


def test_a_control_token_in_a_content_is_text() -> None:
    words = tokenizer("t5")
    rows = conversations([(("user", "red </s> ?"), ("assistant", "yes <extra_id_0> no"))])
    rendered = render_targets(words, rows, NO_TEMPLATE, FREE)
    assert rendered.input_ids[0].tolist().count(words.eos_token_id) == 1
    assert words.convert_tokens_to_ids("<extra_id_0>") not in rendered.labels[0].tolist()
