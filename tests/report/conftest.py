"""Run folders as a finished run would leave them, with made-up figures and awkward texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
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
    "refund", "delivery late", "cancel order", "change address", "login problem", "invoice copy",
    "damaged item", "discount code", "payment failed", "product question", "complaint <b>bold</b>", "other",
]  # fmt: skip
KINDS = ("binary", "twelve", "seventyseven", "multilabel", "regression", "minimal")


def class_names(kind: str) -> list[str]:
    """The labels of each kind of run."""
    if kind == "seventyseven":
        return [
            f"{verb}_{thing}"
            for verb in ("lost", "change", "why_is_my", "activate", "top_up_by", "exchange", "verify")
            for thing in THINGS
        ]
    return {
        "binary": ["acceptable", "unacceptable"],
        "multilabel": ["toxic", "insult", "threat", "spam"],
        "regression": ["score"],
    }.get(kind, INTENTS)


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


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a run folder of a kind and returns its path."""

    def write(kind: str, name: str = "", rows: int = 300, seed: int = 0, **changes: Any) -> Path:
        return save_run(tmp_path / (name or kind), kind, rows, seed, changes)

    return write


def save_run(folder: Path, kind: str, rows: int, seed: int, changes: dict[str, Any]) -> Path:
    """Write every file of a run folder; ``minimal`` holds only a result with nothing in it."""
    folder.mkdir(parents=True)
    if kind == "minimal":
        (folder / "result.json").write_text(
            '{"schema": 1, "task": "classification", "data": null, "metrics": []}', encoding="utf-8"
        )
        return folder
    rng = np.random.default_rng(seed)
    result = replace(fake_result(kind, rows, rng), **changes)
    result.save(folder / "result.json")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in fake_events(kind, rng)), encoding="utf-8")
    pq.write_table(pa.table(fake_predictions(kind, rows, rng)), folder / "predictions.parquet")
    (folder / "resolved.yaml").write_text(yaml.safe_dump(result.recipe), encoding="utf-8")
    return folder


def fake_result(kind: str, rows: int, rng: np.random.Generator) -> RunResult:
    main, lower = ("rmse", True) if kind == "regression" else ("macro_f1", False)
    values = (
        {"rmse": 0.412, "spearman": 0.871, "pearson": 0.874}
        if lower
        else {"macro_f1": 0.913, "accuracy": 0.921, "mcc": 0.902, "log_loss": 0.31}
    )
    metrics = [one(name, split, value, rows) for split in ("validation", "test") for name, value in values.items()]
    worse = -1 if not lower else 1
    rivals = {"tfidf": 0.06, "frozen": 0.012, "majority": 0.6, "untuned": float("nan")}
    baselines = tuple(
        Baseline(name, tuple(one(m, "test", v + worse * by, rows) for m, v in values.items()), 1.5) for name, by in rivals.items()
    )
    verdicts = tuple(
        Verdict(main, "test", name, -worse * by, -worse * by - 0.03, -worse * by + 0.03, word(by), rows, 0.003, 0.05)
        for name, by in list(rivals.items())[:3]
    )  # fmt: skip
    return RunResult(
        "regression" if lower else "classification", tuple(metrics), baselines, verdicts, fake_findings(), (), fake_certificates(),
        {"check": 1.2, "load": 2.5, "train": 81.3, "evaluate": 4.4, "baselines": 6.0, "report": 0.6}, 1_310_000_000, fake_environment(),
        fake_data(kind, rows, rng), fake_training(), fake_recipe(kind, main),
    )  # fmt: skip


def one(name: str, split: str, value: float, rows: int) -> Metric:
    lower = name in ("rmse", "log_loss")
    known = np.isfinite(value)
    return Metric(name, split, value, value - 0.031 if known else None, value + 0.029 if known else None, rows, not lower)


def word(by: float) -> Any:
    return "better" if by > 0.03 else "cannot tell"


def fake_findings() -> tuple[Finding, ...]:
    rows = tuple(
        {"row_id": i, "split": "train", "reason": "same text, other label", "text": text, "label": "refund"}
        for i, text in enumerate(AWKWARD)
    )
    return (
        Finding("duplicates", "12 rows have a text that occurs before", 12, rows=rows, remedy="Drop them, or keep one of each."),
        Finding("leakage", "3 test rows are also training rows", 3, rows=rows[:3], remedy="Take them out of the training rows."),
        Finding("conflicting_labels", "no text has two labels", 0),
        Finding("near_duplicates", "", 0, skipped="more than 100,000 rows"),
        Finding("suspicious_labels", "31 rows look wrongly labelled", 31, rows=rows * 4),
    )  # fmt: skip


def fake_certificates() -> tuple[Certificate, ...]:
    return (
        Certificate("reload_equality", True, 0.0, 1e-6, "largest difference of a logit after save and load"),
        Certificate("batch_invariance", False, 3e-3, 1e-4),
    )


def fake_environment() -> dict[str, Any]:
    return {"tunesmith": "0.1.0", "python": "3.11.2", "platform": "Linux x86_64", "cpu": "Some Processor 2.0GHz", "cores": 2, "memory_bytes": 8_200_000_000,
            "device": "cpu", "torch": "2.13.0", "transformers": "5.23.0", "peft": None}  # fmt: skip


def fake_training() -> dict[str, Any]:
    return {
        "n_parameters": 22_700_000, "n_trainable_parameters": 22_700_000, "steps": 75, "epochs": 3.0, "best_step": 60, "best_metric": 0.921, "learning_rate": 5e-5,
        "rows_per_second": 341.2, "kernels": {"precision": "bf16", "attention": "eager", "reasons": ["the processor has AMX"]}, "seeds": [0],
        "thresholds": None, "first_loss": 2.49, "expected_first_loss": 2.485, "last_loss": 0.21,
    }  # fmt: skip


def fake_recipe(kind: str, metric: str) -> dict[str, Any]:
    return {"task": "regression" if kind == "regression" else "classification", "model": {"name": "builtin:minilm"},
            "data": {"train": "tickets.csv", "test": "test.csv"}, "train": {"learning_rate": 5e-5, "seed": 0}, "evaluate": {"metric": metric}}  # fmt: skip


def fake_data(kind: str, rows: int, rng: np.random.Generator) -> dict[str, Any]:
    names = class_names(kind)
    kinds = {"multilabel": "multi_label_classification", "regression": "regression"}
    sizes = {"train": 8 * rows, "validation": rows, "test": rows}
    return {
        "columns": {"text": "message", "pair": None, "label": ["intent"], "id": None}, "columns_reasons": {"text": "longest texts", "label": "few distinct values"},
        "labels": names, "problem_type": kinds.get(kind, "single_label_classification"), "notes": ["The file is UTF-8 with a byte-order mark."],
        "splits": {split: fake_split(split, n, names if kind != "regression" else [], rng) for split, n in sizes.items()},
    }  # fmt: skip


def fake_split(split: str, rows: int, names: list[str], rng: np.random.Generator) -> dict[str, Any]:
    tokens = np.clip(rng.lognormal(3.2, 0.7, rows), 3, 400)
    counts, edges = np.histogram(tokens, bins=30)
    middle, high, top = np.percentile(tokens, [50, 90, 99])
    return {
        "source": f"{split}.csv", "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "rows_read": rows + 5, "rows": rows,
        "dropped": {"empty text": 3, "label <unknown>": 2}, "dropped_rows": [1, 2, 3], "rows_truncated": int((tokens > 128).sum()), "max_length": 128,
        "label_counts": {name: int(n) for name, n in zip(names, rng.integers(5, 60, len(names)), strict=True)},
        "length_tokens": {"p50": middle, "p90": high, "p99": top, "max": float(tokens.max())},
        "length_histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
    }  # fmt: skip


def fake_events(kind: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for step in range(1, 76):
        loss = 0.2 + 2.3 * float(np.exp(-step / 18)) + 0.12 * float(rng.normal())
        rate = 5e-5 * min(step / 5, (76 - step) / 71)
        events.append(
            {
                "event": "train",
                "step": step,
                "epoch": step / 25,
                "seconds": step * 1.1,
                "loss": loss if step != 7 else None,
                "learning_rate": rate,
                "grad_norm": 2 + float(rng.random()),
            }
        )
        if step % 8 == 0:
            metrics = (
                {"rmse": 1.2 - step / 100, "spearman": step / 90}
                if kind == "regression"
                else {"macro_f1": 0.93 - 0.9 * float(np.exp(-step / 15)), "accuracy": 0.94 - 0.7 * float(np.exp(-step / 15))}
            )
            events.append(
                {
                    "event": "evaluate",
                    "step": step,
                    "epoch": step / 25,
                    "seconds": step * 1.1,
                    "split": "validation",
                    "loss": loss + 0.1,
                    "metrics": metrics,
                }
            )
    return events


def texts(rows: int) -> list[str]:
    usual = [
        "my parcel has still not arrived, where is it?",
        "I was charged twice for the same order!!",
        "how do i chagne my adress",
    ]
    return [AWKWARD[i] if i < len(AWKWARD) else f"{usual[i % 3]} ({i})" for i in range(rows)]


def fake_predictions(kind: str, rows: int, rng: np.random.Generator) -> dict[str, Any]:
    names = class_names(kind)
    shown = {
        "row_id": list(range(rows)),
        "split": ["validation"] * (rows // 4) + ["test"] * (rows - rows // 4),
        "text": texts(rows),
    }
    if kind == "regression":
        label = rng.uniform(0, 5, rows)
        score = label + rng.normal(0, 0.4, rows)
        loss = ((label - score) ** 2).tolist()
        loss[0] = None
        return {
            **shown,
            "pair": texts(rows)[::-1],
            "label": label.tolist(),
            "prediction": score.tolist(),
            "score": score.tolist(),
            "loss": loss,
        }
    scores = rng.normal(0, 1, (rows, len(names)))
    if kind == "multilabel":
        truth = rng.random((rows, len(names))) < 0.25
        chances = 1 / (1 + np.exp(-(scores + np.where(truth, 2.2, -2.2))))
        named = lambda marks: [[name for name, mark in zip(names, row, strict=True) if mark] for row in marks]  # noqa: E731
        label, prediction = named(truth), named(chances > 0.5)
        loss = -np.where(truth, np.log(chances), np.log(1 - chances)).mean(1)
    else:
        truth = rng.integers(0, len(names), rows)
        scores[np.arange(rows), truth] += 4.5 if kind == "seventyseven" else 3
        chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        label, prediction = [names[i] for i in truth], [names[i] for i in chances.argmax(1)]
        loss = -np.log(chances[np.arange(rows), truth])
    loss[: len(AWKWARD)] += 9.0
    return {
        **shown,
        "pair": [None] * rows,
        "label": label,
        "prediction": prediction,
        "loss": loss.tolist(),
        "pred_probs": chances.tolist(),
    }


ALARMS = (
    Alarm(
        "one_class",
        "Every test row is predicted as “acceptable”.",
        "Lower the learning rate or turn on class weights: train.class_weights=balanced.",
    ),
    Alarm("truncated", "61 % of the training rows are cut at 128 tokens.", "Raise data.max_length to 256."),
)
