"""Rows of one group, of one text, and of nearly one text are in one cluster; templates do not link everything."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.row_clusters import MOST_ROWS, components, row_clusters


def text(i: int) -> str:
    return hashlib.sha256(str(i).encode()).hexdigest()


def test_variants_copies_and_groups_are_linked_also_through_others() -> None:
    rows = [text(0), f"{text(0)} b", text(1), text(1).upper(), text(2), text(3)]
    assert row_clusters(rows).tolist() == [0, 0, 1, 1, 2, 3]
    assert row_clusters(rows, groups=["a", "b", "b", "c", "d", "e"]).tolist() == [0, 0, 0, 0, 1, 2]
    assert row_clusters(rows, near=near_duplicates(rows)).tolist() == [0, 0, 1, 1, 2, 3]
    assert row_clusters([]).tolist() == []


def test_a_pair_counts_as_one_text() -> None:
    assert row_clusters([text(0), text(0)], [text(1), text(2)]).tolist() == [0, 1]


def test_a_template_does_not_link_everything() -> None:
    rows = [f"Please book flight {i} from Oslo to Rome for me and my family, thank you." for i in range(300)]
    assert 2 <= np.bincount(row_clusters([*rows, rows[0]])).max() <= MOST_ROWS
    assert np.bincount(row_clusters(rows, groups=["one"] * 200 + [str(i) for i in range(100)])).max() >= 200


LINKS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), min_size=1, max_size=15)


@given(LINKS)
@settings(deadline=None)
def test_components_are_those_of_the_links(links: list[tuple[int, int]]) -> None:
    first, second = np.array(links).T
    component = components(12, first, second)
    assert np.array_equal(component[first], component[second])
    assert len(np.unique(component)) >= 12 - len(links)
