"""What a diagnosis costs against the number of rows: IMDB reviews at 256 tokens, ``method: frozen``, phase by phase.

python benchmarks/diagnosis_cost.py [--rows 500 1000 2000 4000]
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import tempfile
from pathlib import Path
from typing import Any

from record import write

from tunesmith import diagnose

DATA = Path(__file__).resolve().parent.parent / ".." / "shared" / "data"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="*", default=[500, 1000, 2000, 4000])
    asked = parser.parse_args().rows
    with gzip.open(DATA / "imdb" / "test.jsonl.gz", "rt", encoding="utf-8") as lines:
        reviews = [json.loads(line) for line in lines]
    figures = []
    for n_rows in asked:
        step = len(reviews) // n_rows  # the file has one class after the other
        figures.append(measured(reviews[: step * n_rows : step]))
    write("diagnosis_cost", {"data": "imdb test", "max_tokens": 256, "sizes": figures})


def measured(reviews: list[dict[str, Any]]) -> dict[str, Any]:
    """Seconds of each phase and the largest memory so far, for these reviews."""
    table = [{"text": review["text"], "label": str(review["label"])} for review in reviews]
    with tempfile.TemporaryDirectory() as place:
        found = diagnose(table, output=Path(place) / "imdb")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"rows": len(table), "seconds": found.timings_seconds, "peak_memory_bytes": peak}


if __name__ == "__main__":
    main()
