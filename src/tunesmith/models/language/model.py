"""Loads language models for training, causal, masked or encoder-decoder: objective, quantisation, rows for new tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tunesmith.errors import ModelError
from tunesmith.models.adapters.quantisation import Quantisation
from tunesmith.models.adapters.quantise import keep_trainable_form, loading_options
from tunesmith.models.language.context_length import with_longer_context
from tunesmith.models.language.seq2seq import require_usable
from tunesmith.models.load import LoadedModel, load_config, model_errors, require_whole_base, require_whole_weights, set_padding
from tunesmith.models.source import ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

NEW_ROWS_SEED = 0
"""Seed for new rows of the embedding, which are the same whenever they are added to the same base model."""

SAMPLING_SETTINGS = ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")


@dataclass(frozen=True)
class Objective:
    """A training objective of language models.

    Attributes:
        name: as in result.json and base.json.
        auto_class: transformers' class that loads the model with its head.
        shifts_labels: the label of a position is the next token, else the token at the position. (Encoder-decoders shift the
            labels themselves, to make the decoder's input of them.)
        needs_masking: tokens of the rows are masked before training.
        peft_task_type: peft has none for masked models; that for embeddings means no head, and prompts before the input.
        context: the tokens that each token attends to, for messages.
        remedy: suggestion for users who need the other objective.
        has_encoder: the prompt is the input of an encoder, and the labels are the target of a decoder alone.
    """

    name: str
    auto_class: str
    shifts_labels: bool
    needs_masking: bool
    peft_task_type: str
    context: str
    remedy: str
    has_encoder: bool = False

    def load(self, *arguments: object, **options: object) -> Any:
        """Calls ``from_pretrained`` of the auto class."""
        import transformers

        return getattr(transformers, self.auto_class).from_pretrained(*arguments, **options)


CAUSAL = Objective(
    "causal", "AutoModelForCausalLM", shifts_labels=True, needs_masking=False, peft_task_type="CAUSAL_LM",
    context="only the tokens before each token", remedy="Name an encoder, or use it as causal.",
)  # fmt: skip
MASKED = Objective(
    "masked", "AutoModelForMaskedLM", shifts_labels=False, needs_masking=True,
    peft_task_type="FEATURE_EXTRACTION", context="the tokens on both sides of each token",
    remedy="Name a decoder, or adapt it by task: pretraining.",
)  # fmt: skip
SEQ2SEQ = Objective(
    "seq2seq", "AutoModelForSeq2SeqLM", shifts_labels=False, needs_masking=False, peft_task_type="SEQ_2_SEQ_LM",
    context="the whole input in its encoder, and the tokens before each token in its decoder",
    remedy="Name a decoder or an encoder, or use it as seq2seq.", has_encoder=True,
)  # fmt: skip


def detect_objective(config: PreTrainedConfig, where: str = "model.name") -> Objective:
    """Returns the objective of an architecture. Raises ModelError if it is no language model of texts."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    family = getattr(config, "model_type", "")
    masked_class = str(MODEL_FOR_MASKED_LM_MAPPING_NAMES.get(family, ""))
    is_decoder = bool(getattr(config, "is_decoder", False))
    if not getattr(config, "is_encoder_decoder", False):
        if masked_class.endswith(("ForMaskedLM", "WithLMHeadModel")) and not is_decoder:
            return MASKED
        if family in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
            return CAUSAL
    elif family in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return SEQ2SEQ
    message = f"a model of type {family or 'unknown'} is no language model: neither causal nor masked nor encoder-decoder."
    remedy = "Name a decoder (llama, qwen2, gpt2, ...), an encoder (bert, roberta, ...) or an encoder-decoder (t5, bart, ...)."
    raise ModelError.one(where, message, remedy)


def require_objective(source: ModelSource, objectives: Sequence[Objective], task: str) -> Objective:
    """Returns the objective of a base model, from its config alone. Raises ModelError for one that the task does not train.

    Args:
        objectives: of the models that the task trains.
    """
    config = load_config(source)
    objective = detect_objective(config, f"model.name {source.name}")
    if objective not in objectives:
        why = f"task: {task} trains no encoder-decoder" if objective.has_encoder else "it generates no answers"
        remedy = "Name an encoder, such as builtin:minilm, or a causal one" if MASKED in objectives else "Name a causal one"
        others = "sft and task: ppo train this one" if objective.has_encoder else "classification and task: reward train encoders"
        message = f"{source.name} is a {objective.name} language model ({config.model_type}): {why}."
        raise ModelError.one("model.name", message, f"{remedy}, such as builtin:pocket; task: {others}.")
    return objective


def load_language_model(
    source: ModelSource, tokenizer: PreTrainedTokenizerBase, objective: Objective, quantisation: Quantisation | None = None
) -> LoadedModel:
    """Loads the base model with its language-model head, in fp32, on the CPU. New weights are drawn from torch's generator.

    Quantised weights are on the device that will use them; everything else is fp32. If the tokenizer has more tokens than the
    embedding has rows, rows are added that start as the mean of the others (Hewitt 2021). Raises ModelError for a model of
    another objective, and for files that do not hold the whole model, or hold quantised weights.
    """
    where = f"model.name {source.name}"
    placement = loading_options(quantisation)
    with model_errors(where, f"it cannot be loaded as a {objective.name} language model"):
        config = load_config(source)
        check_kind(config, objective, where)
        if source.rope_parameters is not None:
            config = with_longer_context(config, source.rope_parameters["factor"], source.rope_parameters["rope_type"])
        options = {"config": config, "dtype": "float32", "use_safetensors": True, "output_loading_info": True}
        model, info = objective.load(source.location, **source.version, **source.attention, **placement, **options)
    new_weights = tuple(sorted(info["missing_keys"]))
    if objective in (CAUSAL, SEQ2SEQ) and new_weights:
        message = f"its files do not hold the whole model: {', '.join(new_weights[:3])} would start random."
        raise ModelError.one(where, message, "Name a model that was trained as a language model.")
    require_whole_base(source, model, tokenizer)
    keep_trainable_form(model)
    set_padding(model, tokenizer)
    new_tokens = add_rows(model, len(tokenizer))
    set_generation_tokens(model, tokenizer)
    if objective.has_encoder:
        require_decoder_start(model, where)
        require_usable(model, tokenizer, where)
    return LoadedModel(model, tokenizer, source, new_weights, new_tokens)


def require_decoder_start(model: PreTrainedModel, where: str) -> None:
    """Raises ModelError if an encoder-decoder does not state the token that its decoder begins with."""
    if getattr(model.config, "decoder_start_token_id", None) is None:
        message = (
            "its config.json has no decoder_start_token_id, the token that its decoder begins with in training and generation."
        )
        remedy = "Write the one it was trained with: for T5 the id of its padding token, for BART that of </s>."
        raise ModelError.one(where, message, remedy)


def check_kind(config: PreTrainedConfig, objective: Objective, where: str) -> None:
    """Raises ModelError if the model has another objective, or its files are quantised."""
    actual = detect_objective(config, where)
    if actual != objective:
        message = f"it is a {actual.name} language model ({config.model_type}), which attends to {actual.context}."
        raise ModelError.one(where, message, actual.remedy)
    require_whole_weights(config, where)


def add_tokens(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str]) -> tuple[int, ...]:
    """Adds missing tokens and returns their ids; the model gets rows for them when loaded. Raises ModelError for an empty one."""
    if not all(tokens):
        raise ModelError.one("new tokens", "one of them is an empty text.", "Remove it.")
    vocabulary = tokenizer.get_vocab()
    new = [token for token in dict.fromkeys(tokens) if token not in vocabulary]
    tokenizer.add_tokens(new)
    return tuple(tokenizer.convert_tokens_to_ids(new))


def add_rows(model: PreTrainedModel, n_tokens: int) -> tuple[int, ...]:
    """Adds rows to the embedding and the output layer until every token has one, and returns their ids.

    Models with spare rows keep them. The new rows are a function of the others: no random generator changes.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if n_tokens <= rows:
        return ()
    with torch.random.fork_rng():
        torch.manual_seed(NEW_ROWS_SEED)
        model.resize_token_embeddings(n_tokens, mean_resizing=True)
    return tuple(range(rows, n_tokens))


def set_generation_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Sets the end and padding tokens of the generation config to the tokenizer's, so that generated answers end.

    Sampling settings have no effect without ``do_sample``, and upstream refuses to save them once anything was changed.
    """
    settings: Any = getattr(model, "generation_config", None)
    if settings is None:
        return
    settings.pad_token_id = tokenizer.pad_token_id
    ends = settings.eos_token_id
    end_ids = [] if ends is None else list(ends) if isinstance(ends, list | tuple) else [ends]
    own = tokenizer.eos_token_id
    if own is not None and own not in end_ids:
        end_ids = [own, *end_ids]
    settings.eos_token_id = end_ids[0] if len(end_ids) == 1 else end_ids or None
    for name in SAMPLING_SETTINGS if not settings.do_sample else ():
        setattr(settings, name, None)
