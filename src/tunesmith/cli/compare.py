"""``compare``: computes the verdict between runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.cli.parsing import EXIT_CODES, UsageError, Verb
from tunesmith.cli.predict import ANY_MODEL, add_columns, add_model_options, columns_from_args, model_settings
from tunesmith.cli.terminal import WORD_COLOURS, Outcome, Terminal, table, written
from tunesmith.disk import require_file_place

if TYPE_CHECKING:
    from tunesmith.results import Verdict

WORSE, CANNOT_TELL = 3, 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help=f"finished runs, or other classifiers ({ANY_MODEL}); the first is compared with every other",
    )
    parser.add_argument("--metric", metavar="M", help="the metric (default: the primary metric of the first run)")
    parser.add_argument(
        "--items",
        metavar="FILE",
        help="also write the difficulty of each row by three or more runs or seeds (csv)",
    )
    parser.add_argument(
        "--reward",
        metavar="REWARD",
        help="compare language models by the reward of their answers: file.py:name, or a run of task: reward",
    )
    parser.add_argument("--max-new-tokens", metavar="N", type=int, help="maximum tokens of such an answer (default: 64)")
    parser.add_argument("--seed", metavar="N", type=int, help="of the sampled answers (default: 0)")
    parser.add_argument("--split", metavar="S", help="the split to compare on (default: the evaluation split of the first run)")
    parser.add_argument(
        "--data", metavar="FILE", help="labelled rows, or prompts, for all of them (default: those of the first run)"
    )
    add_columns(parser, label=True)
    add_model_options(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.results import finite
    from tunesmith.workflows.compare import compare, limits_of_verdicts

    if len(args.runs) < 2:
        raise UsageError.one("compare", "at least two runs are needed.", "For example: tunesmith compare runs/a runs/b")
    runs = list(args.runs)
    check_options(args)
    if args.reward is not None:
        return compared_answers(args, terminal)
    rows = {"data": args.data, "columns": columns_from_args(args), **model_settings(args)}
    verdicts = compare(runs, metric=args.metric, split=args.split, **rows, listener=terminal.listener)
    json: dict[str, Any] = {"verdicts": [finite(asdict(verdict)) for verdict in verdicts]}
    item_lines = measured_items(args, [Path(name) for name in runs], json) if args.items else []
    notes = json["notes"] = limits_of_verdicts(runs, verdicts, args.data)
    lines = [*verdict_lines(args.runs[0], verdicts, terminal), *notes, *item_lines]
    return Outcome(json, lines=lines, exit_code=code_of(verdicts))


def compared_answers(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Compares language models by the reward of their answers."""
    from tunesmith.report.numbers import with_interval
    from tunesmith.report.words import display_name
    from tunesmith.results import finite
    from tunesmith.workflows.compare_answers import compare_answers

    found = compare_answers(
        args.runs,
        args.reward,
        args.data,
        columns=columns_from_args(args),
        max_new_tokens=args.max_new_tokens or 64,
        seed=args.seed or 0,
        listener=terminal.listener,
    )
    names = [metric.name for metric in found.models[0].metrics]
    rows = [("", *map(display_name, names))]
    rows += [(model.name, *(with_interval(m.value, m.low, m.high) for m in model.metrics)) for model in found.models]
    lines = [*verdict_lines(args.runs[0], found.verdicts, terminal, "prompt"), "", *table(rows), *found.notes]
    return Outcome(finite(asdict(found)), lines=lines, exit_code=code_of(found.verdicts))


def code_of(verdicts: Sequence[Verdict]) -> int:
    """Returns the exit code of verdicts: that of the worst of them."""
    words = {verdict.word for verdict in verdicts}
    return WORSE if "worse" in words else CANNOT_TELL if "cannot tell" in words else 0


def check_options(args: argparse.Namespace) -> None:
    """Raises InputError for options that exclude or need each other, and for a file of items that cannot be written."""
    if args.reward is None and (args.max_new_tokens is not None or args.seed is not None):
        raise UsageError.one(
            "compare", "--max-new-tokens and --seed are of sampled answers.", "Give the reward: --reward REWARD."
        )
    if args.max_new_tokens is not None and args.max_new_tokens < 1:
        raise UsageError.one(
            "--max-new-tokens", f"an answer has at least one token, and {args.max_new_tokens} was given.", "Give 1 or more."
        )
    if args.reward is not None and (args.metric or args.items or args.split):
        raise UsageError.one("compare", "--reward excludes --metric, --items and --split.", "Leave them out.")
    if args.data is None and any((args.text, args.pair, args.label)):
        raise UsageError.one("compare", "columns are named, and no file has them.", "Give the file: --data FILE.")
    if args.data is not None and args.split is not None:
        raise UsageError.one("compare", "--data and --split exclude each other.", "Give one.")
    if args.items and args.data is not None:
        raise UsageError.one("compare", "--items reads the saved predictions of runs, not --data.", "Leave one of them out.")
    if args.items:
        require_file_place(Path(args.items))


def measured_items(args: argparse.Namespace, runs: Sequence[Path], json: dict[str, Any]) -> list[str]:
    """Writes the difficulty of each row, adds the outcome to ``json``, and formats models and hardest rows."""
    from tunesmith.report.numbers import number, with_interval
    from tunesmith.results import finite
    from tunesmith.workflows.items import SHOWN, measure_items

    items, path = measure_items(runs, args.split), Path(args.items)
    was_there = path.exists()
    items.write(path)
    json["items"] = {"path": str(path), **dict(finite(items.to_json()))}
    models = [
        (f"{m['run']}{'' if m['seed'] is None else ' seed ' + str(m['seed'])}", with_interval(m["skill"], m["low"], m["high"]))
        for m in items.models
    ]
    hardest = [
        f"  row {row['row_id']}, labelled {row['label']}: {number(row['difficulty'])} "
        f"[{number(row['difficulty_low'])}, {number(row['difficulty_high'])}], {row['n_right']} of {row['n_models']} right"
        for row in items.rows[:SHOWN]
    ]
    heads = ["", f"skill of each model on {items.split}, in log-odds of a right answer above their mean, with its 95 % interval"]
    return [*heads, *table(models), f"hardest rows of {items.split}", *hardest, items.note, written("items", path, was_there)]


def verdict_lines(first: str, verdicts: Sequence[Verdict], terminal: Terminal, noun: str = "row") -> list[str]:
    """Formats one line per verdict, sample sizes in ``noun``; below, the smallest detectable difference of "cannot tell"."""
    from tunesmith.report.numbers import number, plural, with_interval
    from tunesmith.report.words import display_name

    rows = [
        (
            v.word,
            f"{'against' if v.word == 'cannot tell' else 'than'} {v.against}",
            f"{display_name(v.metric)} on {v.split}",
            with_interval(v.difference, v.low, v.high, signed=True),
            plural(v.n, noun) + ("" if v.n_clusters is None else f" in {plural(v.n_clusters, 'cluster')}"),
        )
        for v in verdicts
    ]
    words = [terminal.paint(v.word, WORD_COLOURS[v.word]) for v in verdicts]
    lines = [line.replace(row[0], word, 1) for line, row, word in zip(table(rows), rows, words, strict=True)]
    small = [
        f"  Against {v.against}, {plural(v.n, noun)} would probably have shown a difference of {number(v.smallest_detectable)}."
        for v in verdicts
        if v.word == "cannot tell" and v.smallest_detectable is not None
    ]
    return [f"{first} is", *lines, *small]


VERB = Verb(
    name="compare",
    takes="RUN RUN ...",
    does="test whether one run is significantly better than another",
    about="Compares the first run with every other run on the same rows: better, worse or cannot tell, with the\n"
    "difference and its 95 % interval. A classifier that another program trained predicts the rows of the run.\n"
    "With --reward, language models of any task answer the same prompts, and the rewards of their answers are compared.",
    example="tunesmith compare runs/b runs/a --metric macro_f1\ntunesmith compare runs/b downloaded/sentiment --data test.csv\n"
    "tunesmith compare runs/dpo runs/sft --reward runs/reward",
    add_arguments=add_arguments,
    run=run,
    exit_codes=f"{EXIT_CODES.replace('0 done', '0 better')}, 3 worse, 4 cannot tell",
)
