"""The fast path: chooses precision, attention, dropout and memory for the machine, and applies them to a model.

Parameter names, saved weights and saved configuration stay those of the plain model, and in fp32 its outputs outside training
are the plain ones up to rounding.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from tunesmith.errors import ModelError
from tunesmith.machine import cpu_flags
from tunesmith.models.fast.first_token import ATTENTION_NAME, use_all_tokens, use_first_token
from tunesmith.models.fast.used_embeddings import train_all_embeddings, train_used_embeddings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
# Encoders whose attention is softmax(q k^T * scale + mask) v and nothing else; others keep their own attention.
PLAIN_ATTENTION = frozenset({
    "albert", "bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "esm", "roberta", "xlm-roberta",
    "xlm-roberta-xl",
})  # fmt: skip
WORDS_PER_DRAW = 4
LEVELS = 1 << 16
SHORTCUT_REASONS = {
    "first_token": "the classifier's head uses the first token only",
    "reached_rows": "the gradient of tokens that do not occur in the training texts is zero",
    "bucketed": "less padding",
}
# glibc's <malloc.h>: parameter -> (value while memory is kept, value afterwards). Setting any of them ends glibc's own tuning, so
# the values afterwards are those it settles at in a program with large tensors, not its initial ones.
MALLOC_PARAMETERS = {
    -1: (2**31 - 1, 64 * 2**20),  # M_TRIM_THRESHOLD
    -3: (32 * 2**20, 32 * 2**20),  # M_MMAP_THRESHOLD
    -4: (0, 65536),  # M_MMAP_MAX
}


@dataclass(frozen=True)
class FastPath:
    """The choices of the fast path on this machine; the fields are written to result.json as ``kernels``.

    Attributes:
        fast: False is the plain upstream path, in fp32 and with random batches.
        precision: of the matrix products, by autocast; weights and optimizer state are fp32 in both.
        attention: ``eager`` replaces SDPA by our matrix products during training; ``upstream`` leaves the model's own.
        dropout: ``words`` draws masks as 16-bit words (the rate is rounded to 1/65536, the mean is exact); ``torch`` is torch's.
        keep_memory: freed memory stays with the process during training.
        bucketed: batches of rows of similar length, in random order.
        first_token: the last layer is computed for the first token only, if the head reads no other.
        reached_rows: only the rows of the word embedding whose tokens occur in the training texts are trained.
        reasons: field -> reason for its value, for the report.
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


SHORTCUTS = FastPath(fast=True, bucketed=True, first_token=True, reached_rows=True)


def choose_fast_path(fast: bool, device: str, flags: frozenset[str] | None = None, attention: str | None = None) -> FastPath:
    """Chooses the fast path for a device.

    Args:
        fast: False for the plain upstream path.
        device: ``cuda``, ``mps`` or ``cpu``.
        flags: instruction-set flags of the processor; None for this machine's.
        attention: ``model.attn_implementation`` of the recipe, which stays; None leaves the choice to the fast path. Raises
            ModelError for one that cannot train on the device.
    """
    chosen = path_of_device(fast, device, flags)
    if attention is None:
        return chosen
    if device == "cpu" and attention.startswith("fl"):
        what = "has no backward pass" if attention == "flex_attention" else "does not run"
        remedy = "Write sdpa or eager, remove the key, or train on a GPU."
        raise ModelError.one("model.attn_implementation", f"{attention} {what} on a CPU.", remedy)
    reasons = {**chosen.reasons, "attention": f"the recipe names it: model.attn_implementation: {attention}"}
    if chosen.first_token and attention != "sdpa":
        reasons["first_token"] = f"off: the shortcut is written for sdpa, not for {attention}"
    first_token = chosen.first_token and attention == "sdpa"
    return replace(chosen, attention="upstream", first_token=first_token, reasons=reasons)


def path_of_device(fast: bool, device: str, flags: frozenset[str] | None) -> FastPath:
    """Chooses the fast path for a device by its instructions alone; arguments as in ``choose_fast_path``."""
    if not fast:
        return FastPath(reasons={"fast": "switched off: the plain upstream path, in fp32"})
    if device == "cuda":
        # Attention, dropout and memory stay: SDPA and dropout are fused, and torch's allocator keeps freed memory.
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        why = "the GPU multiplies bf16 in hardware" if has_bf16 else "the GPU has no bf16 in hardware"
        reasons = {"precision": why, "attention": "SDPA is a fused kernel here"} | SHORTCUT_REASONS
        return replace(SHORTCUTS, precision="bf16" if has_bf16 else "fp32", reasons=reasons)
    if device != "cpu":
        reasons = {"precision": f"fp32: bf16 was not measured on {device}"} | SHORTCUT_REASONS
        return replace(SHORTCUTS, reasons=reasons)
    has_bf16 = bool(BF16_FLAGS & (cpu_flags() if flags is None else flags))
    reasons = {
        "precision": "the processor multiplies bf16 in hardware" if has_bf16 else "the processor has no bf16 instructions",
        "attention": "on a CPU SDPA has no fused kernel with dropout, and its backward pass in bf16 is slower than its parts",
        "dropout": "torch draws a mask one number at a time; one draw of 64 bits serves four elements",
        "keep_memory": "memory given back to the system after each step has to be mapped page by page in the next",
    } | SHORTCUT_REASONS
    fp32 = replace(SHORTCUTS, attention="eager", dropout="words", keep_memory=True, reasons=reasons)
    return replace(fp32, precision="bf16") if has_bf16 else fp32


def apply_fast_path(model: PreTrainedModel, fast_path: FastPath, used_ids: np.ndarray | None = None) -> None:
    """Applies the fast path to a model, in place. A second call replaces the first; ``remove_fast_path`` undoes both.

    Args:
        used_ids: every token id that the model will get in training mode; None trains all rows of the embedding.
    """
    remove_fast_path(model)
    if fast_path.attention == "eager":
        use_attention(model)
    if fast_path.first_token:
        use_first_token(model)
    if fast_path.reached_rows and used_ids is not None:
        train_used_embeddings(model, used_ids)
    if fast_path.dropout == "words":
        change_class(model, nn.Dropout, WordDropout)
    if fast_path.keep_memory:
        model.__dict__["_keeps_memory"] = keep_freed_memory(True)


def remove_fast_path(model: PreTrainedModel) -> None:
    """Undoes ``apply_fast_path``: the model is the plain one, and the process returns freed memory again."""
    before = model.__dict__.pop("_attention_before", None)
    if before is not None:
        model.set_attn_implementation(before)
    change_class(model, WordDropout, nn.Dropout)
    use_all_tokens(model)
    train_all_embeddings(model)
    if model.__dict__.pop("_keeps_memory", False):
        keep_freed_memory(False)


def change_class(model: nn.Module, old: type[nn.Module], new: type[nn.Module]) -> None:
    """Changes the class of every module of exactly the old class, in place: names, hooks and sharing stay."""
    for module in model.modules():
        if type(module) is old:
            module.__class__ = new


def use_attention(model: PreTrainedModel) -> None:
    """Computes training attention by plain matrix products, for models in ``PLAIN_ATTENTION``."""
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
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Computes softmax(q k^T * scale + mask) v in training, by SDPA outside of it and in fp32 without dropout (a fused kernel).

    Args:
        query, key, value: (B, H, T, D); key and value may have fewer heads, each for a group of neighbours.
        attention_mask: (B, 1, T, T), True for visible keys; None for all visible.

    Returns:
        Outputs (B, T, H, D) and, if SDPA was not used, the probabilities (B, H, T, T).
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
    """Converts a boolean mask to an additive one: 0 for visible keys, else the lowest number."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)


class WordDropout(nn.Dropout):
    """nn.Dropout that draws its masks by ``word_dropout``."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return word_dropout(input, self.p) if self.training else input


def word_dropout(values: torch.Tensor, p: float) -> torch.Tensor:
    """Sets a share p of the values to zero and scales the others so that the mean stays.

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
    """Sets whether the C library keeps freed memory or returns it. Returns True on success; only glibc has the setting."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL("libc.so.6")
        results = [library.mallopt(name, kept if keep else after) for name, (kept, after) in MALLOC_PARAMETERS.items()]
        if not keep:
            library.malloc_trim(0)
    except (OSError, AttributeError):
        return False
    return all(results)
