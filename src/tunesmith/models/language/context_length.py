"""Finds the context length of a model, and extends it by RoPE scaling."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from tunesmith.data.cells import plural
from tunesmith.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

RECURRENT = frozenset({"falcon_mamba", "jamba", "mamba", "mamba2", "rwkv", "xlstm"})
"""Model types with a recurrent state instead of positions (jamba: beside attention without positions)."""
LINEAR_BIASES = frozenset({"bloom", "falcon"})
"""Model types with ALiBi (Press et al. 2022): scores fall with any distance. Falcon only if its config has ``alibi``."""
BIASES_IN_ADVANCE = "mpt"
"""Model type with ALiBi whose biases are made for ``max_seq_len`` tokens; no weight depends on that number."""
SCALED_BY = {"yarn": ("factor", "original_max_position_embeddings"), "linear": ("factor",)}
"""rope_type -> its fields: YaRN (Peng et al. 2024), position interpolation (Chen et al. 2023)."""


def context_limit(config: PreTrainedConfig) -> int | None:
    """Returns the context length in tokens; None if it is unlimited, which some configs state as a negative number."""
    kind = getattr(config, "model_type", "")
    if kind in RECURRENT or (kind in LINEAR_BIASES and getattr(config, "alibi", kind == "bloom")):
        return None
    limit = getattr(config, "max_seq_len" if kind == BIASES_IN_ADVANCE else "max_position_embeddings", None)
    return int(limit) if limit is not None and limit > 0 else None


def check_length(config: PreTrainedConfig, n_tokens: int, where: str) -> None:
    """Raises ModelError if the context length is shorter than ``n_tokens``."""
    limit = context_limit(config)
    if limit is None or n_tokens <= limit:
        return
    message = f"the model was made for {plural(limit, 'token')}; {n_tokens:,} are requested."
    rotary = bool(getattr(config, "rope_parameters", None))
    remedy = "Give at most its own length" + (", or load it with rope_parameters for more, such as YaRN." if rotary else ".")
    raise ModelError.one(where, message, remedy)


def with_longer_context(config: PreTrainedConfig, factor: float, kind: str = "yarn") -> PreTrainedConfig:
    """Copies the config for ``factor`` times as many tokens; the weights are loaded with it as they are.

    Raises ModelError if the positions are learned vectors, or already scaled, or differ between the layers.

    Args:
        kind: ``yarn`` (YaRN, Peng et al. 2024) or ``linear`` (position interpolation, Chen et al. 2023), for rotary positions.
            MPT's biases are only made for more tokens, and models without a limit stay as they are.
    """
    limit = context_limit(config)
    longer = copy.deepcopy(config)
    if limit is None:
        return longer
    if config.model_type == BIASES_IN_ADVANCE:
        longer.max_seq_len = int(limit * factor)
        return longer
    fields = {"factor": float(factor), "original_max_position_embeddings": limit}
    scaling = {"rope_type": kind, **{name: fields[name] for name in SCALED_BY[kind]}}
    longer.rope_parameters = {**rope_parameters(config), **scaling}
    longer.max_position_embeddings = int(limit * factor)
    return longer


def rope_parameters(config: PreTrainedConfig) -> dict[str, Any]:
    """Returns the ``rope_parameters`` of a config. Raises ModelError if they are scaled already or absent."""
    where, parameters = f"model {config.model_type}", getattr(config, "rope_parameters", None)
    if not parameters:
        message = "its positions are learned vectors, one for each position; longer inputs have no embedding."
        raise ModelError.one(where, message, "Take a model with rotary positions, or windows of at most its own length.")
    remedy = "Set rope_parameters in the model's own config."
    if "rope_type" not in parameters:
        raise ModelError.one(where, "its layers have different rotary positions.", remedy)
    if parameters["rope_type"] != "default":
        raise ModelError.one(where, f"its rotary positions are scaled already ({parameters['rope_type']}).", remedy)
    return dict(parameters)
