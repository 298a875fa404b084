"""Rows of one group, of one text, and of nearly one text are in one cluster; templates do not link everything."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.near_duplicates import RELATED, near_duplicates
from tunesmith.data.row_clusters import components, row_clusters


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


def booking(i: int) -> str:
    """A text of one template with four gaps: two of them share a third of their shingles, and chains link all."""
    draw = np.random.default_rng(i)
    here, there = draw.choice(["Oslo", "Rome", "Paris", "Berlin", "Madrid", "Lisbon", "Athens", "Vienna"], 2)
    return f"book a flight from {here} to {there} on day {draw.integers(30)} for {draw.choice(['me', 'my wife', 'my family'])}"


def test_a_template_with_gaps_does_not_link_everything() -> None:
    rows = [booking(i) for i in range(300)]
    assert components(len(set(rows)), (near := near_duplicates(rows, threshold=RELATED)).a, near.b).max() == 0
    assert np.bincount(row_clusters(rows)).max() <= 0.1 * len(rows)
    assert np.bincount(row_clusters(rows, groups=["one"] * 200 + [str(i) for i in range(100)])).max() >= 200


@pytest.mark.parametrize(
    "frame",
    [
        "Please book flight {} from Oslo to Rome for me and my family, thank you.",
        "Classify the sentiment of the following customer review as positive, negative or neutral. Review: {}",
        "Translate the following English word into German: {}",
    ],
)
def test_texts_that_share_a_frame_alone_are_not_one_cluster(frame: str) -> None:
    rows = [frame.format(text(i)[:12]) for i in range(300)]
    assert np.bincount(row_clusters([*rows, rows[0]])).max() <= 30


def test_variants_in_a_frame_are_clusters() -> None:
    rows = [f"Classify the sentiment of this review as positive or negative: {row}" for row in variants(5, 40)]
    assert np.bincount(row_clusters(rows)).tolist() == [40] * 5


def variants(n_texts: int, n_variants: int) -> list[str]:
    """Texts of 16 words, each so many times with one word replaced by a new one."""
    rows = []
    for i in range(n_texts):
        words = [text(100 * i + k)[:6] for k in range(16)]
        rows += [" ".join([*words[: v % 16], f"new{i}{v}", *words[v % 16 + 1 :]]) for v in range(n_variants)]
    return rows


@pytest.mark.parametrize(("n_texts", "n_variants"), [(5, 40), (3, 120), (20, 10)])
def test_variants_of_one_text_are_one_cluster_however_many(n_texts: int, n_variants: int) -> None:
    rows = variants(n_texts, n_variants)
    assert np.bincount(row_clusters(rows)).tolist() == [n_variants] * n_texts
    assert np.bincount(row_clusters(rows, most=8)).max() <= 8  # of a split, which could not be drawn otherwise


def test_a_chain_is_divided_and_variants_beside_it_are_not() -> None:
    rows = variants(2, 60) + [booking(i) for i in range(120)]
    sizes = np.bincount(row_clusters(rows))
    assert sizes[:2].tolist() == [60, 60]
    assert sizes[2:].max() <= 0.1 * len(rows)


LINKS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), min_size=1, max_size=15)


@given(LINKS)
@settings(deadline=None)
def test_components_are_those_of_the_links(links: list[tuple[int, int]]) -> None:
    first, second = np.array(links).T
    component = components(12, first, second)
    assert np.array_equal(component[first], component[second])
    assert len(np.unique(component)) >= 12 - len(links)
