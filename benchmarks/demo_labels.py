"""Counts the labels wrong on purpose among the rows that the demo's run flags as suspect, of which its result lists the first 50.

tunesmith demo && python benchmarks/demo_labels.py [--run runs/demo]
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from record import write

from tunesmith.data.readers.read import builtin_path
from tunesmith.tasks.finished import Run

TRUTH = Path(__file__).resolve().parents[1] / "tests" / "data" / "support_truth.csv"
WANTED = {"recall": 0.8, "precision": 0.6}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path, default=Path("runs/demo"))
    run = parser.parse_args().run
    finding = next(finding for finding in Run.load(run).result.findings if finding.name == "suspect_labels")
    with np.load(run / "epoch_logits.npz") as kept:
        trained = set(kept["row_ids"].tolist())
    listed, wrong = {row["row_id"] for row in finding.rows}, planted() & trained
    found = listed & wrong
    write("demo_labels", {
        "training_rows": len(trained), "wrong": len(wrong), "flagged": finding.flagged, "listed": len(listed),
        "found": len(found),
        "recall": len(found) / len(wrong), "precision": len(found) / len(listed), "wanted": WANTED,
    })  # fmt: skip


def planted() -> set[int]:
    """Returns the row ids of the sample whose label is wrong on purpose."""
    sample = builtin_path("builtin:support_train")
    with sample.open(encoding="utf-8", newline="") as given, TRUTH.open(encoding="utf-8", newline="") as right:
        pairs = zip(csv.DictReader(given), csv.DictReader(right), strict=True)
        return {int(truth["row_id"]) for row, truth in pairs if row["intent"] != truth["intent"]}


if __name__ == "__main__":
    main()
