"""Loads a language model with its reference, and tokenises pairs and judged answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.errors import ModelError, RecipeError
from tunesmith.generation.arguments import Decoding
from tunesmith.machine import device_name, seed_everything
from tunesmith.models.adapters.attach import adapter_config, add_language_adapter
from tunesmith.models.adapters.methods import BOTTLENECKS, changes_base
from tunesmith.models.chat.answers import RenderedAnswers, answers_record, conversations_of, render_answers
from tunesmith.models.chat.template import Template, adopt_template, choose_template
from tunesmith.models.language.model import CAUSAL, Objective, load_language_model, require_objective
from tunesmith.models.language.reference import AdapterOff, frozen_copy
from tunesmith.models.layers import freeze, set_dropout
from tunesmith.models.load import LoadedModel, load_tokenizer, max_input_tokens, position_limit
from tunesmith.recipe.batches import batches_per_epoch
from tunesmith.recipe.metric_names import PREFERENCE_SCORES
from tunesmith.recipe.metric_roles import METRIC
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.tasks import primary_metric
from tunesmith.tasks.language.batches import language_fast_path
from tunesmith.tasks.language.model import ROOM, stop_at
from tunesmith.tasks.language.scoring import GenerationEval
from tunesmith.tasks.preference.data import PreferenceRows, PreferenceTaskData
from tunesmith.tasks.preference.scoring import PreferenceSplit, make_split, score_answers
from tunesmith.tasks.task import Session, SplitLengths
from tunesmith.training.arguments import training_arguments
from tunesmith.training.losses.preference_choice import ChosenLosses
from tunesmith.training.sampling import interleaved_rows
from tunesmith.training.schedule import plan_schedule
from tunesmith.training.trainers.preference import PreferenceTokens, PreferenceTrainer, own_arguments
from tunesmith.training.trainers.preference_kinds import config_class, trainer_class

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TrainingArguments

    from tunesmith.models.fast.path import FastPath
    from tunesmith.tasks.task import EvaluateFn

UNUSED_RATE = 1e-6
"""Learning rate of a trainer that trains nothing."""
COPY, ADAPTER_OFF, NO_REFERENCE = "a frozen copy of {}", "{} with the adapter off", "none: the loss needs no reference"


@dataclass(frozen=True, kw_only=True)
class PreferenceSession(Session):
    """A language model of one seed with its reference.

    Attributes:
        loaded: the base model, before anything is frozen or added.
        train: the training rows as tokens.
        tokens: the training rows as the trainer has them.
        splits: the evaluation splits, scored by the model before training.
        generation: settings of generating answers.
        reference: TRL's reference model; None for losses without one.
        reference_words: what the reference is, for the user.
    """

    data: PreferenceTaskData = field()
    loaded: LoadedModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    objective: Objective
    train: RenderedAnswers
    tokens: PreferenceTokens
    splits: Mapping[str, PreferenceSplit]
    generation: GenerationEval
    reference: torch.nn.Module | None
    reference_words: str

    @cached_property
    def loss_trainer(self) -> PreferenceTrainer:
        """Returns a trainer that computes TRL's loss, in the pre-flight and on validation; it trains nothing.

        Making it seeds the generators. The recipe's ``upstream`` is tried where the training is planned.
        """
        recipe = self.data.recipe.model_copy(update={"upstream": {}})
        with TemporaryDirectory() as folder:
            arguments = training_arguments(
                recipe,
                plan_schedule(batches_per_epoch(self.rows_per_epoch, recipe), recipe.train),
                self.fast_path,
                Path(folder) / "checkpoints",
                recipe.train.seed,
                UNUSED_RATE,
                arguments_class=config_class(self.losses.trainer),
                own_arguments=trl_arguments(self),
            )
            return make_trainer(self, arguments, lambda _model: {})

    @property
    def pad_id(self) -> int:
        return self.tokens.pad_id

    @property
    def losses(self) -> ChosenLosses:
        return self.data.losses


@dataclass(frozen=True)
class Scorer:
    """The part of a session that scores answers (``tasks.language.scoring.TokenSession``)."""

    tokenizer: PreTrainedTokenizerBase
    template: Template
    objective: Objective
    fast_path: FastPath
    pad_id: int


@dataclass(frozen=True)
class ReadModel:
    """A model as it was loaded, and the rows of a run as its tokens."""

    loaded: LoadedModel
    scorer: Scorer
    rendered: Mapping[str, RenderedAnswers]
    generation: GenerationEval


def load(data: PreferenceTaskData, seed: int, _earlier: PreferenceSession | None = None) -> PreferenceSession:
    """Loads the base model, scores the evaluation rows by it, makes the reference, and adds an adapter drawn by this seed."""
    recipe, losses = data.recipe, data.losses
    read = read_model(data, seed)
    train = read.rendered["train"]
    data.clock.part("scoring by the untrained model")
    splits = {
        name: scored_split(data.all_rows[name], rendered, read, recipe.evaluate.answers.rows)
        for name, rendered in read.rendered.items()
        if name != "train"
    }
    n_items = interleaved_rows(len(train), recipe.train.batch_rows) if losses.is_unpaired else len(train)
    model, reference, words = with_reference(data, read.loaded, n_items)
    expected = losses.first_loss(math.nan, float(np.mean(train.desirable or [True])))
    return PreferenceSession(
        data=data,
        model=model,
        fast_path=read.scorer.fast_path,
        rows_per_epoch=n_items,
        metric=leading_metric(recipe),
        expected_loss=math.nan if expected is None else expected,
        new_weights=read.loaded.new_weights,
        lengths={name: split_lengths(rows) for name, rows in read.rendered.items()},
        loaded=read.loaded,
        tokenizer=read.scorer.tokenizer,
        template=read.scorer.template,
        objective=read.scorer.objective,
        train=train,
        tokens=training_tokens(train, read.scorer.pad_id),
        splits=splits,
        generation=read.generation,
        reference=reference,
        reference_words=words,
    )


def read_model(data: PreferenceTaskData, seed: int) -> ReadModel:
    """Loads the base model without dropout, on this machine's device, and renders all rows."""
    recipe = data.recipe
    data.clock.part("loading")
    require_objective(data.source, (CAUSAL,), recipe.task)
    tokenizer = load_tokenizer(data.source)
    requested, where = recipe.preference.chat_template, "preference.chat_template"
    template = choose_template(tokenizer, requested, conversations_of(data.rows.train), data.base, where)
    adopt_template(tokenizer, template)
    seed_everything(seed)
    loaded = load_language_model(data.source, tokenizer, CAUSAL)
    set_dropout(loaded.model, 0.0)
    max_length = max_input_tokens(position_limit(loaded.model), tokenizer, recipe.data.max_length)
    data.clock.part("tokenising")
    rendered = {
        name: render_answers(tokenizer, rows, template, max_length, recipe.preference.long_rows)
        for name, rows in data.all_rows.items()
    }
    stop_at(loaded.model, rendered["train"].end_ids)
    loaded.model.to(device_name())
    scorer = Scorer(tokenizer, template, CAUSAL, language_fast_path(recipe, CAUSAL), int(tokenizer.pad_token_id))
    return ReadModel(loaded, scorer, rendered, generation_settings(recipe, rendered["train"]))


def scored_split(source: PreferenceRows, rendered: RenderedAnswers, read: ReadModel, n_answers: int) -> PreferenceSplit:
    """Returns an evaluation split with the scores of the model as it was loaded."""
    split = make_split(source, rendered, n_answers)
    return replace(split, reference=score_answers(read.scorer, read.loaded.model, split, read.generation))


def generation_settings(recipe: Recipe, train: RenderedAnswers) -> GenerationEval:
    """Returns the settings of generating answers."""
    section, longest = recipe.evaluate.answers, max(max(side.counts) for side in train.sides)
    n_new = section.max_new_tokens or min(max(8, math.ceil(ROOM * longest)), max(1, train.max_length // 2))
    decoding = Decoding(
        max_new_tokens=n_new,
        num_beams=section.num_beams,
        do_sample=section.do_sample,
        temperature=section.temperature or 1.0,
        top_p=section.top_p or 1.0,
        seed=recipe.train.seed,
    )
    return GenerationEval(decoding, window=train.max_length)


def training_tokens(rows: RenderedAnswers, pad_id: int) -> PreferenceTokens:
    """Returns rows as a trainer has them."""
    return PreferenceTokens(rows.row_ids, rows.chosen, rows.rejected, rows.desirable, pad_id, rows.max_length)


def with_reference(data: PreferenceTaskData, loaded: LoadedModel, n_items: int) -> tuple[Any, torch.nn.Module | None, str]:
    """Returns the model to be trained, TRL's reference model, and what it is in words.

    The reference is the model as it was loaded. Of an adapter that leaves the base model's weights as they are, it is the model
    with the adapter off, which takes no memory; else it is a copy that was made before.
    """
    recipe, losses, name = data.recipe, data.losses, data.source.name
    steps = plan_schedule(batches_per_epoch(n_items, recipe), recipe.train).total_steps
    section = recipe.adapter
    is_copied = section is None or section.method in BOTTLENECKS or changes_base(adapter_config(section, steps, "CAUSAL_LM"))
    reference: torch.nn.Module | None = frozen_copy(loaded.model) if losses.has_reference and is_copied else None
    model = trainable(recipe, loaded, steps)
    if not losses.has_reference:
        return model, None, NO_REFERENCE
    if reference is None:
        return model, AdapterOff(model), ADAPTER_OFF.format(name)
    return model, reference, COPY.format(name) + (", which follows the model" if losses.is_moving else "")


def trainable(recipe: Recipe, loaded: LoadedModel, total_steps: int) -> Any:
    """Prepares the model for training: with its adapter, or with layers frozen."""
    if recipe.adapter is None:
        freeze(loaded.model, recipe.train.train_layers)
        return loaded.model
    if loaded.new_tokens:
        message = "an adapter would train the tokens that the chat template adds, and the reference would have them, too."
        raise ModelError.one("adapter", message, "Fine-tune the model with this template first (task: sft).")
    model = add_language_adapter(loaded, recipe.adapter, total_steps, CAUSAL).to(device_name())
    set_dropout(model, 0.0)
    return model


def trl_arguments(session: PreferenceSession) -> dict[str, Any]:
    """Returns the arguments that only TRL's config of the losses has."""
    return {**own_arguments(session.losses.trainer, session.tokens.max_length), **session.losses.arguments()}


def make_trainer(session: PreferenceSession, arguments: TrainingArguments, evaluate: EvaluateFn) -> PreferenceTrainer:
    """Returns TRL's trainer of the losses."""
    return trainer_class(session.losses.trainer)(
        tokens=session.tokens,
        reference=session.reference,
        moves=session.losses.is_moving,
        model=session.model,
        args=arguments,
        evaluate_fn=evaluate,
        expected_loss=session.expected_loss,
        processing_class=session.tokenizer,
    )


def leading_metric(recipe: Recipe) -> str:
    """Returns the metric that leads the verdict. Raises RecipeError for one without an interval."""
    metric = primary_metric(recipe)
    if metric not in PREFERENCE_SCORES:
        key = ".".join(METRIC)
        message = f"{metric} is one figure of all rows together, and no verdict is given on it."
        remedy = f"Write one of {', '.join(PREFERENCE_SCORES)}; {metric} may select the checkpoint: evaluate.checkpoint_metric."
        raise RecipeError.one(key, message, remedy)
    return metric


def split_lengths(rows: RenderedAnswers) -> SplitLengths:
    """Returns the lengths of one split in tokens, and what was dropped or cut."""
    n_dropped = sum(map(len, rows.dropped.values()))
    return SplitLengths(len(rows) + n_dropped, len(rows.cut) + n_dropped, answers_record(rows))
