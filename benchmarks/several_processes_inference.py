"""Measures embedding by two processes with one thread each against one process with two threads, on this machine's cores.

    python benchmarks/several_processes_inference.py [--rounds 3] [--texts 600] [--processes 2]

``encoding`` is the time of the texts alone, with the model loaded everywhere; ``command`` that of ``tunesmith embed``, with the
start of Python and the loading of the model. The two legs of a round follow one another, and only their ratio means something
where other work runs on the machine. Vectors of both legs are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import seconds_of, spread, write

from tunesmith.data.readers.read import read_table
from tunesmith.machine import cores, threads_per_process
from tunesmith.models.embedding.encoder import SentenceEncoder, encoder_in_processes, load_encoder
from tunesmith.models.source import find_model
from tunesmith.recipe.sections import ModelSection

MODEL, DATA = "builtin:minilm", ("builtin:support_train", "builtin:support_test")


def seconds_to_encode(encoder: SentenceEncoder, texts: list[str]) -> tuple[float, np.ndarray]:
    started = time.perf_counter()
    vectors = encoder.encode(texts)
    return time.perf_counter() - started, vectors


def encoding(texts: list[str], processes: int, rounds: int) -> dict[str, Any]:
    """Times the texts alone, interleaved, after a first pass of each leg that loads the model."""
    source = find_model(ModelSection(name=MODEL), Path())
    seconds: dict[str, list[float]] = {"one process": [], "several processes": []}
    alone = load_encoder(source)
    with encoder_in_processes(load_encoder(source), source, None, processes) as pooled:
        start_seconds, _ = seconds_to_encode(pooled, texts[: 64 * processes])
        alone.encode(texts[:64])
        for _ in range(rounds):
            took, ours = seconds_to_encode(alone, texts)
            seconds["one process"].append(took)
            took, theirs = seconds_to_encode(pooled, texts)
            seconds["several processes"].append(took)
    return {**compared(seconds), "first_batches_seconds": start_seconds, "largest_difference": float(np.abs(ours - theirs).max())}


def command(texts: list[str], processes: int, rounds: int) -> dict[str, Any]:
    """Times whole commands, interleaved."""
    seconds: dict[str, list[float]] = {"one process": [], "several processes": []}
    with tempfile.TemporaryDirectory() as place:
        rows = Path(place) / "rows.jsonl"
        rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        for number in range(rounds):
            for name, count in (("one process", 1), ("several processes", processes)):
                words = ["embed", MODEL, str(rows), "--output", f"{place}/{number}-{count}.npy", "--processes", str(count)]
                took, _ = seconds_of([sys.executable, "-m", "tunesmith.cli.main", *words])
                seconds[name].append(took)
    return compared(seconds)


def compared(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Returns the seconds of both legs, and how many times as fast several processes are, from the rounds' ratios."""
    ratios = [one / several for one, several in zip(seconds["one process"], seconds["several processes"], strict=True)]
    return {"seconds": {name: spread(values) for name, values in seconds.items()}, "gain": spread(ratios)}


def main() -> None:
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=600)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(cores())  # of one process; several divide them
    torch.set_num_threads(cores())
    texts = [str(text) for name in DATA for text in read_table(name).columns["message"]][: args.texts]
    write("several_processes_inference", {
        "texts": len(texts), "model": MODEL, "processes": args.processes, "rounds": args.rounds,
        "threads": {"one process": cores(), "several processes": threads_per_process(args.processes)},
        "encoding": encoding(texts, args.processes, args.rounds), "command": command(texts, args.processes, args.rounds),
    })  # fmt: skip


if __name__ == "__main__":
    main()
