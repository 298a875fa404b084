"""Loads base models with their tokenizers, and the models of finished runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.data.table import Labels
from tunesmith.errors import ModelError, TunesmithError, first_line
from tunesmith.models.source import COPY, ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

LOADING_ERRORS = (Exception,)
"""Errors of ``from_pretrained`` for files that are missing, damaged or of another model: tokenizers raises Exception itself."""
UNLIMITED = 100_000
"""Tokens above which a tokenizer's limit counts as none: tokenizers without a limit report 10^30."""


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory.

    Attributes:
        new_weights: names of randomly initialised parameters that are not in the base model's files.
        new_tokens: ids of tokens added to a language model's embedding, whose rows start as the mean of the others.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    source: ModelSource
    new_weights: tuple[str, ...]
    new_tokens: tuple[int, ...] = ()


@contextmanager
def model_errors(
    where: str, message: str, remedy: str = "", errors: tuple[type[Exception], ...] = LOADING_ERRORS
) -> Iterator[None]:
    """Turns errors of transformers and peft into ModelError: the message, and the first line of the error."""
    try:
        yield
    except TunesmithError:
        raise
    except errors as error:
        raise ModelError.one(where, f"{message}: {first_line(error)}", remedy) from error


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """Loads the tokenizer of a base model. Raises ModelError if that fails."""
    from transformers import AutoTokenizer

    with model_errors(f"model.name {source.name}", "its tokenizer cannot be loaded"):
        tokenizer = AutoTokenizer.from_pretrained(source.location, **source.version)
    if source.rope_parameters is not None and tokenizer.model_max_length < UNLIMITED:
        tokenizer.model_max_length = int(tokenizer.model_max_length * source.rope_parameters["factor"])
    return tokenizer


def load_config(source: ModelSource) -> PreTrainedConfig:
    """Loads the config of a base model. Raises ModelError if that fails."""
    from transformers import AutoConfig

    with model_errors(f"model.name {source.name}", "its config cannot be loaded"):
        config: PreTrainedConfig = AutoConfig.from_pretrained(source.location, **source.version)
    return config


def load_classifier(source: ModelSource, labels: Labels, tokenizer: PreTrainedTokenizerBase) -> LoadedModel:
    """Loads the base model with a head for these labels, in fp32, on the CPU. Raises ModelError if that fails."""
    from transformers import AutoModelForSequenceClassification

    from tunesmith.models.number_head import use_number_head

    with model_errors(f"model.name {source.name}", "it cannot be loaded as a text classifier"):
        model, info = AutoModelForSequenceClassification.from_pretrained(
            source.location,
            **source.version,
            num_labels=labels.n,
            id2label=dict(enumerate(labels.names)),
            label2id={name: i for i, name in enumerate(labels.names)},
            problem_type=labels.problem_type,
            dtype="float32",
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    set_padding(model, tokenizer)
    mismatched = [item[0] if isinstance(item, tuple) else item for item in info.get("mismatched_keys", ())]
    new_weights = tuple(sorted({*info["missing_keys"], *mismatched}))
    if labels.problem_type == REGRESSION:
        use_number_head(model, labels.scale, labels.mean, new_weights)
    return LoadedModel(model, tokenizer, source, new_weights)


def set_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Gives decoders without a padding token one, since a batch cannot be padded and pooled without it."""
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise ModelError.one(
            str(tokenizer.name_or_path), "its tokenizer has no token for padding, and none for unknown words.", COPY
        )
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = tokenizer.pad_token_id


def max_input_tokens(model_config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, requested: int | None) -> int:
    """Returns the longest input in tokens: as requested, else the model's (or 512). Raises ModelError beyond its positions."""
    positions = getattr(model_config, "max_position_embeddings", None) or 10**9
    if getattr(model_config, "model_type", "") in {"roberta", "xlm-roberta", "camembert", "mpnet"}:
        positions -= 2  # these count positions from pad_token_id + 1
    if requested is not None and requested > positions:
        message = f"{requested} tokens are requested, but the model has only {positions} positions."
        raise ModelError.one("data.max_length", message)
    if requested is not None:
        return requested
    limit = min(positions, tokenizer.model_max_length)
    return int(limit) if limit < UNLIMITED else 512
