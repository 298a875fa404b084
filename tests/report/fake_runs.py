"""Run folders as a finished run would leave them, with made-up figures and awkward texts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tunesmith.results import Alarm, Baseline, Certificate, Finding, Metric, RunResult, Verdict

SCRIPT_ROW = "</script><script>alert(1)</script> cannot log in"
IMAGE_ROW = "lost parcel <img src=x onerror=\"document.title='broken'\"> again"
AWKWARD = [
    SCRIPT_ROW,
    IMAGE_ROW,
    "{{7*7}} ${7*7} %s &lt;b&gt;",
    "nul \x00 and bell \x07",
    "\u202eright to left override",
    "long" * 200,
    "é ü 漢字 🙂",
    "",
]
INTENTS = [
    "refund",
    "delivery late",
    "cancel order",
    "change address",
    "login problem",
    "invoice copy",
    "damaged item",
    "discount code",
    "payment failed",
    "product question",
    "complaint <b>bold</b>",
    "other",
]
VERBS = ["lost", "change", "why_is_my", "activate", "top_up_by", "exchange", "verify"]
THINGS = [
    "card",
    "pin",
    "transfer",
    "cash_withdrawal_charge",
    "fiat_currency",
    "exchange_rate",
    "identity",
    "top_up_limit",
    "atm",
    "direct_debit",
    "refund",
]
CLASSES = {
    "binary": ["acceptable", "unacceptable"],
    "twelve": INTENTS,
    "seventyseven": [f"{verb}_{thing}" for verb in VERBS for thing in THINGS],
    "multilabel": ["toxic", "insult", "threat", "spam"],
    "regression": ["score"],
}
KINDS = (*CLASSES, "minimal")
PROBLEMS = {"multilabel": "multi_label_classification", "regression": "regression"}
# metric -> value of the run, and how much worse a baseline is per unit of badness
METRICS = {
    "regression": {"rmse": (0.412, 0.6), "spearman": (0.871, -0.8), "pearson": (0.874, -0.8)},
    "": {
        "macro_f1": (0.913, -0.9),
        "accuracy": (0.921, -0.8),
        "mcc": (0.902, -0.9),
        "log_loss": (0.31, 2.0),
        "calibration_error": (0.034, 0.1),
    },
}
BADNESS = {"tfidf": 0.08, "frozen": 0.01, "majority": 0.7, "untuned": float("nan")}
ALARMS = (
    Alarm(
        "one class",
        "Every test row is predicted as “acceptable”.",
        "Lower the learning rate, or set train.class_weights to balanced.",
    ),
    Alarm("truncation", "61 % of the training rows are cut at 128 tokens.", "Raise data.max_length to 256."),
)


def save_run(folder: Path, kind: str, rows: int = 300, seed: int = 0, **changes: Any) -> Path:
    """Write every file of a run folder; ``minimal`` holds only a result with nothing in it. ``changes`` go to the result."""
    folder.mkdir(parents=True)
    if kind == "minimal":
        empty = {"schema": 1, "task": "classification", "data": None, "metrics": []}
        (folder / "result.json").write_text(json.dumps(empty), encoding="utf-8")
        return folder
    rng = np.random.default_rng(seed)
    result = replace(fake_result(kind, rows, rng), **changes)
    result.save(folder / "result.json")
    lines = [json.dumps(event) + "\n" for event in fake_events(kind, rng)]
    (folder / "metrics.jsonl").write_text("".join(lines), encoding="utf-8")
    pq.write_table(pa.table(fake_predictions(kind, rows, rng)), folder / "predictions.parquet")
    (folder / "resolved.yaml").write_text(yaml.safe_dump(result.recipe), encoding="utf-8")
    return folder


def fake_result(kind: str, rows: int, rng: np.random.Generator) -> RunResult:
    """A result with every field filled."""
    metrics = METRICS.get(kind, METRICS[""])
    main = next(iter(metrics))
    own = tuple(measured(name, split, value, rows) for split in ("validation", "test") for name, (value, _) in metrics.items())
    return RunResult(
        task="regression" if kind == "regression" else "classification",
        metrics=own,
        baselines=tuple(fake_baseline(name, bad, metrics, rows) for name, bad in BADNESS.items()),
        verdicts=tuple(
            fake_verdict(main, name, bad * metrics[main][1], rows) for name, bad in BADNESS.items() if np.isfinite(bad)
        ),
        findings=fake_findings(),
        certificates=(
            Certificate("the saved model equals the trained one", True, 0.0, 1e-6, "largest difference of a logit"),
            Certificate("a row alone equals the row in a padded batch", False, 3e-3, 1e-4),
        ),
        timings_seconds={"check": 1.2, "load": 2.5, "train": 81.3, "evaluate": 4.4, "baselines": 6.0, "total": 97.5},
        peak_memory_bytes=1_310_000_000,
        environment={
            "tunesmith": "0.1.0",
            "python": "3.11.2",
            "cores": 2,
            "memory_bytes": 8_200_000_000,
            "device": "cpu",
            "peft": None,
        },
        data=fake_data(kind, rows, rng),
        training=fake_training(main),
        recipe={
            "task": "classification",
            "model": {"name": "builtin:minilm"},
            "data": {"train": "tickets.csv", "test": "test.csv"},
            "train": {"learning_rate": 5e-5, "seed": 0},
            "evaluate": {"metric": main},
            "output": "runs/tickets",
        },
    )


def measured(name: str, split: str, value: float, rows: int) -> Metric:
    known = bool(np.isfinite(value))
    low, high = (value - 0.031, value + 0.029) if known else (None, None)
    return Metric(name, split, value if known else None, low, high, rows, name not in ("rmse", "log_loss", "calibration_error"))


def fake_baseline(name: str, bad: float, metrics: dict[str, tuple[float, float]], rows: int) -> Baseline:
    found = tuple(measured(metric, "test", value + bad * slope, rows) for metric, (value, slope) in metrics.items())
    return Baseline(name, found, 1.5, "" if np.isfinite(bad) else "the base model cannot answer")


def fake_verdict(metric: str, against: str, difference: float, rows: int) -> Verdict:
    apart = abs(difference) > 0.03
    return Verdict(
        metric,
        "test",
        against,
        -difference,
        -difference - 0.03,
        -difference + 0.03,
        "better" if apart else "cannot tell",
        rows,
        None,
        0.05,
    )


def fake_findings() -> tuple[Finding, ...]:
    rows = tuple(
        {"row_id": i, "split": "train", "reason": "same text, other label", "text": text, "label": "refund"}
        for i, text in enumerate(AWKWARD)
    )
    return (
        Finding("duplicates", "12 rows have a text that occurs before.", 12, rows=rows, remedy="Drop them, or keep one of each."),
        Finding("leakage", "3 test rows are also training rows.", 3, rows=rows[:3], remedy="Take them out of the training rows."),
        Finding("conflicting_labels", "No text has two labels.", 0),
        Finding("near_duplicates", "", 0, skipped="more than 100,000 rows"),
        Finding("suspect_labels", "31 rows look wrongly labelled.", 31, rows=rows * 4),
    )


def fake_training(metric: str) -> dict[str, Any]:
    return {
        "n_parameters": 22_700_000,
        "n_trainable_parameters": 22_700_000,
        "steps": 75,
        "epochs": 3.0,
        "best_step": 60,
        "best_metric": {"name": metric, "value": 0.921},
        "learning_rate": 5e-5,
        "rows_per_second": 341.2,
        "kernels": {"precision": "bf16", "attention": "eager", "reasons": {"precision": "the processor has AMX"}},
        "seeds": [0],
        "thresholds": None,
        "first_loss": 2.49,
        "expected_first_loss": 2.485,
        "last_loss": 0.21,
        "notes": ["a note"],
    }


def fake_data(kind: str, rows: int, rng: np.random.Generator) -> dict[str, Any]:
    names = CLASSES[kind]
    sizes = {"train": 8 * rows, "validation": rows, "test": rows}
    return {
        "columns": {"text": "message", "pair": None, "label": ["intent"], "id": None},
        "columns_reasons": {"text": "longest texts", "label": "few distinct values"},
        "labels": names,
        "problem_type": PROBLEMS.get(kind, "single_label_classification"),
        "notes": ["The file is UTF-8 with a byte-order mark."],
        "splits": {split: fake_split(split, n, names if kind != "regression" else [], rng) for split, n in sizes.items()},
    }


def fake_split(split: str, rows: int, names: list[str], rng: np.random.Generator) -> dict[str, Any]:
    tokens = np.clip(rng.lognormal(3.2, 0.7, rows), 3, 400)
    counts, edges = np.histogram(tokens, bins=30)
    middle, high, top = np.percentile(tokens, [50, 90, 99])
    return {
        "source": f"data/{split}.csv",
        "sha256": "9f86d081884c7d659a2feaa0c55ad015",
        "rows_read": rows + 5,
        "rows": rows,
        "dropped": {"empty text": 3, "label <unknown>": 2},
        "dropped_rows": [1, 2, 3],
        "rows_truncated": int((tokens > 128).sum()),
        "max_length": 128,
        "label_counts": {name: int(n) for name, n in zip(names, rng.integers(5, 60, len(names)), strict=True)},
        "length_tokens": {"p50": middle, "p90": high, "p99": top, "max": float(tokens.max())},
        "length_histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
    }


def fake_events(kind: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    """75 logged steps, one without a loss, and an evaluation every eighth."""
    events: list[dict[str, Any]] = []
    for step in range(1, 76):
        when = {"step": step, "epoch": step / 25, "seconds": step * 1.1}
        loss = 0.2 + 2.3 * float(np.exp(-step / 18)) + 0.12 * float(rng.random())
        rate = 5e-5 * min(step / 5, (76 - step) / 71)
        kept = None if step == 7 else loss
        events.append({"event": "train", **when, "loss": kept, "learning_rate": rate, "grad_norm": 2 + float(rng.random())})
        if step % 8 == 0:
            metrics = {
                name: value - 0.9 * float(np.exp(-step / 15)) for name, (value, _) in METRICS.get(kind, METRICS[""]).items()
            }
            events.append({"event": "evaluate", **when, "split": "validation", "loss": loss + 0.1, "metrics": metrics})
    return events


def texts(rows: int) -> list[str]:
    usual = [
        "my parcel has still not arrived, where is it?",
        "I was charged twice for the same order!!",
        "how do i chagne my adress",
    ]
    return [AWKWARD[i] if i < len(AWKWARD) else f"{usual[i % 3]} ({i})" for i in range(rows)]


def fake_predictions(kind: str, rows: int, rng: np.random.Generator) -> dict[str, Any]:
    """The columns of predictions.parquet; the awkward texts have the largest losses."""
    splits = ["validation"] * (rows // 4) + ["test"] * (rows - rows // 4)
    shown = {"row_id": list(range(rows)), "split": splits, "text": texts(rows), "pair": [None] * rows}
    if kind == "regression":
        return {**shown, "pair": texts(rows)[::-1], **fake_numbers(rows, rng)}
    names = CLASSES[kind]
    return {**shown, **(fake_label_sets if kind == "multilabel" else fake_labels)(names, rows, rng)}


def fake_numbers(rows: int, rng: np.random.Generator) -> dict[str, Any]:
    label = rng.uniform(0, 5, rows)
    score = label + rng.normal(0, 0.4, rows)
    loss: list[float | None] = ((label - score) ** 2).tolist()
    loss[0] = None
    return {"label": label.tolist(), "prediction": score.tolist(), "score": score.tolist(), "loss": loss}


def fake_label_sets(names: list[str], rows: int, rng: np.random.Generator) -> dict[str, Any]:
    truth = rng.random((rows, len(names))) < 0.25
    chances = 1 / (1 + np.exp(-(1.4 * rng.normal(0, 1, truth.shape) + np.where(truth, 2.2, -2.2))))
    named = [[[name for name, mark in zip(names, row, strict=True) if mark] for row in marks] for marks in (truth, chances > 0.5)]
    loss = -np.where(truth, np.log(chances), np.log(1 - chances)).mean(1)
    return {"label": named[0], "prediction": named[1], "loss": loss.tolist(), "pred_probs": chances.tolist()}


def fake_labels(names: list[str], rows: int, rng: np.random.Generator) -> dict[str, Any]:
    truth = rng.integers(0, len(names), rows)
    scores = 1.5 * rng.normal(0, 1, (rows, len(names)))
    scores[np.arange(rows), truth] += 4.5 if len(names) > 20 else 3.4
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    loss = -np.log(chances[np.arange(rows), truth])
    loss[: len(AWKWARD)] += 9.0
    label, prediction = ([names[i] for i in ids] for ids in (truth, chances.argmax(1)))
    return {"label": label, "prediction": prediction, "loss": loss.tolist(), "pred_probs": chances.tolist()}
