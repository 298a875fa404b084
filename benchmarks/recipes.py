"""Every recipe on real data, from start to report: what it reaches, against which baselines, in how many seconds.

python benchmarks/recipes.py [NAME ...]      # classification/cola and so on; all without names
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from record import RESULTS, seconds_of, write

ROOT = Path(__file__).resolve().parents[1]
REAL = sorted(path for path in (ROOT / "recipes").rglob("*.yaml") if path.parent.name in {"classification", "regression"})


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "recipes").with_suffix("").as_posix()


def main() -> None:
    asked = set(sys.argv[1:]) or {name_of(path) for path in REAL}
    kept = RESULTS / "recipes.json"
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))["recipes"] if kept.exists() else {}
    for path in REAL:
        if name_of(path) in asked:
            found[name_of(path)] = figures(path)
            write("recipes", {"recipes": dict(sorted(found.items()))})


def figures(path: Path) -> dict[str, Any]:
    """The leading metric with its interval, the baselines, the verdicts and the seconds of one recipe."""
    with tempfile.TemporaryDirectory() as place:
        command = [str(Path(sys.executable).parent / "tunesmith"), "train", str(path), f"output={place}/run", "--json"]
        wall, done = seconds_of(command)
    result = json.loads(done.stdout)
    leading = result["verdicts"][0]["metric"]
    split = result["verdicts"][0]["split"]

    def value(metrics: list[dict[str, Any]]) -> dict[str, Any]:
        return next(
            {k: m[k] for k in ("value", "low", "high", "n")} for m in metrics if (m["name"], m["split"]) == (leading, split)
        )

    return {
        "metric": leading, "split": split, "this_run": value(result["metrics"]),
        "baselines": {b["name"]: value(b["metrics"]) for b in result["baselines"] if b["metrics"]},
        "verdicts": [{k: v[k] for k in ("against", "metric", "difference", "low", "high", "word")} for v in result["verdicts"]],
        "alarms": [alarm["name"] for alarm in result["alarms"]],
        "certificates": {c["name"]: c["passed"] for c in result["certificates"]},
        "rows": {name: split["rows"] for name, split in result["data"]["splits"].items()},
        "rows_per_second": result["training"]["rows_per_second"], "seconds": result["timings_seconds"], "wall_seconds": wall,
    }  # fmt: skip


if __name__ == "__main__":
    main()
