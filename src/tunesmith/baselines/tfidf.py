"""Words and pairs of words, weighted by TF-IDF, with a linear model: what any new classifier has to beat."""

from __future__ import annotations

from typing import Any

from tunesmith.baselines.linear import linear_predictions
from tunesmith.data.table import Examples, Labels
from tunesmith.metrics.predictions import Predictions


def tfidf_linear(train: Examples, judged: dict[str, Examples], labels: Labels) -> dict[str, Predictions]:
    """Split name -> predictions of a linear model on TF-IDF features of the texts.

    Pairs are described by the features of both texts, their products (what both say) and absolute differences (what
    only one says).
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1, token_pattern=r"(?u)\b\w+\b|[^\w\s]")
    vectorizer.fit(train.texts if train.pairs is None else [*train.texts, *train.pairs])
    features = {split.split: described(vectorizer, split) for split in (train, *judged.values())}
    return linear_predictions(features, train, judged, labels)


def described(vectorizer: Any, split: Examples) -> Any:
    """The features (N, D), or (N, 4 D) for pairs, as a sparse matrix."""
    from scipy.sparse import hstack

    first = vectorizer.transform(split.texts)
    if split.pairs is None:
        return first
    second = vectorizer.transform(split.pairs)
    return hstack([first, second, abs(first - second), first.multiply(second)], format="csr")
