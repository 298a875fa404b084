"""The page of similarities of sentences: values, one scale, and the pairs that differ most between models."""

from __future__ import annotations

import re

import numpy as np

from tunesmith.report.heat_map import two_digits
from tunesmith.report.sentence_similarity import ModelSimilarities, ranks, similarity_page

SENTENCES = ["where is my parcel", "the <b>parcel</b> is late & lost", "an owl hunts at night", "x" * 200]


def matrix(*off: float) -> np.ndarray:
    """Returns the symmetric matrix of the cosines of the pairs 1-2, 1-3, 1-4, 2-3, 2-4, 3-4."""
    cosines = np.eye(4)
    cosines[np.triu_indices(4, 1)] = off
    return np.maximum(cosines, cosines.T) + np.minimum(cosines, cosines.T) - np.diag(np.diag(cosines))


ONE = ModelSimilarities("one", matrix(0.9, 0.1, 0.2, 0.3, 0.4, 0.5), prompt="query: ")
OTHER = ModelSimilarities("other", matrix(0.95, 0.91, 0.72, 0.73, 0.74, 0.75))


def test_every_value_and_every_sentence_is_on_the_page() -> None:
    page = similarity_page(SENTENCES, [ONE, OTHER], "mine.txt")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", page)
    for cosine in (0.9, 0.1, 0.91, 0.72):
        assert texts.count(two_digits(cosine)) >= 2
    assert "the &lt;b&gt;parcel&lt;/b&gt; is late &amp; lost" in page
    assert "x" * 200 in page  # clipped beside the matrix, whole in the list
    assert "1 where is my parcel" in texts
    assert "prompt &#x27;query: &#x27; before every sentence" in page
    assert page.count("<svg") == 3  # the colour scale and two matrices
    assert not re.search(r"(?:src|href)=[\"']?https?:", page)


def test_equal_cosines_have_equal_colours_in_all_matrices() -> None:
    models = [ModelSimilarities("a", matrix(0.5, 0, 0, 0, 0, 0)), ModelSimilarities("b", matrix(*[0.5] * 6))]
    cells = re.findall(r'fill-opacity="([\d.]+)"><title>[^<]*cosine ([\d.]+)', similarity_page(SENTENCES, models, "x"))
    opacities = [opacity for opacity, cosine in cells if cosine == "0.500"]
    assert len(opacities) == 2 + 12
    assert len(set(opacities)) == 1


def test_the_pairs_that_differ_most_come_first() -> None:
    page = similarity_page(SENTENCES, [ONE, OTHER], "mine.txt")
    pairs = re.findall(r">(\d and \d)<", page)
    assert pairs[0] == "1 and 3"  # the last of six by one model, the second by the other
    assert "0.10 (6)" in page
    assert "0.91 (2)" in page
    assert "one and other" in page  # their correlation
    assert re.findall(r">(\d and \d)<", similarity_page(SENTENCES, [ONE], "mine.txt"))[0] == "1 and 2"


def test_ranks_of_equal_values_are_their_mean() -> None:
    assert ranks(np.array([0.5, 0.9, 0.5, 0.1])).tolist() == [2.5, 1, 2.5, 4]


def test_cosines_have_two_digits() -> None:
    assert [two_digits(x) for x in (1.0, 0.999, 0.87, 0.004, -0.004, -0.05, -1.0)] == ["1", "1", ".87", "0", "0", "-.05", "-1"]
