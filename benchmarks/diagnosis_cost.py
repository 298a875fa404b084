"""Measures the cost of a diagnosis by the number of rows and by phase: IMDB reviews at 256 tokens, ``method: frozen``.

    python benchmarks/diagnosis_cost.py [--rows 500 1000 2000 4000 25000]

Also measures each check on up to 4,000 of them, given the arrays that it reads; the logits of eight epochs are random.
Target: 25,000 reviews in six minutes on two cores.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from record import write

from tunesmith import diagnose
from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.checks.table import CHECKS
from tunesmith.diagnosis.evidence import make_evidence
from tunesmith.diagnosis.out_of_fold import out_of_fold
from tunesmith.models.base_embeddings import embed
from tunesmith.models.source import find_model
from tunesmith.recipe.sections import ModelSection

FEW = 4_000
WANTED = {"rows": 25_000, "seconds": 360}
DATA = Path(__file__).resolve().parent.parent / ".." / "shared" / "data"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="*", default=[500, 1000, 2000, 4000, 25_000])
    row_counts = parser.parse_args().rows
    with gzip.open(DATA / "imdb" / "test.jsonl.gz", "rt", encoding="utf-8") as lines:
        reviews = [json.loads(line) for line in lines]
    figures = []
    for n_rows in row_counts:
        figures.append(measured(spread_out(reviews, n_rows)))
    few = [n_rows for n_rows in row_counts if n_rows <= FEW]
    each = of_each(spread_out(reviews, max(few)), few)
    write("diagnosis_cost", {"data": "imdb test", "max_tokens": 256, "sizes": figures, "seconds_of_each": each, "wanted": WANTED})


def spread_out(reviews: Sequence[dict[str, Any]], n_rows: int) -> list[dict[str, Any]]:
    """Takes so many reviews spread over the file, which is sorted by class."""
    step = len(reviews) // n_rows
    return list(reviews[: step * n_rows : step])


def of_each(reviews: list[dict[str, Any]], sizes: Sequence[int]) -> dict[str, dict[str, float]]:
    """Returns check -> number of rows -> seconds, the median of three."""
    texts, given = [review["text"] for review in reviews], [int(review["label"]) for review in reviews]
    whole = Examples("train", "", list(range(len(texts))), texts, given)
    vectors, labels = embed(whole, find_model(ModelSection(), Path())).vectors, Labels("single_label_classification", ("0", "1"))
    assert isinstance(vectors, np.ndarray)
    table: dict[str, dict[str, float]] = {name: {} for name, _ in CHECKS}
    for size in sizes:
        chosen = np.linspace(0, len(texts) - 1, size).astype(int)
        rows = whole.take(chosen.tolist(), "train")
        near, logits = near_duplicates(rows.texts), np.random.default_rng(0).normal(size=(8, size, 2)).astype(np.float32)
        validated = out_of_fold(rows, labels, vectors[chosen], near)
        evidence = make_evidence(
            rows, labels, pred_probs=validated.pred_probs, folds=validated.folds,
            near=near, embeddings=vectors[chosen], method="frozen",
            epoch_logits=logits, epoch_mode="train",
        )  # fmt: skip
        for name, diagnosis in CHECKS:
            table[name][str(size)] = statistics.median(timed(lambda d=diagnosis, e=evidence: d(e)) for _ in range(3))
    return table


def timed(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measured(reviews: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the seconds of each phase and the peak memory so far, for these reviews."""
    table = [{"text": review["text"], "label": str(review["label"])} for review in reviews]
    with tempfile.TemporaryDirectory() as place:
        found = diagnose(table, output=Path(place) / "imdb")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"rows": len(table), "seconds": found.timings_seconds, "peak_memory_bytes": peak}


if __name__ == "__main__":
    main()
