"""Compares lengths of training and starts of the model on small files: three epochs, and floors of steps, on six data sets.

Every run is a whole default run on a sample of the training rows, evaluated on the same test rows, with the verdicts against the
linear baselines. Results are written after every run, and the table of the decision's page with them; a stopped benchmark goes on
where it was.

    python benchmarks/training_length.py [--sets NAME ...] [--rows N ...] [--steps N ...] [--heads random linear]
                                         [--distillation none auto] [--seeds N]
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import RESULTS, write

import tunesmith

PAGE = Path(__file__).resolve().parents[1] / "docs/decisions/training-length.md"
MARKS = ("<!-- figures of benchmarks/training_length.py -->", "<!-- end of figures -->")
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TEST_ROWS = 1000
Rows = list[dict[str, Any]]


def cola(split: str) -> Rows:
    name = {"train": "in_domain_train", "test": "in_domain_dev"}[split]
    lines = (DATA / "cola" / f"{name}.tsv").read_text(encoding="utf-8").split("\n")
    return [{"text": cells[3], "label": cells[1]} for cells in (line.split("\t") for line in lines if line)]


def sst2(split: str) -> Rows:
    lines = (DATA / "sst2" / f"{split}.tsv").read_text(encoding="utf-8").split("\n")
    return [dict(zip(("text", "label"), line.split("\t"), strict=True)) for line in lines if line]


def davidson(split: str) -> Rows:
    with next((DATA / "davidson").glob("*.csv")).open(encoding="utf-8", newline="") as file:
        rows = [{"text": row["tweet"], "label": row["class"]} for row in csv.DictReader(file)]
    random.Random(0).shuffle(rows)
    return rows[:2000] if split == "test" else rows[2000:]


def banking20(split: str) -> Rows:
    """Reads the first 20 of the 77 classes."""
    with (DATA / "banking77" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        rows = [{"text": row["text"], "label": row["category"]} for row in csv.DictReader(file)]
    kept = set(sorted({row["label"] for row in rows})[:20])
    return [row for row in rows if row["label"] in kept]


def snli(split: str) -> Rows:
    name = {"train": "dev", "test": "test"}[split]
    parts = [(DATA / "snli" / f"{part}.{name}").read_text(encoding="utf-8").split("\n") for part in ("s1", "s2", "labels")]
    return [{"sentence1": a, "sentence2": b, "label": label} for a, b, label in zip(*parts, strict=True) if label]


def stsb(split: str) -> Rows:
    path = next((DATA / "stsb").glob(f"*{split}*.csv"))
    with path.open(encoding="utf-8", newline="") as file:
        return [{"sentence1": a, "sentence2": b, "label": float(score)} for a, b, score in csv.reader(file)]


SETS: dict[str, tuple[Callable[[str], Rows], str, str]] = {
    "cola": (cola, "classification", "macro_f1"),
    "sst2": (sst2, "classification", "macro_f1"),
    "davidson": (davidson, "classification", "macro_f1"),
    "banking20": (banking20, "classification", "macro_f1"),
    "snli": (snli, "classification", "macro_f1"),
    "stsb": (stsb, "regression", "spearman"),
}

DISTILLED = ("banking20", "snli", "stsb")
"""The sets on which the default distils: pairs, and texts of clear classes. On the others both settings are the same run."""
Cell = tuple[str, int, int, str, str, int]
"""Data set, training rows, floor of steps, start of the head, distillation, seed."""


def train_once(cell: Cell, folder: Path) -> dict[str, Any]:
    """Trains one run and returns its metric on test, its verdicts, and its steps."""
    name, n_rows, steps, head, distillation, seed = cell
    read, task, metric = SETS[name]
    rows, test = read("train"), read("test")
    random.Random(seed).shuffle(rows)
    random.Random(0).shuffle(test)
    started = time.perf_counter()
    run = tunesmith.train(
        rows[:n_rows],
        test=test[:TEST_ROWS],
        output=str(folder / "run"),
        task=task,
        overwrite=True,
        train={
            "seed": seed,
            "head_init": head,
            "distillation": distillation,
            **({"max_steps": steps} if steps else {"num_train_epochs": 3}),
        },
        evaluate={"metric": metric, "baselines": ["tfidf", "frozen"], "n_resamples": 1000},
    )
    of_metric = {verdict.against: verdict for verdict in run.verdicts if verdict.metric == metric and verdict.split == "test"}
    baselines = {b.name: next(m.value for m in b.metrics if (m.name, m.split) == (metric, "test")) for b in run.result.baselines}
    return {
        "set": name, "rows": n_rows, "floor": steps, "head": head, "start": run.result.training["head"],
        "distillation": distillation, "seed": seed, "distilled": run.result.training.get("distillation", ""),
        "metric": metric, "value": run.result.metric(metric).value,
        "steps": run.result.training["steps"], "best_step": run.result.training["best_step"],
        "baselines": baselines, "words": {against: verdict.word for against, verdict in of_metric.items()},
        "seconds": time.perf_counter() - started, "train_seconds": run.result.training["train_seconds"],
    }  # fmt: skip


def cell(runs: Rows) -> str:
    """Describes the runs of one length: the mean of the metric over seeds, then how many verdicts say worse or better."""
    if not runs:
        return ""
    mean = statistics.mean(run["value"] for run in runs)
    marks = [
        f"{sum(word in run['words'].values() for run in runs)} {word}" for word in ("worse", "better")
        if any(word in run["words"].values() for run in runs)
    ]  # fmt: skip
    return f"{mean:.3f} ({len(runs)})" + (f": {', '.join(marks)}" if marks else "")


def way_of(run: dict[str, Any]) -> tuple[int, str, str]:
    return run["floor"], run["head"], run.get("distillation", "none")


def write_page(table: Rows) -> None:
    """Puts a row for each data set and number of rows between the marks of the page."""
    ways = sorted({way_of(run) for run in table}, key=lambda way: (way[2] != "none", way[1] != "random", way[0]))
    names = [
        f"{f'{steps} steps' if steps else '3 epochs'}, {head} head{', distilled' * (distillation != 'none')}"
        for steps, head, distillation in ways
    ]
    lines = [f"| data, training rows | {' | '.join(names)} | linear baseline |", "|---" * (len(ways) + 2) + "|"]
    for rows in sorted({run["rows"] for run in table}):
        for name in SETS:
            own = [run for run in table if (run["set"], run["rows"]) == (name, rows)]
            best = [max(run["baselines"].values()) for run in {run["seed"]: run for run in own}.values()]
            if own:
                cells = [cell([run for run in own if way_of(run) == way]) for way in ways]
                lines.append(f"| {name}, {rows:,} | " + " | ".join(cells) + f" | {statistics.mean(best):.3f} |")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    PAGE.write_text("\n".join([before + MARKS[0], *lines, MARKS[1]]) + rest.partition(MARKS[1])[2], encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--rows", nargs="*", type=int, default=[100, 500, 2000])
    parser.add_argument("--steps", nargs="*", type=int, default=[300], help="floors of optimizer steps; 0: three epochs")
    parser.add_argument("--heads", nargs="*", default=["linear"], choices=["random", "linear"])
    parser.add_argument("--distillation", nargs="*", default=["auto"], choices=["none", "auto"], help=f"of {DISTILLED}")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    earlier = RESULTS / "training_length.json"
    table: list[dict[str, Any]] = json.loads(earlier.read_text(encoding="utf-8"))["table"] if earlier.exists() else []
    done = {(row["set"], row["rows"], *way_of(row), row["seed"]) for row in table}
    folder = Path(tempfile.mkdtemp())
    wanted = [
        (name, n, steps, head, distillation, seed)
        for seed in range(args.seeds)
        for n in args.rows
        for name in args.sets
        for steps in args.steps
        for head in args.heads
        for distillation in (args.distillation if name in DISTILLED else ["none"])
    ]
    for cell in wanted:
        if cell not in done:
            table.append(train_once(cell, folder))
            write("training_length", {"test_rows": TEST_ROWS, "table": table})
            write_page(table)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
