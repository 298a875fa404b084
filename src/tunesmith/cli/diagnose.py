"""``diagnose``: finds wrong labels, duplicates, leakage and shortcuts in data."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.cli import recipes
from tunesmith.cli.parsing import UsageError, Verb, add_processes
from tunesmith.cli.predict import add_model_options, model_settings
from tunesmith.cli.terminal import Outcome, Terminal, table
from tunesmith.data.cells import listed, plural

if TYPE_CHECKING:
    from tunesmith.diagnosis.checks.agreement import Agreement
    from tunesmith.diagnosis.datasets import DatasetsDiagnosis
    from tunesmith.diagnosis.rows import DataDiagnosis
    from tunesmith.recipe.load import LoadedRecipe

MAIN_ROWS = 5
MOST_CLASSES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe", metavar="RECIPE|RUN", help="a recipe file, a data file or folder, or the folder of a finished run"
    )
    parser.add_argument(
        "more",
        metavar="RECIPE|KEY=VALUE",
        nargs="*",
        help="other data sets to compare with the first; words with = override keys of the recipes",
    )
    parser.add_argument(
        "--oracle",
        metavar="ORACLE",
        help="another source of labels: the folder of a run or of any classifier, a file, or module:function",
    )
    add_processes(parser, "the rows to embed, and the folds to fine-tune")
    add_model_options(parser)
    parser.add_argument(
        "--explain",
        metavar="MODEL",
        help="of several data sets: a language model that chooses what the label criteria depend on",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the diagnosis in the output folder")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Diagnoses the rows of one data set, or compares several."""
    others = [word for word in args.more if "=" not in word]
    for word in others:
        if not recipes.is_data(word) and not Path(word).exists():
            message = f"{word} is neither a file nor a setting."
            raise UsageError.one("diagnose", message, "Settings are KEY=VALUE, e.g. train.seed=1.")
    sources = [args.recipe, *others]
    overrides = [word for word in args.more if "=" in word]
    if len(sources) > 1:
        return diagnose_several(sources, overrides, args, terminal)
    if args.explain is not None:
        message = "--explain is about the label criteria of several data sets, and there is one."
        raise UsageError.one("diagnose", message, "Give two or more, or leave it out.")
    from tunesmith.diagnosis import rows as diagnosis
    from tunesmith.recipe.files import is_file_name, locate

    oracle = None
    if (source := oracle_source(args)) is not None:
        from tunesmith.diagnosis.oracle import make_oracle_query

        oracle = make_oracle_query(source)
    folder, loaded = run_and_recipe(args.recipe, overrides)
    options = {"overwrite": args.overwrite, "processes": args.processes or 1, "listener": terminal.listener}
    done = diagnosis.diagnose(loaded, run=folder, oracle=oracle, **options)
    agreement = [line for split in done.agreement for line in agreement_lines(split)]
    data = loaded.recipe.data
    files = [
        f"review      {done.folder / diagnosis.REVIEW}",
        *(f"            {done.folder / diagnosis.review_name('train', i)} ({name})" for i, name in enumerate(data.also, 1)),
        f"all rows    {done.folder / diagnosis.ROWS} (row numbers count from 0)",
        f"corrections {done.folder / diagnosis.CORRECTIONS} ({done.n_corrections:,} proposed)",
    ]
    if done.n_corrections and is_file_name(data.train):
        paths = (str(done.folder / diagnosis.CORRECTIONS), str(locate(data.train, loaded.base)))
        further = f" (and so for {listed(data.also)})" if data.also else ""
        files += ["", f"Next: read the corrections, remove the wrong ones, and tunesmith apply {shlex.join(paths)}{further}"]
    notes = [f"note: {note}" for note in done.notes]
    return Outcome(done.to_json(), lines=[*finding_lines(done), *agreement, "", *files], notes=notes)


def oracle_source(args: argparse.Namespace) -> object:
    """Returns the oracle as it was named; with options for a model that another program trained, as a ``ModelOracle``."""
    settings = model_settings(args)
    if all(value is None for value in settings.values()):
        return args.oracle
    if args.oracle is None:
        raise UsageError.one("diagnose", "--labels and --tokenizer are of the oracle, and there is none.", "Add --oracle MODEL.")
    from tunesmith.diagnosis.oracle import ModelOracle
    from tunesmith.tasks.classification.other_model import ModelSettings

    return ModelOracle(args.oracle, ModelSettings.of(**settings))


def run_and_recipe(source: str, overrides: list[str]) -> tuple[Path | None, LoadedRecipe]:
    """Loads the recipe; also returns the run's folder if the source is a finished run."""
    from tunesmith.diagnosis.rows import recipe_of_run
    from tunesmith.run_folder import RESULT, require_finished

    if not Path(source).is_file():
        require_finished(source)
    if (Path(source) / RESULT).exists():
        return Path(source), recipe_of_run(Path(source), overrides)
    return None, recipes.load(source, overrides)


def diagnose_several(sources: list[str], overrides: list[str], args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.diagnosis.datasets import diagnose_recipes

    loaded = [run_and_recipe(source, overrides)[1] for source in sources]
    outputs = [word.partition("=")[2] for word in overrides if word.startswith("output=")]
    folder = Path(f"{outputs[-1]}-diagnosis") if outputs else None
    done = diagnose_recipes(
        [(recipe, None) for recipe in loaded],
        oracle=oracle_source(args),
        explainer=args.explain,
        folder=folder,
        overwrite=args.overwrite,
        processes=args.processes or 1,
        listener=terminal.listener,
    )
    return Outcome(done.to_json(), lines=comparison_lines(done), notes=[f"note: {note}" for note in done.notes])


def comparison_lines(done: DatasetsDiagnosis) -> list[str]:
    """Formats the tables of difficulty, transfer and agreement with the oracle, the findings, and the paths of the files."""
    from tunesmith.diagnosis.datasets import DIFFICULTY, REPORT
    from tunesmith.diagnosis.label_comparison import OPPOSITE, ORACLE

    lines = difficulty_lines(done)
    if done.labels:
        sizes = ", ".join(f"{data['name']} {plural(data['rows'], 'row')}" for data in done.data)
        lines += ["", f"{sizes}; labels: {', '.join(done.labels)}"]
    for finding in done.findings:
        if finding.name not in ("difficulty", "transfer") and (finding.skipped or not finding.name.startswith("criteria_")):
            lines.append(f"{finding.name.replace('_', ' ')}: {finding.summary or finding.skipped}")
        lines += criteria_lines(done, finding.name)
        if finding.name == "opposite_labels":
            lines += [f"  row {row['row_id']} of {row['data']}: {row['reason']}" for row in finding.rows[:MAIN_ROWS]]
    if done.matrix:
        lines += ["", *matrix_lines(done)]
    agreement = [line for split in done.agreement for line in agreement_lines(split)]
    files = [f"report      {done.folder / REPORT}", f"difficulty  {done.folder / DIFFICULTY}"]
    files += [f"opposite    {done.folder / OPPOSITE}"] if done.labels else []
    files += [f"oracle      {done.folder / ORACLE}"] if done.agreement else []
    return [*lines, *(["", *agreement] if agreement else []), "", *files]


def criteria_lines(done: DatasetsDiagnosis, name: str) -> list[str]:
    """Formats the rules of a finding about label criteria, one a line, and how well they predict held-out texts."""
    from tunesmith.diagnosis.criteria import agreement_words, choice_words, rule_lines

    result = next((item for item in done.criteria if name == f"criteria_{item.first}_{item.second}"), None)
    if result is None:
        return []
    names = result.first, result.second
    lines = [f"label criteria of {names[0]} and {names[1]}: {agreement_words(result)}"]
    lines += [f"  {line}" for line in rule_lines(result)]
    return lines if result.chosen is None else [*lines, f"  {choice_words(result.chosen, names)}"]


def difficulty_lines(done: DatasetsDiagnosis) -> list[str]:
    """Formats one line per data set, the hardest first."""
    from tunesmith.report.data_sets import DIFFICULTY_HEADS, difficulty_texts

    rows = [list(DIFFICULTY_HEADS), *([row.data, *difficulty_texts(asdict(row))] for row in done.difficulty)]
    legend = "  hardest first; hard rows: PVI below 0; MDL: online code, its range over orders of the rows"
    return ["difficulty, each data set with its own labels, in bits a label", *table(rows), legend]


def matrix_lines(done: DatasetsDiagnosis) -> list[str]:
    """Formats the transfer matrix: one row per training set, one column per test set."""
    from tunesmith.report.numbers import ABSENT, with_interval

    names = [data["name"] for data in done.data]
    cells = {
        (cell.trained_on, cell.tested_on): with_interval(cell.value, cell.low, cell.high) + ("*" if cell.held_out else "")
        for cell in done.matrix
    }
    rows = [["trained on \\ tested on", *names], *([source, *(cells[source, target] for target in names)] for source in names)]
    excluded = [
        f"  {plural(cell.n_left_out, 'row')} of {cell.trained_on} left out of training: {cell.tested_on} has their texts"
        + (f" ({ABSENT}: no row was left)" if not cell.n_trained else "")
        for cell in done.matrix
        if cell.n_left_out
    ]
    return ["MCC with its 95 % interval", *table(rows), "  * on held-out folds of the same data set", *excluded]


def agreement_lines(agreement: Agreement) -> list[str]:
    """Formats the agreement per class with Wilson intervals, and overall with kappa; empty if no rows were compared.

    If there are many classes, only those with the lowest agreement are listed.
    """
    from tunesmith.report.numbers import number, percent

    if agreement.share is None:
        return []
    classes, n_hidden = agreement.classes, len(agreement.classes) - MOST_CLASSES
    if n_hidden > 0:
        classes = tuple(sorted(classes, key=lambda per_class: per_class.share)[:MOST_CLASSES])
    shares = [(per_class.name, per_class.share, per_class.low, per_class.high, per_class.n) for per_class in classes]
    shares.append(("all", agreement.share, agreement.low, agreement.high, agreement.n))
    rows = [
        (name, percent(share), f"({percent(low)} to {percent(high)})", plural(n, "row")) for name, share, low, high, n in shares
    ]
    kappa = "not defined" if agreement.kappa is None else number(agreement.kappa)
    hidden = [f"  and {plural(n_hidden, 'class')} with more agreement, see diagnosis.json"] if n_hidden > 0 else []
    return [f"agreement of {agreement.data} with {agreement.oracle}, kappa {kappa}", *table(rows), *hidden]


def finding_lines(done: DataDiagnosis) -> list[str]:
    """Formats one line per finding, the worst rows of the first finding, and the skipped diagnoses grouped by reason."""
    lines: list[str] = []
    skipped: dict[str, list[str]] = {}
    for finding in done.findings:
        name = finding.name.replace("_", " ")
        if finding.skipped:
            skipped.setdefault(finding.skipped, []).append(name)
            continue
        is_first = finding.name == done.findings[0].name
        lines.append(f"{name}: {finding.summary if is_first else finding.text}")
        if is_first:
            lines += [f"  {row_words(row)}: {row['reason']}" for row in finding.rows[:MAIN_ROWS]]
    return [*lines, *(f"skipped: {', '.join(names)}: {reason}" for reason, names in skipped.items())]


def row_words(row: Mapping[str, Any]) -> str:
    """Names a row of a finding: ``row 3 of train``; of several concatenated files: ``row 3 of more.csv (line 5)``."""
    if "source" not in row:
        return f"row {row['row_id']} of {row['split']}"
    line = "" if row["line"] is None else f" (line {row['line']})"
    return f"row {row['source_row_id']} of {row['source']}{line}"


VERB = Verb(
    name="diagnose",
    takes="RECIPE|RUN ... [KEY=VALUE ...]",
    does="find wrong labels, duplicates, leakage and shortcuts in data",
    about="Checks every row with a model that was not trained on it (cross-validation), and writes findings and proposed\n"
    "corrections. With a data file instead of a recipe, all keys have their defaults. For a finished run, its training\n"
    "dynamics are used too. Of two or more data sets the difficulty is measured, each with its own labels; shared labels are\n"
    "compared: equal texts with different labels, and transfer. An oracle gives labels to compare with.",
    example="tunesmith diagnose tickets.csv\ntunesmith diagnose recipe.yaml diagnose.n_folds=10\n"
    "tunesmith diagnose runs/tickets\ntunesmith diagnose tickets.csv --oracle runs/tickets\n"
    "tunesmith diagnose tickets.csv others.csv",
    add_arguments=add_arguments,
    run=run,
)
