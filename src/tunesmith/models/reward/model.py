"""Loads reward models: an encoder or a causal language model whose head gives one number, the reward of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.errors import ModelError
from tunesmith.models.language.model import detect_objective
from tunesmith.models.load import LoadedModel, load_config, model_errors, require_whole_base, set_padding
from tunesmith.models.source import ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

HEAD_CLASS = "AutoModelForSequenceClassification"
PAD = "<|pad|>"
"""The token that is added for padding where every special token ends texts."""


def is_decoder(config: PreTrainedConfig, where: str) -> bool:
    """Tells whether a model attends to earlier tokens only, so that its last token gives the reward. Raises ModelError."""
    return detect_objective(config, where).shifts_labels


def load_reward_model(source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> LoadedModel:
    """Loads the base model with a head of one output, in fp32, on the CPU. Raises ModelError if that fails.

    A decoder gets a padding token that ends no text: upstream takes the reward at the last token that is no padding, and where
    the end of a text is the padding, finished answers and those that were cut off have the same reward.
    """
    from transformers import AutoModelForSequenceClassification

    require_head_class(source)
    with model_errors(f"model.name {source.name}", "it cannot be loaded as a reward model"):
        model, info = AutoModelForSequenceClassification.from_pretrained(
            source.location,
            **source.version,
            **source.attention,
            num_labels=1,
            id2label={0: "reward"},
            label2id={"reward": 0},
            dtype="float32",
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    require_whole_base(source, model, tokenizer)
    set_padding(model, tokenizer)
    if is_decoder(model.config, f"model.name {source.name}"):
        separate_padding(model, tokenizer)
    mismatched = [item[0] if isinstance(item, tuple) else item for item in info.get("mismatched_keys", ())]
    return LoadedModel(model, tokenizer, source, tuple(sorted({*info["missing_keys"], *mismatched})))


def require_head_class(source: ModelSource) -> None:
    """Raises ModelError for an architecture of which transformers has no class with a head that gives numbers."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

    config = load_config(source)
    own_classes = getattr(config, "auto_map", None) or {}
    if config.model_type in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES or HEAD_CLASS in own_classes:
        return
    message = f"transformers has no model of type {config.model_type} with a head that gives a number, such as a reward."
    remedy = "Name a model of another type: an encoder (bert, roberta, ...) or a causal one (llama, qwen2, gpt2, ...)."
    raise ModelError.one(f"model.name {source.name}", message, remedy)


def separate_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Makes model and tokenizer pad by a token that ends no text, in place: that of the beginning, or a new one."""
    ends = {tokenizer.eos_token_id, *end_ids(model)}
    if tokenizer.pad_token_id not in ends:
        return
    if tokenizer.bos_token_id is not None and tokenizer.bos_token_id not in ends:
        tokenizer.pad_token = tokenizer.bos_token
    else:
        tokenizer.add_special_tokens({"pad_token": PAD})
        if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
            model.resize_token_embeddings(len(tokenizer))
    model.config.pad_token_id = tokenizer.pad_token_id


def end_ids(model: PreTrainedModel) -> set[int]:
    """Returns the ids of the tokens that end texts by the model's config."""
    own = getattr(model.config, "eos_token_id", None)
    return set() if own is None else {own} if isinstance(own, int) else set(own)
