"""Keeps the logits of every training row in every epoch as training computes them: no further pass over the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tunesmith.data.table import Examples, Labels
from tunesmith.disk import whole_file
from tunesmith.run_folder import EPOCH_LOGITS
from tunesmith.training.launch import rank, sum_over_processes
from tunesmith.training.logits_size import logits_bytes

MODE = "train"
"""The logits are those of the training step: before its update, with dropout where the model has any."""
MAX_FLOAT16 = float(np.finfo(np.float16).max)


@dataclass
class EpochLogits:
    """The logits that this process has computed so far.

    Attributes:
        logits: (E, N, K) float16, zeros for rows not seen.
        seen: (E, N) bool.
    """

    logits: np.ndarray
    seen: np.ndarray

    def add(self, epoch: int, positions: list[int], logits: torch.Tensor) -> None:
        """Keeps the logits (B, K) of the rows at these positions; those of an unfinished epoch beyond E are dropped."""
        if epoch < len(self.logits):
            self.logits[epoch, positions] = logits.float().clamp(-MAX_FLOAT16, MAX_FLOAT16).cpu().numpy()
            self.seen[epoch, positions] = True

    def save(self, folder: Path) -> None:
        """Writes this process's part into a checkpoint."""
        with whole_file(folder / part_name()) as part:
            np.savez(part, logits=self.logits, seen=self.seen)

    def restore(self, folder: Path) -> None:
        """Reads this process's part of a checkpoint."""
        with np.load(folder / part_name()) as part:
            self.logits, self.seen = part["logits"], part["seen"]

    def whole(self) -> np.ndarray | None:
        """Returns the epochs in which all rows were seen, over all processes: (E, N, K) float16; None if there is none.

        A row that two processes saw in one epoch, as padding of the last batch, gets the mean of both.
        """
        n_seen = sum_over_processes(self.seen.astype(np.float32))  # (E, N)
        n_epochs = int(np.cumprod(n_seen.all(axis=1)).sum())
        if n_epochs == 0:
            return None
        total = sum_over_processes(self.logits[:n_epochs].astype(np.float32))
        return np.asarray(total / n_seen[:n_epochs, :, None], dtype=np.float16)


def part_name() -> str:
    return f"epoch_logits-{rank()}.npz"


def allocate(n_epochs: int, n_rows: int, n_classes: int) -> EpochLogits | None:
    """Allocates the logits of a run; None if they are too large (``logits_bytes``), or there is no class or complete epoch."""
    if not logits_bytes(n_epochs, n_rows, n_classes):
        return None
    return EpochLogits(np.zeros((n_epochs, n_rows, n_classes), dtype=np.float16), np.zeros((n_epochs, n_rows), dtype=bool))


def save_epoch_logits(train: Examples, labels: Labels, epoch_logits: np.ndarray | None, folder: Path) -> None:
    """Writes the logits (E, N, K) of the training rows with row ids, class names and mode; no file without logits."""
    if epoch_logits is not None:
        row_ids, names = np.asarray(train.row_ids), np.asarray(labels.names)
        with whole_file(folder / EPOCH_LOGITS) as part:
            np.savez(part, logits=epoch_logits, row_ids=row_ids, names=names, mode=MODE, sha256=train.sha256)
