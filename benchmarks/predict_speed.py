"""Measures the rows per second of prediction on 10,000 short texts: upstream's pipeline, plain and fast, and ``Run.predict``.

    python benchmarks/predict_speed.py [--rounds 5]

One model, trained on CoLA first, predicts the same texts with every system; the systems of a round follow one another in one
process. The time starts with a list of strings and ends with a label and probabilities for each, without loading. Labels are
compared with those of the pipeline with its defaults.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from record import spread, write
from whole_process import rows_of

import tunesmith

TEXTS = 10_000
OURS = "tunesmith"
DEFAULTS = "pipeline"
TARGETS = {DEFAULTS: 6.0, "pipeline, batch_size=32, bf16": 1.3}
Leg = Callable[[], list[str]]


def pipeline_leg(folder: Path, texts: list[str], dtype: str, **settings: Any) -> Leg:
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(folder), dtype=dtype, device="cpu")
    return lambda: [answer["label"] for answer in classify(texts, **settings)]


def measured(legs: dict[str, Leg], n_rounds: int, n_texts: int) -> dict[str, Any]:
    """Returns system -> rows per second, labels equal to the pipeline's, and our speed-up (median of the rounds' ratios)."""
    seconds: dict[str, list[float]] = {name: [] for name in legs}
    labels: dict[str, np.ndarray] = {}
    for number in range(n_rounds):
        for name, run in legs.items():
            started = time.perf_counter()
            labels[name] = np.array(run())
            seconds[name].append(time.perf_counter() - started)
            print(number, name, round(seconds[name][-1], 2), file=sys.stderr, flush=True)
    return {
        name: {
            "rows_per_second": spread([n_texts / value for value in values]),
            "labels_equal": float((labels[name] == labels[DEFAULTS]).mean()),
            "gain": statistics.median(value / own for own, value in zip(seconds[OURS], values, strict=True)),
        }
        for name, values in seconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    rows = [{"text": text, "label": label} for text, label in rows_of("cola", "train")]
    texts = ([row["text"] for row in rows] + [text for text, _ in rows_of("cola", "test")]) * 2
    texts = texts[:TEXTS]
    with tempfile.TemporaryDirectory() as place:
        run = tunesmith.train(
            rows, output=f"{place}/run", train={"n_evaluations": 2}, evaluate={"baselines": ["majority"], "tune_threshold": False}
        )
        legs: dict[str, Leg] = {
            DEFAULTS: pipeline_leg(run.folder / "model", texts, "float32"),
            "pipeline, batch_size=32, bf16": pipeline_leg(run.folder / "model", texts, "bfloat16", batch_size=32),
            OURS: lambda: [row["prediction"] for row in run.predict(texts)],
        }
        run.predict(texts[:100])  # loads the model, as the pipelines did
        table = measured(legs, args.rounds, len(texts))
    write("predict_speed", {"model": "minilm", "texts": len(texts), "rounds": args.rounds, "targets": TARGETS, "legs": table})


if __name__ == "__main__":
    main()
