"""AUM, forgetting and the data map, against the definitions and the published map."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.dynamics import NEVER_LEARNT, area_under_margin, aum, cartography, data_map, forgetting

# Three epochs of four rows of two classes; all given class 0: always right, learnt late, lost again, never right.
LOGITS = np.array([
    [[2.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 1.0]],
    [[3.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-2.0, 1.0]],
    [[4.0, 0.0], [2.0, 0.0], [-2.0, 0.0], [-3.0, 1.0]],
])  # fmt: skip
GIVEN = [0, 0, 0, 0]


def test_aum_is_the_mean_margin() -> None:
    assert area_under_margin(LOGITS, np.array(GIVEN)) == pytest.approx([3.0, 2 / 3, -2 / 3, -3.0])


def test_aum_takes_the_largest_other_logit() -> None:
    logits = np.array([[[1.0, 5.0, -2.0]]])
    assert area_under_margin(logits, np.array([0])) == pytest.approx([-4.0])
    assert area_under_margin(logits, np.array([1])) == pytest.approx([4.0])


def test_rows_that_another_class_led_are_flagged_with_it() -> None:
    found = aum(evidence(GIVEN, n_classes=2, epoch_logits=LOGITS))
    assert found.flagged is not None
    assert found.proposed is not None
    assert found.scores is not None
    assert found.flagged.tolist() == [False, False, True, True]
    assert found.proposed.tolist() == [-1, -1, 1, 1]
    assert found.scores.argmin() == 3


def test_the_map() -> None:
    found = data_map(LOGITS, np.array(GIVEN))
    assert found.correctness.tolist() == [3, 2, 1, 0]
    assert found.forgetting.tolist() == [0, 0, 1, NEVER_LEARNT]
    chances = 1 / (1 + np.exp(-(LOGITS[:, :, 0] - LOGITS[:, :, 1])))
    assert found.confidence == pytest.approx(chances.mean(axis=0))
    assert found.variability == pytest.approx(np.sqrt(((chances - chances.mean(axis=0)) ** 2).mean(axis=0)))


def test_never_learnt_rows_are_the_worst_of_forgetting() -> None:
    found = forgetting(evidence(GIVEN, n_classes=2, epoch_logits=LOGITS))
    assert found.flagged is not None
    assert found.scores is not None
    assert found.flagged.tolist() == [False, False, False, True]
    assert found.scores[3] < found.scores[2] < found.scores[0] == found.scores[1]


def test_the_map_flags_nothing_and_names_its_mode() -> None:
    found = cartography(evidence(GIVEN, n_classes=2, epoch_logits=LOGITS, epoch_mode="train"))
    assert found.flagged is None
    assert "train passes" in found.summary
    assert found.figures["correctness_histogram"] == [1, 1, 1, 1]


def test_the_published_map_has_the_histogram_of_its_paper(shared: Path) -> None:
    with (shared / "data/cartography/winogrande_roberta_0_6_data_map_coordinates.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    counts = np.bincount([int(row["correctness"]) for row in rows])
    assert counts.tolist() == [27, 84, 266, 698, 2208, 12215, 24900]
    # the coordinates fit our definitions: a row that is never right has at most half the probability, on average over six epochs
    confidence, correctness = (np.array([row[name] for row in rows]) for name in ("confidence", "correctness"))
    assert (confidence[correctness == 0] < 0.5).all()
    assert (confidence[correctness == 6] > 0.5).all()


@pytest.mark.parametrize("diagnosis", [aum, forgetting, cartography])
def test_without_a_training_run_they_are_skipped(diagnosis) -> None:
    assert "every epoch" in diagnosis(evidence([0, 1])).skipped


@pytest.mark.parametrize("diagnosis", [aum, forgetting, cartography])
def test_unlabelled_rows_get_no_score(diagnosis) -> None:
    found = diagnosis(evidence([0, None, 0, 0], n_classes=2, epoch_logits=LOGITS))
    assert np.isnan(found.scores[1])
    assert np.isfinite(found.scores[[0, 2, 3]]).all()


@pytest.mark.parametrize("diagnosis", [aum, forgetting, cartography])
def test_rows_that_no_run_had_are_left_out_and_a_split_without_any_is_skipped(diagnosis) -> None:
    logits = np.random.default_rng(0).normal(size=(3, 4, 2))
    logits[:, 1] = np.nan
    found = diagnosis(evidence([0, 1, 0, 1], n_classes=2, epoch_logits=logits, epoch_mode="train"))
    assert np.isnan(found.scores).tolist() == [False, True, False, False]
    nothing = np.full((3, 4, 2), np.nan)
    assert diagnosis(evidence([0, 1, 0, 1], n_classes=2, epoch_logits=nothing)).skipped == "no training run had these rows"
