"""Tests of embeddings: rows of pairs, triplets or classes, or a search.

A model's embeddings are computed once (``vectors``) and evaluated at any number of dimensions (``outputs``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import clip, listed, plural
from tunesmith.data.labelled.labels import MULTI, REGRESSION
from tunesmith.data.pairs.corpus import NO_CORPUS, Corpus
from tunesmith.data.pairs.formats import MEANING, PairFormat
from tunesmith.data.pairs.pair_classes import NamedClasses, PairLabels, means_same
from tunesmith.data.pairs.retrieval import Retrieval
from tunesmith.data.pairs.rows import DOCUMENT, QUERY, QUERY_DOCUMENT_KINDS, EmbeddingRows, highest_by_teacher
from tunesmith.data.row_clusters import row_clusters
from tunesmith.errors import DataError, InputError
from tunesmith.evaluation.metrics.geometry import Geometry
from tunesmith.evaluation.metrics.geometry import geometry as geometry_of
from tunesmith.evaluation.metrics.predictions import CLUSTERING, Predictions, from_scores
from tunesmith.evaluation.metrics.retrieval import DEFAULT, METRICS, largest_k, parse_metric
from tunesmith.evaluation.outputs import Outputs, SplitMetrics, search_outputs
from tunesmith.evaluation.pair_search import pair_outputs
from tunesmith.evaluation.search import (
    SEARCHES,
    Similarity,
    cosine,
    inner_product_maps,
    nearest,
    normalised,
    word_vectoriser,
)
from tunesmith.evaluation.triplets import Triplets, draw_triplets, triplet_accuracy, triplet_scores
from tunesmith.machine import device_name
from tunesmith.recipe.metric_names import TRIPLET_ACCURACY

METRICS_OF_ROWS = {
    "scored_pair": ("spearman", "pearson"),
    "labelled_pair": ("average_precision", "auroc", "macro_f1"),
    "labelled_text": ("v_measure", "adjusted_rand"),
}
"""Shape -> metrics of its predictions, the leading one first."""
PROBLEM = {"scored_pair": REGRESSION, "labelled_pair": MULTI, "labelled_text": CLUSTERING}
FOUND_AGAIN = frozenset({"positive_pair", "triplet", "tuple"})
"""Shapes whose rows have a value each, with no predictions, and whose first two texts belong together."""
TEACHER = "teacher_scores"
STARTS = 10
"""Of k-means, of which the best is taken."""
BEST_F1 = "best_f1"
Progress = Callable[[int], None]


class Encoder(Protocol):
    """What makes vectors of texts: a ``models.sentence_encoder.SentenceEncoder``."""

    @property
    def similarity(self) -> Any: ...

    def encode(self, texts: Sequence[str], prompt: str = "", progress: Progress = ...) -> Array: ...

    def prompt_for(self, *names: str) -> str: ...


class EmbeddingTest(Protocol):
    """Rows or a search that embeddings are evaluated on."""

    @property
    def split(self) -> str: ...

    @property
    def problem(self) -> str: ...

    @property
    def metrics(self) -> tuple[str, ...]: ...

    @property
    def n_texts(self) -> int: ...

    def vectors(self, encoder: Encoder, progress: Progress = ...) -> tuple[Array, ...]: ...

    def outputs(self, vectors: Sequence[Array], size: int, similarity: Similarity = "cosine") -> Outputs: ...

    def geometry(self, vectors: Sequence[Array]) -> Geometry: ...

    def lexical_baselines(self) -> Mapping[str, Callable[[], Outputs]]: ...

    def clusters(self) -> Array: ...


def no_progress(_done: int) -> None:
    """Does nothing; stands for a progress callback."""


@dataclass(frozen=True)
class RowsTest:
    """Rows with the similarity or the classes of their texts.

    Attributes:
        sides: texts by column, (N) each: both of a pair, or anchor, positive and negatives.
        target: (N) scores, class ids, 1 if a pair means the same and 0 if not, or which text after the first a teacher scores
            highest, from 0 on; None if the format determines it.
        row_ids: (N) positions in the source.
        groups: (N) rows of one group depend on each other; None if nothing is known.
        corpus: further texts that the second texts of positive pairs are searched among.
        seed: of the triplets that are drawn from labelled texts.
    """

    split: str
    format: PairFormat
    sides: tuple[tuple[str, ...], ...]
    target: Array | None
    row_ids: tuple[int, ...]
    groups: tuple[str, ...] | None = None
    corpus: Corpus = NO_CORPUS
    seed: int = 0

    @property
    def encoded(self) -> tuple[tuple[str, ...], ...]:
        """The texts that systems encode: the sides, and the corpus if there is one."""
        return (*self.sides, self.corpus.texts) if self.corpus.texts else self.sides

    @property
    def problem(self) -> str:
        return PROBLEM.get(self.format.kind, "")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of what it measures, the leading one first."""
        if self.format.kind == "positive_pair":
            return DEFAULT
        named = METRICS_OF_ROWS.get(self.format.kind, ("accuracy",))
        drawn = (TRIPLET_ACCURACY,) if self.triplets is not None else ()
        return (*(BEST_F1 if name == "macro_f1" else name for name in named), *drawn)

    @cached_property
    def triplets(self) -> Triplets | None:
        """The triplets of labelled texts, the same for every system; None for other rows, and where none can be drawn."""
        if self.problem != CLUSTERING or self.target is None:
            return None
        triplets = draw_triplets(self.target, self.row_clusters, self.seed)
        return triplets if len(triplets) else None

    @property
    def n_texts(self) -> int:
        return len({text for side in self.encoded for text in side})

    def take(self, positions: Sequence[int]) -> RowsTest:
        """Returns the test of the rows at those positions; class ids are numbered anew."""
        target = None if self.target is None else self.target[list(positions)]
        if target is not None and self.problem == CLUSTERING:
            target = np.unique(target, return_inverse=True)[1]
        sides = tuple(tuple(side[i] for i in positions) for side in self.sides)
        groups = None if self.groups is None else tuple(self.groups[i] for i in positions)
        row_ids, corpus = tuple(self.row_ids[i] for i in positions), self.corpus.first(len(positions) / len(self.row_ids))
        return replace(self, sides=sides, target=target, row_ids=row_ids, groups=groups, corpus=corpus)

    def vectors(self, encoder: Encoder, progress: Progress = no_progress) -> tuple[Array, ...]:
        """Encodes each side (N, D) with its prompt, and the corpus (M, D) if there is one."""
        encoded = self.encoded
        prompts = prompts_of_sides(encoder, self.format.kind, len(encoded))
        found: dict[tuple[str, str], Array] = {}
        for prompt in dict.fromkeys(prompts):
            sides = [side for side, own in zip(encoded, prompts, strict=True) if own == prompt]
            texts = list(dict.fromkeys(text for side in sides for text in side))
            found |= {(prompt, text): vector for text, vector in zip(texts, encoder.encode(texts, prompt, progress), strict=True)}
        return tuple(np.stack([found[prompt, text] for text in side]) for prompt, side in zip(prompts, encoded, strict=True))

    def outputs(self, vectors: Sequence[Array], size: int, similarity: Similarity = "cosine") -> Outputs:
        """Computes the outputs of the first ``size`` dimensions, always by cosine."""
        return outputs_of_rows(self, [normalised(side[:, :size]) for side in vectors])

    def geometry(self, vectors: Sequence[Array]) -> Geometry:
        belong = self.format.kind in FOUND_AGAIN
        own = vectors[: len(self.sides)]
        _, first = np.unique([text for side in self.sides for text in side], return_index=True)
        return geometry_of(np.concatenate(own)[first], (vectors[0], vectors[1]) if belong else None)

    def clusters(self) -> Array:
        """Returns the cluster of each row, or of each different query of positive pairs, see ``data.row_clusters``."""
        return self.row_clusters

    @cached_property
    def row_clusters(self) -> Array:
        if self.format.kind == "positive_pair":
            first = first_positions(self.sides[0])
            groups = None if self.groups is None else [self.groups[i] for i in first]
            return row_clusters([self.sides[0][i] for i in first], groups=groups)
        return self.clusters_of_rows()

    def clusters_of_rows(self) -> Array:
        """Returns the cluster of each row (N), also of positive pairs."""
        is_pair = self.problem in (REGRESSION, MULTI)
        return row_clusters(self.sides[0], self.sides[1] if is_pair else None, self.groups)

    def lexical_baselines(self) -> Mapping[str, Callable[[], Outputs]]:
        """Baselines that need no model."""
        return {"tfidf": self.tfidf_outputs}

    def tfidf_outputs(self) -> Outputs:
        """Returns the cosine of TF-IDF vectors of words."""
        vectoriser = word_vectoriser()
        vectoriser.fit([text for side in self.encoded for text in side])
        return outputs_of_rows(self, [vectoriser.transform(side) for side in self.encoded])


@dataclass(frozen=True)
class SearchTest:
    """Documents to be found for queries. ``metrics``: names of ``metrics.retrieval``, the leading one first."""

    split: str
    data: Retrieval
    metrics: tuple[str, ...] = DEFAULT
    problem: str = ""

    @property
    def n_texts(self) -> int:
        """How many vectors are made, those of queries aside, which are few."""
        return len(self.data.documents)

    def vectors(self, encoder: Encoder, progress: Progress = no_progress) -> tuple[Array, ...]:
        """Embeds queries (Q, D) and documents (M, D)."""
        queries = encoder.encode(self.data.queries, encoder.prompt_for(*QUERY))
        return queries, encoder.encode(self.data.documents, encoder.prompt_for(*DOCUMENT), progress)

    def outputs(self, vectors: Sequence[Array], size: int, similarity: Similarity = "cosine") -> Outputs:
        """Returns each metric's value for each query, by exact search."""
        return search_outputs(self.ranked(vectors, size, similarity), self.data.judgements, self.metrics)

    def ranked(self, vectors: Sequence[Array], size: int, similarity: Similarity) -> Array:
        """Returns the best documents of each query (Q, k), by exact search."""
        of_asked, of_documents = inner_product_maps(similarity)
        queries, documents = of_asked(vectors[0][:, :size]), of_documents(vectors[1][:, :size])
        return nearest(queries, documents, self.depth, device_name())[0]

    @property
    def depth(self) -> int:
        return min(largest_k(self.metrics), len(self.data.documents))

    def geometry(self, vectors: Sequence[Array]) -> Geometry:
        judged = self.data.judgements
        return geometry_of(vectors[1], (vectors[0][judged.query], vectors[1][judged.document]))

    def clusters(self) -> Array:
        """Returns the cluster of each query: nearly equal queries share one."""
        return row_clusters(self.data.queries)

    def lexical_baselines(self) -> Mapping[str, Callable[[], Outputs]]:
        def outputs(name: str) -> Outputs:
            ranked = SEARCHES[name](self.data.documents, self.data.queries, self.depth)
            return search_outputs(ranked, self.data.judgements, self.metrics)

        return {name: partial(outputs, name) for name in SEARCHES}


def prompts_of_sides(encoder: Encoder, kind: str, n_sides: int) -> list[str]:
    """Returns the prompt of each side: of queries and documents their own, of other formats the default one."""
    if kind not in QUERY_DOCUMENT_KINDS:
        return [encoder.prompt_for()] * n_sides
    return [encoder.prompt_for(*QUERY), *[encoder.prompt_for(*DOCUMENT)] * (n_sides - 1)]


def check_metrics(names: Sequence[str]) -> None:
    """Raise InputError for names that are no retrieval metric, and where there is none."""
    if not names:
        raise InputError.one("--metric", "no metric was named.", f"Known: {', '.join(METRICS)}, each with @K.")
    for name in names:
        try:
            parse_metric(name)
        except ValueError as error:
            raise InputError.one("--metric", f"{error}.") from None


def rows_test(rows: EmbeddingRows, named: NamedClasses | None = None, corpus: Corpus = NO_CORPUS, seed: int = 0) -> RowsTest:
    """Builds the test of the rows' format.

    Args:
        named: the classes of labelled pairs that the user named.
        corpus: further texts that the second texts of positive pairs are searched among.
        seed: of the triplets that are drawn from labelled texts.

    Raises DataError if the format cannot be measured, there are too few rows, or no class is known to mean the same.
    """
    shape = rows.format
    if shape.kind not in (*METRICS_OF_ROWS, *FOUND_AGAIN, TEACHER):
        message = f"the rows are {MEANING[shape.kind]} ({' + '.join(shape.columns)}); that is no test of similarity."
        raise DataError.one(rows.source, message, "Give pairs, triplets, or texts with a class.")
    if len(rows) < 2:
        raise DataError.one(
            rows.source, f"{plural(len(rows), 'row', 'has', 'have')} all of {listed(shape.columns)}; two are the least."
        )
    target: Array | None = None
    if shape.kind == "labelled_text" and rows.target is not None:
        classes = rows.classes
        if len(classes) < 2:
            raise DataError.one(rows.source, f"all texts are of the class {clip(classes[0])}.", "Two classes are the least.")
        target = np.array([classes.index(name) for name in rows.target])
    elif shape.kind == TEACHER:
        target = np.array(highest_by_teacher(rows))
    elif rows.target is not None:
        target = np.array(rows.target if shape.kind == "scored_pair" else same_or_not(rows, named))
    return RowsTest(
        split=rows.split,
        format=shape,
        sides=rows.sides,
        target=target,
        row_ids=rows.row_ids,
        groups=rows.groups,
        corpus=corpus,
        seed=seed,
    )


def same_or_not(rows: EmbeddingRows, named: NamedClasses | None = None) -> list[int]:
    """Returns 1 for each labelled pair whose class means the same, else 0. Raises DataError if that class is not known."""
    return means_same(pair_labels(rows, named))


def pair_labels(rows: EmbeddingRows, named: NamedClasses | None = None) -> PairLabels:
    """Returns rows of labelled pairs with what is known of their classes."""
    pairs = list(zip(*rows.sides, rows.target or (), strict=True))
    return PairLabels(pairs, rows.format.texts, rows.source, named or NamedClasses())


def outputs_of_rows(test: RowsTest, sides: Sequence[Any]) -> Outputs:
    """Computes the outputs of vectors of length 1, given as one matrix per side."""
    kind = test.format.kind
    if kind == "positive_pair":
        return pair_outputs(test.sides[:2], test.corpus, sides)
    if kind == "labelled_text":  # in as many clusters as there are classes, by k-means
        from sklearn.cluster import KMeans

        assert test.target is not None
        clusters = KMeans(int(test.target.max()) + 1, n_init=STARTS, random_state=0).fit_predict(sides[0])
        found = Predictions(test.target, np.zeros((len(clusters), 1)), clusters.astype(np.int64))
        return Outputs(test.problem, found, row_scores=triplet_scores(test.triplets, sides[0]))
    if kind == TEACHER:
        assert test.target is not None
        others = np.stack([cosine(sides[0], side) for side in sides[1:]], axis=1)
        near = np.take_along_axis(others, test.target[:, None], axis=1)[:, 0]
        np.put_along_axis(others, test.target[:, None], -np.inf, axis=1)
        return Outputs(row_scores={"accuracy": triplet_accuracy(near, others.max(axis=1))})
    near = cosine(sides[0], sides[1])
    if kind in ("triplet", "tuple"):
        far = np.max([cosine(sides[0], side) for side in sides[2:]], axis=0)
        return Outputs(row_scores={"accuracy": triplet_accuracy(near, far)})
    assert test.target is not None
    if kind == "scored_pair":
        return Outputs(test.problem, from_scores(REGRESSION, test.target, near))
    return Outputs(test.problem, at_best_f1(test.target, np.clip((1 + near) / 2, 0, 1)))


def at_best_f1(same: Array, scores: Array) -> Predictions:
    """Returns the scores (N) as predictions of one label, decided at the threshold with the highest F1 on these rows."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # a threshold cannot part equal scores
    f1 = 2 * np.cumsum(same[order]) / (np.arange(1, len(order) + 1) + same.sum())
    threshold = float(scores[order][np.argmax(np.where(last, f1, -1))])
    return from_scores(MULTI, same[:, None], scores[:, None], [threshold])


def metrics_of_test(test: EmbeddingTest, requested: str | None = None) -> SplitMetrics:
    """Returns the metrics of a test; verdicts are given on the requested one where it has it, else on its first."""
    leading = requested if requested in test.metrics and requested is not None else test.metrics[0]
    of_predictions = tuple(name for name in test.metrics if name != TRIPLET_ACCURACY)
    compared = leading if leading in of_predictions else of_predictions[0]
    return SplitMetrics(test.split, of_predictions, (compared,), leading)


def clustered_metrics(test: EmbeddingTest, requested: str | None = None) -> SplitMetrics:
    """Returns the metrics of a test with the clusters of its rows or queries."""
    kind = "predictions" if test.problem else "row_scores"
    clusters = {kind: test.clusters()}
    if isinstance(test, RowsTest) and test.triplets is not None:
        clusters["row_scores"] = test.triplets.block
    return replace(metrics_of_test(test, requested), clusters=clusters)


def first_positions(texts: Sequence[str]) -> list[int]:
    """Returns the position of the first occurrence of each different text, ascending."""
    first: dict[str, int] = {}
    for i, text in enumerate(texts):
        first.setdefault(text, i)
    return list(first.values())


def truncated_outputs(
    test: EmbeddingTest, vectors: Sequence[Array], dimensions: Sequence[int], similarity: Similarity = "cosine"
) -> Outputs:
    """Computes the outputs of whole embeddings, and of those cut to each of the dimensions."""
    whole = test.outputs(vectors, vectors[0].shape[1], similarity)
    return replace(whole, truncated={size: test.outputs(vectors, size, similarity) for size in dimensions})
