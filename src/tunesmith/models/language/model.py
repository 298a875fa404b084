"""Causal and masked language models: loaded for training, in few bits where asked, with rows for new tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch

from tunesmith.errors import ModelError
from tunesmith.models.adapters.quantise import Quantisation, keep_gradients, refuse_stored_quantisation, where_to_load
from tunesmith.models.language.context_length import with_longer_context
from tunesmith.models.load import Loaded, first_line, set_padding
from tunesmith.models.source import ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Objective = Literal["causal", "masked"]

NEW_ROWS_SEED = 0
"""New rows of the embedding are the same whenever they are added to the same base model."""

DRAWING = ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")


def objective_of(config: Any, where: str = "model.name") -> Objective:
    """Whether a model of this configuration sees only what comes before a token (causal), or both sides (masked).

    Raises:
        ModelError: it is neither, such as an encoder-decoder.
    """
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    family = getattr(config, "model_type", "")
    masked = str(MODEL_FOR_MASKED_LM_MAPPING_NAMES.get(family, ""))
    is_decoder = bool(getattr(config, "is_decoder", False))
    if not getattr(config, "is_encoder_decoder", False):
        if masked.endswith(("ForMaskedLM", "WithLMHeadModel")) and not is_decoder:
            return "masked"
        if family in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
            return "causal"
    raise ModelError.one(
        where, f"a model of type {family or 'unknown'} is neither a causal nor a masked language model.",
        "Name a decoder (llama, qwen2, gpt2, ...) or an encoder (bert, roberta, modernbert, ...).",
    )  # fmt: skip


def load_language_model(
    source: ModelSource, tokenizer: PreTrainedTokenizerBase, objective: Objective, quantisation: Quantisation | None = None
) -> Loaded:
    """The base model with its language-model head, in fp32, on the CPU. New weights are drawn from torch's generator.

    Quantised weights lie on the device that will use them; all that is not quantised is fp32. Where the tokenizer has more
    tokens than the model has rows in its embedding, rows are added that start as the mean of the others (Hewitt 2021).

    Raises:
        ModelError: it cannot be loaded, is of the other kind, has no output layer, its files are quantised already, or it has
            no rotary positions to stretch.
        MissingExtra: bitsandbytes is not installed.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    where = f"model.name {source.name}"
    kind = AutoModelForCausalLM if objective == "causal" else AutoModelForMaskedLM
    common = {"revision": source.revision, "trust_remote_code": source.trust_remote_code}
    placed = where_to_load(quantisation)
    try:
        config = AutoConfig.from_pretrained(source.location, **common)
        check_kind(config, objective, where)
        config = stretched(config, source)
        model, info = kind.from_pretrained(
            source.location, **common, **placed, config=config, dtype="float32", use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError.one(where, f"it cannot be loaded as a {objective} language model: {first_line(error)}") from error
    new_weights = tuple(sorted(info["missing_keys"]))
    if objective == "causal" and new_weights:
        message = f"its files do not hold the whole model: {', '.join(new_weights[:3])} would start random."
        raise ModelError.one(where, message, "Name a model that was trained as a language model.")
    keep_gradients(model)
    set_padding(model, tokenizer)
    new_tokens = add_rows(model, len(tokenizer))
    settle_generation(model, tokenizer)
    return Loaded(model, tokenizer, source, new_weights, new_tokens)


def stretched(config: Any, source: ModelSource) -> Any:
    """The config with the source's stretched rotary positions, where it has any. Raises ModelError where none can be."""
    rope = source.rope_parameters
    return config if rope is None else with_longer_context(config, rope["factor"], rope["rope_type"])


def check_kind(config: Any, objective: Objective, where: str) -> None:
    """Raise ModelError where the model is of the other kind, or its files are quantised."""
    found = objective_of(config, where)
    if found != objective:
        seen = "both sides of each token" if found == "masked" else "only what comes before each token"
        remedy = (
            "Name a decoder, or adapt it by task: pretraining." if found == "masked" else "Name an encoder, or use it as causal."
        )
        raise ModelError.one(where, f"it is a {found} language model ({config.model_type}), which sees {seen}.", remedy)
    refuse_stored_quantisation(config, where)


def add_tokens(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str]) -> tuple[int, ...]:
    """The ids of those tokens that the tokenizer did not know and now does; the model gets rows for them when it is loaded.

    Raises:
        ModelError: a token is empty.
    """
    if not all(tokens):
        raise ModelError.one("new tokens", "one of them is an empty text.", "Remove it.")
    known = tokenizer.get_vocab()
    new = [token for token in dict.fromkeys(tokens) if token not in known]
    tokenizer.add_tokens(new)
    return tuple(tokenizer.convert_tokens_to_ids(new))


def add_rows(model: Any, n_tokens: int) -> tuple[int, ...]:
    """The ids of the rows that were added to the embedding, and to the output layer, so that every token has one.

    Models with spare rows keep them. What is added is a function of the rows that are there: it moves no generator.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if n_tokens <= rows:
        return ()
    with torch.random.fork_rng():
        torch.manual_seed(NEW_ROWS_SEED)
        model.resize_token_embeddings(n_tokens, mean_resizing=True)
    return tuple(range(rows, n_tokens))


def settle_generation(model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Make the saved model write answers that end: its end and padding tokens are the tokenizer's.

    Settings of drawing mean nothing without ``do_sample``, and upstream refuses to save them once anything was changed.
    """
    settings: Any = getattr(model, "generation_config", None)
    if settings is None:
        return
    settings.pad_token_id = tokenizer.pad_token_id
    ends = settings.eos_token_id
    known = [] if ends is None else list(ends) if isinstance(ends, list | tuple) else [ends]
    own = tokenizer.eos_token_id
    if own is not None and own not in known:
        known = [own, *known]
    settings.eos_token_id = known[0] if len(known) == 1 else known or None
    for name in DRAWING if not settings.do_sample else ():
        setattr(settings, name, None)
