"""How many tokens a model can read at once, and the same model for more of them."""

from __future__ import annotations

import copy
from typing import Any

from tunesmith.errors import ModelError

RECURRENT = frozenset({"falcon_mamba", "jamba", "mamba", "mamba2", "rwkv", "xlstm"})
"""They have a state in place of positions (jamba: beside attention without positions)."""
LINEAR_BIASES = frozenset({"bloom", "falcon"})
"""ALiBi (Press et al. 2022): scores fall with the distance, whatever it is. Falcon only where its config says ``alibi``."""
BIASES_IN_ADVANCE = "mpt"
"""ALiBi, too, but the biases are made for ``max_seq_len`` tokens; no weight depends on that number."""
SCALED_BY = {"yarn": ("factor", "original_max_position_embeddings"), "linear": ("factor",)}
"""Ways to scale rotary positions to the fields they need: YaRN (Peng et al. 2024), position interpolation (Chen et al. 2023)."""


def most_tokens(config: Any) -> int | None:
    """The tokens that a model of that config was made for; None where no number of tokens is too many for it."""
    kind = getattr(config, "model_type", "")
    if kind in RECURRENT or (kind in LINEAR_BIASES and getattr(config, "alibi", kind == "bloom")):
        return None
    found = getattr(config, "max_seq_len" if kind == BIASES_IN_ADVANCE else "max_position_embeddings", None)
    return None if found is None else int(found)


def check_length(config: Any, n_tokens: int, where: str) -> None:
    """Raise ModelError where a model of that config was made for fewer tokens."""
    most = most_tokens(config)
    if most is None or n_tokens <= most:
        return
    message = f"the model was made for {most:,} tokens; {n_tokens:,} were asked for."
    rotary = bool(getattr(config, "rope_parameters", None))
    remedy = "Give at most its own length" + (", or load it with rope_parameters for more, such as YaRN." if rotary else ".")
    raise ModelError.one(where, message, remedy)


def with_longer_context(config: Any, factor: float, kind: str = "yarn") -> Any:
    """A copy of the config for ``factor`` times as many tokens; the weights are loaded with it as they are.

    Args:
        kind: ``yarn`` (YaRN, Peng et al. 2024) or ``linear`` (position interpolation, Chen et al. 2023), for rotary positions.
            MPT's biases are only made for more tokens, and models without a limit stay as they are.

    Raises:
        ModelError: the positions are learnt vectors, or already scaled, or differ between the layers.
    """
    most = most_tokens(config)
    longer = copy.deepcopy(config)
    if most is None:
        return longer
    if config.model_type == BIASES_IN_ADVANCE:
        longer.max_seq_len = int(most * factor)
        return longer
    now = rotary_parameters(config)
    offered = {"factor": float(factor), "original_max_position_embeddings": most}
    longer.rope_parameters = {**now, "rope_type": kind, **{name: offered[name] for name in SCALED_BY[kind]}}
    longer.max_position_embeddings = int(most * factor)
    return longer


def rotary_parameters(config: Any) -> dict[str, Any]:
    """The unscaled ``rope_parameters`` of a config. Raises ModelError where it has none, or others."""
    where, found = f"model {config.model_type}", getattr(config, "rope_parameters", None)
    if not found:
        raise ModelError.one(
            where, "its positions are vectors learnt for each place; it cannot read more than it was made for.",
            "Take a model with rotary positions, or windows of at most its own length.",
        )  # fmt: skip
    remedy = "Set rope_parameters in the model's own config."
    if "rope_type" not in found:
        raise ModelError.one(where, "its layers have different rotary positions.", remedy)
    if found["rope_type"] != "default":
        raise ModelError.one(where, f"its rotary positions are scaled already ({found['rope_type']}).", remedy)
    return dict(found)
