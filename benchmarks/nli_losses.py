"""Compares softmax loss with multiple-negatives ranking on the same NLI rows, evaluated on STS-B.

    python benchmarks/nli_losses.py [--rows N] [--seeds 1]

MNLI's validation pairs and SNLI's development pairs as one table; the encoder is MiniLM with a new mean
pooling. Softmax uses all three classes; ranking uses the entailed hypotheses, and in a third run also the contradictions. Each
run is evaluated on STS-B's test pairs, against the base model and against the softmax run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from record import write

from tunesmith.progress import Event
from tunesmith.recipe.load import LoadedRecipe, override, recipe_from_mapping, resolved_yaml
from tunesmith.workflows.compare import compare
from tunesmith.workflows.train import train

DATA = Path(__file__).resolve().parent.parent / ".." / "shared" / "data"
RUNS: dict[str, dict[str, Any]] = {
    "softmax": {"loss": "SoftmaxLoss"},
    "ranking": {"convert": "positive_pair", "loss": "MultipleNegativesRankingLoss"},
    "ranking with contradictions": {"convert": "triplet", "loss": "MultipleNegativesRankingLoss"},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", nargs="*", default=list(RUNS))
    parser.add_argument("--set", nargs="*", default=[])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        files = [str(DATA / "mnli" / "llmsknow_mnli_validation.parsed.jsonl"), str(snli(place / "snli.jsonl"))]
        found = {name: tuned(place / name.replace(" ", "-"), files, RUNS[name], args) for name in args.runs}
        for name in args.runs[1:]:
            verdict = compare([place / name.replace(" ", "-"), place / args.runs[0]])[0]
            found[name]["against_softmax"] = asdict(verdict) | {"against": args.runs[0]}
            print(name, verdict, flush=True)
    if not args.rows and not args.set:
        write("nli_losses", {"evaluated_on": "stsb test", "runs": found})


def snli(path: Path) -> Path:
    """Writes SNLI's development pairs as one file."""
    parts = [(DATA / "snli" / name).read_text(encoding="utf-8").splitlines() for name in ("s1.dev", "s2.dev", "labels.dev")]
    rows = [{"sentence1": a, "sentence2": b, "gold_label": c} for a, b, c in zip(*parts, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def tuned(output: Path, files: list[str], embedding: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """Trains one run on both files."""
    mapping: dict[str, Any] = {
        "task": "embedding", "embedding": {**embedding, "pooling": "mean", "normalize": False},
        "data": {
            "train": files[0], "also": files[1:], "validation": str(DATA / "stsb" / "stsb-en-dev.csv"),
            "test": str(DATA / "stsb" / "stsb-en-test.csv"), **({"max_rows": args.rows} if args.rows else {}),
        },
        "train": {"num_train_epochs": 1, "n_seeds": args.seeds, "n_evaluations": 4, "seed": 0}, "output": str(output),
    }  # fmt: skip
    override(mapping, args.set)
    recipe = recipe_from_mapping(mapping)
    started = time.perf_counter()
    run = train(LoadedRecipe(recipe, None, mapping, resolved_yaml(recipe), Path()), listener=progress)
    assert run is not None
    result = run.result
    for verdict in result.verdicts:
        print(
            output.name, verdict.split, verdict.against, verdict.difference, verdict.low, verdict.high, verdict.word, flush=True
        )
    return {
        "embedding": embedding, "rows": result.data["splits"]["train"]["rows"], "seconds": time.perf_counter() - started,
        "notes": [note.rpartition("/")[2] for note in result.data["notes"]], "metrics": [asdict(m) for m in result.metrics],
        "verdicts": [asdict(v) for v in result.verdicts], "geometry": result.training["geometry"],
        "rows_per_second": result.training["rows_per_second"],
        "heat_map": json.loads((output / "heat_map.json").read_text(encoding="utf-8")),
    }  # fmt: skip


def progress(event: Event) -> None:
    if event.kind == "phase":
        print(time.strftime("%H:%M:%S"), event.text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
