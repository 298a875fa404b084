"""Data sets against each other: opposite labels, rows that both have, the transfer matrix."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.checks.transfer import TransferData, near_duplicate_sets, opposite_labels, transfer_matrix

TEXT, NEAR, OTHER = "you people should all go home right now", "you people should all go home right away now", "something else"
LABELS = Labels(SINGLE, ("ok", "hate"))


def test_opposite_labels_are_found_across_and_not_within() -> None:
    texts = [TEXT, OTHER, TEXT, TEXT.upper(), NEAR, OTHER, NEAR]
    owner, given = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0, 1, 1, 1, 1, 1, 1])
    found, flagged = opposite_labels(near_duplicates(texts), owner, given)
    assert [(o.first, o.second, o.n_first, o.n_second) for o in found] == [(0, 3, 1, 1), (0, 4, 1, 2)]
    assert found[0].overlap == 1 > found[1].overlap
    assert flagged.tolist() == [True, False, False, True, True, False, True]


def test_a_text_repeated_a_thousand_times_is_one_line() -> None:
    owner, given = np.repeat([0, 1], 1000), np.repeat([0, 1], 1000)
    found, flagged = opposite_labels(near_duplicates([TEXT] * 2000), owner, given)
    assert [(o.first, o.second, o.n_first, o.n_second) for o in found] == [(0, 1000, 1000, 1000)]
    assert flagged.all()


def test_near_duplicates_are_the_same_and_nearly_the_same_texts() -> None:
    near = near_duplicates([TEXT, OTHER, NEAR, "nobody has this one"])
    reached = near_duplicate_sets(near, np.array([0, 0, 1, 2]), 3)
    assert reached.tolist() == [[True, True, False], [True, False, False], [True, True, False], [False, False, True]]


def compared(name: str, kinds: list[int], place: int, shared: Array | None = None, flip: bool = False) -> TransferData:
    """Rows whose text and embedding tell the class; ``flip`` turns the meaning of the label around."""
    words = (("good", "fine", "nice"), ("bad", "poor", "sad"))
    draw = np.random.default_rng(place)
    texts = [f"{words[kind][i % 3]} {' '.join(draw.choice(list('uvwxyz'), 4))} {name}{i}" for i, kind in enumerate(kinds)]
    labels = [1 - kind if flip else kind for kind in kinds]
    vectors = np.eye(2, dtype=np.float32)[kinds] * 4 + 0.1 * draw.normal(size=(len(kinds), 2)).astype(np.float32)
    reached = np.zeros((len(kinds), 3), dtype=bool) if shared is None else shared
    reached[:, place] = True
    rows = Examples("all", f"{name}.csv", list(range(len(kinds))), texts, labels)
    return TransferData(name, rows, vectors, np.arange(len(kinds)) // 2 % 5, np.arange(len(kinds)), reached)


def test_the_matrix_shows_a_label_that_means_the_opposite() -> None:
    kinds = [i % 2 for i in range(40)]
    sets = [compared("a", kinds, 0), compared("b", kinds, 1), compared("c", kinds, 2, flip=True)]
    done: list[int] = []
    found = {(cell.trained_on, cell.tested_on): cell for cell in transfer_matrix(sets, LABELS, done.append)}
    assert [found["a", other].value for other in "abc"] == pytest.approx([1, 1, -1])
    assert [found["c", other].value for other in "abc"] == pytest.approx([-1, -1, 1])
    assert [cell.held_out for cell in found.values()] == [True, False, False, False, True, False, False, False, True]
    assert (found["a", "b"].n_trained, found["a", "a"].n_trained, found["a", "b"].n) == (40, 32, 40)
    assert done == list(range(1, 3 * 5 + 6 + 1))
    low, high = found["a", "b"].low, found["a", "b"].high
    assert low is not None
    assert high is not None
    assert 0.8 < low < high <= 1


def test_the_diagonal_is_of_rows_that_were_not_trained_on() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 60).tolist()
    noise = Examples("all", "noise.csv", list(range(60)), [f"word{i} of{i} its{i} own{i}" for i in range(60)], labels)
    one = TransferData(
        "noise",
        noise,
        draw.normal(size=(60, 60)).astype(np.float32),
        np.arange(60) % 5,
        np.arange(60),
        np.ones((60, 1), dtype=bool),
    )
    (cell,) = transfer_matrix([one], LABELS)
    assert cell.value is not None
    assert abs(cell.value) < 0.4  # a model that was trained on the rows would have memorised them


def test_intervals_are_over_units_of_rows() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 60)
    vectors = (labels[:, None] + 1.5 * draw.normal(size=(60, 3))).astype(np.float32)
    texts = [f"word{i} of{i} its{i} own{i}" for i in range(60)]

    def width(units: Array) -> float:
        rows = Examples("all", "a.csv", list(range(60)), texts, labels.tolist())
        one = TransferData("a", rows, vectors, units % 5, units, np.ones((60, 1), dtype=bool))
        (cell,) = transfer_matrix([one], LABELS)
        assert cell.low is not None
        assert cell.high is not None
        return cell.high - cell.low

    in_five = np.arange(60) % 5
    assert abs(width(in_five) / width(np.arange(60)) - 1) > 0.1  # the same folds, so the same predictions


def test_rows_that_the_test_has_are_not_trained_on() -> None:
    kinds = [i % 2 for i in range(40)]
    shared = np.zeros((40, 3), dtype=bool)
    shared[:10, 1] = True
    sets = [compared("a", kinds, 0, shared), compared("b", kinds, 1)]
    found = {(cell.trained_on, cell.tested_on): cell for cell in transfer_matrix(sets, LABELS)}
    assert (found["a", "b"].n_trained, found["a", "b"].n_left_out) == (30, 10)
    assert (found["b", "a"].n_trained, found["b", "a"].n_left_out) == (40, 0)


def test_a_data_set_that_is_part_of_the_other_cannot_be_trained_on_for_it() -> None:
    kinds = [i % 2 for i in range(40)]
    sets = [compared("a", kinds, 0, np.ones((40, 3), dtype=bool)), compared("b", kinds, 1)]
    (cell,) = [cell for cell in transfer_matrix(sets, LABELS) if (cell.trained_on, cell.tested_on) == ("a", "b")]
    assert (cell.value, cell.n_trained, cell.n_left_out) == (None, 0, 40)
    assert cell.note == "b has every text of a: no row is left to train on"
