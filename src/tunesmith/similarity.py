"""The story of an embedding evaluation on rows: pairs with scores or classes, triplets, pairs to be found again, clusters."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.baselines.search import nearest_by_words, word_vectoriser
from tunesmith.data.cells import clip, is_missing, is_number, listed
from tunesmith.data.conversions import SAME
from tunesmith.data.read import read_table
from tunesmith.data.retrieval import Array, Judgements, Retrieval
from tunesmith.data.shapes import MEANING, Shape, detect_shape
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.events import Listener, silent
from tunesmith.inputs import Clock
from tunesmith.machine import environment, peak_memory_bytes
from tunesmith.metrics.geometry import Geometry, alarms_of, geometry
from tunesmith.metrics.intervals import metric_intervals
from tunesmith.metrics.predictions import CLUSTERING, MULTI, REGRESSION, Predictions, from_scores
from tunesmith.metrics.row_means import mean_metric, mean_verdict
from tunesmith.metrics.verdict import verdict
from tunesmith.models.source import find_model
from tunesmith.recipe.sections import ModelSection
from tunesmith.results import Baseline, Finding, Metric, RunResult, Verdict

SPLIT = "test"
Vectors = Callable[[Sequence[str]], Array]
"""Texts to vectors (N, D) of which inner products are compared: a model's, or those of TF-IDF."""


@dataclass(frozen=True)
class Rows:
    """The rows that can be measured.

    Attributes:
        sides: texts by column, (N) each: both of a pair, or anchor, positive and negatives.
        target: (N) scores, or 1 where a pair is the same and 0 where not; None where the shape says what is right.
        notes: what was left out.
    """

    shape: Shape
    sides: tuple[tuple[str, ...], ...]
    target: Array | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What one system says of the rows: predictions that metrics read, or a value for each row by metric."""

    predictions: Predictions | None = None
    values: Mapping[str, Array] | None = None


@dataclass(frozen=True)
class System:
    name: str
    whole: Answer
    seconds: float
    at: Mapping[int, Answer]
    dimension: int = 0
    geometry: Geometry | None = None


METRICS = {
    "scored_pair": ("spearman", "pearson"),
    "labelled_pair": ("average_precision", "auroc", "macro_f1"),
    "labelled_text": ("v_measure", "adjusted_rand"),
}
"""Shape -> metrics of its predictions, the leading one first."""
PROBLEM = {"scored_pair": REGRESSION, "labelled_pair": MULTI, "labelled_text": CLUSTERING}
STARTS = 10
"""Of k-means, of which the best is taken."""
BEST_F1 = "best_f1"


def evaluate_similarity(
    target: str | Path, data: str | Path, *, columns: Mapping[str, str | Sequence[str]] | None = None, same: str | None = None,
    against: Sequence[str | Path] = (), dimensions: Sequence[int] = (), max_length: int | None = None, n_resamples: int = 10_000,
    seed: int = 0, listener: Listener = silent,
) -> RunResult:  # fmt: skip
    """How well an embedding model tells similar texts from others, beside TF-IDF and other models.

    Scored pairs are measured by the correlation of cosine and score; pairs with two classes by average precision, the area under
    the curve and the best F1 of any threshold; triplets by how often the right text is nearer; pairs that belong together by
    finding each second text among all of them; texts with classes by clusters that find the classes again.

    Args:
        target: a run, a folder, a hub id or ``builtin:NAME``.
        columns: part -> column, where names and content do not tell; see ``data.shapes``.
        same: the label that says two texts mean the same, where it is none of the usual words.
        against, dimensions, max_length: as ``retrieval.evaluate_retrieval``.

    Raises:
        InputError: the rows or a model cannot be used.
    """
    started, clock = time.perf_counter(), Clock(listener, {})
    with clock.phase("data"):
        table = read_table(str(data), split=SPLIT)
        rows = usable(table, detect_shape(table, columns or {}), same)
    ours = by_model(str(target), rows, dimensions, max_length, clock)
    others = [by_model(str(other), rows, (), max_length, clock) for other in against]
    with clock.phase("baselines"):
        others.append(by_words(rows))
    with clock.phase("verdict"):
        judged = (n_resamples, seed)
        found = [*metrics_of(ours.whole, rows, "", *judged), *cut_metrics(ours, rows, *judged)]
        verdicts = verdicts_of(ours, others, rows, *judged)
        beside = tuple(Baseline(o.name, tuple(metrics_of(o.whole, rows, "", *judged)), round(o.seconds, 3)) for o in others)
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    about = {"source": str(data), "shape": rows.shape.kind, "columns": list(rows.shape.columns), "rows": len(rows.sides[0])}
    return RunResult(
        task="similarity", metrics=tuple(found), baselines=beside, verdicts=tuple(verdicts),
        findings=tuple(Finding("not_measured", note, flagged=1) for note in rows.notes), timings_seconds=clock.seconds,
        peak_memory_bytes=peak_memory_bytes(), environment=environment(), alarms=alarms_of(ours.geometry),
        data={**about, "dimension": ours.dimension, "geometry": None if ours.geometry is None else asdict(ours.geometry)},
    )  # fmt: skip


def usable(table: Table, shape: Shape, same: str | None) -> Rows:
    """The rows with all their texts and a target that can be read.

    Raises:
        DataError: the shape cannot be measured, a score is no number, or the classes do not say same and different.
    """
    if shape.kind not in (*METRICS, "triplet", "tuple", "positive_pair"):
        message = f"the rows are {MEANING[shape.kind]} ({' + '.join(shape.columns)}); that is no test of similarity."
        raise DataError.one(table.source, message, "Give pairs, triplets, or texts with a class.")
    columns = [table.columns[name] for name in shape.columns]
    there = [i for i in range(len(table)) if not any(is_missing(column[i]) for column in columns)]
    if len(there) < 2:
        raise DataError.one(table.source, f"{len(there)} rows have all of {listed(shape.columns)}; two are the least.")
    sides = tuple(tuple(str(table.columns[name][i]) for i in there) for name in shape.texts)
    n_left_out = len(table) - len(there)
    notes = (f"{n_left_out:,} rows without a text or a target are left out.",) if n_left_out else ()
    return Rows(shape, sides, target_of(table, shape, there, same), notes)


def target_of(table: Table, shape: Shape, there: Sequence[int], same: str | None) -> Array | None:
    """The scores, or 1 for the same and 0 for different."""
    if not shape.target:
        return None
    cells = [table.columns[shape.target[0]][i] for i in there]
    if shape.kind == "scored_pair":
        for i, cell in zip(there, cells, strict=True):
            if not is_number(cell):
                raise DataError.one(f"{table.source}, {table.place(i)}", f"the score {clip(cell)} is no number.")
        return np.array([float(cell) for cell in cells])
    said = [str(cell).strip().casefold() for cell in cells]
    classes = sorted(set(said))
    if shape.kind == "labelled_text":
        if len(classes) < 2:
            raise DataError.one(table.source, f"all texts are of the class {clip(classes[0])}.", "Two classes are the least.")
        return np.array([classes.index(name) for name in said])
    meant = [same.strip().casefold()] if same is not None else [name for name in SAME if name in classes][:1]
    if len(classes) < 2 or not meant or meant[0] not in classes:
        message = f"the classes are {listed(classes)}; which of them says that two texts mean the same cannot be seen."
        raise DataError.one(table.source, message, "Say it: --same LABEL.")
    return np.array([int(name == meant[0]) for name in said])


def by_model(name: str, rows: Rows, dimensions: Sequence[int], max_length: int | None, clock: Clock) -> System:
    """What a model says of the rows, also with cut vectors."""
    from tunesmith.models.sentence_encoder import load_encoder, normalised, sizes_of

    started = time.perf_counter()
    with clock.phase("model"):
        encoder = load_encoder(find_model(ModelSection(name=name), Path()), max_length)
        sizes = sizes_of(encoder, dimensions)
    with clock.phase("embeddings"):
        texts = list(dict.fromkeys(text for side in rows.sides for text in side))
        vectors, place = encoder.encode(texts), {text: i for i, text in enumerate(texts)}
    sides = [vectors[[place[text] for text in side]] for side in rows.sides]
    belong = rows.shape.kind in ("positive_pair", "triplet", "tuple")
    seen = geometry(vectors, (sides[0], sides[1]) if belong else None)
    said = {d: answer(rows, [normalised(side[:, :d]) for side in sides]) for d in sizes}
    whole = said.pop(encoder.dimension)
    return System(name, whole, time.perf_counter() - started, said, encoder.dimension, seen)


def by_words(rows: Rows) -> System:
    """The cosine of TF-IDF vectors of words."""
    started = time.perf_counter()
    vectoriser = word_vectoriser()
    vectoriser.fit([text for side in rows.sides for text in side])
    said = answer(rows, [vectoriser.transform(side) for side in rows.sides])
    return System("tfidf", said, time.perf_counter() - started, {})


def cosine(first: Any, second: Any) -> Array:
    """(N) inner products of two (N, D), dense or sparse, whose rows have length 1."""
    product = first.multiply(second) if hasattr(first, "multiply") else first * second
    return np.asarray(product.sum(axis=1), dtype=np.float64).ravel()


def answer(rows: Rows, sides: Sequence[Any]) -> Answer:
    """What vectors of length 1, a matrix for each side, say of the rows."""
    kind = rows.shape.kind
    if kind == "positive_pair":
        return Answer(values=found_again(rows, sides))
    if kind == "labelled_text":
        return Answer(in_clusters(rows, sides[0]))
    near = cosine(sides[0], sides[1])
    if kind in ("triplet", "tuple"):
        far = np.max([cosine(sides[0], side) for side in sides[2:]], axis=0)
        return Answer(values={"accuracy": (near > far).astype(float)})
    assert rows.target is not None
    if kind == "scored_pair":
        return Answer(from_scores(REGRESSION, rows.target, near))
    return Answer(at_best_f1(rows.target, np.clip((1 + near) / 2, 0, 1)))


def in_clusters(rows: Rows, vectors: Any) -> Predictions:
    """The texts in as many clusters as there are classes, by k-means."""
    from sklearn.cluster import KMeans

    assert rows.target is not None
    found = KMeans(int(rows.target.max()) + 1, n_init=STARTS, random_state=0).fit_predict(vectors)
    return Predictions(rows.target, np.zeros((len(found), 1)), found.astype(np.int64))


def at_best_f1(same: Array, scores: Array) -> Predictions:
    """The scores (N) as predictions of one label, decided at the threshold with the highest F1 on these rows."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # a threshold cannot part equal scores
    f1 = 2 * np.cumsum(same[order]) / (np.arange(1, len(order) + 1) + same.sum())
    threshold = float(scores[order][np.argmax(np.where(last, f1, -1))])
    return from_scores(MULTI, same[:, None], scores[:, None], [threshold])


def found_again(rows: Rows, sides: Sequence[Any]) -> Mapping[str, Array]:
    """Retrieval metrics of finding each second text among all of them; equal texts are one document."""
    from tunesmith.metrics.retrieval import DEFAULT, deepest, of_queries

    data = as_retrieval(rows)
    first_of_query = unique_places(rows.sides[0], data.queries)
    first_of_document = unique_places(rows.sides[1], data.documents)
    k = min(deepest(DEFAULT), len(data.documents))
    queries, documents = sides[0][first_of_query], sides[1][first_of_document]
    if hasattr(queries, "multiply"):
        ranked = nearest_by_words(queries, documents, k)
    else:
        from tunesmith.machine import device_name
        from tunesmith.models.search import nearest

        ranked, _ = nearest(queries, documents, k, device_name())
    return of_queries(ranked, data.judgements)


def unique_places(side: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where each of the wanted texts stands first."""
    place: dict[str, int] = {}
    for i, text in enumerate(side):
        place.setdefault(text, i)
    return [place[text] for text in wanted]


def as_retrieval(rows: Rows) -> Retrieval:
    """Pairs that belong together as queries, documents and judgements."""
    queries, documents = (tuple(dict.fromkeys(side)) for side in rows.sides[:2])
    of_query, of_document = ({text: i for i, text in enumerate(side)} for side in (queries, documents))
    pairs = np.array(sorted({(of_query[a], of_document[b]) for a, b in zip(*rows.sides[:2], strict=True)}))
    judged = Judgements(pairs[:, 0], pairs[:, 1], np.ones(len(pairs)), len(queries), len(documents))
    return Retrieval("", SPLIT, documents, documents, queries, queries, judged)


def metrics_of(said: Answer, rows: Rows, suffix: str, n_resamples: int, seed: int) -> list[Metric]:
    """Every metric of one answer with its interval, its name followed by the suffix."""
    if said.values is not None:
        found = [mean_metric(name, SPLIT, [values], n_resamples, seed) for name, values in said.values.items()]
    else:
        assert said.predictions is not None
        problem = PROBLEM[rows.shape.kind]
        found = list(metric_intervals(problem, said.predictions, SPLIT, METRICS[rows.shape.kind], n_resamples, seed))
    return [replace(metric, name=f"{BEST_F1 if metric.name == 'macro_f1' else metric.name}{suffix}") for metric in found]


def cut_metrics(system: System, rows: Rows, n_resamples: int, seed: int) -> list[Metric]:
    return [m for d, said in system.at.items() for m in metrics_of(said, rows, f" dim={d}", n_resamples, seed)]


def verdicts_of(ours: System, others: Sequence[System], rows: Rows, n_resamples: int, seed: int) -> list[Verdict]:
    """On the leading metric: whole vectors against every other system, and cut ones against the whole."""

    def between(first: Answer, second: Answer, against: str) -> Verdict:
        if first.values is not None and second.values is not None:
            name = next(iter(first.values))
            return mean_verdict(name, [first.values[name]], [second.values[name]], against, SPLIT, n_resamples, seed)
        assert first.predictions is not None
        assert second.predictions is not None
        name, problem = METRICS[rows.shape.kind][0], PROBLEM[rows.shape.kind]
        answers = [first.predictions], [second.predictions]
        return verdict(name, *answers, against, SPLIT, n_resamples, seed, problem_type=problem)

    found = [between(ours.whole, other.whole, other.name) for other in others]
    cut = [(d, between(said, ours.whole, f"dim={ours.dimension}")) for d, said in ours.at.items()]
    return [*found, *(replace(one, metric=f"{one.metric} dim={d}") for d, one in cut)]
