"""Trains with simpletransformers' defaults on a csv of text and label, in a separate virtual environment. Prints one JSON line.

python benchmarks/other_trainers/simple_transformers.py TRAIN.csv TEST.csv MODEL OUT EPOCHS SEED
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pandas as pd
from simpletransformers.classification import ClassificationModel
from sklearn.metrics import matthews_corrcoef


def main() -> None:
    train_path, test_path, model_path, out, epochs, seed = sys.argv[1:]
    train, test = (pd.read_csv(path)[["text", "label"]].rename(columns={"label": "labels"}) for path in (train_path, test_path))
    options = {
        "num_train_epochs": float(epochs), "manual_seed": int(seed), "output_dir": out, "overwrite_output_dir": True,
        # its evaluation and its feature conversion hang in their process pools on this kind of machine
        "cache_dir": f"{out}/cache", "use_multiprocessing": False, "use_multiprocessing_for_evaluation": False, "silent": True,
    }  # fmt: skip
    options["num_train_epochs"] = int(float(epochs))
    model = ClassificationModel("bert", model_path, use_cuda=False, args=options)
    started = time.perf_counter()
    model.train_model(train)
    seconds = time.perf_counter() - started
    decisions, _ = model.predict(test["text"].tolist())
    np.save(f"{out}/decisions.npy", np.asarray(decisions))
    truth = test["labels"].to_numpy()
    figures = {
        "train_seconds": seconds, "rows_per_second": len(train) * float(epochs) / seconds,
        "mcc": float(matthews_corrcoef(truth, decisions)), "accuracy": float((np.asarray(decisions) == truth).mean()),
    }  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
