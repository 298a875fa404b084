"""Measures partial inputs of SNLI and MNLI, where hypotheses alone predict the label, and of a control, where nothing does.

    python benchmarks/partial_inputs.py [--rows 9824]

SNLI's test file and MNLI's validation file, embeddings of MiniLM and words, five folds; pairs with one premise share a fold. The
control has SNLI's rows with shuffled labels. Published: fastText on hypotheses alone has accuracy 0.67 on SNLI and 0.54 on
MNLI, from all of train (Gururangan et al. 2018); BERT on SNLI's hypotheses 0.570 bits and 0.703, on premises 0.000 bits, with
words shuffled 1.113 bits, of 1.187 for the whole (Ethayarajh et al. 2022).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from record import write

from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.evidence import make_evidence
from tunesmith.diagnosis.input_ablation import AblationRequest, ablate_inputs, ablation_diagnoses, embed_examples
from tunesmith.diagnosis.out_of_fold import out_of_fold
from tunesmith.models.base_embeddings import embedder
from tunesmith.models.source import find_model
from tunesmith.progress import Clock
from tunesmith.recipe.sections import ModelSection

DATA = Path(__file__).resolve().parent.parent / ".." / "shared" / "data"
CLASSES = ("entailment", "neutral", "contradiction")
LABELS = Labels("single_label_classification", CLASSES)
INPUTS = ("pair_only", "text_only", "shuffled_words", "overlap_only")
SHOWN = (
    "n", "v_information_bits", "accuracy", "majority_accuracy", "whole_v_information_bits", "whole_accuracy", "whole_adds_bits",
    "whole_adds_low", "whole_adds_high", "n_missed", "whole_accuracy_on_missed", "n_sure",
)  # fmt: skip


def snli(n: int) -> list[tuple[str, str, str]]:
    columns = [(DATA / "snli" / f"{name}.test").read_text(encoding="utf-8").splitlines() for name in ("s1", "s2", "labels")]
    return [(a.strip(), b.strip(), label.strip()) for a, b, label in zip(*columns, strict=True)][:n]


def mnli(n: int) -> list[tuple[str, str, str]]:
    """Reads the distinct rows: the file repeats many."""
    lines = (DATA / "mnli" / "llmsknow_mnli_validation.parsed.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return list(dict.fromkeys((row["premise"], row["hypothesis"], row["label"]) for row in rows))[:n]


def examples(name: str, rows: list[tuple[str, str, str]]) -> Examples:
    firsts, seconds, given = ([row[i] for row in rows] for i in range(3))
    labels = [CLASSES.index(label) for label in given]
    return Examples(name, name, list(range(len(rows))), firsts, labels, pairs=seconds, groups=firsts)


def measure(rows: Examples, embed: Any) -> dict[str, Any]:
    """Returns the figures of every input, and the seconds of each step."""
    started, clock = time.perf_counter(), Clock(lambda event: None, {})
    vectors = embed_examples(rows, embed)
    embedded = time.perf_counter()
    validated = out_of_fold(rows, LABELS, vectors, near_duplicates(rows.texts, rows.pairs))
    whole_done = time.perf_counter()
    found = ablate_inputs(AblationRequest(trained_null=True, inputs=INPUTS), rows, vectors, validated, embed, seed=0, clock=clock)
    evidence = make_evidence(rows, LABELS, pred_probs=validated.pred_probs, null_log2=found.null_log2)
    tables = {d.name.removeprefix("input_"): d.figures["table"][0] for d in ablation_diagnoses(found, evidence, 0, [])}
    seconds = {
        "embeddings": embedded - started,
        "whole": whole_done - embedded,
        "inputs_and_null": clock.seconds["changed inputs"],
    }
    return {
        "inputs": {name: {key: table[key] for key in SHOWN} for name, table in tables.items()},
        "entropy_bits_of_trained_null": next(iter(tables.values()))["entropy_bits"],
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=9824, help="of each data set")
    args = parser.parse_args()
    embed = embedder(find_model(ModelSection(), Path()))
    figures = {
        name: measure(examples(name, rows), embed) for name, rows in (("snli", snli(args.rows)), ("mnli", mnli(args.rows)))
    }
    rows = examples("snli", snli(args.rows))
    shuffled = np.random.default_rng(0).permutation(rows.labels).tolist()
    figures["snli_shuffled_labels"] = measure(replace(rows, labels=shuffled), embed)
    write("partial_inputs", {"rows_asked": args.rows, "figures": figures})


if __name__ == "__main__":
    main()
