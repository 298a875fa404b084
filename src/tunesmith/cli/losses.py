"""``losses``: lists the embedding losses that fit each dataset format."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import Outcome, Terminal, table

NOTES = {"in_batch": "in-batch negatives", "has_weights": "has trainable weights", "teacher": "needs a teacher or guide"}
"""Facts of a loss -> their words."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", metavar="DATA", nargs="?", help="list only the losses for these rows: a file, a folder or hub:NAME"
    )


def run(args: argparse.Namespace, _terminal: Terminal) -> Outcome:
    from tunesmith.data.cells import plural
    from tunesmith.workflows.losses import losses

    found = losses(args.data)
    if args.data is None:
        lines = [line for entry in found["formats"] for line in (*format_lines(entry), "")]
        others = [("", loss["name"], loss["does"]) for loss in found["wrappers"]]
        return Outcome(found, lines=[*lines, "wrappers and regularizers of another loss", *table(others)])
    head = f"{args.data}: {plural(found['rows'], 'row')}, {' + '.join(found['columns'])} ({found['reason']})"
    lines = [
        f"as {target['shape'].replace('_', ' ')}: {target['summary']}; {target['default']}" for target in found["conversions"]
    ]
    return Outcome(found, lines=[head, *filter(None, [found["note"]]), "", *format_lines(found["formats"][0]), *lines])


def format_lines(entry: Mapping[str, Any]) -> list[str]:
    """Formats one format and its losses; marks and explains the default."""
    rows = []
    for loss in entry["losses"]:
        notes = ", ".join(note for key, note in NOTES.items() if loss[key])
        mark = "*" if loss["name"] == entry["default"] else ""
        rows.append((mark, loss["name"], f"{loss['does']} ({notes})" if notes else loss["does"]))
    return [f"{entry['format'].replace('_', ' ')}: {entry['meaning']}", *table(rows), f"  * the default: {entry['because']}"]


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
