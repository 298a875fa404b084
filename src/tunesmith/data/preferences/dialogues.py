"""Reads prompts and answers, and splits dialogues into a prompt and the last answer."""

from __future__ import annotations

from tunesmith.data.chat.formats import DIALOGUE_TURN, message_kind, parse_messages
from tunesmith.data.chat.messages import (
    NotUsable,
    Turn,
    Turns,
    dialogue_turns,
    message_turns,
    text_of,
    tools_of,
    with_tools,
)


def prompt_turns(cell: object) -> Turns:
    """Reads a prompt: a list of messages, a dialogue that is one text, or one turn of the user.

    An empty turn of the assistant at its end, which only asks for the answer, is left out.
    """
    messages = parse_messages(cell)
    if message_kind(messages) is not None:
        turns = message_turns(messages)
    else:
        text = text_of(cell)
        turns = dialogue_turns(text) if DIALOGUE_TURN.match(text) else (Turn("user", text),)
    return turns[:-1] if turns and turns[-1].role == "assistant" and turns[-1].is_empty else turns


def answer_turns(cell: object, prompt: Turns) -> Turns:
    """Reads an answer to a prompt: a text, or a list of messages, which may repeat the prompt.

    Raises NotUsable if messages do not end with the assistant's, or if what precedes the answer is not the prompt.
    """
    messages = parse_messages(cell)
    if message_kind(messages) is None:
        return (Turn("assistant", text_of(cell)),)
    turns = message_turns(messages)
    if turns[-1].role != "assistant":
        raise NotUsable(NOT_ANSWERED)
    if len(turns) > len(prompt) and same_turns(turns[: len(prompt)], prompt):
        turns = turns[len(prompt) :]
    if turns[0].role in ("user", "system"):
        raise NotUsable(OTHER_PROMPT)
    return turns


def split_answer(cell: object, prompt: Turns) -> tuple[Turns, Turns]:
    """Splits an answer to a prompt at the last turn of the user or the system, all before which belongs to the prompt.

    Messages may be the whole dialogue, with the turns of the prompt in it, or go on after the prompt. Raises NotUsable if they
    do not end with the assistant's turn, or if they are a dialogue that does not hold the end of the prompt.
    """
    messages = parse_messages(cell)
    if message_kind(messages) is None:
        return prompt, (Turn("assistant", text_of(cell)),)
    turns = message_turns(messages)
    if turns[-1].role != "assistant":
        raise NotUsable(NOT_ANSWERED)
    start = 1 + max((k for k, turn in enumerate(turns) if turn.role in ("user", "system")), default=-1)
    asked, answer = turns[:start], turns[start:]
    if not asked or same_turns(asked, prompt[-start:]):
        return prompt, answer
    if turns[0].role not in ("user", "system"):
        return (*prompt, *asked), answer
    if not any(same_turns((turn,), prompt[-1:]) for turn in asked):
        raise NotUsable(OTHER_PROMPT)
    own = asked if asked[0].role == "system" or prompt[0].role != "system" else (prompt[0], *asked)
    return with_tools(own, tools_of(prompt)), answer


NOT_ANSWERED = "whose last turn is not the assistant's"
OTHER_PROMPT = "with an answer whose messages begin with another prompt"


def same_turns(first: Turns, second: Turns) -> bool:
    """Tells whether two lists of turns have the same roles and contents, but for the white space around them."""
    return [(turn.role, turn.content.strip()) for turn in first] == [(turn.role, turn.content.strip()) for turn in second]


def split_dialogue(cell: object, *, is_dialogue: bool) -> tuple[Turns, Turns]:
    """Splits a whole dialogue into its prompt and the turns of its last answer: at the last turn of the assistant.

    A common prefix of two dialogues would eat the beginning of both answers where they begin alike.

    Args:
        is_dialogue: whether the texts of the column are dialogues; else a text is an answer without a prompt.

    Raises NotUsable if a dialogue does not end with the assistant's turn.
    """
    messages = parse_messages(cell)
    if message_kind(messages) is not None:
        turns = message_turns(messages)
    elif is_dialogue:
        turns = dialogue_turns(text_of(cell))
    else:
        return (), (Turn("assistant", text_of(cell)),)
    if turns[-1].role != "assistant":
        raise NotUsable(NOT_ANSWERED)
    return turns[:-1], turns[-1:]
