"""What vectors are examined by: rows of pairs, triplets or classes, or a search; what a system answers, and what that is worth.

A model's vectors are made once (``vectors``) and read at any number of dimensions (``answer``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from tunesmith.data.cells import clip, listed
from tunesmith.data.pairs.conversions import SAME
from tunesmith.data.pairs.formats import MEANING, Shape
from tunesmith.data.pairs.retrieval import Array, Judgements, Retrieval
from tunesmith.data.pairs.rows import DOCUMENT, QUERY, RANKED, EmbeddingRows
from tunesmith.errors import DataError, InputError
from tunesmith.evaluation.baselines.search import SEARCHES, nearest_by_words, word_vectoriser
from tunesmith.evaluation.metrics.geometry import Geometry, geometry
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.predictions import CLUSTERING, MULTI, REGRESSION, Predictions, from_scores
from tunesmith.evaluation.metrics.retrieval import DEFAULT, METRICS, largest_k, parse_metric, query_metrics
from tunesmith.evaluation.metrics.row_means import mean_metric, mean_verdict
from tunesmith.evaluation.metrics.verdict import verdict
from tunesmith.results import Metric, Verdict

METRICS_OF_ROWS = {
    "scored_pair": ("spearman", "pearson"),
    "labelled_pair": ("average_precision", "auroc", "macro_f1"),
    "labelled_text": ("v_measure", "adjusted_rand"),
}
"""Shape -> metrics of its predictions, the leading one first."""
PROBLEM = {"scored_pair": REGRESSION, "labelled_pair": MULTI, "labelled_text": CLUSTERING}
FOUND_AGAIN = frozenset({"positive_pair", "triplet", "tuple"})
"""Shapes whose rows have a value each, with no predictions."""
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


@dataclass(frozen=True)
class Answer:
    """What one system says: predictions that metrics read, or a value for each row or query by metric.

    Attributes:
        figures: metric -> one figure of all rows together, which has no interval.
    """

    predictions: Predictions | None = None
    values: Mapping[str, Array] | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


class VectorTest(Protocol):
    """Rows or a search that vectors are examined by."""

    @property
    def split(self) -> str: ...

    @property
    def problem(self) -> str: ...

    @property
    def metrics(self) -> tuple[str, ...]: ...

    @property
    def n_texts(self) -> int: ...

    def vectors(self, encoder: Encoder, progress: Progress = ...) -> tuple[Array, ...]: ...

    def answer(self, vectors: Sequence[Array], size: int, similarity: Any = "cosine") -> Answer: ...

    def lie(self, vectors: Sequence[Array]) -> Geometry: ...

    def by_words(self) -> Mapping[str, Callable[[], Answer]]: ...


def unheard(_done: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class RowsTest:
    """Rows that say which texts are alike.

    Attributes:
        sides: texts by column, (N) each: both of a pair, or anchor, positive and negatives.
        target: (N) scores, class ids, or 1 where a pair is the same and 0 where not; None where the shape says what is right.
        row_ids: (N) positions in the source.
    """

    split: str
    shape: Shape
    sides: tuple[tuple[str, ...], ...]
    target: Array | None
    row_ids: tuple[int, ...]

    @property
    def problem(self) -> str:
        return PROBLEM.get(self.shape.kind, "")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of what it measures, the leading one first."""
        if self.shape.kind == "positive_pair":
            return DEFAULT
        named = METRICS_OF_ROWS.get(self.shape.kind, ("accuracy",))
        return tuple(BEST_F1 if name == "macro_f1" else name for name in named)

    @property
    def n_texts(self) -> int:
        """How many vectors are made."""
        return len({text for side in self.sides for text in side})

    def vectors(self, encoder: Encoder, progress: Progress = unheard) -> tuple[Array, ...]:
        """The vectors of each side (N, D); the first side asks and the others answer where the shape says so."""
        prompts = [""] * len(self.sides)
        if self.shape.kind in RANKED:
            prompts = [encoder.prompt_for(*QUERY), *[encoder.prompt_for(*DOCUMENT)] * (len(self.sides) - 1)]
        found: dict[tuple[str, str], Array] = {}
        for prompt in dict.fromkeys(prompts):
            sides = [side for side, own in zip(self.sides, prompts, strict=True) if own == prompt]
            texts = list(dict.fromkeys(text for side in sides for text in side))
            found |= {(prompt, text): vector for text, vector in zip(texts, encoder.encode(texts, prompt, progress), strict=True)}
        return tuple(np.stack([found[prompt, text] for text in side]) for prompt, side in zip(prompts, self.sides, strict=True))

    def answer(self, vectors: Sequence[Array], size: int, similarity: Any = "cosine") -> Answer:
        """What the first ``size`` dimensions say, always by cosine."""
        from tunesmith.models.embedding.encoder import normalised

        return answer_of(self, [normalised(side[:, :size]) for side in vectors])

    def lie(self, vectors: Sequence[Array]) -> Geometry:
        belong = self.shape.kind in FOUND_AGAIN
        _, first = np.unique([text for side in self.sides for text in side], return_index=True)
        return geometry(np.concatenate(vectors)[first], (vectors[0], vectors[1]) if belong else None)

    def by_words(self) -> Mapping[str, Callable[[], Answer]]:
        """Baselines that need no model."""
        return {"tfidf": self.by_tfidf}

    def by_tfidf(self) -> Answer:
        """The cosine of TF-IDF vectors of words."""
        vectoriser = word_vectoriser()
        vectoriser.fit([text for side in self.sides for text in side])
        return answer_of(self, [vectoriser.transform(side) for side in self.sides])


@dataclass(frozen=True)
class SearchTest:
    """Documents to be found for queries.

    Attributes:
        metrics: names of ``metrics.retrieval``, the leading one first.
    """

    split: str
    data: Retrieval
    metrics: tuple[str, ...] = DEFAULT
    problem: str = ""

    @property
    def n_texts(self) -> int:
        """How many vectors are made, those of queries aside, which are few."""
        return len(self.data.documents)

    def vectors(self, encoder: Encoder, progress: Progress = unheard) -> tuple[Array, ...]:
        """Of queries (Q, D) and of documents (M, D)."""
        queries = encoder.encode(self.data.queries, encoder.prompt_for(*QUERY))
        return queries, encoder.encode(self.data.documents, encoder.prompt_for(*DOCUMENT), progress)

    def answer(self, vectors: Sequence[Array], size: int, similarity: Any = "cosine") -> Answer:
        """Each metric's value for each query, by exact search."""
        return Answer(values=query_metrics(self.ranked(vectors, size, similarity), self.data.judgements, self.metrics))

    def ranked(self, vectors: Sequence[Array], size: int, similarity: Any) -> Array:
        """The best documents of each query (Q, k), by exact search."""
        from tunesmith.evaluation.search import nearest
        from tunesmith.machine import device_name
        from tunesmith.models.embedding.encoder import comparable

        of_asked, of_documents = comparable(similarity)
        queries, documents = of_asked(vectors[0][:, :size]), of_documents(vectors[1][:, :size])
        return nearest(queries, documents, self.depth, device_name())[0]

    @property
    def depth(self) -> int:
        """How many documents are ranked."""
        return min(largest_k(self.metrics), len(self.data.documents))

    def lie(self, vectors: Sequence[Array]) -> Geometry:
        judged = self.data.judgements
        return geometry(vectors[1], (vectors[0][judged.query], vectors[1][judged.document]))

    def by_words(self) -> Mapping[str, Callable[[], Answer]]:
        return {name: lambda search=search: self.ranked_by(search) for name, search in SEARCHES.items()}  # type: ignore[misc]

    def ranked_by(self, search: Callable[[Sequence[str], Sequence[str], int], Array]) -> Answer:
        ranked = search(self.data.documents, self.data.queries, self.depth)
        return Answer(values=query_metrics(ranked, self.data.judgements, self.metrics))


def check_metrics(names: Sequence[str]) -> None:
    """Raise InputError for names that are no retrieval metric, and where there is none."""
    if not names:
        raise InputError.one("--metric", "no metric was named.", f"Known: {', '.join(METRICS)}, each with @K.")
    for name in names:
        try:
            parse_metric(name)
        except ValueError as error:
            raise InputError.one("--metric", f"{error}.") from None


def rows_test(rows: EmbeddingRows, same: str | None = None, say_same: str = "Say it: --same LABEL.") -> RowsTest:
    """The test that rows make.

    Args:
        same: the label that says two texts mean the same, where it is none of the usual words.

    Raises:
        DataError: the shape cannot be measured, there are too few rows, or the classes do not say same and different.
    """
    shape = rows.shape
    if shape.kind not in (*METRICS_OF_ROWS, *FOUND_AGAIN):
        message = f"the rows are {MEANING[shape.kind]} ({' + '.join(shape.columns)}); that is no test of similarity."
        raise DataError.one(rows.source, message, "Give pairs, triplets, or texts with a class.")
    if len(rows) < 2:
        raise DataError.one(rows.source, f"{len(rows)} rows have all of {listed(shape.columns)}; two are the least.")
    return RowsTest(rows.split, shape, rows.sides, target_of(rows, same, say_same), rows.row_ids)


def target_of(rows: EmbeddingRows, same: str | None, say_same: str) -> Array | None:
    """The scores, the class ids, or 1 for the same and 0 for different."""
    if rows.target is None:
        return None
    if rows.shape.kind == "scored_pair":
        return np.array(rows.target)
    classes = rows.classes
    if rows.shape.kind == "labelled_text":
        if len(classes) < 2:
            raise DataError.one(rows.source, f"all texts are of the class {clip(classes[0])}.", "Two classes are the least.")
        return np.array([classes.index(name) for name in rows.target])
    return np.array(same_or_not(rows, same, say_same))


def same_or_not(rows: EmbeddingRows, same: str | None, say_same: str) -> list[int]:
    """1 where the class of a pair says that its texts mean the same, else 0. Raises DataError where no class says so."""
    said = [str(name).casefold() for name in rows.target or ()]
    classes = sorted(set(said))
    meant = [same.strip().casefold()] if same is not None else [name for name in SAME if name in classes][:1]
    if len(classes) < 2 or not meant or meant[0] not in classes:
        message = f"the classes are {listed(classes)}; which of them says that two texts mean the same cannot be seen."
        raise DataError.one(rows.source, message, say_same)
    return [int(name == meant[0]) for name in said]


def cosine(first: Any, second: Any) -> Array:
    """(N) inner products of two (N, D), dense or sparse, whose rows have length 1."""
    product = first.multiply(second) if hasattr(first, "multiply") else first * second
    return np.asarray(product.sum(axis=1), dtype=np.float64).ravel()


def answer_of(test: RowsTest, sides: Sequence[Any]) -> Answer:
    """What vectors of length 1, a matrix for each side, say of the rows."""
    kind = test.shape.kind
    if kind == "positive_pair":
        return Answer(values=found_again(test, sides))
    if kind == "labelled_text":
        return Answer(in_clusters(test, sides[0]))
    near = cosine(sides[0], sides[1])
    if kind in ("triplet", "tuple"):
        far = np.max([cosine(sides[0], side) for side in sides[2:]], axis=0)
        return Answer(values={"accuracy": (near > far).astype(float)})
    assert test.target is not None
    if kind == "scored_pair":
        return Answer(from_scores(REGRESSION, test.target, near))
    return Answer(at_best_f1(test.target, np.clip((1 + near) / 2, 0, 1)))


def in_clusters(test: RowsTest, vectors: Any) -> Predictions:
    """The texts in as many clusters as there are classes, by k-means."""
    from sklearn.cluster import KMeans

    assert test.target is not None
    found = KMeans(int(test.target.max()) + 1, n_init=STARTS, random_state=0).fit_predict(vectors)
    return Predictions(test.target, np.zeros((len(found), 1)), found.astype(np.int64))


def at_best_f1(same: Array, scores: Array) -> Predictions:
    """The scores (N) as predictions of one label, decided at the threshold with the highest F1 on these rows."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # a threshold cannot part equal scores
    f1 = 2 * np.cumsum(same[order]) / (np.arange(1, len(order) + 1) + same.sum())
    threshold = float(scores[order][np.argmax(np.where(last, f1, -1))])
    return from_scores(MULTI, same[:, None], scores[:, None], [threshold])


def found_again(test: RowsTest, sides: Sequence[Any]) -> Mapping[str, Array]:
    """Retrieval metrics of finding each second text among all of them; equal texts are one document."""
    places, ids = zip(*(unique(side) for side in test.sides[:2]), strict=True)
    pairs = np.unique(np.stack(ids, axis=1), axis=0)
    judged = Judgements(pairs[:, 0], pairs[:, 1], np.ones(len(pairs)), len(places[0]), len(places[1]))
    queries, documents = sides[0][places[0]], sides[1][places[1]]
    k = min(largest_k(DEFAULT), judged.n_documents)
    if hasattr(queries, "multiply"):
        ranked = nearest_by_words(queries, documents, k)
    else:
        from tunesmith.evaluation.search import nearest
        from tunesmith.machine import device_name

        ranked, _ = nearest(queries, documents, k, device_name())
    return query_metrics(ranked, judged)


def unique(side: Sequence[str]) -> tuple[list[int], Array]:
    """Where each different text stands first, in their order; and the number of each row's text (N)."""
    first: dict[str, int] = {}
    for i, text in enumerate(side):
        first.setdefault(text, i)
    number = {text: j for j, text in enumerate(first)}
    return list(first.values()), np.array([number[text] for text in side])


def metrics_of(said: Sequence[Answer], test: VectorTest, n_resamples: int, seed: int, size: int | None = None) -> list[Metric]:
    """Every metric of the answers of one system, or of each seed's, with its interval; named ``ndcg@10 dim=64`` at a size."""
    if said[0].values is not None:
        by_name = {name: [one.values[name] for one in said if one.values is not None] for name in said[0].values}
        found = [mean_metric(name, test.split, values, n_resamples, seed) for name, values in by_name.items()]
    else:
        names = tuple("macro_f1" if name == BEST_F1 else name for name in test.metrics)
        answers = [one.predictions for one in said if one.predictions is not None]
        made = metric_intervals(test.problem, answers, test.split, names, n_resamples=n_resamples, seed=seed)
        found = [replace(metric, name=BEST_F1) if metric.name == "macro_f1" else metric for metric in made]
    n_rows, why = found[0].n, "one figure of all pairs together: no interval"
    for name in said[0].figures:
        mean = float(np.mean([one.figures[name] for one in said]))
        found.append(Metric(name, test.split, mean, None, None, n_rows, note=why))
    return [replace(metric, name=sized(metric.name, size)) for metric in found]


def sized(name: str, size: int | None) -> str:
    return name if size is None else f"{name} dim={size}"


def verdict_of(
    ours: Sequence[Answer], other: Sequence[Answer], against: str, test: VectorTest, n_resamples: int, seed: int,
    metric: str | None = None,
) -> Verdict:  # fmt: skip
    """The verdict on a metric, the leading one where none is named; each side a system's answers, or one of each seed."""
    name = metric or test.metrics[0]
    if ours[0].values is not None:
        first, second = ([one.values[name] for one in said if one.values is not None] for said in (ours, other))
        return mean_verdict(name, first, second, against, test.split, n_resamples, seed)
    mine, theirs = ([one.predictions for one in said if one.predictions is not None] for said in (ours, other))
    known = "macro_f1" if name == BEST_F1 else name
    found = verdict(known, mine, theirs, against, test.split, n_resamples, seed, problem_type=test.problem)
    return replace(found, metric=name)
