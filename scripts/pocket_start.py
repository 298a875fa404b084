"""Initialises induction heads, which a model trained on few tokens would need most of its training to learn.

An induction head predicts a repeated text by attending to its earlier occurrence and copying the next token. Two heads of layer 0
write the previous token and the one before it into the residual stream; heads of layer 1 attend to the position whose two
previous tokens match the last two tokens best, and copy its token (Olsson et al., 2022, "In-context learning and induction
heads"). The initial weights contain these heads, and training continues from there, as Trockman and Kolter do with simpler
patterns (2023, "Mimetic initialization of self-attention layers").
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

SHARED = 0.5
"""Length of what all token vectors have in common; the head that looks one token back is driven by it."""
SHARPNESS, MATCH, WRITE, COPY = 7.0, 3.0, 0.4, 1.0
QUIET = 0.1
"""What everything else may write at first, so that these heads are heard."""
FAST, SLOW = 0.05, 0.01
"""Speeds of rotary positions, radians a token: those above tell neighbours apart, those below hardly turn within a context."""


@torch.no_grad()
def look_back(model: LlamaForCausalLM) -> None:
    """Changes the initial weights in place.

    A token vector is a shared direction plus content. As many directions as a head has are free of both; they hold the previous
    tokens.
    """
    width, dim = model.config.hidden_size, model.config.head_dim
    speeds = model.config.rope_parameters["rope_theta"] ** (-torch.arange(0, dim, 2) / dim)
    basis = torch.linalg.qr(torch.randn(width, width))[0]
    shared, content, free = basis[0], basis[1 : width - dim], basis[width - dim :]
    tokens = model.model.embed_tokens.weight
    tokens.copy_(tokens @ content.T @ content + SHARED * shared)
    drive = SHARPNESS / (SHARED / float(tokens.pow(2).mean(dim=1).sqrt().mean()))
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.mul_(QUIET)
        layer.mlp.down_proj.weight.mul_(QUIET)
    first, second = (layer.self_attn for layer in model.model.layers[:2])
    notes = free[: dim // 2], free[dim // 2 :]
    for back, note in enumerate(notes, 1):
        head = slice((back - 1) * dim, back * dim)
        first.q_proj.weight[head] = drive * torch.outer(angles(speeds, 0), shared)
        first.k_proj.weight[head] = drive * torch.outer(angles(speeds, back), shared)
        first.v_proj.weight[head][: dim // 2] = WRITE * content[: dim // 2]
        first.o_proj.weight[:, head][:, : dim // 2] = WRITE * note.T
    for part in (slice(0, dim), slice(dim, 2 * dim)):
        copied = content[part]
        second.q_proj.weight[part] = MATCH * slow(speeds, content, notes[0])
        second.k_proj.weight[part] = MATCH * slow(speeds, *notes)
        second.v_proj.weight[part][: len(copied)] = COPY * copied
        second.o_proj.weight[:, part][:, : len(copied)] = COPY * copied.T


def angles(speeds: Tensor, distance: int) -> Tensor:
    """Returns a vector of a head that, rotated by its position, has the largest product with one so many positions ahead."""
    used = (speeds > FAST).float()
    return torch.cat([torch.cos(distance * speeds) * used, torch.sin(distance * speeds) * used])


def slow(speeds: Tensor, one: Tensor, two: Tensor) -> Tensor:
    """Returns the rows of both in the dimensions of a head that rotary positions hardly rotate, and zeros in the others."""
    places = torch.cat([speeds < SLOW, speeds < SLOW]).nonzero().flatten()
    half = len(places) // 2
    kept = torch.zeros(2 * len(speeds), one.shape[1])
    kept[places[:half]], kept[places[half:]] = one[:half], two[:half]
    return kept
