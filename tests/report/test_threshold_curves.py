from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunesmith.report.saved_run import load
from tunesmith.report.threshold_curves import MOST_POINTS, of_class, thinned, threshold_curves

WriteRun = Callable[..., Path]


@pytest.mark.parametrize(("kind", "n_classes"), [("binary", 1), ("twelve", 6), ("multilabel", 4)])
def test_each_class_has_both_curves_with_its_area(kind: str, n_classes: int, write_run: WriteRun) -> None:
    shown = str(threshold_curves(load(write_run(kind))))
    assert len(re.findall(r"</i>\u2068[^<]*\u2069 [01]\.\d{3}</span>", shown)) == 2 * n_classes
    assert ("The 6 most frequent of 12 classes." in shown) == (kind == "twelve")


def test_there_are_no_curves_without_scores(write_run: WriteRun) -> None:
    assert threshold_curves(load(write_run("regression"))) is None
    assert threshold_curves(load(write_run("minimal"))) is None


def test_areas_and_ends_of_a_perfect_order() -> None:
    roc, pr = of_class(np.array([False, False, True]), np.array([0.1, 0.2, 0.9]), "a", 0)
    assert (roc.name, pr.name) == ("\u2068a\u2069 1.000", "\u2068a\u2069 1.000")
    assert (0, 1) in zip(roc.x, roc.y, strict=True)
    assert (1, 1) in zip(pr.x, pr.y, strict=True)
    assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0, 0, 1, 1)


def test_curves_are_thinned_and_keep_their_ends() -> None:
    x, y = thinned(np.arange(5000.0), np.arange(5000.0))
    assert len(x) == MOST_POINTS
    assert (x[0], x[-1], y[-1]) == (0, 4999, 4999)
