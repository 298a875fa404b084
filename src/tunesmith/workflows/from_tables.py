"""Offers the verbs of the command line as Python functions, on tables in memory or on files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.diagnosis.rows import DataDiagnosis
from tunesmith.diagnosis.rows import diagnose as diagnose_recipe
from tunesmith.errors import RecipeError
from tunesmith.preflight.report import CheckReport
from tunesmith.progress import Listener
from tunesmith.recipe.load import LoadedRecipe, load_recipe, recipe_from_tables
from tunesmith.recipe.sections import AUTO
from tunesmith.results import RunResult
from tunesmith.tasks.finished import Run, folder_of
from tunesmith.workflows.adapt import Adaptation
from tunesmith.workflows.adapt import adapt as adapt_recipes
from tunesmith.workflows.check import check as check_recipe
from tunesmith.workflows.evaluate_by_kind import evaluate_by_kind
from tunesmith.workflows.flip import SHARES, FlipExperiment, FlipOptions, Order, flip
from tunesmith.workflows.notebook import listener_here
from tunesmith.workflows.round_results import Rounds
from tunesmith.workflows.rounds import rounds as run_rounds
from tunesmith.workflows.trace import trace as trace_recipe
from tunesmith.workflows.train import train as train_recipe

DEFAULTS = {"output": "runs/run", "task": "classification", "model": "builtin:minilm"}
"""Argument -> default; with a recipe file, any other value is an error."""


def train(
    data: object,
    /,
    *,
    validation: object = 0.1,
    test: object = AUTO,
    output: str | Path = "runs/run",
    task: str = "classification",
    model: str = "builtin:minilm",
    resume: bool = False,
    overwrite: bool = False,
    smoke: bool = False,
    listener: Listener | None = None,
    **sections: object,
) -> Run:
    """Trains on a table or by a recipe, and returns the finished run.

    Args:
        data: a DataFrame or another table in memory (``data.readers.frame.table_from_frame``), the path of a data file, or
            the path of a recipe (``.yaml``), which then holds all other settings.
        validation, test: a fraction of the rows, a path, or a table; None for no such rows. By default a fifth of 200 rows or
            more is held out as ``test``.
        listener: called with each progress event; by default a notebook shows the progress, and elsewhere nothing is shown.
        sections: further recipe sections as dictionaries, e.g. ``train={"num_train_epochs": 5}``; the section ``data``, too.

    Raises:
        InputError: the run cannot start; nothing was written.
        TrainingFailed: it started and left no usable model.

    Example::

        run = tunesmith.train(frame, test=0.2, output="runs/tickets")
        run.predict(["where is my parcel?"]).predictions
    """
    splits = {"train": data, "validation": validation, "test": test}
    loaded, frames = recipe_for("train()", splits, {"output": str(output), "task": task, "model": model}, sections)
    with listener_here(listener) as shown:
        run = train_recipe(loaded, resume=resume, overwrite=overwrite, smoke=smoke, frames=frames, listener=shown)
    assert run is not None, "only a further process of several has no run"
    return run


def check(
    data: object,
    /,
    *,
    static: bool = False,
    validation: object = 0.1,
    test: object = AUTO,
    output: str | Path = "runs/run",
    task: str = "classification",
    model: str = "builtin:minilm",
    listener: Listener | None = None,
    **sections: object,
) -> CheckReport:
    """Runs the pre-flight for the same arguments as ``train``, and writes nothing.

    Args:
        static: stop after the rows and the model's files, without loading the model.

    Raises InputError if the recipe, the rows or the model's files cannot be read; other problems are in the report.

    Example::

        tunesmith.check(frame).problems
    """
    splits = {"train": data, "validation": validation, "test": test}
    loaded, frames = recipe_for("check()", splits, {"output": str(output), "task": task, "model": model}, sections)
    with listener_here(listener) as shown:
        return check_recipe(loaded, static=static, frames=frames, listener=shown)


def diagnose(
    data: object,
    /,
    *,
    validation: object = None,
    test: object = None,
    output: str | Path = "runs/run",
    task: str = "classification",
    model: str = "builtin:minilm",
    overwrite: bool = False,
    processes: int | str = 1,
    listener: Listener | None = None,
    **sections: object,
) -> DataDiagnosis:
    """Finds wrong rows of a table or of a recipe's data, and writes them to the folder ``OUTPUT-diagnosis``.

    Args:
        data: as for ``train``.
        validation, test: a path or a table: diagnosed as well, and searched for rows of ``data``.
        processes: that divide the rows to embed, and the folds of ``diagnose.method: finetune``; ``auto``: one for each GPU.
        sections: further recipe sections as dictionaries, e.g. ``diagnose={"n_folds": 10}``.

    Raises InputError if the rows cannot be read or diagnosed; nothing was written.

    Example::

        found = tunesmith.diagnose(frame, output="runs/tickets")
        corrected = tunesmith.apply(found, frame)
    """
    splits = {"train": data, "validation": validation, "test": test}
    splits = {split: value for split, value in splits.items() if value is not None}
    loaded, frames = recipe_for("diagnose()", splits, {"output": str(output), "task": task, "model": model}, sections)
    with listener_here(listener) as shown:
        return diagnose_recipe(loaded, overwrite=overwrite, frames=frames, processes=processes, listener=shown)


def trace(
    data: object,
    /,
    row: int,
    *,
    split: str = "train",
    run: str | Path | Run | None = None,
    validation: object = 0.1,
    test: object = AUTO,
    task: str = "classification",
    model: str = "builtin:minilm",
    **sections: object,
) -> dict[str, Any]:
    """Traces one row through a run of these arguments, which are those of ``train``; see ``workflows.trace.trace``.

    Args:
        row: its position in the table of that split, from 0.
        run: a finished run on these rows, for its prediction and the row's share of each metric.

    Example::

        tunesmith.trace(frame, 17)["tokens"]
    """
    splits = {"train": data, "validation": validation, "test": test}
    loaded, frames = recipe_for("trace()", splits, {**DEFAULTS, "task": task, "model": model}, sections)
    return trace_recipe(loaded, row, split=split, run=None if run is None else folder_of(run), frames=frames)


def evaluate(
    run: str | Path | Run,
    data: object,
    *,
    columns: Mapping[str, Any] | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> RunResult:
    """Computes the metrics of a finished run on other rows, or of any embedding or causal language model.

    An evaluation of a run is counted among the looks at its test set.

    Args:
        run: a run or its folder; of an embedding or language model also another folder, ``hub:NAME`` or ``builtin:NAME``.
        data: the path of a file, or a table in memory.
        columns: the columns by their role, such as ``{"label": "intent"}``, if they are not detected.
        options: those of ``workflows.evaluate.evaluate``, of ``evaluate_similarity`` or of ``evaluate_language``, by the model.

    Raises InputError if the model or the rows cannot be used.

    Example::

        tunesmith.evaluate(run, new_rows).metric("macro_f1").value
    """
    with listener_here(listener) as shown:
        return evaluate_by_kind(run, data, columns=columns, listener=shown, **options)


def adapt(texts: str | Path, task: str | Path, *, overwrite: bool = False, listener: Listener | None = None) -> Adaptation:
    """Adapts a model by a recipe on plain texts, and compares a task's recipe with and without it; see ``workflows.adapt.adapt``.

    Raises RecipeError for anything but the paths of two recipes: each training needs settings of its own.

    Example::

        tunesmith.adapt("texts.yaml", "tickets.yaml").verdicts
    """
    for name, given in (("texts", texts), ("task", task)):
        if not isinstance(given, str | Path):
            message = f"{name}: the path of a recipe was expected, not {type(given).__name__}."
            raise RecipeError.one("adapt()", message, "Write the rows to files, and a recipe with data.train for each of them.")
    with listener_here(listener) as shown:
        return adapt_recipes(load_recipe(Path(texts)), load_recipe(Path(task)), overwrite=overwrite, listener=shown)


def experiment(
    name: str,
    recipe: str | Path,
    *,
    shares: Sequence[float] = SHARES,
    order: Order = "random",
    gap: str | Path | Run | None = None,
    candidates: str | Path | None = None,
    overwrite: bool = False,
    listener: Listener | None = None,
) -> FlipExperiment:
    """Trains a recipe of pairs once for each share of reversed pairs, and measures every run; see ``workflows.flip.flip``.

    Args:
        name: ``flip``, the only experiment.
        recipe: the path of a recipe of task: reward or preference.
        shares, order: of reversed pairs, and which are reversed first.
        gap: a reward run whose rewards give the gaps; None: the scores of the rows.
        candidates: prompts with responses and scores, for the score of the answers that a reward model selects.
        overwrite: remove the runs of an earlier experiment in the recipe's output, and start over.

    Raises RecipeError for another experiment, and InputError if the recipe has no pairs, or an option, a setting or a file has
    changed since the experiment was started.

    Example::

        tunesmith.experiment("flip", "reward.yaml", shares=[0, 0.2, 0.4]).points
    """
    if name != "flip":
        raise RecipeError.one("experiment()", f"there is no experiment {name!r}.", "There is: flip.")
    options = FlipOptions(
        tuple(shares), order, None if gap is None else str(folder_of(gap)), None if candidates is None else str(candidates)
    )
    with listener_here(listener) as shown:
        return flip(load_recipe(Path(recipe)), options, overwrite=overwrite, listener=shown)


def rounds(recipe: str | Path, n: int | None = None, *, listener: Listener | None = None) -> Rounds:
    """Runs the rounds of a recipe of task: preference, as far as no person is needed; see ``workflows.rounds.rounds``.

    Args:
        recipe: the path of a recipe with a section ``rounds``.
        n: rounds in all, in place of ``rounds.n``.

    Raises InputError if the recipe, the rows, a reward or a filled-in file cannot be used.

    Example::

        tunesmith.rounds("rounds.yaml").rounds[-1].verdicts
    """
    loaded = load_recipe(Path(recipe), [] if n is None else [f"rounds.n={n}"])
    with listener_here(listener) as shown:
        return run_rounds(loaded, listener=shown)


def recipe_for(
    caller: str, splits: Mapping[str, object], settings: Mapping[str, str], sections: Mapping[str, object]
) -> tuple[LoadedRecipe, dict[str, Any] | None]:
    """Loads or builds the recipe of a call, and returns also the tables in memory.

    Args:
        caller: names the function in errors.
        splits: split -> table, path, share or None.
        settings: the arguments in ``DEFAULTS``.
    """
    data = splits["train"]
    if not isinstance(data, str | Path) or Path(data).suffix not in {".yaml", ".yml"}:
        keys = {**sections, "task": settings["task"], "output": settings["output"]}
        return recipe_from_tables(caller, splits, settings["model"], keys)
    extra = [*sections, *(name for name, value in settings.items() if value != DEFAULTS[name])]
    test = splits.get("test", AUTO)
    extra += [] if isinstance(test, str) and test == AUTO else ["test"]
    if extra:
        raise RecipeError.one(caller, f"a recipe file and {', '.join(extra)} were both given.", "Put them into the recipe.")
    return load_recipe(Path(data)), None
