"""The baseline ``tfidf``: a linear model on TF-IDF features of words and characters, without a pretrained network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.table import Examples, Labels
from tunesmith.evaluation.baselines.linear import Strengths, fit_and_predict, fitted_model
from tunesmith.evaluation.outputs import BaselineOutputs

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

STRENGTHS = Strengths(inverse=(1.0, 3.0, 10.0, 30.0), ridge=(30.0, 10.0, 3.0, 1.0), usual=2)
CHARACTERS = 1_000_000
"""Character n-grams are made while train is no longer than this. They cost about a second a million characters, and they
help on short and misspelt texts (Banking77: accuracy 0.890 -> 0.913)."""


def tfidf_linear(
    labels: Labels, train: Examples, targets: Sequence[Examples], class_weights: Array | None = None
) -> BaselineOutputs:
    """Fits a logistic or ridge regression to TF-IDF of words and word pairs (and of 3 or 4 characters within words).

    A pair of texts is four parts: both texts, their product (shared terms) and their absolute difference, with the cosine of
    both texts beside them. The regularisation is selected on the target named ``validation``.

    Args:
        class_weights: (K) those that the run trains with, see ``Strengths``.
    """
    start = time.perf_counter()
    features, transform = fit_tfidf(train)
    inputs = {examples.split: transform(examples) for examples in targets}
    predictions, strength = fit_and_predict(labels, train, targets, features, inputs, STRENGTHS.weighted(class_weights))
    what = "words and characters" if sum(map(len, _texts(train))) <= CHARACTERS else "words"
    note = f"TF-IDF of {what}, {plural(features.shape[1], 'feature')}, {fitted_model(labels, strength)}"
    return BaselineOutputs("tfidf", predictions, time.perf_counter() - start, note)


def fit_tfidf(examples: Examples) -> tuple[csr_matrix, Callable[[Examples], csr_matrix]]:
    """Fits TF-IDF features to one set of rows.

    Returns:
        Features (N, D) float32 of these rows, and the transform of other rows by their vocabulary and weights.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = _texts(examples)
    options: dict[str, Any] = {"sublinear_tf": True, "min_df": 2 if len(texts) >= 1000 else 1, "dtype": np.float32}
    # One letter or digit is a word too ("I", "a", "7"), and so is a mark, a character of an unspaced script, an emoji.
    vectorisers = [TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\w+|[^\w\s]", **options)]
    if sum(map(len, texts)) <= CHARACTERS:
        vectorisers.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), **options))
    features = _features([vectoriser.fit_transform(texts) for vectoriser in vectorisers], examples)
    return features, lambda rows: _features([vectoriser.transform(_texts(rows)) for vectoriser in vectorisers], rows)


def _texts(examples: Examples) -> list[str]:
    """Returns the texts, and after them the second texts of pairs: both sides share one vocabulary."""
    return examples.texts + (examples.pairs or [])


def _features(vectors: Sequence[csr_matrix], examples: Examples) -> csr_matrix:
    """(N, D) from the vectors of ``_texts``, (N, d) or (2 N, d) from each vectoriser."""
    from scipy import sparse  # type: ignore[import-untyped]

    if examples.pairs is None:
        return sparse.hstack(vectors, format="csr")
    n = len(examples)
    cosines = [part[:n].multiply(part[n:]).sum(axis=1) for part in vectors]  # the vectors have length 1
    overlap = np.stack([np.asarray(cosine, dtype=np.float32).ravel() for cosine in cosines], axis=1)
    joined = sparse.hstack(vectors, format="csr")
    u, v = joined[:n], joined[n:]
    return sparse.hstack([u, v, abs(u - v), u.multiply(v), sparse.csr_matrix(overlap)], format="csr")
