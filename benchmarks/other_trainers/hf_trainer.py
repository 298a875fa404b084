"""Trains with transformers.Trainer on a csv of text and label. Prints one JSON line.

python benchmarks/other_trainers/hf_trainer.py TRAIN.csv TEST.csv MODEL OUT EPOCHS SEED [key=value of TrainingArguments ...]
"""

from __future__ import annotations

import ast
import csv
import json
import sys
import time

import numpy as np
from sklearn.metrics import matthews_corrcoef
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)


def read(path: str) -> tuple[list[str], list[int]]:
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [int(row["label"]) for row in rows]


def main() -> None:
    train_path, test_path, model_path, out, epochs, seed, *options = sys.argv[1:]
    extra = {key: ast.literal_eval(value) for key, value in (option.split("=", 1) for option in options)}
    max_length = extra.pop("max_length", 512)
    set_seed(int(seed))
    tokenizer = AutoTokenizer.from_pretrained(model_path)

    def dataset(path: str) -> list[dict[str, object]]:
        texts, labels = read(path)
        encoded = tokenizer(texts, truncation=True, max_length=max_length)
        return [{**{key: encoded[key][i] for key in encoded}, "labels": label} for i, label in enumerate(labels)]

    train, test = dataset(train_path), dataset(test_path)
    model = AutoModelForSequenceClassification.from_pretrained(model_path, num_labels=2)
    arguments = TrainingArguments(
        output_dir=out, num_train_epochs=float(epochs), seed=int(seed), use_cpu=True, disable_tqdm=True, report_to="none", **extra
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=train, data_collator=DataCollatorWithPadding(tokenizer))
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    trainer.args.train_sampling_strategy = "random"  # group_by_length would also reorder the rows it predicts
    predicted = trainer.predict(test)
    decisions, truth = predicted.predictions.argmax(-1), predicted.label_ids
    if truth.tolist() != [row["labels"] for row in test]:
        raise SystemExit("the Trainer predicted the rows in another order than the file's")
    trainer.save_model(out)
    np.save(f"{out}/decisions.npy", decisions)
    figures = {
        "train_seconds": seconds, "rows_per_second": len(train) * float(epochs) / seconds,
        "mcc": float(matthews_corrcoef(truth, decisions)), "accuracy": float((decisions == truth).mean()),
    }  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
