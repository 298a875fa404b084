"""What a language model is heard on, prepared once for every system: rows as tokens, prompts, references; and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.conversations import Conversations
from tunesmith.generation.decode import Decoding, Written, generate
from tunesmith.generation.labels import label_probabilities
from tunesmith.metrics.language import answer_values
from tunesmith.metrics.predictions import Predictions, from_scores
from tunesmith.models.chat_template import Template
from tunesmith.models.render import Rendered, few_shot_ids, prompt_ids
from tunesmith.models.token_losses import TokenLosses
from tunesmith.tasks.language import Prepared, losses_of

SINGLE = "single_label_classification"


@dataclass(frozen=True)
class Hearing:
    """One split as every system hears it.

    Attributes:
        rows: its tokens; a row that was split has several sequences.
        row_ids: the distinct rows (N), in order.
        n_bytes: (N) bytes of the learnt text of each row.
        sample: positions, in the conversations, of the rows whose answers are written.
        prompts: token ids before the answer, of each of them.
        references: the answers they should have.
        truth: (n) ids of the right labels of the sample, where answers are labels.
    """

    split: str
    rows: Rendered
    row_ids: tuple[int, ...]
    n_bytes: np.ndarray
    conversations: Conversations
    sample: tuple[int, ...] = ()
    prompts: tuple[list[int], ...] = ()
    references: tuple[str, ...] = ()
    truth: np.ndarray | None = None

    @property
    def sample_ids(self) -> tuple[int, ...]:
        """The rows of the sample."""
        return tuple(self.conversations.row_ids[i] for i in self.sample)


@dataclass(frozen=True)
class Said:
    """What one system says on one split.

    Attributes:
        losses: of each row (N); None where it only writes.
        written: the answers of the sample; empty where none were written.
        worth: metric -> its value for each of them (n), in [0, 1].
        labels: of the sample, where answers are labels.
    """

    losses: TokenLosses | None = None
    written: tuple[Written, ...] = ()
    worth: Mapping[str, np.ndarray] = field(default_factory=dict)
    labels: Predictions | None = None


def hearing_of(
    split: Conversations, rows: Rendered, tokenizer: Any, template: Template, labels: Sequence[str], n_answers: int
) -> Hearing:
    """A split with its prompts and references. With labels every row is heard, else a sample that is spread over the split."""
    row_ids = tuple(dict.fromkeys(rows.row_ids))
    here = set(row_ids)
    answered = [i for i, turns in enumerate(split.turns) if turns[-1].role == "assistant" and split.row_ids[i] in here]
    count = len(answered) if labels else min(n_answers, len(answered))
    sample = tuple(answered[i * len(answered) // count] for i in range(count)) if count else ()
    references = tuple(split.turns[i][-1].content for i in sample)
    return Hearing(
        split.split, rows, row_ids, learnt_bytes(rows, row_ids, tokenizer), split, sample,
        tuple(prompt_ids(tokenizer, template, split.turns[i]) for i in sample), references,
        np.array([labels.index(reference) for reference in references]) if labels else None,
    )  # fmt: skip


def learnt_bytes(rows: Rendered, row_ids: Sequence[int], tokenizer: Any) -> np.ndarray:
    """(N) bytes of the text of the learnt tokens of each row."""
    texts = tokenizer.batch_decode([ids[labels != -100].tolist() for ids, labels in zip(rows.input_ids, rows.labels, strict=True)])
    place = {row: i for i, row in enumerate(row_ids)}
    found = np.zeros(len(row_ids), dtype=np.int64)
    for row, text in zip(rows.row_ids, texts, strict=True):
        found[place[row]] += len(text.encode())
    return found


def row_losses(prepared: Prepared, model: Any, hearing: Hearing) -> TokenLosses:
    """The losses of each row (N): those of its sequences together."""
    found = losses_of(prepared, model, hearing.rows)
    place = {row: i for i, row in enumerate(hearing.row_ids)}
    at = np.array([place[row] for row in hearing.rows.row_ids], dtype=np.int64)
    count = len(hearing.row_ids)
    return TokenLosses(
        np.bincount(at, found.sums, count), np.bincount(at, found.counts, count).astype(np.int64)
    )


@dataclass(frozen=True)
class Asking:
    """How answers are written and compared.

    Attributes:
        labels: the answers there are, where they are labels.
        metrics: that judge answers, the leading one first.
        base: the folder that a user's function is looked for in.
    """

    decoding: Decoding
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    pattern: str | None = None
    function: str | None = None
    base: Path = Path()


def hear(prepared: Prepared, model: Any, hearing: Hearing, asking: Asking) -> Said:
    """The losses of a split, and its answers."""
    was_training = model.training
    model.eval()
    losses = row_losses(prepared, model, hearing)
    said = answer(prepared, model, hearing, asking, hearing.prompts)
    model.train(was_training)
    return Said(losses, said.written, said.worth, said.labels)


def answer(prepared: Prepared, model: Any, hearing: Hearing, asking: Asking, prompts: Sequence[Sequence[int]]) -> Said:
    """The answers to these prompts: one of the labels each, or what the model writes."""
    if not prompts:
        return Said()
    if asking.labels:
        scores = label_probabilities(model, prepared.tokenizer, prompts, asking.labels, precision=prepared.kernels.precision)
        return Said(labels=from_scores(SINGLE, hearing.truth, scores))
    written = [
        of_prompt[0]
        for of_prompt in generate(model, prepared.tokenizer, prompts, asking.decoding, precision=prepared.kernels.precision)
    ]
    rows = [hearing.conversations.rows[i] for i in hearing.sample]
    worth = {
        name: answer_values(
            name, [one.text for one in written], hearing.references, pattern=asking.pattern, function=asking.function, rows=rows,
            row_ids=hearing.sample_ids, base=asking.base,
        )
        for name in asking.metrics
    }  # fmt: skip
    return Said(None, tuple(written), worth)


def few_shot(
    prepared: Prepared, model: Any, hearing: Hearing, asking: Asking, template: Template, examples: Conversations, limit: int
) -> tuple[Said, int]:
    """What the model answers with examples in its prompt, and the fewest examples that a prompt had room for.

    Args:
        examples: training rows, each with its answer.
        limit: tokens that a prompt may have, so that an answer still fits.
    """
    prompts, fewest = [], len(examples)
    for position in hearing.sample:
        turns = hearing.conversations.turns[position]
        for count in range(len(examples), -1, -1):
            ids = few_shot_ids(prepared.tokenizer, template, examples.turns[:count], turns)
            if len(ids) <= limit or count == 0:
                break
        prompts.append(ids)
        fewest = min(fewest, count)
    was_training = model.training
    model.eval()
    said = answer(prepared, model, hearing, asking, prompts)
    model.train(was_training)
    return said, fewest
