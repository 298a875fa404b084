"""Tests whether the leakage search finds rows that are known to be copies, and no others.

    python benchmarks/leakage.py

HateModerate marks the examples that were taken from HateCheck. Counts how many of them are found as copies of HateCheck's cases,
exactly or nearly, and how many of the others are. Also counts the distinct pairs of MNLI's published validation file.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from record import write

from tunesmith.data.near_duplicates import near_duplicates

DATA = Path(__file__).resolve().parent.parent / ".." / "shared" / "data"
SHOWN = 50


def hatemoderate() -> dict[str, Any]:
    with (DATA / "hatemoderate" / "postprocess" / "all_examples.csv").open(encoding="utf-8", newline="") as file:
        examples = list(csv.DictReader(file, delimiter="\t"))
    with (DATA / "hatecheck" / "all_cases.csv").open(encoding="utf-8", newline="") as file:
        cases = [row["test_case"] for row in csv.DictReader(file)]
    texts = [row["sentence"] for row in examples]
    near = near_duplicates([*cases, *texts]).nearest_earlier(n_first=len(cases))
    overlap, partner = (values[len(cases) :] for values in near)
    copied = np.array([row["dataset"].lower() == "hatecheck" for row in examples])
    flagged = partner >= 0
    others = np.flatnonzero(flagged & ~copied)
    return {
        "examples": len(examples), "cases": len(cases), "from_hatecheck": int(copied.sum()),
        "found": int((flagged & copied).sum()), "found_share": float(flagged[copied].mean()),
        "exactly": int((copied & (overlap == 1)).sum()), "others": int((~copied).sum()), "others_flagged": len(others),
        "others_flagged_share": float(len(others) / (~copied).sum()),
        "sources": dict(Counter(row["dataset"] for row in examples)),
        "to_check_by_hand": [
            {"text": texts[i], "case": cases[partner[i]], "overlap": overlap[i], "from": examples[i]["dataset"]}
            for i in others[:SHOWN].tolist()
        ],
        "missed": [texts[i] for i in np.flatnonzero(copied & ~flagged)[:SHOWN].tolist()],
    }  # fmt: skip


def mnli() -> dict[str, Any]:
    path = DATA / "mnli" / "llmsknow_mnli_validation.parsed.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    near = near_duplicates([row["premise"] for row in rows], [row["hypothesis"] for row in rows])
    exact = {(row["premise"], row["hypothesis"]) for row in rows}
    return {
        "rows": len(rows),
        "distinct_pairs": len(exact),
        "distinct_after_normalisation": len(near.first_row),
        "near_pairs": len(near.a),
    }


if __name__ == "__main__":
    found = hatemoderate()
    private = {key: found.pop(key) for key in ("to_check_by_hand", "missed")}  # public data stay out of the results
    write("leakage", {"hatemoderate": found, "mnli": mnli()})
    print(json.dumps(private, indent=1, ensure_ascii=False))
