"""Loads the policy with its reference, and tokenises the prompts."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.chat.rows import Conversations, first_prompt
from tunesmith.data.row_clusters import row_clusters
from tunesmith.errors import DataError, InputError, RecipeError
from tunesmith.evaluation.rewards import Completions, completions_of
from tunesmith.generation.decode import model_end_ids
from tunesmith.generation.encoder_decoder import decoder_prefix
from tunesmith.generation.token_text import continuation
from tunesmith.machine import device_name, seed_everything
from tunesmith.models.adapters.attach import add_language_adapter
from tunesmith.models.adapters.methods import changes_base
from tunesmith.models.chat.prompts import plain_ids, prompt_ids
from tunesmith.models.chat.targets import closed
from tunesmith.models.chat.template import Template, adopt_template, choose_template, to_messages
from tunesmith.models.language.context_length import context_limit
from tunesmith.models.language.model import CAUSAL, Objective, load_language_model, require_objective
from tunesmith.models.language.value_head import AnswerLayout
from tunesmith.models.layers import freeze, set_dropout
from tunesmith.models.load import LoadedModel, load_config, load_tokenizer, max_input_tokens, position_limit
from tunesmith.recipe.batches import batches_per_epoch
from tunesmith.recipe.reinforcement_sections import PolicySection
from tunesmith.recipe.tasks import primary_metric
from tunesmith.tasks.language.batches import language_fast_path
from tunesmith.tasks.language.pairs import refuse_fp16
from tunesmith.tasks.policies.data import PolicyTaskData
from tunesmith.tasks.task import Session, SplitLengths
from tunesmith.training.policies.answers import Tokens, ended
from tunesmith.training.schedule import plan_schedule

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NO_ROOM = "its prompt and the answer's length do not fit into the context"
TOO_LONG = "its prompt does not fit into the encoder"


@dataclass(frozen=True)
class PromptReader:
    """Turns the prompts of rows into tokens; those of an encoder end as its tokenizer ends texts, since nothing continues them.

    Attributes:
        max_length: largest number of tokens that the model reads: prompt and answer together, or those of its encoder.
        length_key: the recipe's key of the length of answers, for errors.
    """

    tokenizer: PreTrainedTokenizerBase
    template: Template
    objective: Objective
    section: PolicySection
    max_length: int
    length_key: str

    @property
    def longest_prompt(self) -> int:
        return self.max_length - (0 if self.objective.has_encoder else self.section.answer_length)

    def prompts(self, rows: Conversations) -> list[list[int]]:
        """Tokenises the prompts of a split (N): by the template, or of plain texts the first ``prompt_tokens`` tokens."""
        if rows.kind == "text":
            start = len(plain_ids(self.tokenizer, ""))
            texts = [plain_ids(self.tokenizer, turns[0].content) for turns in rows.turns]
            every = [ids[: start + self.section.prompt_tokens] for ids in texts]
        else:
            every = [prompt_ids(self.tokenizer, self.template, turns) for turns in rows.turns]
        return [closed(self.tokenizer, ids) for ids in every] if self.objective.has_encoder else every

    def split(self, rows: Conversations) -> PromptSplit:
        """Tokenises a split, and drops the rows whose prompts leave no room. Raises DataError if none is left."""
        every = self.prompts(rows)
        kept = [i for i, ids in enumerate(every) if 0 < len(ids) <= self.longest_prompt]
        if not kept:
            raise self.no_room(rows, max(map(len, every)))
        dropped = {TOO_LONG if self.objective.has_encoder else NO_ROOM: len(every) - len(kept)}
        return PromptSplit(rows.take(kept, rows.split), tuple(every[i] for i in kept), dropped, self.max_length)

    def no_room(self, rows: Conversations, longest: int) -> InputError:
        """Returns the error of prompts of which none can be answered."""
        if self.objective.has_encoder:
            message = f"no prompt of {rows.split} fits into the encoder: the longest has {plural(longest, 'token')}, and "
            message += f"{self.max_length:,} are read."
            return DataError.one(rows.source, message, "Raise data.max_length, or shorten the prompts.")
        message = f"no prompt of {rows.split} leaves room for an answer: {plural(longest, 'token')} and {self.length_key} "
        message += f"{self.section.answer_length} are more than the {self.max_length} that the model reads."
        return DataError.one(rows.source, message, f"Lower {self.length_key}, raise data.max_length, or shorten the prompts.")


@dataclass(frozen=True)
class PromptSplit:
    """The prompts of one split as tokens.

    Attributes:
        rows: the rows whose prompts leave room for an answer.
        prompts: (N) token ids.
        dropped: the reason -> the number of rows whose prompts leave no room.
        max_length: see ``PromptReader``.
    """

    rows: Conversations
    prompts: tuple[list[int], ...]
    dropped: Mapping[str, int]
    max_length: int

    @property
    def n_dropped(self) -> int:
        return sum(self.dropped.values())

    def __len__(self) -> int:
        return len(self.prompts)

    @cached_property
    def are_texts(self) -> bool:
        """Tells whether every prompt is one text, and no list of messages or dialogue."""
        column = self.rows.columns[0]
        return all(
            isinstance(row[column], str) and len(turns) == 2 for row, turns in zip(self.rows.rows, self.rows.turns, strict=True)
        )

    def clusters(self) -> dict[str, Array | None]:
        """Returns the cluster of each row: those with one prompt or group share one."""
        texts = [first_prompt(turns) for turns in self.rows.turns]
        return {"row_scores": row_clusters(texts, groups=self.rows.groups)}

    def first_rows(self, count: int) -> PromptSplit:
        """Returns the split with its first rows alone."""
        few = list(range(min(count, len(self))))
        return replace(self, rows=self.rows.take(few, self.rows.split), prompts=self.prompts[:count])

    def lengths(self) -> SplitLengths:
        """Returns the lengths of the prompts."""
        sizes = np.array([len(prompt) for prompt in self.prompts])
        counts, edges = np.histogram(sizes, bins=min(30, max(1, int(np.ptp(sizes)))))
        record = {
            "max_length": self.max_length,
            "length_tokens": {"max": int(sizes.max()), "median": float(np.median(sizes)), "mean": float(sizes.mean())},
            "rows_dropped": {reason: n for reason, n in self.dropped.items() if n},
            "length_histogram": {"edges": [float(edge) for edge in edges], "counts": counts.tolist()},
        }
        return SplitLengths(len(self) + self.n_dropped, self.n_dropped, record)


@dataclass(frozen=True, kw_only=True)
class PolicySession(Session):
    """A policy of one seed.

    Attributes:
        reader: turns prompts into tokens.
        layout: where the model reads prompts and answers.
        splits: every split as tokens, train included.
        reference: the frozen base model; None where it is the policy with its adapter disabled.
        seed: of the samples in training.
    """

    data: PolicyTaskData = field()
    reader: PromptReader
    layout: AnswerLayout
    splits: Mapping[str, PromptSplit]
    reference: PreTrainedModel | None
    seed: int

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self.reader.tokenizer

    @property
    def template(self) -> Template:
        return self.reader.template

    @property
    def section(self) -> PolicySection:
        return self.data.section

    @property
    def policy(self) -> Any:
        """Returns the language model that is trained, without what the training adds to it."""
        return self.model

    @property
    def body(self) -> Any:
        return self.policy

    @property
    def pad_id(self) -> int:
        return self.layout.pad_id

    @property
    def evaluation_splits(self) -> dict[str, PromptSplit]:
        """Returns the evaluation splits, the main one last."""
        return {name: split for name, split in self.splits.items() if name != "train"}


@dataclass(frozen=True)
class LoadedPolicy:
    """The base model of a policy, before an adapter is added.

    Attributes:
        reference: a frozen copy of the model.
    """

    loaded: LoadedModel
    reference: PreTrainedModel
    reader: PromptReader
    layout: AnswerLayout
    splits: Mapping[str, PromptSplit]


def load_policy(data: PolicyTaskData, seed: int, objectives: Sequence[Objective] = (CAUSAL,)) -> LoadedPolicy:
    """Loads the base model and its tokenizer, copies the model as reference, and tokenises the prompts.

    Args:
        objectives: of the models that the method trains.
    """
    data.clock.part("loading")
    objective = policy_objective(data, objectives)
    tokenizer, key = load_tokenizer(data.source), f"{data.section_name}.chat_template"
    requested, is_plain = data.section.chat_template, objective.has_encoder
    template = choose_template(tokenizer, requested, data.rows.train, data.base, key, single_turns_plain=is_plain)
    adopt_template(tokenizer, template)
    seed_everything(seed)
    loaded = load_language_model(data.source, tokenizer, objective)
    layout = AnswerLayout(tokenizer.pad_token_id, tuple(decoder_prefix(loaded.model, tokenizer)))
    require_room_for_answers(data, loaded, layout)
    max_length = max_input_tokens(position_limit(loaded.model), tokenizer, data.recipe.data.max_length)
    data.clock.part("tokenising")
    reader = PromptReader(tokenizer, template, objective, data.section, max_length, data.length_key)
    splits = {name: reader.split(rows) for name, rows in data.rows.named().items()}
    return LoadedPolicy(loaded, frozen_copy(loaded.model), reader, layout, splits)


def policy_objective(data: PolicyTaskData, objectives: Sequence[Objective]) -> Objective:
    """Returns the objective of the base model. Raises for one that the method does not train, and for fp16 on T5's relatives."""
    objective = require_objective(data.source, objectives, data.recipe.task)
    refuse_fp16(data.recipe, load_config(data.source).model_type)
    return objective


def require_room_for_answers(data: PolicyTaskData, loaded: LoadedModel, layout: AnswerLayout) -> None:
    """Raises RecipeError for answers that a decoder with an encoder has too few positions for."""
    positions, length, n_before = context_limit(loaded.model.config), data.section.answer_length, len(layout.prefix)
    if layout.has_encoder and positions is not None and n_before + length > positions:
        message = f"{plural(length, 'token', 'is', 'are')} requested, and the decoder has {plural(positions, 'position')}, "
        message += f"{n_before} of them for the tokens before an answer."
        raise RecipeError.one(data.length_key, message, f"Give at most {positions - n_before}.")


def session_parts(data: PolicyTaskData, loaded: LoadedPolicy, policy: torch.nn.Module, seed: int) -> dict[str, Any]:
    """Returns the fields of a session that do not depend on the method; the reference is None where an adapter is disabled."""
    reference = None if is_disabled_exactly(policy) else loaded.reference.to(device_name())
    return {
        "data": data,
        "fast_path": language_fast_path(data.recipe, loaded.reader.objective),
        "metric": primary_metric(data.recipe),
        "expected_loss": float("nan"),
        "lengths": {name: split.lengths() for name, split in loaded.splits.items()},
        "reader": loaded.reader,
        "layout": loaded.layout,
        "splits": loaded.splits,
        "reference": reference,
        "seed": seed,
    }


def prepared_policy(data: PolicyTaskData, policy: LoadedPolicy, rows_per_epoch: int) -> Any:
    """Prepares the policy for training, with its adapter or with layers frozen, and without dropout."""
    recipe, loaded = data.recipe, policy.loaded
    if recipe.adapter is None:
        freeze(loaded.model, recipe.train.train_layers)
        model: Any = loaded.model
    else:
        steps = plan_schedule(batches_per_epoch(rows_per_epoch, recipe), recipe.train).total_steps
        model = add_language_adapter(loaded, recipe.adapter, steps, policy.reader.objective)
    set_dropout(model, 0.0)
    return model


def frozen_copy(model: PreTrainedModel) -> PreTrainedModel:
    """Copies a model, with its weights frozen and in evaluation mode."""
    copied: PreTrainedModel = copy.deepcopy(model)
    return copied.requires_grad_(False).eval()


def is_disabled_exactly(policy: torch.nn.Module) -> bool:
    """Tells whether a policy with its adapter disabled is the base model: it has one, which left the base weights as they are."""
    configs = getattr(policy, "peft_config", {}).values()
    return bool(configs) and hasattr(policy, "disable_adapter") and not any(changes_base(config) for config in configs)


@contextmanager
def reference_model(session: PolicySession) -> Iterator[Any]:
    """Yields the model that the policy started from: the frozen copy, or the policy with its adapter disabled."""
    if session.reference is not None:
        yield session.reference
        return
    policy: Any = session.policy
    with policy.disable_adapter():
        yield policy


def completions(session: PolicySession, split: PromptSplit, rows: Sequence[int], answers: Tokens) -> Completions:
    """Returns answers to prompts of a split as reward functions read them.

    Where prompts are lists of messages or dialogues, answers are lists of one message, as with TRL's trainers.
    """
    texts = decoded_answers(session, [split.prompts[row] for row in rows], answers)
    cells = [split.rows.rows[row] for row in rows]
    prompts: list[Any] = [prompt_of(session, split, row) for row in rows]
    finished = ended(answers, model_end_ids(session.policy, session.tokenizer)) > 0
    return completions_of(prompts, texts, [list(answer) for answer in answers], cells, finished.tolist())


def prompt_of(session: PolicySession, split: PromptSplit, row: int) -> Any:
    """Returns a prompt as reward functions read it: its text, or messages where not every prompt is one text."""
    turns = split.rows.turns[row]
    if split.rows.kind == "text":
        return str(session.tokenizer.decode(split.prompts[row], skip_special_tokens=True, clean_up_tokenization_spaces=False))
    return turns[0].content if split.are_texts else to_messages(turns[:-1])


def decoded_answers(session: PolicySession, prompts: Tokens, answers: Tokens) -> list[str]:
    """Decodes the text of each answer, without special tokens: what it adds to its prompt, or the whole text of a decoder."""
    before = [()] * len(prompts) if session.layout.has_encoder else prompts
    return [continuation(session.tokenizer, list(first), list(answer)) for first, answer in zip(before, answers, strict=True)]
