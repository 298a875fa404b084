"""Loads a classifier or regression with its head, and tokenises the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.row_clusters import example_clusters
from tunesmith.data.table import Labels
from tunesmith.machine import device_name, seed_everything
from tunesmith.models.adapters.attach import add_adapter
from tunesmith.models.adapters.methods import PROMPT_METHODS
from tunesmith.models.adapters.quantisation import quantisation_of
from tunesmith.models.adapters.quantise import classifier_options, keep_trainable_form
from tunesmith.models.encode import Encoded, encode, length_record, used_token_ids
from tunesmith.models.fast.path import FastPath, choose_fast_path
from tunesmith.models.inference import logits, supported_path
from tunesmith.models.layers import freeze, set_dropout
from tunesmith.models.load import (
    LoadedModel,
    load_classifier,
    load_config,
    load_tokenizer,
    max_input_tokens,
    model_errors,
    position_limit,
    require_whole_weights,
)
from tunesmith.recipe.batches import batches_per_epoch
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.tasks import primary_metric, task_settings
from tunesmith.tasks.classification.data import LabelledTaskData
from tunesmith.tasks.classification.linear_head import HeadStart, TokenisedRows, new_head, some_rows, start_as_linear_model
from tunesmith.tasks.classification.synthetic_texts import DistillationPlan, plan_distillation
from tunesmith.tasks.task import Session, SplitLengths
from tunesmith.training.losses.classification import (
    LossFunction,
    class_weight_array,
    class_weights,
    expected_first_loss,
    loss_function,
)
from tunesmith.training.schedule import plan_schedule

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HEAD_INIT = ("train", "head_init")
RATE_AFTER_DISTILLATION = 0.2
"""Of the default learning rate. At the whole rate a few dozen rows undo what was distilled: 89 rows of SNLI, student 0.547,
after 100 steps 0.525; at a fifth 0.574."""


@dataclass(frozen=True)
class TokenisedSplits:
    """The tokenised rows and the loss; the same for every seed.

    Attributes:
        encoded: split -> token ids.
        expected_loss: the loss at chance level.
    """

    labels: Labels
    encoded: Mapping[str, Encoded]
    loss: LossFunction
    expected_loss: float
    max_length: int
    pad_id: int


@dataclass(frozen=True, kw_only=True)
class LabelledSession(Session):
    """A classifier or regression of one seed.

    Attributes:
        loaded: the base model with its head, before anything is frozen or added.
        head: how the head started, as a phrase.
        distillation_plan: the synthetic texts that the model starts on; None if it does not.
        distillation: how it started on them, as a phrase; empty before that.
        is_distilled: whether it was trained on them.
    """

    data: LabelledTaskData = field()
    loaded: LoadedModel
    tokens: TokenisedSplits
    head: str
    distillation_plan: DistillationPlan | None = None
    distillation: str = ""
    is_distilled: bool = False

    @property
    def start_steps(self) -> int:
        return 0 if self.distillation_plan is None else self.distillation_plan.n_steps

    @property
    def rate_factor(self) -> float:
        return RATE_AFTER_DISTILLATION if self.is_distilled else 1.0


def tokenise_splits(recipe: Recipe, splits: LabelledData, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TokenisedSplits:
    """Tokenises every split and builds the loss. Raises RecipeError for class weights that do not fit the classes."""
    encoded = {name: encode(tokenizer, examples, max_length) for name, examples in splits.named().items()}
    weights = class_weights(recipe.train.class_weights, splits.labels, splits.train.labels)
    loss = loss_function(splits.labels, weights, recipe.train.label_smoothing_factor)
    expected = expected_first_loss(splits.labels, splits.train.labels)
    return TokenisedSplits(splits.labels, encoded, loss, expected, max_length, tokenizer.pad_token_id)


def load(
    data: LabelledTaskData, seed: int, earlier: LabelledSession | None = None, tokens: TokenisedSplits | None = None
) -> LabelledSession:
    """Loads the base model with a fresh head drawn by this seed, and tokenises the rows.

    Args:
        earlier: a session whose tokens are used again.
        tokens: used in place of the rows' own, as for the folds of a cross-validation.
    """
    recipe, labels = data.recipe, data.splits.labels
    data.clock.part("loading")
    tokenizer = load_tokenizer(data.source)
    seed_everything(seed)
    loaded = load_base(data, tokenizer)
    if tokens is None and earlier is not None:
        tokens = earlier.tokens
    if tokens is None:
        data.clock.part("tokenising")
        max_length = max_input_tokens(position_limit(loaded.model), tokenizer, recipe.data.max_length)
        tokens = tokenise_splits(recipe, data.splits, tokenizer, max_length)
    n_rows = len(tokens.encoded["train"])
    if recipe.train.dropout is not None:
        set_dropout(loaded.model, recipe.train.dropout)
    chosen = choose_fast_path(recipe.train.fast, device_name(), attention=recipe.model.attn_implementation)
    fast_path = supported_path(loaded.model, chosen)
    data.clock.part("head")
    head = start_head(data, loaded, tokens, fast_path)
    model, n_steps = loaded.model, plan_schedule(batches_per_epoch(n_rows, recipe), recipe.train).total_steps
    if recipe.adapter is not None:
        model = add_adapter(model, recipe.adapter, n_steps)
    else:
        freeze(model, recipe.train.train_layers)
    return LabelledSession(
        data=data,
        model=model if recipe.quantisation is not None else model.to(device_name()),
        fast_path=fast_path,
        rows_per_epoch=n_rows,
        metric=primary_metric(recipe),
        expected_loss=tokens.expected_loss,
        new_weights=loaded.new_weights,
        class_names=() if labels.problem_type == REGRESSION else labels.names,
        lengths={name: SplitLengths(len(rows), rows.n_truncated, length_record(rows)) for name, rows in tokens.encoded.items()},
        used_token_ids=used_token_ids(tokens.encoded["train"], tokens.pad_id),
        loaded=loaded,
        tokens=tokens,
        head=head.words,
        distillation_plan=distillation_plan(data, loaded, tokens, n_steps, head),
    )


def load_base(data: LabelledTaskData, tokenizer: PreTrainedTokenizerBase) -> LoadedModel:
    """Loads the base model with its head, whose body is in few bits if the recipe wants that."""
    quantisation = quantisation_of(data.recipe)
    if quantisation is None:
        return load_classifier(data.source, data.splits.labels, tokenizer)
    config = load_config(data.source)
    require_whole_weights(config, f"model.name {data.source.name}")
    loaded = load_classifier(data.source, data.splits.labels, tokenizer, classifier_options(quantisation, config))
    keep_trainable_form(loaded.model)
    return loaded


def distillation_plan(
    data: LabelledTaskData, loaded: LoadedModel, tokens: TokenisedSplits, n_steps: int, head: HeadStart
) -> DistillationPlan | None:
    """Plans the distillation of a model with a new head; None for other models, and for single texts of less clear classes.

    Classes are clear where the weakest regularisation of the head's linear model predicts held-out rows best.
    """
    if not loaded.new_weights or (data.splits.train.pairs is None and not head.is_weakest):
        return None
    return plan_distillation(data.recipe, data.splits.train, float(tokens.encoded["train"].lengths.mean()), n_steps)


def start_head(data: LabelledTaskData, loaded: LoadedModel, tokens: TokenisedSplits, fast_path: FastPath) -> HeadStart:
    """Sets a new head to a linear model of the training rows, unless the recipe wants it random."""
    recipe, labels, train = data.recipe, tokens.labels, tokens.encoded["train"]
    if not loaded.new_weights:
        return HeadStart("the base model's own")
    if recipe.train.head_init == "random" or not task_settings(recipe).has_key(HEAD_INIT):
        return HeadStart("random")
    if recipe.adapter is not None and recipe.adapter.method in PROMPT_METHODS:
        return HeadStart(f"random, since {recipe.adapter.method} changes what the head reads")
    name = new_head(loaded, labels.n)
    if name is None:
        return HeadStart("random, since the last layer of this architecture is not one new linear layer")
    if recipe.quantisation is None:
        loaded.model.to(device_name())
    weights, chosen = class_weight_array(recipe.train.class_weights, labels, train.labels), some_rows(train.lengths)
    rows = TokenisedRows(train.take(chosen), weights, example_clusters(data.splits.train.take(chosen, "train")))
    vectors_of = partial(
        logits, loaded.model, pad_id=tokens.pad_id, fast_path=fast_path, max_rows=recipe.train.per_device_eval_batch_size
    )
    remedy = "Lower train.per_device_eval_batch_size or data.max_length, or write train.fast: false for the plain upstream path."
    with model_errors(f"model.name {recipe.model.name}", "the model cannot compute its rows", remedy, (RuntimeError, IndexError)):
        return start_as_linear_model(loaded, name, labels, rows, vectors_of)
