"""Loading a base model and its tokenizer for a task, and a finished run's model again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.data.table import Labels
from tunesmith.errors import ModelError
from tunesmith.models.source import ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


UNLIMITED = 100_000
"""Tokenizers without a limit say some huge number."""


@dataclass(frozen=True)
class Loaded:
    """A model in memory.

    Attributes:
        new_weights: names of parameters the base model did not have and that start random.
        new_tokens: ids of tokens whose rows were added to a language model's embedding, where they start as the others' mean.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    source: ModelSource
    new_weights: tuple[str, ...]
    new_tokens: tuple[int, ...] = ()


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """The tokenizer of a base model. Raises ModelError where it cannot be loaded."""
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(
            source.location, revision=source.revision, trust_remote_code=source.trust_remote_code
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError.one(f"model.name {source.name}", f"its tokenizer cannot be loaded: {first_line(error)}") from error
    if source.rope_parameters is not None and found.model_max_length < UNLIMITED:
        found.model_max_length = int(found.model_max_length * source.rope_parameters["factor"])
    return found


def load_classifier(source: ModelSource, labels: Labels, tokenizer: PreTrainedTokenizerBase) -> Loaded:
    """The base model with a head for these labels, in fp32, on the CPU. New weights are drawn from torch's generator.

    Raises:
        ModelError: the architecture has no sequence-classification head, or the weights do not fit.
    """
    from transformers import AutoModelForSequenceClassification

    from tunesmith.models.number_head import use_number_head

    try:
        model, info = AutoModelForSequenceClassification.from_pretrained(
            source.location, revision=source.revision, trust_remote_code=source.trust_remote_code,
            num_labels=labels.n, id2label=dict(enumerate(labels.names)),
            label2id={name: i for i, name in enumerate(labels.names)},
            problem_type=labels.problem_type, dtype="float32", use_safetensors=True,
            ignore_mismatched_sizes=True, output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError.one(
            f"model.name {source.name}", f"it cannot be loaded as a text classifier: {first_line(error)}"
        ) from error
    set_padding(model, tokenizer)
    mismatched = [item[0] if isinstance(item, tuple) else item for item in info.get("mismatched_keys", ())]
    new_weights = tuple(sorted({*info["missing_keys"], *mismatched}))
    if labels.problem_type == REGRESSION:
        use_number_head(model, labels.scale, labels.mean, new_weights)
    return Loaded(model, tokenizer, source, new_weights)


def load_body(source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> Any:
    """The base model without a head, in fp32 and evaluation mode, on the CPU.

    Raises:
        ModelError: it cannot be loaded.
    """
    from transformers import AutoModel

    try:
        model = AutoModel.from_pretrained(
            source.location, revision=source.revision, trust_remote_code=source.trust_remote_code, dtype="float32",
            use_safetensors=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError.one(f"model.name {source.name}", f"it cannot be loaded: {first_line(error)}") from error
    set_padding(model, tokenizer)
    return model.eval()


def set_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give decoders without a padding token one, since a batch cannot be padded and pooled without it."""
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = tokenizer.pad_token_id


def reload_classifier(folder: Path) -> Any:
    """A model as a run saved it, in evaluation mode. Adapters are loaded onto their base model."""
    from transformers import AutoModelForSequenceClassification

    from tunesmith.models.adapters.attach import is_adapter, load_adapted
    from tunesmith.models.number_head import use_number_head

    model: Any
    if is_adapter(folder):
        model = load_adapted(folder)
    else:
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32", use_safetensors=True).eval()
    if model.config.problem_type == REGRESSION:
        use_number_head(model)
    return model


def max_input_tokens(model_config: Any, tokenizer: PreTrainedTokenizerBase, asked: int | None) -> int:
    """The longest input in tokens: what was asked for, else the model's own limit (512 where it states none).

    Raises:
        ModelError: more was asked for than the model has positions.
    """
    positions = getattr(model_config, "max_position_embeddings", None) or 10**9
    if getattr(model_config, "model_type", "") in {"roberta", "xlm-roberta", "camembert", "mpnet"}:
        positions -= 2  # these count positions from pad_token_id + 1
    limit = min(positions, tokenizer.model_max_length)
    if asked is not None and asked > positions:
        raise ModelError.one("data.max_length", f"{asked} tokens were asked for, the model has only {positions} positions.")
    if asked is not None:
        return asked
    return int(limit) if limit < UNLIMITED else 512


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for a message that names the cause without a page of traceback."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
