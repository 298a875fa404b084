"""``apply``: the corrections, in a new file; with ``--measure`` what they are worth."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.cli import recipes
from tunesmith.cli.parsing import UsageError, Verb
from tunesmith.cli.terminal import WORD_COLOURS, Outcome, Terminal
from tunesmith.errors import Interrupted

if TYPE_CHECKING:
    from tunesmith.data.corrections.apply import Applied
    from tunesmith.diagnosis.ablation import AblationResult, Comparison
    from tunesmith.recipe.load import LoadedRecipe

BESIDE = "recipe.yaml"
DOING = {"corrected": "correcting {}", "removed": "removing them", "random_removed": "removing {} random rows"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("corrections", metavar="CORRECTIONS", help="the corrections.csv of a diagnosis or of its review page")
    parser.add_argument("data", metavar="DATA", help="the file they were made for")
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help=f"with --measure: {recipes.OVERRIDES}")
    parser.add_argument("--output", metavar="OUT", help="the new file (default: NAME.corrected.SUFFIX beside the old one)")
    parser.add_argument("--label", metavar="COLUMN", help="the label column, where several hold the same labels")
    parser.add_argument(
        "--measure", metavar="RECIPE", nargs="?", const="",
        help="train with the rows as given, corrected, removed, and as many random ones removed, and say which is better "
        "(default: the recipe beside CORRECTIONS)",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="with --measure: replace an earlier measurement")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.data.corrections.apply import apply_corrections
    from tunesmith.data.corrections.corrections_csv import read_corrections

    corrections, output = Path(args.corrections), None if args.output is None else Path(args.output)
    if args.measure is not None:
        return measured(args, corrections, output, terminal)
    if args.overrides or args.overwrite:
        what = args.overrides[0] if args.overrides else "--overwrite"
        raise UsageError.one("apply", f"{what} has no meaning without --measure.", "See: tunesmith apply --help")
    done = apply_corrections(read_corrections(corrections), Path(args.data), output, args.label)
    return Outcome(json_of(done), lines=[line_of(done)], notes=left_out(done))


def json_of(done: Applied) -> dict[str, Any]:
    return {"output": str(done.path), "relabelled": done.n_relabelled, "removed": done.n_removed, "rows": done.n_rows,
            "of_other_files": done.n_of_other_files}  # fmt: skip


def line_of(done: Applied) -> str:
    from tunesmith.report.numbers import plural

    changed = f"{plural(done.n_relabelled, 'row')} relabelled, {done.n_removed:,} removed"
    return f"{changed}: {plural(done.n_rows, 'row')} in {done.path}"


def left_out(done: Applied) -> list[str]:
    from tunesmith.report.numbers import plural

    return [f"{plural(done.n_of_other_files, 'correction')} left out: made for other files"] if done.n_of_other_files else []


def measured(args: argparse.Namespace, corrections: Path, output: Path | None, terminal: Terminal) -> Outcome:
    """The corrected file, and the verdict between the four training sets."""
    from tunesmith.data.corrections.apply import target_of
    from tunesmith.data.corrections.corrections_csv import read_corrections
    from tunesmith.diagnosis.ablation import ABLATION_FILE, run_ablation

    found, data = read_corrections(corrections), Path(args.data)
    loaded = recipe_of(args.measure, args.overrides, corrections)
    try:
        done = run_ablation(
            loaded, found, data, output=output, column=args.label, overwrite=args.overwrite, listener=terminal.listener
        )  # fmt: skip
    except (KeyboardInterrupt, Interrupted) as error:
        target = target_of(data, output)
        kept = f"{target} is written and whole; " if target.exists() else ""
        message = f"interrupted: {kept}the measurement starts over when the command is given again."
        raise Interrupted(message) from error
    lines = [line_of(done.corrected), "", *worth_lines(done, terminal), "", f"numbers     {done.folder / ABLATION_FILE}"]
    notes = [*left_out(done.corrected), *(f"note: {note}" for note in done.notes)]
    return Outcome({**json_of(done.corrected), "worth": done.to_json()}, lines=lines, notes=notes)


def recipe_of(asked: str, overrides: list[str], corrections: Path) -> LoadedRecipe:
    """The recipe that was named, or the one that lies beside the corrections.

    Raises:
        RecipeError: there is none, or a file it names is not found from here.
    """
    from tunesmith.errors import RecipeError
    from tunesmith.recipe.files import is_file_name, locate

    if "=" in asked and not Path(asked).exists():  # the word after --measure is a setting
        asked, overrides = "", [*overrides, asked]
    if asked:
        return recipes.load(asked, overrides)
    beside = corrections.parent / BESIDE
    if not beside.is_file():
        message = f"there is no {BESIDE} beside it, so nothing says how to train."
        raise RecipeError.one(str(corrections), message, "Name one: --measure RECIPE.")
    loaded = recipes.load(str(beside), overrides)
    sources = [getattr(loaded.recipe.data, split) for split in ("train", "validation", "test")]
    lost = [name for name in sources if isinstance(name, str) and is_file_name(name) and not locate(name, loaded.base).exists()]
    if lost:
        message = f"{', '.join(lost)} is not found from here."
        raise RecipeError.one(str(beside), message, "Name the recipe that was diagnosed: --measure RECIPE.")
    return loaded


def worth_lines(done: AblationResult, terminal: Terminal) -> list[str]:
    """The verdicts on the leading metric, and where they are others on all judged rows."""
    from tunesmith.diagnosis.ablation import ALL, UNDISPUTED
    from tunesmith.diagnosis.ablation_sets import CORRECTED, RANDOM_REMOVED, REMOVED
    from tunesmith.report.numbers import plural
    from tunesmith.report.words import plain_name

    judged = f"{plain_name(done.metric)} on {plural(done.n_rows, 'row')} of {done.split}"
    lines = [f"{judged}; in brackets the 95 % interval of the difference:"]
    lines += [f"  {line}" for line in against_given(done, UNDISPUTED, terminal)]
    for against in (RANDOM_REMOVED, REMOVED):
        found = done.comparison(CORRECTED, against)
        if found is not None:
            lines.append(f"  correcting against {DOING[against].format('as many')}: {word_of(found, terminal)}")
    if done.n_disputed:
        lines.append(f"the same on all {plural(done.n_rows + done.n_disputed, 'row')}, with the labels given:")
        lines += [f"  {line}" for line in against_given(done, ALL, terminal)]
    return lines


def against_given(done: AblationResult, rows: str, terminal: Terminal) -> Iterator[str]:
    """One line for each variant against the rows as given."""
    from tunesmith.diagnosis.ablation import UNDISPUTED
    from tunesmith.diagnosis.ablation_sets import AS_GIVEN, CORRECTED
    from tunesmith.report.numbers import number, plural

    values = {v.name: (v.metrics if rows == UNDISPUTED else v.metrics_all_rows)[0].value for v in done.variants}
    for name, doing in DOING.items():
        found = done.comparison(name, AS_GIVEN, rows=rows)
        if found is not None:
            what = doing.format(plural(done.counts.train, "row") if name == CORRECTED else "as many")
            yield f"{what}: {number(values[AS_GIVEN])} -> {number(values[name])}, {word_of(found, terminal)}"


def word_of(found: Comparison, terminal: Terminal) -> str:
    """``better (+0.050 [+0.020, +0.080])``."""
    from tunesmith.report.numbers import with_interval

    verdict = found.verdict
    difference = with_interval(verdict.difference, verdict.low, verdict.high, signed=True)
    return f"{terminal.paint(verdict.word, WORD_COLOURS[verdict.word])} ({difference})"


VERB = Verb(
    name="apply",
    takes="CORRECTIONS DATA",
    does="write a corrected copy of a data file; --measure: what it is worth",
    about="Applies a file of corrections to the data it was made for. The old file stays as it is;\n"
    "in the new one only the corrected rows differ, which is proven by reading it again.\n"
    "With --measure it also trains with the rows as given, corrected, removed, and with as many random rows\n"
    "removed, and gives the verdicts between them, into OUTPUT-worth of the recipe.",
    example="tunesmith apply runs/tickets-diagnosis/corrections.csv tickets.csv\n"
    "tunesmith apply runs/tickets-diagnosis/corrections.csv tickets.csv --measure\n"
    "tunesmith apply corrections.csv tickets.csv train.n_seeds=3 --measure recipe.yaml",
    add_arguments=add_arguments,
    run=run,
)
