"""Trains with growing shares of reversed pairs: how much wrong preference a recipe bears (``experiment flip``)."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed, plural
from tunesmith.data.preferences.load import load_pairs
from tunesmith.data.preferences.rows import PreferencePairs
from tunesmith.data.preferences.written import pairs_text, write_pairs
from tunesmith.data.readers.hashes import hash_path
from tunesmith.disk import write_text
from tunesmith.errors import DataError, InputError, RecipeError
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.files import is_file_name
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.recipe.tasks import task_settings
from tunesmith.results import Metric
from tunesmith.run_folder import RESULT, locate_output
from tunesmith.tasks.finished import Run
from tunesmith.tasks.reward.candidates import read_candidates
from tunesmith.workflows.inputs import hash_model
from tunesmith.workflows.several_runs import (
    Origin,
    Workflow,
    origin_of,
    require_same_origin,
    start_over,
    train_on_pairs,
    write_origin,
)

Order = Literal["random", "smallest", "largest"]
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
RECORD, TABLE, PAGE = "flip.json", "flip.csv", "report.html"
FLIP = Workflow(
    "the experiment was",
    "*/run.json",
    ("output",),
    "Set it back, choose another output (output=FOLDER), or start over with --overwrite.",
    (RECORD, TABLE, PAGE, "data/train-*.jsonl", "data/validation-*.jsonl", "data/test.jsonl"),
)


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
    """What an experiment varies. Paths are relative to the current folder.

    Attributes:
        order: which pairs are reversed first: random ones, or those of the smallest or largest gap.
        gap_run: the folder of a reward run whose difference of rewards is the gap; None: that of the rows' scores.
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
    are reversed at one share are so at every larger one. Everything lies in the recipe's output folder. Runs that are finished
    there are not trained again, also those of shares that are not named now; a run that was interrupted goes on.

    Args:
        overwrite: start over, and remove the runs of an earlier experiment.

    Raises InputError if the recipe has no pairs, a run cannot start, or an option, a setting or a file has changed since the
    experiment was started.
    """
    options = FlipOptions() if options is None else options
    require_flippable(loaded, options)
    notes: list[str] = []
    if options.candidates is not None:
        read_candidates(options.candidates, notes)
    pairs = load_pairs(loaded.recipe, loaded.base)
    splits = pairs.named()
    if "validation" not in splits:
        raise DataError.one("data.validation", "there are no validation rows to select checkpoints on.", "Give a fraction.")
    folder, origin = locate_output(loaded.recipe.output).final, origin_of_experiment(loaded, options, splits)
    if not overwrite:
        require_same_origin(folder, FLIP, origin)
    gaps = gaps_of(splits["train"], options)
    if overwrite:
        start_over(folder, FLIP)
    write_origin(folder, origin)
    if "test" in splits:
        write_pairs(splits["test"], folder / "data" / "test.jsonl")
    for note in (*loaded.notes, *pairs.notes, *notes):
        listener(Event("note", note))
    points: list[FlipPoint] = []
    for share in shares_of(folder, options):
        listener(Event("note", f"{share * 100:g}% of the pairs reversed"))
        run, n_reversed = run_with(loaded, splits, share, (options, gaps, folder), listener)
        points.append(point_of(run, share, n_reversed, points, options))
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
    if options.candidates is not None and loaded.recipe.train.save_strategy == "none":
        message = "the runs keep no model to select with (train.save_strategy: none)."
        raise InputError.one("--candidates", message, "Remove it, or write train.save_strategy=best.")
    if options.gap_run is not None and options.order == "random":
        message = "pairs are reversed at random, and no gap is read."
        raise InputError.one("--gap", message, "Add --order smallest or --order largest, or remove it.")
    wrong = [share for share in options.shares if not 0 <= share <= 0.5]
    if wrong or not options.shares:
        message = f"{listed(wrong) or 'nothing'} is no share of reversed pairs."
        raise InputError.one("--shares", message, "Give numbers from 0 to 0.5; at 0.5 nothing is left to learn.")


def origin_of_experiment(loaded: LoadedRecipe, options: FlipOptions, splits: Mapping[str, PreferencePairs]) -> Origin:
    """Returns what makes the runs: the recipe, all options but the shares, the content of files, and rows that are in no file."""
    gap, candidates = here(options.gap_run), here(options.candidates)
    names = {"--gap": gap, "--candidates": candidates}
    hashes = {"--gap": None if gap is None else hash_model(gap, Path())}
    hashes["--candidates"] = None if candidates is None else hash_path(Path(candidates))
    for split, rows in splits.items():
        name = loaded.recipe.data.file(split)
        if name is not None and not is_file_name(name):
            hashes[f"data.{split}"] = hashlib.sha256(pairs_text(rows).encode("utf-8", "backslashreplace")).hexdigest()
    inputs = {key: value for key, value in hashes.items() if value is not None}
    return origin_of(loaded, FLIP, {"--order": options.order, **names}, inputs)


def here(name: str | None) -> str | None:
    """Returns the absolute path of a file that an option names, relative to the current folder; hub names as they are."""
    return name if name is None or not is_file_name(name) else os.path.abspath(os.path.expanduser(name))


def shares_of(folder: Path, options: FlipOptions) -> list[float]:
    """Returns the shares that are named, and those of finished runs in the folder, in ascending order."""
    names = {run_name(options.order, share) for share in options.shares}
    names |= {path.parent.name for path in folder.glob(f"{options.order}-*/{RESULT}")}
    found = [re.fullmatch(rf"{options.order}-([\d.]+(?:e-\d+)?)", name) for name in names]
    return sorted(float(match[1]) / 100 for match in found if match is not None)


def run_name(order: Order, share: float) -> str:
    """Returns the name of a run's folder, which tells its share in per cent."""
    return f"{order}-{share * 100 + 0.0:g}"  # + 0.0: a share of -0 is 0


def gaps_of(rows: PreferencePairs, options: FlipOptions) -> Array | None:
    """Returns the gap of each training pair (N); None where pairs are reversed at random. Raises InputError without gaps."""
    if options.order == "random":
        return None
    if options.gap_run is not None:
        from tunesmith.models.reward.saved import load_reward_run

        model = load_reward_run(Path(os.path.expanduser(options.gap_run)))
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
    name, has_groups = run_name(options.order, share), splits["train"].groups is not None
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
    return train_on_pairs(loaded, files, folder / name, has_groups=has_groups, listener=listener), len(train)


def point_of(run: Run, share: float, n_reversed: int, earlier: Sequence[FlipPoint], options: FlipOptions) -> FlipPoint:
    """Returns the figures of a run."""
    by_split = {metric.split: metric for metric in run.result.metrics if metric.name == "accuracy"}
    evaluated = by_split.get("test") or by_split["validation"]
    agreement = by_split.get("validation") if "test" in by_split else None
    accuracy = evaluated.value
    assert accuracy is not None, "the accuracy of pairs is defined"
    first = earlier[0].accuracy if earlier else accuracy
    downstream = None if options.candidates is None else selected_score(run.folder, options.candidates)
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


def selected_score(run: Path, candidates: str) -> Metric:
    """Returns the score of the answer that a reward model selects among the candidates of each prompt, with its interval.

    A prompt counts 1 if the selected answer has the best score, 0 if it has the worst, else in proportion.

    Raises InputError if the file has no lists of answers with scores, or the run is no reward model.
    """
    from tunesmith.evaluation.metrics.means import mean_metric
    from tunesmith.models.reward.saved import load_reward_run

    lists, model = read_candidates(candidates, []), load_reward_run(run)
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
