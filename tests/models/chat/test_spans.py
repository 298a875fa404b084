"""Answers are found in what a template writes, and a template that changes them is named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.chat.messages import Turn
from tunesmith.models.chat.spans import CHANGED, LOST, NO_END, OTHER_PROMPT, Refusal, RenderedChat, answer_end, render_chats
from tunesmith.models.chat.template import NO_TEMPLATE, Template

HEAD = "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}"
TAIL = "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
PLAIN = HEAD + "{{ m['content'] + '<end>\\n' }}" + TAIL
CLOSING = PLAIN.replace("{% endfor %}", "{% endfor %}{% if not add_generation_prompt %}{{ eos_token }}{% endif %}")
THINKS = PLAIN.replace("<|assistant|>", "<|assistant|><think>")
STRIPS = (
    HEAD + "{% if m['role'] == 'assistant' and not loop.last %}{{ m['content'].split('</think>')[-1] }}"
    "{% else %}{{ m['content'] }}{% endif %}{{ '<end>' }}" + TAIL
)
OPEN = HEAD + "{{ m['content'] }}" + TAIL
BLIND = HEAD + "{% for part in m['content'] %}{{ part['text'] }}{% endfor %}{{ '<end>' }}" + TAIL
ALTERNATE = "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate.') }}{% endif %}"
STRICT = PLAIN.replace("{{ '<|'", ALTERNATE + "{{ '<|'")
TWO = (Turn("user", "who"), Turn("assistant", "it is me"), Turn("user", "so?"), Turn("assistant", "no "))
THOUGHT = (Turn("user", "a"), Turn("assistant", "<think>b</think>c"), Turn("user", "d"), Turn("assistant", "<think>e</think>f"))


@pytest.fixture
def tokenizer(byte_tokenizer) -> Any:
    return byte_tokenizer("<end>", "<|user|>", "<|assistant|>", "<|system|>")


def answers(found: RenderedChat | Refusal) -> list[str]:
    assert isinstance(found, RenderedChat), found
    return [found.text[start:stop] for start, stop in found.answers]


def one(tokenizer: Any, text: str, turns: tuple[Turn, ...], loss_on: str = "assistant") -> RenderedChat | Refusal:
    return render_chats(tokenizer, Template("tokenizer", text, "tokenizer"), [turns], loss_on)[0]  # type: ignore[arg-type]


def test_answers_and_their_ends_without_markers(tokenizer) -> None:
    assert answers(one(tokenizer, PLAIN, TWO)) == ["it is me<end>", "no <end>"]
    assert answers(one(tokenizer, PLAIN, TWO, "completion")) == ["no <end>"]
    assert answers(one(tokenizer, CLOSING, TWO)) == ["it is me<end>", "no <end>\n<eos>"]
    found = one(tokenizer, PLAIN, TWO)
    assert isinstance(found, RenderedChat)
    assert found.prompt == "<|user|>who<end>\n<|assistant|>it is me<end>\n<|user|>so?<end>\n<|assistant|>"


@pytest.mark.parametrize(
    ("part", "error"),
    [
        ("1 / 0", "division by zero"),
        ("'a' * 10**30", "cannot fit"),
        ("'{}'.format()", "index"),
        ("''.encode('x')", "unknown encoding"),
    ],
)
def test_an_error_of_the_template_is_the_reason_of_its_rows(tokenizer, part: str, error: str) -> None:
    refused = one(tokenizer, f"{{{{ {part} }}}}{PLAIN}", TWO)
    assert isinstance(refused, Refusal)
    assert refused.reason.startswith("refused by the chat template: ")
    assert error in refused.reason


def test_a_greeting_answers_nothing(tokenizer) -> None:
    greeted = (Turn("assistant", "hi"), *TWO)
    assert answers(one(tokenizer, PLAIN, greeted)) == ["it is me<end>", "no <end>"]


@pytest.mark.parametrize(
    ("text", "turns", "loss_on", "reason", "detail"),
    [
        (THINKS, TWO, "completion", OTHER_PROMPT, "one goes on with '<think>', the other with 'no <end>"),
        (STRIPS, THOUGHT, "assistant", CHANGED, "one goes on with '<think>b</think>c"),
        (OPEN, TWO, "assistant", NO_END, "'it is me"),
        (BLIND, TWO, "completion", LOST, "<end>"),
        (STRICT, TWO[2:] + TWO[:1] + TWO[:2], "assistant", "refused by the chat template: Roles must alternate", ""),
    ],
)
def test_templates_that_do_not_fit(tokenizer, text: str, turns: tuple[Turn, ...], loss_on: str, reason: str, detail: str) -> None:
    found = one(tokenizer, text, turns, loss_on)
    assert isinstance(found, Refusal)
    assert found.reason == reason
    assert detail in found.detail


def test_thoughts_that_a_template_takes_out_later_are_learnt_in_the_last_answer(tokenizer) -> None:
    assert answers(one(tokenizer, STRIPS, THOUGHT, "completion")) == ["<think>e</think>f<end>"]


def test_a_refused_row_takes_no_other_with_it(tokenizer) -> None:
    bad = (Turn("user", "a"), Turn("user", "b"), Turn("assistant", "c"))
    found = render_chats(tokenizer, Template("t", STRICT, "tokenizer"), [TWO, bad, TWO, bad, TWO], "assistant")
    assert [isinstance(row, RenderedChat) for row in found] == [True, False, True, False, True]
    assert [answers(row) for row in found[::2]] == [["it is me<end>", "no <end>"]] * 3


def test_without_a_template_the_space_before_the_answer_is_the_answers(tokenizer) -> None:
    found = render_chats(tokenizer, NO_TEMPLATE, [(Turn("user", "who is it?  "), Turn("assistant", "me"))], "assistant")[0]
    assert answers(found) == ["  me<eos>"]
    assert isinstance(found, RenderedChat)
    assert found.prompt == "who is it?"


@pytest.mark.parametrize(
    ("answer", "content", "end"),
    [
        ("a</s>\n", "a", 5), ("a</s>\n<|", "a", 5), ("a</s>b", "a</s>b", None), ("a", "a", None), ("x</s><e>\n", "x", 8),
        ("a</s>b</s>", "a</s>b", 10),
    ],
)  # fmt: skip
def test_where_an_answer_ends(answer: str, content: str, end: int | None) -> None:
    assert answer_end(answer, content, ("</s>", "<e>")) == end


KNOWN = {
    "qwen2_5": ["it is me<|im_end|>", "no<|im_end|>"],
    "llama3": ["it is me<|eot_id|>", "no<|eot_id|>"],
    "gemma": ["it is me<end_of_turn>", "no<end_of_turn>"],
    "phi3": ["it is me<|end|>", "no<|end|>\n<eos>"],
    "qwen3": CHANGED,  # it writes an empty thought before the last answer only
    "gptoss": CHANGED,  # its last answer ends with another token than those before
    "deepseekv3": CHANGED,  # its prompt begins a thought, which it takes out of answers
    "glm4moe": NO_END,  # the user's turn ends the answer
    "idefics3": LOST,  # it reads contents as lists of images and texts
}


@pytest.mark.parametrize("name", KNOWN)
def test_templates_of_well_known_models(byte_tokenizer, name: str) -> None:
    trl = pytest.importorskip("trl")
    text = (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")
    special = set(re.findall(r"<\|\w+\|>|</?\w+_of_\w+>|<｜[^｜]+｜>", text))
    tokenizer = byte_tokenizer(*sorted(special), bos="<bos>")
    found, expected = one(tokenizer, text, TWO), KNOWN[name]
    assert (
        found.reason if isinstance(found, Refusal) else [answer.replace("no ", "no") for answer in answers(found)]
    ) == expected
