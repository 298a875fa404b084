"""Prompts are what training showed before the answer, and the proof of it can fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.chat.formats import detect_chat_format
from tunesmith.data.chat.messages import Turn
from tunesmith.data.chat.rows import Conversations, usable_conversations
from tunesmith.data.readers.read import read_table
from tunesmith.errors import DataError
from tunesmith.models.chat import prompts
from tunesmith.models.chat.prompts import certify_rendering, few_shot_ids, prompt_ids, supervised_runs
from tunesmith.models.chat.render import render
from tunesmith.models.chat.template import NO_TEMPLATE, Template, adopt_template, choose_template
from tunesmith.recipe.sections import ColumnsSection


def talk(*contents: str) -> tuple[Turn, ...]:
    return tuple(Turn("assistant" if i % 2 else "user", content) for i, content in enumerate(contents))


def rows(*found: tuple[str, ...], form: str = "messages") -> Conversations:
    return Conversations("train", "rows.jsonl", tuple(range(len(found))), form, (), tuple(talk(*row) for row in found))  # type: ignore[arg-type]


TALKS = rows(("who is it", "it is me", "so?", "no"), ("what is the day", "the good day"))


def test_prompts_end_where_the_answer_begins(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer()
    template = choose_template(tokenizer, None, TALKS)
    expected = "User: who is it\nAssistant: it is me<eos>\nUser: so?\nAssistant:"
    assert tokenizer.decode(prompt_ids(tokenizer, template, TALKS.turns[0])) == expected
    assert tokenizer.decode(prompt_ids(tokenizer, template, TALKS.turns[0][:3])) == expected
    assert tokenizer.decode(prompt_ids(tokenizer, NO_TEMPLATE, talk("who is it: ", "me"))) == "who is it:"
    strict = Template("tokenizer", "{{ raise_exception('Not so.') }}", "tokenizer")
    with pytest.raises(DataError, match="refused by the chat template: Not so"):
        prompt_ids(tokenizer, strict, talk("a"))


def test_training_rows_begin_with_the_prompt(byte_tokenizer, spaced_tokenizer) -> None:
    for tokenizer in (byte_tokenizer(), spaced_tokenizer()):
        for found in (TALKS, rows(("a:", " b"), ("too: ", "b"), form="prompt_completion")):
            template = choose_template(tokenizer, None, found)
            made = render(tokenizer, found, template, None, "completion")
            for turns, ids in zip(found.turns, made.input_ids, strict=True):
                prompt = prompt_ids(tokenizer, template, turns)
                assert ids.tolist()[: len(prompt)] == prompt


def test_examples_stand_before_the_question(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer(bos="<bos>", adds_bos=True)
    examples = [talk("one", "two"), (Turn("system", "be good"), *talk("three", "four"))]
    template = choose_template(tokenizer, "dialogue", TALKS)
    assert tokenizer.decode(few_shot_ids(tokenizer, template, examples, talk("five", "six"))) == (
        "<bos>System: be good\nUser: one\nAssistant: two<eos>\nUser: three\nAssistant: four<eos>\nUser: five\nAssistant:"
    )
    plain = few_shot_ids(tokenizer, NO_TEMPLATE, [talk("one: ", "two"), talk("three:", " four")], talk("five: ", "six"))
    assert tokenizer.decode(plain) == "<bos>one: two\n\nthree: four\n\nfive:"
    assert few_shot_ids(tokenizer, template, [], talk("five", "six")) == prompt_ids(tokenizer, template, talk("five"))


def test_the_text_in_runs(byte_tokenizer, spaced_tokenizer) -> None:
    for tokenizer in (byte_tokenizer(), spaced_tokenizer()):
        made = render(tokenizer, TALKS, choose_template(tokenizer, None, TALKS))
        runs = supervised_runs(tokenizer, made.input_ids[0], made.labels[0])
        end = tokenizer.eos_token
        assert "".join(text for text, _ in runs) == tokenizer.decode(made.input_ids[0])
        assert [text.strip() for text, learnt in runs if learnt] == [f"it is me{end}", f"no{end}"]
        assert [learnt for _, learnt in runs] == [False, True, False, True]
    assert supervised_runs(tokenizer, [], []) == []


@pytest.mark.parametrize("name", ["dialogue", "alpaca", "chatml", None])
def test_the_certificate_holds_for_our_templates(byte_tokenizer, spaced_tokenizer, name: str | None) -> None:
    for tokenizer in (byte_tokenizer(bos="<bos>", adds_bos=True), spaced_tokenizer()):
        found = TALKS if name else rows(("a b", " c"), ("a b ", "c"), ("a", "b"), form="prompt_completion")
        template = choose_template(tokenizer, name, found) if name else NO_TEMPLATE
        adopt_template(tokenizer, template)
        for loss_on in ("assistant", "completion", "all"):
            certificate = certify_rendering(tokenizer, template, found, loss_on=loss_on)  # type: ignore[arg-type]
            assert (certificate.passed, certificate.figure, certificate.limit) == (True, 0.0, 0.0), certificate
        assert certify_rendering(tokenizer, template, found, rows=1).note.startswith("1 of ")


def test_the_certificate_names_rows_that_differ(byte_tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = byte_tokenizer()
    template = choose_template(tokenizer, None, TALKS)
    honest = prompts.render

    def spoilt(*args: Any, **options: Any) -> Any:
        made = honest(*args, **options)
        made.input_ids[1][2] += 1
        return made

    monkeypatch.setattr(prompts, "render", spoilt)
    certificate = certify_rendering(tokenizer, template, TALKS)
    assert (certificate.passed, certificate.figure) == (False, 1.0)
    assert "they differ in rows 1" in certificate.note

    def shifted(*args: Any, **options: Any) -> Any:
        made = honest(*args, **options)
        learnt = (made.labels[0] != -100).argmax()
        made.labels[0][learnt] = -100
        return made

    monkeypatch.setattr(prompts, "render", shifted)
    assert "they differ in rows 0" in certify_rendering(tokenizer, template, TALKS).note

    def early(*args: Any, **options: Any) -> Any:
        made = honest(*args, **options)
        before = (made.labels[1] != -100).argmax() - 1
        made.labels[1][before] = made.input_ids[1][before]
        return made

    monkeypatch.setattr(prompts, "render", early)
    assert "they differ in rows 1" in certify_rendering(tokenizer, template, TALKS).note


@pytest.mark.parametrize(("name", "template"), [("alpaca/alpaca_5000.json", "alpaca"), ("gsm8k/test.jsonl", "none")])
def test_real_rows_with_a_real_tokenizer(shared: Path, name: str, template: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(shared / "models" / "stories3M")
    table = read_table(shared / "data" / name)
    found = usable_conversations(table.take(range(300)), detect_chat_format(table, ColumnsSection()), "train")
    chosen = choose_template(tokenizer, None, found)
    assert chosen.name == template
    made = render(tokenizer, found, chosen, 512)
    assert len(made) + sum(map(len, made.dropped.values())) == len(found)
    assert made.without_end == ()
    assert made.end_ids == (2,)
    assert 0.2 < made.supervised_share < 0.8
    assert certify_rendering(tokenizer, chosen, found, rows=100).passed
