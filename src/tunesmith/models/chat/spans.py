"""Conversations as the text a model reads: the whole of it, what stands before each answer, and where each answer ends.

Answers are found without the template's help: what it writes for the turns before an answer, asked to go on, must be how the
whole begins, and what it writes for the turns up to it must be how the whole goes on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tunesmith.data.chat.rows import Turn
from tunesmith.models.chat.template import Template, end_token, messages_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LossOn = Literal["completion", "assistant", "all"]

REFUSED = "refused by the chat template: {}"
OTHER_PROMPT = "whose prompt at inference is not how their training text begins"
CHANGED = "whose earlier answers the chat template changes when turns follow"
NO_END = "whose answer the chat template does not end with a special token"
LOST = "whose question or answer the chat template does not write"
SEEN_CHARACTERS = 20
"""So much of the end of a content must stand in the text: templates take thoughts and white space off its beginning."""


@dataclass(frozen=True)
class Refusal:
    """Why a conversation cannot be written.

    Attributes:
        reason: the same for all rows of one kind.
        detail: of this row, where there is more to say.
    """

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Written:
    """A conversation as text.

    Attributes:
        answers: (first character, character after the end-of-turn token) of each answer that is learnt, in order; the last is
            that of the last turn.
    """

    text: str
    answers: tuple[tuple[int, int], ...]

    @property
    def prompt(self) -> str:
        """What stands before the last answer: the prompt at inference."""
        return self.text[: self.answers[-1][0]]


def write(
    tokenizer: PreTrainedTokenizerBase, template: Template, conversations: Sequence[Sequence[Turn]], loss_on: LossOn
) -> list[Written | Refusal]:
    """Each conversation as text, or why it cannot be. The last turn is an answer.

    Args:
        loss_on: with ``assistant`` every answer to something is found, else only the last.
    """
    if template.source == "none":
        end = end_token(tokenizer)
        return [joined(turns, end) for turns in conversations]
    wholes = rendered(tokenizer, template, conversations)
    prompts = rendered(tokenizer, template, [turns[:-1] for turns in conversations], as_prompt=True)
    ends = tuple(tokenizer.added_tokens_encoder)
    found: list[Written | Refusal] = []
    for turns, whole, prompt in zip(conversations, wholes, prompts, strict=True):
        earlier = earlier_answers(turns) if loss_on == "assistant" else ()
        if isinstance(whole, Refusal) or isinstance(prompt, Refusal):
            found.append(whole if isinstance(whole, Refusal) else prompt)  # type: ignore[arg-type]
        elif len(turns) == 1 and not prompt:
            found.append(Refusal(OTHER_PROMPT))
        else:
            found.append(placed(tokenizer, template, turns, whole, [*earlier, len(turns) - 1], prompt, ends))
    return found


def joined(turns: Sequence[Turn], end: str) -> Written:
    """The contents one after the other, and the end-of-text token.

    Spaces at the end of the prompt belong to the answer: tokenizers join a space with the word that follows it, so a prompt that
    ends with one is never how a text begins.
    """
    text = "".join(turn.content for turn in turns)
    start = len(text[: len(text) - len(turns[-1].content)].rstrip(" "))
    return Written(text + end, ((start, len(text) + len(end)),))


def earlier_answers(turns: Sequence[Turn]) -> list[int]:
    """The places of the assistant's turns before the last that answer something; a greeting before any question does not."""
    first = next((k for k, turn in enumerate(turns) if turn.role in ("user", "tool")), len(turns))
    return [k for k, turn in enumerate(turns[:-1]) if turn.role == "assistant" and k > first]


def rendered(
    tokenizer: PreTrainedTokenizerBase, template: Template, conversations: Sequence[Sequence[Turn]], as_prompt: bool = False
) -> list[str | Refusal]:
    """What the template writes for each conversation; where it refuses one, its own words.

    Args:
        as_prompt: ends with what asks the model to go on.
    """
    import jinja2

    if not conversations:
        return []
    if not all(conversations):
        # upstream knows no empty conversation: nothing said so far is an empty prompt
        return [one for turns in conversations for one in (rendered(tokenizer, template, [turns], as_prompt) if turns else [""])]
    try:
        return list(
            tokenizer.apply_chat_template(
                [messages_of(turns) for turns in conversations], chat_template=template.text, tokenize=False,
                add_generation_prompt=as_prompt,
            )
        )  # fmt: skip
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        if len(conversations) == 1:
            return [Refusal(REFUSED.format(" ".join(str(error).split()).rstrip(".")))]
    half = len(conversations) // 2
    return [
        *rendered(tokenizer, template, conversations[:half], as_prompt),
        *rendered(tokenizer, template, conversations[half:], as_prompt),
    ]


def placed(
    tokenizer: PreTrainedTokenizerBase, template: Template, turns: Sequence[Turn], whole: str, places: Sequence[int],
    last_prompt: str, ends: tuple[str, ...],
) -> Written | Refusal:  # fmt: skip
    """The whole with the answers at those places of the turns."""
    spans: list[tuple[int, int]] = []
    for k in places:
        is_last = k == len(turns) - 1
        prompt = last_prompt if is_last else rendered(tokenizer, template, [turns[:k]], as_prompt=True)[0]
        so_far = whole if is_last else rendered(tokenizer, template, [turns[: k + 1]])[0]
        if isinstance(prompt, Refusal) or isinstance(so_far, Refusal):
            return Refusal(CHANGED, "it refuses the turns up to an earlier answer")
        if not whole.startswith(prompt):
            return Refusal(OTHER_PROMPT if is_last else CHANGED, parting(prompt, whole))
        stop = agreement(so_far.rstrip(), whole)
        answer = whole[len(prompt) : stop]
        end = answer_end(answer, turns[k].content.strip(), ends)
        is_said = is_written(turns[k], answer) and all(is_written(turn, prompt) for turn in turns[:k] if turn.role == "user")
        if end is None or not is_said:
            if not is_last and stop < len(so_far.rstrip()):
                return Refusal(CHANGED, parting(so_far, whole))
            return Refusal(LOST, repr(whole[-80:])) if not is_said else Refusal(NO_END, repr(answer[-40:]))
        spans.append((len(prompt), len(prompt) + end))
    return Written(whole, tuple(spans))


def is_written(turn: Turn, text: str) -> bool:
    """Whether the end of what is said stands in the text. A template for images and texts writes nothing of a plain text."""
    return turn.content.strip()[-SEEN_CHARACTERS:] in text


def answer_end(answer: str, content: str, ends: tuple[str, ...]) -> int | None:
    """Where an answer ends: after the last special token that follows its content; None where there is none."""
    closed = answer.rstrip()
    if closed.endswith(ends):
        return len(closed)
    after = closed.find(content) + len(content) if content in closed else len(closed)
    places = [found.end() for found in re.finditer("|".join(map(re.escape, ends)), closed) if found.start() >= after]
    return places[-1] if places else None


def agreement(text: str, whole: str) -> int:
    """How many characters two texts have in common at their beginnings."""
    if whole.startswith(text):
        return len(text)
    low, high = 0, min(len(text), len(whole))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text[:middle] == whole[:middle] else (low, middle - 1)
    return low


def parting(text: str, whole: str) -> str:
    """Where two texts part, for a message."""
    at = agreement(text, whole)
    return (
        f"after {whole[max(0, at - 30) : at]!r} one goes on with {text[at : at + 30]!r}, the other with {whole[at : at + 30]!r}"
    )
