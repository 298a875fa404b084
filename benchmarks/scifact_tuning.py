"""Tests whether fine-tuning MiniLM on SciFact's training claims helps, at 384 dimensions and cut to 64 with Matryoshka.

    python benchmarks/scifact_tuning.py [--seeds 1] [--set KEY=VALUE ...]

The recipe is recipes/embedding/scifact.yaml; evaluated on the 300 validation claims over all 5,183 documents. The Matryoshka run
is the same recipe with the dimensions 256, 128 and 64; the mined run has one hard negative per pair and a verdict against the
plain run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from record import write
from scifact import written

from tunesmith.progress import Event
from tunesmith.recipe.load import load_recipe
from tunesmith.workflows.compare import compare
from tunesmith.workflows.train import train

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "embedding" / "scifact.yaml"
SETTINGS: dict[str, list[str]] = {
    "plain": [],
    "matryoshka": ["embedding.matryoshka_dimensions=[256, 128, 64]"],
    "mined": ["embedding.hard_negatives={num_negatives: 1, range_max: 30, relative_margin: 0.05}"],
}
WANTED = {"plain": "ndcg@10", "matryoshka": "ndcg@10 dim=64"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides of the recipe")
    parser.add_argument("--runs", nargs="*", default=list(SETTINGS))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        folder = written(place / "scifact")
        found = {
            name: tuned(place / name, folder, [*SETTINGS[name], f"train.n_seeds={args.seeds}", *args.set]) for name in args.runs
        }
        if {"plain", "mined"} <= found.keys():
            found["mined"]["against_plain"] = asdict(compare([place / "mined", place / "plain"])[0]) | {"against": "plain"}
            print("mined against plain", found["mined"]["against_plain"], flush=True)
    for name in [name for name in found if name in WANTED]:
        run = found[name]
        run["wanted"] = {"metric": WANTED[name], "word": "better", "against": "untuned"}
        against_untuned = [
            v for v in run["verdicts"] if (v["metric"], v["against"], v["split"]) == (WANTED[name], "untuned", "retrieval")
        ]
        run["reached"] = bool(against_untuned) and against_untuned[0]["word"] == "better"
    if not args.set:
        write("scifact_tuning", {"seeds": args.seeds, **found})


def tuned(output: Path, folder: Path, settings: list[str]) -> dict[str, Any]:
    """Trains one run of the recipe."""
    started = time.perf_counter()
    paths = [f"data.train={folder}", f"evaluate.retrieval={folder}", f"output={output}"]
    run = train(load_recipe(RECIPE, [*paths, *settings]), listener=progress)
    assert run is not None
    result = run.result
    found = {
        "settings": settings, "seconds": time.perf_counter() - started, "timings": result.timings_seconds,
        "rows": result.data["splits"]["train"]["rows"], "training": {k: result.training[k] for k in ("loss", "steps", "best_step",
        "learning_rate", "batch_rows", "rows_per_second", "train_seconds", "best_metric")},
        "metrics": [asdict(m) for m in result.metrics if m.split == "retrieval"],
        "baselines": {b.name: {m.name: m.value for m in b.metrics if m.split == "retrieval"} for b in result.baselines},
        "verdicts": [asdict(v) for v in result.verdicts],
        "geometry": result.training["geometry"],
    }  # fmt: skip
    for verdict in result.verdicts:
        if verdict.split == "retrieval":
            print(verdict.metric, verdict.against, verdict.difference, verdict.low, verdict.high, verdict.word, flush=True)
    return found


def progress(event: Event) -> None:
    if event.kind == "phase":
        print(time.strftime("%H:%M:%S"), event.text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
