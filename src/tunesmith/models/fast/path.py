"""The fast path: precision, attention, dropout and memory chosen for the machine, put on a model and taken off again.

Nothing here changes what a model is: parameter names, saved weights and saved configuration stay those of the plain model,
and in fp32 its outputs outside training are the plain ones up to rounding.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from tunesmith.machine import cpu_flags
from tunesmith.models.fast.first_token import ATTENTION_NAME, use_all_tokens, use_first_token
from tunesmith.models.fast.used_embeddings import use_all_rows, use_reached_rows

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
# Encoders whose attention is softmax(q k^T * scale + mask) v and nothing else; others keep the attention they came with.
PLAIN_ATTENTION = frozenset(
    {
        "albert",
        "bert",
        "camembert",
        "data2vec-text",
        "distilbert",
        "electra",
        "ernie",
        "esm",
        "roberta",
        "xlm-roberta",
        "xlm-roberta-xl",
    }
)
WORDS_PER_DRAW = 4
LEVELS = 1 << 16
SHORTCUT_REASONS = {
    "first_token": "a classifier that reads the first token needs the last layer of no other",
    "reached_rows": "the gradient of words that training never meets is zero",
    "bucketed": "less padding",
}
# glibc's <malloc.h>: parameter -> (value while memory is kept, value afterwards). Naming any of them ends glibc's own tuning, so
# that the values afterwards are those it settles at in a program with large tensors, not those it starts with.
MALLOC_PARAMETERS = {
    -1: (2**31 - 1, 64 * 2**20),  # M_TRIM_THRESHOLD
    -3: (32 * 2**20, 32 * 2**20),  # M_MMAP_THRESHOLD
    -4: (0, 65536),  # M_MMAP_MAX
}


@dataclass(frozen=True)
class Kernels:
    """What the fast path does on this machine.

    Attributes:
        fast: False is the plain upstream path, in fp32 and with random batches.
        precision: of the matrix products, by autocast; weights and optimizer state are fp32 in both.
        attention: ``eager`` puts our matrix products in place of SDPA while training; ``upstream`` leaves the model's own.
        dropout: ``words`` draws masks as 16-bit words (the rate is rounded to 1/65536, the mean is exact); ``torch`` is torch's.
        keep_memory: freed memory stays with the process during training.
        bucketed: batches of rows of similar length, in random order.
        first_token: the last layer is computed for the first token alone, where the head reads no other.
        reached_rows: only the rows of the word embedding that the training texts can reach are trained.
        reasons: field -> why it has this value, for the report.
    """

    fast: bool = False
    precision: Literal["bf16", "fp32"] = "fp32"
    attention: Literal["eager", "upstream"] = "upstream"
    dropout: Literal["words", "torch"] = "torch"
    keep_memory: bool = False
    bucketed: bool = False
    first_token: bool = False
    reached_rows: bool = False
    reasons: dict[str, str] = field(default_factory=dict, compare=False, hash=False)


def choose_kernels(fast: bool, device: str, flags: frozenset[str] | None = None) -> Kernels:
    """The kernels for a device.

    Args:
        fast: False asks for the plain upstream path.
        device: ``cuda``, ``mps`` or ``cpu``.
        flags: instruction-set flags of the processor; this machine's when not said.
    """
    if not fast:
        return Kernels(reasons={"fast": "switched off: the plain upstream path, in fp32"})
    if device == "cuda":
        return gpu_kernels(torch.cuda.is_bf16_supported())
    if device != "cpu":
        reasons = {"precision": f"fp32: bf16 was not measured on {device}"} | SHORTCUT_REASONS
        return Kernels(fast=True, bucketed=True, first_token=True, reached_rows=True, reasons=reasons)
    return cpu_kernels(cpu_flags() if flags is None else flags)


def gpu_kernels(has_bf16: bool) -> Kernels:
    """On a GPU upstream's SDPA and dropout are fused kernels, and freed memory stays with torch's own allocator."""
    why = "the GPU multiplies bf16 in hardware" if has_bf16 else "the GPU has no bf16"
    reasons = {"precision": why, "attention": "SDPA is a fused kernel here"} | SHORTCUT_REASONS
    precision: Literal["bf16", "fp32"] = "bf16" if has_bf16 else "fp32"
    return Kernels(True, precision, bucketed=True, first_token=True, reached_rows=True, reasons=reasons)


def cpu_kernels(flags: frozenset[str]) -> Kernels:
    """On a CPU what counts is bf16 where the processor has it, and no work besides the matrix products."""
    has_bf16 = bool(BF16_FLAGS & flags)
    reasons = {
        "precision": "the processor multiplies bf16 in hardware" if has_bf16 else "the processor has no bf16 instructions",
        "attention": "on a CPU SDPA has no fused kernel with dropout, and its backward pass in bf16 is slower than its parts",
        "dropout": "torch draws a mask one number at a time; one draw of 64 bits serves four elements",
        "keep_memory": "memory given back to the system after each step has to be mapped page by page in the next",
    } | SHORTCUT_REASONS
    precision: Literal["bf16", "fp32"] = "bf16" if has_bf16 else "fp32"
    return Kernels(
        True, precision, "eager", "words", keep_memory=True, bucketed=True, first_token=True, reached_rows=True, reasons=reasons
    )


def apply_kernels(model: Any, kernels: Kernels, reached: np.ndarray | None = None) -> None:
    """Put the kernels on a model, in place. A second call replaces the first; ``restore`` undoes both.

    Args:
        reached: every token id the model will meet in training mode; without them all rows of the embedding are trained.
    """
    restore(model)
    if kernels.attention == "eager":
        use_attention(model)
    if kernels.first_token:
        use_first_token(model)
    if kernels.reached_rows and reached is not None:
        use_reached_rows(model, reached)
    if kernels.dropout == "words":
        change_class(model, nn.Dropout, WordDropout)
    if kernels.keep_memory:
        model.__dict__["_keeps_memory"] = keep_freed_memory(True)


def restore(model: Any) -> None:
    """Take the kernels off: the model is as upstream made it, and the process gives freed memory back again."""
    before = model.__dict__.pop("_attention_before", None)
    if before is not None:
        model.set_attn_implementation(before)
    change_class(model, WordDropout, nn.Dropout)
    use_all_tokens(model)
    use_all_rows(model)
    if model.__dict__.pop("_keeps_memory", False):
        keep_freed_memory(False)


def change_class(model: Any, old: type[nn.Module], new: type[nn.Module]) -> None:
    """Make every module of exactly the old class one of the new, where it stands: names, hooks and sharing stay."""
    for module in model.modules():
        if type(module) is old:
            module.__class__ = new


def use_attention(model: Any) -> None:
    """Training attention by plain matrix products, where the model is known to mean nothing else by attention."""
    config: Any = getattr(model, "config", None)
    if getattr(config, "model_type", None) not in PLAIN_ATTENTION or getattr(config, "is_decoder", False):
        return
    if config._attn_implementation != "sdpa":
        return
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION_NAME, attend)
    AttentionMaskInterface.register(ATTENTION_NAME, sdpa_mask)
    model.__dict__["_attention_before"] = "sdpa"
    model.set_attn_implementation(ATTENTION_NAME)


def attend(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None,
    dropout: float = 0.0, scaling: float | None = None, **others: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:  # fmt: skip
    """softmax(q k^T * scale + mask) v in training; SDPA outside of it and in fp32 without dropout, where it is a fused kernel.

    Args:
        query, key, value: (B, H, T, D); key and value may have fewer heads, each for a group of neighbours.
        attention_mask: (B, 1, T, T), True where a key may be seen, or None for all.

    Returns:
        The mixed values (B, T, H, D) and, where SDPA was not used, the probabilities (B, H, T, T).
    """
    from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

    if not module.training or (dropout == 0.0 and query.dtype == torch.float32):
        plain: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return plain
    groups = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    scores = torch.matmul(query, key.transpose(2, 3)) * (query.size(-1) ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores + additive(attention_mask, scores.dtype)
    probabilities = word_dropout(torch.softmax(scores, dim=-1), dropout)
    return torch.matmul(probabilities, value).transpose(1, 2).contiguous(), probabilities


def additive(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A boolean mask as numbers to add: 0 where a key may be seen, the lowest number elsewhere."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)


class WordDropout(nn.Dropout):
    """nn.Dropout with ``word_dropout`` for its masks."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return word_dropout(input, self.p) if self.training else input


def word_dropout(values: torch.Tensor, p: float) -> torch.Tensor:
    """``values`` with a share p of them set to zero, the others scaled so that the mean stays.

    Each element has a 16-bit word of its own from torch's global generator. p is rounded to k / 65536, and the scale is
    1 / (1 - k / 65536), so that the mean is exact for the rate that is used.
    """
    cut = round(p * LEVELS)
    if cut == 0:
        return values
    if cut == LEVELS:
        return values * 0.0
    count = values.numel()
    draws = torch.empty(-(-count // WORDS_PER_DRAW), dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.int16)[:count].view(values.shape) >= cut - LEVELS // 2
    # Read as bytes, because torch converts booleans several times slower.
    return values * kept.view(torch.uint8).to(values.dtype).mul_(LEVELS / (LEVELS - cut))


def keep_freed_memory(keep: bool) -> bool:
    """Whether the C library was told to keep freed memory (or to give it back again); it can only be told on glibc."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL("libc.so.6")
        told = [library.mallopt(name, kept if keep else after) for name, (kept, after) in MALLOC_PARAMETERS.items()]
        if not keep:
            library.malloc_trim(0)
    except (OSError, AttributeError):
        return False
    return all(told)
