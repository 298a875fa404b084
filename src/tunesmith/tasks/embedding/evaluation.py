"""Are the vectors better, or is it noise: metrics of each test at each size, baselines, verdicts, geometry, alarms."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from tunesmith.evaluation.embedding_tests import Answer, RowsTest, VectorTest, metrics_of, sized, verdict_of
from tunesmith.evaluation.metrics.geometry import Geometry, collapse_alarms
from tunesmith.models.embedding.encoder import normalised
from tunesmith.recipe.metric_names import baselines_of
from tunesmith.results import Alarm, Baseline, Metric, Verdict
from tunesmith.tasks.embedding.data import RETRIEVAL, EmbeddingInputs
from tunesmith.tasks.embedding.model import SeedRun, Untuned, values_of
from tunesmith.training.alarms import RunFacts, alarms

UNTUNED = "untuned"
HEAT_MAP_ROWS = 5


@dataclass(frozen=True)
class Rival:
    """Something the run is compared with.

    Attributes:
        at: split -> size (None for whole vectors) -> answer.
    """

    name: str
    at: Mapping[str, Mapping[int | None, Answer]]
    seconds: float = 0.0


@dataclass(frozen=True)
class Before:
    """The base model as it came, and what words alone find.

    Attributes:
        geometry: split -> how the base model's vectors lie.
        vectors: split -> the base model's vectors, by side.
    """

    rivals: tuple[Rival, ...]
    geometry: Mapping[str, Geometry]
    vectors: Mapping[str, tuple[np.ndarray, ...]]


@dataclass(frozen=True)
class Judged:
    """The evidence of a run.

    Attributes:
        kept: the run whose model is kept: the best on validation.
        geometry: split -> {before, after}.
        heat_map: a few texts and their cosines before and after; None where there are no rows of texts.
    """

    runs: tuple[SeedRun, ...]
    kept: SeedRun
    metrics: tuple[Metric, ...]
    baselines: tuple[Baseline, ...]
    verdicts: tuple[Verdict, ...]
    alarms: tuple[Alarm, ...]
    geometry: Mapping[str, Any]
    heat_map: Mapping[str, Any] | None


def compared_with(inputs: EmbeddingInputs, untuned: Untuned) -> Before:
    """Every baseline the recipe asks for, on every test."""
    asked, rivals, vectors = baselines_of(inputs.recipe), [], untuned.vectors
    if UNTUNED in asked:
        at = {
            name: answers(test, vectors[name], sizes_below(inputs, vectors[name]), untuned.similarity)
            for name, test in inputs.tests.items()
        }
        rivals.append(Rival(UNTUNED, at, untuned.seconds))
    for name in asked:
        found: dict[str, Mapping[int | None, Answer]] = {}
        started = time.perf_counter()
        for split, test in inputs.tests.items():
            if name in test.by_words():
                found[split] = {None: test.by_words()[name]()}
        if found:
            rivals.append(Rival(name, found, time.perf_counter() - started))
    geometry = {name: test.lie(vectors[name]) for name, test in inputs.tests.items()}
    return Before(tuple(rivals), geometry, vectors)


def sizes_below(inputs: EmbeddingInputs, vectors: Sequence[np.ndarray]) -> list[int]:
    """The Matryoshka sizes that these vectors can be cut to."""
    width = vectors[0].shape[1]
    return [size for size in inputs.recipe.embedding.matryoshka_dimensions if size < width]


def answers(test: VectorTest, vectors: Sequence[np.ndarray], sizes: Sequence[int], similarity: Any) -> dict[int | None, Answer]:
    """Size -> what vectors cut to it say; None for whole ones."""
    whole: dict[int | None, Answer] = {None: test.answer(vectors, vectors[0].shape[1], similarity)}
    return whole | {size: test.answer(vectors, size, similarity) for size in sizes}


def judge(inputs: EmbeddingInputs, runs: Sequence[SeedRun], before: Before) -> Judged:
    """Metrics, verdicts and alarms on every test."""
    kept = max(runs, key=lambda run: float("-inf") if run.fit.best_value is None else run.fit.best_value)
    said = {
        name: [answers(test, run.vectors[name], sizes_below(inputs, run.vectors[name]), run.encoder.similarity) for run in runs]
        for name, test in inputs.tests.items()
    }
    settings = (inputs.recipe.evaluate.n_resamples, inputs.recipe.train.seed)
    metrics = [
        metric
        for name, test in inputs.tests.items()
        for size in said[name][0]
        for metric in metrics_of([one[size] for one in said[name]], test, *settings, size=size)
    ]
    beside = tuple(baseline(rival, inputs, *settings) for rival in before.rivals)
    after = {name: test.lie(kept.vectors[name]) for name, test in inputs.tests.items()}
    geometry = {name: {"before": asdict(before.geometry[name]), "after": asdict(lie)} for name, lie in after.items()}
    return Judged(
        tuple(runs), kept, tuple(metrics), beside, tuple(verdicts(inputs, said, before.rivals, *settings)),
        (*collapse_alarms(after[inputs.judged[-1]]), *alarms(facts(inputs, kept))), geometry, heat_map(inputs, before, kept),
    )  # fmt: skip


def baseline(rival: Rival, inputs: EmbeddingInputs, n_resamples: int, seed: int) -> Baseline:
    found = [
        metric
        for name, by_size in rival.at.items()
        for size, one in by_size.items()
        for metric in metrics_of([one], inputs.tests[name], n_resamples, seed, size=size)
    ]
    return Baseline(
        rival.name, tuple(found), round(rival.seconds, 3), "the base model as it came" if rival.name == UNTUNED else ""
    )


def verdicts(
    inputs: EmbeddingInputs, said: Mapping[str, Sequence[Mapping[int | None, Answer]]], rivals: Sequence[Rival], n_resamples: int,
    seed: int,
) -> list[Verdict]:  # fmt: skip
    """On each test's leading metric against every rival, whole vectors with whole ones and cut ones with cut ones."""
    found = []
    for name in reversed(inputs.judged):
        test = inputs.tests[name]
        metric = leading(inputs, test)
        for size in said[name][0]:
            for rival in rivals:
                if size in rival.at.get(name, {}):
                    ours = [one[size] for one in said[name]]
                    one = verdict_of(ours, [rival.at[name][size]], rival.name, test, n_resamples, seed, metric)
                    found.append(replace(one, metric=sized(one.metric, size)))
    return found


def leading(inputs: EmbeddingInputs, test: VectorTest) -> str:
    """The metric of a test that the verdict is given on."""
    asked = inputs.recipe.evaluate.metric
    return asked if asked is not None and asked in test.metrics else test.metrics[0]


def facts(inputs: EmbeddingInputs, kept: SeedRun) -> RunFacts:
    """What the alarms look at."""
    test = inputs.tests["validation"]
    said = test.answer(kept.vectors["validation"], kept.encoder.dimension, kept.encoder.similarity)
    return RunFacts(
        metric=inputs.metric, higher_is_better=True, class_names=(), history=kept.fit.history,
        asked_learning_rate=kept.fit.learning_rate, ours=values_of(test, said)[inputs.metric],
    )  # fmt: skip


def heat_map(inputs: EmbeddingInputs, before: Before, kept: SeedRun) -> dict[str, Any] | None:
    """The first texts of the judged rows and the cosine of each with each, before and after."""
    split = next((name for name in reversed(inputs.judged) if name != RETRIEVAL), None)
    test = None if split is None else inputs.tests[split]
    if split is None or not isinstance(test, RowsTest):
        return None
    chosen = [(side, row) for row in range(min(HEAT_MAP_ROWS, len(test.row_ids))) for side in range(min(2, len(test.sides)))]
    texts = [test.sides[side][row] for side, row in chosen]

    def cosines(vectors: Sequence[np.ndarray]) -> list[list[float]]:
        unit = normalised(np.stack([vectors[side][row] for side, row in chosen]))
        return [[round(float(value), 4) for value in row] for row in unit @ unit.T]

    return {
        "split": split, "texts": texts, "row_ids": [test.row_ids[row] for _, row in chosen],
        "before": cosines(before.vectors[split]), "after": cosines(kept.vectors[split]),
    }  # fmt: skip
