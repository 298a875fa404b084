"""Trains with growing shares of reversed pairs: how much wrong preference a recipe bears (``experiment flip``)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed, plural
from tunesmith.data.preferences.load import load_pairs
from tunesmith.data.preferences.rows import PreferencePairs
from tunesmith.data.preferences.written import data_of_written, write_pairs
from tunesmith.disk import write_text
from tunesmith.errors import DataError, InputError, RecipeError
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.tasks import task_settings
from tunesmith.results import Metric
from tunesmith.run_folder import RESULT, claim, locate_output
from tunesmith.tasks.finished import Run
from tunesmith.tasks.reward.candidates import read_candidates
from tunesmith.workflows import train as runs

Order = Literal["random", "smallest", "largest"]
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
RECORD, TABLE, PAGE = "flip.json", "flip.csv", "report.html"


@dataclass(frozen=True)
class FlipPoint:
    """One run of the experiment.

    Attributes:
        share: of the training and validation pairs, whose answers are exchanged.
        n_reversed: training pairs.
        accuracy, low, high: on the evaluated pairs, none of which is reversed, with the 95 % interval.
        agreement, agreement_low, agreement_high: the accuracy on validation, of which the same share is reversed; None where
            the evaluated pairs are those of validation.
        agreement_cap: the agreement that a model of the accuracy of the first run would reach: a (1 - p) + (1 - a) p.
        downstream, downstream_low, downstream_high: of the answers that the model selects, see ``selected_score``.
        run: its folder.
    """

    share: float
    n_reversed: int
    accuracy: float
    low: float | None
    high: float | None
    agreement: float | None
    agreement_low: float | None
    agreement_high: float | None
    agreement_cap: float
    downstream: float | None
    downstream_low: float | None
    downstream_high: float | None
    run: str


@dataclass(frozen=True)
class FlipExperiment:
    """The points of an experiment, in the order of their shares.

    Attributes:
        split: the evaluated split, of which no pair is reversed.
    """

    folder: Path
    order: Order
    split: str
    points: tuple[FlipPoint, ...]


@dataclass(frozen=True)
class FlipOptions:
    """What an experiment varies.

    Attributes:
        order: which pairs are reversed first: random ones, or those of the smallest or largest gap.
        gap_run: a reward run whose difference of rewards is the gap; None: that of the rows' scores.
        candidates: a file of prompts with lists of answers and scores, for the downstream score; None without.
    """

    shares: Sequence[float] = SHARES
    order: Order = "random"
    gap_run: str | None = None
    candidates: str | None = None


def flip(
    loaded: LoadedRecipe, options: FlipOptions | None = None, *, overwrite: bool = False, listener: Listener = silent
) -> FlipExperiment:
    """Trains the recipe once for each share of reversed pairs, and measures every run on pairs that are not reversed.

    Reversed are pairs of train and, by the same share at random, of validation, as wrong preferences would be in both. Pairs that
    are reversed at one share are so at every larger one. Everything lies in the recipe's output folder; runs that are finished
    there are not trained again.

    Raises InputError if the recipe has no pairs, or a run cannot start.
    """
    options = FlipOptions() if options is None else options
    require_flippable(loaded, options)
    notes: list[str] = []
    if options.candidates is not None:
        read_candidates(options.candidates, loaded.base, notes)
    pairs = load_pairs(loaded.recipe, loaded.base)
    for note in (*pairs.notes, *notes):
        listener(Event("note", note))
    splits = pairs.named()
    if "validation" not in splits:
        raise DataError.one("data.validation", "there are no validation rows to select checkpoints on.", "Give a fraction.")
    folder = output_folder(loaded.recipe.output, overwrite=overwrite)
    gaps = gaps_of(splits["train"], options, loaded.base)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    if "test" in splits:
        write_pairs(splits["test"], folder / "data" / "test.jsonl")
    points: list[FlipPoint] = []
    for share in sorted(set(options.shares)):
        listener(Event("note", f"{share:.0%} of the pairs reversed"))
        run, n_reversed = run_with(loaded, splits, share, (options, gaps, folder), listener)
        points.append(point_of(run, share, n_reversed, points, options, loaded.base))
    found = FlipExperiment(folder, options.order, "test" if "test" in splits else "validation", tuple(points))
    write_record(found)
    return found


def require_flippable(loaded: LoadedRecipe, options: FlipOptions) -> None:
    """Raises RecipeError for a task without pairs, and InputError for shares that are none."""
    if not task_settings(loaded.recipe).has_key(("data", "columns", "chosen")):
        message = f"its task is {loaded.recipe.task}, which has no pairs of answers to reverse."
        raise RecipeError.one(str(loaded.path or "the recipe"), message, "Use a recipe of task: reward or preference.")
    if options.candidates is not None and not task_settings(loaded.recipe).has_key(("reward",)):
        message = f"the task is {loaded.recipe.task}, and only reward models select among candidates."
        raise InputError.one("--candidates", message, "Remove it, or use a recipe of task: reward.")
    wrong = [share for share in options.shares if not 0 <= share <= 0.5]
    if wrong or not options.shares:
        message = f"{listed(wrong) or 'nothing'} is no share of reversed pairs."
        raise InputError.one("--shares", message, "Give numbers from 0 to 0.5; at 0.5 nothing is left to learn.")


def output_folder(output: str, *, overwrite: bool) -> Path:
    """Returns the folder of the experiment, which may hold an earlier part of it. Raises InputError if it is something else."""
    path = locate_output(output).final
    if path.exists() and not (path / "data").is_dir() and not overwrite:
        claim(output)  # refuses it, with the remedy
    path.mkdir(parents=True, exist_ok=True)
    return path


def gaps_of(rows: PreferencePairs, options: FlipOptions, base: Path) -> Array | None:
    """Returns the gap of each training pair (N); None where pairs are reversed at random. Raises InputError without gaps."""
    if options.order == "random":
        return None
    if options.gap_run is not None:
        from tunesmith.models.reward.saved import load_reward_run

        model = load_reward_run(base / options.gap_run)
        difference: Array = model.rewards(rows.prompts, rows.chosen) - model.rewards(rows.prompts, rows.rejected)
        return np.abs(difference)
    if rows.gaps is None:
        message = f"the pairs of {rows.source} have no scores, so that no gap is known."
        raise InputError.one("--order", message, "Name a reward run whose rewards give the gaps: --gap RUN.")
    return np.array(rows.gaps)


def reversed_positions(n: int, share: float, gaps: Array | None, order: Order, seed: int) -> set[int]:
    """Returns the positions of the reversed pairs: the first of one order, so that larger shares contain smaller ones."""
    drawn = np.random.default_rng([seed, n]).permutation(n)
    if gaps is not None:  # ties in random order
        sign = 1 if order == "smallest" else -1
        drawn = drawn[np.argsort(sign * gaps[drawn], kind="stable")]
    return set(drawn[: round(share * n)].tolist())


def run_with(
    loaded: LoadedRecipe,
    splits: Mapping[str, PreferencePairs],
    share: float,
    place: tuple[FlipOptions, Array | None, Path],
    listener: Listener,
) -> tuple[Run, int]:
    """Trains the recipe with a share of the pairs reversed, unless that was done; returns also the number of reversed pairs."""
    (options, gaps, folder), seed = place, loaded.recipe.train.seed
    name = f"{options.order}-{share * 100:g}"
    train = reversed_positions(len(splits["train"]), share, gaps, options.order, seed)
    if (folder / name / RESULT).exists():
        return Run.load(folder / name), len(train)
    data = folder / "data"
    write_pairs(splits["train"], data / f"train-{name}.jsonl", train)
    validation = reversed_positions(len(splits["validation"]), share, None, "random", seed)
    # Where validation is evaluated, it stays as it is.
    write_pairs(splits["validation"], data / f"validation-{name}.jsonl", validation if "test" in splits else ())
    files = {"train": data / f"train-{name}.jsonl", "validation": data / f"validation-{name}.jsonl"}
    files |= {"test": data / "test.jsonl"} if "test" in splits else {}
    section = data_of_written(loaded.recipe.data, files, has_groups=splits["train"].groups is not None)
    recipe: Recipe = loaded.recipe.model_copy(update={"data": section, "output": str(folder / name)})
    run = runs.train(replace(loaded, recipe=recipe), listener=listener)
    assert run is not None, "one process"
    return run, len(train)


def point_of(
    run: Run, share: float, n_reversed: int, earlier: Sequence[FlipPoint], options: FlipOptions, base: Path
) -> FlipPoint:
    """Returns the figures of a run."""
    by_split = {metric.split: metric for metric in run.result.metrics if metric.name == "accuracy"}
    evaluated = by_split.get("test") or by_split["validation"]
    agreement = by_split.get("validation") if "test" in by_split else None
    accuracy = evaluated.value or 0.0
    first = earlier[0].accuracy if earlier else accuracy
    downstream = None if options.candidates is None else selected_score(run.folder, options.candidates, base)
    return FlipPoint(
        share=share,
        n_reversed=n_reversed,
        accuracy=accuracy,
        low=evaluated.low,
        high=evaluated.high,
        agreement=None if agreement is None else agreement.value,
        agreement_low=None if agreement is None else agreement.low,
        agreement_high=None if agreement is None else agreement.high,
        agreement_cap=first * (1 - share) + (1 - first) * share,
        downstream=None if downstream is None else downstream.value,
        downstream_low=None if downstream is None else downstream.low,
        downstream_high=None if downstream is None else downstream.high,
        run=str(run.folder),
    )


def selected_score(run: Path, candidates: str, base: Path) -> Metric:
    """Returns the score of the answer that a reward model selects among the candidates of each prompt, with its interval.

    A prompt counts 1 if the selected answer has the best score, 0 if it has the worst, else in proportion.

    Raises InputError if the file has no lists of answers with scores, or the run is no reward model.
    """
    from tunesmith.evaluation.metrics.means import mean_metric
    from tunesmith.models.reward.saved import load_reward_run

    lists, model = read_candidates(candidates, base, []), load_reward_run(run)
    values = []
    for of_prompt in lists:
        rewards = model.rewards([of_prompt.prompt] * len(of_prompt.answers), of_prompt.answers)
        chosen = of_prompt.scores[int(rewards.argmax())]
        low, high = min(of_prompt.scores), max(of_prompt.scores)
        values.append((chosen - low) / (high - low))
    return mean_metric("selected score", "candidates", [np.array(values)])


def write_record(found: FlipExperiment) -> None:
    """Writes the points as JSON and csv, and the page with their plot."""
    from tunesmith.report.flip import flip_page

    rows = [asdict(point) for point in found.points]
    record = {"order": found.order, "split": found.split, "points": rows}
    write_text(found.folder / RECORD, json.dumps(record, indent=2) + "\n")
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_text(found.folder / TABLE, out.getvalue())
    write_text(found.folder / PAGE, flip_page(record, found.folder.name))


def flip_words(found: FlipExperiment) -> str:
    """Describes an experiment in one line."""
    what = {"random": "drawn at random", "smallest": "of the smallest gap first", "largest": "of the largest gap first"}
    return f"{plural(len(found.points), 'run')} with reversed pairs {what[found.order]}; no pair of {found.split} is reversed"
