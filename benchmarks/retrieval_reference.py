"""Compares the retrieval evaluation with published figures and upstream's evaluator: MiniLM, BM25 and TF-IDF on SciFact.

    python benchmarks/retrieval_reference.py

SciFact's 300 validation claims with the documents they cite, as in BEIR; the target is an nDCG@10 of 0.645 +- 0.01. The same
vectors go to sentence-transformers' InformationRetrievalEvaluator, whose nDCG, MRR and recall must equal ours.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from record import write
from scifact import written

from tunesmith.data.pairs.retrieval import read_beir
from tunesmith.tasks.embedding.evaluate_model import evaluate_retrieval

MODEL = "builtin:minilm"
WANTED, TOLERANCE = 0.645, 0.01


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = written(Path(place) / "scifact")
        started = time.perf_counter()
        result = evaluate_retrieval(MODEL, folder, dimensions=(64, 128, 256))
        seconds = time.perf_counter() - started
        theirs = upstream(folder)
    ours = {metric.name: {key: getattr(metric, key) for key in ("value", "low", "high")} for metric in result.metrics}
    write("retrieval_reference", {
        "data": result.data | {"source": "scifact, 300 validation claims"},
        "wanted_ndcg@10": [WANTED - TOLERANCE, WANTED + TOLERANCE],
        MODEL: ours, "upstream_evaluator": theirs, "seconds": seconds, "timings": result.timings_seconds,
        "baselines": {one.name: {metric.name: metric.value for metric in one.metrics} for one in result.baselines},
        "verdicts": [
            {"metric": v.metric, "against": v.against, "difference": v.difference, "low": v.low, "high": v.high, "word": v.word}
            for v in result.verdicts
        ],
    })  # fmt: skip


def upstream(folder: Path) -> dict[str, Any]:
    """Returns the metrics of sentence-transformers' evaluator, with its own encoding in fp32."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    from tunesmith.models.source import find_model
    from tunesmith.recipe.sections import ModelSection

    data = read_beir(folder)
    relevant: dict[str, set[str]] = {}
    for query, document in zip(data.judgements.query.tolist(), data.judgements.document.tolist(), strict=True):
        relevant.setdefault(data.query_ids[query], set()).add(data.document_ids[document])
    evaluator = InformationRetrievalEvaluator(
        dict(zip(data.query_ids, data.queries, strict=True)), dict(zip(data.document_ids, data.documents, strict=True)), relevant,
        mrr_at_k=[10], ndcg_at_k=[10], accuracy_at_k=[1], precision_recall_at_k=[10, 100], map_at_k=[100],
    )  # fmt: skip
    started = time.perf_counter()
    found = evaluator(SentenceTransformer(find_model(ModelSection(name=MODEL), Path()).location))
    return {**{name: float(value) for name, value in found.items()}, "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    main()
