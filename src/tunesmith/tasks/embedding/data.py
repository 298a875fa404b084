"""Reads and checks the rows, loss and tests of sentence embeddings without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.data.checks import pairs as pair_checks
from tunesmith.data.checks.control_tokens import control_tokens
from tunesmith.data.pairs.corpus import Corpus, corpus_of
from tunesmith.data.pairs.load import EmbeddingData, load_embedding_data
from tunesmith.data.pairs.pair_classes import same_class
from tunesmith.data.pairs.retrieval import cut_search
from tunesmith.data.pairs.rows import QUERY_DOCUMENT_KINDS, EmbeddingRows, teacher_margins
from tunesmith.data.split import at_most
from tunesmith.errors import InputError, Problem, RecipeError
from tunesmith.evaluation.embedding_tests import TEACHER, EmbeddingTest, RowsTest, SearchTest, pair_labels, rows_test
from tunesmith.evaluation.metrics.own_function import OwnFunction
from tunesmith.evaluation.metrics.retrieval import DEFAULT
from tunesmith.models.source import find_model, special_tokens
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.static import evaluated_on, not_used, own_metrics, read_as, require_validation
from tunesmith.recipe.metric_names import LOSS, is_search_metric, split_dimension
from tunesmith.recipe.metric_roles import METRIC, named_metrics
from tunesmith.recipe.resolved import with_defaults
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.task_sections import EmbeddingSection
from tunesmith.results import Finding
from tunesmith.tasks.embedding.own_metrics import check_evaluators, load_own_function, own_names
from tunesmith.tasks.task import Request, TaskData, TaskReading
from tunesmith.training.losses.embedding_choice import LossChoice, check_scores, choose_loss, shortage

RETRIEVAL = "retrieval"
"""The name of the split for metrics on ``evaluate.retrieval``."""
MOST_MARGIN = 2
"""The largest difference of two cosines."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingTaskData(TaskData):
    """Rows, loss and tests of a recipe.

    Attributes:
        choice: the loss of the training rows.
        also: the losses of the files of ``data.also``, if each has its own.
        tests: split -> test of the embeddings, the main split last.
        metric: the metric of validation that leads there, and by default selects the checkpoint.
        function: the user's function of metrics; None without one.
        max_rows: see ``tasks.task.Request``.
    """

    rows: EmbeddingData
    choice: LossChoice
    also: tuple[LossChoice, ...]
    tests: Mapping[str, EmbeddingTest]
    metric: str
    function: OwnFunction | None = None
    max_rows: int | None = None


def check_data(
    rows: EmbeddingData, batch_rows: int, choices: Sequence[LossChoice], special: Sequence[str] | None
) -> Iterator[Finding]:
    """Yields the findings of all checks of the rows.

    Args:
        choices: the loss of the training rows, and of each further file.
    """
    train, others = (rows.train, *rows.also), [part for name, part in rows.named().items() if name != "train"]
    for part, choice in zip(train, choices, strict=True):
        yield from pair_checks.check_train(part, batch_rows, choice.in_batch)
    yield from pair_checks.check_evaluation(train, others)
    if rows.retrieval is not None:
        for part in train:
            yield from pair_checks.check_search(part, rows.retrieval)
    yield from control_tokens((*rows.named().values(), *rows.also), special)


def read(request: Request) -> EmbeddingTaskData:
    """Reads rows, loss, tests and the base model's files. Raises InputError if they cannot be used."""
    recipe, base = request.loaded.recipe, request.loaded.base
    rows = subsample(load_embedding_data(recipe, base, request.frames), request.max_rows)
    source = find_model(recipe.model, base)
    recipe = with_defaults(recipe, source.n_bytes, len(rows.train))
    corpora = {part.split: search_corpus(rows, part, recipe, base) for part in evaluated(rows)}
    rows = replace(rows, notes=(*rows.notes, *corpus_notes(rows, corpora)))
    choice = choose_loss(rows.train, recipe.embedding)
    check_scores(rows.train, choice.name)
    tests = make_tests(rows, recipe, corpora)
    function, metric = own_function_and_leading_metric(recipe, base, rows, tests)
    also = tuple(choose_loss(part, own_section(recipe, part)) for part in rows.also)
    for part, own in zip(rows.also, also, strict=True):
        check_scores(part, own.name)
    return EmbeddingTaskData(
        recipe=recipe,
        source=source,
        base=base,
        findings=tuple(check_data(rows, recipe.train.batch_rows, (choice, *also), special_tokens(source))),
        rows=rows,
        choice=choice,
        also=also,
        tests=tests,
        metric=metric,
        function=function,
        max_rows=request.max_rows,
    )


def subsample(data: EmbeddingData, max_rows: int | None) -> EmbeddingData:
    """Returns at most so many rows of each split and of each file of ``data.also``, and queries and documents of the search."""
    cut: dict[str, Any] = {name: at_most(rows, max_rows) for name, rows in data.named().items()}
    also = tuple(at_most(rows, max_rows) for rows in data.also)
    retrieval = None if data.retrieval is None else cut_search(data.retrieval, max_rows)
    return replace(data, **cut, also=also, retrieval=retrieval)


def own_section(recipe: Recipe, rows: EmbeddingRows) -> EmbeddingSection:
    """Returns the embedding section for one file of ``data.also``: its own loss, with no options of another."""
    return recipe.embedding.model_copy(
        update={"loss": recipe.embedding.losses.get(rows.source), "loss_options": {}, "batch_sampler": None}
    )


def evaluated(data: EmbeddingData) -> list[EmbeddingRows]:
    """Returns the rows that embeddings are evaluated on."""
    return [rows for rows in (data.validation, data.test) if rows is not None]


def search_corpus(data: EmbeddingData, rows: EmbeddingRows, recipe: Recipe, base: Path) -> Corpus:
    """Collects the texts that the pairs of one split are searched among."""
    others = [part for part in (*data.named().values(), *data.also) if part is not rows]
    return corpus_of(recipe.evaluate.corpus, rows, others, base, recipe.train.seed)


def corpus_notes(data: EmbeddingData, corpora: Mapping[str, Corpus]) -> list[str]:
    """Describes the search of each split of positive pairs."""
    rows = [part for part in evaluated(data) if part.format.kind == "positive_pair"]
    return [f"{part.split}: {corpora[part.split].words(part)} (evaluate.corpus)." for part in rows]


def make_tests(data: EmbeddingData, recipe: Recipe, corpora: Mapping[str, Corpus]) -> dict[str, EmbeddingTest]:
    """Returns split -> its test: validation, then the others, the main split last (see ``report.words.main_split``).

    Raises DataError without validation rows, which select the checkpoint.
    """
    require_validation(data.validation)
    tests: dict[str, EmbeddingTest] = {}
    for rows in evaluated(data):
        tests[rows.split] = rows_test(rows, data.named_classes, corpora[rows.split], recipe.train.seed)
    if data.retrieval is not None:
        requested = None if recipe.evaluate.metric is None else split_dimension(recipe.evaluate.metric)[0]
        is_new = requested is not None and is_search_metric(requested) and requested not in DEFAULT
        names = (requested, *DEFAULT) if is_new and requested is not None else DEFAULT
        tests[RETRIEVAL] = SearchTest(RETRIEVAL, data.retrieval, names)
    leading = split_dimension(recipe.evaluate.metric or "")[0]
    return dict(sorted(tests.items(), key=lambda item: (item[0] != "validation", leading in item[1].metrics)))


def own_function_and_leading_metric(
    recipe: Recipe, base: Path, rows: EmbeddingData, tests: Mapping[str, EmbeddingTest]
) -> tuple[OwnFunction | None, str]:
    """Loads the user's function, checks the evaluators and every named metric, and returns the leading one of validation."""
    check_evaluators(recipe, tests)
    function = load_own_function(recipe, base, tests)
    check_roles(recipe, tests["validation"], own_names(recipe, function, tests["validation"]), has_loss=has_loss(rows))
    return function, leading_metric(recipe, tests, function)


def has_loss(rows: EmbeddingData) -> bool:
    """Returns whether the training loss can be computed on validation: its rows have the format and the classes of train."""
    train, validation = rows.train, rows.validation
    is_same = validation is not None and validation.format.kind == train.format.kind
    return is_same and validation is not None and set(train.classes) >= set(validation.classes)


def leading_metric(recipe: Recipe, tests: Mapping[str, EmbeddingTest], function: OwnFunction | None) -> str:
    """Returns the metric of validation that leads there. Raises RecipeError for one that no test has."""
    requested, here = recipe.evaluate.metric, tests["validation"].metrics
    if requested is None or requested in own_names(recipe, function, tests["validation"]):
        return requested or here[0]
    own = () if function is None else function.names
    names = list(dict.fromkeys((*(name for test in tests.values() for name in test.metrics), *own)))
    if split_dimension(requested)[0] not in names:
        raise not_measured("evaluate.metric", requested, names)
    return requested if split_dimension(requested)[0] in here else here[0]


def check_roles(recipe: Recipe, validation: EmbeddingTest, own: Sequence[str], *, has_loss: bool) -> None:
    """Raises RecipeError if validation is not measured by the metric that selects the checkpoint or stops the training."""
    names = [*validation.metrics, *own, *([LOSS] if has_loss else [])]
    for key, name in named_metrics(recipe).items():
        if key != METRIC and split_dimension(name)[0] not in names:
            raise not_measured(".".join(key), name, names)


def not_measured(key: str, name: str, names: Sequence[str]) -> InputError:
    return RecipeError.one(key, f"these rows are not measured by {name}.", f"They are measured by: {', '.join(names)}.")


def check_rows(data: EmbeddingTaskData) -> Iterator[CheckLine]:
    """Checks the rows, the losses, and the size of the evaluation split."""
    recipe, choice = data.recipe, data.choice
    for rows in data.rows.named().values():
        n_left = sum(map(len, rows.left_out.values()))
        shape = f"{rows.format.kind.replace('_', ' ')}: {' + '.join(rows.format.columns)}"
        yield CheckLine(f"rows of {rows.split}", f"{len(rows):,} used, {n_left:,} left out ({rows.source}; {shape})")
    yield from read_as(data.rows.notes)
    for rows in data.rows.named().values():
        if rows.split in data.tests and rows.format.kind == "labelled_pair":
            same = same_class(pair_labels(rows, data.rows.named_classes))
            yield CheckLine(
                f"pairs of {rows.split}", f"{rows.format.target[0]} {same} means the same, every other label does not"
            )
    train, given = data.rows.train, recipe.data.columns
    unused = [name for name in train.unused if name not in (given.id, given.split)]
    yield CheckLine("columns", " + ".join(train.format.columns) + not_used(unused))
    why = f", since {choice.because}" if choice.because else ""
    lack, remedy = shortage(choice, recipe.train.batch_rows, recipe.embedding.loss_options.get("mini_batch_size", 32))
    batches = f"batches by {choice.sampler} of {recipe.train.batch_rows}"
    yield CheckLine("loss", f"{choice.name}{why}; {batches}", note=lack, remedy=remedy)
    for split, test in data.tests.items():
        if isinstance(test, RowsTest) and test.triplets is not None:
            yield CheckLine(f"triplets of {split}", f"drawn with train.seed: {test.triplets.summary()}")
    parts = (data.rows.train, *data.rows.also)
    if recipe.embedding.prompts and not any(rows.format.kind in QUERY_DOCUMENT_KINDS for rows in parts):
        note = "the prompts are saved with the model, but not put before these texts: they are no queries and documents"
        remedy = "Remove embedding.prompts, or give pairs of a query and a document."
        yield CheckLine("prompts", "not used in training", note=note, remedy=remedy)
    yield from teacher_lines(data)
    for rows, own in zip(data.rows.also, data.also, strict=True):
        yield CheckLine(f"loss of {rows.source}", f"{own.name} on {plural(len(rows), 'row')}; batches by {own.sampler}")
    yield evaluation_rows(data)
    yield from own_metrics(data.function)


def teacher_lines(data: EmbeddingTaskData) -> Iterator[CheckLine]:
    """Describes a teacher's margins, and notes those that vectors of length 1 cannot have."""
    rows = data.rows.train
    if rows.format.kind != TEACHER or data.choice.name != "MarginMSELoss":
        return
    largest = max(abs(margin) for margins in teacher_margins(rows) for margin in margins)
    note = f"the student's margins are at most {MOST_MARGIN} if its vectors have length 1" if largest > MOST_MARGIN else ""
    remedy = "Score by probabilities (tunesmith embed --teacher without --logits), or set embedding.normalize: false."
    yield CheckLine("teacher's margins", f"up to {largest:.3g}", note=note, remedy=remedy if note else "")


def evaluation_rows(data: EmbeddingTaskData) -> CheckLine:
    """Describes the rows or queries of the verdict, and checks that there are enough."""
    split = list(data.tests)[-1]
    rows, search = data.rows.named().get(split), data.rows.retrieval
    if rows is None:
        assert search is not None
        return CheckLine(
            "evaluated on",
            f"{plural(len(search.queries), 'query')} in {plural(len(search.documents), 'document')} ({search.source})",
        )
    problem = None
    if len(data.rows.train) < 2:
        problem = Problem(
            "rows", "data.train", f"{plural(len(data.rows.train), 'row', 'is', 'are')} left to train on.", "Give more rows."
        )
    return evaluated_on(split, len(rows), problem=problem)


READING = TaskReading(read, check_rows)
