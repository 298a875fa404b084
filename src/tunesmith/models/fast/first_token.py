"""The last layer for the first token alone, where a classifier's head reads no other.

The keys and values of all tokens are still needed; queries, feed-forward and norms of the others are computed for nothing. In a
model of L layers this saves about 5/6 of one of them. The outputs are the plain ones up to fp32 rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

# model_type of classifiers whose head reads the first token, and which of the two layouts below their layers have.
BERT_LIKE = frozenset({"bert", "camembert", "data2vec-text", "electra", "ernie", "roberta", "xlm-roberta"})
FAMILIES = BERT_LIKE | {"distilbert"}
ATTENTION_NAME = "tunesmith_eager"
"""Our own attention for training, see ``kernels``."""


def mix_first(
    mixer: Any, query: nn.Module, key: nn.Module, value: nn.Module, n_heads: int, hidden: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Attention of the first token over all: hidden (B, T, H), mask (B, 1, T, T) or None -> (B, 1, H)."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    attend = ALL_ATTENTION_FUNCTIONS[mixer.config._attn_implementation]

    def heads(states: torch.Tensor) -> torch.Tensor:
        return states.view(len(hidden), -1, n_heads, mixer.attention_head_size).transpose(1, 2)

    mixed, _ = attend(
        mixer, heads(query(hidden[:, :1])), heads(key(hidden)), heads(value(hidden)), None if mask is None else mask[:, :, :1],
        dropout=mixer.dropout.p if mixer.training else 0.0, scaling=mixer.scaling,
    )  # fmt: skip
    whole: torch.Tensor = mixed.reshape(len(hidden), 1, -1)
    return whole


class FirstTokenBert:
    """Before a layer class of the BERT family: its forward pass for the first token, (B, T, H) -> (B, 1, H)."""

    plain: type[nn.Module]
    attention: Any
    feed_forward_chunk: Any

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, *_: Any, **__: Any
    ) -> torch.Tensor:
        mixer = self.attention.self
        heads = mixer.num_attention_heads
        mixed = mix_first(mixer, mixer.query, mixer.key, mixer.value, heads, hidden_states, attention_mask)
        out: torch.Tensor = self.feed_forward_chunk(self.attention.output(mixed, hidden_states[:, :1]))
        return out


class FirstTokenDistilBert:
    """Before DistilBERT's layer class: its forward pass for the first token, (B, T, H) -> (B, 1, H)."""

    plain: type[nn.Module]
    attention: Any
    sa_layer_norm: Any
    ffn: Any
    output_layer_norm: Any

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> torch.Tensor:
        mixer = self.attention
        mixed = mix_first(mixer, mixer.q_lin, mixer.k_lin, mixer.v_lin, mixer.n_heads, hidden_states, attention_mask)
        attended = self.sa_layer_norm(mixer.out_lin(mixed) + hidden_states[:, :1])
        out: torch.Tensor = self.output_layer_norm(self.ffn(attended) + attended)
        return out


FIRST_TOKEN = (FirstTokenBert, FirstTokenDistilBert)


def first_token_class(plain: type[nn.Module], distil: bool) -> type[nn.Module]:
    """The layer class with the first token's forward pass; everything else is the plain class's."""
    return type(f"FirstToken{plain.__name__}", (FirstTokenDistilBert if distil else FirstTokenBert, plain), {"plain": plain})


def last_layer(model: Any) -> tuple[Any, str] | None:
    """The last layer and the model_type of a classifier this is known to be right for; None for every other model.

    A model wrapped by peft is looked into, unless its adapter adds tokens before the first.
    """
    if hasattr(model, "peft_config"):
        if any(config.is_prompt_learning for config in model.peft_config.values()):
            return None
        model = model.get_base_model()
    config: Any = getattr(model, "config", None)
    family = getattr(config, "model_type", "")
    if family not in FAMILIES or not type(model).__name__.endswith("ForSequenceClassification"):
        return None
    if getattr(config, "is_decoder", False) or config._attn_implementation not in ("sdpa", ATTENTION_NAME):
        return None
    body = model.base_model
    return (body.transformer if family == "distilbert" else body.encoder).layer[-1], family


def use_first_token(model: Any) -> bool:
    """Compute the last layer for the first token alone. Whether anything changed."""
    found = last_layer(model)
    if found is None or isinstance(found[0], FIRST_TOKEN):
        return False
    layer, family = found
    plain: type[nn.Module] = type(layer)
    layer.__class__ = first_token_class(plain, family == "distilbert")
    return True


def use_all_tokens(model: Any) -> None:
    """Undo ``use_first_token``."""
    shortened: list[Any] = [module for module in model.modules() if isinstance(module, FIRST_TOKEN)]
    for module in shortened:
        module.__class__ = module.plain


@contextmanager
def first_token_only(model: Any, wanted: bool) -> Iterator[None]:
    """The context in which logits are wanted and nothing else; the model leaves it as it came."""
    changed = wanted and use_first_token(model)
    try:
        yield
    finally:
        if changed:
            use_all_tokens(model)
