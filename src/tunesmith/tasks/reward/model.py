"""Loads a reward model, and tokenises the pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tunesmith.data.chat.rows import Conversations
from tunesmith.data.preferences.rows import PreferencePairs
from tunesmith.evaluation.preferences import bradley_terry_losses
from tunesmith.machine import device_name, seed_everything
from tunesmith.models.adapters.attach import add_adapter
from tunesmith.models.chat.template import Template, adopt_template, choose_template
from tunesmith.models.encode import Encoded, length_record, used_token_ids
from tunesmith.models.fast.path import choose_fast_path
from tunesmith.models.inference import supported_path
from tunesmith.models.language.model import CAUSAL, MASKED, require_objective
from tunesmith.models.layers import freeze, set_dropout
from tunesmith.models.load import LoadedModel, load_tokenizer, max_input_tokens, position_limit
from tunesmith.models.reward.model import is_decoder, load_reward_model
from tunesmith.models.reward.reading import AnswerReader, EncodedPairs, read_pairs
from tunesmith.recipe.batches import batches_per_epoch
from tunesmith.recipe.tasks import primary_metric
from tunesmith.tasks.reward.data import RewardData
from tunesmith.tasks.task import Session, SplitLengths
from tunesmith.training.schedule import plan_schedule
from tunesmith.training.trainers.rewards import joined


@dataclass(frozen=True, kw_only=True)
class RewardSession(Session):
    """A reward model of one seed.

    Attributes:
        loaded: the base model with its head, before anything is frozen or added.
        reader: tokenises answers, in training as in use.
        pairs: split -> tokens.
        answers: split -> the tokens of judged answers, of validation and test; empty where the rows are pairs.
    """

    data: RewardData = field()
    loaded: LoadedModel
    reader: AnswerReader
    pairs: Mapping[str, EncodedPairs]
    answers: Mapping[str, Encoded]

    @property
    def pad_id(self) -> int:
        pad_id: int = self.loaded.tokenizer.pad_token_id
        return pad_id


def load(data: RewardData, seed: int, earlier: RewardSession | None = None) -> RewardSession:
    """Loads the base model with a fresh head drawn by this seed, and tokenises the pairs.

    Args:
        earlier: a session whose tokens are used again.
    """
    recipe = data.recipe
    data.clock.part("loading")
    require_objective(data.source, (CAUSAL, MASKED), recipe.task)
    tokenizer = load_tokenizer(data.source)
    seed_everything(seed)
    loaded = load_reward_model(data.source, tokenizer)
    data.clock.part("tokenising")
    reader = earlier.reader if earlier is not None else make_reader(data, loaded)
    pairs = earlier.pairs if earlier is not None else {
        name: read_pairs(reader, rows) for name, rows in data.pairs.named().items()
    }  # fmt: skip
    if recipe.train.dropout is not None:
        set_dropout(loaded.model, recipe.train.dropout)
    chosen = choose_fast_path(recipe.train.fast, device_name(), attention=recipe.model.attn_implementation)
    fast_path, model, n_rows = supported_path(loaded.model, chosen), loaded.model, len(pairs["train"])
    if recipe.adapter is not None:
        model = add_adapter(model, recipe.adapter, plan_schedule(batches_per_epoch(n_rows, recipe), recipe.train).total_steps)
    else:
        freeze(model, recipe.train.train_layers)
    return RewardSession(
        data=data,
        model=model.to(device_name()),
        fast_path=fast_path,
        rows_per_epoch=n_rows,
        metric=primary_metric(recipe),
        expected_loss=expected_first_loss(pairs["train"]),
        new_weights=loaded.new_weights,
        lengths={name: split_lengths(rows) for name, rows in pairs.items()},
        used_token_ids=used_token_ids(joined(pairs["train"]), tokenizer.pad_token_id),
        loaded=loaded,
        reader=reader,
        pairs=pairs,
        answers=earlier.answers
        if earlier is not None
        else {name: reader.read(name, rows.row_ids, rows.prompts, rows.answers) for name, rows in data.judged.items()},
    )


def make_reader(data: RewardData, loaded: LoadedModel) -> AnswerReader:
    """Builds the reader of the model's inputs: by a chat template for a decoder, as two texts for an encoder."""
    section, tokenizer, template = data.recipe.reward, loaded.tokenizer, None
    if is_decoder(loaded.model.config, f"model.name {data.source.name}"):
        template = template_for(data, tokenizer)
        adopt_template(tokenizer, template)
        if len(tokenizer) > loaded.model.get_input_embeddings().weight.shape[0]:
            loaded.model.resize_token_embeddings(len(tokenizer))
    max_length = max_input_tokens(position_limit(loaded.model), tokenizer, data.recipe.data.max_length)
    return AnswerReader(tokenizer, template, max_length, section.truncation_side)


def template_for(data: RewardData, tokenizer: object) -> Template:
    """Chooses the chat template: the tokenizer's, the requested one, or the default for turns."""
    return choose_template(tokenizer, data.recipe.reward.chat_template, chats_of(data.pairs.train), data.base)  # type: ignore[arg-type]


def chats_of(rows: PreferencePairs) -> Conversations:
    """Returns the prompts with their chosen answers as conversations."""
    turns = tuple((*prompt, *answer) for prompt, answer in zip(rows.prompts, rows.chosen, strict=True))
    return Conversations(rows.split, rows.source, rows.row_ids, kind="messages", columns=rows.columns, turns=turns)


def expected_first_loss(pairs: EncodedPairs) -> float:
    """Returns the loss of equal rewards: ln 2 without margins."""
    if pairs.margins is None:
        return math.log(2)
    return float(bradley_terry_losses(np.zeros(len(pairs)), pairs.margins).mean())


def split_lengths(pairs: EncodedPairs) -> SplitLengths:
    """Returns the lengths of both answers with their prompts, and the pairs of which one was cut."""
    record = {**length_record(joined(pairs)), "rows_truncated": int(pairs.cut.sum()), "same_after_cut": int(pairs.same.sum())}
    return SplitLengths(len(pairs), int(pairs.cut.sum()), record)
