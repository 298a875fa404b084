"""Logits kept during training: which epochs count, what is stored, where nothing is recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tunesmith.data.table import Examples, Labels
from tunesmith.run_folder import EPOCH_LOGITS
from tunesmith.training.epoch_logits import MAX_FLOAT16, MODE, allocate, save_epoch_logits
from tunesmith.training.logits_size import MAX_BYTES


def test_an_epoch_counts_only_where_every_row_was_seen() -> None:
    epoch_logits = allocate(3, 4, 2)
    assert epoch_logits is not None
    for epoch in (0, 1):
        epoch_logits.add(epoch, [2, 0], torch.tensor([[1.0, 2.0], [3.0, 4.0]]) + epoch)
    epoch_logits.add(0, [1, 3], torch.zeros(2, 2))
    whole = epoch_logits.whole()
    assert whole is not None
    assert whole.shape == (1, 4, 2)
    assert whole[0].tolist() == [[3, 4], [0, 0], [1, 2], [0, 0]]


def test_no_whole_epoch_is_none() -> None:
    epoch_logits = allocate(1, 2, 2)
    assert epoch_logits is not None
    epoch_logits.add(0, [1], torch.zeros(1, 2))
    assert epoch_logits.whole() is None


def test_an_epoch_beyond_the_planned_ones_is_not_kept_and_large_logits_stay_finite() -> None:
    epoch_logits = allocate(1, 1, 2)
    assert epoch_logits is not None
    epoch_logits.add(0, [0], torch.tensor([[1e9, -1e9]]))
    epoch_logits.add(1, [0], torch.tensor([[5.0, 5.0]]))
    assert epoch_logits.logits[0, 0].tolist() == [MAX_FLOAT16, -MAX_FLOAT16]


def test_saved_and_restored_it_is_the_same(tmp_path: Path) -> None:
    epoch_logits, empty = allocate(2, 3, 2), allocate(2, 3, 2)
    assert epoch_logits is not None
    assert empty is not None
    epoch_logits.add(1, [2], torch.tensor([[0.5, -0.5]]))
    epoch_logits.save(tmp_path)
    empty.restore(tmp_path)
    assert np.array_equal(empty.logits, epoch_logits.logits)
    assert np.array_equal(empty.seen, epoch_logits.seen)


def test_nothing_is_recorded_without_classes_without_an_epoch_or_above_the_limit() -> None:
    assert allocate(3, 10, 0) is None
    assert allocate(0, 10, 2) is None
    assert allocate(1, MAX_BYTES // 4 + 1, 2) is None


def test_the_file_holds_the_rows_the_classes_and_the_mode(tmp_path: Path) -> None:
    train, labels = (
        Examples("train", "a.csv", [3, 5], ["a", "b"], [0, 1], sha256="1f"),
        Labels("single_label_classification", ("x", "y")),
    )
    save_epoch_logits(train, labels, None, tmp_path)
    assert not list(tmp_path.iterdir())
    logits = np.ones((2, 2, 2), dtype=np.float16)
    save_epoch_logits(train, labels, logits, tmp_path)
    with np.load(tmp_path / EPOCH_LOGITS) as saved:
        assert np.array_equal(saved["logits"], logits)
        assert (saved["row_ids"].tolist(), saved["names"].tolist()) == ([3, 5], ["x", "y"])
        assert (str(saved["mode"]), str(saved["sha256"])) == (MODE, "1f")
