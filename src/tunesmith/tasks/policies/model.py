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
from tunesmith.errors import DataError, ModelError
from tunesmith.evaluation.rewards import Completions
from tunesmith.generation.decode import model_end_ids
from tunesmith.generation.token_text import continuation
from tunesmith.machine import device_name, seed_everything
from tunesmith.models.adapters.attach import add_language_adapter
from tunesmith.models.adapters.methods import changes_base
from tunesmith.models.chat.prompts import plain_ids, prompt_ids
from tunesmith.models.chat.template import Template, adopt_template, choose_template, to_messages
from tunesmith.models.language.model import CAUSAL, detect_objective, load_language_model
from tunesmith.models.layers import freeze, set_dropout
from tunesmith.models.load import LoadedModel, load_config, load_tokenizer, max_input_tokens, position_limit
from tunesmith.recipe.batches import batches_per_epoch
from tunesmith.recipe.reinforcement_sections import PolicySection
from tunesmith.recipe.tasks import primary_metric
from tunesmith.tasks.language.batches import language_fast_path
from tunesmith.tasks.policies.data import PolicyTaskData
from tunesmith.tasks.task import Session, SplitLengths
from tunesmith.training.policies.answers import Tokens, ended
from tunesmith.training.schedule import plan_schedule

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NO_ROOM = "its prompt and the answer's length do not fit into the context"


@dataclass(frozen=True)
class PromptSplit:
    """The prompts of one split as tokens.

    Attributes:
        rows: the rows whose prompts leave room for an answer.
        prompts: (N) token ids.
        n_dropped: rows whose prompts leave no room.
        max_length: most tokens of prompt and answer together.
    """

    rows: Conversations
    prompts: tuple[list[int], ...]
    n_dropped: int
    max_length: int

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
            "rows_dropped": {NO_ROOM: self.n_dropped} if self.n_dropped else {},
            "length_histogram": {"edges": [float(edge) for edge in edges], "counts": counts.tolist()},
        }
        return SplitLengths(len(self) + self.n_dropped, self.n_dropped, record)


@dataclass(frozen=True, kw_only=True)
class PolicySession(Session):
    """A policy of one seed.

    Attributes:
        splits: every split as tokens, train included.
        reference: the frozen base model; None where it is the policy with its adapter disabled.
        seed: of the samples in training.
    """

    data: PolicyTaskData = field()
    tokenizer: PreTrainedTokenizerBase
    template: Template
    splits: Mapping[str, PromptSplit]
    reference: PreTrainedModel | None
    seed: int

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
        pad: int = self.tokenizer.pad_token_id
        return pad

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
    template: Template
    splits: Mapping[str, PromptSplit]


def load_policy(data: PolicyTaskData, seed: int) -> LoadedPolicy:
    """Loads the base model and its tokenizer, copies the model as reference, and tokenises the prompts."""
    recipe = data.recipe
    data.clock.part("loading")
    config = load_config(data.source)
    objective = detect_objective(config, f"model.name {data.source.name}")
    if objective != CAUSAL:
        why = "it generates no answers" if objective.needs_masking else "only policies without an encoder are trained by rewards"
        message = f"{data.source.name} is a {objective.name} language model ({config.model_type}): {why}."
        raise ModelError.one("model.name", message, "Name a causal one, such as builtin:pocket.")
    tokenizer = load_tokenizer(data.source)
    key = f"{data.section_name}.chat_template"
    template = choose_template(tokenizer, data.section.chat_template, data.rows.train, data.base, key)
    adopt_template(tokenizer, template)
    seed_everything(seed)
    loaded = load_language_model(data.source, tokenizer, CAUSAL)
    max_length = max_input_tokens(position_limit(loaded.model), tokenizer, recipe.data.max_length)
    data.clock.part("tokenising")
    splits = {
        name: tokenised(rows, tokenizer, template, data.section, max_length, data.length_key)
        for name, rows in data.rows.named().items()
    }
    return LoadedPolicy(loaded, frozen_copy(loaded.model), template, splits)


def session_parts(data: PolicyTaskData, loaded: LoadedPolicy, policy: torch.nn.Module, seed: int) -> dict[str, Any]:
    """Returns the fields of a session that do not depend on the method; the reference is None where an adapter is disabled."""
    reference = None if is_disabled_exactly(policy) else loaded.reference.to(device_name())
    return {
        "data": data,
        "fast_path": language_fast_path(data.recipe, CAUSAL),
        "metric": primary_metric(data.recipe),
        "expected_loss": float("nan"),
        "lengths": {name: split.lengths() for name, split in loaded.splits.items()},
        "tokenizer": loaded.loaded.tokenizer,
        "template": loaded.template,
        "splits": loaded.splits,
        "reference": reference,
        "seed": seed,
    }


def prepared_policy(data: PolicyTaskData, loaded: LoadedModel, rows_per_epoch: int) -> Any:
    """Prepares the policy for training, with its adapter or with layers frozen, and without dropout."""
    recipe = data.recipe
    if recipe.adapter is None:
        freeze(loaded.model, recipe.train.train_layers)
        policy = loaded.model
    else:
        steps = plan_schedule(batches_per_epoch(rows_per_epoch, recipe), recipe.train).total_steps
        policy = add_language_adapter(loaded, recipe.adapter, steps, CAUSAL)
    set_dropout(policy, 0.0)
    return policy


def tokenised(
    rows: Conversations,
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    section: PolicySection,
    max_length: int,
    length_key: str,
) -> PromptSplit:
    """Tokenises the prompts of a split, and drops those that leave no room. Raises DataError if none is left."""
    if rows.kind == "text":
        start = len(plain_ids(tokenizer, ""))
        every = [plain_ids(tokenizer, turns[0].content)[: start + section.prompt_tokens] for turns in rows.turns]
    else:
        every = [prompt_ids(tokenizer, template, turns) for turns in rows.turns]
    kept = [i for i, ids in enumerate(every) if 0 < len(ids) <= max_length - section.answer_length]
    if not kept:
        longest = plural(max(map(len, every)), "token")
        message = f"no prompt of {rows.split} leaves room for an answer: {longest} and {length_key} "
        message += f"{section.answer_length} are more than the {max_length} that the model reads."
        raise DataError.one(rows.source, message, f"Lower {length_key}, raise data.max_length, or shorten the prompts.")
    return PromptSplit(rows.take(kept, rows.split), tuple(every[i] for i in kept), len(every) - len(kept), max_length)


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
    texts: list[Any] = decoded_answers(session, [split.prompts[row] for row in rows], answers)
    cells = [split.rows.rows[row] for row in rows]
    prompts: list[Any] = [prompt_of(session, split, row) for row in rows]
    if prompts and isinstance(prompts[0], list):
        texts = [[{"role": "assistant", "content": text}] for text in texts]
    columns = {name: [row.get(name) for row in cells] for name in (cells[0] if cells else ())}
    finished = ended(answers, model_end_ids(session.policy, session.tokenizer)) > 0
    return Completions(prompts, texts, [list(answer) for answer in answers], columns, finished.tolist())


def prompt_of(session: PolicySession, split: PromptSplit, row: int) -> Any:
    """Returns a prompt as reward functions read it: its text, or messages where not every prompt is one text."""
    turns = split.rows.turns[row]
    if split.rows.kind == "text":
        return str(session.tokenizer.decode(split.prompts[row], skip_special_tokens=True, clean_up_tokenization_spaces=False))
    return turns[0].content if split.are_texts else to_messages(turns[:-1])


def decoded_answers(session: PolicySession, prompts: Tokens, answers: Tokens) -> list[str]:
    """Decodes the text that each answer adds to its prompt, without special tokens."""
    return [continuation(session.tokenizer, list(prompt), list(answer)) for prompt, answer in zip(prompts, answers, strict=True)]
