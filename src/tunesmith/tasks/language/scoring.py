"""What a language model is heard on, prepared once for every system: rows as tokens, prompts, references; and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tunesmith.data.chat.conversations import Conversations
from tunesmith.evaluation.metrics.answers import UserFunction, answer_scores
from tunesmith.evaluation.metrics.predictions import SINGLE, Predictions, from_scores
from tunesmith.generation.arguments import Decoding
from tunesmith.generation.decode import GeneratedText, generate
from tunesmith.generation.labels import label_probabilities
from tunesmith.models.chat.prompts import few_shot_ids, prompt_ids
from tunesmith.models.chat.render import Rendered
from tunesmith.models.chat.template import Template
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.models.language.perplexity import document_losses
from tunesmith.models.language.token_losses import TokenLosses
from tunesmith.tasks.language.training import Prepared, losses_of


@dataclass(frozen=True)
class Hearing:
    """One split as every system hears it.

    Attributes:
        rows: its tokens; a text that was divided has several entries. Those of a masked model are masked.
        positions: of the conversations that are there (N), in order.
        n_bytes: (N) bytes of the learnt text of each.
        sample: positions of those whose answers are written.
        prompts: token ids before the answer, of each of them.
        references: the answers they should have.
        truth: (n) ids of the right labels of the sample, where answers are labels.
        documents: (N) token ids of each whole text, where windows slide over it.
    """

    split: str
    rows: Rendered
    positions: tuple[int, ...]
    n_bytes: np.ndarray
    conversations: Conversations
    sample: tuple[int, ...] = ()
    prompts: tuple[list[int], ...] = ()
    references: tuple[str, ...] = ()
    truth: np.ndarray | None = None
    documents: tuple[np.ndarray, ...] = ()

    @property
    def row_ids(self) -> tuple[int, ...]:
        """The rows (N) in their source."""
        return tuple(self.conversations.row_ids[i] for i in self.positions)

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
    written: tuple[GeneratedText, ...] = ()
    worth: Mapping[str, np.ndarray] = field(default_factory=dict)
    labels: Predictions | None = None


def hearing_of(
    split: Conversations, rows: Rendered, tokenizer: Any, template: Template, labels: Sequence[str], n_answers: int
) -> Hearing:
    """A split with its prompts and references. With labels every row is heard, else a sample that is spread over the split."""
    positions = tuple(dict.fromkeys(rows.positions))
    answered = [i for i in positions if split.turns[i][-1].role == "assistant"]
    count = len(answered) if labels else min(n_answers, len(answered))
    sample = tuple(answered[i * len(answered) // count] for i in range(count)) if count else ()
    references = tuple(split.turns[i][-1].content.strip() for i in sample)
    return Hearing(
        split.split, rows, positions, learnt_bytes(rows, positions, tokenizer), split, sample,
        tuple(prompt_ids(tokenizer, template, split.turns[i]) for i in sample), references,
        np.array([labels.index(reference) for reference in references]) if labels else None,
    )  # fmt: skip


def learnt_bytes(rows: Rendered, positions: Sequence[int], tokenizer: Any) -> np.ndarray:
    """(N) bytes of the text of the learnt tokens of each row, without special tokens; a row's first token is never learnt."""
    learnt = [labels[1:][labels[1:] != IGNORE_INDEX].tolist() for labels in rows.labels]
    sizes = [len(text.encode()) for text in tokenizer.batch_decode(learnt, skip_special_tokens=True)]
    return of_rows(rows, positions, sizes).astype(np.int64)


def of_rows(rows: Rendered, positions: Sequence[int], values: Sequence[float] | np.ndarray) -> np.ndarray:
    """(N) the values of the entries, summed over the entries of each row."""
    place = {position: i for i, position in enumerate(positions)}
    at = np.array([place[position] for position in rows.positions], dtype=np.int64)
    return np.bincount(at, np.asarray(values, dtype=np.float64), len(positions))


def row_losses(prepared: Prepared, model: Any, hearing: Hearing, asking: Asking) -> TokenLosses:
    """The losses of each row (N): those of its entries together, or by a window that slides over it."""
    if asking.stride is not None and hearing.documents:
        window = asking.window - 1  # the token behind it has a position as well
        slid = document_losses(model, hearing.documents, window, min(asking.stride, window), prepared.kernels.precision)
        return TokenLosses(np.array([one.sum() for one in slid]), np.array([len(one) for one in slid], dtype=np.int64))
    found = losses_of(prepared, model, hearing.rows)
    sums, counts = (of_rows(hearing.rows, hearing.positions, values) for values in (found.sums, found.counts))
    return TokenLosses(sums, counts.astype(np.int64))


@dataclass(frozen=True)
class Asking:
    """How answers are written and compared.

    Attributes:
        labels: the tokens of the answers there are, where they are labels; the last of each ends it.
        metrics: that judge answers, the leading one first.
        window: tokens that the model reads at once, prompt and answer together.
        stride: tokens that the window moves on, where it slides over texts; None where texts are cut into windows.
    """

    decoding: Decoding
    labels: tuple[tuple[int, ...], ...] = ()
    metrics: tuple[str, ...] = ()
    pattern: str | None = None
    function: UserFunction | None = None
    window: int = 0
    stride: int | None = None


def hear(prepared: Prepared, model: Any, hearing: Hearing, asking: Asking) -> Said:
    """The losses of a split, and its answers."""
    was_training = model.training
    model.eval()
    losses = row_losses(prepared, model, hearing, asking)
    said = answer(prepared, model, hearing, asking, hearing.prompts)
    model.train(was_training)
    return Said(losses, said.written, said.worth, said.labels)


def answer(prepared: Prepared, model: Any, hearing: Hearing, asking: Asking, prompts: Sequence[Sequence[int]]) -> Said:
    """The answers to these prompts: one of the labels each, or what the model writes."""
    if not prompts:
        return Said()
    if asking.labels:
        assert hearing.truth is not None
        scores = label_probabilities(
            model, prepared.tokenizer, prompts, [label[:-1] for label in asking.labels], end=asking.labels[0][-1],
            precision=prepared.kernels.precision,
        )  # fmt: skip
        return Said(labels=from_scores(SINGLE, hearing.truth, scores))
    written = written_after(prepared, model, prompts, asking)
    rows = [hearing.conversations.rows[i] for i in hearing.sample]
    worth = answer_scores(
        asking.metrics, [one.text.strip() for one in written], hearing.references, rows, hearing.sample_ids, asking.pattern,
        asking.function,
    )  # fmt: skip
    return Said(None, tuple(written), worth)


def written_after(prepared: Prepared, model: Any, prompts: Sequence[Sequence[int]], asking: Asking) -> list[GeneratedText]:
    """What the model writes after each prompt; behind a long one only as much as there is room for."""
    asked = asking.decoding.max_new_tokens
    rooms = [max(1, min(asked, asking.window - len(ids))) for ids in prompts]
    found: dict[int, GeneratedText] = {}
    for room in sorted(set(rooms), reverse=True):
        chosen = [i for i, one in enumerate(rooms) if one == room]
        decoding = replace(asking.decoding, max_new_tokens=room)
        texts = generate(
            model, prepared.tokenizer, [prompts[i] for i in chosen], decoding, precision=prepared.kernels.precision
        )  # fmt: skip
        found |= {i: of_prompt[0] for i, of_prompt in zip(chosen, texts, strict=True)}
    return [found[i] for i in range(len(prompts))]


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
