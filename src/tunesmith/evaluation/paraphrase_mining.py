"""Paraphrase mining as a test of vectors: all texts of a file against all others; the pairs that mean the same shall come first.

As sentence-transformers' ParaphraseMiningEvaluator does, texts that are linked through a third one count as a pair, and pairs of
which the file has no label count as different.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.pair_classes import NamedClasses
from tunesmith.data.pairs.retrieval import NO_DOCUMENT, Judgements
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.data.row_clusters import components
from tunesmith.errors import DataError
from tunesmith.evaluation.embedding_tests import Encoder, Progress, no_progress, same_or_not
from tunesmith.evaluation.metrics.geometry import Geometry, geometry
from tunesmith.evaluation.outputs import Outputs, search_outputs
from tunesmith.evaluation.search import Similarity, cosine, nearest, nearest_by_words, normalised, word_vectoriser
from tunesmith.machine import device_name

METRICS = ("map@100", "recall@10", "recall@100")
DEPTH = 100
"""Neighbours of a text that are looked at."""


@dataclass(frozen=True)
class ParaphraseTest:
    """Texts, and which of them mean the same. ``texts``: all different (N); ``pairs``: (P, 2) positions, the smaller first."""

    split: str
    texts: tuple[str, ...]
    pairs: Array
    problem: str = ""
    metrics: tuple[str, ...] = METRICS

    @property
    def n_texts(self) -> int:
        return len(self.texts)

    def vectors(self, encoder: Encoder, progress: Progress = no_progress) -> tuple[Array, ...]:
        """Embeds all texts (N, D)."""
        return (encoder.encode(self.texts, encoder.prompt_for(), progress),)

    def outputs(self, vectors: Sequence[Array], size: int, similarity: Similarity = "cosine") -> Outputs:
        """Ranks each text's neighbours by cosine, and measures how well one cosine threshold separates all pairs."""
        unit = normalised(vectors[0][:, :size])
        ranked, _ = nearest(unit, unit, min(DEPTH + 1, self.n_texts), device_name())
        return self.measured(ranked, unit)

    def geometry(self, vectors: Sequence[Array]) -> Geometry:
        return geometry(vectors[0], (vectors[0][self.pairs[:, 0]], vectors[0][self.pairs[:, 1]]))

    def clusters(self) -> Array:
        """Returns the cluster of each query: texts of one meaning are each other's documents, so they share one."""
        return np.asarray(components(self.n_texts, *self.pairs.T)[np.unique(self.pairs)])

    def lexical_baselines(self) -> Mapping[str, Callable[[], Outputs]]:
        return {"tfidf": self.tfidf_outputs}

    def tfidf_outputs(self) -> Outputs:
        """Ranks by the cosine of TF-IDF vectors of words."""
        matrix = word_vectoriser().fit_transform(self.texts)
        return self.measured(nearest_by_words(matrix, matrix, min(DEPTH + 1, self.n_texts)), matrix)

    def measured(self, ranked: Array, unit: Any) -> Outputs:
        """Returns the answer that neighbours give.

        Args:
            ranked: (N, k) positions, each text itself among them.
            unit: (N, D) of length 1, dense or sparse.
        """
        others = without_itself(ranked)
        asked, number = np.unique(self.pairs, return_inverse=True)
        query = number.reshape(-1, 2)
        judged = Judgements(
            np.concatenate([query[:, 0], query[:, 1]]), np.concatenate([self.pairs[:, 1], self.pairs[:, 0]]),
            np.ones(2 * len(self.pairs)), len(asked), self.n_texts,
        )  # fmt: skip
        short = DEPTH - others.shape[1]
        filled = np.pad(others[asked], ((0, 0), (0, max(0, short))), constant_values=NO_DOCUMENT)
        return replace(search_outputs(filled, judged, METRICS), figures=self.figures(others, unit))

    def figures(self, others: Array, unit: Any) -> dict[str, float]:
        """Average precision of all mined pairs in the order of their cosine, and the best F1 of any threshold."""
        first = np.repeat(np.arange(len(others)), others.shape[1])
        second = others.ravel()
        there = second != NO_DOCUMENT
        both = np.unique(np.sort(np.stack([first[there], second[there]], axis=1), axis=1), axis=0)
        scores = cosine(unit[both[:, 0]], unit[both[:, 1]])
        known = set(map(tuple, self.pairs.tolist()))
        hits = np.array([pair in known for pair in map(tuple, both[np.argsort(-scores, kind="stable")].tolist())])
        found, rank = np.cumsum(hits), np.arange(1, len(hits) + 1)
        return {
            "mined_average_precision": float((found / rank)[hits].sum() / len(self.pairs)),
            "mined_best_f1": float((2 * found / (rank + len(self.pairs))).max(initial=0.0)),
        }


def without_itself(ranked: Array) -> Array:
    """(N, k - 1) the neighbours of each text without itself; where it is not among them, without the last."""
    own = np.arange(len(ranked))[:, None]
    order = np.argsort(ranked == own, axis=1, kind="stable")
    return np.take_along_axis(ranked, order, axis=1)[:, :-1]


def paraphrase_test(rows: EmbeddingRows, named: NamedClasses | None = None) -> ParaphraseTest:
    """Builds the test of pairs of texts.

    Args:
        named: the classes of labelled pairs that the user named.

    Raises DataError if the rows are not labelled pairs of equal and other meanings, or none means the same.
    """
    if rows.format.kind == "positive_pair":
        means_same = [1] * len(rows)
    elif rows.format.kind == "labelled_pair":
        means_same = same_or_not(rows, named)
    else:
        message = f"paraphrases are mined from pairs that mean the same; the rows are {rows.format.kind.replace('_', ' ')} rows."
        raise DataError.one(rows.source, message, "Give two texts a row, and a label where some pairs mean something else.")
    texts = tuple(dict.fromkeys(text for side in rows.sides for text in side))
    place = {text: i for i, text in enumerate(texts)}
    links = [(place[a], place[b]) for a, b, same_meaning in zip(*rows.sides, means_same, strict=True) if same_meaning and a != b]
    if not links:
        raise DataError.one(rows.source, "no two different texts mean the same.", "There is nothing to be mined.")
    return ParaphraseTest(rows.split, texts, closed(links, len(texts)))


def closed(links: Sequence[tuple[int, int]], count: int) -> Array:
    """Returns all pairs (P, 2) of texts that are linked, directly or through others."""
    component = components(count, *np.array(links).T)
    members = np.split(np.argsort(component, kind="stable"), np.cumsum(np.bincount(component))[:-1])
    return np.array([pair for texts in members for pair in combinations(texts.tolist(), 2)])
