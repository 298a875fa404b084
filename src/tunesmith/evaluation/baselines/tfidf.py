"""Words and pieces of words, weighted by TF-IDF, with a linear model: what needs no pretrained network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.baselines.answers import Answers, answered, label_array
from tunesmith.evaluation.baselines.linear import Strengths, fit_linear

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

STRENGTHS = Strengths(inverse=(1.0, 3.0, 10.0, 30.0), ridge=(30.0, 10.0, 3.0, 1.0), usual=2)
CHARACTERS = 1_000_000
"""Character n-grams are made while train is no longer than this. They cost about a second a million characters, and they
help where texts are short and misspelt (Banking77: accuracy 0.890 -> 0.913)."""


def tfidf_linear(labels: Labels, train: Examples, targets: Sequence[Examples]) -> Answers:
    """TF-IDF of words and word pairs (and of 3 or 4 characters within words), with logistic or ridge regression.

    A pair of texts is four parts: both texts, what they share (product) and what only one has (absolute difference),
    with the share of common terms beside them. The regularisation is chosen on the target named ``validation``.
    """
    start = time.perf_counter()
    vectorisers = _vectorisers(train)
    features = _features([vectoriser.fit_transform(_texts(train)) for vectoriser in vectorisers], train)
    given = {
        examples.split: _features([vectoriser.transform(_texts(examples)) for vectoriser in vectorisers], examples)
        for examples in targets
    }
    steering = next((examples for examples in targets if examples.split == "validation"), None)
    checked = None if steering is None else (given["validation"], label_array(labels, steering))
    scores, strength = fit_linear(labels.problem_type, labels.n, features, label_array(labels, train), checked, STRENGTHS)
    predictions = answered(labels, targets, [scores(given[examples.split]) for examples in targets])
    what = "words and characters" if len(vectorisers) > 1 else "words"
    note = f"TF-IDF of {what}, {features.shape[1]:,} features, linear model of strength {strength:g}"
    return Answers("tfidf", predictions, time.perf_counter() - start, note)


def fitted_tfidf(examples: Examples) -> tuple[csr_matrix, Callable[[Examples], csr_matrix]]:
    """The same features of one set of rows, (N, D) float32, whose vocabulary and weights come from these rows; and the function
    that makes them of other rows with this vocabulary and these weights."""
    vectorisers = _vectorisers(examples)
    features = _features([vectoriser.fit_transform(_texts(examples)) for vectoriser in vectorisers], examples)
    return features, lambda rows: _features([vectoriser.transform(_texts(rows)) for vectoriser in vectorisers], rows)


def _texts(examples: Examples) -> list[str]:
    """The texts, and after them the second texts of pairs: both sides share one vocabulary."""
    return examples.texts + (examples.pairs or [])


def _vectorisers(train: Examples) -> list[Any]:
    """Not fitted yet."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = _texts(train)
    least = 2 if len(texts) >= 1000 else 1
    kept: dict[str, Any] = {"sublinear_tf": True, "min_df": least, "dtype": np.float32}
    # One letter or digit is a word too ("I", "a", "7"), and so is a mark, a character of an unspaced script, an emoji.
    made = [TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\w+|[^\w\s]", **kept)]
    if sum(map(len, texts)) <= CHARACTERS:
        made.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), **kept))
    return made


def _features(vectors: Sequence[csr_matrix], examples: Examples) -> csr_matrix:
    """(N, D) from the vectors of ``_texts``, (N, d) or (2 N, d) from each vectoriser."""
    from scipy import sparse  # type: ignore[import-untyped]

    if examples.pairs is None:
        return sparse.hstack(vectors, format="csr")
    n = len(examples)
    overlap = np.stack([_overlap(part[:n], part[n:]) for part in vectors], axis=1)
    joined = sparse.hstack(vectors, format="csr")
    u, v = joined[:n], joined[n:]
    return sparse.hstack([u, v, abs(u - v), u.multiply(v), sparse.csr_matrix(overlap)], format="csr")


def _overlap(first: csr_matrix, second: csr_matrix) -> np.ndarray:
    """(N,) cosine of the two texts' vectors, which have length 1."""
    return np.asarray(first.multiply(second).sum(axis=1), dtype=np.float32).ravel()
