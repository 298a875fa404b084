"""Measures the time of the most frequent commands: --help, check --static on 10,000 rows, and the whole demo.

python benchmarks/startup.py [--runs 5] [--no-demo]
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import tempfile
from pathlib import Path

from record import seconds_of, spread, write

WORDS = [
    "parcel", "order", "refund", "tent", "boots", "login", "code", "invoice", "card", "address", "late", "broken", "wrong",
    "size", "colour", "please", "help", "thanks",
]  # fmt: skip


def ten_thousand_rows(folder: Path) -> Path:
    """Writes a recipe on 10,000 different rows in 12 classes."""
    draw = random.Random(0)
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for i in range(10_000):
            writer.writerow([" ".join(draw.choices(WORDS, k=draw.randint(4, 30))) + f" {i}", f"class {draw.randrange(12)}"])
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({"data": {"train": "rows.csv"}, "output": str(folder / "run")}), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-demo", action="store_true")
    args = parser.parse_args()
    tunesmith = [str(Path(sys.executable).parent / "tunesmith")]
    with tempfile.TemporaryDirectory() as place:
        recipe = ten_thousand_rows(Path(place))
        commands = {"help": [*tunesmith, "--help"], "check_static_10000_rows": [*tunesmith, "check", str(recipe), "--static"]}
        found: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(args.runs + 1):
            for name, command in commands.items():
                found[name].append(seconds_of(command)[0])
        figures: dict[str, object] = {name: spread(seconds[1:]) for name, seconds in found.items()}
        if not args.no_demo:
            figures["demo"] = spread([seconds_of([*tunesmith, "demo", "--output", f"{place}/demo"])[0]])
    write(
        "startup",
        {
            "unit": "seconds, whole process, after one warm-up",
            "targets": {"help": 0.5, "check_static_10000_rows": 2.0, "demo": 120.0},
            **figures,
        },
    )


if __name__ == "__main__":
    main()
