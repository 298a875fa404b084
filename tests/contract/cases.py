"""One small recipe per task for the contract: 16 training rows and a few bad ones, tiny models, files on disk."""

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
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A task with its rows.

    Attributes:
        task: its name in ``recipe.tasks.TASKS``.
        word: ``task`` in the recipe.
        model: name of a tiny model.
        rows: sixteen training rows.
        other: rows for validation and test.
        empty: the column whose cell is empty in a seventeenth training row.
        columns: part of ``data.columns`` -> column.
        sections: of the recipe, beside task, model, data and train.
        write: writes more files into the folder; returns sections of the recipe, where None removes a key.
    """

    name: str
    task: str
    word: str
    model: str
    rows: Sequence[Row]
    other: Sequence[Row]
    empty: str
    columns: Mapping[str, str]
    sections: Mapping[str, Any] = field(default_factory=dict)
    write: Callable[[Path], Mapping[str, Any]] = lambda _folder: {}

    def __str__(self) -> str:
        return self.name

    @property
    def bad_rows(self) -> tuple[int, ...]:
        """Row ids of the training rows that cannot be used: one with an empty cell, in csv also one with too few fields."""
        return (len(self.rows), len(self.rows) + 1) if is_csv(self.rows) else (len(self.rows),)

    def mapping(self, folder: Path, models: Mapping[str, Path], **changes: Any) -> dict[str, Any]:
        """Writes the files into the folder and returns the recipe."""
        train = [*self.rows, {**self.rows[0], self.empty: ""}]
        data: dict[str, Any] = {"train": write_rows(folder / "train", train, "too few\n" if is_csv(train) else "")}
        data |= {split: write_rows(folder / split, self.other) for split in ("validation", "test")}
        given = {"task": self.word, "model": {"name": str(models[self.model])}, "data": data, "train": TRAIN}
        return joined(given, {"evaluate": {"n_resamples": 200}}, self.sections, self.write(folder), changes)


def joined(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Joins recipes key by key, the later ones first; None removes a key."""
    whole: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            whole[key] = joined(whole.get(key, {}), value) if isinstance(value, Mapping) else value
    return {key: value for key, value in whole.items() if value is not None}


def is_csv(rows: Sequence[Row]) -> bool:
    """Whether rows are written as csv: several columns of texts."""
    return all(len(row) > 1 and all(isinstance(value, str) for value in row.values()) for row in rows)


def write_rows(path: Path, rows: Sequence[Row], more: str = "") -> str:
    """Writes rows as csv or JSON lines, then more text; returns the file."""
    path = path.with_suffix(".csv" if is_csv(rows) else ".jsonl")
    with path.open("w", encoding="utf-8", newline="") as file:
        if is_csv(rows):
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        file.write(more)
    return str(path)


def sentences(count: int) -> list[tuple[str, str, str]]:
    """Sentences of different lengths with a class and a number, all different."""
    found = []
    for i in range(count):
        word, thing = (GOOD if i % 2 else BAD)[i // 2 % 4], THINGS[i // 8 % 4]
        text = f"the {thing} is very {word} and {'so' if i // 32 % 2 else 'not'} {THINGS[i % 3]}" + " it was" * (i % 5)
        found.append((text, "pos" if i % 2 else "neg", f"{i % 2 + i / 100:g}"))
    return found


ALL = sentences(N_ROWS * 2)
LABELLED: list[Row] = [{"text": text, "label": label} for text, label, _ in ALL]
SCORED: list[Row] = [{"text": text, "score": score} for text, _, score in ALL]
PAIRS: list[Row] = [{"anchor": text, "positive": " ".join(reversed(text.split()))} for text, _, _ in ALL]
# Relevant documents say good things.
RANKED: list[Row] = [
    {
        "anchor": f"they {'go' if i // 16 else 'was'} the {GOOD[i // 4 % 4]} {THINGS[i % 4]}",
        "positive": f"{GOOD[i // 4 % 4]} and {GOOD[i % 4]} {THINGS[i % 4]} {'it' if i // 16 else 'this'}" + " was it" * (i % 3),
        "negative": f"{BAD[i // 4 % 4]} and {BAD[i % 4]} {THINGS[i % 4]} {'it' if i // 16 else 'this'}" + " was it" * (i % 3),
    }
    for i in range(2 * N_ROWS)
]
ANSWERS: list[Row] = [*questions(N_ROWS * 2)]
TEXTS: list[Row] = [*texts(N_ROWS * 2)]
NAMES = ("Ann", "Ben", "Cem")
# The right answer, and a wrong one that is longer in half of the rows.
PREFERRED: list[Row] = [
    {
        "prompt": row["prompt"],
        "chosen": row["completion"],
        "rejected": f" {NAMES[NAMES.index(row['completion'].strip()) - 1 - i % 2]}" + " and it" * (i // 2 % 2),
    }
    for i, row in enumerate(ANSWERS)
]


# Good answers say good things.
PREFERENCES: list[Row] = [
    {
        "prompt": f"how is the {THINGS[i % 4]}" + " it was" * (i % 3),
        "chosen": f"the {THINGS[i // 4 % 4]} is {GOOD[i % 4]}" + " and so" * (i % 2),
        "rejected": f"this {THINGS[i // 8 % 4]} is {BAD[i // 4 % 4]}" + " and not" * (i % 3),
    }
    for i in range(2 * N_ROWS)
]


def search(folder: Path, rows: Sequence[Row] = PAIRS) -> Mapping[str, Any]:
    """Writes a retrieval folder of the rows that are not trained on, with the documents of all rows."""
    place = folder / "search"
    (place / "qrels").mkdir(parents=True, exist_ok=True)
    documents = [row["positive"] for row in rows] + [row["negative"] for row in rows if "negative" in row]
    for name, found in (("corpus", documents), ("queries", [row["anchor"] for row in rows])):
        lines = [json.dumps({"_id": f"{i}", "text": text}) + "\n" for i, text in enumerate(found)]
        (place / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    judgements = [f"{i}\t{i}\t1\n" for i in range(N_ROWS, 2 * N_ROWS)]
    (place / "qrels" / "test.tsv").write_text("".join(judgements), encoding="utf-8")
    return {"evaluate": {"retrieval": str(place)}}


def ranked_search(folder: Path) -> Mapping[str, Any]:
    """The same for a reranker, whose validation is a share of its pairs."""
    return {"data": {"validation": 0.25, "test": None}, **search(folder, RANKED)}


def general(folder: Path) -> Mapping[str, Any]:
    """Writes general texts."""
    return {"evaluate": {"general": write_rows(folder / "general", TEXTS[:12])}}


REWARDS = '''
def first_half(completions, completion_ids, **_):
    """The share of tokens with small numbers, and a little for the length."""
    return [sum(token < 30 for token in ids) / 6 for ids in completion_ids]

def red(completions, **_):
    return [text.split().count("red") / 2 for text in completions]

def without_red(completions, **_):
    return [1.0 - max(0, text.split().count("red") - 1) for text in completions]

def short(completions, completion_ids, **_):
    return [-1.0 * len(text.split()) for text in completions]

def constant(completions, **_):
    return [1.0] * len(completions)

def of_prompt(prompts, **_):
    return [float(len(prompt)) for prompt in prompts]
'''


def rewards(folder: Path) -> Mapping[str, Any]:
    """Writes reward functions."""
    (folder / "rewards.py").write_text(REWARDS, encoding="utf-8")
    return {"rewards": {"reward_funcs": [f"{folder / 'rewards.py'}:first_half"]}}


# Three passes, so that a run that is stopped after four steps is stopped inside an iteration.
POLICY = {
    "ppo": {"rollout_batch_size": 16, "num_ppo_epochs": 3, "response_length": 6, "kl_coef": 0.01, "best_of_n": 2},
    "train": {"learning_rate": 2e-2},
}
# Three passes of two batches, for the same reason.
GROUPED = {
    "grpo": {"num_generations": 4, "num_iterations": 3, "max_completion_length": 6, "beta": 0.01, "best_of_n": 2},
    "train": {"learning_rate": 2e-2},
}
RERANKED = {"embedding": {"head": "cross-encoder", "top_k": 8}, "train": {"max_steps": 32}}
WRITTEN = {"evaluate": {"answers": {"rows": 6, "shots": 0, "max_new_tokens": 3}}}


def halves(rows: Sequence[Row]) -> dict[str, Any]:
    """Sixteen rows for training, the rest for validation and test."""
    return {"rows": rows[:N_ROWS], "other": rows[N_ROWS:]}


CLASSES = {"text": "text", "label": "label"}
CASES = (
    Case("classification", "classification", "classification", "bert", **halves(LABELLED), empty="text", columns=CLASSES),
    Case(
        "regression",
        "regression",
        "regression",
        "bert",
        **halves(SCORED),
        empty="text",
        columns={"text": "text", "label": "score"},
    ),
    Case(
        "embedding",
        "embedding",
        "embedding",
        "bert",
        **halves(PAIRS),
        empty="anchor",
        columns={"anchor": "anchor", "positive": "positive"},
        sections={"train": {"learning_rate": 1e-3}},
        write=search,
    ),
    Case(
        "reranker",
        "reranker",
        "embedding",
        "bert",
        **halves(RANKED),
        empty="anchor",
        columns={name: name for name in ("anchor", "positive", "negative")},
        sections=RERANKED,
        write=ranked_search,
    ),
    Case(
        "sft",
        "sft",
        "sft",
        "llama",
        **halves(ANSWERS),
        empty="completion",
        columns={"prompt": "prompt", "completion": "completion"},
        sections=WRITTEN,
        write=general,
    ),
    Case(
        "preference",
        "preference",
        "preference",
        "llama",
        **halves(PREFERRED),
        empty="chosen",
        columns={name: name for name in ("prompt", "chosen", "rejected")},
        sections={"preference": {"beta": 0.5}, "evaluate": {"answers": {"rows": 6, "max_new_tokens": 3}}},
    ),
    Case(
        "causal pretraining",
        "pretraining",
        "pretraining",
        "llama",
        **halves(TEXTS),
        empty="text",
        columns={"text": "text"},
        write=general,
    ),
    Case(
        "masked pretraining",
        "pretraining",
        "pretraining",
        "masked",
        **halves(TEXTS),
        empty="text",
        columns={"text": "text"},
        write=general,
    ),
    Case(
        "reward",
        "reward",
        "reward",
        "bert",
        **halves(PREFERENCES),
        empty="chosen",
        columns={name: name for name in ("prompt", "chosen", "rejected")},
    ),
    Case(
        "seq2seq sft",
        "sft",
        "sft",
        "t5",
        **halves(ANSWERS),
        empty="completion",
        columns={"prompt": "prompt", "completion": "completion"},
        sections=WRITTEN,
        write=general,
    ),
    Case(
        "seq2seq pretraining",
        "pretraining",
        "pretraining",
        "t5",
        **halves(TEXTS),
        empty="text",
        columns={"text": "text"},
        write=general,
    ),
    Case(
        "ppo",
        "ppo",
        "ppo",
        "llama",
        rows=[{"prompt": row["prompt"]} for row in ANSWERS[:N_ROWS]],
        other=[{"prompt": row["prompt"]} for row in ANSWERS[N_ROWS:]],
        empty="prompt",
        columns={"prompt": "prompt"},
        sections=POLICY,
        write=rewards,
    ),
    Case(
        "grpo",
        "grpo",
        "grpo",
        "llama",
        rows=[{"prompt": row["prompt"]} for row in ANSWERS[:N_ROWS]],
        other=[{"prompt": row["prompt"]} for row in ANSWERS[N_ROWS:]],
        empty="prompt",
        columns={"prompt": "prompt"},
        sections=GROUPED,
        write=rewards,
    ),
    Case(
        "toy",
        "toy",
        "toy",
        "bert",
        **halves(LABELLED),
        empty="text",
        columns=CLASSES,
        sections={"train": {"learning_rate": 0.1, "fast": False}},
    ),
)
