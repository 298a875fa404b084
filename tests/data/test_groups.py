"""Connected components."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.groups import linked_groups

LINKS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=15)


def test_links_through_others_bind() -> None:
    assert linked_groups(6, [(0, 3), (3, 5), (1, 2)]) == [[0, 3, 5], [1, 2], [4]]


@given(LINKS)
@settings(deadline=None)
def test_every_item_is_in_one_group_and_links_stay_inside(links: list[tuple[int, int]]) -> None:
    groups = linked_groups(12, links)
    assert sorted(i for group in groups for i in group) == list(range(12))
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)
    of = {i: number for number, group in enumerate(groups) for i in group}
    assert all(of[a] == of[b] for a, b in links)


@given(LINKS, st.randoms())
@settings(deadline=None)
def test_the_order_of_the_links_changes_nothing(links: list[tuple[int, int]], draw) -> None:
    mixed = list(links)
    draw.shuffle(mixed)
    assert linked_groups(12, mixed) == linked_groups(12, links)
