"""Compares data sets: transfer of labels between them, and the agreement of people with a data set's labels.

    python benchmarks/across_data.py

Hateful or not: HateModerate, HateCheck and a sample of Davidson et al.'s tweets (hate speech against offensive language and
neither). Positive or negative: 2,000 sentences of SST-2 and 2,000 reviews of IMDB. Oracles: five people each for 1,310 reviews of
IMDB, if three agree; the true labels of the built-in support messages, of which 36 of 900 are wrong on purpose.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from record import write

from tunesmith.data.labelled.load import load_labelled_data
from tunesmith.diagnosis.datasets import DatasetsDiagnosis, diagnose_data_sets
from tunesmith.diagnosis.oracle import make_oracle_query
from tunesmith.recipe.load import recipe_from_mapping

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".." / "shared" / "data"
TWEETS, SENTENCES = 4_000, 2_000
MAJORITY = 3

Rows = list[dict[str, str]]


def table(path: Path, delimiter: str = ",") -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def labelled(text: str, is_hateful: bool) -> dict[str, str]:
    return {"text": text, "label": "hateful" if is_hateful else "not hateful"}


def hate() -> dict[str, Rows]:
    """Reads three data sets with the labels hateful and not hateful."""
    examples = table(DATA / "hatemoderate" / "postprocess" / "all_examples.csv", "\t")
    cases = table(DATA / "hatecheck" / "test_suite_cases.csv")
    tweets = [labelled(row["tweet"], row["class"] == "0") for row in table(DATA / "davidson" / "labeled_data.csv")]
    hateful = [row for row in tweets if row["label"] == "hateful"]
    draw = random.Random(0)
    sample = [*hateful, *draw.sample([row for row in tweets if row["label"] != "hateful"], TWEETS - len(hateful))]
    draw.shuffle(sample)
    return {
        "hatemoderate": [labelled(row["sentence"], row["label"] == "1") for row in examples],
        "hatecheck": [labelled(row["test_case"], row["label_gold"] == "hateful") for row in cases],
        "davidson": sample,
    }


def by_template() -> Rows:
    """Reads HateCheck with the number of each case's template, so that a template stays in one fold."""
    cases = table(DATA / "hatecheck" / "test_suite_cases.csv")
    return [{**labelled(row["test_case"], row["label_gold"] == "hateful"), "templ_id": row["templ_id"]} for row in cases]


def reviews() -> Iterator[dict[str, str]]:
    """Reads IMDB's test reviews, whose ids contain their label."""
    with gzip.open(DATA / "imdb" / "test.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield {"id": row["id"], "text": row["text"], "label": {"neg": "negative", "pos": "positive"}[row["id"].split("/")[1]]}


def films(checked: set[str]) -> dict[str, Rows]:
    """Reads two data sets with the labels negative and positive."""
    draw = random.Random(0)
    lines = [line.rsplit("\t", 1) for line in (DATA / "sst2" / "train.tsv").read_text(encoding="utf-8").splitlines()]
    sentences = [{"text": text, "label": ("negative", "positive")[int(label)]} for text, label in draw.sample(lines, SENTENCES)]
    whole = [{"text": row["text"], "label": row["label"]} for row in reviews() if row["id"] not in checked]
    return {"sst2": sentences, "imdb": draw.sample(whole, SENTENCES)}


def people() -> dict[str, str]:
    """Maps each review to the label that at least three of five people chose; empty if no three agree."""
    majority_labels = {}
    for row in json.loads((DATA / "label-errors" / "imdb_mturk.json").read_text(encoding="utf-8")):
        votes = {
            row["given_original_label"].lower(): row["mturk"]["given"],
            row["our_guessed_label"].lower(): row["mturk"]["guessed"],
        }
        votes |= {"neutral": row["mturk"]["neutral"], "off-topic": row["mturk"]["off-topic"]}
        most = max(votes, key=lambda name: votes[name])
        majority_labels[row["id"]] = most if votes[most] >= MAJORITY else ""
    return majority_labels


def compared(data: dict[str, Rows]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        found = diagnose_data_sets(data, output=Path(folder) / "found")
    return {**without_texts(found), "seconds": found.timings_seconds}


def without_texts(found: DatasetsDiagnosis) -> dict[str, Any]:
    plain = asdict(found)
    findings = [{"name": one["name"], "flagged": one["flagged"], "summary": one["summary"]} for one in plain["findings"]]
    return {"rows": {one["name"]: one["rows"] for one in plain["data"]}, "findings": findings, "matrix": plain["matrix"]}


def agreement(name: str, train: str, oracle: Any, frame: Rows | None = None) -> dict[str, Any]:
    recipe = recipe_from_mapping({"data": {"train": train, "validation": None}}, "benchmark")
    splits = load_labelled_data(recipe, ROOT, None if frame is None else {"train": frame})
    found = make_oracle_query(oracle)(splits).agreement(splits.train, splits.labels)
    return {**asdict(found), "data": name, "oracle": "labels"}


if __name__ == "__main__":
    majority_labels = people()
    rows = [row for row in reviews() if row["id"] in majority_labels]
    labels = [{"id": name, "label": label} for name, label in majority_labels.items()]
    write(
        "across_data",
        {
            "hate": compared(hate()),
            "templates": compared({"hatecheck": by_template(), "davidson": hate()["davidson"]}),
            "films": compared(films(set(majority_labels))),
            "imdb_people": agreement("reviews", "reviews", labels, rows),
            "support_truth": agreement("support_train", "builtin:support_train", ROOT / "tests" / "data" / "support_truth.csv"),
        },
    )
