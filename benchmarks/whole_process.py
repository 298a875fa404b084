"""Compares whole processes on real rows: our check, training, baselines, verdict and report against training only.

    python benchmarks/whole_process.py [--task cola|imdb] [--rounds 3] [--systems NAME ...] [--simple-transformers PYTHON]

The runs of a round follow one another and have the round's seed. We hold out a tenth of the training rows for validation; the
others train on all of them. ``--simple-transformers`` is the Python of a virtual environment with simpletransformers 0.70.8,
which trains one epoch, its default, because three take half an hour; the time of the other two is extrapolated.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from record import seconds_of, spread, write

from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.table import compute
from tunesmith.evaluation.metrics.verdict import verdicts
from tunesmith.models.source import builtin_model

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / ".." / "shared" / "data"
# target speed-ups: (rows a second of the training phase, whole process)
TARGETS = {
    "cola": {"trainer": (4.0, 3.0), "trainer fast": (1.6, 1.2), "simpletransformers": (8.0, 6.0)},
    "imdb": {"trainer": (2.5, None)},
}
FAST = ["bf16=True", "per_device_train_batch_size=32", "train_sampling_strategy='group_by_length'", "learning_rate=1e-4"]
EPOCHS = {"cola": 3, "imdb": 1}
IMDB_ROWS = {"train": 2000, "test": 500}
IMDB_TOKENS = 256


def rows_of(task: str, split: str) -> Iterator[tuple[str, str]]:
    """Reads text and label of every row of a split."""
    if task == "cola":
        with (DATA / "cola" / f"in_domain_{'dev' if split == 'test' else split}.tsv").open(encoding="utf-8") as lines:
            yield from ((cells[3], cells[1]) for cells in (line.rstrip("\n").split("\t") for line in lines))
        return
    with gzip.open(DATA / "imdb" / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in random.Random(0).sample(list(lines), IMDB_ROWS[split]):  # the file is sorted by label
            row = json.loads(line)
            yield row["text"], str(row["label"])


def to_csv(task: str, split: str, place: Path) -> Path:
    target = place / f"{split}.csv"
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows_of(task, split))
    return target


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=tuple(EPOCHS), default="cola")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--systems", nargs="*", default=["trainer", "trainer fast"])
    parser.add_argument("--simple-transformers")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        files = {split: to_csv(args.task, split, place) for split in ("train", "test")}
        truth = np.array([int(label) for _, label in rows_of(args.task, "test")])
        found: dict[str, list[dict[str, Any]]] = {}
        name_of_result = "whole_process" + ("" if args.task == "cola" else f"_{args.task}")
        name_of_result += "_simpletransformers" if args.simple_transformers else ""
        for seed in range(args.rounds):
            for name, command in commands(args, files, place, seed).items():
                wall, done = seconds_of(command)
                run = figures(done.stdout, place)
                found.setdefault(name, []).append({"wall_seconds": wall, **run} | more_epochs(name, args.task, wall, run))
                print(name, seed, {k: v for k, v in found[name][-1].items() if k != "decisions"}, file=sys.stderr, flush=True)
            systems = summary(found, truth, "mcc" if args.task == "cola" else "accuracy")
            record = {"task": args.task, "epochs": EPOCHS[args.task], "targets": TARGETS[args.task], "systems": systems}
            write(name_of_result, record)  # after every round, so that a long benchmark that is stopped has something to show


def more_epochs(name: str, task: str, wall: float, run: dict[str, Any]) -> dict[str, float]:
    """Extrapolates simpletransformers' time for one epoch to all epochs."""
    if name != "simpletransformers":
        return {}
    rest = run["train_seconds"] * (EPOCHS[task] - 1)
    return {"wall_seconds": wall + rest, "train_seconds": run["train_seconds"] + rest, "wall_seconds_of_one_epoch": wall}


def commands(args: argparse.Namespace, files: dict[str, Path], place: Path, seed: int) -> dict[str, list[str]]:
    """Maps each system to its command line for one seed."""
    settings: dict[str, Any] = {
        "data": {name: path.name for name, path in files.items()},
        "train": {"seed": seed, "num_train_epochs": EPOCHS[args.task]},
        "evaluate": {"metric": "mcc" if args.task == "cola" else "accuracy"},
        "output": str(place / "run"),
    }
    if args.task == "imdb":
        settings["data"]["max_length"] = IMDB_TOKENS
        settings["train"]["n_evaluations"] = 2
    (place / "recipe.yaml").write_text(json.dumps(settings), encoding="utf-8")
    arguments = [
        str(files["train"]),
        str(files["test"]),
        str(builtin_model("minilm")),
        str(place / "trainer"),
        str(EPOCHS[args.task]),
    ]
    hf_trainer = [sys.executable, str(HERE / "other_trainers" / "hf_trainer.py"), *arguments, str(seed)]
    if args.task == "imdb":
        hf_trainer.append(f"max_length={IMDB_TOKENS}")
    ours = [str(Path(sys.executable).parent / "tunesmith"), "train", str(place / "recipe.yaml"), "--overwrite", "--json"]
    known = {"trainer": hf_trainer, "trainer fast": [*hf_trainer, *FAST]}
    systems = {"tunesmith": ours} | {name: known[name] for name in args.systems}
    if args.simple_transformers:
        script = str(HERE / "other_trainers" / "simple_transformers.py")
        systems["simpletransformers"] = [args.simple_transformers, script, *arguments[:-1], "1", str(seed)]
    return systems


def figures(output: str, place: Path) -> dict[str, Any]:
    """Returns seconds of training, rows per second and decisions on test, from either kind of output; also our phases."""
    found = json.loads(output.strip().splitlines()[-1])  # other trainers print their own logs before
    if "metrics" not in found:
        kept = {key: found[key] for key in ("train_seconds", "rows_per_second")}
        return {**kept, "decisions": digits(np.load(place / "trainer" / "decisions.npy"))}
    training = found["training"]
    table = pq.read_table(place / "run" / "predictions.parquet", filters=[("split", "=", "test")])
    return {
        "train_seconds": training["train_seconds"], "rows_per_second": training["rows_per_second"],
        "timings_seconds": found["timings_seconds"], "decisions": digits(table["prediction"].to_pylist()),
    }  # fmt: skip


def summary(found: dict[str, list[dict[str, Any]]], truth: np.ndarray, metric: str) -> dict[str, Any]:
    """Returns figures over the rounds by system, our speed-up (medians of the rounds' ratios), and the verdict on quality."""
    ours, table = found["tunesmith"], {}
    for name, runs in found.items():
        both = list(zip(ours, runs, strict=True))
        table[name] = {key: spread([run[key] for run in runs]) for key in ("wall_seconds", "train_seconds", "rows_per_second")}
        table[name] |= {
            "gain_whole_process": statistics.median(run["wall_seconds"] / own["wall_seconds"] for own, run in both),
            "gain_training_seconds": statistics.median(run["train_seconds"] / own["train_seconds"] for own, run in both),
            "gain_rows_per_second": statistics.median(own["rows_per_second"] / run["rows_per_second"] for own, run in both),
            "rounds": runs,
        }
        (compared,) = verdicts([metric], predictions(ours, truth), predictions(runs, truth), name, "test")
        table[name]["quality"] = {
            "metric": metric, "ours": interval_values(ours, truth, metric), "theirs": interval_values(runs, truth, metric),
            "difference": compared.difference, "low": compared.low, "high": compared.high, "word": compared.word,
        }  # fmt: skip
    return table


def digits(decisions: Any) -> str:
    """Formats class ids as one string, one digit per row."""
    return "".join(str(int(label)) for label in decisions)


def predictions(runs: list[dict[str, Any]], truth: np.ndarray) -> list[Predictions]:
    decided = [np.array([int(digit) for digit in run["decisions"]]) for run in runs]
    return [Predictions(truth, np.eye(2)[labels], labels) for labels in decided]


def interval_values(runs: list[dict[str, Any]], truth: np.ndarray, metric: str) -> list[float | None]:
    return [compute("single_label_classification", run)[metric] for run in predictions(runs, truth)]


if __name__ == "__main__":
    main()
