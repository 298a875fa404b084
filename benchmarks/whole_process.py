"""CoLA, MiniLM, 3 epochs, as whole processes: our check, training, baselines, verdict and report against bare training.

    python benchmarks/whole_process.py [--rounds 1] [--simple-transformers PYTHON] [--rows N]

``--simple-transformers`` is the Python of a virtual environment that has simpletransformers 0.70.8.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import tempfile
from pathlib import Path

from record import seconds_of, spread, write

from tunesmith.models.builtin import builtin_model

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / ".." / "shared" / "data" / "cola"
# gains asked for: (training phase, whole process)
TARGETS = {"trainer": (4.0, 3.0), "trainer fast": (1.6, 1.2), "simpletransformers": (8.0, 6.0)}
FAST = ["bf16=True", "per_device_train_batch_size=32", "train_sampling_strategy='group_by_length'", "learning_rate=1e-4"]


def to_csv(source: Path, target: Path, limit: int | None) -> Path:
    with source.open(encoding="utf-8") as lines, target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for line in list(lines)[:limit]:
            cells = line.rstrip("\n").split("\t")
            writer.writerow([cells[3], cells[1]])
    return target


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--simple-transformers")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        train = to_csv(DATA / "in_domain_train.tsv", place / "train.csv", args.rows)
        test = to_csv(DATA / "in_domain_dev.tsv", place / "test.csv", None)
        recipe = place / "recipe.yaml"
        settings = {
            "data": {"train": "train.csv", "test": "test.csv"},
            "evaluate": {"metric": "mcc"},
            "output": str(place / "run"),
        }
        recipe.write_text(json.dumps(settings), encoding="utf-8")
        found: dict[str, list[dict[str, float]]] = {}
        for seed in range(args.rounds):
            for name, command in commands(args, recipe, train, test, place, seed).items():
                wall, done = seconds_of(command)
                found.setdefault(name, []).append({"wall_seconds": wall, **figures(done.stdout)})
                print(name, seed, found[name][-1], file=sys.stderr)
    write("whole_process", {"rows": args.rows, "epochs": 3, "targets": TARGETS, "systems": summary(found)})


def summary(found: dict[str, list[dict[str, float]]]) -> dict[str, object]:
    """System -> figures over the rounds, and what tunesmith gains over it: medians of the ratios of each round."""
    ours, table = found["tunesmith"], {}
    for name, runs in found.items():
        both = list(zip(ours, runs, strict=True))
        table[name] = {key: spread([run[key] for run in runs]) for key in runs[0]} | {
            "gain_whole_process": statistics.median(run["wall_seconds"] / own["wall_seconds"] for own, run in both),
            "gain_training_phase": statistics.median(run["train_seconds"] / own["train_seconds"] for own, run in both),
            "gain_training_loop": statistics.median(own["rows_per_second"] / run["rows_per_second"] for own, run in both),
            "mcc_difference": [own["mcc"] - run["mcc"] for own, run in both],
        }
    return table


def commands(args: argparse.Namespace, recipe: Path, train: Path, test: Path, place: Path, seed: int) -> dict[str, list[str]]:
    """System -> its command line for one seed."""
    model, out = str(builtin_model("minilm")), str(place / "rival")
    rival = [sys.executable, str(HERE / "rivals" / "hf_trainer.py"), str(train), str(test), model, out, "3", str(seed)]
    tunesmith = [
        str(Path(sys.executable).parent / "tunesmith"),
        "train",
        str(recipe),
        f"train.seed={seed}",
        "--overwrite",
        "--json",
    ]
    systems = {"tunesmith": tunesmith, "trainer": rival, "trainer fast": [*rival, *FAST]}
    if args.simple_transformers:
        script = str(HERE / "rivals" / "simple_transformers.py")
        systems["simpletransformers"] = [args.simple_transformers, script, str(train), str(test), model, out, "3", str(seed)]
    return systems


def figures(said: str) -> dict[str, float]:
    """Training seconds, rows a second and MCC, from either kind of output."""
    found = json.loads(said.strip().splitlines()[-1])  # a rival prints its own logs before
    if "metrics" not in found:
        return {key: found[key] for key in ("train_seconds", "rows_per_second", "mcc")}
    mcc = next(m["value"] for m in found["metrics"] if (m["name"], m["split"]) == ("mcc", "test"))
    training = found["training"]
    return {"train_seconds": training["train_seconds"], "rows_per_second": training["rows_per_second"], "mcc": mcc}


if __name__ == "__main__":
    main()
