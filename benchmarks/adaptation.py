"""Tests whether continued pretraining of MiniLM on film reviews without labels improves their classification.

    python benchmarks/adaptation.py [--seeds 1] [--output FOLDER]
    python benchmarks/adaptation.py --runs FOLDER       # the figures of a finished `tunesmith adapt`

Uses the two recipes in ``recipes/`` without baselines and evaluates on the 5,000 validation reviews, since each pass over
IMDB's 25,000 test reviews takes minutes. The verdict is that of ``tunesmith adapt``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from record import seconds_of, write

from tunesmith.tasks.finished import Run
from tunesmith.workflows.adapt import verdicts

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
PAIR = ("pretraining/reviews.yaml", "classification/imdb.yaml")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--runs", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = args.runs or args.output or Path(place) / "adapted"
        if args.runs is None:
            changes = [f"output={folder}", f"train.n_seeds={args.seeds}", "evaluate.baselines=[]", "data.test=null"]
            command = [sys.executable, "-m", "tunesmith.cli.main", "adapt", *(str(RECIPES / name) for name in PAIR), *changes]
            seconds_of([*command, "--json"])
        runs = {name: [Run.load(run) for run in sorted(folder.glob(f"{name}-*"))] for name in ("without", "with")}
        found = [asdict(one) for one in verdicts(runs["with"], runs["without"])]
        figures = {
            "texts": figures_of(Run.load(folder / "adapted"), ("loss", "perplexity")),
            **{name: [figures_of(run, ("accuracy",)) for run in of_name] for name, of_name in runs.items()},
        }
    write("adaptation", {"recipes": PAIR, "verdicts": found, **figures})


def figures_of(run: Run, names: tuple[str, ...]) -> dict[str, Any]:
    """Returns the metrics of a run by split, those of the base model if they were measured, and its rows."""
    result = run.result
    found = {f"{m.split} {m.name}": [m.value, m.low, m.high, m.n] for m in result.metrics if m.name in names}
    untuned = [m for one in result.baselines if one.name == "untuned" for m in one.metrics if m.name in names]
    rows = {name: split["rows"] for name, split in result.data["splits"].items()}
    before = {f"{m.split} {m.name}": m.value for m in untuned}
    return {"after": found, "untuned": before, "rows": rows}


if __name__ == "__main__":
    main()
