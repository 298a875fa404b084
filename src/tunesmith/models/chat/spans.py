"""Renders conversations as text by a chat template, and finds the span of each answer.

Answers are found without markers in the template: the text rendered for the turns before an answer, with a generation prompt,
must be a prefix of the whole text, and the text rendered for the turns up to the answer must continue it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tunesmith.data.chat.messages import CALLS, REASONING, TOOLS, Turn, json_of, tools_of
from tunesmith.models.chat.control_tokens import replace_control_tokens
from tunesmith.models.chat.template import Template, end_token, template_errors, to_messages
from tunesmith.models.chat.time_limit import within_time

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LossOn = Literal["completion", "assistant", "all"]

# Reasons for dropped rows, which are keys in result.json.
REFUSED = "refused by the chat template: {}"
OTHER_PROMPT = "whose prompt at inference is not how their training text begins"
CHANGED = "whose earlier answers the chat template changes when turns follow"
NO_END = "whose answer the chat template does not end with a special token"
SILENT_CALL = "with a message of tool calls alone, which the chat template does not write"
LOST = "whose question or answer the chat template does not write"
EXTRAS = ((TOOLS,), (CALLS,), REASONING)
"""Groups of keys that are reported if the template does not write them."""
SEEN_CHARACTERS = 20
"""Last characters of a content that must be in the text: templates remove thoughts and white space from its start."""


@dataclass(frozen=True)
class Refusal:
    """The reason that a conversation cannot be rendered, the same for all rows of one kind, and details of this row."""

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class RenderedChat:
    """A conversation rendered as text.

    Attributes:
        answers: (first character, character after the end-of-turn token) of each supervised answer, in order; the last is that
            of the last turn.
    """

    text: str
    answers: tuple[tuple[int, int], ...]

    @property
    def prompt(self) -> str:
        """The text before the last answer, which is the prompt at inference."""
        return self.text[: self.answers[-1][0]]


def render_chats(
    tokenizer: PreTrainedTokenizerBase, template: Template, conversations: Sequence[Sequence[Turn]], loss_on: LossOn
) -> list[RenderedChat | Refusal]:
    """Renders each conversation, or returns the reason that it cannot be rendered. The last turn must be an answer.

    Args:
        loss_on: with ``assistant`` every answer to something is located, else only the last.
    """
    conversations = replace_control_tokens(tokenizer, conversations)
    if template.source == "none":
        end = end_token(tokenizer)
        chats: list[RenderedChat | Refusal] = [join_turns(turns, end) for turns in conversations]
    else:
        chats = templated_chats(tokenizer, template, conversations, loss_on)
    silent = silent_calls(tokenizer, template, conversations)
    return [Refusal(SILENT_CALL) if position in silent else chat for position, chat in enumerate(chats)]


def templated_chats(
    tokenizer: PreTrainedTokenizerBase, template: Template, conversations: Sequence[Sequence[Turn]], loss_on: LossOn
) -> list[RenderedChat | Refusal]:
    """Renders each conversation by the template, and locates its answers."""
    wholes = apply_template(tokenizer, template, conversations)
    prompts = apply_template(tokenizer, template, [turns[:-1] for turns in conversations], as_prompt=True)
    ends = tuple(tokenizer.added_tokens_encoder)  # computed anew at each access
    chats: list[RenderedChat | Refusal] = []
    for turns, whole, prompt in zip(conversations, wholes, prompts, strict=True):
        earlier = earlier_answers(turns) if loss_on == "assistant" else []
        if isinstance(whole, Refusal) or isinstance(prompt, Refusal):
            chats.append(whole if isinstance(whole, Refusal) else prompt)  # type: ignore[arg-type]
        elif len(turns) == 1 and not prompt:
            chats.append(Refusal(OTHER_PROMPT))
        else:
            chats.append(locate_answers(tokenizer, template, turns, whole, earlier=earlier, last_prompt=prompt, ends=ends))
    return chats


def silent_calls(tokenizer: PreTrainedTokenizerBase, template: Template, conversations: Sequence[Sequence[Turn]]) -> set[int]:
    """Returns the positions of conversations with a turn of calls alone that the template leaves empty."""
    calls = [i for i, turns in enumerate(conversations) if any(turn.is_call_alone for turn in turns)]
    keys = unwritten_keys(tokenizer, template, [conversations[i] for i in calls])
    return {i for i, unwritten in zip(calls, keys, strict=True) if CALLS in unwritten}


def unwritten_keys(
    tokenizer: PreTrainedTokenizerBase, template: Template, conversations: Sequence[Sequence[Turn]]
) -> list[tuple[str, ...]]:
    """Returns the names of thoughts, calls and tools without which the text of a conversation is the same (N)."""
    removals = [(i, names) for i, turns in enumerate(conversations) for names in EXTRAS if carried_key(turns, names)]
    if template.source == "none":
        is_same = [True] * len(removals)
    else:
        wholes = apply_template(tokenizer, template, [conversations[i] for i, _ in removals])
        rest = apply_template(tokenizer, template, [without_keys(conversations[i], names) for i, names in removals])
        is_same = [not isinstance(text, Refusal) and text == other for text, other in zip(wholes, rest, strict=True)]
    unwritten: list[tuple[str, ...]] = [()] * len(conversations)
    for (i, names), same in zip(removals, is_same, strict=True):
        unwritten[i] += (carried_key(conversations[i], names),) if same else ()
    return unwritten


def carried_key(turns: Sequence[Turn], names: Sequence[str]) -> str:
    """Returns the first of these keys that a turn carries; empty if none does."""
    return next((name for turn in turns for name in names if name in turn.extra), "")


def without_keys(turns: Sequence[Turn], names: Sequence[str]) -> tuple[Turn, ...]:
    return tuple(replace(turn, extra={key: value for key, value in turn.extra.items() if key not in names}) for turn in turns)


def join_turns(turns: Sequence[Turn], end: str) -> RenderedChat:
    """Concatenates the contents and the end-of-text token.

    Spaces at the end of the prompt belong to the answer: tokenizers join a space with the word that follows it, so a prompt that
    ends with one would never be a prefix of the tokens.
    """
    text = "".join(turn.content for turn in turns)
    start = len(text[: len(text) - len(turns[-1].content)].rstrip(" "))
    return RenderedChat(text + end, ((start, len(text) + len(end)),))


def earlier_answers(turns: Sequence[Turn]) -> list[int]:
    """Returns indices of the supervised turns of the assistant before the last that answer something; a greeting does not."""
    first = next((k for k, turn in enumerate(turns) if turn.role in ("user", "tool")), len(turns))
    return [k for k, turn in enumerate(turns[:-1]) if turn.role == "assistant" and turn.is_supervised and k > first]


def apply_template(
    tokenizer: PreTrainedTokenizerBase, template: Template, conversations: Sequence[Sequence[Turn]], as_prompt: bool = False
) -> list[str | Refusal]:
    """Applies the template to each conversation, with a generation prompt if ``as_prompt``; a refusal quotes its error."""
    if not conversations:
        return []
    if not all(conversations):  # upstream takes no empty conversation; its prompt is the empty text
        chunks = [apply_template(tokenizer, template, [turns], as_prompt) if turns else [""] for turns in conversations]
        return [text for chunk in chunks for text in chunk]
    groups: dict[str, list[int]] = {}
    for position, turns in enumerate(conversations):
        groups.setdefault(json_of(tools_of(turns)), []).append(position)
    if len(groups) > 1:  # upstream takes one list of tools a call
        texts: dict[int, str | Refusal] = {}
        for positions in groups.values():
            rows = [conversations[position] for position in positions]
            texts |= dict(zip(positions, apply_template(tokenizer, template, rows, as_prompt), strict=True))
        return [texts[position] for position in range(len(conversations))]
    messages, tools = [to_messages(turns) for turns in conversations], tools_of(conversations[0])
    options = {"chat_template": template.text, "tools": tools, "tokenize": False, "add_generation_prompt": as_prompt}
    try:
        where, n_rows = f"chat template {template.name}", len(conversations)
        return list(within_time(lambda: tokenizer.apply_chat_template(messages, **options), where, n_rows))
    except template_errors() as error:
        if len(conversations) == 1:
            return [Refusal(REFUSED.format(" ".join(str(error).split()).rstrip(".")))]
    half = len(conversations) // 2
    parts = (conversations[:half], conversations[half:])
    return [text for part in parts for text in apply_template(tokenizer, template, part, as_prompt)]


def locate_answers(
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    turns: Sequence[Turn],
    whole: str,
    *,
    earlier: Sequence[int],
    last_prompt: str,
    ends: tuple[str, ...],
) -> RenderedChat | Refusal:
    """Finds the spans of earlier answers and of the last turn in the whole text; each has to end with one of ``ends``."""
    last = len(turns) - 1
    spans: list[tuple[int, int]] = []
    for k in (*earlier, last):
        prompt = last_prompt if k == last else apply_template(tokenizer, template, [turns[:k]], as_prompt=True)[0]
        so_far = whole if k == last else apply_template(tokenizer, template, [turns[: k + 1]])[0]
        if isinstance(prompt, Refusal) or isinstance(so_far, Refusal):
            return Refusal(CHANGED, "it refuses the turns up to an earlier answer")
        if not whole.startswith(prompt):
            return Refusal(OTHER_PROMPT if k == last else CHANGED, describe_difference(prompt, whole))
        stop = common_prefix(so_far.rstrip(), whole)
        answer = whole[len(prompt) : stop]
        end = answer_end(answer, turns[k].content.strip(), ends)
        is_written = contains_turn(answer, turns[k]) and all(contains_turn(prompt, t) for t in turns[:k] if t.role == "user")
        if end is None or not is_written:
            if k != last and stop < len(so_far.rstrip()):
                return Refusal(CHANGED, describe_difference(so_far, whole))
            return Refusal(LOST, repr(whole[-80:])) if not is_written else Refusal(NO_END, repr(answer[-40:]))
        spans.append((len(prompt), len(prompt) + end))
    return RenderedChat(whole, tuple(spans))


def contains_turn(text: str, turn: Turn) -> bool:
    """Returns True if the text has the end of the turn's content. A template for images and texts writes no plain text."""
    return turn.content.strip()[-SEEN_CHARACTERS:] in text


def answer_end(answer: str, content: str, ends: tuple[str, ...]) -> int | None:
    """Returns the end of an answer: after the last special token that follows its content; None if there is none."""
    closed = answer.rstrip()
    if closed.endswith(ends):
        return len(closed)
    after = closed.find(content) + len(content) if content in closed else len(closed)
    places = [match.end() for match in re.finditer("|".join(map(re.escape, ends)), closed) if match.start() >= after]
    return places[-1] if places else None


def common_prefix(text: str, whole: str) -> int:
    """Returns the length of the common prefix of two texts, by bisection."""
    if whole.startswith(text):
        return len(text)
    low, high = 0, min(len(text), len(whole))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text[:middle] == whole[:middle] else (low, middle - 1)
    return low


def describe_difference(text: str, whole: str) -> str:
    """Quotes the first difference of two texts, for a message."""
    at = common_prefix(text, whole)
    before, one, other = whole[max(0, at - 30) : at], text[at : at + 30], whole[at : at + 30]
    return f"after {before!r} one goes on with {one!r}, the other with {other!r}"
