"""Adapts a model to plain texts, and compares a task trained from the adapted model with one from the base model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tunesmith.errors import InputError
from tunesmith.evaluation.metrics.resample import Resampling, cluster_numbers
from tunesmith.evaluation.metrics.verdict import holm
from tunesmith.evaluation.metrics.verdict import verdicts as verdicts_on_rows
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.recipe.metric_roles import comparable_metric
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.tasks import TASKS, primary_metric, task_settings
from tunesmith.report.words import main_split, most_candidates
from tunesmith.results import Verdict
from tunesmith.run_folder import claim, locate_output
from tunesmith.tasks.finished import Run
from tunesmith.workflows import train as runs
from tunesmith.workflows.compare import clusters_of, compare, compare_runs, saved_predictions
from tunesmith.workflows.saved_splits import function_metrics, positive_of, saved_split


@dataclass(frozen=True)
class Adaptation:
    """The runs of an adaptation, and the verdicts on the task.

    Attributes:
        adapted: the run on the texts.
        without, with_it: the task's runs from the base model and from the adapted one, one per seed.
        verdicts: the task with adaptation against without, on its evaluation split.
    """

    adapted: Run
    without: tuple[Run, ...]
    with_it: tuple[Run, ...]
    verdicts: tuple[Verdict, ...]


def adapt(texts: LoadedRecipe, task: LoadedRecipe, *, overwrite: bool = False, listener: Listener = silent) -> Adaptation:
    """Trains on the texts, trains the task from the base model and from the adapted one, and compares.

    All runs lie in the task's output folder: ``adapted``, and ``without-N`` and ``with-N`` for each seed N.

    Raises InputError if the recipes do not fit together, or a run cannot start; see ``workflows.train.train``.
    """
    check_pair(texts, task)
    folder = (locate_output if overwrite else claim)(task.recipe.output).final  # each run in it is replaced by itself
    folder.mkdir(parents=True, exist_ok=True)
    adapted = run_changed(texts, folder / "adapted", {}, overwrite, listener)
    base = {"without": task.recipe.model.name, "with": str(adapted.folder)}
    seeds = range(task.recipe.train.seed, task.recipe.train.seed + task.recipe.train.n_seeds)
    by_model: dict[str, list[Run]] = {"without": [], "with": []}
    for seed in seeds:
        for name, model in base.items():
            listener(Event("note", f"seed {seed}, {name} adaptation"))
            change = {
                "model": task.recipe.model.model_copy(update={"name": model}),
                "train": task.recipe.train.model_copy(update={"seed": seed, "n_seeds": 1}),
            }
            by_model[name].append(run_changed(task, folder / f"{name}-{seed}", change, overwrite, listener))
    without, with_it = by_model["without"], by_model["with"]
    return Adaptation(adapted, tuple(without), tuple(with_it), tuple(verdicts(with_it, without, listener)))


def check_pair(texts: LoadedRecipe, task: LoadedRecipe) -> None:
    """Raises InputError if the first recipe trains on no plain texts, or the two start from different models."""
    where = str(texts.path or "recipe")
    if not task_settings(texts.recipe).plain_texts:
        message = f"its task is {texts.recipe.task}."
        raise InputError.one(where, message, "The first recipe has task: pretraining.")
    if task_settings(task.recipe).plain_texts:
        place, remedy = str(task.path or "recipe"), "The second recipe is the task to be evaluated."
        raise InputError.one(place, "its task is pretraining, too.", remedy)
    if texts.recipe.model != task.recipe.model:
        message = f"it starts from {texts.recipe.model.name}, the other from {task.recipe.model.name}."
        raise InputError.one(where, message, "Name the same model.name in both.")


def run_changed(loaded: LoadedRecipe, output: Path, change: Mapping[str, object], overwrite: bool, listener: Listener) -> Run:
    """Trains a recipe with some of its sections changed."""
    recipe: Recipe = loaded.recipe.model_copy(update={**change, "output": str(output)})
    run = runs.train(replace(loaded, recipe=recipe), overwrite=overwrite, listener=listener)
    assert run is not None, "one process"
    return run


def verdicts(ours: list[Run], theirs: list[Run], listener: Listener = silent) -> list[Verdict]:
    """Compares all seeds together if the task keeps predictions row by row, else each seed with its own.

    A metric of the user's function that leads the recipe compares them, too.
    """
    if TASKS[ours[0].result.task].family != "labelled":
        return list(holm([compare([mine.folder, other.folder])[0] for mine, other in zip(ours, theirs, strict=True)]))
    first, split = ours[0].result, main_split(ours[0].result)
    saved = [[saved_split(run, split) for run in runs] for runs in (ours, theirs)]
    mine, other = ([saved_predictions(rows, first.data["labels"]) for rows in runs] for runs in saved)
    row_ids = {tuple(rows.row_ids.tolist()) for rows in (*mine, *other) if rows.row_ids is not None}
    if len(row_ids) > 1:  # as with a validation share of each seed's own
        raise InputError.one("data", "each seed was evaluated on other rows.", "Give data.test, or a file as data.validation.")
    recipe = Recipe.model_validate(first.recipe)
    if (leading := primary_metric(recipe)) in function_metrics(saved[0][0]):
        try:
            return [replace(compare_runs(saved[0], saved[1], leading), against="without adaptation")]
        except InputError as error:  # saved texts that are cut: the runs stay, and another metric compares them
            listener(Event("note", f"compared by {comparable_metric(recipe)}, not by {leading}: {error}"))
    name = comparable_metric(recipe)
    mine, other = ([replace(system, positive=positive_of(saved[0][0])) for system in systems] for systems in (mine, other))
    clusters = cluster_numbers(clusters_of(saved[0][0], ()).get("predictions"))
    n_candidates = most_candidates([run.result for run in (*ours, *theirs)], split)
    resampling = Resampling(clusters=clusters, n_candidates=n_candidates)
    return list(verdicts_on_rows([name], mine, other, "without adaptation", split, resampling, paired_seeds=len(mine) > 1))
