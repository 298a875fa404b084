"""Computes a classifier's last layer for the first token only, if its head reads no other token.

The keys and values of all tokens are still needed; queries, feed-forward and norms of the other tokens are not. In a model of L
layers this saves about 5/6 of one of them. The outputs are the plain ones up to fp32 rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# model_type of classifiers whose head reads the first token, and which of the two layouts below their layers have.
BERT_LIKE = frozenset({"bert", "camembert", "data2vec-text", "electra", "ernie", "roberta", "xlm-roberta"})
FAMILIES = BERT_LIKE | {"distilbert"}
ATTENTION_NAME = "tunesmith_eager"
"""Our own attention for training, see ``fast.path``."""


def attend_first_token(
    module: Any, projections: tuple[nn.Module, ...], n_heads: int, hidden: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Computes attention of the first token over all: hidden (B, T, H), mask (B, 1, T, T) or None -> (B, 1, H).

    Args:
        module: the self-attention; ``projections`` are its layers for query, key and value.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    query, key, value = projections
    attend = ALL_ATTENTION_FUNCTIONS[module.config._attn_implementation]

    def heads(states: torch.Tensor) -> torch.Tensor:
        return states.view(len(hidden), -1, n_heads, module.attention_head_size).transpose(1, 2)

    mixed, _ = attend(
        module,
        heads(query(hidden[:, :1])),
        heads(key(hidden)),
        heads(value(hidden)),
        None if mask is None else mask[:, :, :1],
        dropout=module.dropout.p if module.training else 0.0,
        scaling=module.scaling,
    )
    whole: torch.Tensor = mixed.reshape(len(hidden), 1, -1)
    return whole


class FirstTokenBert:
    """Base class put before a layer class of the BERT family: forward pass for the first token, (B, T, H) -> (B, 1, H)."""

    plain: type[nn.Module]
    attention: Any
    feed_forward_chunk: Any

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, *_: object, **__: object
    ) -> torch.Tensor:
        attention = self.attention.self
        projections = (attention.query, attention.key, attention.value)
        mixed = attend_first_token(attention, projections, attention.num_attention_heads, hidden_states, attention_mask)
        out: torch.Tensor = self.feed_forward_chunk(self.attention.output(mixed, hidden_states[:, :1]))
        return out


class FirstTokenDistilBert:
    """Base class put before DistilBERT's layer class: forward pass for the first token, (B, T, H) -> (B, 1, H)."""

    plain: type[nn.Module]
    attention: Any
    sa_layer_norm: Any
    ffn: Any
    output_layer_norm: Any

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: object) -> torch.Tensor:
        attention = self.attention
        projections = (attention.q_lin, attention.k_lin, attention.v_lin)
        mixed = attend_first_token(attention, projections, attention.n_heads, hidden_states, attention_mask)
        attended = self.sa_layer_norm(attention.out_lin(mixed) + hidden_states[:, :1])
        out: torch.Tensor = self.output_layer_norm(self.ffn(attended) + attended)
        return out


FIRST_TOKEN = (FirstTokenBert, FirstTokenDistilBert)


def use_first_token(model: PreTrainedModel) -> bool:
    """Computes the last layer of a classifier for the first token only, from now on, if that is correct for its type.

    A model wrapped by peft is unwrapped, unless its adapter adds tokens before the first. Returns True if anything changed.
    """
    if hasattr(model, "peft_config"):
        if any(config.is_prompt_learning for config in model.peft_config.values()):
            return False
        model = model.get_base_model()
    config: Any = getattr(model, "config", None)
    family = getattr(config, "model_type", "")
    if family not in FAMILIES or not type(model).__name__.endswith("ForSequenceClassification"):
        return False
    if getattr(config, "is_decoder", False) or config._attn_implementation not in ("sdpa", ATTENTION_NAME):
        return False
    layers = (model.base_model.transformer if family == "distilbert" else model.base_model.encoder).layer
    plain = type(layers[-1])
    if issubclass(plain, FIRST_TOKEN):
        return False
    first_token = FirstTokenDistilBert if family == "distilbert" else FirstTokenBert
    layers[-1].__class__ = type(f"FirstToken{plain.__name__}", (first_token, plain), {"plain": plain})
    return True


def use_all_tokens(model: nn.Module) -> None:
    """Undoes ``use_first_token``."""
    shortened: list[Any] = [module for module in model.modules() if isinstance(module, FIRST_TOKEN)]
    for module in shortened:
        module.__class__ = module.plain


@contextmanager
def first_token_only(model: PreTrainedModel, enabled: bool) -> Iterator[None]:
    """Applies ``use_first_token`` if enabled, for code that reads only logits, and undoes it afterwards."""
    changed = enabled and use_first_token(model)
    try:
        yield
    finally:
        if changed:
            use_all_tokens(model)
