"""Which template rows get, and that the tokenizer's own is never touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.data.chat.messages import Turn
from tunesmith.data.chat.rows import INPUT_HEADING, Conversations
from tunesmith.errors import ModelError, RecipeError
from tunesmith.models.chat.template import DEFAULTS, NAMED_TEMPLATES, adopt_template, choose_template, edges, to_messages

OWN = "{% for m in messages %}{{ '[' + m['role'] + ']' + m['content'] + eos_token }}{% endfor %}"
TALK = (
    Turn("system", "be good"),
    Turn("user", "who"),
    Turn("assistant", "it is me"),
    Turn("user", "so?"),
    Turn("assistant", "no"),
)


def rows(form: str = "messages", turns: tuple[Turn, ...] = TALK[1:3]) -> Conversations:
    return Conversations("train", "rows.jsonl", (0,), form, (), (turns,))  # type: ignore[arg-type]


def written(tokenizer, template, turns, prompt: bool = False) -> str:
    return tokenizer.apply_chat_template(
        to_messages(turns), chat_template=template.text, tokenize=False, add_generation_prompt=prompt
    )


def test_what_each_form_gets_without_a_template(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer()
    for form, name in DEFAULTS.items():
        assert choose_template(tokenizer, None, rows(form)).name == name
    assert choose_template(tokenizer, None, rows("prompt_completion")).source == "none"
    assert choose_template(tokenizer, None, rows("prompt_completion", TALK)).name == "dialogue"
    assert choose_template(tokenizer, None, rows("text", (Turn("text", "a"),))).source == "none"
    assert tokenizer.chat_template is None


def test_the_tokenizers_own_template_is_used_and_never_altered(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = OWN
    for form in ("messages", "alpaca", "prompt_completion", "labelled"):
        found = choose_template(tokenizer, None, rows(form))
        assert (found.source, found.text, found.has_markers) == ("tokenizer", OWN, False)
        assert "no {% generation %} markers" in found.sentence()
        assert adopt_template(tokenizer, found) == 0
    with pytest.raises(ModelError, match="a chat template of its own") as error:
        choose_template(tokenizer, "chatml", rows())
    assert "Leave sft.chat_template out" in error.value.problems[0].remedy
    assert tokenizer.chat_template == OWN


def test_a_template_that_was_saved_with_the_model_may_be_named_again(byte_tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = byte_tokenizer()
    template = choose_template(tokenizer, "chatml", rows())
    assert template.new_tokens == ("<|im_start|>", "<|im_end|>")
    before = len(tokenizer)
    assert adopt_template(tokenizer, template) == 2 == len(tokenizer) - before
    tokenizer.save_pretrained(tmp_path)
    assert (tmp_path / "chat_template.jinja").read_text() == template.text
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.convert_tokens_to_ids("<|im_end|>") == before + 1
    assert again("<|im_end|>", add_special_tokens=False)["input_ids"] == [before + 1]
    found = choose_template(again, "chatml", rows())
    assert (found.source, found.text, found.new_tokens) == ("tokenizer", template.text, ())


@pytest.mark.parametrize("name", NAMED_TEMPLATES)
def test_marked_parts_are_the_answers_with_their_ends(byte_tokenizer, name: str) -> None:
    tokenizer = byte_tokenizer(bos="<bos>", adds_bos=True)
    template = choose_template(tokenizer, name, rows())
    adopt_template(tokenizer, template)
    assert template.has_markers
    made = tokenizer.apply_chat_template(to_messages(TALK), return_assistant_tokens_mask=True, return_dict=True)
    marked = [token for token, is_marked in zip(made["input_ids"], made["assistant_masks"], strict=True) if is_marked]
    end = "<|im_end|>" if name == "chatml" else "<eos>"
    assert tokenizer.decode(marked).replace(" ", "") == f"itisme{end}no{end}"
    text = written(tokenizer, template, TALK)
    assert text.startswith("<bos>")
    assert text.count("<bos>") == 1
    assert text.startswith(written(tokenizer, template, TALK[:-1], prompt=True))


def test_alpacas_prompt_is_its_authors(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer()
    template = choose_template(tokenizer, None, rows("alpaca"))
    requested = (Turn("user", f"Add them.{INPUT_HEADING}1, 2"),)
    assert written(tokenizer, template, requested, prompt=True) == (
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nAdd them.\n\n### Input:\n1, 2\n\n### Response:\n"
    )
    assert written(tokenizer, template, (Turn("user", "Sing."),), prompt=True) == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nSing.\n\n### Response:\n"
    )


def test_files(byte_tokenizer, tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    (tmp_path / "own.jinja").write_text(OWN + "{{ '<|go|>' }}")
    found = choose_template(tokenizer, "own.jinja", rows(), tmp_path)
    assert (found.source, found.new_tokens) == ("file", ("<|go|>",))
    (tmp_path / "bad.jinja").write_text("{% for m in messages %}\n{{ m.content }")
    with pytest.raises(RecipeError, match=r"bad.jinja, line 2: The file is no Jinja template"):
        choose_template(tokenizer, "bad.jinja", rows(), tmp_path)
    with pytest.raises(RecipeError, match=r"'chatlm' is neither a template nor a file\. Templates: dialogue, alpaca, chatml"):
        choose_template(tokenizer, "chatlm", rows(), tmp_path)
    with pytest.raises(RecipeError, match="plain texts have no turns"):
        choose_template(tokenizer, "chatml", rows("text", (Turn("text", "a"),)))


def test_no_end_of_text_token(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer(eos=None)
    with pytest.raises(ModelError, match="it has no end-of-text token") as error:
        choose_template(tokenizer, None, rows())
    assert "eos_token" in error.value.problems[0].remedy
    assert choose_template(tokenizer, "chatml", rows()).name == "chatml"


def test_what_stands_around_texts(byte_tokenizer, spaced_tokenizer, tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    assert edges(byte_tokenizer()) == ((), ())
    assert edges(spaced_tokenizer()) == ((1,), ())
    assert edges(AutoTokenizer.from_pretrained(tiny_model)) == ((2,), (3,))
