"""Measures the search for near-duplicates among many short rows: seconds, memory, and the share of changed copies found.

    python benchmarks/near_duplicates_scale.py [--rows 1000000]

Rows are questions and intents of public data, varied by replacing words with words of other rows, so that they are as long and as
similar as real ones; one in a hundred is a copy of another with one word changed.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from record import write

DATA = Path(__file__).resolve().parent.parent / ".." / "shared" / "data"


def sentences() -> list[str]:
    """Reads short texts of Banking77, CLINC150 and Quora."""
    with (DATA / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        found = [row["text"] for row in csv.DictReader(file)]
    for rows in json.loads((DATA / "clinc150" / "data_full.json").read_text(encoding="utf-8")).values():
        found += [text for text, _ in rows]
    for path in sorted((DATA / "quora").iterdir()):
        with path.open(encoding="utf-8") as file:
            found += [cell for line in file for cell in line.rstrip("\n").split("\t")[2:4]]
    return found


def rows(n: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Makes N texts, and returns the pairs (row, changed copy of it) among them."""
    draw, base = random.Random(0), sentences()
    words = sorted({word for text in base for word in text.split()})
    texts = []
    for i in range(n - n // 100):
        cells = base[i % len(base)].split()
        if i >= len(base):  # a variation: about half of the words are others
            cells = [draw.choice(words) if draw.random() < 0.5 else word for word in cells] + [draw.choice(words)]
        texts.append(" ".join(cells))
    planted = []
    long_enough = [i for i, text in enumerate(texts) if len(text) > 50]
    for i in draw.sample(long_enough, n // 100):
        cells = texts[i].split()
        cells[draw.randrange(len(cells))] = draw.choice(words)[:5]
        planted.append((i, len(texts)))
        texts.append(" ".join(cells))
    return texts, planted


def measure(n: int) -> dict[str, float]:
    from tunesmith.data.near_duplicates import exact_overlap, near_duplicates
    from tunesmith.data.normalise import normalise

    texts, planted = rows(n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    near = near_duplicates(texts)
    seconds = time.perf_counter() - started
    found = set(zip(near.a.tolist(), near.b.tolist(), strict=True))
    keys = [normalise(text) for pair in planted for text in (texts[pair[0]], texts[pair[1]])]
    overlap = exact_overlap(keys, np.arange(0, len(keys), 2), np.arange(1, len(keys), 2))
    above = [pair for pair, share in zip(planted, overlap.tolist(), strict=True) if share >= 0.7]
    numbers = [tuple(sorted((int(near.text_ids[i]), int(near.text_ids[j])))) for i, j in above]
    hits = sum(a == b or (a, b) in found for a, b in numbers)
    return {
        "rows": n, "seconds": seconds, "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "gib_before": before / 2**20, "pairs": len(near.a), "planted_above_threshold": len(above),
        "found": hits / max(1, len(above)),
        "mean_characters": sum(map(len, texts)) / n,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--one", type=int)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one)))
        return
    found = []
    for n in args.rows:
        done = subprocess.run([sys.executable, __file__, "--one", str(n)], capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
        print(found[-1], file=sys.stderr, flush=True)
    write("near_duplicates_scale", {"targets": {"rows": 1_000_000, "seconds": 300, "gib": 4}, "sizes": found})


if __name__ == "__main__":
    main()
