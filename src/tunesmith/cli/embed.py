"""``embed``: writes the embeddings of the texts in a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tunesmith.cli.parsing import UsageError, Verb, add_processes, columns_by_role
from tunesmith.cli.terminal import Outcome, Terminal

SETTINGS = ("text", "prompt", "dtype", "dimensions", "normalize", "max_length", "resume", "overwrite")
"""Options that ``workflows.embed`` has under the same names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a run, a folder, a hub id or builtin:NAME")
    parser.add_argument("file", metavar="FILE", help="the rows: csv, tsv, json, jsonl, parquet, builtin:NAME or hub:NAME")
    parser.add_argument(
        "--output", metavar="OUT", required=True, help="OUT.parquet (id, embedding) or OUT.npy; with --teacher .jsonl, .csv, ..."
    )
    parser.add_argument("--text", metavar="COLUMN", action="append", default=[], help="the text column; repeat to join columns")
    parser.add_argument("--prompt", metavar="TEXT", help="a prompt to prepend to every text (default: the model's)")
    parser.add_argument("--dimensions", metavar="N", type=int, help="truncate embeddings to N dimensions (Matryoshka)")
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32", help="data type (default: %(default)s)")
    parser.add_argument("--normalize", action="store_true", help="normalize embeddings to length 1")
    parser.add_argument("--max-length", metavar="TOKENS", type=int, help="maximum text length (default: the model's limit)")
    add_processes(parser)
    teacher = parser.add_argument_group("scores of a teacher")
    teacher.add_argument(
        "--teacher",
        action="store_true",
        help="instead: write every row with MODEL's scores of its texts, to train on with MarginMSELoss; MODEL is a "
        "cross-encoder, the run of a reranker, or an embedding model",
    )
    teacher.add_argument("--logits", action="store_true", help="logits of a cross-encoder instead of probabilities")
    teacher.add_argument(
        "--column", metavar="ROLE=COLUMN", action="append", help="role of a column, as in data.columns; repeatable"
    )
    restart = parser.add_mutually_exclusive_group()
    restart.add_argument("--resume", action="store_true", help="continue an interrupted embedding")
    restart.add_argument("--overwrite", action="store_true", help="replace an existing file or an interrupted embedding")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    refused = ("text", "prompt", "dimensions", "normalize", "processes") if args.teacher else ("logits", "column")
    given = [name for name in refused if getattr(args, name)]
    if args.teacher and args.dtype != "float32":
        given.append("dtype")
    if given:
        raise UsageError.one("embed", f"--{given[0]} works only {'without' if args.teacher else 'with'} --teacher.", "Remove it.")
    return score_rows(args, terminal) if args.teacher else embed_texts(args, terminal)


def embed_texts(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Writes the embeddings of the texts."""
    from tunesmith.report.numbers import duration, plural
    from tunesmith.workflows import embed as vectors

    settings: dict[str, Any] = {name: getattr(args, name) for name in SETTINGS}
    done = vectors.embed(
        args.model, Path(args.file), args.output, **settings, processes=args.processes or 1, listener=terminal.listener
    )
    shape = (
        f"{plural(done.n_rows, 'vector')} of {plural(done.dimension, 'dimension')} ({done.dtype}) of {' + '.join(done.columns)}"
    )
    lines = [f"{shape} written to {done.path} in {duration(done.seconds)}"]
    if done.n_kept:
        lines.append(f"{plural(done.n_kept, 'row')} had been embedded before the interruption")
    if done.n_missing:
        empty = "null" if done.path.suffix == ".parquet" else "NaN"
        lines.append(f"note: {plural(done.n_missing, 'row')} without a text: {empty}")
    if done.default_prompt:
        lines.append(f"note: the model's default prompt {done.default_prompt!r} was put before every text; --prompt changes it")
    if done.unused_prompts:
        shown = ", ".join(f"{name} {text!r}" for name, text in done.unused_prompts.items())
        lines.append(f"note: no prompt was put before the texts; the model was trained with {shown}: give one by --prompt")
    return Outcome(done.to_json(), lines=lines)


def score_rows(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Writes the rows with the scores of a teacher."""
    from tunesmith.report.numbers import duration, number, plural
    from tunesmith.workflows.teacher_scores import teacher_scores

    done = teacher_scores(
        args.model,
        Path(args.file),
        args.output,
        columns=columns_by_role(args.column, "embed"),
        logits=args.logits,
        max_length=args.max_length,
        resume=args.resume,
        overwrite=args.overwrite,
        listener=terminal.listener,
    )
    scores = plural(done.n_rows - done.n_missing, "row")
    lines = [
        f"{scores} of {' + '.join(done.columns)} scored by the {done.teacher} {args.model}",
        f"{done.path} written in {duration(done.seconds)}: all columns, and {', '.join(done.scores)} ({done.scale})",
    ]
    if done.n_positive_higher is not None and done.largest_margin is not None:
        lines.append(
            f"the positive is above every negative in {done.n_positive_higher:,}; largest margin {number(done.largest_margin)}"
        )
    if done.n_kept:
        lines.append(f"{plural(done.n_kept, 'row')} had been scored before the interruption")
    if done.n_missing:
        lines.append(f"note: {plural(done.n_missing, 'row')} without a text: no scores")
    lines += [f"note: {note}" for note in done.notes]
    if done.recipe_columns:
        named = ", ".join(f"{part}: {as_yaml(name)}" for part, name in done.recipe_columns.items())
        lines.append(f"note: to train on the file, write data: {{columns: {{{named}}}}} in the recipe")
    return Outcome(done.to_json(), lines=lines)


def as_yaml(name: str | list[str]) -> str:
    """Formats a column, or several, for a line of the recipe."""
    return f"[{', '.join(name)}]" if isinstance(name, list) else name


VERB = Verb(
    name="embed",
    takes="MODEL FILE",
    does="write the embeddings of the texts in a file",
    about="Writes one embedding per row of a file, in its order, with any embedding model. --resume continues an\n"
    "interrupted embedding. With --teacher it writes the rows of a file with a teacher's scores, for distillation.",
    example="tunesmith embed builtin:minilm corpus.jsonl --text title --text text --output corpus.parquet\n"
    "tunesmith embed runs/reranker triplets.csv --teacher --output scored.jsonl",
    add_arguments=add_arguments,
    run=run,
)
