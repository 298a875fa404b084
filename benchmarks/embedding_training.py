"""Measures the speed of embedding training: tunesmith against sentence-transformers' trainer, both with defaults, interleaved.

    python benchmarks/embedding_training.py [--rounds 3] [--rows 1000]

MNLI's entailment pairs, multiple-negatives ranking, one epoch, MiniLM. Target: 2.5 times the rows per second at equal quality
on STS-B's development set (Spearman of the cosine, and the verdict between the two models). Each run is a separate process;
rows per second are those of the training loop, ``process`` is the time from start to saved model.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import spread, write

from tunesmith.models.source import builtin_model
from tunesmith.tasks.embedding.evaluate_model import evaluate_similarity

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / ".." / "shared" / "data"
WANTED = 2.5
SYSTEMS = ("sentence-transformers", "sentence-transformers fast", "tunesmith")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS))
    parser.add_argument("--one", nargs=4, metavar=("SYSTEM", "FILE", "OUTPUT", "SEED"))
    parser.add_argument("--set", nargs="*", default=[])
    args = parser.parse_args()
    if args.one:
        system, file, output, seed = args.one
        print(json.dumps(RUNS[system](Path(file), Path(output), int(seed), args.set)))
        return
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        file = pairs(place / "pairs.csv", args.rows)
        found: dict[str, list[dict[str, Any]]] = {system: [] for system in args.systems}
        for seed in range(args.rounds):
            for system in args.systems:
                found[system].append(one(system, file, place / f"{system.replace(' ', '-')}-{seed}", seed, args.set))
                print(system, found[system][-1], file=sys.stderr, flush=True)
        figures = summary(found, place)
    if not args.set:
        write("embedding_training", {"rows": args.rows, "data": "mnli entailment pairs", "wanted": WANTED, **figures})
    else:
        print(json.dumps(figures, indent=1))


def pairs(path: Path, n_rows: int) -> Path:
    """Reads the first entailment pairs of MNLI's validation file."""
    lines = (DATA / "mnli" / "llmsknow_mnli_validation.parsed.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["label"] == "entailment"][:n_rows]
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["anchor", "positive"])
        writer.writerows((row["premise"], row["hypothesis"]) for row in rows)
    return path


def one(system: str, file: Path, output: Path, seed: int, settings: list[str]) -> dict[str, Any]:
    """Runs one training in a separate process."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "--one", system, str(file), str(output), str(seed), "--set", *settings]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**measured, "process": time.perf_counter() - started}


def by_upstream(file: Path, output: Path, seed: int, _settings: list[str], **arguments: Any) -> dict[str, Any]:
    """Trains with sentence-transformers' trainer; without arguments with its defaults."""
    from datasets import load_dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer
    from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments

    rows = load_dataset("csv", data_files=str(file), split="train")
    model = SentenceTransformer(str(builtin_model("minilm")), device="cpu")
    settings = {"num_train_epochs": 1, "seed": seed, "use_cpu": True, "report_to": "none", "save_strategy": "no", **arguments}
    trainer = SentenceTransformerTrainer(
        model=model, args=SentenceTransformerTrainingArguments(output_dir=str(output / "work"), **settings), train_dataset=rows,
        loss=MultipleNegativesRankingLoss(model),
    )  # fmt: skip
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    model.save_pretrained(str(output / "model"))
    return {"rows_per_second": len(rows) / seconds, "seconds": seconds, "model": str(output / "model")}


def by_upstream_fast(file: Path, output: Path, seed: int, settings: list[str]) -> dict[str, Any]:
    """Trains with sentence-transformers' trainer and the options that its documentation recommends."""
    return by_upstream(file, output, seed, settings, bf16=True, per_device_train_batch_size=64, batch_sampler="no_duplicates")


def by_tunesmith(file: Path, output: Path, seed: int, settings: list[str]) -> dict[str, Any]:
    """Trains a recipe that sets only the rows, one epoch, and the evaluation data."""
    from tunesmith.recipe.load import LoadedRecipe, override, recipe_from_mapping, resolved_yaml
    from tunesmith.workflows.train import train

    mapping: dict[str, Any] = {
        "task": "embedding", "data": {"train": str(file), "validation": str(DATA / "stsb" / "stsb-en-dev.csv")},
        "train": {"num_train_epochs": 1, "seed": seed, "n_evaluations": 1}, "output": str(output),
    }  # fmt: skip
    override(mapping, settings)
    recipe = recipe_from_mapping(mapping)
    run = train(LoadedRecipe(recipe, None, mapping, resolved_yaml(recipe), Path()))
    assert run is not None
    found = run.result.training
    return {"rows_per_second": found["rows_per_second"], "seconds": found["train_seconds"], "model": str(output / "model")}


RUNS = {"sentence-transformers": by_upstream, "sentence-transformers fast": by_upstream_fast, "tunesmith": by_tunesmith}


def summary(found: dict[str, list[dict[str, Any]]], place: Path) -> dict[str, Any]:
    """Returns medians, ratios, and the quality of each system's first model."""
    speed = {system: spread([run["rows_per_second"] for run in runs]) for system, runs in found.items()}
    whole = {system: spread([run["process"] for run in runs]) for system, runs in found.items()}
    models = {system: runs[0]["model"] for system, runs in found.items()}
    others = [model for system, model in models.items() if system != "tunesmith"]
    result = evaluate_similarity(models["tunesmith"], DATA / "stsb" / "stsb-en-dev.csv", against=[*others, "builtin:minilm"])
    names = {model: system for system, model in models.items()}
    quality = {"tunesmith": result.metric("spearman").value}
    quality |= {names.get(b.name, b.name): b.metrics[0].value for b in result.baselines}
    ours = speed["tunesmith"]["median"]
    return {
        "rows_per_second": speed, "process_seconds": whole, "spearman": quality,
        "ratio": {system: ours / value["median"] for system, value in speed.items() if system != "tunesmith"},
        "verdicts": [
            {"against": names.get(v.against, v.against), "difference": v.difference, "low": v.low, "high": v.high, "word": v.word}
            for v in result.verdicts
        ],
    }  # fmt: skip


if __name__ == "__main__":
    main()
