"""What an embedding run reads before it loads the model: rows, loss, tests, the model's files, and the checks without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.data.checks.pairs import findings_of
from tunesmith.data.pairs.load import EmbeddingData, load_embedding_data
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.errors import DataError, Problem, RecipeError
from tunesmith.evaluation.embedding_tests import SearchTest, VectorTest, rows_test
from tunesmith.evaluation.metrics.retrieval import DEFAULT
from tunesmith.machine import megabytes
from tunesmith.models.source import ModelSource, find_model, stay_offline_unless_needed
from tunesmith.preflight.report import CheckLine, CheckReport
from tunesmith.preflight.static import LITTLE, disk, from_finding, trackers
from tunesmith.progress import Clock
from tunesmith.recipe.defaults import with_defaults
from tunesmith.recipe.embedding_rules import is_search_metric
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.recipe.sections import EmbeddingSection, Recipe
from tunesmith.results import Finding
from tunesmith.run_folder import SMOKE_ROWS
from tunesmith.training.losses.embedding_choice import LossChoice, check_scores, choose_loss, shortage

RETRIEVAL = "retrieval"
"""The split of what is measured on ``evaluate.retrieval``."""
SAY_SAME = "Say it: embedding.same: LABEL."


@dataclass(frozen=True)
class EmbeddingInputs:
    """What was read before the model was loaded.

    Attributes:
        tests: split -> what its vectors are examined by; ``validation`` steers training.
        metric: chooses the best checkpoint.
        also: the losses of ``data.also``, where its rows have one each.
        base: the folder that the recipe's paths start from.
    """

    recipe: Recipe
    data: EmbeddingData
    source: ModelSource
    choice: LossChoice
    tests: Mapping[str, VectorTest]
    metric: str
    findings: tuple[Finding, ...]
    also: tuple[LossChoice, ...] = ()
    checks: tuple[CheckLine, ...] = ()
    base: Path = Path()

    @property
    def judged(self) -> tuple[str, ...]:
        """The splits that are judged, the most telling last."""
        return tuple(self.tests)


def read_inputs(
    loaded: LoadedRecipe, clock: Clock, frames: Mapping[str, Any] | None = None, smoke: bool = False
) -> EmbeddingInputs:
    """Rows, loss, tests and the base model's files, with the checks that need no torch.

    Raises:
        InputError: anything that keeps the run from starting.
    """
    recipe = loaded.recipe
    stay_offline_unless_needed(recipe)
    with clock.phase("data"):
        data = load_embedding_data(recipe, loaded.base, frames)
        if smoke:
            data = first_rows(data, SMOKE_ROWS)
        source = find_model(recipe.model, loaded.base)
        recipe = with_defaults(recipe, source.n_bytes, len(data.train))
        choice = choose_loss(data.train, recipe.embedding)
        check_scores(data.train, choice.name)
        tests = tests_of(data, recipe)
        metric = steering_metric(recipe, tests)
        findings = findings_of(data.named(), recipe.train.batch_rows, choice.in_batch)
        also = tuple(choose_loss(rows, own_section(recipe, rows)) for rows in data.also)
        for rows, own in zip(data.also, also, strict=True):
            check_scores(rows, own.name)
            findings += findings_of({"train": rows}, recipe.train.batch_rows, own.in_batch)
        inputs = EmbeddingInputs(recipe, data, source, choice, tests, metric, findings, also, base=loaded.base)
        inputs = replace(inputs, checks=tuple(static_checks(inputs)))
    CheckReport(inputs.checks).refuse()
    return inputs


def first_rows(data: EmbeddingData, count: int) -> EmbeddingData:
    """At most so many rows of each split, spread over it, and no search."""
    cut = {
        name: rows.take([i * len(rows) // count for i in range(count)], name) if len(rows) > count else rows
        for name, rows in data.named().items()
    }
    return replace(data, train=cut["train"], validation=cut.get("validation"), test=cut.get("test"), retrieval=None)


def own_section(recipe: Recipe, rows: EmbeddingRows) -> EmbeddingSection:
    """The embedding section for one file of ``data.also``: its own loss, with no options of another."""
    return recipe.embedding.model_copy(
        update={"loss": recipe.embedding.losses.get(rows.source), "loss_options": {}, "batch_sampler": None}
    )


def tests_of(data: EmbeddingData, recipe: Recipe) -> dict[str, VectorTest]:
    """Split -> its test. Raises DataError where validation is none, since it steers training."""
    if data.validation is None:
        message = "there are no validation rows, and they choose the best checkpoint."
        raise DataError.one("data.validation", message, "Give data.validation a share such as 0.1, or a file.")
    tests: dict[str, VectorTest] = {}
    for rows in (data.validation, data.test):
        if rows is not None:
            tests[rows.split] = rows_test(rows, recipe.embedding.same, SAY_SAME)
    if data.retrieval is not None:
        asked = recipe.evaluate.metric
        names = (asked, *DEFAULT) if asked is not None and is_search_metric(asked) and asked not in DEFAULT else DEFAULT
        tests[RETRIEVAL] = SearchTest(RETRIEVAL, data.retrieval, names)
    return tests


def steering_metric(recipe: Recipe, tests: Mapping[str, VectorTest]) -> str:
    """The metric of validation that chooses the checkpoint. Raises RecipeError for one that nothing measures."""
    asked, here = recipe.evaluate.metric, tests["validation"].metrics
    known = list(dict.fromkeys(name for test in tests.values() for name in test.metrics))
    if asked is not None and asked not in known:
        message = f"these rows are not measured by {asked}."
        raise RecipeError.one("evaluate.metric", message, f"They are measured by: {', '.join(known)}.")
    return asked if asked in here and asked is not None else here[0]


def static_checks(inputs: EmbeddingInputs) -> Iterator[CheckLine]:
    """Recipe, rows, loss, findings, the model's files, disk."""
    recipe, data, choice = inputs.recipe, inputs.data, inputs.choice
    yield CheckLine("recipe", f"task {recipe.task}, model {recipe.model.name}, output {recipe.output}")
    for rows in data.named().values():
        n_left = sum(map(len, rows.left_out.values()))
        shape = f"{rows.shape.kind.replace('_', ' ')}: {' + '.join(rows.shape.columns)}"
        yield CheckLine(f"rows of {rows.split}", f"{len(rows):,} used, {n_left:,} left out ({rows.source}; {shape})")
    why = f", since {choice.because}" if choice.because else ""
    lack = shortage(choice, recipe.train.batch_rows, recipe.embedding.loss_options.get("mini_batch_size", 32))
    yield CheckLine("loss", f"{choice.name}{why}; batches by {choice.sampler} of {recipe.train.batch_rows}", note=lack)
    for rows, own in zip(data.also, inputs.also, strict=True):
        yield CheckLine(f"loss of {rows.source}", f"{own.name} on {len(rows):,} rows; batches by {own.sampler}")
    yield judged_on(inputs)
    for finding in inputs.findings:
        yield from_finding(finding)
    yield CheckLine("model files", f"{inputs.source.kind} {inputs.source.name}, {megabytes(inputs.source.n_bytes)} of weights")
    yield disk(inputs.source, Path(recipe.output))
    yield trackers(recipe)


def judged_on(inputs: EmbeddingInputs) -> CheckLine:
    """What the verdict is given on, and whether it can say anything."""
    split = inputs.judged[-1]
    rows = inputs.data.named().get(split)
    if rows is None:
        found = inputs.data.retrieval
        assert found is not None
        return CheckLine("judged on", f"{len(found.queries):,} queries in {len(found.documents):,} documents ({found.source})")
    note = f"{split} has only {len(rows)} rows: intervals will be wide" if len(rows) < LITTLE else ""
    problem = None
    if len(inputs.data.train) < 2:
        problem = Problem("rows", "data.train", f"{len(inputs.data.train)} rows are left to train on.", "Give more rows.")
    return CheckLine("judged on", f"{split}, {len(rows):,} rows", problem, note=note)
