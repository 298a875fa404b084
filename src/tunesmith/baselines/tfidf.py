"""Words and pieces of words, weighted by TF-IDF, with a linear model: what needs no pretrained network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.baselines.answers import Answers, answered, label_array
from tunesmith.baselines.linear import Strengths, fit_linear
from tunesmith.data.table import Examples, Labels

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

STRENGTHS = Strengths(inverse=(1.0, 3.0, 10.0, 30.0), ridge=(30.0, 10.0, 3.0, 1.0), usual=2)
CHARACTERS = 1_000_000
"""Character n-grams are made while train is no longer than this. They cost about a second a million characters, and they
help where texts are short and misspelt (Banking77: accuracy 0.890 -> 0.911)."""


def tfidf_linear(labels: Labels, train: Examples, targets: Sequence[Examples]) -> Answers:
    """TF-IDF of words and word pairs (and of 2 to 4 characters within words), with logistic or ridge regression.

    A pair of texts is four parts: both texts, what they share (product) and what only one has (absolute difference),
    with the share of common terms beside them. The regularisation is chosen on the target named ``validation``.
    """
    start = time.perf_counter()
    vectorisers = _vectorisers(train)
    features = _features(vectorisers, train)
    given = {examples.split: _features(vectorisers, examples) for examples in targets}
    steering = next((examples for examples in targets if examples.split == "validation"), None)
    checked = None if steering is None else (given["validation"], label_array(labels, steering))
    scores, strength = fit_linear(labels.problem_type, labels.n, features, label_array(labels, train), checked, STRENGTHS)
    predictions = answered(labels, targets, [scores(given[examples.split]) for examples in targets])
    what = "words and characters" if len(vectorisers) > 1 else "words"
    note = f"TF-IDF of {what}, {features.shape[1]:,} features, linear model of strength {strength:g}"
    return Answers("tfidf", predictions, time.perf_counter() - start, note)


def _vectorisers(train: Examples) -> list[Any]:
    """Fitted on all texts of train, both sides of pairs alike."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = train.texts + (train.pairs or [])
    least = 2 if len(texts) >= 1000 else 1
    kept: dict[str, Any] = {"sublinear_tf": True, "min_df": least, "dtype": np.float32}
    # One letter or digit is a word too: "I", "a", "7", and every character of scripts without spaces stays findable.
    made = [TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\w+|[^\w\s]", **kept)]
    if sum(map(len, texts)) <= CHARACTERS:
        made.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), **kept))
    return [vectoriser.fit(texts) for vectoriser in made]


def _features(vectorisers: Sequence[Any], examples: Examples) -> csr_matrix:
    from scipy import sparse  # type: ignore[import-untyped]

    first = [vectoriser.transform(examples.texts) for vectoriser in vectorisers]
    if examples.pairs is None:
        return sparse.hstack(first, format="csr")
    second = [vectoriser.transform(examples.pairs) for vectoriser in vectorisers]
    u, v = sparse.hstack(first, format="csr"), sparse.hstack(second, format="csr")
    overlap = np.stack([_overlap(a, b) for a, b in zip(first, second, strict=True)], axis=1)
    return sparse.hstack([u, v, abs(u - v), u.multiply(v), sparse.csr_matrix(overlap)], format="csr")


def _overlap(first: csr_matrix, second: csr_matrix) -> np.ndarray:
    """(N,) cosine of the two texts' vectors, which have length 1."""
    return np.asarray(first.multiply(second).sum(axis=1), dtype=np.float32).ravel()
