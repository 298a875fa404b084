"""Runs every recipe on real data from start to report: metrics, baselines, verdicts and seconds.

    python benchmarks/recipes.py [NAME ...]             # classification/cola and so on; all without names
    python benchmarks/recipes.py NAME=RUN_FOLDER ...    # the figures of a finished run

SciFact's recipes need the folder that ``benchmarks/scifact.py scifact`` makes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from record import RESULTS, seconds_of, write

from tunesmith.recipe.tasks import TASKS

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {settings.task for settings in TASKS.values()}
LANGUAGE_TASKS = {settings.task for settings in TASKS.values() if settings.family == "language"}
REAL = sorted(path for path in (ROOT / "recipes").rglob("*.yaml") if path.parent.name in FOLDERS)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "recipes").with_suffix("").as_posix()


def main() -> None:
    given = dict(word.partition("=")[::2] for word in sys.argv[1:])
    chosen = given or {name_of(path): "" for path in REAL}
    kept = RESULTS / "recipes.json"
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))["recipes"] if kept.exists() else {}
    for path in REAL:
        if name_of(path) in chosen:
            found[name_of(path)] = figures(result_of(path, chosen[name_of(path)]))
            write("recipes", {"recipes": dict(sorted(found.items()))})


def result_of(path: Path, run: str) -> dict[str, Any]:
    """Returns the result of a finished run, or runs the recipe now; then with the ``wall_seconds`` of the whole process."""
    if run:
        finished: dict[str, Any] = json.loads((Path(run) / "result.json").read_text(encoding="utf-8"))
        return finished
    with tempfile.TemporaryDirectory() as place:
        command = [str(Path(sys.executable).parent / "tunesmith"), "train", str(path), f"output={place}/run", "--json"]
        wall, done = seconds_of(command)
    made: dict[str, Any] = json.loads(done.stdout)
    return made | {"wall_seconds": wall}


def figures(result: dict[str, Any]) -> dict[str, Any]:
    """Returns the primary metric with its interval, the baselines, the verdicts and the seconds of one recipe."""
    leading = result["verdicts"][0]["metric"]
    split = result["verdicts"][0]["split"]

    def value(metrics: list[dict[str, Any]]) -> dict[str, Any]:
        return next(
            {k: m[k] for k in ("value", "low", "high", "n")} for m in metrics if (m["name"], m["split"]) == (leading, split)
        )

    def has(metrics: list[dict[str, Any]]) -> bool:
        return any((m["name"], m["split"]) == (leading, split) for m in metrics)

    every = {}
    if result["task"] in LANGUAGE_TASKS:
        systems = {"this run": result["metrics"], **{b["name"]: b["metrics"] for b in result["baselines"]}}
        every = {"systems": {name: by_split(metrics) for name, metrics in systems.items()}}
    return {
        "metric": leading, "split": split, "this_run": value(result["metrics"]),
        "baselines": {b["name"]: value(b["metrics"]) for b in result["baselines"] if has(b["metrics"])},
        "verdicts": [{k: v[k] for k in ("against", "metric", "difference", "low", "high", "word")} for v in result["verdicts"]],
        "alarms": [alarm["name"] for alarm in result["alarms"]],
        "certificates": {c["name"]: c["passed"] for c in result["certificates"]},
        "rows": {name: split["rows"] for name, split in result["data"]["splits"].items()},
        "rows_per_second": result["training"].get("rows_per_second"), "seconds": result["timings_seconds"],
        "wall_seconds": result.get("wall_seconds", result["timings_seconds"]["total"]), **every,
    }  # fmt: skip


def by_split(metrics: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    """Maps split and metric to value, low, high."""
    return {f"{m['split']} {m['name']}": [m["value"], m["low"], m["high"]] for m in metrics}


if __name__ == "__main__":
    main()
