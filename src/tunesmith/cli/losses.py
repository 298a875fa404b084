"""``losses``: lists the embedding losses that fit each dataset format."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal, table

if TYPE_CHECKING:
    from tunesmith.data.pairs.formats import PairFormat, PairKind
    from tunesmith.data.table import Table

NOTES = {"in_batch": "in-batch negatives", "has_weights": "has trainable weights", "teacher": "needs a teacher or guide"}
"""Facts of a loss -> their words."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", metavar="DATA", nargs="?", help="list only the losses for these rows: a file, a folder or hub:NAME"
    )


def run(args: argparse.Namespace, _terminal: Terminal) -> Outcome:
    from tunesmith.data.pairs.formats import MEANING

    if args.data is not None:
        return losses_for_data(args.data)
    kinds: list[PairKind] = list(MEANING)
    others = wrappers()
    lines = [line for kind in kinds for line in (*shape_lines(kind, 0), "")]
    lines += ["wrappers and regularizers of another loss", *table([("", loss["name"], loss["does"]) for loss in others])]
    formats = [record(kind, 0) for kind in kinds]
    return Outcome({"formats": formats, "shapes": formats, "wrappers": others}, lines=lines)


def losses_for_data(source: str) -> Outcome:
    """Detects the dataset format of a file and lists the losses for it."""
    from tunesmith.data.cells import is_missing, plural
    from tunesmith.data.pairs.formats import detect_pair_format
    from tunesmith.data.pairs.text_lists import divide_text_lists
    from tunesmith.data.readers.read import read_table

    rows, note = divide_text_lists(read_table(source))
    shape = detect_pair_format(rows)
    n_classes = 0
    if shape.kind in ("labelled_pair", "labelled_text"):
        n_classes = len({str(cell).strip() for cell in rows.columns[shape.target[0]] if not is_missing(cell)})
    head = f"{source}: {plural(len(rows), 'row')}, {' + '.join(shape.columns)} ({shape.reason})"
    converted = conversions(rows, shape)
    json = {
        "data": source,
        "rows": len(rows),
        "columns": list(shape.columns),
        "n_classes": n_classes,
        "formats": [record(shape.kind, n_classes)],
        "shapes": [record(shape.kind, n_classes)],  # the earlier name of ``formats``
        "conversions": converted,
        "wrappers": wrappers(),
    }
    lines = [f"as {target['shape'].replace('_', ' ')}: {target['summary']}; {target['default']}" for target in converted]
    return Outcome(json, lines=[head, *filter(None, [note]), "", *shape_lines(shape.kind, n_classes), *lines])


def conversions(rows: Table, shape: PairFormat) -> list[dict[str, Any]]:
    """Lists the formats that the rows can be converted to, with row counts and the default loss of each."""
    from tunesmith.data.pairs.conversions import CONVERSIONS, convert
    from tunesmith.errors import DataError
    from tunesmith.training.losses.embedding import default_for

    targets = []
    for kind in [after for before, after in CONVERSIONS if before == shape.kind]:
        try:
            converted = convert(rows, shape, kind)
            n_rows, left_out, words = len(converted.rows), dict(converted.left_out), converted.summary()
        except DataError as error:
            n_rows, left_out, words = 0, {}, error.problems[0].message
        targets.append(
            {
                "format": kind,
                "shape": kind,
                "default": default_for(kind).loss,
                "rows": n_rows,
                "left_out": left_out,
                "summary": words,
            }
        )
    return targets


def record(kind: PairKind, n_classes: int) -> dict[str, Any]:
    """Lists the losses of one format, as printed by ``--json``."""
    from tunesmith.data.pairs.formats import MEANING
    from tunesmith.training.losses.embedding import LOSSES, default_for, fitting

    default = default_for(kind, n_classes)
    facts = ("does", *NOTES)
    losses = [{"name": name, **{fact: getattr(LOSSES[name], fact) for fact in facts}} for name in fitting(kind, n_classes)]
    return {
        "format": kind,
        "shape": kind,
        "meaning": MEANING[kind],
        "default": default.loss,
        "because": default.because,
        "losses": losses,
    }


def wrappers() -> list[dict[str, str]]:
    from tunesmith.training.losses.embedding import WRAPPERS

    return [{"name": name, "does": wrapper.does} for name, wrapper in WRAPPERS.items()]


def shape_lines(kind: PairKind, n_classes: int) -> list[str]:
    """Formats one format and its losses; marks and explains the default."""
    entry = record(kind, n_classes)
    rows = []
    for loss in entry["losses"]:
        notes = ", ".join(note for key, note in NOTES.items() if loss[key])
        mark = "*" if loss["name"] == entry["default"] else ""
        rows.append((mark, loss["name"], f"{loss['does']} ({notes})" if notes else loss["does"]))
    return [f"{kind.replace('_', ' ')}: {entry['meaning']}", *table(rows), f"  * the default: {entry['because']}"]


VERB = Verb(
    name="losses",
    takes="[DATA]",
    does="list the losses that fit embedding data",
    about="Lists the dataset formats for embedding models and the losses for each; explains the default loss.\n"
    "With a file: detects its format and lists the losses for it.",
    example="tunesmith losses\ntunesmith losses pairs.csv",
    add_arguments=add_arguments,
    run=run,
)
