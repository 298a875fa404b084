"""The heavy steps of an embedding run: the model in memory, the pre-flight on it, the fits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.evaluation.embedding_tests import Answer, VectorTest, same_or_not
from tunesmith.evaluation.metrics.table import compute
from tunesmith.machine import device_name, quiet_libraries, restore_rng, rng_state, seed_everything
from tunesmith.models.embedding.encoder import SentenceEncoder, load_encoder, tokenize_texts
from tunesmith.models.embedding.model import load_trainable, prepare_training
from tunesmith.models.encode import length_record
from tunesmith.models.fast.path import apply_fast_path, remove_fast_path
from tunesmith.models.source import find_model
from tunesmith.preflight.embedding import lengths, model_checks, time_estimate
from tunesmith.preflight.report import CheckReport
from tunesmith.progress import Listener
from tunesmith.recipe.sections import ModelSection
from tunesmith.run_folder import RunFolder, nearest_folder, seed_places
from tunesmith.tasks.embedding.data import SAY_SAME, EmbeddingInputs, own_section
from tunesmith.tasks.embedding.training import SAME_OR_NOT, Measure, Part, Prepared, body_of, fit, labels_of, loss_on
from tunesmith.training.fit import Fit
from tunesmith.training.losses.embedding_build import GUIDED, build_loss
from tunesmith.training.schedule import plan_schedule
from tunesmith.training.signals import stop_on_signals


@dataclass(frozen=True)
class SeedRun:
    """One fit and what its model's vectors are.

    Attributes:
        vectors: split -> vectors of its test, by side.
    """

    seed: int
    fit: Fit
    encoder: SentenceEncoder
    vectors: Mapping[str, tuple[np.ndarray, ...]]


@dataclass(frozen=True)
class Untuned:
    """What the base model's vectors are, split by split and by side, and by which similarity they are compared."""

    vectors: Mapping[str, tuple[np.ndarray, ...]]
    similarity: str
    seconds: float


def load_model(inputs: EmbeddingInputs, seed: int) -> Prepared:
    """The base model with its loss; new weights of either are drawn by this seed."""
    quiet_libraries()
    recipe, data = inputs.recipe, inputs.data
    seed_everything(seed)
    encoder = load_trainable(inputs.source, recipe)
    n_batches = sum(-(-len(rows) // recipe.train.batch_rows) for rows in (data.train, *data.also))
    prepare_training(encoder, recipe, plan_schedule(n_batches, recipe.train).total_steps)
    sections = [recipe.embedding, *(own_section(recipe, rows) for rows in data.also)]
    parts = []
    for rows, choice, section in zip((data.train, *data.also), (inputs.choice, *inputs.also), sections, strict=True):
        guide = guide_of(inputs) if choice.name in GUIDED else None
        loss = build_loss(encoder.model, choice.name, rows, section, encoder.dimension, guide)
        parts.append(Part(rows, labels_for(inputs, rows, choice.name, rows.classes), choice, loss.to(device_name())))
    return Prepared(encoder, tuple(parts), 1.0)


def guide_of(inputs: EmbeddingInputs) -> Any:
    """The model that tells which negatives are none."""
    named = inputs.recipe.embedding.guide
    source = inputs.source if named is None else find_model(ModelSection(name=named), inputs.base)
    return load_encoder(source, inputs.recipe.data.max_length, fast=False).model


def labels_for(inputs: EmbeddingInputs, rows: EmbeddingRows, name: str, classes: tuple[str, ...]) -> list[Any] | None:
    """What the loss of that name compares rows with; ``classes`` are those it was made for."""
    is_same = same_or_not(rows, inputs.recipe.embedding.same, SAY_SAME) if name in SAME_OR_NOT else None
    return labels_of(rows, name, classes, is_same)


def preflight(inputs: EmbeddingInputs, prepared: Prepared) -> tuple[CheckReport, Prepared]:
    """The whole pre-flight, and what was prepared with the loss of the first step in it."""
    recipe, place = inputs.recipe, nearest_folder(Path(inputs.recipe.output))
    state = rng_state()
    kernels = prepared.encoder.fast_path
    apply_fast_path(body_of(prepared.encoder), kernels)
    try:
        lines, first = model_checks(recipe, prepared, place)
        estimate, line = time_estimate(recipe, prepared)
    finally:
        remove_fast_path(body_of(prepared.encoder))
    restore_rng(state)
    report = CheckReport((*inputs.checks, *lengths(inputs.data.named(), prepared.encoder), *lines, line), estimate)
    return report, replace(prepared, expected_loss=first)


def length_records(inputs: EmbeddingInputs, encoder: SentenceEncoder) -> dict[str, dict[str, Any]]:
    """Split -> lengths of its texts in tokens and the rows that lost any; nothing where the model reads no plain text."""
    if not encoder.is_plain:
        return {}
    found = {}
    for name, rows in inputs.data.named().items():
        encoded = tokenize_texts(encoder.model, [text for side in rows.sides for text in side], count_cut=True)
        cut = (encoded.full_lengths > encoded.lengths).reshape(len(rows.sides), -1).any(axis=0)
        found[name] = length_record(encoded) | {"rows_truncated": int(cut.sum())}
    return found


def measure_of(inputs: EmbeddingInputs, prepared: Prepared) -> Measure:
    """A function that gives a model's loss and metrics on validation."""
    test, rows = inputs.tests["validation"], inputs.data.validation
    assert rows is not None
    known = set(inputs.data.train.classes) >= set(rows.classes) and rows.shape.kind == inputs.data.train.shape.kind
    labels = labels_for(inputs, rows, inputs.choice.name, inputs.data.train.classes) if known else None

    def run(_model: Any) -> dict[str, float]:
        found = values_of(test, test.answer(test.vectors(prepared.encoder), prepared.encoder.dimension))
        loss = loss_on(prepared, rows, labels, inputs.recipe.train.batch_rows) if known else float("nan")
        return {"loss": loss, **found}

    return run


def values_of(test: VectorTest, said: Answer) -> dict[str, float]:
    """Metric -> value of one answer; undefined ones are NaN."""
    if said.values is not None:
        return {name: float(values.mean()) for name, values in said.values.items()}
    assert said.predictions is not None
    found = compute(test.problem, said.predictions)
    return {name: number(found["macro_f1" if name == "best_f1" else name]) for name in test.metrics}


def number(value: float | None) -> float:
    return float("nan") if value is None else value


def fit_seeds(
    inputs: EmbeddingInputs, prepared: Prepared, folder: RunFolder, listener: Listener, *, resume: bool, smoke: bool
) -> Iterator[SeedRun]:
    """One fit per seed; the first uses the model that was checked.

    Raises:
        TrainingFailed, Interrupted: see ``training.fit``.
    """
    train = inputs.recipe.train
    with stop_on_signals() as request:
        for seed in range(train.seed, train.seed + train.n_seeds):
            now = prepared
            if seed != train.seed:
                now = replace(load_model(inputs, seed), expected_loss=prepared.expected_loss)
            seed_everything(seed)
            checkpoints, log = seed_places(folder, seed, train.n_seeds)
            fitted = fit(
                now, inputs.recipe, measure_of(inputs, now), inputs.metric, checkpoints, log, seed, request, listener,
                resume=resume, smoke=smoke,
            )  # fmt: skip
            yield SeedRun(seed, fitted, now.encoder, {name: test.vectors(now.encoder) for name, test in inputs.tests.items()})


def before_training(inputs: EmbeddingInputs, prepared: Prepared) -> Untuned:
    """The base model as it came, on every test: without the fresh modules that the run may have put on it."""
    section, started = inputs.recipe.embedding, time.perf_counter()
    encoder = prepared.encoder
    if section.pooling is not None or section.dense is not None or section.normalize is not None:
        encoder = load_encoder(inputs.source, inputs.recipe.data.max_length, inputs.recipe.train.fast)
    found = {name: test.vectors(encoder) for name, test in inputs.tests.items()}
    return Untuned(found, encoder.similarity, time.perf_counter() - started)
