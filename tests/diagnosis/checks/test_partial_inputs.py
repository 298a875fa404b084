"""What a part tells by itself, and what the whole adds: figures by hand, flags, words."""

from __future__ import annotations

import numpy as np
import pytest

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.partial_inputs import partial_input

GIVEN = [0, 0, 1, 1, None]
PART = np.array([[0.95, 0.05], [0.5, 0.5], [0.6, 0.4], [0.1, 0.9], [0.99, 0.01]])
WHOLE = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.3, 0.7], [0.5, 0.5]])


def test_bits_accuracy_and_what_the_whole_adds() -> None:
    (row,) = partial_input(evidence(GIVEN), "pair_only", PART, WHOLE).figures["table"]
    of_part, of_whole = np.array([0.95, 0.5, 0.4, 0.9]), np.array([0.9, 0.8, 0.8, 0.7])
    assert row["v_information_bits"] == pytest.approx(1 + np.log2(of_part).mean())
    assert row["whole_adds_bits"] == pytest.approx(np.log2(of_whole / of_part).mean())
    assert row["whole_adds_bits"] == pytest.approx(row["whole_v_information_bits"] - row["v_information_bits"])
    assert row["whole_adds_low"] < row["whole_adds_bits"] < row["whole_adds_high"]
    assert (row["accuracy"], row["whole_accuracy"], row["majority_accuracy"], row["n"]) == (0.75, 1.0, 0.5, 4)
    assert (row["n_missed"], row["whole_accuracy_on_missed"]) == (1, 1.0)


def test_rows_that_the_part_gives_away_are_flagged_and_score_lowest() -> None:
    found = partial_input(evidence(GIVEN), "pair_only", PART, WHOLE)
    assert found.flagged is not None
    assert found.scores is not None
    assert found.flagged.tolist() == [True, False, False, True, False]
    assert found.scores[0] == 0
    assert np.isnan(found.scores[4])
    assert found.reasons[0] == "the second text alone gives a 95%"
    assert "evaluate models on the rows it gets wrong" in found.remedy
    assert found.summary.startswith("The second text alone gives ")


def test_shuffled_words_hold_the_whole_row_and_flag_nothing() -> None:
    found = partial_input(evidence(GIVEN), "shuffled_words", PART, WHOLE)
    assert found.flagged is not None
    assert not found.flagged.any()
    assert found.remedy == ""


def test_a_part_that_tells_nothing_needs_no_remedy_and_a_part_without_mistakes_no_second_accuracy() -> None:
    nothing = partial_input(evidence(GIVEN), "title", np.full((5, 2), 0.5), WHOLE)
    assert nothing.remedy == ""
    assert nothing.figures["table"][0]["v_information_bits"] == pytest.approx(0)
    perfect = partial_input(evidence(GIVEN), "title", np.eye(2)[[0, 0, 1, 1, 1]], WHOLE)
    assert perfect.figures["table"][0]["whole_accuracy_on_missed"] is None
    assert "gets wrong" not in perfect.summary


def test_without_labels_it_is_skipped() -> None:
    assert partial_input(evidence([None, None], n_classes=2), "title", PART[:2], WHOLE[:2]).skipped == "no row has a label"
