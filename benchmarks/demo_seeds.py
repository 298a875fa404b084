"""Trains the demo's recipe with ten seeds in both precisions, and counts the words of its verdicts.

Results are written after every run; a stopped benchmark goes on where it was. Runs with another number of threads are added to
the table.

    python benchmarks/demo_seeds.py [--seeds 10] [--threads 1] [--recipe demo.yaml]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from record import RESULTS, write

from tunesmith.data.readers.read import sample_folder
from tunesmith.machine import cpu_flags
from tunesmith.models.fast import path
from tunesmith.recipe.load import load_recipe
from tunesmith.workflows.train import train

FLAGS = {"fp32": frozenset[str](), "bf16": path.BF16_FLAGS}
Figures = dict[str, Any]


def train_once(seed: int, precision: str, recipe: str, folder: Path) -> Figures:
    """Trains one run and returns its metric and its verdicts on test."""
    loaded = load_recipe(sample_folder() / recipe, [f"train.seed={seed}", f"output={folder / f'{precision}-{seed}'}"])
    started = time.perf_counter()
    with patch.object(path, "cpu_flags", lambda: FLAGS[precision]):
        run = train(loaded)
    assert run is not None
    result = run.result
    metric = result.verdicts[0].metric
    assert result.training["kernels"]["precision"] == precision
    return {
        "seed": seed,
        "precision": precision,
        "threads": torch.get_num_threads(),
        "metric": metric,
        "value": result.metric(metric).value,
        "steps": result.training["steps"],
        "best_step": result.training["best_step"],
        "verdicts": {
            v.against: [v.word, v.difference, v.low, v.high] for v in result.verdicts if (v.metric, v.split) == (metric, "test")
        },
        "alarms": [alarm.name for alarm in result.alarms],
        "seconds": time.perf_counter() - started,
    }


def counts(table: list[Figures]) -> dict[str, dict[str, int]]:
    """Counts the words of the verdicts against each baseline."""
    against = sorted({name for row in table for name in row["verdicts"]})
    return {name: dict(Counter(row["verdicts"][name][0] for row in table)) for name in against}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--recipe", default="demo.yaml")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    name = f"demo_seeds_{Path(args.recipe).stem}"
    earlier = RESULTS / f"{name}.json"
    table: list[Figures] = json.loads(earlier.read_text(encoding="utf-8"))["table"] if earlier.exists() else []
    done = {(row["seed"], row["precision"]) for row in table if row.get("threads") == args.threads}
    precisions = [name for name in FLAGS if name == "fp32" or path.BF16_FLAGS & cpu_flags()]
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.seeds):
            for precision in precisions:
                if (seed, precision) not in done:
                    table.append(train_once(seed, precision, args.recipe, Path(folder)))
                    write(name, {"words": counts(table), "table": table})


if __name__ == "__main__":
    main()
