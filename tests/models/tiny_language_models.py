"""Random language models of a few thousand weights, big enough in their weights that a leak shows in the logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

VOCABULARY, LONGEST = 60, 48
LLAMA = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": LONGEST, "initializer_range": 0.3,
}  # fmt: skip
WIDE = {"vocab_size": VOCABULARY, "initializer_range": 0.3}
START = {"decoder_start_token_id": 0, "dropout_rate": 0.0, "initializer_factor": 2.0}
BART_START = {"decoder_start_token_id": 2, "forced_bos_token_id": 1, "forced_eos_token_id": 2, "dropout": 0.0}
SIDES = {
    f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 48))
}
SETTINGS: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "mistral": {**LLAMA, "sliding_window": 6},
    "gemma2": {**LLAMA, "head_dim": 8, "final_logit_softcapping": 2.0},
    "gpt2": {**WIDE, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": LONGEST},
    "bloom": {**WIDE, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    "mpt": {**WIDE, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": LONGEST},
    "t5": {"vocab_size": VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, **START},
    "mt5": {"vocab_size": VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, **START},
    "bart": {**SIDES, "vocab_size": VOCABULARY, "d_model": 32, "max_position_embeddings": LONGEST, "init_std": 0.3, **BART_START},
    "bert": {**{name: value for name, value in LLAMA.items() if name != "num_key_value_heads"}},
}


def made(model_type: str, **options: Any) -> Any:
    """A causal model (BERT's masked one, an encoder-decoder) of that type, the same at every call."""
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        model_type, **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, **SETTINGS[model_type]}
    )
    kind = transformers.AutoModelForMaskedLM if model_type == "bert" else transformers.AutoModelForCausalLM
    kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else kind
    return kind.from_config(config, **options)


def token_rows(count: int, seed: int = 0, longest: int = 30, shortest: int = 2) -> list[np.ndarray]:
    """Random rows of tokens of uneven length."""
    draw = np.random.default_rng(seed)
    return [draw.integers(3, VOCABULARY, draw.integers(shortest, longest + 1)) for _ in range(count)]


def labels_of(rows: list[np.ndarray], seed: int = 1) -> list[np.ndarray]:
    """Labels that leave out a part of every row."""
    draw = np.random.default_rng(seed)
    return [np.where(draw.random(len(row)) < 0.7, row, -100) for row in rows]
