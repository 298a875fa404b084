"""Builds the evaluation inputs of language models (tokens, prompts, references) once for all systems, and scores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.data.chat.rows import Conversations, first_prompt
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.row_clusters import row_clusters
from tunesmith.data.split import spread_positions
from tunesmith.evaluation.metrics.answers import UserFunction, answer_scores
from tunesmith.evaluation.metrics.predictions import from_scores
from tunesmith.evaluation.outputs import Outputs, TokenLosses
from tunesmith.generation.arguments import Decoding
from tunesmith.generation.decode import GeneratedText, generate
from tunesmith.generation.labels import label_probabilities
from tunesmith.models.chat.prompts import few_shot_ids, prompt_ids, written_answers
from tunesmith.models.chat.render import Rendered
from tunesmith.models.chat.targets import closed
from tunesmith.models.chat.template import Template
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.models.language.perplexity import document_losses
from tunesmith.models.language.seq2seq import pair_losses
from tunesmith.models.language.token_losses import token_losses

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tunesmith.models.fast.path import FastPath
    from tunesmith.models.language.model import Objective

Prompts = Sequence[Sequence[int]]


class TokenSession(Protocol):
    """The part of a ``tasks.language.model.LanguageSession`` that scoring needs."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase: ...

    @property
    def template(self) -> Template: ...

    @property
    def objective(self) -> Objective: ...

    @property
    def fast_path(self) -> FastPath: ...

    @property
    def pad_id(self) -> int: ...


@dataclass(frozen=True)
class EvalSplit:
    """One evaluation split, tokenised once for all systems.

    Attributes:
        rows: its tokens; a divided text has several entries. Entries of a masked model are masked.
        positions: (N) positions of the conversations that have entries, in order.
        n_bytes: (N) UTF-8 bytes of the supervised text of each, without special tokens and the row's first token.
        sample: (n) positions of the conversations whose answers are generated.
        prompts: (n) token ids before the answer.
        references: (n) answers of the data.
        truth: (n) ids of the right labels, if answers are labels.
        documents: token ids of every whole text, for sliding windows.
    """

    split: str
    rows: Rendered
    positions: tuple[int, ...]
    n_bytes: Array
    conversations: Conversations
    sample: tuple[int, ...] = ()
    prompts: tuple[list[int], ...] = ()
    references: tuple[str, ...] = ()
    truth: Array | None = None
    documents: tuple[Array, ...] = ()

    @cached_property
    def conversation_clusters(self) -> Array:
        """Returns the cluster of every conversation, or text: those with one prompt or group share one."""
        return row_clusters([first_prompt(turns) for turns in self.conversations.turns], groups=self.conversations.groups)

    def clusters(self) -> dict[str, Array]:
        """Returns the cluster of each row and of each answered one, by kind of output."""
        every = self.conversation_clusters
        of_sample = every[list(self.sample)]
        return {"token_losses": every[list(self.positions)], "row_scores": of_sample, "predictions": of_sample}

    @property
    def row_ids(self) -> tuple[int, ...]:
        """Returns the rows (N) in their source."""
        return tuple(self.conversations.row_ids[i] for i in self.positions)

    @property
    def sample_ids(self) -> tuple[int, ...]:
        """Returns the rows of the sample (n) in their source."""
        return tuple(self.conversations.row_ids[i] for i in self.sample)

    def with_sample(self, count: int) -> EvalSplit:
        """Returns the split with at most so many sampled rows."""
        keep = spread_positions(len(self.sample), count)
        return replace(
            self,
            sample=tuple(self.sample[i] for i in keep),
            prompts=tuple(self.prompts[i] for i in keep),
            references=tuple(self.references[i] for i in keep),
            truth=None if self.truth is None else self.truth[keep],
        )

    def first_rows(self, count: int) -> EvalSplit:
        """Returns the split with the entries of its first rows, and as many sampled rows."""
        positions = self.positions[:count]
        entries = [i for i, position in enumerate(self.rows.positions) if position in positions]
        rows = replace(
            self.rows,
            row_ids=tuple(self.rows.row_ids[i] for i in entries),
            positions=tuple(self.rows.positions[i] for i in entries),
            input_ids=tuple(self.rows.input_ids[i] for i in entries),
            labels=tuple(self.rows.labels[i] for i in entries),
        )
        few = self.with_sample(count)
        return replace(few, rows=rows, positions=positions, n_bytes=self.n_bytes[:count], documents=self.documents[:count])


@dataclass(frozen=True)
class GenerationEval:
    """Settings of the evaluation of generated answers.

    Attributes:
        labels: tokens of each label, if answers are labels; the last token ends it.
        metrics: metrics of the answers, the leading one first.
        window: largest number of tokens of a sequence, prompt and answer together.
        stride: tokens by which the window slides over texts; None if texts are cut into windows.
        has_encoder: the window is that of the prompt alone, which an encoder reads.
    """

    decoding: Decoding
    labels: tuple[tuple[int, ...], ...] = ()
    metrics: tuple[str, ...] = ()
    pattern: str | None = None
    function: UserFunction | None = None
    window: int = 0
    stride: int | None = None
    has_encoder: bool = False

    def room(self, n_prompt: int) -> int:
        """Returns the largest number of tokens of an answer after a prompt of so many tokens."""
        requested = self.decoding.max_new_tokens
        return requested if self.has_encoder else max(1, min(requested, self.window - n_prompt))

    @property
    def longest_prompt(self) -> int:
        """Returns the largest number of tokens of a prompt that leaves room for an answer."""
        return self.window if self.has_encoder else self.window - self.decoding.max_new_tokens

    def fit(self, prompt: list[int], bos_id: int | None) -> list[int]:
        """Cuts a prompt that leaves no room for any answer at its start, as ``long_rows: truncate`` cuts rows."""
        if self.has_encoder or len(prompt) < self.window:
            return prompt
        first = prompt[:1] if bos_id is not None and prompt[0] == bos_id else []
        return first + prompt[len(prompt) - max(1, self.longest_prompt - len(first)) :]


class TokenReader(Protocol):
    """The part of a ``tasks.language.model.Reader`` that prompts need."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase: ...

    @property
    def template(self) -> Template: ...

    @property
    def objective(self) -> Objective: ...


def make_eval_split(
    rows: Conversations,
    rendered: Rendered,
    reader: TokenReader,
    labels: Sequence[str],
    n_answers: int,
    settings: GenerationEval,
) -> EvalSplit:
    """Returns a split with prompts and references. With labels every row is sampled, else rows spread over the split."""
    tokenizer, template = reader.tokenizer, reader.template
    positions = tuple(dict.fromkeys(rendered.positions))
    answered = [i for i in positions if rows.turns[i][-1].role == "assistant"]
    count = len(answered) if labels else min(n_answers, len(answered))
    sample = tuple(answered[i] for i in spread_positions(len(answered), count))
    references = tuple(text.strip() for text in written_answers(tokenizer, template, [rows.turns[i] for i in sample]))
    predicted = rendered.labels if rendered.has_targets else [targets[1:] for targets in rendered.labels]
    supervised = [targets[targets != IGNORE_INDEX].tolist() for targets in predicted]
    sizes = [len(text.encode()) for text in tokenizer.batch_decode(supervised, skip_special_tokens=True)]
    # An encoder's inputs are the prompts, truncated as in training.
    entries = zip(rendered.positions, rendered.input_ids, strict=True)
    inputs = {i: ids.tolist() for i, ids in entries} if rendered.has_targets else {}
    before = [inputs[i] if inputs else prompt_ids(tokenizer, template, rows.turns[i]) for i in sample]
    return EvalSplit(
        rows.split,
        rendered,
        positions,
        sum_over_rows(rendered, positions, sizes).astype(np.int64),
        rows,
        sample,
        prompts=tuple(settings.fit(prompt, tokenizer.bos_token_id) for prompt in before),
        references=references,
        truth=np.array([labels.index(reference) for reference in references]) if labels else None,
    )


def sum_over_rows(rows: Rendered, positions: Sequence[int], values: Sequence[float] | Array) -> Array:
    """Sums the values of the entries over those of each row: (N)."""
    place = {position: i for i, position in enumerate(positions)}
    at = np.array([place[position] for position in rows.positions], dtype=np.int64)
    return np.bincount(at, np.asarray(values, dtype=np.float64), len(positions))


def score_split(session: TokenSession, model: torch.nn.Module, split: EvalSplit, settings: GenerationEval) -> Outputs:
    """Computes the token losses of a split and the answers of its sample."""
    was_training = model.training
    model.eval()
    losses = row_losses(session, model, split, settings)
    answers = answer_prompts(session, model, split, settings, split.prompts)
    model.train(was_training)
    return replace(answers, token_losses=losses, n_bytes=split.n_bytes)


def row_losses(session: TokenSession, model: torch.nn.Module, split: EvalSplit, settings: GenerationEval) -> TokenLosses:
    """Computes the losses of each row (N): summed over its entries, or by a sliding window."""
    if settings.stride is not None and split.documents:
        window = settings.window - 1  # the token behind it has a position as well
        slid = document_losses(model, split.documents, window, min(settings.stride, window), session.fast_path.precision)
        counts = np.array([len(losses) for losses in slid], dtype=np.int64)
        return TokenLosses(np.array([losses.sum() for losses in slid]), counts)
    rows, pad_id, precision = split.rows, session.pad_id, session.fast_path.precision
    if session.objective.has_encoder:
        entries = pair_losses(model, rows.input_ids, rows.labels, pad_id, precision)
    else:
        is_masked = session.objective.needs_masking
        entries = token_losses(model, rows.input_ids, rows.labels, pad_id, precision, masked=is_masked)
    sums, counts = (sum_over_rows(split.rows, split.positions, values) for values in (entries.sums, entries.counts))
    return TokenLosses(sums, counts.astype(np.int64))


def answer_prompts(
    session: TokenSession, model: torch.nn.Module, split: EvalSplit, settings: GenerationEval, prompts: Prompts
) -> Outputs:
    """Answers these prompts: with the most likely label each, or by generation."""
    if not prompts:
        return Outputs()
    if settings.labels:
        assert split.truth is not None
        scores = label_probabilities(
            model,
            session.tokenizer,
            prompts,
            [label[:-1] for label in settings.labels],
            end=settings.labels[0][-1],
            precision=session.fast_path.precision,
        )
        return Outputs(SINGLE, from_scores(SINGLE, split.truth, scores))
    texts = [answer.text for answer in generate_answers(session, model, prompts, settings)]
    rows = [split.conversations.rows[i] for i in split.sample]
    scores_by_metric = answer_scores(
        settings.metrics,
        [text.strip() for text in texts],
        split.references,
        rows,
        split.sample_ids,
        pattern=settings.pattern,
        function=settings.function,
    )
    return Outputs(texts=tuple(texts), row_scores=scores_by_metric)


def generate_answers(
    session: TokenSession, model: torch.nn.Module, prompts: Prompts, settings: GenerationEval
) -> list[GeneratedText]:
    """Generates after each prompt; after a long one only as many tokens as fit into the window."""
    limits = [settings.room(len(ids)) for ids in prompts]
    answers: dict[int, GeneratedText] = {}
    for limit in sorted(set(limits), reverse=True):
        chosen = [i for i, of_prompt in enumerate(limits) if of_prompt == limit]
        decoding = replace(settings.decoding, max_new_tokens=limit)
        texts = generate(model, session.tokenizer, [prompts[i] for i in chosen], decoding, precision=session.fast_path.precision)
        answers |= {i: of_prompt[0] for i, of_prompt in zip(chosen, texts, strict=True)}
    return [answers[i] for i in range(len(prompts))]


def few_shot_outputs(
    session: TokenSession, model: torch.nn.Module, split: EvalSplit, settings: GenerationEval, examples: Conversations
) -> tuple[Outputs, list[int]]:
    """Answers with training examples in the prompt. Returns also the number of examples in each prompt, as many as fit.

    Args:
        examples: training rows, each with its answer.
    """
    prompts, counts = [], []
    for position, prompt in zip(split.sample, split.prompts, strict=True):
        turns = split.conversations.turns[position]
        ids, count = list(prompt), 0  # of a long row it is the end, which the turns do not tell
        for tried in range(len(examples), 0, -1):
            longer = few_shot_ids(session.tokenizer, session.template, examples.turns[:tried], turns)
            longer = closed(session.tokenizer, longer) if settings.has_encoder else longer
            if len(longer) <= settings.longest_prompt:
                ids, count = longer, tried
                break
        prompts.append(ids)
        counts.append(count)
    was_training = model.training
    model.eval()
    outputs = answer_prompts(session, model, split, settings, prompts)
    model.train(was_training)
    return outputs, counts
