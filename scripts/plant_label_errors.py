"""Makes the built-in support data from clean messages: changes about 4 % of the training labels on purpose.

    python scripts/plant_label_errors.py CLEAN_TRAIN.csv CLEAN_TEST.csv

writes ``src/tunesmith/data/samples/support_train.csv`` (with wrong labels), ``support_test.csv`` beside it (all right) and
``tests/data/support_truth.csv`` (the right label of every training row; only tests read it). The committed files are
the source: the result does not depend on the order of the clean rows, so a test repeats the changes from them.
"""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "src" / "tunesmith" / "data" / "samples"
TRUTH = ROOT / "tests" / "data" / "support_truth.csv"

SEED = 20240611
N_WRONG = 36  # 4 % of 900
N_UNIFORM = 10  # of them drawn from all other intents: slips of the hand rather than misreadings
MOST_PER_INTENT = 4
SHUFFLED_BEFORE_LABELS = 240
"""Rows that are shuffled before the wrong labels are drawn: a constant, so that more test rows leave the labels as they are."""

# intent -> intents a hurried annotator takes it for
NEIGHBOURS = {
    "cancel_order": ("return_item", "order_status"),
    "change_address": ("order_status", "cancel_order"),
    "damaged_item": ("wrong_item", "return_item"),
    "discount_code": ("payment_failed", "product_question"),
    "invoice_request": ("payment_failed", "refund_status"),
    "login_problem": ("payment_failed", "change_address"),
    "order_status": ("refund_status", "change_address"),
    "payment_failed": ("discount_code", "invoice_request"),
    "product_question": ("order_status", "discount_code"),
    "refund_status": ("return_item", "order_status"),
    "return_item": ("refund_status", "cancel_order"),
    "wrong_item": ("damaged_item", "return_item"),
}

Row = tuple[str, str]  # message, intent


def shuffled(rows: Iterable[Row], rng: random.Random) -> list[Row]:
    """Returns the rows in an order that depends on the seed and the messages alone."""
    ordered = sorted(rows)
    rng.shuffle(ordered)
    return ordered


def rows_to_spoil(intents: Sequence[str], rng: random.Random) -> list[int]:
    """Draws ``N_WRONG`` positions in random order, at most ``MOST_PER_INTENT`` of one intent."""
    positions = list(range(len(intents)))
    rng.shuffle(positions)
    taken: dict[str, int] = {}
    chosen: list[int] = []
    for position in positions:
        intent = intents[position]
        if taken.get(intent, 0) < MOST_PER_INTENT and len(chosen) < N_WRONG:
            taken[intent] = taken.get(intent, 0) + 1
            chosen.append(position)
    return chosen


def plant(intents: Sequence[str], rng: random.Random) -> list[str]:
    """Changes ``N_WRONG`` of the intents."""
    planted = list(intents)
    for i, position in enumerate(rows_to_spoil(intents, rng)):
        truth = intents[position]
        others = sorted(set(NEIGHBOURS) - {truth}) if i < N_UNIFORM else NEIGHBOURS[truth]
        planted[position] = rng.choice(list(others))
    return planted


def build(train: Iterable[Row], test: Iterable[Row]) -> tuple[list[Row], list[Row], list[str]]:
    """Returns the training rows with wrong labels, the test rows, and the true intent of every training row."""
    rng = random.Random(SEED)
    clean = shuffled(train, rng)
    held_out = shuffled(test, random.Random(SEED))
    rng.shuffle(list(range(SHUFFLED_BEFORE_LABELS)))
    truth = [intent for _, intent in clean]
    given = plant(truth, rng)
    return [(message, intent) for (message, _), intent in zip(clean, given, strict=True)], held_out, truth


def read_rows(path: Path) -> list[Row]:
    """Reads the (message, intent) rows of a csv file."""
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["message"], row["intent"]) for row in csv.DictReader(file)]


def write_rows(path: Path, header: Row, rows: Iterable[tuple[object, str]]) -> None:
    """Writes a csv file with ``\n`` line ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main(clean_train: str, clean_test: str) -> None:
    train, test, truth = build(read_rows(Path(clean_train)), read_rows(Path(clean_test)))
    write_rows(SAMPLES / "support_train.csv", ("message", "intent"), train)
    write_rows(SAMPLES / "support_test.csv", ("message", "intent"), test)
    write_rows(TRUTH, ("row_id", "intent"), enumerate(truth))
    wrong = sum(given != right for (_, given), right in zip(train, truth, strict=True))
    print(f"{len(train)} training rows, {wrong} of them wrong; {len(test)} test rows")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
