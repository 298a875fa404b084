"""Measures the speed of embedding: tunesmith against SentenceTransformer.encode with its defaults, on SciFact, interleaved.

    python benchmarks/embed_speed.py [--rounds 3] [--documents 5183]

Target: 2.5 times as fast, with a cosine to upstream's fp32 vectors of at least 0.999 for every row. Both have the model loaded
and truncate texts only at the model's own limit of 256 tokens.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from record import spread, write
from retrieval_reference import MODEL
from scifact import written

from tunesmith.data.pairs.retrieval import read_beir
from tunesmith.models.embedding.encoder import load_encoder
from tunesmith.models.source import find_model
from tunesmith.recipe.sections import ModelSection

WANTED_RATIO, WANTED_COSINE = 2.5, 0.999


def main() -> None:
    from sentence_transformers import SentenceTransformer

    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--documents", type=int)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        texts = list(read_beir(written(Path(place) / "scifact")).documents)
    if args.documents:
        texts = texts[:: len(texts) // args.documents][: args.documents]
    source = find_model(ModelSection(name=MODEL), Path())
    ours, theirs = load_encoder(source), SentenceTransformer(source.location)
    ours.encode(texts[:64])
    theirs.encode(texts[:64], show_progress_bar=False)
    seconds: dict[str, list[float]] = {"tunesmith": [], "sentence-transformers": []}
    for _ in range(args.rounds):
        started = time.perf_counter()
        our_vectors = ours.encode(texts)
        half = time.perf_counter()
        their_vectors = np.asarray(theirs.encode(texts, show_progress_bar=False))
        seconds["tunesmith"].append(half - started)
        seconds["sentence-transformers"].append(time.perf_counter() - half)
    cosines = (
        (our_vectors * their_vectors).sum(axis=1) / np.linalg.norm(our_vectors, axis=1) / np.linalg.norm(their_vectors, axis=1)
    )
    ratios = [slow / fast for slow, fast in zip(seconds["sentence-transformers"], seconds["tunesmith"], strict=True)]
    write("embed_speed", {
        "documents": len(texts), "seconds": {name: spread(values) for name, values in seconds.items()}, "ratio": spread(ratios),
        "wanted_ratio": WANTED_RATIO, "cosine": {"min": float(cosines.min()), "mean": float(cosines.mean())},
        "wanted_cosine": WANTED_COSINE, "kernels": {"precision": ours.fast_path.precision, "attention": ours.fast_path.attention},
    })  # fmt: skip


if __name__ == "__main__":
    main()
