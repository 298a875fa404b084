"""Loads base models with their tokenizers, and the models of finished runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tunesmith.data.cells import listed, plural
from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.data.table import Labels
from tunesmith.errors import ModelError, TunesmithError, first_line
from tunesmith.models.model_files import COPY
from tunesmith.models.source import TOKENIZER_FILES, ModelSource, file_of, require_tokenizer_files

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

LOADING_ERRORS = (Exception,)
"""Errors of ``from_pretrained`` for files that are missing, damaged or of another model: tokenizers raises Exception itself."""
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
UNLIMITED = 100_000
"""Tokens above which a tokenizer's limit counts as none: tokenizers without a limit report 10^30."""
SPARE_ROWS = 0.9
"""Smallest ratio of tokens to rows of the embedding, either way; architectures pad the embedding by 2 % at most."""
UNLIMITED_POSITIONS = 10**9
DEFAULT_TOKENS = 512
"""Length of inputs where neither the model nor the tokenizer states one, or a very large one."""


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
    """Loads the tokenizer of a base model, or the one named for it. Raises ModelError if that fails or there is none."""
    from transformers import AutoTokenizer

    if file_of(source, "config.json") is not None:  # upstream reads it as well, and its errors are not the tokenizer's
        load_config(source)
    where = f"model.name {source.name}"
    if source.tokenizer is not None:
        with model_errors(f"model.tokenizer {source.tokenizer}", "it cannot be loaded", "Name another tokenizer."):
            tokenizer = AutoTokenizer.from_pretrained(source.tokenizer, trust_remote_code=source.trust_remote_code)
        require_known_ids(source, tokenizer)
    else:
        if Path(source.location).is_dir():
            require_tokenizer_files(Path(source.location), where)
        remedy = "Copy or download the files of its tokenizer again, or name another: model.tokenizer."
        with model_errors(where, "its tokenizer cannot be loaded", remedy):
            tokenizer = AutoTokenizer.from_pretrained(source.location, **source.version)
    if source.rope_parameters is not None and tokenizer.model_max_length < UNLIMITED:
        tokenizer.model_max_length = int(tokenizer.model_max_length * source.rope_parameters["factor"])
    return tokenizer


@contextmanager
def folder_with_tokenizer(source: ModelSource) -> Iterator[str]:
    """Gives the location of a model with its tokenizer, for libraries that load both from one place.

    With ``model.tokenizer`` it is a temporary folder of links to the model's files and the named tokenizer, as long as the block
    lasts. Raises ModelError if the tokenizer cannot be loaded or there is none.
    """
    if source.tokenizer is None:
        if Path(source.location).is_dir():
            require_tokenizer_files(Path(source.location), f"model.name {source.name}")
        yield source.location
        return
    tokenizer, files = load_tokenizer(source), Path(source.location)
    if not files.is_dir():
        from huggingface_hub import snapshot_download

        with model_errors(f"model.name {source.name}", "its files cannot be downloaded"):
            files = Path(snapshot_download(source.location, revision=source.revision))
    with TemporaryDirectory(prefix="tunesmith-") as folder:
        tokenizer.save_pretrained(folder)  # before the links: it would write through them
        saved = {path.name for path in Path(folder).iterdir()}
        for path in files.iterdir():
            if path.name not in (*saved, *TOKENIZER_FILES):
                (Path(folder) / path.name).symlink_to(path.resolve())
        yield folder


def require_known_ids(source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises ModelError if a tokenizer named for a model has ids beyond the rows of the model's embedding."""
    rows = getattr(load_config(source).get_text_config(), "vocab_size", None)
    largest = max(tokenizer.get_vocab().values(), default=0)
    if isinstance(rows, int) and largest >= rows:
        message = (
            f"its ids go up to {largest:,}, and the embedding of {source.name} has {plural(rows, 'row')}: it is of another model."
        )
        raise ModelError.one(
            f"model.tokenizer {source.tokenizer}", message, "Name the tokenizer that the model was trained with."
        )


def load_config(source: ModelSource) -> PreTrainedConfig:
    """Loads the config of a base model. Raises ModelError if that fails."""
    from transformers import AutoConfig

    remedy = "Correct the value in config.json, or copy or download the file again."
    with model_errors(f"model.name {source.name}", "its config.json cannot be loaded", remedy):
        config: PreTrainedConfig = AutoConfig.from_pretrained(source.location, **source.version)
    return config


def require_whole_base(
    source: ModelSource, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, body: type[PreTrainedModel] | None = None
) -> None:
    """Raises ModelError if the files lack weights of the model's body, or the tokenizer belongs to another model.

    A head may be new, and so may the pooler, which many base models lack.

    Args:
        body: the class of the body, where it is a part of the usual one, such as T5's encoder alone.
    """
    require_whole_body(source, body)
    require_own_tokenizer(source, model, tokenizer)


def require_whole_body(source: ModelSource, body_class: type[PreTrainedModel] | None = None) -> None:
    """Raises ModelError if the files lack weights of the body, or have layers that it lacks. Only names and shapes are read."""
    from transformers import AutoModel
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    where = f"model.name {source.name}"
    if load_config(source).model_type not in MODEL_MAPPING_NAMES:
        return
    options = {"device_map": "meta", "use_safetensors": True, "output_loading_info": True}
    with model_errors(where, "its weights do not fit its config.json"):
        body, info = (body_class or AutoModel).from_pretrained(source.location, **source.version, **options)
    missing = sorted(name for name in info["missing_keys"] if "pooler." not in name)
    if missing:
        message = f"its files lack {plural(len(missing), 'weight')} of the model, which would start random: {listed(missing, 3)}."
        remedy = "The names in model.safetensors must be those of config.json's architecture: save it by save_pretrained."
        raise ModelError.one(where, message, remedy)
    require_every_layer(where, body, info["unexpected_keys"])


def require_trained_weights(where: str, model: PreTrainedModel, info: Mapping[str, Any]) -> None:
    """Raises ModelError if the files of a trained model lack weights, which would start random, or have layers that it lacks.

    Args:
        info: upstream's record of loading: missing and unexpected names.
    """
    if missing := sorted(info["missing_keys"]):
        message = f"its files lack {plural(len(missing), 'weight')} of the trained model: {listed(missing, 3)}."
        raise ModelError.one(where, message, "Copy its folder again.")
    require_every_layer(where, model, info["unexpected_keys"])


def require_every_layer(where: str, model: PreTrainedModel, unexpected: Collection[str]) -> None:
    """Raises ModelError if the files have layers beyond the last one of the model, which upstream leaves out silently."""
    if left_out := left_out_layers(model, unexpected):
        message = (
            f"its files hold {plural(len(left_out), 'weight')} of layers that its config.json leaves out: {listed(left_out, 3)}."
        )
        remedy = "Set the number of layers in config.json (such as num_hidden_layers) to that of the files, or copy both again."
        raise ModelError.one(where, message, remedy)


def left_out_layers(model: PreTrainedModel, unexpected: Collection[str]) -> list[str]:
    """Lists the weights in files whose layer has a number that the model's list of layers does not reach.

    Other unexpected weights are common: heads of another task, poolers, buffers of older versions. So are layers that predict
    several tokens ahead, which the config counts apart.
    """
    from torch import nn

    prefix, ahead = f"{model.base_model_prefix}.", getattr(model.config, "num_nextn_predict_layers", None) or 0
    counts = {name.removeprefix(prefix): len(part) for name, part in model.named_modules() if isinstance(part, nn.ModuleList)}
    return [name for name in sorted(unexpected) if is_beyond(name.removeprefix(prefix).split("."), counts, ahead)]


def is_beyond(parts: list[str], counts: Mapping[str, int], ahead: int) -> bool:
    """Tells whether a number in the name of a weight is beyond the list of layers that the name before it leads to."""
    numbers = [(".".join(parts[:i]), int(part)) for i, part in enumerate(parts) if part.isdecimal() and len(part) < 10]
    return any(place in counts and number >= counts[place] + ahead for place, number in numbers)


def require_own_tokenizer(source: ModelSource, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises ModelError if the tokenizer has other tokens than the embedding has rows: few spare rows, and few new tokens."""
    rows = getattr(getattr(model.get_input_embeddings(), "weight", None), "shape", (0,))[0]
    if not rows or SPARE_ROWS * rows <= len(tokenizer) <= rows / SPARE_ROWS:
        return
    message = (
        f"its tokenizer has {plural(len(tokenizer), 'token')}, and the model's embedding {plural(rows, 'row')}: "
        "it is missing or another's."
    )
    remedy = "Save the model's own tokenizer into its folder, or name it: model.tokenizer."
    raise ModelError.one(f"model.name {source.name}", message, remedy)


def require_whole_weights(config: PreTrainedConfig, where: str) -> None:
    """Raises ModelError if a model's files are quantised.

    Nothing could be merged into quantised files: merging into 4 bits loses by rounding as much as an adapter learns.
    """
    stored: Any = getattr(config, "quantization_config", None)
    if stored is None:
        return
    method = stored.get("quant_method") if isinstance(stored, dict) else getattr(stored, "quant_method", None)
    held = f"quantised weights ({getattr(method, 'value', method) or 'unknown method'})"
    message = f"its files hold {held}: an adapter cannot be merged into them without losing its effect to rounding."
    remedy = "Name the model they were made from, and write quantisation: nf4 (or int8) to train on it in few bits."
    raise ModelError.one(where, message, remedy)


def load_classifier(
    source: ModelSource, labels: Labels, tokenizer: PreTrainedTokenizerBase, placement: Mapping[str, Any] = NO_OPTIONS
) -> LoadedModel:
    """Loads the base model with a head for these labels, in fp32, on the CPU. Raises ModelError if that fails.

    Args:
        placement: options of ``from_pretrained`` for a quantised body, which say where it is as well.
    """
    from transformers import AutoModelForSequenceClassification

    from tunesmith.models.number_head import use_number_head

    with model_errors(f"model.name {source.name}", "it cannot be loaded as a text classifier"):
        model, info = AutoModelForSequenceClassification.from_pretrained(
            source.location,
            **source.version,
            **source.attention,
            **placement,
            num_labels=labels.n,
            id2label=dict(enumerate(labels.names)),
            label2id={name: i for i, name in enumerate(labels.names)},
            problem_type=labels.problem_type,
            dtype="float32",
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    require_whole_base(source, model, tokenizer)
    set_padding(model, tokenizer)
    mismatched = [item[0] if isinstance(item, tuple) else item for item in info.get("mismatched_keys", ())]
    new_weights = tuple(sorted({*info["missing_keys"], *mismatched}))
    if labels.problem_type == REGRESSION:
        use_number_head(model, labels.scale, labels.mean, new_weights)
    return LoadedModel(model, tokenizer, source, new_weights)


def load_trained_classifier(source: ModelSource, where: str) -> PreTrainedModel:
    """Loads a classifier with its trained head, in fp32, in evaluation mode. Raises ModelError if its files are not whole.

    Args:
        where: names it in errors.
    """
    from transformers import AutoModelForSequenceClassification

    from tunesmith.models.number_head import use_number_head

    with model_errors(where, "its model cannot be loaded", "Copy its folder again."):
        model, info = AutoModelForSequenceClassification.from_pretrained(
            source.location, **source.version, dtype="float32", use_safetensors=True, output_loading_info=True
        )
        require_trained_weights(where, model, info)
    if model.config.problem_type == REGRESSION or model.config.num_labels == 1:
        use_number_head(model)
    loaded: PreTrainedModel = model.eval()
    return loaded


def set_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Makes model and tokenizer pad by the same token, in place: the model's, else the tokenizer's, else its end of text.

    Decoders classify a text by its last token that is not padding; padded by another token, they would read the padding.
    """
    of_model = getattr(model.config, "pad_token_id", None)
    if of_model is not None and 0 <= of_model < len(tokenizer):
        if tokenizer.pad_token_id != of_model:
            tokenizer.pad_token = tokenizer.convert_ids_to_tokens(of_model)
        return
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise ModelError.one(
            str(tokenizer.name_or_path), "its tokenizer has no token for padding, and none for unknown words.", COPY
        )
    model.config.pad_token_id = tokenizer.pad_token_id


def position_limit(model: nn.Module) -> int | None:
    """Returns the number of tokens that have a position; None if it is unlimited or not stated.

    RoBERTa and its relatives count positions from the padding index of their position embedding, which is why that has more
    rows than the model reads tokens.
    """
    for name, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            return int(module.weight.shape[0]) - int(padding) - 1
    limit = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    return int(limit) if isinstance(limit, int | float) and 0 < limit < UNLIMITED_POSITIONS else None


def position_limit_of_config(config: PreTrainedConfig, trust_remote_code: bool = False) -> int | None:
    """Returns the position limit of a model that is not loaded; it is built without memory for its weights."""
    import torch
    from transformers import AutoModel

    with torch.device("meta"):
        return position_limit(AutoModel.from_config(config, trust_remote_code=trust_remote_code))


def max_input_tokens(positions: int | None, tokenizer: PreTrainedTokenizerBase, requested: int | None) -> int:
    """Returns the longest input in tokens: as requested, else the model's (or 512). Raises ModelError beyond its positions.

    Args:
        positions: see ``position_limit``.
    """
    if requested is not None and positions is not None and requested > positions:
        message = f"{plural(requested, 'token', 'is', 'are')} requested, but the model has only {plural(positions, 'position')}."
        raise ModelError.one("data.max_length", message, f"Give at most {positions}.")
    if requested is not None:
        return requested
    stated = int(tokenizer.model_max_length)
    limits = [limit for limit in (positions, stated if 0 < stated < UNLIMITED else None) if limit is not None]
    return min(limits) if limits and min(limits) < UNLIMITED else DEFAULT_TOKENS
