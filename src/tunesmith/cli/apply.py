"""``apply``: writes corrected data to a new file; ``--measure`` also trains on it and compares."""

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
    from tunesmith.data.corrections.apply import AppliedCorrections
    from tunesmith.diagnosis.ablation_verdicts import AblationResult, Comparison
    from tunesmith.recipe.load import LoadedRecipe

VARIANTS = {"corrected": "correcting {}", "removed": "removing them", "random_removed": "removing {} random rows"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("corrections", metavar="CORRECTIONS", help="corrections.csv of a diagnosis or of its review page")
    parser.add_argument("data", metavar="DATA", help="the file that the corrections were made for")
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help=f"with --measure: {recipes.OVERRIDES}")
    parser.add_argument("--output", metavar="OUT", help="the new file (default: NAME.corrected.SUFFIX in the folder of DATA)")
    parser.add_argument("--label", metavar="COLUMN", help="the label column, if several columns hold the same labels")
    parser.add_argument(
        "--measure",
        metavar="RECIPE",
        nargs="?",
        const="",
        help="train on the original rows, the corrected rows, without the rows to correct, and without as many random rows, and "
        "compare (default: the recipe in the folder of CORRECTIONS)",
    )
    recipes.add_labels(
        parser, "the map by which the file was diagnosed (default: that of the recipe in the folder of CORRECTIONS)"
    )
    parser.add_argument("--allow-many", action="store_true", help="change more than a tenth of the labels, or all of a class")
    parser.add_argument("--overwrite", action="store_true", help="with --measure: replace an earlier measurement")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.data.corrections.apply import apply_corrections
    from tunesmith.data.corrections.corrections_csv import read_corrections
    from tunesmith.recipe.given_labels import read_label_map
    from tunesmith.workflows.apply import labels_beside

    corrections, output = Path(args.corrections), None if args.output is None else Path(args.output)
    if args.measure is not None:
        return measure(args, corrections, output, terminal)
    if args.overrides or args.overwrite:
        option = args.overrides[0] if args.overrides else "--overwrite"
        raise UsageError.one("apply", f"{option} works only with --measure.", "See: tunesmith apply --help")
    rows, data = read_corrections(corrections), Path(args.data)
    labels = labels_beside(corrections, data) if args.labels is None else read_label_map(args.labels)
    applied = apply_corrections(rows, data, output, args.label, allow_many=args.allow_many, labels=labels)
    line, notes = applied_words(applied)
    return Outcome(applied_json(applied), lines=[line], notes=notes)


def applied_json(applied: AppliedCorrections) -> dict[str, Any]:
    return {
        "output": str(applied.path),
        "relabelled": applied.n_relabelled,
        "removed": applied.n_removed,
        "rows": applied.n_rows,
        "of_other_files": applied.n_of_other_files,
    }


def applied_words(applied: AppliedCorrections) -> tuple[str, list[str]]:
    """Describes the written file in one line, and the corrections that were skipped in a note."""
    from tunesmith.report.numbers import plural

    changed = f"{plural(applied.n_relabelled, 'row')} relabelled, {applied.n_removed:,} removed"
    n_skipped = applied.n_of_other_files
    notes = [f"{plural(n_skipped, 'correction')} skipped: made for other files"] if n_skipped else []
    return f"{changed}: {plural(applied.n_rows, 'row')} in {applied.path}", notes


def measure(args: argparse.Namespace, corrections: Path, output: Path | None, terminal: Terminal) -> Outcome:
    """Writes the corrected file and compares the four training sets."""
    from tunesmith.data.corrections.apply import output_path
    from tunesmith.data.corrections.corrections_csv import read_corrections
    from tunesmith.diagnosis.ablation import ABLATION_FILE, run_ablation

    if args.labels is not None:
        raise UsageError.one("apply", "--labels works only without --measure.", "The recipe that is measured has data.labels.")
    rows, data = read_corrections(corrections), Path(args.data)
    loaded = find_recipe(args.measure, args.overrides, corrections)
    try:
        done = run_ablation(
            loaded,
            rows,
            data,
            output=output,
            column=args.label,
            allow_many=args.allow_many,
            overwrite=args.overwrite,
            listener=terminal.listener,
        )
    except (KeyboardInterrupt, Interrupted) as error:
        target = output_path(data, output)
        state = f"{target} is complete; " if target.exists() else ""
        message = f"interrupted: {state}repeat the command to start the measurement again."
        raise Interrupted(message) from error
    line, skipped = applied_words(done.corrected)
    lines = [line, "", *ablation_lines(done, terminal), "", f"numbers     {done.folder / ABLATION_FILE}"]
    notes = [*skipped, *(f"note: {note}" for note in done.notes)]
    record = done.to_json()  # ``worth`` is the earlier name of ``measurement``
    return Outcome({**applied_json(done.corrected), "measurement": record, "worth": record}, lines=lines, notes=notes)


def find_recipe(source: str, overrides: list[str], corrections: Path) -> LoadedRecipe:
    """Loads the named recipe, or the one in the folder of the corrections."""
    from tunesmith.workflows.apply import recipe_beside

    if "=" in source and not Path(source).exists():  # the word after --measure is an override
        source, overrides = "", [*overrides, source]
    return recipes.load(source, overrides) if source else recipe_beside(corrections, overrides)


def ablation_lines(done: AblationResult, terminal: Terminal) -> list[str]:
    """Formats the verdicts on the primary metric; also on all rows, if some were left out."""
    from tunesmith.diagnosis.ablation_sets import CORRECTED, RANDOM_REMOVED, REMOVED
    from tunesmith.diagnosis.ablation_verdicts import ALL, UNDISPUTED
    from tunesmith.report.numbers import plural
    from tunesmith.report.words import display_name, family_notes

    about = f"{display_name(done.metric)} on {plural(done.n_rows, 'row')} of {done.split}"
    lines = [f"{about}; in brackets the 95 % interval of the difference:"]
    lines += [f"  {line}" for line in against_original(done, UNDISPUTED, terminal)]
    for against in (RANDOM_REMOVED, REMOVED):
        comparison = done.comparison(CORRECTED, against)
        if comparison is not None:
            lines.append(f"  correcting against {VARIANTS[against].format('as many')}: {verdict_text(comparison, terminal)}")
    if done.n_disputed:
        lines.append(f"the same on all {plural(done.n_rows + done.n_disputed, 'row')}, with the original labels:")
        lines += [f"  {line}" for line in against_original(done, ALL, terminal)]
    lines += family_notes([item.verdict for item in done.comparisons], "table")
    return lines


def against_original(done: AblationResult, rows: str, terminal: Terminal) -> Iterator[str]:
    """Formats one line per variant: its metric and its verdict against the original rows."""
    from tunesmith.diagnosis.ablation_sets import AS_GIVEN, CORRECTED
    from tunesmith.diagnosis.ablation_verdicts import UNDISPUTED
    from tunesmith.report.numbers import number, plural

    values = {v.name: (v.metrics if rows == UNDISPUTED else v.metrics_all_rows)[0].value for v in done.variants}
    for name, template in VARIANTS.items():
        comparison = done.comparison(name, AS_GIVEN, rows=rows)
        if comparison is not None:
            variant = template.format(plural(done.counts.train, "row") if name == CORRECTED else "as many")
            change = f"{number(values[AS_GIVEN])} -> {number(values[name])}"
            yield f"{variant}: {change}, {verdict_text(comparison, terminal)}"


def verdict_text(comparison: Comparison, terminal: Terminal) -> str:
    """Formats ``better (+0.050 [+0.020, +0.080])``."""
    from tunesmith.report.numbers import with_interval

    verdict = comparison.verdict
    difference = with_interval(verdict.difference, verdict.low, verdict.high, signed=True)
    return f"{terminal.paint(verdict.word, WORD_COLOURS[verdict.word])} ({difference})"


VERB = Verb(
    name="apply",
    takes="CORRECTIONS DATA",
    does="write a corrected copy of a data file; --measure: compare models trained on it",
    about="Applies corrections to a copy of the data file that they were made for. The original file is not changed.\n"
    "The copy differs only in the corrected rows, which is verified by reading it again.\n"
    "--measure also trains on the original rows, the corrected rows, without the rows to correct, and without as many\n"
    "random rows, and writes the verdicts to OUTPUT-worth, where OUTPUT is the recipe's output.",
    example="tunesmith apply runs/tickets-diagnosis/corrections.csv tickets.csv\n"
    "tunesmith apply runs/tickets-diagnosis/corrections.csv tickets.csv --measure\n"
    "tunesmith apply corrections.csv tickets.csv train.n_seeds=3 --measure recipe.yaml",
    add_arguments=add_arguments,
    run=run,
)
