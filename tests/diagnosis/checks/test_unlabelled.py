"""Rows without a label: found, with a proposal where there is a model."""

from __future__ import annotations

import numpy as np

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.suspects import suspect_labels
from tunesmith.diagnosis.checks.unlabelled import unlabelled
from tunesmith.diagnosis.evidence import UNLABELLED
from tunesmith.diagnosis.outcome import corrections_of, leading

PROBS = np.array([[0.9, 0.1], [0.3, 0.7], [0.05, 0.95], [0.2, 0.8]])


def test_the_likeliest_class_is_proposed_with_its_chance() -> None:
    found = unlabelled(evidence([0, None, None, 1], pred_probs=PROBS))
    assert found.flagged is not None
    assert found.scores is not None
    assert found.proposed is not None
    assert found.flagged.tolist() == [False, True, True, False]
    assert found.proposed.tolist() == [UNLABELLED, 1, 1, UNLABELLED]
    assert np.allclose(found.scores, [np.nan, 0.3, 0.05, np.nan], equal_nan=True)
    assert found.reasons == {1: "no label, looks like b (70%)", 2: "no label, looks like b (95%)"}
    assert found.summary == (
        "2 of 4 rows of train have no label; each has a proposed one, 1 of them with a probability of 80% or more."
    )


def test_without_a_model_they_are_only_named() -> None:
    found = unlabelled(evidence([0, None], n_classes=2))
    assert (found.summary, found.reasons, found.proposed) == ("1 of 2 rows of train have no label.", {1: "no label"}, None)
    assert unlabelled(evidence([0, 1])).summary == "All 2 rows of train have a label."


def test_a_label_that_was_put_aside_for_the_model_is_still_one() -> None:
    """Rows of a class that one fold holds alone are given as UNLABELLED to the diagnoses."""
    rows = evidence([0, 1], pred_probs=PROBS[:2])
    rows.given[0] = UNLABELLED
    assert not unlabelled(rows).flagged.any()


def test_proposals_for_them_come_behind_the_suspect_labels() -> None:
    probs = np.tile([0.999, 0.001], (100, 1))
    rows = evidence([0] * 95 + [1, 1] + [None] * 3, pred_probs=probs)
    found = [suspect_labels(rows), unlabelled(rows)]
    corrections = corrections_of(rows, found, leading(found))
    assert [(c.row_id, c.given, c.proposed) for c in corrections] == [
        (195, "b", "a"), (196, "b", "a"), (197, "", "a"), (198, "", "a"), (199, "", "a"),
    ]  # fmt: skip
    assert corrections[4].reason == "no label, looks like a (100%)"
    assert corrections[4].diagnoses == ("unlabelled",)


def test_they_get_a_proposal_where_the_suspect_labels_could_not_run() -> None:
    rows = evidence([0, 0, None], n_classes=2, pred_probs=PROBS[:3])
    found = [suspect_labels(rows), unlabelled(rows)]
    assert found[0].skipped
    assert [(c.row_id, c.proposed) for c in corrections_of(rows, found, leading(found))] == [(102, "b")]
