"""What single words tell: changes of PVI, which rows are gone through, what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.input_variants import OmittedWord
from tunesmith.diagnosis.checks.words_left_out import labelled_positions, lowest_pvi, words_left_out

WHOLE = np.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])


def test_the_change_is_pvi_without_the_word_minus_pvi_with_it() -> None:
    left = [OmittedWord(0, "text", 0, "nobody"), OmittedWord(0, "text", 1, "sleeps"), OmittedWord(2, "text", 0, "yes")]
    without = np.array([[0.25, 0.75], [1.0, 0.0], [0.9, 0.1]])
    found = words_left_out(evidence([0, 1, 0]), left, without, WHOLE)
    assert [row["pvi_change_bits"] for row in found.figures["table"]] == pytest.approx([-1, 1, 0])
    assert [row["row_id"] for row in found.figures["table"]] == [100, 100, 102]
    assert found.flagged is not None
    assert found.flagged.tolist() == [True, False, True]
    assert found.reasons[0] == 'PVI without "nobody" -1.00, "sleeps" +1.00 bits'
    assert found.summary == "3 words of 2 rows were left out, one at a time."


def test_the_mean_is_given_of_words_that_are_frequent_in_a_class() -> None:
    left = [OmittedWord(0, "text", i, word) for i, word in enumerate(["Not"] * 3 + ["not"] * 3 + ["rare"] * 5)]
    without = np.array([[0.25, 0.75]] * 11)
    found = words_left_out(evidence([0, 1, 0]), left, without, WHOLE, n_cut=1, n_hidden=2)
    assert 'mean change where a word is frequent: "not" -1.00 in a (6 times)' in found.summary
    assert "rare" not in found.summary
    assert "1 rows have more words than were left out" in found.summary
    assert "2 rows hold personal data" in found.summary


def test_the_lowest_rows_are_taken_and_hidden_or_unlabelled_ones_not() -> None:
    rows = evidence([0, 0, 0, None, 1], pred_probs=np.array([[0.9, 0.1], [0.1, 0.9], [0.3, 0.7], [0.5, 0.5], [0.4, 0.6]]))
    assert lowest_pvi(rows, 2, {}) == [1, 2]
    assert lowest_pvi(rows, 2, {1: "an address"}) == [2, 0]
    assert lowest_pvi(evidence([0, 1]), 2, {}) == []


def test_rows_are_found_by_their_ids() -> None:
    assert labelled_positions(evidence([0, None, 1]), [102, 101, 555]) == [2]


def test_with_nothing_to_go_through_it_is_skipped() -> None:
    assert "no row" in words_left_out(evidence([0, 1]), [], np.zeros((0, 2)), WHOLE).skipped
    assert "personal data" in words_left_out(evidence([0, 1]), [], np.zeros((0, 2)), WHOLE, n_hidden=1).skipped
