"""Label errors: cleanlab's published count, rankings, rejected input; and the update by training margins."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.diagnosis.rows import clouds, evidence
from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.checks.label_errors import (
    confident_learning,
    loss_rank,
    percent,
    pruned_by_noise_rate,
    suspect_labels,
    update_by_margins,
)
from tunesmith.diagnosis.evidence import make_evidence
from tunesmith.diagnosis.out_of_fold import in_one_fold, out_of_fold
from tunesmith.errors import DataError

PROBS = np.array([[0.9, 0.1], [0.8, 0.2], [0.95, 0.05], [0.1, 0.9], [0.05, 0.95], [0.3, 0.7], [0.02, 0.98]])
GIVEN = [0, 0, 0, 1, 1, 1, 0]


def test_cleanlab_flags_as_many_imdb_reviews_as_published(shared: Path) -> None:
    folder = shared / "data/label-errors"
    probs = np.load(folder / "imdb_test_set_pyx.npy").astype(np.float64)
    given = np.load(folder / "imdb_test_set_original_labels.npy")
    flagged = pruned_by_noise_rate(probs, given)
    assert int(flagged.sum()) == 1309
    checked = {row["id"] for row in json.loads((folder / "imdb_mturk.json").read_text(encoding="utf-8"))}
    names = json.loads((folder / "imdb_test_set_index_to_filename.json").read_text(encoding="utf-8"))
    ids = names if isinstance(names, list) else [names[str(i)] for i in range(len(names))]
    found = {Path(ids[i]).with_suffix("").as_posix().split("imdb/")[-1] for i in np.flatnonzero(flagged)}
    assert len({name.split("test/")[-1] for name in found} & {name.split("test/")[-1] for name in checked}) >= 1300


def test_the_least_likely_label_is_the_worst() -> None:
    found = loss_rank(evidence(GIVEN * 20, pred_probs=np.tile(PROBS, (20, 1))))
    assert found.scores is not None
    assert found.flagged is not None
    assert found.proposed is not None
    assert found.scores.argmin() == 6
    assert np.flatnonzero(found.flagged).tolist() == list(range(6, 140, 7))
    assert found.proposed.tolist() == ([-1] * 6 + [1]) * 20
    assert found.reasons[6] == "given a (2%), looks like b (98%)"


def test_a_class_without_rows_is_no_obstacle_to_cleanlab() -> None:
    probs = np.hstack([PROBS * 0.99, np.full((7, 1), 0.01)])
    assert pruned_by_noise_rate(probs, np.array(GIVEN)).tolist() == [False] * 6 + [True]
    assert not pruned_by_noise_rate(probs, np.zeros(7, dtype=int)).any()


@pytest.mark.parametrize("diagnosis", [loss_rank, confident_learning])
def test_unlabelled_rows_are_left_alone(diagnosis) -> None:
    found = diagnosis(evidence([*GIVEN[:6], None] * 20, pred_probs=np.tile(PROBS, (20, 1))))
    assert np.isnan(found.scores[6])
    assert not found.flagged[6]


@pytest.mark.parametrize("diagnosis", [loss_rank, confident_learning])
def test_without_probabilities_they_are_skipped(diagnosis) -> None:
    assert "out-of-fold probabilities" in diagnosis(evidence([0, 1])).skipped


@pytest.mark.parametrize("name", ["folds", "embeddings", "annotations"])
def test_arrays_of_other_rows_are_refused(name: str) -> None:
    with pytest.raises(DataError, match=f"{name} were given for 5 rows, train has 7"):
        evidence(GIVEN, **{name: np.zeros((5, 2))})


@pytest.mark.parametrize(
    ("probs", "message"),
    [
        (PROBS * 2, "the probabilities of 7 rows do not add up to 1; in row 0 they add up to 2"),
        (np.where(PROBS == 0.9, np.nan, PROBS), "do not add up to 1"),
        (np.log(PROBS), "do not add up to 1"),
        (PROBS[:5], "probabilities of shape (5, 2) were given, (7, 2) were expected"),
    ],
)
def test_what_is_no_probability_is_refused(probs: np.ndarray, message: str) -> None:
    with pytest.raises(DataError) as caught:
        evidence(GIVEN, pred_probs=probs)
    assert message in str(caught.value)


def planted(n: int = 2_000, share: float = 0.1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which labels are wrong, a calibrated probability of it from other models, and margins that tell more."""
    draw = np.random.default_rng(0)
    wrong = draw.random(n) < share
    signal = np.where(wrong, 1.0, 0.0) + draw.normal(0, 0.8, n)
    ratio = np.exp((signal - 0.5) / 0.64)
    before = share * ratio / (share * ratio + 1 - share)
    return wrong, before, np.where(wrong, 1.0, 4.0) + draw.normal(0, 1.5, n)


def test_ranking_and_calibration_improve() -> None:
    from sklearn.metrics import log_loss, roc_auc_score

    wrong, before, margins = planted()
    after = update_by_margins(before, margins)
    assert roc_auc_score(wrong, after) > roc_auc_score(wrong, before) + 0.03
    assert log_loss(wrong, after) < log_loss(wrong, before)
    assert after.sum() == pytest.approx(wrong.sum(), rel=0.2)


def test_a_row_that_was_not_followed_keeps_its_probability() -> None:
    _, before, margins = planted()
    margins[::2] = np.nan
    after = update_by_margins(before, margins)
    assert np.array_equal(after[::2], before[::2])
    assert not np.allclose(after[1::2], before[1::2])
    assert np.array_equal(update_by_margins(before, np.full(len(before), np.nan)), before)


def test_a_larger_margin_never_makes_a_label_more_suspect() -> None:
    _, before, margins = planted()
    order = np.argsort(margins)
    after = update_by_margins(np.full(len(margins), 0.1), margins)
    assert np.array_equal(after, np.full(len(margins), 0.1))  # margins cannot be split by a probability that does not vary
    even = update_by_margins(before, margins)
    change = (np.log(even / (1 - even)) - np.log(before / (1 - before)))[order]
    assert (np.diff(change) <= 1e-6).all()


def test_a_run_in_which_wrong_labels_lead_changes_nothing() -> None:
    _, before, margins = planted()
    assert np.array_equal(update_by_margins(before, -margins), before)


def with_probs(rows):
    """The evidence with out-of-fold probabilities from its embeddings."""
    near = near_duplicates(rows.rows.texts)
    cross_validated = out_of_fold(rows.rows, rows.labels, rows.embeddings, near)
    return make_evidence(
        rows.rows, rows.labels, pred_probs=cross_validated.pred_probs, folds=cross_validated.folds, near=near, method="frozen"
    )


def test_flipped_labels_come_first_with_the_right_proposal() -> None:
    rows, truth = clouds(flipped=15)
    found = suspect_labels(with_probs(rows))
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
    found = suspect_labels(with_probs(rows))
    assert found.flagged is not None
    assert int(found.flagged.sum()) <= 1
    assert found.figures["noise_rate"] < 0.01


def test_every_row_is_predicted_by_a_model_that_did_not_train_on_its_duplicate() -> None:
    texts = [
        f"{word} is what this text is all about" for word in ("money", "money", "parcels", "parcels", "logins", "logins")
    ] * 4
    rows = Examples("train", "", list(range(24)), texts, [0, 1] * 12)
    near = near_duplicates(texts)
    cross_validated = out_of_fold(rows, Labels("single_label_classification", ("a", "b")), np.ones((24, 3)), near, n_folds=3)
    assert all(len(set(cross_validated.folds[near.text_ids == text].tolist())) == 1 for text in range(3))
    assert cross_validated.pred_probs.sum(axis=1) == pytest.approx(np.ones(24))


def test_rows_alone_in_their_class_are_known() -> None:
    assert in_one_fold(np.array([0, 0, 1, 2, 2, -1]), np.array([0, 1, 0, 1, 1, 0])).tolist() == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]


def test_what_it_cannot_score_is_skipped_with_the_reason() -> None:
    assert "out-of-fold probabilities" in suspect_labels(evidence([0, 1])).skipped
    assert "two classes" in suspect_labels(evidence([0, 0], n_classes=2, pred_probs=np.full((2, 2), 0.5))).skipped


@pytest.mark.parametrize("check", [suspect_labels, loss_rank, confident_learning])
def test_a_model_that_has_learnt_nothing_flags_no_label(check) -> None:
    draw = np.random.default_rng(0)
    own = draw.uniform(0.2, 0.8, 600)
    found = check(evidence(draw.integers(0, 2, 600).tolist(), pred_probs=np.stack([own, 1 - own], axis=1)))
    assert found.flagged is None
    assert found.proposed is None
    assert "of what the class shares leave open" in found.skipped


def test_no_probability_is_written_as_certain() -> None:
    assert [percent(value) for value in (0.0, 0.004, 0.01, 0.5, 0.99, 0.999, 1.0)] == [
        "<1%",
        "<1%",
        "1%",
        "50%",
        "99%",
        ">99%",
        ">99%",
    ]


def test_unlabelled_rows_get_neither_score_nor_flag() -> None:
    probs = np.array([[0.9, 0.1]] * 100 + [[0.1, 0.9]] * 100)
    found = suspect_labels(evidence([0] * 19 + [None] + [0] * 80 + [1] * 100, pred_probs=probs))
    assert found.scores is not None
    assert found.flagged is not None
    assert np.isnan(found.scores[19])
    assert not found.flagged[19]
