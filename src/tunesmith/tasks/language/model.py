"""Loads a language model with its adapter and template, and tokenises everything that it reads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.data.cells import plural
from tunesmith.data.chat.messages import Turn
from tunesmith.data.chat.rows import Conversations
from tunesmith.errors import RecipeError
from tunesmith.evaluation.metrics.answers import answer_function, answer_metrics_for
from tunesmith.generation.arguments import Decoding
from tunesmith.machine import device_name, seed_everything
from tunesmith.models.adapters.attach import add_language_adapter
from tunesmith.models.adapters.methods import changes_base
from tunesmith.models.adapters.quantisation import quantisation_of
from tunesmith.models.adapters.quantise import detect_quantisation
from tunesmith.models.adapters.unquantised import is_saved_unquantised, saved_quantisation, to_device_with_room
from tunesmith.models.chat.prompts import written_answers
from tunesmith.models.chat.render import Rendered, render, render_record
from tunesmith.models.chat.targets import PairLimits, render_targets
from tunesmith.models.chat.template import NO_TEMPLATE, Template, adopt_template, choose_template
from tunesmith.models.chat.truncation import LongRows
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.models.fast.path import FastPath
from tunesmith.models.fast.supervised_loss import is_head_alone
from tunesmith.models.language.denoising import target_edges
from tunesmith.models.language.masking import mask_tokens
from tunesmith.models.language.model import CAUSAL, MASKED, SEQ2SEQ, Objective, add_tokens, load_language_model, require_objective
from tunesmith.models.language.save import merged_unquantised
from tunesmith.models.layers import freeze, set_dropout
from tunesmith.models.load import DEFAULT_TOKENS, LoadedModel, load_config, load_tokenizer, max_input_tokens, position_limit
from tunesmith.recipe.batches import batches_per_epoch
from tunesmith.recipe.metric_names import LABEL_METRICS, LOSS, LOSS_METRICS
from tunesmith.recipe.metric_roles import named_metrics
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.task_rules import sequences
from tunesmith.recipe.tasks import task_settings
from tunesmith.tasks.language.batches import language_fast_path, training_tokens
from tunesmith.tasks.language.data import GENERAL, LanguageTaskData
from tunesmith.tasks.language.pairs import denoised, render_pairs, require_pair_settings, target_limit, training_pairs
from tunesmith.tasks.language.scoring import EvalSplit, GenerationEval, make_eval_split
from tunesmith.tasks.task import Session, SplitLengths
from tunesmith.training.schedule import plan_schedule
from tunesmith.training.trainers.tokens import TrainingTokens

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROOM = 1.25
"""Longest generated answer, as a multiple of the longest of the training rows."""
TARGET_START = 2
"""Tokens before a generated text in a decoder, at most: its start token and one that begins texts."""
EVALUATION_EPOCH = -1
"""Epoch number of the masks of evaluation rows; no epoch of training has it."""


@dataclass(frozen=True, kw_only=True)
class LanguageSession(Session):
    """A language model of one seed.

    Attributes:
        loaded: the base model, before anything is frozen or added.
        train: the training rows as tokens.
        tokens: the training rows as the trainer has them.
        splits: the evaluation splits, then the general texts.
        generation: settings of generating and comparing answers.
        examples: training rows for the prompt of the few-shot baseline.
    """

    data: LanguageTaskData = field()
    loaded: LoadedModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    objective: Objective
    train: Rendered
    tokens: TrainingTokens
    splits: Mapping[str, EvalSplit]
    generation: GenerationEval
    examples: Conversations
    max_length: int
    max_target_length: int | None = None

    @property
    def pad_id(self) -> int:
        return self.tokens.pad_id

    @cached_property
    def head_alone(self) -> bool:
        """Tells whether the loss may run the output layer separately."""
        return is_head_alone(self.model)


@dataclass(frozen=True)
class Reader:
    """A tokenizer with its template and limit; it turns rows into tokens.

    Attributes:
        max_length: largest number of tokens of a sequence, or of an encoder's input.
        max_target_length: largest number of tokens of a decoder's target; None for no limit.
    """

    tokenizer: PreTrainedTokenizerBase
    template: Template
    objective: Objective
    max_length: int
    max_target_length: int | None = None

    def pair_limits(self, long_rows: LongRows | None) -> PairLimits:
        """Returns the limits of an encoder-decoder's rows; longer ones are dropped by default."""
        return PairLimits(self.max_length, self.max_target_length, long_rows or "drop")


def load(data: LanguageTaskData, seed: int, _earlier: LanguageSession | None = None) -> LanguageSession:
    """Loads the base model with an adapter drawn by this seed, and all rows as tokens."""
    recipe = data.recipe
    data.clock.part("loading")
    tokenizer = load_tokenizer(data.source)
    add_tokens(tokenizer, recipe.model.new_tokens)
    objective = objective_for(data)
    is_plain = objective.has_encoder
    template = choose_template(tokenizer, recipe.sft.chat_template, data.rows.train, data.base, single_turns_plain=is_plain)
    adopt_template(tokenizer, template)
    seed_everything(seed)
    loaded = load_language_model(data.source, tokenizer, objective, quantisation_of(recipe))
    positions = position_limit(loaded.model)
    max_length = max_input_tokens(positions, tokenizer, recipe.data.max_length)
    reader = Reader(tokenizer, template, objective, max_length, target_limit(recipe, positions))
    data.clock.part("tokenising")
    rendered = {name: render_split(data, rows, reader) for name, rows in data.all_rows.items()}
    fast_path = language_fast_path(recipe, objective)
    if objective.has_encoder:
        tokens: TrainingTokens = training_pairs(recipe, rendered["train"], tokenizer)
        if not rendered["train"].has_targets:
            rendered["train"] = denoised(recipe, rendered["train"], tokenizer)
    else:
        tokens = training_tokens(recipe, rendered["train"], loaded, max_length, fast_path)
    stop_at(loaded.model, rendered["train"].end_ids)
    model = trainable(data, loaded, tokens, objective)
    return make_session(data, reader, rendered, loaded=loaded, model=model, tokens=tokens, fast_path=fast_path)


def make_session(
    data: LanguageTaskData,
    reader: Reader,
    rendered: Mapping[str, Rendered],
    *,
    loaded: LoadedModel,
    model: PreTrainedModel | PeftModel,
    tokens: TrainingTokens,
    fast_path: FastPath,
) -> LanguageSession:
    """Builds the session of a model: its evaluation splits, the settings of generation, the examples of few-shot prompts."""
    recipe, section = data.recipe, data.recipe.evaluate.answers
    settings = generation_settings(data, rendered["train"], reader)
    check_windows(recipe, reader)
    splits = {
        name: make_eval_split(rows, rendered[name], reader, recipe.sft.labels, section.rows, settings)
        for name, rows in data.all_rows.items()
        if name != "train"
    }
    if recipe.evaluate.stride is not None or recipe.evaluate.context_lengths:
        split = list(data.evaluation_rows)[-1]
        whole = render(reader.tokenizer, data.evaluation_rows[split], NO_TEMPLATE, None, "all")
        splits[split] = replace(splits[split], documents=whole.input_ids)
    draw = np.random.default_rng([recipe.train.seed, section.shots])
    shown = sorted(draw.permutation(len(data.rows.train))[: section.shots].tolist())
    return LanguageSession(
        data=data,
        model=model,
        fast_path=fast_path,
        rows_per_epoch=len(tokens.packs),
        metric=leading_metric(recipe, settings),
        expected_loss=math.log(len(reader.tokenizer)),
        new_weights=loaded.new_weights,
        class_names=tuple(recipe.sft.labels),
        lengths={name: split_lengths(rows) for name, rows in rendered.items()},
        loaded=loaded,
        tokenizer=reader.tokenizer,
        template=reader.template,
        objective=reader.objective,
        train=rendered["train"],
        tokens=tokens,
        splits=splits,
        generation=settings,
        examples=data.rows.train.take(shown, "train"),
        max_length=reader.max_length,
        max_target_length=reader.max_target_length,
    )


def split_lengths(rows: Rendered) -> SplitLengths:
    """Returns the lengths of one split in tokens, and what was dropped, cut or divided."""
    record = render_record(rows)
    del record["rows"]  # entries; the rows are counted by the data record
    sizes = np.array([len(ids) for ids in rows.input_ids])
    counts, edges = np.histogram(sizes, bins=min(30, max(1, int(np.ptp(sizes)))))
    record |= {
        "rows_truncated": record.pop("rows_cut"),
        "rows_dropped": record.pop("dropped"),
        "length_histogram": {"edges": [float(edge) for edge in edges], "counts": counts.tolist()},
    }
    n_dropped = sum(map(len, rows.dropped.values()))
    return SplitLengths(len(set(rows.positions)) + n_dropped, len(rows.cut) + n_dropped, record)


def stop_at(model: torch.nn.Module, ends: Sequence[int]) -> None:
    """Adds the tokens that end answers in training to the model's end-of-sequence tokens."""
    settings = getattr(model, "generation_config", None)
    if settings is None or not ends:
        return
    own = settings.eos_token_id
    listed = [] if own is None else [own] if isinstance(own, int) else list(own)
    every = [*listed, *(token for token in ends if token not in listed)]
    settings.eos_token_id = every[0] if len(every) == 1 else every


def objective_for(data: LanguageTaskData) -> Objective:
    """Returns the architecture's objective. Raises for another one in the recipe, and for a masked model with answers."""
    source, requested = data.source, data.recipe.pretraining.objective
    trained = (CAUSAL, SEQ2SEQ, MASKED) if task_settings(data.recipe).plain_texts else (CAUSAL, SEQ2SEQ)
    config, objective = load_config(source), require_objective(source, trained, data.recipe.task)
    if requested is not None and requested != objective.name:
        message = f"{source.name} is a {objective.name} language model ({config.model_type})."
        raise RecipeError.one("pretraining.objective", message, f"Write {objective.name}, or leave it out.")
    section = sequences(data.recipe)
    joined = [key for key in ("packing", "padding_free") if getattr(section, key)]
    if objective.needs_masking and joined:
        message = f"{source.name} is a masked language model ({config.model_type}), whose rows are not joined."
        raise RecipeError.one(f"pretraining.{joined[0]}", message, "Leave it out: batches hold rows of similar length.")
    require_pair_settings(data.recipe, objective, config.model_type)
    require_no_smoothing(data.recipe, objective, getattr(config, "output_router_logits", False))
    return objective


def require_no_smoothing(recipe: Recipe, objective: Objective, has_router_loss: bool) -> None:
    """Raises RecipeError for label smoothing where no loss reads it: of masked models, of routers, and in several processes."""
    unsmoothed = {
        "of a masked language model": objective.needs_masking,
        "of a model with a router loss": objective.shifts_labels and has_router_loss,
        "in several processes": objective.shifts_labels and recipe.parallel.processes > 1,
    }
    what = [name for name, holds in unsmoothed.items() if holds]
    if what and recipe.train.label_smoothing_factor > 0:
        raise RecipeError.one("train.label_smoothing_factor", f"the loss {what[0]} is not smoothed.", "Leave it out.")


def render_split(data: LanguageTaskData, rows: Conversations, reader: Reader) -> Rendered:
    """Returns a split as tokens; plain texts are cut into windows. Evaluation rows of a masked model are masked once."""
    sft, is_masked = data.recipe.sft, reader.objective.needs_masking
    if reader.objective.has_encoder:
        return render_pairs(data.recipe, rows, reader.tokenizer, reader.template, reader.pair_limits(sft.long_rows))
    if rows.kind != "text":
        return render(reader.tokenizer, rows, reader.template, reader.max_length, sft.loss_on, sft.long_rows)
    long_rows = "split" if rows.split == GENERAL else sft.long_rows
    rendered = render(reader.tokenizer, rows, NO_TEMPLATE, reader.max_length, "all", long_rows, masked=is_masked)
    if not is_masked or rows.split == "train":
        return rendered
    seed, probability = data.recipe.train.seed, data.recipe.pretraining.mlm_probability
    special_ids = reader.tokenizer.all_special_ids
    masks = {"mask_id": reader.tokenizer.mask_token_id, "vocab_size": len(reader.tokenizer)}
    pairs = [
        mask_tokens(ids, np.isin(ids, special_ids), seed, EVALUATION_EPOCH, entry, probability, **masks)
        for entry, ids in enumerate(rendered.input_ids)
    ]
    return replace(rendered, input_ids=tuple(ids for ids, _ in pairs), labels=tuple(labels for _, labels in pairs))


def trainable(data: LanguageTaskData, loaded: LoadedModel, tokens: TrainingTokens, objective: Objective) -> Any:
    """Prepares the model for training: with its adapter, or with layers frozen."""
    recipe = data.recipe
    if recipe.train.dropout is not None:
        set_dropout(loaded.model, recipe.train.dropout)
    if recipe.adapter is None:
        freeze(loaded.model, recipe.train.train_layers)
        return loaded.model.to(device_name())
    steps = plan_schedule(batches_per_epoch(len(tokens.packs), recipe), recipe.train).total_steps
    model = add_language_adapter(loaded, recipe.adapter, steps, objective)
    return model if recipe.quantisation is not None else model.to(device_name())


def check_windows(recipe: Recipe, reader: Reader) -> None:
    """Raises RecipeError for windows that cannot slide."""
    section = recipe.evaluate
    for key, sizes in (("stride", [section.stride] if section.stride else []), ("context_lengths", section.context_lengths)):
        if sizes and not (task_settings(recipe).plain_texts and reader.objective.shifts_labels):
            message = "windows slide over the plain texts of a causal model."
            raise RecipeError.one(f"evaluate.{key}", message, "Leave it out, or write task: pretraining for a causal model.")
        if max(sizes, default=0) >= reader.max_length:
            message = (
                f"{max(sizes)} is not below the {plural(reader.max_length, 'token')} that the model reads at once "
                "(data.max_length)."
            )
            raise RecipeError.one(f"evaluate.{key}", message, f"Give at most {reader.max_length - 1}.")


def label_tokens(data: LanguageTaskData, reader: Reader) -> tuple[tuple[int, ...], ...]:
    """Returns the tokens of each label after a prompt as in training, with the token that ends an answer."""
    labels = data.recipe.sft.labels
    if not labels:
        return ()
    first = data.rows.train.take([0] * len(labels), "train")
    turns = tuple((*of_row[:-1], Turn("assistant", label)) for of_row, label in zip(first.turns, labels, strict=True))
    rows = replace(first, turns=turns)
    if reader.objective.has_encoder:  # the decoder gets what begins a target, see generation.encoder_decoder.decoder_prefix
        rendered = render_targets(reader.tokenizer, rows, reader.template, PairLimits(None, None, "drop"))
        n_before = len(target_edges(reader.tokenizer)[0])
        return tuple(tuple(targets[n_before:].tolist()) for targets in rendered.labels)
    rendered = render(reader.tokenizer, rows, reader.template, None, "completion", "drop")
    return tuple(tuple(targets[targets != IGNORE_INDEX].tolist()) for targets in rendered.labels)


def generation_settings(data: LanguageTaskData, train: Rendered, reader: Reader) -> GenerationEval:
    """Returns the settings of generating and comparing answers."""
    section, rows, labels = data.recipe.evaluate.answers, data.rows.train, label_tokens(data, reader)
    longest = max((int((targets != IGNORE_INDEX).sum()) for targets in train.labels), default=1)
    room = max(1, reader.max_length // 2)
    if reader.objective.has_encoder:
        room = DEFAULT_TOKENS if reader.max_target_length is None else max(1, reader.max_target_length - TARGET_START)
    n_new = section.max_new_tokens or min(max(8, math.ceil(ROOM * longest)), room)
    decoding = Decoding(
        max_new_tokens=n_new,
        num_beams=section.num_beams,
        do_sample=section.do_sample,
        temperature=section.temperature or 1.0,
        top_p=section.top_p or 1.0,
        seed=data.recipe.train.seed,
    )
    has_answers = rows.kind != "text" and section.rows > 0 and not labels
    references = written_answers(reader.tokenizer, reader.template, rows.turns) if has_answers else []
    metrics = answer_metrics_for(references, section.pattern, section.function) if has_answers else ()
    requested = data.recipe.evaluate.metric
    if requested in metrics and requested is not None:
        metrics = (requested, *(name for name in metrics if name != requested))
    function = None if section.function is None else answer_function(section.function, data.base)
    return GenerationEval(
        decoding,
        labels=labels,
        metrics=metrics,
        pattern=section.pattern,
        function=function,
        window=reader.max_length,
        has_encoder=reader.objective.has_encoder,
        stride=data.recipe.evaluate.stride,
    )


def leading_metric(recipe: Recipe, settings: GenerationEval) -> str:
    """Returns the metric of validation that leads there. Raises RecipeError for metrics that these rows lack, of any role."""
    names = (*LOSS_METRICS, *settings.metrics, *(LABEL_METRICS if settings.labels else ()))
    for key, name in named_metrics(recipe).items():
        if name not in names:
            message = f"these rows are not measured by {name}."
            raise RecipeError.one(".".join(key), message, f"They are measured by: {', '.join(names)}.")
    return recipe.evaluate.metric or LOSS


def as_saved(session: LanguageSession) -> LanguageSession:
    """Returns the session with the model that is saved: trained on quantised weights, it is merged into unquantised ones."""
    if not is_saved_unquantised(session.model):
        return session
    merged = merged_unquantised(session.model, session.tokenizer, session.data.source, session.objective)
    return session if merged is None else replace(session, model=to_device_with_room(merged))


@contextmanager
def base_model(session: LanguageSession) -> Iterator[Any]:
    """Yields the base model that the saved one is compared with.

    It is the session's with its adapter disabled, or is loaded again: if the adapter changed its weights, and unquantised if the
    saved model is.
    """
    data, model = session.data, session.model
    if data.recipe.adapter is None:
        yield model
        return
    changed = any(changes_base(config) for config in getattr(model, "peft_config", {}).values())
    if changed or is_saved_unquantised(model) or not hasattr(model, "disable_adapter"):
        with torch.random.fork_rng():  # a new head draws numbers
            again = load_language_model(data.source, session.tokenizer, session.objective, saved_quantisation(model)).model
        stop_at(again, session.train.end_ids)
        yield again if detect_quantisation(again) is not None else to_device_with_room(again)
        return
    with model.disable_adapter():
        yield model
