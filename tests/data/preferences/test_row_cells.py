"""Which answer is the better one in rows as published data sets and other tools have them; which are asked about instead."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.data.preferences.test_formats import MESSAGES, table_of
from tests.data.preferences.test_pairs import answers, pairs_of, read
from tunesmith.data.preferences.rows import JudgedAnswers
from tunesmith.errors import DataError

ASKED = {"role": "user", "content": "Which boats?"}
GOOD, BAD = ({"role": "assistant", "content": text} for text in ("good", "bad"))
AB, BA = ("good", "bad"), ("bad", "good")


def two(first: str, second: str, answers: tuple[str, str]) -> dict[str, Any]:
    return dict(zip((first, second), answers, strict=True))


def summaries(order: tuple[str, str], choice: int) -> dict[str, Any]:
    info = {"id": "t1", "post": "Which boats?", "title": "t", "article": None}
    return {"info": info, "summaries": [{"text": text, "note": "n"} for text in order], "choice": choice}


def webgpt(order: tuple[str, str], score: float) -> dict[str, Any]:
    question = {"dataset": "eli5", "id": "1", "full_text": "Which boats?"}
    return {"question": question, **two("answer_0", "answer_1", order), "score_0": score, "score_1": -score}


def arena(order: tuple[str, str], *winner: int) -> dict[str, Any]:
    lists = {name: json.dumps([text]) for name, text in zip("ab", order, strict=True)}
    names = ("winner_model_a", "winner_model_b", "winner_tie")
    return {
        "prompt": '["Which boats?"]',
        "response_a": lists["a"],
        "response_b": lists["b"],
        **dict(zip(names, winner, strict=True)),
    }


SHARED: dict[str, Any] = {"prompt": "Which boats?"}
DATA_SETS: dict[str, list[dict[str, Any]]] = {
    "UltraFeedback binarized": [
        {**SHARED, "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD], "messages": [ASKED, GOOD], "score_chosen": 8.0}
    ],
    "SHP": [
        {"history": "Which boats?", **two("human_ref_A", "human_ref_B", AB), "labels": 1, "score_A": 9, "score_B": 3},
        {"history": "Which boats?", **two("human_ref_A", "human_ref_B", BA), "labels": 0, "score_A": 2, "score_B": 4},
    ],
    "WebGPT": [webgpt(AB, 0.5), webgpt(BA, -0.5)],
    "summaries": [summaries(AB, 0), summaries(BA, 1)],
    "arena 55k": [arena(AB, 1, 0, 0), arena(BA, 0, 1, 0), arena(AB, 0, 0, 1)],
    "HelpSteer3": [
        {"context": [ASKED], **two("response1", "response2", AB), "overall_preference": -2},
        {"context": [ASKED], **two("response1", "response2", BA), "overall_preference": 1},
        {"context": [ASKED], **two("response1", "response2", BA), "overall_preference": 0},
    ],
    "HelpSteer2": [
        {**SHARED, **two("response_1", "response_2", AB), "preference_strength": -1},
        {**SHARED, **two("response_1", "response_2", BA), "preference_strength": 3},
    ],
    "stack-exchange-paired": [{"question": "Which boats?", "response_j": "good", "response_k": "bad"}],
    "LLaMA-Factory": [
        {
            "conversations": [{"from": "human", "value": "Which boats?"}],
            "chosen": {"from": "gpt", "value": "good"},
            "rejected": {"from": "gpt", "value": "bad"},
        }
    ],
    "Axolotl": [{"messages": [ASKED], "chosen": GOOD, "rejected": BAD}],
    "OpenAI": [{"input": {"messages": [ASKED], "tools": []}, "preferred_output": [GOOD], "non_preferred_output": [BAD]}],
    "ranks, an answer a row": [
        {**SHARED, "response": "good", "rank": 1},
        {**SHARED, "response": "bad", "rank": 2},
    ],
}


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_better_answer_of_published_data_sets_is_chosen(name: str) -> None:
    rows = pairs_of(*DATA_SETS[name])
    assert set(answers(rows)) == {("good", "bad")}
    assert {tuple(turn.content for turn in prompt) for prompt in rows.prompts} == {("Which boats?",)}
    assert len(rows) + sum(rows.dropped.values()) in (len(DATA_SETS[name]), 1)


def test_judged_conversations_are_split_at_their_last_answer() -> None:
    rows = read(*[{"messages": [ASKED, answer], "kto_tag": answer is GOOD} for answer in (GOOD, BAD)])
    assert isinstance(rows, JudgedAnswers)
    assert [(prompt[0].content, answer[0].content) for prompt, answer in zip(rows.prompts, rows.answers, strict=True)] == [
        ("Which boats?", "good"), ("Which boats?", "bad"),
    ]  # fmt: skip
    assert rows.desirable == (True, False)


def test_strengths_without_a_negative_one_may_be_numbers_of_answers_and_are_asked_about() -> None:
    rows = [{"context": [ASKED], **two("response1", "response2", BA), "overall_preference": strength} for strength in (1, 2)]
    with pytest.raises(DataError, match="should say which of two answers is better, and holds 1, 2"):
        pairs_of(*rows)
    assert answers(pairs_of(*rows, labels={"1": "response2", "2": "response2"})) == [("good", "bad")] * 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**SHARED, "responses": ["bad", "good"], "best": 1}, "counted from 0, and holds no 0"),
        ({**SHARED, "chosen": ["good"], "rejected": ["bad"]}, "chosen, rejected hold neither texts nor messages"),
        (arena(AB, 1, 0, 0) | {"winner_model_a": 3}, "holds 3 and 0"),
    ],
)
def test_what_is_not_sure_is_asked_about(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        pairs_of(row, row)


def test_the_notes_say_which_answer_each_judgement_means() -> None:
    from tunesmith.data.preferences.formats import detect_preference_format
    from tunesmith.data.preferences.pairs import usable_preferences
    from tunesmith.recipe.sections import ColumnsSection

    table, notes = table_of(*({**SHARED, "response_0": "a", "response_1": "b", "better_response_id": k} for k in (1, 1, 0))), []
    usable_preferences(table, detect_preference_format(table, ColumnsSection()), "train", labels={}, group=None, notes=notes)
    assert "1 (2 rows) means that response_1 is better, 0 (1 row) means that response_0 is better" in notes[0]


def test_an_instruction_is_read_with_its_input() -> None:
    row = {"instruction": "Summarise.", "input": "Boats float.", "output_1": "good", "output_2": "bad", "preference": 1}
    assert "Boats float." in pairs_of(row).prompts[0][0].content
    assert pairs_of({**row, "input": ""}).prompts[0][0].content == "Summarise."


def test_a_dialogue_beside_its_prompt_is_split_at_its_last_answer() -> None:
    go_on = [MESSAGES[1], {"role": "user", "content": "More."}]
    system = {"role": "system", "content": "Be kind."}
    row = {"prompt": "Which boats?", "chosen": [ASKED, *go_on, GOOD], "rejected": [ASKED, *go_on, BAD]}
    for rows in (pairs_of(row), pairs_of({name: cells[1:] if name != "prompt" else cells for name, cells in row.items()})):
        assert [turn.content for turn in rows.prompts[0]] == ["Which boats?", "hello", "More."]
        assert answers(rows) == [("good", "bad")]
    with_system = pairs_of({**SHARED, "chosen": [system, ASKED, GOOD], "rejected": [system, ASKED, BAD]})
    assert [turn.role for turn in with_system.prompts[0]] == ["system", "user"]
    history = pairs_of(
        {**SHARED, "system": "Be kind.", "history": [["a", "b"]], "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}
    )
    assert [turn.role for turn in history.prompts[0]] == ["system", "user", "assistant", "user"]
    other = {"prompt": "Another?", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}
    assert sum(pairs_of(row, other).dropped.values()) == 1


def test_a_prompt_that_one_side_repeats_is_left_out_of_it() -> None:
    rows = [{"prompt": f"Why {i}?", "chosen": f"Why {i}? Since.", "rejected": "No."} for i in range(3)]
    assert answers(pairs_of(*rows)) == [("Since.", "No.")] * 3
    judged = read(*[{"prompt": row["prompt"], "completion": row["chosen"], "label": i > 0} for i, row in enumerate(rows)])
    assert isinstance(judged, JudgedAnswers)
    assert {answer[0].content for answer in judged.answers} == {"Since."}


def test_tools_stand_on_the_prompt() -> None:
    tools = [{"type": "function", "function": {"name": "search"}}]
    assert pairs_of({**SHARED, "chosen": "good", "rejected": "bad", "tools": tools}).prompts[0][0].extra["tools"] == tools
