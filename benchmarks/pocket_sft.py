"""Measures the demo of language models: exact match before and after, by seed and by kind of instruction, and the time.

    python benchmarks/pocket_sft.py [--seeds 3]

Runs the recipe of ``tunesmith demo sft``, each seed in a separate process. The first seed is the demo's.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
from record import seconds_of, spread, write

from tunesmith.workflows.demo import recipe_path

KINDS = {
    "a name of the passage": ("Answer with one name", "Say only the name"),
    "a colour of the passage": ("Answer with one colour", "Say only the colour"),
    "a place of the passage": ("Answer with the place", "Say only the place"),
    "yes or no": ("Answer yes or no", "Say yes or no"), "a JSON list": ("Write the things", "Give the things"),
    "a JSON object": ("Write who", "Make JSON"), "the past": ("Put this into the past", "Write this as of yesterday"),
    "the opposite": ("Give the opposite", "Say the opposite"), "the plural": ("Give the plural", "Say the word for many"),
    "the count": ("Count the things", "How many things"),
}  # fmt: skip
"""Kind of answer -> how its instructions begin."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [one(seed, Path(folder) / str(seed)) for seed in range(args.seeds)]
    figures = {name: spread([run[name] for run in runs]) for name in ("before", "few_shot", "after", "seconds")}
    write("pocket_sft", {**figures, "runs": runs})


def one(seed: int, folder: Path) -> dict[str, Any]:
    """Returns exact match on the test, the verdicts and the seconds of one run."""
    command = [sys.executable, "-m", "tunesmith.cli.main", "train", str(recipe_path("sft"))]
    seconds, _ = seconds_of([*command, f"train.seed={seed}", f"output={folder}"])
    found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    before = {baseline["name"]: exact_match(baseline["metrics"]) for baseline in found["baselines"]}
    return {
        "seed": seed, "seconds": round(seconds, 1), "before": before["untuned"]["value"], "few_shot": before["few_shot"]["value"],
        "after": exact_match(found["metrics"])["value"],
        "interval": [exact_match(found["metrics"])[end] for end in ("low", "high")],
        "verdicts": [v for v in found["verdicts"] if v["split"] == "test"], "by_kind": by_kind(folder),
    }  # fmt: skip


def exact_match(metrics: list[dict[str, Any]]) -> dict[str, Any]:
    return next(m for m in metrics if (m["name"], m["split"]) == ("exact_match", "test"))


def by_kind(folder: Path) -> dict[str, float]:
    """Returns exact match for each kind of instruction."""
    rows = parquet.read_table(folder / "predictions.parquet").to_pylist()
    answered = [row for row in rows if row["split"] == "test" and row["prediction"] is not None]
    found = {}
    for kind, beginnings in KINDS.items():
        chosen = [row for row in answered if row["text"].startswith(beginnings)]
        found[kind] = sum(row["prediction"].strip() == row["label"] for row in chosen) / len(chosen)
    return found


if __name__ == "__main__":
    main()
