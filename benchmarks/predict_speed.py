"""Rows a second of predicting 10,000 short texts: upstream's pipeline, plain and fast, against our prediction.

    python benchmarks/predict_speed.py --data FOLDER [--rounds 5]

``FOLDER`` holds ``cola/in_domain_train.tsv`` and ``cola/in_domain_dev.tsv``. One model, trained on CoLA first, answers the same
texts in every leg; the legs of a round follow one another in one process. Time starts with a list of strings and ends with one
label a text; loading is left out. Labels are compared with those of the pipeline at its defaults.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import spread, write
from training_speed import OURS, Clock, read_rows, train_ours

from tunesmith.models.builtin import builtin_model

TEXTS = 10_000
OURS_NAME = "tunesmith"
Leg = Callable[[], np.ndarray]


def trained_model(data: Path) -> tuple[Any, Any]:
    """MiniLM after two epochs of CoLA, and its tokenizer."""
    import tempfile

    from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainingArguments, logging, set_seed

    logging.set_verbosity_error()
    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(builtin_model("minilm"))
    model = AutoModelForSequenceClassification.from_pretrained(builtin_model("minilm"), num_labels=2)
    with tempfile.TemporaryDirectory() as output:
        settings = {
            "output_dir": output,
            "use_cpu": True,
            "save_strategy": "no",
            "disable_tqdm": True,
            "num_train_epochs": 2,
            **OURS,
        }
        train_ours(model, tokenizer, TrainingArguments, settings | OURS, read_rows(data, "cola"), 512, Clock())
        model.save_pretrained(output)
        return AutoModelForSequenceClassification.from_pretrained(output).eval(), tokenizer


def pipeline_leg(model: Any, tokenizer: Any, texts: list[str], **settings: Any) -> Leg:
    from transformers import pipeline

    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    return lambda: np.array([model.config.label2id[answer["label"]] for answer in classify(texts, **settings)])


def our_leg(model: Any, tokenizer: Any, texts: list[str]) -> Leg:
    from tunesmith.data.table import Examples
    from tunesmith.machine import device_name
    from tunesmith.models.encode import encode
    from tunesmith.models.inference import logits
    from tunesmith.models.kernels import choose_kernels

    kernels = choose_kernels(True, device_name())

    def run() -> np.ndarray:
        examples = Examples("predict", "", list(range(len(texts))), texts, [None] * len(texts))
        return logits(model, encode(tokenizer, examples, 512), tokenizer.pad_token_id, kernels).argmax(axis=1)

    return run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    model, tokenizer = trained_model(args.data)
    half = copy.deepcopy(model).to(torch.bfloat16)
    rows = read_rows(args.data, "cola")
    texts = (rows["train"][0] + rows["dev"][0]) * 2
    texts = texts[:TEXTS]
    legs = {
        "pipeline": pipeline_leg(model, tokenizer, texts),
        "pipeline, batch_size=32, bf16": pipeline_leg(half, tokenizer, texts, batch_size=32),
        OURS_NAME: our_leg(model, tokenizer, texts),
    }
    seconds: dict[str, list[float]] = {name: [] for name in legs}
    labels: dict[str, np.ndarray] = {}
    for number in range(args.rounds):
        for name, run in legs.items():
            started = time.perf_counter()
            labels[name] = run()
            seconds[name].append(time.perf_counter() - started)
            print(number, name, round(seconds[name][-1], 2), file=sys.stderr)
    table = {
        name: {
            "rows_per_second": spread([len(texts) / value for value in values]),
            "labels_equal": float((labels[name] == labels["pipeline"]).mean()),
            "gain": statistics.median(value / own for own, value in zip(seconds[OURS_NAME], values, strict=True)),
        }
        for name, values in seconds.items()
    }
    write("predict_speed", {"model": "minilm", "texts": len(texts), "rounds": args.rounds, "legs": table})


if __name__ == "__main__":
    main()
