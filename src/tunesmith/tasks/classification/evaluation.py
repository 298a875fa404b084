"""Computes metrics, baselines and decision thresholds of classifiers and regressions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.row_clusters import example_clusters
from tunesmith.data.table import Examples
from tunesmith.evaluation.baselines.chance import chance
from tunesmith.evaluation.baselines.frozen import Embedded, linear_on_embeddings
from tunesmith.evaluation.baselines.majority import majority
from tunesmith.evaluation.baselines.tfidf import tfidf_linear
from tunesmith.evaluation.metrics.thresholds import tune
from tunesmith.evaluation.outputs import BaselineOutputs, Outputs, SplitMetrics, predictions_of
from tunesmith.models.adapters.quantisation import published
from tunesmith.models.adapters.unquantised import is_saved_unquantised, saved_quantisation, to_device_with_room
from tunesmith.models.encode import Encoded, encode
from tunesmith.models.fast.path import apply_fast_path, remove_fast_path
from tunesmith.models.inference import mean_embeddings
from tunesmith.models.load import LoadedModel, load_classifier
from tunesmith.progress import Event, Listener
from tunesmith.recipe.metric_roles import is_higher_better, reported_metrics
from tunesmith.recipe.tasks import baseline_names
from tunesmith.tasks.classification.model import LabelledSession
from tunesmith.tasks.classification.scoring import predict
from tunesmith.tasks.evaluate import best_seed
from tunesmith.tasks.task import Baselines, Decisions, SeedResult
from tunesmith.training.losses.classification import class_weight_array


def split_metrics(session: LabelledSession, split: str) -> SplitMetrics:
    """Returns the metrics of one split: all of the task and those named; verdicts on the leading one and on accuracy."""
    data, labels = session.data, session.tokens.labels
    of_task, function = reported_metrics(data.recipe), data.function
    also = ["accuracy"] if labels.problem_type == SINGLE else []
    compared = tuple(name for name in dict.fromkeys([session.metric, *also]) if name in of_task)
    of_split = SplitMetrics(split, of_task, compared, session.metric, positive=data.positive)
    if function is None:
        return of_split
    leading = session.metric if session.metric in function.names else function.names[0]
    return replace(of_split, own=data.own_rows(split), own_verdict=leading)


def metrics(session: LabelledSession) -> list[SplitMetrics]:
    """Returns the metrics of the evaluation splits. Verdicts are given on the last one only: test, or else validation."""
    splits = [
        replace(split_metrics(session, rows.split), clusters=dict.fromkeys(("predictions", "own"), example_clusters(rows)))
        for rows in evaluation_rows(session)
    ]
    return [*(replace(split, has_verdicts=False) for split in splits[:-1]), *splits[-1:]]


def evaluation_rows(session: LabelledSession) -> list[Examples]:
    """Returns the rows of validation, and of test if there is one."""
    splits = session.data.splits
    return [split for split in (splits.validation, splits.test) if split is not None]


def baselines(session: LabelledSession, listener: Listener) -> Baselines:
    """Fits and evaluates every baseline that the recipe names; keeps the base model's embeddings of train where computed.

    The linear models are fitted with the class weights of the run: else weighting alone would beat them in macro F1.
    """
    requested, labels = baseline_names(session.data.recipe), session.data.splits.labels
    session = replace(session, loaded=base_of(session))
    train, targets = session.data.splits.train, evaluation_rows(session)
    of_classes = class_weight_array(session.data.recipe.train.class_weights, labels, train.labels)
    systems: list[BaselineOutputs] = []
    base: dict[str, Outputs] = {}
    for done, name in enumerate(requested, 1):
        if name == "frozen":
            started, vectors = time.perf_counter(), embeddings(session)
            seconds = time.perf_counter() - started
            systems.append(linear_on_embeddings(labels, train, targets, vectors, seconds, of_classes))
            of_train = vectors["train"]
            base["train"] = Outputs(embeddings=of_train if isinstance(of_train, tuple) else (of_train,))
        elif name == "untuned":
            systems.append(untuned_baseline(session))
        elif name == "tfidf":
            systems.append(tfidf_linear(labels, train, targets, of_classes))
        else:
            systems.append({"majority": majority, "chance": chance}[name](labels, train, targets))
        listener(Event("step", "baselines", done, len(requested)))
    return Baselines(tuple(systems), base)


def base_of(session: LabelledSession) -> LoadedModel:
    """Returns the base model that the saved one is compared with: the session's, or an unquantised one if the saved one is."""
    if not is_saved_unquantised(session.model):
        return session.loaded
    with torch.random.fork_rng():  # a new head draws numbers
        loaded = load_classifier(session.data.source, session.tokens.labels, session.loaded.tokenizer)
    to_device_with_room(loaded.model)
    return loaded


def untuned_baseline(session: LabelledSession) -> BaselineOutputs:
    """Evaluates the unchanged base model, if it has a head for these labels."""
    if session.new_weights:
        return BaselineOutputs("untuned", {}, 0.0, "the base model has no head for these labels, so it cannot predict")
    started, encoded = time.perf_counter(), session.tokens.encoded
    outputs = {rows.split: predict(session.loaded.model, encoded[rows.split], session) for rows in evaluation_rows(session)}
    return BaselineOutputs("untuned", outputs, time.perf_counter() - started, published(saved_quantisation(session.model)))


def embeddings(session: LabelledSession) -> dict[str, Embedded]:
    """Computes the untouched base model's mean embeddings of every split."""
    return {rows.split: embed(rows, session) for rows in session.data.splits.named().values()}


def embed(rows: Examples, session: LabelledSession, encoded: Encoded | None = None) -> Embedded:
    """Computes mean embeddings (N, D) of the texts, or of both texts of pairs, by the model before its training.

    Args:
        encoded: the tokens of single texts; None: those of their split.
    """
    body = session.loaded.model.base_model
    apply_fast_path(body, session.fast_path)
    try:
        return embed_on_fast_path(rows, body, session, encoded)
    finally:
        remove_fast_path(body)


def embed_on_fast_path(rows: Examples, body: torch.nn.Module, session: LabelledSession, encoded: Encoded | None) -> Embedded:
    tokens = session.tokens
    if rows.pairs is None:
        return mean_embeddings(body, encoded or tokens.encoded[rows.split], tokens.pad_id, session.fast_path)
    columns = [Examples(rows.split, "", rows.row_ids, side, rows.labels) for side in (rows.texts, rows.pairs)]
    sides = [encode(session.loaded.tokenizer, column, tokens.max_length) for column in columns]
    first, second = (mean_embeddings(body, side, tokens.pad_id, session.fast_path) for side in sides)
    return first, second


def choose_thresholds(seeds: Sequence[SeedResult], systems: Sequence[BaselineOutputs]) -> Decisions:
    """Chooses thresholds on validation for the leading metric, if it depends on decisions, and decides anew with them.

    With several seeds the thresholds of the best one are used, whose model is saved. Baselines get their own.
    """
    session: LabelledSession = seeds[0].session
    recipe, metric = session.data.recipe, session.metric
    usual = Decisions(tuple(seeds), tuple(systems))
    if not recipe.evaluate.tune_threshold:
        return usual
    best = best_seed(seeds, higher_is_better=is_higher_better(recipe, session.checkpoint_metric))
    validation = next(iter(predictions_of([best.outputs["validation"]], session.data.positive)), None)
    tuned = None if validation is None else tune(validation, metric, recipe.train.seed)
    if tuned is None:
        function = session.data.function
        is_own = function is not None and metric in function.names and session.tokens.labels.n == 2
        note = f"thresholds were not tuned for {metric}: its dependence on them is unknown; 0.5 is used"
        return replace(usual, notes=(note,)) if is_own else usual
    if "test" not in best.outputs:
        return replace(
            usual, notes=("thresholds were not tuned: without test rows, they would be evaluated on the rows that selected them",)
        )
    thresholds = list(tuned.values)
    results = tuple(
        replace(seed, outputs={split: with_thresholds(of_split, thresholds) for split, of_split in seed.outputs.items()})
        for seed in seeds
    )
    own = tuple(tuned_baseline(system, metric, recipe.train.seed, session.data.positive) for system in systems)
    return Decisions(results, own, thresholds, (tuned.note,))


def with_thresholds(outputs: Outputs, thresholds: Sequence[float] | None) -> Outputs:
    """Returns the outputs decided anew with these thresholds."""
    assert outputs.predictions is not None
    return replace(outputs, predictions=outputs.predictions.decided(outputs.problem_type, thresholds))


def tuned_baseline(system: BaselineOutputs, metric: str, seed: int, positive: int | None = None) -> BaselineOutputs:
    """Returns a baseline decided with thresholds tuned on its own validation predictions, as the run's are."""
    outputs = [system.outputs["validation"]] if "validation" in system.outputs else []
    validation = next(iter(predictions_of(outputs, positive)), None)
    tuned = None if validation is None else tune(validation, metric, seed)
    if tuned is None:
        return system
    return replace(system, outputs={split: with_thresholds(of_split, tuned.values) for split, of_split in system.outputs.items()})
