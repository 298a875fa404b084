"""Tokenises prompts for inference, and certifies that training rows begin with the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.cells import listed, plural
from tunesmith.data.chat.messages import Turn, tools_of, with_tools
from tunesmith.data.chat.rows import Conversations
from tunesmith.errors import DataError
from tunesmith.models.chat.control_tokens import replace_control_tokens, tokenise
from tunesmith.models.chat.render import Rendered, render
from tunesmith.models.chat.spans import (
    LossOn,
    Refusal,
    RenderedChat,
    apply_template,
    earlier_answers,
    join_turns,
    render_chats,
)
from tunesmith.models.chat.template import Template, edges, to_messages
from tunesmith.models.chat.time_limit import within_time
from tunesmith.models.chat.truncation import Ids
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.results import Certificate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BETWEEN_EXAMPLES = "\n\n"
CERTIFIED_ROWS = 512


def prompt_ids(tokenizer: PreTrainedTokenizerBase, template: Template, turns: Sequence[Turn]) -> list[int]:
    """Tokenises the turns before a final answer, with the generation prompt. Raises DataError if the template refuses them."""
    question = without_answer(turns)
    if template.source == "none":
        return plain_ids(tokenizer, prompt_text(replace_control_tokens(tokenizer, [question])[0]))
    return templated_ids(tokenizer, template, question)


def written_answers(tokenizer: PreTrainedTokenizerBase, template: Template, conversations: Sequence[Sequence[Turn]]) -> list[str]:
    """Returns the answers that the model should generate (N): contents, with thoughts and calls as the template writes them."""
    answers = [turns[-1].content for turns in conversations]
    extended = [i for i, turns in enumerate(conversations) if turns[-1].text != turns[-1].content]
    if not extended:  # masked language models have no end-of-text token to render with
        return answers
    chats = render_chats(tokenizer, template, [conversations[i] for i in extended], "completion")
    for i, chat in zip(extended, chats, strict=True):
        if isinstance(chat, RenderedChat):
            ids = tokenise(tokenizer, [chat.text[slice(*chat.answers[-1])]])[0].ids
            answers[i] = str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
    return answers


def without_answer(turns: Sequence[Turn]) -> Sequence[Turn]:
    """Returns the turns without a final turn of the assistant."""
    return turns[:-1] if turns[-1].role == "assistant" else turns


def prompt_text(question: Sequence[Turn]) -> str:
    """Concatenates the contents, as training has them before an answer."""
    return join_turns([*question, Turn("assistant", "")], "").prompt


def plain_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokenises a text to be continued: with the special tokens before texts, and none after it. Stand-ins become text."""
    return [*edges(tokenizer)[0], *tokenise(tokenizer, [text])[0].ids]


def templated_ids(tokenizer: PreTrainedTokenizerBase, template: Template, question: Sequence[Turn]) -> list[int]:
    """Tokenises a prompt rendered by the template. Raises DataError if the template refuses the turns."""
    text = apply_template(tokenizer, template, replace_control_tokens(tokenizer, [question]), as_prompt=True)[0]
    if isinstance(text, Refusal):
        raise DataError.one("", f"The turns are {text.reason}.", "Give them in the order that the template expects.")
    return tokenise(tokenizer, [text])[0].ids


def few_shot_ids(
    tokenizer: PreTrainedTokenizerBase, template: Template, examples: Sequence[Sequence[Turn]], turns: Sequence[Turn]
) -> list[int]:
    """Tokenises the prompt of ``turns`` after examples with their answers, for a model that is not trained on the task.

    With a template all are one conversation with one system turn: that of the question, else of the first example. Without
    one, they are texts separated by blank lines, and without end-of-text tokens, after which a model would start a new text.
    """
    question = without_answer(turns)
    if template.source == "none":
        question, *examples = replace_control_tokens(tokenizer, [question, *examples])
        shown = [join_turns(example, "").text.strip() for example in examples]
        return plain_ids(tokenizer, BETWEEN_EXAMPLES.join([*shown, prompt_text(question).lstrip()]))
    system = [turn for chat in (question, *examples) for turn in chat if turn.role == "system"][:1]
    others = [turn for chat in (*examples, question) for turn in chat if turn.role != "system"]
    return templated_ids(tokenizer, template, with_tools((*system, *others), tools_of(question)))


def supervised_runs(
    tokenizer: PreTrainedTokenizerBase, ids: Ids | Sequence[int], labels: Ids | Sequence[int]
) -> list[tuple[str, bool]]:
    """Splits the text of a row into runs of supervised and other tokens, for display; joined they are the whole text."""
    is_supervised = np.asarray(labels) != IGNORE_INDEX
    tokens = [int(token) for token in ids]
    stops = [*(np.flatnonzero(np.diff(is_supervised)) + 1).tolist(), len(tokens)] if tokens else []
    runs, done, start = [], 0, 0
    for stop in stops:
        # Tokens are decoded from the beginning, since many have their space only after another token.
        text = str(tokenizer.decode(tokens[:stop], skip_special_tokens=False, clean_up_tokenization_spaces=False))
        runs.append((text[done:], bool(is_supervised[start])))
        done, start = len(text), stop
    return runs


def rendered_runs(tokenizer: PreTrainedTokenizerBase, rows: Rendered, entry: int) -> list[tuple[str, bool]]:
    """Splits the text of one tokenised row into runs, see ``supervised_runs``; an encoder's input and its target are two runs."""
    ids, labels = rows.input_ids[entry], rows.labels[entry]
    if not rows.has_targets:
        return supervised_runs(tokenizer, ids, labels)
    whole = [(part, np.full(len(part), IGNORE_INDEX) if part is ids else part) for part in (ids, labels)]
    return [run for tokens, targets in whole for run in supervised_runs(tokenizer, tokens, targets)]


def certify_rendering(
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    conversations: Conversations,
    *,
    loss_on: LossOn = "assistant",
    rows: int | None = CERTIFIED_ROWS,
) -> Certificate:
    """Certifies that supervised tokens begin exactly after the prompt at inference; the figure counts rows that differ.

    Each row is rendered as for training. Before each supervised answer it must have, token for token, the output of upstream's
    ``apply_chat_template(..., add_generation_prompt=True)`` for the turns before it (without a template: of the tokenizer for
    the prompt), and the first token after it must be supervised.

    Args:
        rows: number of rows, spread evenly over the split; None for all.
    """
    n = len(conversations)
    positions = np.unique(np.linspace(0, n - 1, min(n, rows or n)).astype(int)).tolist()
    sample = conversations.take(positions, conversations.split)
    rendered = render(tokenizer, sample, template, None, loss_on, "drop")
    differing = []
    for entry, position in enumerate(rendered.positions):
        turns = sample.turns[position]
        earlier = earlier_answers(turns) if loss_on == "assistant" else []
        prompts = [reference_prompt_ids(tokenizer, template, turns[:k]) for k in [*earlier, len(turns) - 1]]
        starts = [len(prompts[-1])] if loss_on == "all" else run_starts(rendered.labels[entry])
        ids = rendered.input_ids[entry].tolist()
        if len(starts) != len(prompts) or any(
            len(prompt) != start or ids[:start] != prompt for start, prompt in zip(starts, prompts, strict=True)
        ):
            differing.append(rendered.row_ids[entry])
    note = f"{len(rendered):,} of {plural(n, 'row')} of {conversations.split}"
    if differing:
        note += f"; they differ in rows {listed(differing, 5)}"
    return Certificate("rendering_as_at_inference", not differing, float(len(differing)), 0.0, note)


def run_starts(labels: Ids) -> list[int]:
    """Returns the positions at which supervised runs begin."""
    is_supervised = labels != IGNORE_INDEX
    return list(np.flatnonzero(is_supervised & ~np.append(False, is_supervised[:-1])).tolist())


def reference_prompt_ids(tokenizer: PreTrainedTokenizerBase, template: Template, question: Sequence[Turn]) -> list[int]:
    """Tokenises a prompt by upstream's own functions, as other programs that use the saved model do.

    They take a control token in a content for one of the template, so such a prompt is tokenised as ``prompt_ids`` does.
    """
    if replace_control_tokens(tokenizer, [question])[0] != tuple(question):
        return prompt_ids(tokenizer, template, [*question, Turn("assistant", "")])
    if template.source == "none":
        ids: list[int] = tokenizer(prompt_text(question), verbose=False)["input_ids"]
        return ids[: len(ids) - len(edges(tokenizer)[1])]
    if not question:
        return []
    options = {"chat_template": template.text, "tools": tools_of(question), "tokenize": True, "return_dict": False}
    messages, quiet = to_messages(question), {"verbose": False}

    def written() -> list[int]:
        return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenizer_kwargs=quiet, **options))

    return within_time(written, f"chat template {template.name}")
