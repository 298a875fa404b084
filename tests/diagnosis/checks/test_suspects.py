"""Labels that do not fit are found with the right proposal; clean ones are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.diagnosis.rows import clouds, evidence
from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.checks.suspects import suspect_labels
from tunesmith.diagnosis.evidence import make_evidence
from tunesmith.diagnosis.out_of_fold import in_one_fold, out_of_fold


def judged(rows):
    """The evidence with out-of-fold probabilities from its embeddings."""
    near = near_duplicates(rows.rows.texts)
    said = out_of_fold(rows.rows, rows.labels, rows.embeddings, near)
    return make_evidence(rows.rows, rows.labels, pred_probs=said.pred_probs, folds=said.folds, near=near, method="frozen")


def test_flipped_labels_come_first_with_the_right_proposal() -> None:
    rows, truth = clouds(flipped=15)
    found = suspect_labels(judged(rows))
    assert found.flagged is not None
    assert found.scores is not None
    assert found.proposed is not None
    assert len(set(np.argsort(found.scores)[:14].tolist()) & set(range(15))) >= 12
    flagged = np.flatnonzero(found.flagged)
    assert np.isin(flagged, range(15)).mean() > 0.8
    assert (found.proposed[:15][found.flagged[:15]] == truth[:15][found.flagged[:15]]).mean() > 0.8
    assert found.figures["noise_low"] < 0.05 < found.figures["noise_high"]


def test_clean_rows_are_not_flagged() -> None:
    rows, _ = clouds(flipped=0)
    found = suspect_labels(judged(rows))
    assert found.flagged is not None
    assert int(found.flagged.sum()) <= 1
    assert found.figures["noise_rate"] < 0.01


def test_every_row_is_judged_by_a_model_that_did_not_see_its_twin() -> None:
    texts = [
        f"{word} is what this text is all about" for word in ("money", "money", "parcels", "parcels", "logins", "logins")
    ] * 4
    rows = Examples("train", "", list(range(24)), texts, [0, 1] * 12)
    near = near_duplicates(texts)
    said = out_of_fold(rows, Labels("single_label_classification", ("a", "b")), np.ones((24, 3)), near, n_folds=3)
    assert all(len(set(said.folds[near.text_ids == text].tolist())) == 1 for text in range(3))
    assert said.pred_probs.sum(axis=1) == pytest.approx(np.ones(24))


def test_rows_alone_in_their_class_are_known() -> None:
    assert in_one_fold(np.array([0, 0, 1, 2, 2, -1]), np.array([0, 1, 0, 1, 1, 0])).tolist() == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]


def test_what_it_cannot_judge_is_skipped_with_the_reason() -> None:
    assert "out-of-fold probabilities" in suspect_labels(evidence([0, 1])).skipped
    assert "two classes" in suspect_labels(evidence([0, 0], n_classes=2, pred_probs=np.full((2, 2), 0.5))).skipped


def test_unlabelled_rows_get_neither_score_nor_flag() -> None:
    probs = np.tile([0.9, 0.1], (20, 1))
    found = suspect_labels(evidence([0] * 18 + [1, None], pred_probs=probs))
    assert found.scores is not None
    assert found.flagged is not None
    assert np.isnan(found.scores[19])
    assert not found.flagged[19]
