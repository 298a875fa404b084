"""Does the evaluator agree with the published world? SciFact by MiniLM as it came, beside BM25 and TF-IDF; upstream's evaluator.

    python benchmarks/retrieval_reference.py

SciFact's 300 validation claims with the documents they cite, as BEIR has them; wanted is an nDCG@10 of 0.645 +- 0.01. The same
vectors go to sentence-transformers' InformationRetrievalEvaluator, whose nDCG, MRR and recall have to be ours.
"""

from __future__ import annotations

import csv
import json
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from record import write

from tunesmith.data.beir import read_beir
from tunesmith.examine import evaluate_retrieval

DATA = Path(__file__).resolve().parent.parent / ".." / "shared" / "data" / "scifact"
MODEL = "builtin:minilm"
WANTED, ROOM = 0.645, 0.01
SENTENCE = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = written(Path(place), "validation")
        started = time.perf_counter()
        result = evaluate_retrieval(MODEL, folder, dimensions=(64, 128, 256))
        seconds = time.perf_counter() - started
        theirs = upstream(folder)
    ours = {metric.name: {key: getattr(metric, key) for key in ("value", "low", "high")} for metric in result.metrics}
    write("retrieval_reference", {
        "data": result.data | {"source": "scifact, 300 validation claims"}, "wanted_ndcg@10": [WANTED - ROOM, WANTED + ROOM],
        MODEL: ours, "upstream_evaluator": theirs, "seconds": seconds, "timings": result.timings_seconds,
        "baselines": {one.name: {metric.name: metric.value for metric in one.metrics} for one in result.baselines},
        "verdicts": [
            {"metric": v.metric, "against": v.against, "difference": v.difference, "low": v.low, "high": v.high, "word": v.word}
            for v in result.verdicts
        ],
    })  # fmt: skip


def written(folder: Path, split: str) -> Path:
    """SciFact's claims of a split and its documents in the BEIR layout."""
    csv.field_size_limit(10**9)
    with (DATA / "corpus_train.csv").open(encoding="utf-8", newline="") as file:
        documents = [
            {"_id": row["doc_id"], "title": row["title"], "text": " ".join(a or b for a, b in SENTENCE.findall(row["abstract"]))}
            for row in csv.DictReader(file)
        ]
    with (DATA / f"claims_{split}.csv").open(encoding="utf-8", newline="") as file:
        claims = {row["id"]: (row["claim"], re.findall(r"\d+", row["cited_doc_ids"])) for row in csv.DictReader(file)}
    queries = [{"_id": name, "text": claim} for name, (claim, _) in claims.items()]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    judged = [f"{name}\t{document}\t1" for name, (_, cited) in claims.items() for document in dict.fromkeys(cited)]
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n", encoding="utf-8")
    return folder


def upstream(folder: Path) -> dict[str, Any]:
    """What sentence-transformers' own evaluator says, with its own encoding in fp32."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    from tunesmith.models.source import find_model
    from tunesmith.recipe.sections import ModelSection

    data = read_beir(folder)
    relevant: dict[str, set[str]] = {}
    for query, document in zip(data.judgements.query.tolist(), data.judgements.document.tolist(), strict=True):
        relevant.setdefault(data.query_ids[query], set()).add(data.document_ids[document])
    judge = InformationRetrievalEvaluator(
        dict(zip(data.query_ids, data.queries, strict=True)), dict(zip(data.document_ids, data.documents, strict=True)), relevant,
        mrr_at_k=[10], ndcg_at_k=[10], accuracy_at_k=[1], precision_recall_at_k=[10, 100], map_at_k=[100],
    )  # fmt: skip
    started = time.perf_counter()
    found = judge(SentenceTransformer(find_model(ModelSection(name=MODEL), Path()).location))
    return {**{name: float(value) for name, value in found.items()}, "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    main()
