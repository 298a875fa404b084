"""``diagnose``: which rows are wrong, repeated, leaked or a shortcut."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.cli import recipes
from tunesmith.cli.parsing import UsageError, Verb
from tunesmith.cli.terminal import Outcome, Terminal, table

if TYPE_CHECKING:
    from tunesmith.diagnosis.checks.agreement import Agreement
    from tunesmith.diagnosis.datasets import DatasetsDiagnosis
    from tunesmith.diagnosis.rows import DataDiagnosis
    from tunesmith.recipe.load import LoadedRecipe

MAIN_ROWS = 5
MOST_CLASSES = 20


def add_diagnose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe", metavar="RECIPE|RUN", help="a recipe file, a data file or folder, or the folder of a finished run"
    )
    parser.add_argument(
        "more", metavar="RECIPE|KEY=VALUE", nargs="*",
        help="further data sets, with which the first is compared; words with = are settings that win over the recipes",
    )  # fmt: skip
    parser.add_argument(
        "--oracle", metavar="ORACLE", help="what else says the labels: a run's folder, a file of labels, or module:function"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the diagnosis in the output folder")


def diagnose(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """One data set looked at row by row, or several compared."""
    sources = [args.recipe, *(data_set(word) for word in args.more if "=" not in word)]
    overrides = [word for word in args.more if "=" in word]
    if len(sources) > 1:
        return diagnose_several(sources, overrides, args, terminal)
    from tunesmith.diagnosis import rows as diagnosis

    oracle = None
    if args.oracle is not None:
        from tunesmith.diagnosis.oracle import make_oracle_query

        oracle = make_oracle_query(args.oracle)
    run, loaded = run_and_recipe(args.recipe, overrides)
    found = diagnosis.diagnose(loaded, run=run, overwrite=args.overwrite, listener=terminal.listener, oracle=oracle)
    agreed = [line for one in found.agreement for line in agreement_lines(one)]
    notes = [f"note: {note}" for note in found.notes]
    return Outcome(found.to_json(), lines=[*finding_lines(found), *agreed, "", *places(found)], notes=notes)


def run_and_recipe(source: str, overrides: list[str]) -> tuple[Path | None, LoadedRecipe]:
    """A finished run with the recipe of its rows, or no run and the recipe of a file."""
    from tunesmith.diagnosis.training_logits import recipe_of_run
    from tunesmith.run_folder import RESULT

    if (Path(source) / RESULT).exists():
        return Path(source), recipe_of_run(Path(source), overrides)
    return None, recipes.load(source, overrides)


def data_set(word: str) -> str:
    """A further data set. Raises UsageError where the word names none."""
    if not recipes.is_data(word) and not Path(word).exists():
        raise UsageError.one("diagnose", f"{word} is neither a file nor a setting.", "Settings are KEY=VALUE, e.g. train.seed=1.")
    return word


def diagnose_several(sources: list[str], overrides: list[str], args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.diagnosis.datasets import diagnose_recipes

    loaded = [run_and_recipe(source, overrides)[1] for source in sources]
    said = [word.partition("=")[2] for word in overrides if word.startswith("output=")]
    folder = Path(f"{said[-1]}-diagnosis") if said else None
    found = diagnose_recipes(
        [(one, None) for one in loaded], oracle=args.oracle, folder=folder, overwrite=args.overwrite, listener=terminal.listener
    )
    return Outcome(found.to_json(), lines=across_lines(found), notes=[f"note: {note}" for note in found.notes])


def across_lines(found: DatasetsDiagnosis) -> list[str]:
    """The data sets, what was found, the matrix, the agreement with the oracle, where the files are."""
    from tunesmith.diagnosis.datasets import OPPOSITE, ORACLE

    sizes = ", ".join(f"{one['name']} {one['rows']:,} rows" for one in found.data)
    lines = [f"{sizes}; labels: {', '.join(found.labels)}"]
    for finding in found.findings:
        if finding.name != "transfer":  # the matrix below says it
            lines.append(f"{finding.name.replace('_', ' ')}: {finding.summary or finding.skipped}")
        if finding.name == found.findings[0].name:
            lines += [f"  row {row['row_id']} of {row['data']}: {row['reason']}" for row in finding.rows[:MAIN_ROWS]]
    agreed = [line for one in found.agreement for line in agreement_lines(one)]
    files = [f"opposite  {found.folder / OPPOSITE}", *([f"oracle    {found.folder / ORACLE}"] if found.agreement else [])]
    return [*lines, "", *matrix_lines(found), *(["", *agreed] if agreed else []), "", *files]


def matrix_lines(found: DatasetsDiagnosis) -> list[str]:
    """The transfer matrix, a row a data set that was trained on."""
    from tunesmith.report.numbers import ABSENT, with_interval

    names = [one["name"] for one in found.data]
    cells = {
        (cell.trained_on, cell.tested_on): with_interval(cell.value, cell.low, cell.high) + ("*" if cell.held_out else "")
        for cell in found.matrix
    }
    rows = [["trained on \\ tested on", *names], *([one, *(cells[one, other] for other in names)] for one in names)]
    left = [
        f"  {cell.n_left_out:,} rows of {cell.trained_on} were not trained on: {cell.tested_on} has their texts"
        + (f" ({ABSENT}: no row was left)" if not cell.n_trained else "")
        for cell in found.matrix
        if cell.n_left_out
    ]
    return ["MCC with its 95 % interval", *table(rows), "  * on held-out folds of the same data set", *left]


def agreement_lines(found: Agreement) -> list[str]:
    """Agreement by class with Wilson's interval, and over all with kappa; nothing where nothing was compared.

    Of many classes those with the least agreement.
    """
    from tunesmith.report.numbers import number, percent, plural

    if found.share is None:
        return []
    classes, left = found.classes, len(found.classes) - MOST_CLASSES
    if left > 0:
        classes = tuple(sorted(classes, key=lambda one: one.share)[:MOST_CLASSES])
    shares = [(one.name, one.share, one.low, one.high, one.n) for one in classes]
    shares.append(("all", found.share, found.low, found.high, found.n))
    rows = [
        (name, percent(share), f"({percent(low)} to {percent(high)})", plural(n, "row")) for name, share, low, high, n in shares
    ]
    kappa = "not defined" if found.kappa is None else number(found.kappa)
    more = [f"  and {left:,} classes with more agreement, see diagnosis.json"] if left > 0 else []
    return [f"agreement of {found.data} with {found.oracle}, kappa {kappa}", *table(rows), *more]


def finding_lines(found: DataDiagnosis) -> list[str]:
    """What the diagnoses say: the suspect labels with the worst rows first, one line for each other; then what was skipped."""
    lines: list[str] = []
    for finding in found.findings:
        if finding.skipped:
            continue
        lines.append(f"{finding.name.replace('_', ' ')}: {finding.summary}")
        if finding.name == found.findings[0].name:
            lines += [f"  row {row['row_id']} of {row['split']}: {row['reason']}" for row in finding.rows[:MAIN_ROWS]]
    reasons: dict[str, list[str]] = {}
    for finding in found.findings:
        if finding.skipped:
            reasons.setdefault(finding.skipped, []).append(finding.name.replace("_", " "))
    return [*lines, *(f"skipped: {', '.join(names)}: {reason}" for reason, names in reasons.items())]


def places(found: DataDiagnosis) -> list[str]:
    from tunesmith.diagnosis.rows import CORRECTIONS, REVIEW, ROWS

    return [
        f"review      {found.folder / REVIEW}",
        f"all rows    {found.folder / ROWS}",
        f"corrections {found.folder / CORRECTIONS} ({found.n_corrections:,} proposed)",
    ]


DIAGNOSE = Verb(
    name="diagnose",
    takes="RECIPE|RUN ... [KEY=VALUE ...]",
    does="which rows are wrong, repeated, leaked or a shortcut",
    about="Looks at every row with a model that did not see it and writes what it found, with proposed corrections.\n"
    "A data file instead of a recipe is looked at with every default; of a finished run, what its training said of each\n"
    "row is used too. Two or more data sets are compared: the same texts with other labels, and what a model of one makes\n"
    "of the others. An oracle is asked for its labels, too.",
    example="tunesmith diagnose tickets.csv\ntunesmith diagnose recipe.yaml diagnose.n_folds=10\n"
    "tunesmith diagnose runs/tickets\ntunesmith diagnose tickets.csv --oracle runs/tickets\n"
    "tunesmith diagnose tickets.csv others.csv",
    add_arguments=add_diagnose,
    run=diagnose,
)
