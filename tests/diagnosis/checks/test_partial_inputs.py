"""What a part tells by itself, and what the whole adds: figures by hand, flags, words."""

from __future__ import annotations

import numpy as np
import pytest

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.input_variants import OmittedWord
from tunesmith.diagnosis.checks.partial_inputs import lowest_pvi, partial_input, words_left_out

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


WHOLE_ROWS = np.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])


def test_the_change_is_pvi_without_the_word_minus_pvi_with_it() -> None:
    left = [OmittedWord(0, "text", 0, "nobody"), OmittedWord(0, "text", 1, "sleeps"), OmittedWord(2, "text", 0, "yes")]
    without = np.array([[0.25, 0.75], [1.0, 0.0], [0.9, 0.1]])
    found = words_left_out(evidence([0, 1, 0]), left, without, WHOLE_ROWS)
    assert [row["pvi_change_bits"] for row in found.figures["table"]] == pytest.approx([-1, 1, 0])
    assert [row["row_id"] for row in found.figures["table"]] == [100, 100, 102]
    assert found.flagged is not None
    assert found.flagged.tolist() == [True, False, True]
    assert found.reasons[0] == 'PVI without "nobody" -1.00, "sleeps" +1.00 bits'
    assert found.summary == "3 words of 2 rows were left out, one at a time."


def test_the_mean_is_given_of_words_that_are_frequent_in_a_class() -> None:
    left = [OmittedWord(0, "text", i, word) for i, word in enumerate(["Not"] * 3 + ["not"] * 3 + ["rare"] * 5)]
    without = np.array([[0.25, 0.75]] * 11)
    found = words_left_out(evidence([0, 1, 0]), left, without, WHOLE_ROWS, n_cut=1, n_hidden=2)
    assert 'mean change where a word is frequent: "not" -1.00 in a (6 times)' in found.summary
    assert "rare" not in found.summary
    assert "1 row has more words than were left out" in found.summary
    assert "2 rows with personal data" in found.summary


def test_the_lowest_rows_are_taken_and_hidden_or_unlabelled_ones_not() -> None:
    rows = evidence([0, 0, 0, None, 1], pred_probs=np.array([[0.9, 0.1], [0.1, 0.9], [0.3, 0.7], [0.5, 0.5], [0.4, 0.6]]))
    assert lowest_pvi(rows, 2, {}) == [1, 2]
    assert lowest_pvi(rows, 2, {1: "an address"}) == [2, 0]
    assert lowest_pvi(evidence([0, 1]), 2, {}) == []


def test_with_nothing_to_go_through_it_is_skipped() -> None:
    assert "no row" in words_left_out(evidence([0, 1]), [], np.zeros((0, 2)), WHOLE_ROWS).skipped
    assert "personal data" in words_left_out(evidence([0, 1]), [], np.zeros((0, 2)), WHOLE_ROWS, n_hidden=1).skipped
