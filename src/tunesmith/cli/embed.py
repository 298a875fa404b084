"""``embed``: the vectors of a file's texts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal

if TYPE_CHECKING:
    from tunesmith.workflows.embed import Embedded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a run, a folder, a hub id or builtin:NAME")
    parser.add_argument("file", metavar="FILE", help="the rows: csv, tsv, json, jsonl, parquet, builtin:NAME or hub:NAME")
    parser.add_argument("--output", metavar="OUT", required=True, help="OUT.parquet (id, embedding) or OUT.npy")
    parser.add_argument("--text", metavar="COLUMN", action="append", default=[], help="the text; again to join several columns")
    parser.add_argument("--prompt", metavar="TEXT", default="", help="put before every text")
    parser.add_argument("--dimensions", metavar="N", type=int, help="keep the first N dimensions (Matryoshka)")
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32", help="of the numbers (float32)")
    parser.add_argument("--normalize", action="store_true", help="give every vector length 1")
    parser.add_argument("--max-length", metavar="TOKENS", type=int, help="tokens of a text that are read; the model's own limit")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="continue an interrupted embedding")
    again.add_argument("--overwrite", action="store_true", help="replace a file, or an unfinished embedding")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.workflows import embed as vectors

    done = vectors.embed(
        args.model, args.file, args.output, text=args.text, prompt=args.prompt, dtype=args.dtype, dimensions=args.dimensions,
        normalize=args.normalize, max_length=args.max_length, resume=args.resume, overwrite=args.overwrite,
        listener=terminal.listener,
    )  # fmt: skip
    return Outcome(done.to_json(), lines=lines_of(done))


def lines_of(done: Embedded) -> list[str]:
    """What was written, and which rows have no vector."""
    from tunesmith.report.numbers import duration, plural

    what = f"{plural(done.n_rows, 'vector')} of {done.dimension} dimensions ({done.dtype}) of {' + '.join(done.columns)}"
    lines = [f"{what} written to {done.path} in {duration(done.seconds)}"]
    if done.n_kept:
        lines.append(f"{plural(done.n_kept, 'row')} had been embedded before the interruption")
    if done.n_missing:
        empty = "null" if done.path.suffix == ".parquet" else "NaN"
        lines.append(f"note: {plural(done.n_missing, 'row')} without a text: {empty}")
    return lines


VERB = Verb(
    name="embed",
    takes="MODEL FILE",
    does="write the vectors of a file's texts",
    about="Writes a vector for every row of a file, in its order, by any embedding model. An interrupted embedding goes on\n"
    "with --resume.",
    example="tunesmith embed builtin:minilm corpus.jsonl --text title --text text --output corpus.parquet",
    add_arguments=add_arguments,
    run=run,
)
