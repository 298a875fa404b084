"""Baselines of preference data, which read no model: the length of the answers, and their words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.chat.messages import Turns
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.evaluation.outputs import BaselineOutputs
from tunesmith.evaluation.preferences import bradley_terry_losses, pair_outputs

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

LENGTH, BAG_OF_WORDS = "length", "bag_of_words"
INVERSE_STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""C of the logistic regression on words, of which validation selects one; there are as many words as pairs and more."""
USUAL = 0.03


def answer_text(answer: Turns) -> str:
    """Returns the text of an answer."""
    return "\n".join(turn.text for turn in answer)


def log_length_differences(rows: PreferencePairs) -> Array:
    """Returns the logarithm of the length of the chosen answer less that of the rejected one (N), in characters."""
    lengths = [np.log1p([len(answer_text(answer)) for answer in side]) for side in (rows.chosen, rows.rejected)]
    return np.asarray(lengths[0] - lengths[1])


def length_baseline(train: PreferencePairs, targets: Sequence[PreferencePairs]) -> BaselineOutputs:
    """Fits the sign and the weight of the difference of lengths to train: in some data shorter answers are better."""
    started = time.perf_counter()
    weight = fit(log_length_differences(train)[:, None], 1e4)[0]
    outputs = {rows.split: pair_outputs(weight * log_length_differences(rows), row_ids=rows.row_ids) for rows in targets}
    longer = "longer" if weight > 0 else "shorter"
    return BaselineOutputs(LENGTH, outputs, time.perf_counter() - started, f"the {longer} answer is better, as in train")


def bag_of_words_baseline(train: PreferencePairs, targets: Sequence[PreferencePairs]) -> BaselineOutputs:
    """Fits a Bradley-Terry model of words, pairs of words and the length of answers to train.

    The regularisation is selected on the target named ``validation``.
    """
    started, words = time.perf_counter(), WordDifferences.of(train)
    features = {rows.split: words.features(rows) for rows in (train, *targets)}
    strength = USUAL
    if "validation" in features:
        losses = {
            c: bradley_terry_losses(features["validation"] @ fit(features[train.split], c)).mean() for c in INVERSE_STRENGTHS
        }
        strength = min(losses, key=lambda c: losses[c])
    weights = fit(features[train.split], strength)
    outputs = {rows.split: pair_outputs(features[rows.split] @ weights, row_ids=rows.row_ids) for rows in targets}
    note = f"{plural(features[train.split].shape[1] - 1, 'word')} or pairs of words, and the length (C = {strength:g})"
    return BaselineOutputs(BAG_OF_WORDS, outputs, time.perf_counter() - started, note)


@dataclass(frozen=True)
class WordDifferences:
    """The vocabulary of train: words and pairs of words that stand in two answers or more."""

    vectoriser: Any

    @classmethod
    def of(cls, train: PreferencePairs) -> WordDifferences:
        return cls(word_counter().fit([answer_text(answer) for answer in (*train.chosen, *train.rejected)]))

    def features(self, rows: PreferencePairs) -> csr_matrix:
        """Returns the differences of the logarithms of counts, and of the length (N, D + 1)."""
        from scipy import sparse

        sides = [
            self.vectoriser.transform([answer_text(a) for a in side]).astype(np.float64) for side in (rows.chosen, rows.rejected)
        ]
        words = sides[0].log1p() - sides[1].log1p()
        return sparse.hstack([words, sparse.csr_matrix(log_length_differences(rows)[:, None])], format="csr")


def judged_features(train: JudgedAnswers, others: Sequence[JudgedAnswers], *, with_words: bool) -> dict[str, Any]:
    """Returns split -> the features of single answers (N, D): the logarithm of the length, and of the counts of words."""
    from scipy import sparse

    lengths = {rows.split: np.log1p([[len(answer_text(a))] for a in rows.answers]) for rows in (train, *others)}
    if not with_words:
        return dict(lengths)
    vectoriser = word_counter().fit([answer_text(a) for a in train.answers])
    return {
        rows.split: sparse.hstack(
            [vectoriser.transform([answer_text(a) for a in rows.answers]).astype(np.float64).log1p(), lengths[rows.split]],
            format="csr",
        )
        for rows in (train, *others)
    }


def word_counter() -> Any:
    """Returns a counter of words and of pairs of words; marks are words, too."""
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\w+|[^\w\s]", min_df=2)


def fit(differences: Any, inverse_strength: float) -> Array:
    """Fits a logistic regression without an intercept to differences (N, D) of chosen and rejected answers: weights (D).

    Each pair stands in it both ways, since a difference of the other sign belongs to the other answer.
    """
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    stack = sparse.vstack if sparse.issparse(differences) else np.vstack
    both, truth = stack([differences, -differences]), np.repeat([1, 0], differences.shape[0])
    model = LogisticRegression(C=inverse_strength, fit_intercept=False, max_iter=500)
    return np.asarray(model.fit(both, truth).coef_[0])


def baselines_of_pairs(
    names: Sequence[str], train: PreferencePairs, targets: Sequence[PreferencePairs]
) -> Mapping[str, BaselineOutputs]:
    """Computes those of the two baselines that are named, in the order of the names."""
    known = {LENGTH: length_baseline, BAG_OF_WORDS: bag_of_words_baseline}
    return {name: known[name](train, targets) for name in names if name in known}
