"""Measures exact search in blocks: time and memory of 10,000 queries in 1,000,000 documents of 384 dimensions.

    python benchmarks/search_scale.py [--documents 1000000] [--queries 10000]

Target: within 4 GiB. The documents are a memory map on disk, as ``embed`` writes them, and count as resident memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from record import write

from tunesmith.evaluation.search import nearest

DIMENSION, K, BLOCK = 384, 100, 50_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=10_000)
    args = parser.parse_args()
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "documents.npy"
        made = np.lib.format.open_memmap(path, "w+", np.float32, (args.documents, DIMENSION))
        for start in range(0, args.documents, BLOCK):
            made[start : start + BLOCK] = draw.normal(size=made[start : start + BLOCK].shape)
        made.flush()
        del made
        documents = np.load(path, mmap_mode="r")
        positions = draw.integers(0, args.documents, args.queries)
        queries = np.array(documents[np.sort(positions)]) + draw.normal(size=(args.queries, DIMENSION)).astype(np.float32) * 0.5
        started = time.perf_counter()
        found, _ = nearest(queries, documents, K)
        seconds = time.perf_counter() - started
    right = float((found[:, 0] == np.sort(positions)).mean())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    write("search_scale", {
        "documents": args.documents, "queries": args.queries, "dimension": DIMENSION, "k": K, "seconds": seconds,
        "peak_memory_gib": peak, "wanted_gib": 4, "own_document_first": right,
    })  # fmt: skip


if __name__ == "__main__":
    main()
