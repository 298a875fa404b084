"""Near-duplicates: all that is near is found, nothing else, on every path through the buckets."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data import near_duplicates as module
from tunesmith.data.near_duplicates import SearchedTexts, exact_overlap, minhash, near_duplicates, shingle_hashes
from tunesmith.data.row_clusters import components, row_clusters

WORDS = [f"{a}{b}" for a in ("lo", "ra", "mi", "tu", "ke", "sho", "ban") for b in ("rin", "dap", "vex", "mol", "quist", "zen")]


def sentence(draw: random.Random, n: int = 15) -> str:
    return " ".join(draw.choices(WORDS, k=n))


def jaccard(a: str, b: str) -> float:
    """Overlap by sets of strings, as defined."""
    one, other = ({f"  {text}  "[i : i + 5] for i in range(len(text))} for text in (a, b))
    return len(one & other) / len(one | other)


def test_the_overlap_is_that_of_the_definition() -> None:
    draw = random.Random(0)
    texts = [sentence(draw) for _ in range(20)]
    first, second = np.array([0, 2, 4]), np.array([1, 3, 5])
    expected = [jaccard(texts[i], texts[j]) for i, j in zip(first, second, strict=True)]
    assert exact_overlap(texts, first, second) == pytest.approx(expected)


def test_signatures_agree_as_often_as_texts_overlap() -> None:
    draw = random.Random(1)
    texts = []
    for _ in range(200):
        words = draw.choices(WORDS, k=20)
        texts += [" ".join(words), " ".join([*words[:17], *draw.choices(WORDS, k=3)])]
    signatures = minhash(texts)
    agreed = (signatures[0::2] == signatures[1::2]).mean()
    overlap = np.mean([jaccard(a, b) for a, b in zip(texts[0::2], texts[1::2], strict=True)])
    assert agreed == pytest.approx(overlap, abs=0.02)


def test_planted_near_duplicates_are_found_and_nothing_else() -> None:
    draw = random.Random(2)
    texts = [sentence(draw) for _ in range(2_000)]
    planted = draw.sample(range(2_000), 100)
    copies = [texts[i].replace(texts[i].split()[3], "zzz", 1) for i in planted]
    near = near_duplicates(texts + copies)
    found = {(a, b) for a, b in zip(near.a.tolist(), near.b.tolist(), strict=True)}
    assert found == {(i, 2_000 + k) for k, i in enumerate(planted)}


def test_the_same_after_normalisation_is_the_same() -> None:
    near = near_duplicates(["Hello, world", "something else entirely", "hello   WORLD!", "hello world"])
    assert near.text_ids.tolist() == [0, 1, 0, 0]
    overlap, partner = near.nearest_earlier()
    assert overlap.tolist() == [0, 0, 1, 1]
    assert partner.tolist() == [-1, -1, 0, 0]


def test_a_copy_of_a_near_text_has_its_partner() -> None:
    text, other = "the quick brown fox jumps over the lazy dog tonight", "the quick brown fox jumps over the lazy dogs tonight"
    near = near_duplicates([text, other, other])
    overlap, partner = near.nearest_earlier(n_first=1)
    assert partner.tolist() == [-1, 0, 0]
    assert 0.7 < overlap[1] == overlap[2] < 1


def test_only_rows_before_the_border_count_as_earlier() -> None:
    near = near_duplicates(["known text of some length", "new text, rather long too", "new text, rather long too"])
    assert near.nearest_earlier()[1].tolist() == [-1, -1, 1]
    assert near.nearest_earlier(n_first=1)[1].tolist() == [-1, -1, -1]


def test_both_texts_of_a_pair_count() -> None:
    near = near_duplicates(["a man eats an apple slowly"] * 2, ["he is hungry", "nobody is there at all in the house"])
    assert len(near.a) == 0
    assert near.text_ids.tolist() == [0, 1]


def test_a_part_is_what_those_rows_alone_would_give() -> None:
    draw = random.Random(4)
    texts = [sentence(draw) for _ in range(30)]
    texts += [text.replace(text.split()[2], "other", 1) for text in texts[:10]] + texts[5:15]
    draw.shuffle(texts)
    alone, part = near_duplicates(texts[20:45]), near_duplicates(texts).part(20, 45)
    assert np.array_equal(alone.nearest_earlier()[1], part.nearest_earlier()[1])
    same = row_clusters(texts[20:45], near=alone), row_clusters(texts[20:45], near=part)
    assert np.array_equal(*same)


def test_crowded_buckets_stay_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BUCKET", 3)
    texts = [f"your order with the long reference number {i} has been sent to you today by our team" for i in range(40)]
    near = near_duplicates(texts)
    assert components(len(texts), near.a, near.b).max() == 0


def test_short_and_odd_texts_have_pieces() -> None:
    texts = ["", "a", "hi", "日本", "🎉", "\ud800", "four", "exact"]
    hashes, starts = shingle_hashes(texts)
    assert len(starts) == len(texts)
    assert (np.diff([*starts.tolist(), len(hashes)]) >= 1).all()
    near_duplicates(texts)


@given(st.lists(st.text(max_size=40), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_pieces_do_not_reach_over_the_end_of_a_text(texts: list[str]) -> None:
    hashes, starts = shingle_hashes(texts)
    ends = [*starts.tolist()[1:], len(hashes)]
    alone = [shingle_hashes([text])[0].tolist() for text in texts]
    assert [hashes[a:b].tolist() for a, b in zip(starts.tolist(), ends, strict=True)] == alone


def test_the_result_does_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(3)
    texts = [sentence(draw) for _ in range(50)]
    whole = minhash(texts)
    monkeypatch.setattr(module, "CHUNK_CHARACTERS", 300)
    assert np.array_equal(minhash(texts), whole)


def templated(draw: random.Random, n: int) -> list[str]:
    """Texts of which more than one bucket can hold, beside others that occur several times or are unlike all."""
    made = [f"this is the {draw.choice(WORDS)} of one and the same long template, always the same" for _ in range(n)]
    made += [sentence(draw) for _ in range(n // 2)]
    return draw.sample([*made, *draw.choices(made, k=n // 4)], k=n + n // 2 + n // 4)


@given(seed=st.integers(0, 1000), n=st.sampled_from([4, 40, 160]), with_pairs=st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_search_among_searched_texts_finds_the_same(seed: int, n: int, with_pairs: bool) -> None:
    draw = random.Random(seed)
    texts = templated(draw, n)
    seconds = texts[::-1] if with_pairs else None
    searched = SearchedTexts()
    for share in (1.0, 0.8, 0.3, 1.0):
        rows = draw.sample(range(len(texts)), k=round(share * len(texts)))
        part, pairs = ([texts[i] for i in rows], seconds and [seconds[i] for i in rows])
        again, alone = near_duplicates(part, pairs, searched=searched), near_duplicates(part, pairs)
        for name in ("text_ids", "first_row", "a", "b", "overlap"):
            assert np.array_equal(getattr(again, name), getattr(alone, name)), name


def test_what_was_searched_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed, compared = [], []
    of_texts, of_pairs = module.minhash, module.exact_overlap
    monkeypatch.setattr(module, "minhash", lambda texts: hashed.extend(texts) or of_texts(texts))
    monkeypatch.setattr(module, "exact_overlap", lambda texts, a, b: compared.extend(a) or of_pairs(texts, a, b))
    texts, searched = templated(random.Random(0), 40), SearchedTexts()
    near_duplicates(texts, searched=searched)
    counts = len(hashed), len(compared)
    assert counts[0] == len(searched.numbers) > 0
    assert counts[1] == len(searched.overlaps) > 0
    near_duplicates(texts[::-1][:50], searched=searched)
    assert (len(hashed), len(compared)) == counts


PREMISE = "two young children in blue jerseys are standing on wooden steps in a bathroom and washing their hands"


def test_pairs_with_one_text_in_common_are_related_and_not_nearly_the_same() -> None:
    texts = [PREMISE, PREMISE, PREMISE + "!", "a man plays the guitar on the stage", "two dogs run"]
    kids, hand = "two kids in numbered jerseys wash their hands", "two kids in numbered jerseys wash their hand"
    pairs = [kids, "a man sleeps at home", hand, "a man sleeps at home", "no"]
    found = near_duplicates(texts, pairs, 0.5)
    assert list(zip(found.a.tolist(), found.b.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 2)]
    same = found.nearly_same()
    assert list(zip(same.a.tolist(), same.b.tolist(), strict=True)) == [(0, 2)]
    assert same.overlap.tolist() == [pytest.approx(jaccard(kids, hand))]
    alone = near_duplicates([kids, hand, PREMISE], threshold=0.5)
    assert alone.nearly_same().overlap.tolist() == alone.overlap.tolist() == [pytest.approx(jaccard(kids, hand))]
