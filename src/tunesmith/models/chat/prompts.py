"""What a model is given to answer, and the proof that it is what training showed it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.cells import listed
from tunesmith.data.chat.rows import Conversations, Turn
from tunesmith.errors import DataError
from tunesmith.models.chat.render import render, tokenised
from tunesmith.models.chat.spans import LossOn, Refusal, earlier_answers, joined, rendered, write
from tunesmith.models.chat.template import Template, edges, messages_of
from tunesmith.models.chat.truncation import NOT_LEARNT, Ids
from tunesmith.results import Certificate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BETWEEN_EXAMPLES = "\n\n"
PROVED_ROWS = 512


def prompt_ids(tokenizer: PreTrainedTokenizerBase, template: Template, turns: Sequence[Turn]) -> list[int]:
    """The token ids before the last answer, and what asks for one; all turns where the last is not the assistant's.

    Raises:
        DataError: the template refuses the turns.
    """
    asked = turns[:-1] if turns[-1].role == "assistant" else turns
    if template.source == "none":
        return plain_ids(tokenizer, prompt_text(asked))
    return written_ids(tokenizer, template, asked)


def answer_ids(tokenizer: PreTrainedTokenizerBase, template: Template, turns: Sequence[Turn]) -> list[int]:
    """The token ids of the last turn as training has them after ``prompt_ids``, with the end-of-turn token.

    Raises:
        DataError: the template refuses the turns, or does not write them as it asks for them.
    """
    found = write(tokenizer, template, [turns], "completion")[0]
    if isinstance(found, Refusal):
        raise DataError.one("", f"The turns are turns {found.reason}.", "Give them in the order that the template knows.")
    row = tokenised(tokenizer, [found], [], "completion")[0]
    ids: list[int] = row.labels[row.labels != NOT_LEARNT].tolist()
    return ids


def prompt_text(asked: Sequence[Turn]) -> str:
    """The contents one after the other, as training has them before an answer."""
    return joined([*asked, Turn("assistant", "")], "").prompt


def plain_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The tokens of a text that goes on: with what the tokenizer puts before texts, and nothing after it."""
    return [*edges(tokenizer)[0], *tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]


def written_ids(tokenizer: PreTrainedTokenizerBase, template: Template, asked: Sequence[Turn]) -> list[int]:
    text = rendered(tokenizer, template, [asked], as_prompt=True)[0]
    if isinstance(text, Refusal):
        raise DataError.one("", f"The turns are {text.reason}.", "Give them in the order that the template knows.")
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def few_shot_ids(
    tokenizer: PreTrainedTokenizerBase, template: Template, examples: Sequence[Sequence[Turn]], turns: Sequence[Turn]
) -> list[int]:
    """The prompt of ``turns`` after those examples with their answers, for a model that has learnt nothing of the task.

    With a template all are one conversation under one system turn: that of the question, else of the first example. Without
    one, they are texts with a blank line between them, and no end-of-text token, after which a model would begin anew.
    """
    asked = turns[:-1] if turns[-1].role == "assistant" else turns
    if template.source == "none":
        shown = [joined(example, "").text.strip() for example in examples]
        return plain_ids(tokenizer, BETWEEN_EXAMPLES.join([*shown, prompt_text(asked).lstrip()]))
    system = [turn for one in (asked, *examples) for turn in one if turn.role == "system"][:1]
    spoken = [turn for one in (*examples, asked) for turn in one if turn.role != "system"]
    return written_ids(tokenizer, template, [*system, *spoken])


def coloured(tokenizer: PreTrainedTokenizerBase, ids: Ids | Sequence[int], labels: Ids | Sequence[int]) -> list[tuple[str, bool]]:
    """The text in runs of what is learnt and what is not, for the terminal and the report; joined they are the whole text."""
    learnt = np.asarray(labels) != NOT_LEARNT
    tokens = [int(token) for token in ids]
    stops = [*(np.flatnonzero(np.diff(learnt)) + 1).tolist(), len(tokens)] if tokens else []
    runs, done, start = [], 0, 0
    for stop in stops:
        # Tokens are decoded from the beginning, since many write their space only after another.
        text = str(tokenizer.decode(tokens[:stop], skip_special_tokens=False, clean_up_tokenization_spaces=False))
        runs.append((text[done:], bool(learnt[start])))
        done, start = len(text), stop
    return runs


def rendering_proof(
    tokenizer: PreTrainedTokenizerBase, template: Template, conversations: Conversations, *, loss_on: LossOn = "assistant",
    rows: int | None = PROVED_ROWS,
) -> Certificate:  # fmt: skip
    """Whether what is learnt begins exactly where the model is asked: the figure is the number of rows where it does not.

    Each row is rendered as for training; before each answer that is learnt must stand, token for token, what upstream's
    ``apply_chat_template(..., add_generation_prompt=True)`` gives for the turns before it (without a template: the tokenizer for
    the prompt), and the first token after it must be learnt.

    Args:
        rows: so many, spread evenly over the split; None for all.
    """
    n = len(conversations)
    positions = np.unique(np.linspace(0, n - 1, min(n, rows or n)).astype(int)).tolist()
    sample = conversations.take(positions, conversations.split)
    made = render(tokenizer, sample, template, None, loss_on, "drop")
    differing = []
    for entry, position in enumerate(made.positions):
        turns = sample.turns[position]
        earlier = earlier_answers(turns) if loss_on == "assistant" else []
        starts = starts_of(made.labels[entry])
        asked = [asked_ids(tokenizer, template, turns[:k]) for k in [*earlier, len(turns) - 1]]
        if loss_on == "all":
            starts = [len(asked[-1])]
        if not same_beginnings(made.input_ids[entry].tolist(), starts, asked):
            differing.append(made.row_ids[entry])
    note = f"{len(made):,} of {n:,} rows of {conversations.split}"
    if differing:
        note += f"; they differ in rows {listed(differing, 5)}"
    return Certificate("rendering_as_at_inference", not differing, float(len(differing)), 0.0, note)


def starts_of(labels: Ids) -> list[int]:
    """Where learnt runs begin."""
    learnt = labels != NOT_LEARNT
    starts: list[int] = np.flatnonzero(learnt & ~np.append(False, learnt[:-1])).tolist()
    return starts


def same_beginnings(ids: list[int], starts: Sequence[int], asked: Sequence[list[int]]) -> bool:
    """Whether every run that is learnt begins where the prompt before it ends, with that prompt before it."""
    return len(starts) == len(asked) and all(
        len(prompt) == start and ids[:start] == prompt for start, prompt in zip(starts, asked, strict=True)
    )


def asked_ids(tokenizer: PreTrainedTokenizerBase, template: Template, asked: Sequence[Turn]) -> list[int]:
    """The prompt by upstream's own way, which is what other programs will give the saved model."""
    if template.source == "none":
        ids: list[int] = tokenizer(prompt_text(asked), verbose=False)["input_ids"]
        after = len(edges(tokenizer)[1])
        return ids[: len(ids) - after]
    if not asked:
        return []
    made: list[int] = tokenizer.apply_chat_template(
        messages_of(asked), chat_template=template.text, tokenize=True, add_generation_prompt=True, return_dict=False,
        tokenizer_kwargs={"verbose": False},
    )  # fmt: skip
    return made
