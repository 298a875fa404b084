"""Samples answers of a policy to prompts with their rewards, and measures how far it is from another policy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.data.cells import plural
from tunesmith.data.chat.messages import Turn
from tunesmith.data.chat.rows import Conversations
from tunesmith.data.preferences.rows import JudgedAnswers
from tunesmith.data.preferences.sampled import SampledAnswer, answer
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.rewards import Rewards, completions_of
from tunesmith.generation.decode import model_end_ids
from tunesmith.generation.sampling import Sampling, sample_answers
from tunesmith.generation.token_text import continuation
from tunesmith.machine import device_name, seed_everything
from tunesmith.models.chat.answers import conversations_of
from tunesmith.models.chat.prompts import plain_ids, prompt_ids
from tunesmith.models.chat.render import render
from tunesmith.models.chat.template import Template, adopt_template, choose_template, to_messages
from tunesmith.models.language.model import CAUSAL, load_language_model, require_objective
from tunesmith.models.language.value_head import AnswerLayout
from tunesmith.models.layers import set_dropout
from tunesmith.models.load import load_tokenizer, max_input_tokens, position_limit
from tunesmith.models.source import find_model
from tunesmith.recipe.sections import Recipe
from tunesmith.tasks.language.batches import language_fast_path
from tunesmith.tasks.language.model import stop_at
from tunesmith.training.policies.answers import Tokens, answer_divergences, ended

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Policy:
    """A language model that answers prompts.

    Attributes:
        max_length: most tokens of prompt and answer together.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    precision: str
    max_length: int

    @property
    def pad_id(self) -> int:
        return int(self.tokenizer.pad_token_id)


@dataclass(frozen=True)
class PolicyPrompts:
    """Prompts as tokens of a policy.

    Attributes:
        rows: the prompts (N).
        ids: (N) token ids before the answer, those that a training has there.
        n_dropped: prompts that leave no room for an answer.
    """

    rows: Conversations
    ids: tuple[list[int], ...]
    n_dropped: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, row: int) -> Any:
        """Returns a prompt as reward functions read it: its text, or messages where the row has messages."""
        turns, cell = self.rows.turns[row], self.rows.rows[row][self.rows.columns[0]]
        if len(turns) == 2 and (self.rows.kind == "text" or isinstance(cell, str)):
            return turns[0].content
        return to_messages(turns[:-1])


@dataclass(frozen=True)
class PolicyAnswers:
    """One answer to each prompt: its tokens, and what is known of it."""

    tokens: tuple[list[int], ...]
    answers: tuple[SampledAnswer, ...]


def policy_tokenizer(recipe: Recipe, base: Path, rows: Conversations) -> tuple[PreTrainedTokenizerBase, Template]:
    """Loads the tokenizer of the recipe's model, with the chat template that a training chooses for these prompts.

    Raises RecipeError for plain texts and a tokenizer that has a template.
    """
    source = find_model(recipe.model, base)
    require_objective(source, (CAUSAL,), recipe.task)
    tokenizer = load_tokenizer(source)
    rows = beginnings(rows, tokenizer, 1)
    with_answers = conversations_of(as_judged(rows))
    template = choose_template(tokenizer, recipe.preference.chat_template, with_answers, base, "preference.chat_template")
    if rows.kind == "text" and template.source != "none":
        message = f"the rows are plain texts to be continued, and {source.name} answers by a chat template."
        raise RecipeError.one("data.train", message, "Give prompts (a column prompt), or a model without a chat template.")
    adopt_template(tokenizer, template)
    return tokenizer, template


def as_judged(rows: Conversations) -> JudgedAnswers:
    """Returns prompts with a made-up answer, so that they are rendered as those of a training."""
    n = len(rows)
    return JudgedAnswers(
        rows.split, rows.source, rows.row_ids, kind="prompts", columns=rows.columns, desirable=(True,) * n,
        prompts=tuple(turns[:-1] for turns in rows.turns), answers=(answer("a"),) * n,
    )  # fmt: skip


def beginnings(rows: Conversations, tokenizer: PreTrainedTokenizerBase, n_tokens: int) -> Conversations:
    """Returns plain texts as prompts: their first tokens. Prompts stay as they are."""
    if rows.kind != "text" or all(len(turns) > 1 for turns in rows.turns):
        return rows
    start = len(plain_ids(tokenizer, ""))
    texts = []
    for turns in rows.turns:
        ids = plain_ids(tokenizer, turns[0].content)[: start + n_tokens]
        texts.append(str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)))
    return replace(rows, turns=tuple((Turn("user", text), Turn("assistant", "")) for text in texts))


def load_policy(recipe: Recipe, base: Path, rows: Conversations) -> Policy:
    """Loads the recipe's model as a training of preferences does, without dropout, with the same template and ends of answers."""
    tokenizer, template = policy_tokenizer(recipe, base, rows)
    seed_everything(recipe.train.seed)
    loaded = load_language_model(find_model(recipe.model, base), tokenizer, CAUSAL)
    set_dropout(loaded.model, 0.0)
    first = as_judged(rows.take([0], rows.split))
    stop_at(loaded.model, render(tokenizer, conversations_of(first), template, None, "assistant", "drop").end_ids)
    max_length = max_input_tokens(position_limit(loaded.model), tokenizer, recipe.data.max_length)
    model = loaded.model.to(device_name())
    return Policy(model, tokenizer, template, language_fast_path(recipe, CAUSAL).precision, max_length)


def tokenised(policy: Policy, rows: Conversations, response_length: int) -> PolicyPrompts:
    """Tokenises prompts, and drops those that leave no room for an answer. Raises DataError if none is left."""
    every = [prompt_ids(policy.tokenizer, policy.template, turns) for turns in rows.turns]
    kept = [i for i, ids in enumerate(every) if 0 < len(ids) <= policy.max_length - response_length]
    if not kept:
        longest = plural(max(map(len, every)), "token")
        message = f"no prompt of {rows.split} leaves room for an answer: {longest} and rounds.response_length {response_length} "
        message += f"are more than the {policy.max_length} that the model reads."
        raise DataError.one(rows.source, message, "Lower rounds.response_length, raise data.max_length, or shorten the prompts.")
    return PolicyPrompts(rows.take(kept, rows.split), tuple(every[i] for i in kept), len(every) - len(kept))


def sampled(policy: Policy, prompts: PolicyPrompts, sampling: Sampling, rewards: Rewards | None) -> PolicyAnswers:
    """Samples an answer to each prompt, and gives it its rewards; the random numbers of a prompt follow from its row id."""
    ids = sample_answers(
        policy.model, policy.tokenizer, prompts.ids, sampling, precision=policy.precision, rows=prompts.rows.row_ids
    )
    texts = [continuation(policy.tokenizer, prompt, tokens) for prompt, tokens in zip(prompts.ids, ids, strict=True)]
    finished = (ended(ids, model_end_ids(policy.model, policy.tokenizer)) > 0).tolist()
    proxy: Sequence[float | None] = [None] * len(ids)
    gold = proxy
    if rewards is not None:
        read = [prompts.read(row) for row in range(len(prompts))]
        completions = completions_of(read, texts, ids, prompts.rows.rows, finished)
        proxy, scores = rewards.proxy(completions).tolist(), rewards.gold_scores(completions)
        gold = gold if scores is None else scores.tolist()
    parts = zip(texts, map(len, ids), finished, proxy, gold, strict=True)
    return PolicyAnswers(tuple(ids), tuple(SampledAnswer(*part) for part in parts))


def divergences(
    policy: Policy, reference: Policy, prompts: PolicyPrompts, answers: Tokens, *, temperature: float, batch_rows: int
) -> list[float]:
    """Computes the exact KL of a policy from another one on its answers: (N) in nats."""
    found = answer_divergences(
        policy.model, lambda: nullcontext(reference.model), prompts.ids, answers, temperature=temperature,
        batch_rows=batch_rows, layout=AnswerLayout(policy.pad_id), precision=policy.precision,
    )  # fmt: skip
    return [float(value) for value in found]
