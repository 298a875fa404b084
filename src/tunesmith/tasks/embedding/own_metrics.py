"""Metrics that the recipe of an embedding model adds: a user's function, and evaluators of sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.formats import MEANING
from tunesmith.data.pairs.retrieval import Retrieval
from tunesmith.data.split import spread_positions
from tunesmith.errors import RecipeError, first_line
from tunesmith.evaluation.embedding_tests import EmbeddingTest, RowsTest, SearchTest
from tunesmith.evaluation.metrics.own_function import PROBE_ROWS, MeasuredRows, OwnFunction, own_function, probed
from tunesmith.evaluation.metrics.own_search import PARAMETERS as SEARCH_PARAMETERS
from tunesmith.evaluation.metrics.own_search import probed_on_search, queries_reader, reads_search
from tunesmith.evaluation.outputs import Outputs, SplitMetrics
from tunesmith.evaluation.pair_search import pairs_as_search
from tunesmith.evaluation.search import cosine, normalised
from tunesmith.recipe.metric_names import DIRECTIONS, split_dimension
from tunesmith.recipe.metric_roles import has_own_metrics, named_metrics
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.tasks import task_settings
from tunesmith.results import RunResult
from tunesmith.tasks.saved_recipe import recipe_of_run

if TYPE_CHECKING:
    from tunesmith.models.embedding.encoder import SentenceEncoder

EVALUATORS_KEY = "evaluate.evaluators"
ENCODE = "encode"
OF_SYSTEM = frozenset({"vectors", "similarities"})
PROBE_DIMENSIONS = 8
Arguments = Callable[[RowsTest], dict[str, Any]]


def pairs_with(name: str) -> Arguments:
    """Returns the arguments of an evaluator of two texts with a target, under upstream's name of the target."""

    def arguments(test: RowsTest) -> dict[str, Any]:
        assert test.target is not None
        return {"sentences1": list(test.sides[0]), "sentences2": list(test.sides[1]), name: test.target.tolist()}

    return arguments


def triplets(test: RowsTest) -> dict[str, Any]:
    """Returns the rows as triplets; of several negatives the first."""
    return dict(zip(("anchors", "positives", "negatives"), map(list, test.sides[:3]), strict=True))


def candidates(test: RowsTest) -> dict[str, Any]:
    """Returns each row as a query with its positive and its negatives."""
    rows = zip(*test.sides, strict=True)
    return {"samples": [{"query": row[0], "positive": [row[1]], "negative": list(row[2:])} for row in rows]}


def search(test: RowsTest) -> dict[str, Any]:
    """Returns the rows as a search of each second text among all of them; equal texts are one."""
    queries, corpus = ({text: str(i) for i, text in enumerate(dict.fromkeys(side))} for side in test.sides[:2])
    relevant: dict[str, set[str]] = {number: set() for number in queries.values()}
    for query, document in zip(*test.sides[:2], strict=True):
        relevant[queries[query]].add(corpus[document])
    named = ({number: text for text, number in numbers.items()} for numbers in (queries, corpus))
    return dict(zip(("queries", "corpus"), named, strict=True)) | {"relevant_docs": relevant}


def translations(test: RowsTest) -> dict[str, Any]:
    """Returns the first texts as sources and the second ones as their translations."""
    return {"source_sentences": list(test.sides[0]), "target_sentences": list(test.sides[1])}


def duplicates(test: RowsTest) -> dict[str, Any]:
    """Returns all texts, with the pairs that mean the same as duplicates."""
    numbers = {text: str(i) for i, text in enumerate(dict.fromkeys(text for side in test.sides for text in side))}
    same = np.ones(len(test.row_ids)) if test.target is None else test.target
    pairs = [(numbers[a], numbers[b]) for a, b, is_same in zip(*test.sides[:2], same, strict=True) if is_same and a != b]
    return {"sentences_map": {number: text for text, number in numbers.items()}, "duplicates_list": pairs}


EVALUATORS: Mapping[str, tuple[tuple[str, ...], Arguments]] = {
    "EmbeddingSimilarityEvaluator": (("scored_pair",), pairs_with("scores")),
    "BinaryClassificationEvaluator": (("labelled_pair",), pairs_with("labels")),
    "TripletEvaluator": (("triplet", "tuple"), triplets),
    "RerankingEvaluator": (("triplet", "tuple"), candidates),
    "InformationRetrievalEvaluator": (("positive_pair",), search),
    "TranslationEvaluator": (("positive_pair",), translations),
    "ParaphraseMiningEvaluator": (("labelled_pair", "positive_pair"), duplicates),
}
"""Class of sentence-transformers -> formats of rows that it evaluates, and its arguments."""
REFUSED = {
    "LabelAccuracyEvaluator": "it needs a classifier, the head of SoftmaxLoss, which is not part of an embedding model",
    "MSEEvaluator": "it needs a teacher model",
    "MSEEvaluatorFromDataFrame": "it needs a teacher model",
    "NanoBEIREvaluator": "it downloads its data; evaluate.retrieval reads any folder in the BEIR layout",
    "SequentialEvaluator": "a list of evaluators is one already",
}


def check_evaluators(recipe: Recipe, tests: Mapping[str, EmbeddingTest]) -> None:
    """Raises RecipeError for an evaluator that there is not, or that fits the rows of no test."""
    kinds = list(dict.fromkeys(test.format.kind for test in tests.values() if isinstance(test, RowsTest)))
    fitting = [name for name, (formats, _) in EVALUATORS.items() if set(formats) & set(kinds)]
    remedy = f"Evaluators of these rows: {', '.join(fitting) or 'none'}."
    for name in recipe.evaluate.evaluators:
        if name in REFUSED:
            raise RecipeError.one(EVALUATORS_KEY, f"{name} cannot be used: {REFUSED[name]}.", remedy)
        if name not in EVALUATORS:
            raise RecipeError.one(
                EVALUATORS_KEY, f"{name} is no evaluator of sentence-transformers that tunesmith feeds.", remedy
            )
        if name not in fitting:
            rows = "; ".join(MEANING[kind] for kind in kinds)
            raise RecipeError.one(EVALUATORS_KEY, f"{name} does not evaluate rows of {rows}.", remedy)


def evaluator_values(names: Sequence[str], test: EmbeddingTest, model: Any) -> dict[str, float]:
    """Runs the evaluators that fit the rows of the test: ``TripletEvaluator.cosine_accuracy`` -> value.

    Raises RecipeError if upstream's evaluator fails.
    """
    values: dict[str, float] = {}
    for name in names:
        if isinstance(test, RowsTest) and test.format.kind in EVALUATORS[name][0]:
            import sentence_transformers.sentence_transformer.evaluation as upstream

            try:
                with unchanged_padding(model):
                    evaluator = getattr(upstream, name)(**EVALUATORS[name][1](test), write_csv=False)
                    found = evaluator(model)
            except (ValueError, TypeError, AssertionError, RuntimeError, KeyError, ZeroDivisionError) as error:
                message = f"{name} fails on the rows of {test.split}: {type(error).__name__}: {first_line(error)}."
                raise RecipeError.one(EVALUATORS_KEY, message, "Leave it out.") from error
            values |= {f"{name}.{key}": float(value) for key, value in found.items()}
    return values


@contextmanager
def unchanged_padding(model: Any) -> Iterator[None]:
    """Switches padding off again that was off: a fast tokenizer keeps the padding of its last call and is saved with it."""
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    padding = None if backend is None else backend.padding
    try:
        yield
    finally:
        if backend is not None and padding is None:
            backend.no_padding()


def named_evaluators(recipe: Recipe) -> list[str]:
    """Returns the evaluators of which a value selects the checkpoint, stops early or leads: they run at each evaluation."""
    named = {name.partition(".")[0] for name in named_metrics(recipe).values()}
    return [name for name in recipe.evaluate.evaluators if name in named]


def load_own_function(recipe: Recipe, base: Path, tests: Mapping[str, EmbeddingTest]) -> OwnFunction | None:
    """Loads the function of the recipe and calls it on a few rows with random vectors, or queries with random rankings.

    None without one. Raises RecipeError if it cannot be used.
    """
    if recipe.evaluate.function is None:
        return None
    first, search = next(iter(tests.values())), next((search_of(test) for test in tests.values() if ranks_documents(test)), None)
    rows = first if isinstance(first, RowsTest) else None
    known = (*(() if rows is None else parameters_of(rows)), *(() if search is None else SEARCH_PARAMETERS))
    measured = [
        *([] if rows is None else [f"the rows of {rows.split}"]),
        *([] if search is None else ["the queries of a search"]),
    ]
    function = own_function(recipe.evaluate, base, known, " and ".join(measured))
    assert function is not None
    evaluators = tuple(f"{name}." for name in recipe.evaluate.evaluators)
    function = replace(function, lower=frozenset(name for name in function.lower if not name.startswith(evaluators)))
    named = {".".join(key): name for key, name in named_metrics(recipe).items() if not name.startswith(evaluators)}
    if reads_search(function):
        assert search is not None, "it has parameters of a search"
        return probed_on_search(function, search, named)
    assert rows is not None, "it has parameters of rows"
    return probed(made_up_rows(function, rows), named)


def made_up_rows(function: OwnFunction, test: RowsTest) -> MeasuredRows:
    """Returns a few rows of the test with random vectors, the same for equal texts."""
    few = test.take(spread_positions(len(test.row_ids), PROBE_ROWS)) if len(test.row_ids) > PROBE_ROWS else test
    rng = np.random.default_rng(0)
    drawn = {text: rng.normal(size=PROBE_DIMENSIONS).astype(np.float32) for side in few.sides for text in side}
    outputs = Outputs(embeddings=tuple(np.stack([drawn[text] for text in side]) for side in few.sides))
    rows = measured_rows(function, few, outputs, lambda texts: rng.normal(size=(len(texts), PROBE_DIMENSIONS)))
    assert rows is not None
    return rows


def search_of(test: EmbeddingTest) -> Retrieval:
    """Returns the queries and documents of a test that ranks documents."""
    if isinstance(test, SearchTest):
        return test.data
    assert isinstance(test, RowsTest)
    return pairs_as_search(test.split, test.sides, test.corpus)


def parameters_of(test: RowsTest) -> tuple[str, ...]:
    """Returns the parameters that a function of these rows may have."""
    of_two = ("pairs", "similarities") if len(test.sides) > 1 else ()
    of_target = () if test.target is None else ("labels",)
    return (ENCODE, "vectors", "texts", "sides", *of_two, *of_target, "row_ids")


def measured_rows(
    function: OwnFunction, test: EmbeddingTest, outputs: Outputs, encode: Callable[[Sequence[str]], Array] | None = None
) -> MeasuredRows | None:
    """Returns the rows of a test with one system's vectors, as the function reads them.

    None for a search, for systems without vectors, and for a function that encodes texts itself where there is no model.
    """
    vectors = outputs.embeddings
    if not isinstance(test, RowsTest) or not vectors or (ENCODE in function.parameters and encode is None):
        return None
    sides = tuple(np.array(side, dtype=object) for side in test.sides)
    columns: dict[str, Any] = {"vectors": vectors, "texts": sides[0], "sides": sides, "row_ids": np.array(test.row_ids)}
    if len(sides) > 1:
        columns |= {"pairs": sides[1], "similarities": cosine(normalised(vectors[0]), normalised(vectors[1]))}
    if test.target is not None:
        columns["labels"] = test.target
    return MeasuredRows(function, test.split, columns, OF_SYSTEM, {} if encode is None else {ENCODE: encode})


def function_values(
    function: OwnFunction | None, test: EmbeddingTest, outputs: Outputs, encoder: SentenceEncoder
) -> dict[str, float]:
    """Calls a function that encodes texts itself, once: its values have no interval. Empty for other functions."""
    if function is None or ENCODE not in function.parameters:
        return {}

    def encode(texts: Sequence[str]) -> Array:
        return encoder.encode(list(texts), encoder.prompt_for())

    rows = measured_rows(function, test, outputs, encode)
    return {} if rows is None else rows.values()


def with_own_metrics(metrics: SplitMetrics, test: EmbeddingTest, recipe: Recipe, function: OwnFunction | None) -> SplitMetrics:
    """Returns the metrics of a test with those of the function, and the directions of figures."""
    metrics = replace(metrics, lower=frozenset(recipe.evaluate.lower_is_better))
    if function is None or ENCODE in function.parameters or not is_measured(function, test):
        return metrics
    named = split_dimension(recipe.evaluate.metric or "")[0]
    leading = named if named in function.names else function.names[0]
    if reads_search(function):
        return with_search_function(metrics, test, function, leading)
    assert isinstance(test, RowsTest)
    clusters = {**metrics.clusters, "own": test.clusters_of_rows()}
    return replace(metrics, own=lambda outputs: measured_rows(function, test, outputs), own_verdict=leading, clusters=clusters)


def with_search_function(metrics: SplitMetrics, test: EmbeddingTest, function: OwnFunction, leading: str) -> SplitMetrics:
    """Returns the metrics of a search with those of the function, whose rows are the queries.

    Args:
        leading: the metric of the function that verdicts are given on.
    """
    read, clusters = queries_reader(function, search_of(test)), {**metrics.clusters, "own": test.clusters()}
    return replace(metrics, own=lambda outputs: read(outputs.ranked), own_verdict=leading, clusters=clusters)


def is_measured(function: OwnFunction, test: EmbeddingTest) -> bool:
    """Returns whether the function reads what the test has: the rows of pairs and classes, or queries with ranked documents."""
    return ranks_documents(test) if reads_search(function) else isinstance(test, RowsTest)


def ranks_documents(test: EmbeddingTest) -> bool:
    """Returns whether a test is a search: of documents, or of the second texts of pairs that belong together."""
    return isinstance(test, SearchTest) or (isinstance(test, RowsTest) and test.format.kind == "positive_pair")


@dataclass(frozen=True)
class OwnMetrics:
    """The evaluators and the function of a recipe, on the rows of one test."""

    recipe: Recipe
    function: OwnFunction | None

    def added(self, metrics: SplitMetrics, test: EmbeddingTest) -> SplitMetrics:
        """Returns the metrics of a test with those of the function."""
        return with_own_metrics(metrics, test, self.recipe, self.function)

    def measured(
        self,
        outputs: Outputs,
        test: EmbeddingTest,
        vectors: Sequence[Array],
        encoder: SentenceEncoder,
        names: Sequence[str] | None = None,
    ) -> Outputs:
        """Returns the outputs with the vectors that the function reads, and with the values that have no interval.

        Args:
            names: the evaluators to run; None: all of the recipe.
        """
        outputs = replace(outputs, embeddings=tuple(vectors))
        values = function_values(self.function, test, outputs, encoder)
        evaluators = self.recipe.evaluate.evaluators if names is None else names
        return replace(outputs, figures={**outputs.figures, **values, **evaluator_values(evaluators, test, encoder.model)})


def recipe_with_own_metrics(target: object) -> tuple[Recipe, RunResult] | None:
    """Reads the recipe of a finished run that has a function or evaluators; None for other models."""
    saved = recipe_of_run(Path(str(target)))
    if saved is None or task_settings(saved[0]).family != "embedding" or not has_own_metrics(saved[0]):
        return None
    return saved


def score_range_of(target: object) -> Sequence[float] | None:
    """Returns the range that scores are scaled from where a run's function reads them, so that they are those of its training."""
    saved = recipe_with_own_metrics(target)
    return None if saved is None else saved[0].embedding.score_range


def own_metrics_of_run(target: object, test: EmbeddingTest) -> tuple[OwnMetrics | None, list[str]]:
    """Returns the own metrics of a finished run for rows or a search of its own; and why those of its function are left out."""
    saved = recipe_with_own_metrics(target)
    if saved is None or not isinstance(test, RowsTest | SearchTest):
        return None, []
    recipe, result = saved
    try:
        function = load_own_function(recipe, Path(str(result.data.get("base") or ".")), {test.split: test})
    except RecipeError as error:
        return OwnMetrics(recipe, None), [f"The metrics of {recipe.evaluate.function} are left out: {error}"]
    return OwnMetrics(recipe, function), []


def own_names(recipe: Recipe, function: OwnFunction | None, test: EmbeddingTest) -> tuple[str, ...]:
    """Returns the named metrics that the function measures on a test, and values of an evaluator, known after a trial."""
    names = function.names if function is not None and is_measured(function, test) else ()
    has_dimensions = bool(names) and function is not None and reads_search(function)
    evaluators = tuple(f"{name}." for name in recipe.evaluate.evaluators)
    named = (name for name in named_metrics(recipe).values() if split_dimension(name)[0] not in DIRECTIONS)
    return tuple(
        name for name in named if (split_dimension(name)[0] if has_dimensions else name) in names or name.startswith(evaluators)
    )
