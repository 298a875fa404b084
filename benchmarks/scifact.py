"""Writes SciFact in the BEIR layout: its documents, its claims, and the documents that each claim cites.

    python benchmarks/scifact.py FOLDER

The training claims become ``qrels/train.tsv`` and the 300 validation claims, which have published figures, ``test.tsv``.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / ".." / "shared" / "data" / "scifact"
SPLITS = {"train": "train", "test": "validation"}
"""Ours -> SciFact's name."""
SENTENCE = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")


def written(folder: Path, splits: Mapping[str, str] = SPLITS) -> Path:
    """Writes the folder and returns it."""
    csv.field_size_limit(10**9)
    with (DATA / "corpus_train.csv").open(encoding="utf-8", newline="") as file:
        documents = [
            {"_id": row["doc_id"], "title": row["title"], "text": " ".join(a or b for a, b in SENTENCE.findall(row["abstract"]))}
            for row in csv.DictReader(file)
        ]
    (folder / "qrels").mkdir(parents=True)
    queries: list[dict[str, str]] = []
    for ours, theirs in splits.items():
        with (DATA / f"claims_{theirs}.csv").open(encoding="utf-8", newline="") as file:
            claims = {row["id"]: (row["claim"], re.findall(r"\d+", row["cited_doc_ids"])) for row in csv.DictReader(file)}
        queries += [{"_id": name, "text": claim} for name, (claim, _) in claims.items()]
        judgements = [f"{name}\t{document}\t1" for name, (_, cited) in claims.items() for document in dict.fromkeys(cited)]
        text = "\n".join(["query-id\tcorpus-id\tscore", *judgements]) + "\n"
        (folder / "qrels" / f"{ours}.tsv").write_text(text, encoding="utf-8")
    for name, rows in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


if __name__ == "__main__":
    written(Path(sys.argv[1]))
