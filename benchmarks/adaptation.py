"""Task-adaptive pretraining: MiniLM learns film reviews without labels first; does the classification of reviews get better?

    python benchmarks/adaptation.py [--seeds 1] [--output FOLDER]

The two recipes as they stand in ``recipes/``; the verdict is that of ``tunesmith adapt``, whichever way it falls.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from record import seconds_of, write

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
PAIR = ("pretraining/reviews.yaml", "classification/imdb.yaml")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        output = args.output or Path(place) / "adapted"
        tunesmith = [sys.executable, "-m", "tunesmith.cli.main"]
        changes = [f"output={output}", f"train.n_seeds={args.seeds}"]
        wall, done = seconds_of([*tunesmith, "adapt", *(str(RECIPES / name) for name in PAIR), *changes, "--json"])
        verdicts = json.loads(done.stdout)["verdicts"]
        figures = {
            "texts": figures_of(output / "adapted", ("loss", "perplexity")),
            **{
                name: [figures_of(run, ("accuracy",)) for run in sorted(output.glob(f"{name}-*"))] for name in ("without", "with")
            },
        }
    write("adaptation", {"recipes": PAIR, "verdicts": verdicts, **figures, "wall_seconds": round(wall)})


def figures_of(run: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """The metrics of a run by split, those of the model as it came, and its seconds."""
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    found = {
        f"{m['split']} {m['name']}": {key: m[key] for key in ("value", "low", "high", "n")}
        for m in result["metrics"]
        if m["name"] in names
    }
    untuned = next(one for one in result["baselines"] if one["name"] == "untuned")
    before = {f"{m['split']} {m['name']}": m["value"] for m in untuned["metrics"] if m["name"] in names}
    rows = {name: split["rows"] for name, split in result["data"]["splits"].items()}
    return {"after": found, "untuned": before, "rows": rows, "seconds": result["timings_seconds"]["total"]}


if __name__ == "__main__":
    main()
