"""``embed``: writes the embeddings of the texts in a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal

SETTINGS = ("text", "prompt", "dtype", "dimensions", "normalize", "max_length", "resume", "overwrite")
"""Options that ``workflows.embed`` has under the same names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a run, a folder, a hub id or builtin:NAME")
    parser.add_argument("file", metavar="FILE", help="the rows: csv, tsv, json, jsonl, parquet, builtin:NAME or hub:NAME")
    parser.add_argument("--output", metavar="OUT", required=True, help="OUT.parquet (id, embedding) or OUT.npy")
    parser.add_argument("--text", metavar="COLUMN", action="append", default=[], help="the text column; repeat to join columns")
    parser.add_argument("--prompt", metavar="TEXT", help="a prompt to prepend to every text (default: the model's)")
    parser.add_argument("--dimensions", metavar="N", type=int, help="truncate embeddings to N dimensions (Matryoshka)")
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32", help="data type (default: %(default)s)")
    parser.add_argument("--normalize", action="store_true", help="normalize embeddings to length 1")
    parser.add_argument("--max-length", metavar="TOKENS", type=int, help="maximum text length (default: the model's limit)")
    restart = parser.add_mutually_exclusive_group()
    restart.add_argument("--resume", action="store_true", help="continue an interrupted embedding")
    restart.add_argument("--overwrite", action="store_true", help="replace an existing file or an interrupted embedding")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.report.numbers import duration, plural
    from tunesmith.workflows import embed as vectors

    settings: dict[str, Any] = {name: getattr(args, name) for name in SETTINGS}
    done = vectors.embed(args.model, Path(args.file), args.output, **settings, listener=terminal.listener)
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


VERB = Verb(
    name="embed",
    takes="MODEL FILE",
    does="write the embeddings of the texts in a file",
    about="Writes one embedding per row of a file, in its order, with any embedding model. --resume continues an\n"
    "interrupted embedding.",
    example="tunesmith embed builtin:minilm corpus.jsonl --text title --text text --output corpus.parquet",
    add_arguments=add_arguments,
    run=run,
)
