"""Rows a second of the training phase, and quality, of bare trainers and of the fast path on the same model and rows.

    python benchmarks/training_speed.py --data FOLDER [--task cola] [--task imdb] [--rounds 3] [--steps N]

``FOLDER`` holds ``cola/in_domain_train.tsv``, ``cola/in_domain_dev.tsv`` and ``imdb/train.jsonl.gz``. Every leg is a process of
its own; the legs of a round follow one another, so that a slow spell of the machine meets all of them. Speed is the time from
the first step to the last. ``undisturbed`` counts only the windows of ten steps in which other processes used less than 5 % of
the machine.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from record import seconds_of, spread, write

from tunesmith.models.builtin import builtin_model

LEGS = ("trainer", "trainer fast", "tunesmith")
EPOCHS = {"cola": 3.0, "imdb": 1.0}
MAX_LENGTH = {"cola": 512, "imdb": 256}
IMDB_ROWS = 2000
FAST_FLAGS = {"bf16": True, "per_device_train_batch_size": 32, "train_sampling_strategy": "group_by_length"}
OURS = {"per_device_train_batch_size": 32, "learning_rate": 2e-4, "warmup_steps": 0.06, "weight_decay": 0.01}
WINDOW_STEPS = 10
MOST_OTHERS = 0.05


def read_cola(path: Path) -> tuple[list[str], list[int]]:
    cells = [line.rstrip("\n").split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    return [row[3] for row in cells], [int(row[1]) for row in cells]


def read_rows(data: Path, task: str) -> dict[str, tuple[list[str], list[int]]]:
    """Split -> texts and labels. IMDB is there for its length alone: it has no validation rows here."""
    if task == "cola":
        return {split: read_cola(data / "cola" / f"in_domain_{split}.tsv") for split in ("train", "dev")}
    with gzip.open(data / "imdb" / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, IMDB_ROWS)]
    return {"train": ([row["text"] for row in rows], [int(row["label"]) for row in rows])}


class Clock:
    """Reads the time, and the processor time of this process and of the whole machine, every ten steps."""

    def __init__(self) -> None:
        from transformers import TrainerCallback

        self.marks: list[tuple[float, float, float, float]] = []
        clock = self

        class Tick(TrainerCallback):
            def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if state.global_step % WINDOW_STEPS == 0:
                    clock.mark(state.epoch or 0.0)

            def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                clock.mark(state.epoch)

        self.callback = Tick()

    def mark(self, epoch: float) -> None:
        used = psutil.cpu_times()
        busy = sum(used) - used.idle - getattr(used, "iowait", 0.0)
        self.marks.append((time.perf_counter(), time.process_time(), busy, epoch))

    def figures(self, n_rows: int) -> dict[str, float]:
        """``rows_per_second`` of everything and of the undisturbed windows, and the share that was undisturbed."""
        marks = np.array(self.marks)
        seconds, own, busy, epochs = np.diff(marks, axis=0).T
        others = (busy - own) / (seconds * (psutil.cpu_count() or 1))
        calm = others < MOST_OTHERS
        return {
            "train_seconds": float(seconds.sum()),
            "rows_per_second": float(epochs.sum() * n_rows / seconds.sum()),
            "rows_per_second_undisturbed": float(epochs[calm].sum() * n_rows / seconds[calm].sum())
            if calm.any()
            else float("nan"),
            "undisturbed_share": float(seconds[calm].sum() / seconds.sum()),
        }


def leg(name: str, task: str, data: Path, seed: int, steps: int) -> dict[str, Any]:
    """Train once; the speed and, on CoLA, the logits of the dev rows."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainingArguments, logging, set_seed

    logging.set_verbosity_error()
    rows = read_rows(data, task)
    folder = builtin_model("minilm")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    set_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    with tempfile.TemporaryDirectory() as output:
        shared = {"output_dir": output, "use_cpu": True, "save_strategy": "no", "disable_tqdm": True, "seed": seed}
        shared |= {"num_train_epochs": EPOCHS[task], "max_steps": steps}
        own = {"trainer": {}, "trainer fast": FAST_FLAGS, "tunesmith": OURS}[name]
        clock = Clock()
        run = train_ours if name == "tunesmith" else train_bare
        logits_of = run(model, tokenizer, TrainingArguments, shared | own, rows, MAX_LENGTH[task], clock)
        figures: dict[str, Any] = clock.figures(len(rows["train"][0]))
        if "dev" in rows:
            figures["decisions"] = logits_of().argmax(axis=1).tolist()
    return figures


def train_bare(model: Any, tokenizer: Any, arguments: Any, settings: Any, rows: Any, max_length: int, clock: Clock) -> Any:
    """What the documentation of upstream's trainer shows."""
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, Trainer

    def tokenised(split: str) -> Dataset:
        texts, labels = rows[split]
        table = Dataset.from_dict({"text": texts, "label": labels})
        return table.map(
            lambda batch: tokenizer(batch["text"], truncation=True, max_length=max_length), batched=True, remove_columns="text"
        )

    trainer = Trainer(
        model=model, args=arguments(**settings), train_dataset=tokenised("train"), processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer), callbacks=[clock.callback],
    )  # fmt: skip
    trainer.train()

    def logits_of() -> np.ndarray:
        # Grouped by length, upstream's evaluation returns its rows in another order; this one keeps theirs.
        trainer.args.train_sampling_strategy = "random"
        return np.asarray(trainer.predict(tokenised("dev")).predictions)

    return logits_of


def train_ours(model: Any, tokenizer: Any, arguments: Any, settings: Any, rows: Any, max_length: int, clock: Clock) -> Any:
    """The kernels, the sampler and the trainer of the fast path."""
    from tunesmith.data.table import Examples
    from tunesmith.machine import device_name
    from tunesmith.models.encode import Encoded, encode
    from tunesmith.models.inference import logits
    from tunesmith.models.kernels import apply_kernels, choose_kernels, restore
    from tunesmith.training.trainer import FastTrainer

    def encoded(split: str) -> Encoded:
        texts, labels = rows[split]
        return encode(tokenizer, Examples(split, "", list(range(len(texts))), texts, labels), max_length)

    kernels = choose_kernels(True, device_name())
    args = arguments(**settings, bf16=kernels.precision == "bf16", remove_unused_columns=False)
    trainer = FastTrainer(
        model=model, args=args, encoded=encoded("train"), pad_id=tokenizer.pad_token_id, kernels=kernels,
        callbacks=[clock.callback],
    )  # fmt: skip
    apply_kernels(model, kernels)
    trainer.train()
    restore(model)
    return lambda: logits(model, encoded("dev"), tokenizer.pad_token_id, kernels)


def judged(found: dict[str, list[dict[str, Any]]], labels: list[int]) -> dict[str, Any]:
    """Per rival: MCC of every seed, and our difference with its interval over rows and seeds."""
    from tunesmith.metrics.predictions import Predictions
    from tunesmith.metrics.table import compute
    from tunesmith.metrics.verdict import verdict

    def predictions(name: str) -> list[Predictions]:
        target = np.asarray(labels)
        runs = [np.asarray(run["decisions"]) for run in found[name]]
        return [Predictions(target, decided, np.eye(2)[decided]) for decided in runs]

    ours, table = predictions("tunesmith"), {}
    for name in found:
        mccs = [compute("single_label_classification", run)["mcc"] for run in predictions(name)]
        table[name] = {"mcc": mccs, "mean": statistics.mean(value or 0.0 for value in mccs)}
        if name != "tunesmith":
            said = verdict("mcc", ours, predictions(name), name, "in_domain_dev")
            table[name] |= {"difference": said.difference, "low": said.low, "high": said.high, "word": said.word}
    return table


def measured(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Per leg: the figures of all rounds, and our gain over it as the median of the rounds' ratios."""
    table: dict[str, Any] = {}
    for name, runs in found.items():
        numbers = [key for key in runs[0] if key != "decisions"]
        table[name] = {key: spread([run[key] for run in runs]) for key in numbers}
        for key in ("rows_per_second", "rows_per_second_undisturbed"):
            ratios = [own[key] / run[key] for own, run in zip(found["tunesmith"], runs, strict=True)]
            table[name][f"gain_{key}"] = spread(ratios)
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", action="append", choices=tuple(EPOCHS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=-1, help="stop after so many steps; quality then means nothing")
    parser.add_argument("--lock", help="a file to lock while a leg runs, where other work shares the machine")
    parser.add_argument("--leg", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.leg:
        print(json.dumps(leg(args.leg, args.task[0], args.data, args.seed, args.steps)))
        return
    results = {}
    for task in args.task or list(EPOCHS):
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in LEGS}
        for seed in range(args.rounds):
            for name in LEGS:
                command = [sys.executable, __file__, "--data", str(args.data), "--task", task, "--leg", name]
                command += ["--seed", str(seed), "--steps", str(args.steps)]
                _, done = seconds_of(["flock", args.lock, *command] if args.lock else command)
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
                print(
                    task,
                    name,
                    seed,
                    {key: value for key, value in found[name][-1].items() if key != "decisions"},
                    file=sys.stderr,
                )
        results[task] = {"speed": measured(found)}
        if task == "cola" and args.steps < 0:
            results[task]["quality"] = judged(found, read_rows(args.data, task)["dev"][1])
    write(
        "training_speed",
        {"model": "minilm", "rounds": args.rounds, "epochs": EPOCHS, "ours": OURS, "fast": FAST_FLAGS, "tasks": results},
    )


if __name__ == "__main__":
    main()
