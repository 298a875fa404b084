"""``losses``: which loss of embeddings takes which data."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal, table

if TYPE_CHECKING:
    from tunesmith.data.pairs.formats import PairFormat, PairKind
    from tunesmith.data.table import Table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", nargs="?", help="only what fits these rows: a file, a folder or hub:NAME")


def run(args: argparse.Namespace, _terminal: Terminal) -> Outcome:
    from tunesmith.data.pairs.formats import MEANING

    if args.data is not None:
        return of_data(args.data)
    kinds: list[tuple[PairKind, int]] = [(kind, 0) for kind in MEANING]
    json = {"shapes": [record(kind, n) for kind, n in kinds], "wrappers": wrappers()}
    lines = [line for kind, n in kinds for line in (*shape_lines(kind, n), "")]
    return Outcome(json, lines=[*lines, *wrapper_lines()])


def of_data(source: str) -> Outcome:
    """The shape of a file's rows, and the losses for it."""
    from tunesmith.data.cells import is_missing
    from tunesmith.data.pairs.formats import detect_pair_format
    from tunesmith.data.readers.read import read_table

    rows = read_table(source)
    shape = detect_pair_format(rows)
    n_classes = 0
    if shape.kind in ("labelled_pair", "labelled_text"):
        n_classes = len({str(cell).strip() for cell in rows.columns[shape.target[0]] if not is_missing(cell)})
    parts = " + ".join(shape.columns)
    head = f"{source}: {len(rows):,} rows, {parts} ({shape.reason})"
    found = {"data": source, "rows": len(rows), "columns": list(shape.columns), "n_classes": n_classes}
    others = conversions(rows, shape)
    json = {**found, "shapes": [record(shape.kind, n_classes)], "conversions": others, "wrappers": wrappers()}
    lines = [line for one in others for line in conversion_lines(one)]
    return Outcome(json, lines=[head, "", *shape_lines(shape.kind, n_classes), *lines])


def conversions(rows: Table, shape: PairFormat) -> list[dict[str, Any]]:
    """What the rows can be made into, with counts and the default loss for it."""
    from tunesmith.data.pairs.conversions import CONVERSIONS, convert
    from tunesmith.errors import DataError
    from tunesmith.training.losses.embedding import default_for

    found = []
    for kind in [after for before, after in CONVERSIONS if before == shape.kind]:
        one: dict[str, Any] = {"shape": kind, "default": default_for(kind).loss}
        try:
            made = convert(rows, shape, kind)
            found.append({**one, "rows": len(made.rows), "left_out": dict(made.left_out), "summary": made.summary()})
        except DataError as error:
            found.append({**one, "rows": 0, "left_out": {}, "summary": error.problems[0].message})
    return found


def conversion_lines(one: dict[str, Any]) -> list[str]:
    return [f"as {one['shape'].replace('_', ' ')}: {one['summary']}; {one['default']}"]


def record(kind: PairKind, n_classes: int) -> dict[str, Any]:
    """One shape with its losses, as ``--json`` has it."""
    from tunesmith.data.pairs.formats import MEANING
    from tunesmith.training.losses.embedding import LOSSES, default_for, fitting

    default = default_for(kind, n_classes)
    losses = [
        {"name": name, "does": LOSSES[name].does, "in_batch": LOSSES[name].in_batch, "has_weights": LOSSES[name].has_weights,
         "teacher": LOSSES[name].teacher}
        for name in fitting(kind, n_classes)
    ]  # fmt: skip
    return {"shape": kind, "meaning": MEANING[kind], "default": default.loss, "because": default.because, "losses": losses}


def wrappers() -> list[dict[str, str]]:
    from tunesmith.training.losses.embedding import WRAPPERS

    return [{"name": name, "does": wrapper.does} for name, wrapper in WRAPPERS.items()]


def shape_lines(kind: PairKind, n_classes: int) -> list[str]:
    """A shape and its losses, the default marked and explained."""
    found = record(kind, n_classes)
    rows = [("*" if one["name"] == found["default"] else "", one["name"], described(one)) for one in found["losses"]]
    return [f"{kind.replace('_', ' ')}: {found['meaning']}", *table(rows), f"  * the default: {found['because']}"]


def described(loss: dict[str, Any]) -> str:
    """What a loss does and what to know of it."""
    more = [word for key, word in NOTES.items() if loss[key]]
    return str(loss["does"]) + (f" ({', '.join(more)})" if more else "")


NOTES = {"in_batch": "negatives of the batch", "has_weights": "own weights", "teacher": "needs a teacher or guide"}


def wrapper_lines() -> list[str]:
    return ["around or beside another loss", *table([("", one["name"], one["does"]) for one in wrappers()])]


VERB = Verb(
    name="losses",
    takes="[DATA]",
    does="say which loss of embeddings fits which data",
    about="Lists the shapes that data for embeddings have and the losses that take each, the default marked with its reason.\n"
    "With a file: what its rows are, and the losses for them.",
    example="tunesmith losses\ntunesmith losses pairs.csv",
    add_arguments=add_arguments,
    run=run,
)
