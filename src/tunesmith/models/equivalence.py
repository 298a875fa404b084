"""Certificates that two ways to compute the same logits agree, and that saved files hold the tensors and tokens in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from tunesmith.data.cells import listed, plural
from tunesmith.models.encode import Encoded
from tunesmith.models.inference import run_model, select_logits
from tunesmith.results import Certificate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER_CERTIFICATE = "the saved adapter on its base model equals the trained model"
MERGED_CERTIFICATE = "the merged model equals the adapter"
RELATIVE_LIMIT = 1e-4
SMALLEST_LIMIT = 1e-6
SAMPLE_ROWS = 8


def spread_rows(encoded: Encoded, count: int = SAMPLE_ROWS) -> Encoded:
    """Selects a few rows, evenly spread from the shortest to the longest."""
    return encoded.take(spread_by_length(encoded.lengths, count))


def spread_by_length(lengths: np.ndarray, count: int = SAMPLE_ROWS) -> np.ndarray:
    """Returns the positions of a few rows, evenly spread from the shortest to the longest."""
    order = np.argsort(lengths, kind="stable")
    return np.asarray(order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).astype(int))])


def fp32_logits(model: PreTrainedModel, encoded: Encoded, pad_id: int, max_rows: int) -> np.ndarray:
    """Returns logits in fp32, (N, K)."""
    return run_model(model, encoded, pad_id, select_logits, max_rows=max_rows)


def reload_equality(
    model: PreTrainedModel, reloaded: PreTrainedModel, encoded: Encoded | Iterable[Encoded], pad_id: int, name: str
) -> Certificate:
    """Certifies that a model in memory has the logits of the same model read from disk, on a few rows of each split."""
    samples = [spread_rows(rows) for rows in ([encoded] if isinstance(encoded, Encoded) else encoded) if len(rows)]
    ours, theirs = (np.concatenate([fp32_logits(one, rows, pad_id, len(rows)) for rows in samples]) for one in (model, reloaded))
    return certificate(name, ours, theirs)


def equal_tensors(states: Iterable[tuple[Mapping[str, torch.Tensor], Path]]) -> Certificate:
    """Certifies that every tensor in safetensors files is, byte for byte, the one in memory; the figure counts others.

    Args:
        states: the tensors of a module by name, and the folder that it was saved in. Tensors under another name in the files
            than in memory are not compared; one of each file has to be.
    """
    from safetensors import safe_open

    differing, n_compared, n_saved = [], 0, 0
    for state, folder in states:
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, "pt") as file:
                held = list(file.keys())
                names, n_saved = [name for name in held if name in state], n_saved + len(held)
                differing += [name for name in names if not equal_bytes(file.get_tensor(name), state[name])]
            n_compared += len(names)
            differing += [] if names else [path.name]
    note = f"differing tensors, of {n_compared:,} compared and {n_saved:,} saved"
    note += f": {listed(differing, 3)}:" if differing else ":"
    passed = not differing and n_compared > 0
    return Certificate("the saved tensors are those in memory", passed, float(len(differing)), 0.0, note)


def equal_bytes(saved: torch.Tensor, ours: torch.Tensor) -> bool:
    return saved.dtype == ours.dtype and saved.shape == ours.shape and bool(torch.equal(saved, ours.detach().cpu()))


def equal_tokens(expected: Iterable[Sequence[int]], saved: Iterable[Sequence[int]]) -> Certificate:
    """Certifies that the saved tokenizer gives the token ids of the training for the same texts; the figure counts others."""
    pairs = list(zip(expected, saved, strict=True))
    differing = sum(list(ours) != list(theirs) for ours, theirs in pairs)
    note = f"rows with other tokens, of {plural(len(pairs), 'row')} of every split:"
    return Certificate("the saved tokenizer gives the tokens of the training", not differing, float(differing), 0.0, note)


def certificate(name: str, ours: np.ndarray, theirs: np.ndarray, measured: str = "largest difference of a logit") -> Certificate:
    """Certifies that two arrays agree to fp32 rounding at their own scale. A difference that is not finite fails."""
    figure = float(np.abs(ours - theirs).max())
    limit = max(SMALLEST_LIMIT, RELATIVE_LIMIT * float(np.abs(ours).max()))
    return Certificate(name, bool(np.isfinite(figure) and figure <= limit), figure, limit, measured)
