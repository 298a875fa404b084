"""One small recipe per task for the contract test: 16 training rows, tiny models, files on disk."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.language_models import questions, texts

N_ROWS = 16
TRAIN = {
    "max_steps": 24,
    "per_device_train_batch_size": N_ROWS,
    "learning_rate": 5e-3,
    "n_evaluations": 2,
    "n_logs": 12,
    "dropout": 0.0,
}
GOOD, BAD = ("good", "fine", "great", "nice"), ("bad", "awful", "poor", "sad")
THINGS = ("film", "book", "food", "day")


@dataclass(frozen=True)
class Case:
    """A task with its rows.

    Attributes:
        model: name of a tiny model of ``models``.
        rows: training rows, then a row without text that cannot be used.
        other: rows for validation and test.
        sections: of the recipe, beside task, model, data and train.
        data: of ``data``, beside train, validation and test.
        has_files: the rows are read by ``data.train``; else by a folder that ``write`` makes.
        evaluates: ``tunesmith evaluate RUN test`` measures what the run measured.
        has_test: the recipe names a test file.
    """

    name: str
    task: str
    model: str
    rows: Sequence[Mapping[str, Any]]
    other: Sequence[Mapping[str, Any]]
    sections: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    evaluates: bool = True
    has_test: bool = True
    write: Callable[[Path], Mapping[str, Any]] | None = None

    def mapping(self, folder: Path, models: Mapping[str, Path], **changes: Any) -> dict[str, Any]:
        """Writes the files into the folder and returns the recipe."""
        data = {"train": write_rows(folder / "train", self.rows), "validation": write_rows(folder / "validation", self.other)}
        if self.has_test:
            data["test"] = write_rows(folder / "test", self.other)
        sections = dict(self.sections)
        if self.write is not None:
            made = self.write(folder)
            data |= made.get("data", {})
            sections["evaluate"] = {**sections.get("evaluate", {}), **made.get("evaluate", {})}
            data = {name: value for name, value in data.items() if value is not None}
        evaluate = {"n_resamples": 200, **sections.pop("evaluate", {}), **changes.pop("evaluate", {})}
        train = {**TRAIN, **self.train, **changes.pop("train", {})}
        return {
            "task": self.task,
            "model": {"name": str(models[self.model])},
            "data": {**data, **self.data, **changes.pop("data", {})},
            **sections,
            "train": train,
            "evaluate": evaluate,
            **changes,
        }


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    """Writes rows as JSON lines, or as csv where every cell is a text; returns the file."""
    if all(isinstance(value, str) for row in rows for value in row.values()):
        path = path.with_suffix(".csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return str(path)
    path = path.with_suffix(".jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def sentences(count: int) -> list[tuple[str, str, float]]:
    """Sentences with a class and a number, all different."""
    found = []
    for i in range(count):
        words = GOOD if i % 2 else BAD
        text = f"the {THINGS[i // 8 % 4]} is very {words[i // 2 % 4]} and {'so' if i // 32 % 2 else 'not'} {THINGS[i % 3]} it was"
        found.append((text, "pos" if i % 2 else "neg", float(i % 2) + i / 100))
    return found


ALL = sentences(N_ROWS * 2)
LABELLED = [{"text": text, "label": label} for text, label, _ in ALL]
SCORED = [{"text": text, "score": score} for text, _, score in ALL]
PAIRS = [{"anchor": text, "positive": " ".join(reversed(text.split()))} for text, _, _ in ALL]
ANSWERS = questions(N_ROWS * 2)
TEXTS = texts(N_ROWS * 2)


def halves(rows: Sequence[Mapping[str, Any]], **empty: Any) -> dict[str, Any]:
    """The first 16 rows and one with an empty cell, and the other rows."""
    return {"rows": [*rows[:N_ROWS], {**rows[0], **empty}], "other": rows[N_ROWS:]}


def beir(folder: Path) -> Mapping[str, Any]:
    """Writes a retrieval folder of the pairs."""
    place = folder / "beir"
    (place / "qrels").mkdir(parents=True)
    for name, column in (("corpus", "positive"), ("queries", "anchor")):
        lines = [json.dumps({"_id": f"{i}", "text": row[column]}) for i, row in enumerate(PAIRS)]
        (place / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for split, chosen in (("train", range(N_ROWS)), ("test", range(N_ROWS, 2 * N_ROWS))):
        (place / "qrels" / f"{split}.tsv").write_text("\n".join(f"{i}\t{i}\t1" for i in chosen) + "\n", encoding="utf-8")
    return {"data": {"train": str(place), "validation": 0.25, "test": None}, "evaluate": {"retrieval": str(place)}}


def general(folder: Path) -> Mapping[str, Any]:
    """Writes general texts that the tiny models know."""
    return {"evaluate": {"general": write_rows(folder / "general", TEXTS[:12])}}


WRITTEN = {"evaluate": {"answers": {"rows": 6, "shots": 0, "max_new_tokens": 3}}}
RERANKED = {"embedding": {"head": "cross-encoder", "top_k": 8}}
CASES = (
    Case("classification", "classification", "bert", **halves(LABELLED, text="")),
    Case("regression", "regression", "bert", **halves(SCORED, text="")),
    Case("embedding", "embedding", "bert", **halves(PAIRS, anchor=""), train={"learning_rate": 1e-3}),
    Case(
        "reranker",
        "embedding",
        "bert",
        **halves(PAIRS, anchor=""),
        sections=RERANKED,
        write=beir,
        evaluates=False,
        has_test=False,
    ),
    Case("sft", "sft", "llama", **halves(ANSWERS, completion=""), sections=WRITTEN, write=general),
    Case("pretraining", "pretraining", "llama", **halves(TEXTS, text=""), write=general),
    Case("masked pretraining", "pretraining", "masked", **halves(TEXTS, text=""), write=general, evaluates=False),
)
