"""Limits what the logits of every training row in every epoch may take, without torch."""

from __future__ import annotations

MAX_BYTES = 512 * 2**20


def logits_bytes(n_epochs: int, n_rows: int, n_classes: int) -> int:
    """Returns the bytes of the logits (E, N, K) in float16; 0 where they are not kept: more than ``MAX_BYTES``, or no class."""
    size = 2 * n_epochs * n_rows * n_classes
    return size if size <= MAX_BYTES else 0
