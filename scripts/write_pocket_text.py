"""Writes the pretraining texts of builtin:pocket and the built-in instruction rows; the same files every time.

    python scripts/write_pocket_text.py [--texts 150000] [--to build/pocket]

Into the build folder (not committed): ``train.jsonl`` and ``held_out.jsonl``, one text a line. Into
``src/tunesmith/data/samples``:
``sft_train.jsonl``, ``sft_test.jsonl``, ``preference_train.jsonl``, ``preference_test.jsonl``, and the texts of kind "pocket" in
``general_text.jsonl``, whose texts of kind "general" are written by hand and stay.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from pocket_preferences import pairs
from pocket_rows import Row, rows
from pocket_texts import any_text, letter, recap, recipe, story, wondering

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "src" / "tunesmith" / "data" / "samples"
GENERAL = SAMPLES / "general_text.jsonl"
N_HELD_OUT = 1000
N_EARLY = 8_000
N_TRAIN_ROWS, N_TEST_ROWS = 120, 10
"""Rows of every kind of instruction."""
N_POCKET = 60
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=150_000)
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "pocket")
    args = parser.parse_args()
    args.to.mkdir(parents=True, exist_ok=True)
    kept = {row["text"] for row in general_text() if row["kind"] == "pocket"}
    write(args.to / "held_out.jsonl", ({"text": text} for text in texts(N_HELD_OUT, f"held out {SEED}")))
    write(args.to / "train.jsonl", ({"text": text} for text in texts(args.texts, f"train {SEED}", N_EARLY) if text not in kept))
    for name, found in samples().items():
        write(SAMPLES / name, found)


def texts(n: int, seed: str, n_early: int = 0) -> Iterator[str]:
    """Generates so many texts of the harbour town, the first of them mostly with repetitions."""
    dice = Random(seed)
    return (any_text(dice, i < n_early) for i in range(n))


def samples() -> dict[str, list[Row]]:
    """Maps file names to the rows that come with the package."""
    train, test = rows(N_TRAIN_ROWS, N_TEST_ROWS, SEED)
    better_train, better_test = pairs(train, test, SEED)
    return {
        "sft_train.jsonl": train,
        "sft_test.jsonl": test,
        "preference_train.jsonl": better_train,
        "preference_test.jsonl": better_test,
        "general_text.jsonl": general_text(),
    }


def general_text() -> list[Row]:
    """Returns the texts written by hand, then those of the harbour town."""
    by_hand = [row for row in map(json.loads, GENERAL.read_text(encoding="utf-8").splitlines()) if row["kind"] == "general"]
    dice = Random(f"general text {SEED}")
    makers = (story, letter, wondering, recap, recipe)
    return by_hand + [{"kind": "pocket", "text": makers[i % len(makers)](dice)} for i in range(N_POCKET)]


def write(path: Path, found: Iterable[Row]) -> None:
    with path.open("w", encoding="ascii") as file:
        file.writelines(json.dumps(row) + "\n" for row in found)


if __name__ == "__main__":
    main()
