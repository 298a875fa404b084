"""Measures the difficulty of six data sets with different labels, and the label criteria of two of them.

    python benchmarks/data_difficulty.py

Random samples (seed 0) of CoLA, SST-2, SNLI, MNLI, Davidson et al. (three classes) and HateCheck; V-information by linear
models out of fold, and the codelength of the labels. Then HateModerate (2,500 rows) against Davidson (2,000), normalised to
binary: rules about the label criteria, and as a control two random halves of each, which must have no rules.
"""

from __future__ import annotations

import csv
import json
import random
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from across_data import DATA, Rows, hate, table
from record import write

from tunesmith.diagnosis.datasets import diagnose_data_sets

SIZE, HALVES = 1_000, 4
CRITERIA_ROWS = {"hatemoderate": 2_500, "davidson": 2_000}


def tab_rows(path: Path, text: int, label: int) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [{"text": row[text], "label": row[label]} for row in rows if len(row) > max(text, label)]


def pairs() -> dict[str, Rows]:
    """Reads SNLI and MNLI."""
    parts = [(DATA / "snli" / name).read_text(encoding="utf-8").splitlines() for name in ("s1.dev", "s2.dev", "labels.dev")]
    snli = [{"premise": a, "hypothesis": b, "label": label} for a, b, label in zip(*parts, strict=True)]
    lines = (DATA / "mnli" / "llmsknow_mnli_validation.parsed.jsonl").read_text(encoding="utf-8").splitlines()
    return {"snli": snli, "mnli": [json.loads(line) for line in lines]}


def data_sets() -> dict[str, Rows]:
    """Reads the six data sets whole."""
    tweets = [{"text": row["tweet"], "label": row["class"]} for row in table(DATA / "davidson" / "labeled_data.csv")]
    return {
        "cola": tab_rows(DATA / "cola" / "in_domain_train.tsv", 3, 1),
        "sst2": tab_rows(next((DATA / "sst2").glob("*train*")), 0, 1),
        **pairs(),
        "davidson": tweets,
        "hatecheck": hate()["hatecheck"],
    }


def sample(rows: Rows, size: int, seed: int = 0) -> Rows:
    return random.Random(seed).sample(rows, min(size, len(rows)))


def compared(sets: dict[str, Rows], folder: Path) -> Any:
    """Diagnoses several data sets together."""
    return diagnose_data_sets(sets, output=folder)


def halves(rows: Rows, seed: int) -> dict[str, Rows]:
    """Divides rows into two random halves."""
    mixed = sample(rows, len(rows), seed)
    return {"first": mixed[: len(mixed) // 2], "second": mixed[len(mixed) // 2 :]}


def main() -> None:
    """Measures and writes the figures."""
    figures: dict[str, Any] = {"rows": SIZE}
    with tempfile.TemporaryDirectory() as place:
        found = compared({name: sample(rows, SIZE) for name, rows in data_sets().items()}, Path(place) / "six")
        figures["difficulty"] = [asdict(row) for row in found.difficulty]
        both = {name: sample(rows, CRITERIA_ROWS[name]) for name, rows in hate().items() if name in CRITERIA_ROWS}
        figures["criteria"] = [asdict(row) for row in compared(both, Path(place) / "criteria").criteria]
        figures["rules_in_random_halves"] = {
            name: [
                sum(len(c.rules) for c in compared(halves(rows, seed), Path(place) / f"{name}{seed}").criteria)
                for seed in range(HALVES)
            ]
            for name, rows in both.items()
        }
    write("data_difficulty", figures)


if __name__ == "__main__":
    main()
