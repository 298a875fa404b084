"""Tokenises conversations for encoder-decoders: the turns before the last answer as encoder input, the answer as target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.cells import listed, plural
from tunesmith.data.chat.messages import Turn
from tunesmith.data.chat.rows import Conversations
from tunesmith.errors import DataError, ModelError, RecipeError
from tunesmith.models.chat.control_tokens import replace_control_tokens, replacer, tokenise
from tunesmith.models.chat.prompts import CERTIFIED_ROWS, prompt_text, reference_prompt_ids, written_answers
from tunesmith.models.chat.render import CHUNK_ROWS, FEW, NO_SUPERVISED_TOKENS, Rendered, Tally, check_tally
from tunesmith.models.chat.spans import SILENT_CALL, LossOn, Refusal, apply_template, silent_calls
from tunesmith.models.chat.template import Template, edges, end_token
from tunesmith.models.chat.truncation import TOO_LONG, Fitted, LongRows, Row
from tunesmith.models.language.denoising import target_edges
from tunesmith.results import Certificate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TARGET_TOO_LONG = "whose answer is longer than {} tokens"  # a key in result.json


@dataclass(frozen=True)
class PairLimits:
    """The limits of encoder inputs and of targets in tokens (None: no limit), and what happens to longer inputs."""

    max_length: int | None
    max_target_length: int | None
    long_rows: LongRows


def render_targets(tokenizer: PreTrainedTokenizerBase, rows: Conversations, template: Template, limits: PairLimits) -> Rendered:
    """Tokenises every conversation as an encoder input and the target of a decoder.

    The input is the prompt at inference, begun and ended as the tokenizer does with texts. The target is the answer, begun and
    ended in the same way, and always ended by the end-of-text token. A control token in a content is tokenised as text.

    Too long an answer drops the row, since half an answer trains an early stop. Too long an input drops the row, or with
    ``truncate`` is cut on the tokenizer's truncation side, between the special tokens around it.

    Raises:
        ModelError: no end-of-text token, or the template refuses more than 1 % of the rows.
        DataError: rows are too long and ``long_rows`` is ``error``, or no row is left.
    """
    end_token(tokenizer)
    tally, refused, long_targets = Tally(), list[tuple[int, str]](), list[int]()
    for position, fitted in fitted_pairs(tokenizer, rows, template, limits):
        tally.add(position, *fitted)
        if fitted[1] == TARGET_TOO_LONG.format(limits.max_target_length):
            long_targets.append(position)
        elif fitted[1] and not fitted[3] and fitted[1] not in (NO_SUPERVISED_TOKENS, SILENT_CALL):
            refused.append((position, fitted[1]))
    if len(refused) > FEW * len(rows):
        where = f"chat template {template.name}; {rows.source}, row {rows.row_ids[refused[0][0]]}"
        message = f"{len(refused):,} of {plural(len(rows), 'row', 'is a row', 'are rows')} {refused[0][1]}."
        raise ModelError.one(where, message, "Give the turns in the order that the template expects.")
    if long_targets and limits.long_rows == "error":
        shown = listed((rows.row_ids[position] for position in long_targets), 5)
        message = f"{len(long_targets):,} of {plural(len(rows), 'row')} have an answer of more than "
        message += f"{plural(limits.max_target_length or 0, 'token')}: rows {shown}."
        raise DataError.one(rows.source, message, "Raise sft.max_target_length, or set sft.long_rows: drop.")
    if long_targets and not tally.rows:
        counts = "; ".join(f"{len(positions):,} {reason}" for reason, positions in tally.dropped.items())
        message = f"none of {plural(len(rows), 'row')} of {rows.split} can be trained on ({counts})."
        raise DataError.one(rows.source, message, "Raise sft.max_target_length.")
    check_tally(tally, rows, limits.max_length, limits.long_rows)
    ends = [row.labels[-1:].tolist() for _, row in tally.rows]
    added = frozenset(tokenizer.added_tokens_decoder) | {int(tokenizer.eos_token_id)}
    rendered = tally.make_rendered(rows, limits.max_length, "completion", ends, added)
    return replace(rendered, has_targets=True)


def fitted_pairs(
    tokenizer: PreTrainedTokenizerBase, rows: Conversations, template: Template, limits: PairLimits
) -> Iterator[tuple[int, Fitted]]:
    """Yields each conversation's position and its fitted row, or why it has none."""
    before, after = target_edges(tokenizer)
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = rows.turns[start : start + CHUNK_ROWS]
        sources = source_ids(tokenizer, template, [turns[:-1] for turns in chunk])
        replaced, silent = replacer(tokenizer), silent_calls(tokenizer, template, chunk)
        answers = [replaced(text.strip()) for text in written_answers(tokenizer, template, chunk)]
        targets = [np.array([*before, *tokens.ids, *after], np.int32) for tokens in tokenise(tokenizer, answers)]
        for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
            if isinstance(source, Refusal):
                yield start + i, ([], source.reason, 0, False)
            elif i in silent or not chunk[i][-1].is_supervised:
                yield start + i, ([], SILENT_CALL if i in silent else NO_SUPERVISED_TOKENS, 0, False)
            else:
                yield start + i, fit_pair(tokenizer, np.array(source, np.int32), target, limits)


def source_ids(
    tokenizer: PreTrainedTokenizerBase, template: Template, questions: Sequence[Sequence[Turn]]
) -> list[list[int] | Refusal]:
    """Tokenises the turns before an answer as encoder inputs (N), or returns the reason of the template."""
    replaced, (before, after) = replace_control_tokens(tokenizer, questions), edges(tokenizer)
    if template.source == "none":
        texts: list[str | Refusal] = [prompt_text(turns) for turns in replaced]
    else:  # the template writes the token that begins a text
        texts, before = apply_template(tokenizer, template, replaced, as_prompt=True), ()
    written = [text for text in texts if isinstance(text, str)]
    tokens = iter(tokenise(tokenizer, written) if written else ())
    return [text if isinstance(text, Refusal) else [*before, *next(tokens).ids, *after] for text in texts]


def fit_pair(tokenizer: PreTrainedTokenizerBase, source: np.ndarray, target: np.ndarray, limits: PairLimits) -> Fitted:
    """Fits an encoder input and its target to the limits: unchanged, with the input truncated, or dropped."""
    if limits.max_target_length is not None and len(target) > limits.max_target_length:
        return [], TARGET_TOO_LONG.format(limits.max_target_length), len(target), True
    if limits.max_length is None or len(source) <= limits.max_length:
        return [Row(source, target, is_pair=True)], "", 0, False
    if limits.long_rows != "truncate":
        return [], TOO_LONG.format(limits.max_length), len(target), True
    before, after = edges(tokenizer)
    room = limits.max_length - len(before) - len(after)
    if room < 1:
        leaves = plural(limits.max_length, "token", "leaves", "leave")
        message = f"{leaves} no room for a text between the tokens that the tokenizer puts around it."
        raise RecipeError.one("data.max_length", message, "Give more.")
    body = source[len(before) : len(source) - len(after)]
    body = body[len(body) - room :] if tokenizer.truncation_side == "left" else body[:room]
    cut = np.concatenate([source[: len(before)], body, source[len(source) - len(after) :]])
    return [Row(cut, target, is_pair=True)], "", 0, True


def require_completion(loss_on: LossOn | None, long_rows: LongRows | None) -> None:
    """Raises RecipeError for supervised tokens that an encoder-decoder does not have, and for windows of conversations."""
    if loss_on not in (None, "completion"):
        message = (
            f"{loss_on} is requested, and an encoder-decoder is trained on the last answer only: what is before it is input."
        )
        raise RecipeError.one("sft.loss_on", message, "Leave it out, or write one row for each answer.")
    if long_rows == "split":
        message = "split makes windows of plain texts; a conversation in pieces has answers without questions."
        raise RecipeError.one("sft.long_rows", message, "Use drop, truncate or error.")


def closed(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[int]:
    """Ends a prompt that would be continued as an encoder input ends: with the tokenizer's special tokens after texts."""
    return [*ids, *edges(tokenizer)[1]]


def certify_pairs(tokenizer: PreTrainedTokenizerBase, template: Template, conversations: Conversations) -> Certificate:
    """Certifies that inputs and targets have the tokens of upstream's own functions; the figure counts rows that differ.

    The input must be ``tokenizer(prompt)``, or the output of ``apply_chat_template``, with the tokens after it, and the target
    ``tokenizer(text_target=answer)``, with the end-of-text token if the tokenizer does not add it.
    """
    n = len(conversations)
    positions = np.unique(np.linspace(0, n - 1, min(n, CERTIFIED_ROWS)).astype(int)).tolist()
    sample = conversations.take(positions, conversations.split)
    rendered = render_targets(tokenizer, sample, template, PairLimits(None, None, "drop"))
    answers, differing, end = written_answers(tokenizer, template, sample.turns), list[int](), int(tokenizer.eos_token_id)
    for entry, position in enumerate(rendered.positions):
        source = closed(tokenizer, reference_prompt_ids(tokenizer, template, sample.turns[position][:-1]))
        target = list(tokenizer(text_target=answers[position].strip())["input_ids"])
        target += [] if end in target[-2:] else [end]
        is_plain = replacer(tokenizer)(answers[position]) == answers[position]
        same_target = rendered.labels[entry].tolist() == target or not is_plain
        if rendered.input_ids[entry].tolist() != source or not same_target:
            differing.append(rendered.row_ids[entry])
    note = f"{len(rendered):,} of {plural(n, 'row')} of {conversations.split}"
    note += f"; they differ in rows {listed(differing, 5)}" if differing else ""
    return Certificate("rendering_as_at_inference", not differing, float(len(differing)), 0.0, note)


def unwritable(tokenizer: PreTrainedTokenizerBase, template: Template, conversations: Conversations) -> dict[int, str]:
    """Returns row id -> the answer as the tokenizer can write it, of answers that its tokens cannot spell.

    T5's vocabulary has no line break, no braces and no angle brackets, for instance.
    """
    answers = [text.strip() for text in written_answers(tokenizer, template, conversations.turns)]
    tokens = tokenise(tokenizer, list(map(replacer(tokenizer), answers))) if answers else []
    texts = tokenizer.batch_decode([part.ids for part in tokens], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    pairs = zip(conversations.row_ids, answers, texts, strict=True)
    return {row_id: text.strip() for row_id, answer, text in pairs if text.strip() != answer}
