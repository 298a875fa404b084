"""Tokens and labels: prompts as at inference, whole answers with their ends, every row counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.data.chat.messages import Turn
from tunesmith.data.chat.rows import Conversations
from tunesmith.errors import DataError, ModelError, RecipeError
from tunesmith.models.chat.prompts import prompt_ids
from tunesmith.models.chat.render import Rendered, render, render_record
from tunesmith.models.chat.template import NO_TEMPLATE, Template, adopt_template, choose_template
from tunesmith.models.chat.truncation import windows
from tunesmith.models.encode import IGNORE_INDEX

CHATML = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}" + (
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def rows(*found: tuple[Turn, ...] | tuple[str, ...], form: str = "messages") -> Conversations:
    turns = tuple(talk(*row) if isinstance(row[0], str) else row for row in found)  # type: ignore[arg-type]
    return Conversations("train", "rows.jsonl", tuple(range(50, 50 + len(turns))), form, (), turns)  # type: ignore[arg-type]


def talk(*contents: str) -> tuple[Turn, ...]:
    return tuple(Turn("assistant" if i % 2 else "user", content) for i, content in enumerate(contents))


def texts(*found: str) -> Conversations:
    return rows(*((Turn("text", text),) for text in found), form="text")


def learnt(tokenizer: Any, made: Rendered, entry: int = 0) -> list[str]:
    """The text of each supervised run."""
    ids, labels = made.input_ids[entry], made.labels[entry]
    assert ((labels == ids) | (labels == IGNORE_INDEX)).all()
    runs = np.split(ids, np.flatnonzero(np.diff(labels != IGNORE_INDEX)) + 1)
    first = int(labels[0] == IGNORE_INDEX)
    return [tokenizer.decode(run) for run in runs[first::2]]


@pytest.fixture
def tokenizer(byte_tokenizer) -> Any:
    made = byte_tokenizer("<|im_start|>", "<|im_end|>")
    made.chat_template = CHATML
    return made


OWN = Template("tokenizer", CHATML, "tokenizer")
TALK = ("who is it", "it is me", "so?", "no")


def test_what_is_learnt_of_a_conversation(tokenizer) -> None:
    for loss_on, runs in (("assistant", ["it is me<|im_end|>", "no<|im_end|>"]), ("completion", ["no<|im_end|>"])):
        made = render(tokenizer, rows(TALK), OWN, None, loss_on)  # type: ignore[arg-type]
        assert learnt(tokenizer, made) == runs
        assert made.without_end == ()
        assert made.end_ids == (tokenizer.convert_tokens_to_ids("<|im_end|>"),)
        assert made.target_tokens == sum(len(tokenizer(run)["input_ids"]) for run in runs)
    whole = render(tokenizer, rows(TALK), OWN, None, "all")
    assert (whole.labels[0] == whole.input_ids[0]).all()
    assert whole.end_ids == (tokenizer.convert_tokens_to_ids("<|im_end|>"),)
    assert tokenizer.decode(whole.input_ids[0]) == tokenizer.apply_chat_template(
        [{"role": turn.role, "content": turn.content} for turn in talk(*TALK)], tokenize=False
    )


def test_the_record_is_plain_json(tokenizer) -> None:
    made = render(tokenizer, rows(("who", "me"), ("so?", "good " * 40)), OWN, 40)
    record = json.loads(json.dumps(render_record(made)))
    assert record["rows"] + sum(record["dropped"].values()) == 2
    assert record["tokens"] == record["length_tokens"]["max"] == len(made.input_ids[0])
    assert record["supervised_share"] == record["target_tokens"] / record["tokens"] > 0.1


def test_pad_equal_to_end_hides_no_end(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    for form, found in (("messages", rows(TALK)), ("prompt_completion", rows(("a", " b"), form="prompt_completion"))):
        made = render(tokenizer, found, choose_template(tokenizer, None, found))
        assert made.labels[0][-1] == tokenizer.eos_token_id == tokenizer.pad_token_id, form
        assert made.without_end == ()
    text = render(tokenizer, texts("a b"), NO_TEMPLATE)
    assert text.labels[0][-1] == tokenizer.eos_token_id


def test_no_end_of_text_token(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer(eos=None)
    for found in (texts("a b"), rows(("a", "b"), form="prompt_completion")):
        with pytest.raises(ModelError, match="it has no end-of-text token"):
            render(tokenizer, found, NO_TEMPLATE)


def test_a_template_that_ends_no_answer_is_refused(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer()
    text = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}" + (
        "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    )
    with pytest.raises(ModelError, match="row 50: 1 of 1 row is a row whose answer the chat template does not end") as error:
        render(tokenizer, rows(TALK), Template("tokenizer", text, "tokenizer"), None, "completion")
    assert "never stops" in error.value.problems[0].remedy


def test_a_template_that_changes_earlier_answers_has_a_remedy(tokenizer) -> None:
    text = CHATML.replace("m['content'] + ", "(m['content'] if loop.last else m['content'].split('</t>')[-1]) + ")
    template = Template("tokenizer", text, "tokenizer")
    found = rows(("a", "<t>b</t>c", "d", "<t>e</t>f"))
    with pytest.raises(ModelError, match="earlier answers the chat template changes") as error:
        render(tokenizer, found, template)
    assert "sft.loss_on: completion" in error.value.problems[0].remedy
    assert learnt(tokenizer, render(tokenizer, found, template, None, "completion")) == ["<t>e</t>f<|im_end|>"]


def test_few_rows_that_do_not_fit_are_left_out_and_counted(tokenizer) -> None:
    text = CHATML.replace("m['content'] + ", "(m['content'] if loop.last else m['content'].split('</t>')[-1]) + ")
    many = [("a", "b", "c", f"d{i}") for i in range(150)]
    made = render(tokenizer, rows(*many, ("a", "<t>b</t>c", "d", "f")), Template("tokenizer", text, "tokenizer"))
    assert made.dropped == {"whose earlier answers the chat template changes when turns follow": (200,)}
    assert len(made) == 150


def test_rows_that_the_template_refuses_are_named(tokenizer) -> None:
    text = "{% if messages[0]['role'] != 'user' %}{{ raise_exception('The user begins.') }}{% endif %}" + CHATML
    bad = (Turn("assistant", "hi"), *talk("a", "b"))
    made = render(tokenizer, rows(TALK, bad, TALK), Template("tokenizer", text, "tokenizer"))
    assert made.dropped == {"refused by the chat template: The user begins": (51,)}
    assert (made.row_ids, made.positions) == ((50, 52), (0, 2))
    with pytest.raises(
        DataError, match=r"none of 1 row of train can be trained on \(1 refused by the chat template: The user begins"
    ):
        render(tokenizer, rows(bad), Template("tokenizer", text, "tokenizer"))


def test_the_beginning_of_text_token_stands_there_once(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer("<|im_start|>", "<|im_end|>", bos="<bos>", adds_bos=True)
    begun = Template("tokenizer", "{{ bos_token }}" + CHATML, "tokenizer")
    for found, template in (
        (rows(TALK), begun),
        (rows(TALK), choose_template(tokenizer, None, rows(TALK))),
        (rows(("a", " b"), form="prompt_completion"), NO_TEMPLATE),
        (texts("a"), NO_TEMPLATE),
    ):
        ids = render(tokenizer, found, template).input_ids[0].tolist()
        assert ids[0] == tokenizer.bos_token_id
        assert ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.bos_token_id not in render(tokenizer, rows(TALK), OWN).input_ids[0]  # that template writes none


CONTENT = st.text(st.sampled_from("ab .:?\n 9é漢🙂"), min_size=1, max_size=12).filter(lambda text: text.strip())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=st.lists(st.tuples(CONTENT, CONTENT), min_size=1, max_size=4),
    kind=st.sampled_from(["dialogue", "alpaca", "chatml", ""]),
)
def test_training_begins_as_inference_whatever_the_contents(byte_tokenizer, spaced_tokenizer, found, kind: str) -> None:
    for tokenizer in (byte_tokenizer(bos="<bos>", adds_bos=True), spaced_tokenizer()):
        made_rows = rows(*found, form="messages" if kind else "prompt_completion")
        template = choose_template(tokenizer, kind, made_rows) if kind else NO_TEMPLATE
        adopt_template(tokenizer, template)
        made = render(tokenizer, made_rows, template)
        assert len(made) == len(found)
        assert made.without_end == ()
        for ids, labels, turns in zip(made.input_ids, made.labels, made_rows.turns, strict=True):
            prompt = prompt_ids(tokenizer, template, turns)
            assert ids[: len(prompt)].tolist() == prompt
            assert (labels[: len(prompt)] == IGNORE_INDEX).all()
            assert labels[len(prompt)] != IGNORE_INDEX
            answer = tokenizer.decode(labels[labels != IGNORE_INDEX], skip_special_tokens=True)
            assert answer.strip() == turns[-1].content.strip()


def test_prompt_and_answer_that_share_a_token_are_tokenised_apart(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer()
    found = rows(("the answer is the goo", "d"), ("the answer is", " good"), form="prompt_completion")
    assert [*tokenizer.tokenize("the goo"), "d"] != tokenizer.tokenize("the good")
    made = render(tokenizer, found, NO_TEMPLATE)
    assert made.rejoined == (50,)
    assert learnt(tokenizer, made) == ["d<eos>"]
    assert tokenizer.decode(made.input_ids[0]) == "the answer is the good<eos>"


def test_an_answer_that_is_tokenised_apart_gets_no_space_of_its_own(spaced_tokenizer) -> None:
    tokenizer = spaced_tokenizer()
    made = render(tokenizer, rows(("to", "o"), form="prompt_completion"), NO_TEMPLATE)
    assert made.rejoined == (50,)
    assert tokenizer.decode(made.input_ids[0], skip_special_tokens=True) == "too"


def test_a_token_that_begins_before_an_earlier_answer_is_not_learnt(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer()
    text = "{% for m in messages %}{{ 'the goo' if m['role'] == 'assistant' }}{{ m['content'] + eos_token }}{% endfor %}" + (
        "{% if add_generation_prompt %}{{ 'the goo' }}{% endif %}"
    )
    made = render(tokenizer, rows(("a", "d so", "b", "d so")), Template("tokenizer", text, "tokenizer"))
    assert learnt(tokenizer, made) == [" so<eos>", "d so<eos>"]
    assert made.rejoined == (50,)


LONG = "good " * 40


def test_long_conversations(tokenizer) -> None:
    found = rows(TALK, (LONG, "yes", "so?", "no"), ("so?", LONG))
    lengths = [len(ids) for ids in render(tokenizer, found, OWN).input_ids]
    targets = [int((labels != IGNORE_INDEX).sum()) for labels in render(tokenizer, found, OWN).labels]
    limit = lengths[0] + 2
    dropped = render(tokenizer, found, OWN, limit)
    assert dropped.dropped == {f"longer than {limit} tokens": (51, 52)}
    assert dropped.target_tokens_lost == targets[1] + targets[2]
    with pytest.raises(DataError, match=f"2 of 3 rows are longer than {limit} tokens: rows 51, 52"):
        render(tokenizer, found, OWN, limit, long_rows="error")
    with pytest.raises(RecipeError, match="conversation in pieces has answers without questions"):
        render(tokenizer, found, OWN, limit, long_rows="split")
    cut = render(tokenizer, found, OWN, limit, long_rows="truncate")
    assert (cut.row_ids, cut.cut) == ((50, 51), (51,))
    assert cut.dropped == {f"whose answer leaves no room for its question in {limit} tokens": (52,)}
    assert len(cut.input_ids[1]) == limit
    assert learnt(tokenizer, cut, 1) == ["yes<|im_end|>", "no<|im_end|>"]
    assert cut.target_tokens_lost == targets[2]
    assert cut.without_end == ()


def test_an_earlier_answer_that_lost_its_beginning_is_not_learnt(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer(bos="<bos>", adds_bos=True)
    found = rows(("a", LONG, "so?", "no"))
    template = choose_template(tokenizer, None, found)
    made = render(tokenizer, found, template, 30, long_rows="truncate")
    assert made.input_ids[0][0] == tokenizer.bos_token_id
    assert len(made.input_ids[0]) == 30
    assert learnt(tokenizer, made) == [" no<eos>"]
    whole = render(tokenizer, found, template)
    assert made.target_tokens_lost == whole.target_tokens - made.target_tokens > 25


def test_a_row_whose_answer_is_wholly_too_long_leaves_a_message(tokenizer) -> None:
    with pytest.raises(
        DataError, match=r"none of 1 row of train can be trained on .*answer leaves no room for its question in 12 tokens"
    ) as error:
        render(tokenizer, rows(("so?", LONG)), OWN, 12, long_rows="truncate")
    assert "data.max_length" in error.value.problems[0].remedy


def test_long_texts(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer(bos="<bos>", adds_bos=True)
    found = texts("a", LONG)
    n = len(tokenizer(LONG, add_special_tokens=False)["input_ids"])
    split = render(tokenizer, found, NO_TEMPLATE, 12)
    assert split.divided == (51,)
    assert set(split.row_ids[1:]) == {51}
    pieces = [token for ids in split.input_ids[1:] for token in ids[1:].tolist()]
    assert pieces == [*tokenizer(LONG, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    assert all(ids[0] == tokenizer.bos_token_id and len(ids) <= 12 for ids in split.input_ids)
    assert split.target_tokens == n + 1 + 2
    cut = render(tokenizer, found, NO_TEMPLATE, 12, long_rows="truncate")
    assert (cut.cut, cut.target_tokens_lost) == ((51,), n + 1 - 11)
    assert cut.input_ids[1][-1] != tokenizer.eos_token_id  # a text that was cut does not end
    assert render(tokenizer, found, NO_TEMPLATE, 12, long_rows="drop").dropped == {"longer than 12 tokens": (51,)}
    with pytest.raises(RecipeError, match="leaves no room"):
        render(tokenizer, found, NO_TEMPLATE, 1)
    with pytest.raises(RecipeError, match="plain texts have no answers"):
        render(tokenizer, found, NO_TEMPLATE, 12, "completion")


@given(n=st.integers(1, 400), n_free=st.integers(1, 50))
def test_windows_cover_all_and_leave_no_stump(n: int, n_free: int) -> None:
    found = windows(n, n_free)
    assert [i for first, last in found for i in range(first, last)] == list(range(n))
    sizes = [last - first for first, last in found]
    assert max(sizes) <= n_free
    assert all(size == n_free for size in sizes[:-2])
    assert len(sizes) == 1 or sizes[-2] - sizes[-1] in (0, 1)


def test_texts_of_a_masked_model_stand_between_its_marks(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    made = render(tokenizer, texts("good film " * 10), NO_TEMPLATE, 12, masked=True)
    assert [len(ids) for ids in made.input_ids] == [12, 12]
    for ids, labels in zip(made.input_ids, made.labels, strict=True):
        assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
        assert (labels[[0, -1]] == IGNORE_INDEX).all()
        assert (labels[1:-1] == ids[1:-1]).all()
    assert made.end_ids == ()


def test_a_template_must_be_given_to_the_tokenizer_first(byte_tokenizer) -> None:
    tokenizer = byte_tokenizer()
    template = choose_template(tokenizer, "chatml", rows(TALK))
    with pytest.raises(ValueError, match=r"lacks \['<|im_start|>'"):
        render(tokenizer, rows(TALK), template)
    adopt_template(tokenizer, template)
    assert learnt(tokenizer, render(tokenizer, rows(TALK), template)) == ["it is me<|im_end|>", "no<|im_end|>"]
