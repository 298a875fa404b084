"""``diagnose``: which rows are wrong, repeated, leaked or a shortcut."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tunesmith.cli import recipes
from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal

if TYPE_CHECKING:
    from tunesmith.diagnosis import DataDiagnosis

MAIN_ROWS = 5


def add_diagnose(parser: argparse.ArgumentParser) -> None:
    recipes.add_recipe(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the diagnosis in the output folder")


def diagnose(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith import diagnosis

    loaded = recipes.load(args.recipe, args.overrides)
    found = diagnosis.diagnose(loaded, overwrite=args.overwrite, listener=terminal.listener)
    return Outcome(found.to_json(), lines=[*finding_lines(found), "", *places(found)])


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
    from tunesmith.diagnosis import CORRECTIONS, REVIEW, ROWS

    return [
        f"review      {found.folder / REVIEW}",
        f"all rows    {found.folder / ROWS}",
        f"corrections {found.folder / CORRECTIONS} ({found.n_corrections:,} proposed)",
    ]


DIAGNOSE = Verb(
    name="diagnose",
    takes="RECIPE [KEY=VALUE ...]",
    does="which rows are wrong, repeated, leaked or a shortcut",
    about="Looks at every row with a model that did not see it and writes what it found, with proposed corrections.\n"
    "A data file instead of a recipe is looked at with every default.",
    example="tunesmith diagnose tickets.csv\ntunesmith diagnose recipe.yaml diagnose.n_folds=10",
    add_arguments=add_diagnose,
    run=diagnose,
)
