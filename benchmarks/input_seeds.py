"""Writes small inputs of every kind that users have, as rows that can be changed before they are written."""

# ruff: noqa: E501 - tables of inputs
from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Content = list[Row] | str | bytes
"""Rows, written in the format of the file's name; or the whole text or bytes of a file."""
N = 48
THINGS, WORDS = ("train", "soup", "room", "lamp"), ("late", "cold", "loud", "fine", "new")
TEXTS = [f"the {THINGS[i % 4]} of visit {i} was {WORDS[i % 5]}" for i in range(N)]
ANSWERS = [f"it is {WORDS[i % 5]}, number {i}" for i in range(N)]
BERT, POCKET = "builtin:minilm", "builtin:pocket"


@dataclass(frozen=True)
class Seed:
    """One input before it is changed.

    Attributes:
        recipe: the recipe's keys; ``data.train`` is what ``init`` reads. Without a recipe the only file is piped into predict.
        files: path -> content.
    """

    name: str
    files: dict[str, Content]
    recipe: Row = field(default_factory=dict)


def columns(**cells: Any) -> list[Row]:
    """Returns rows; a cell is a function of the row's number, or a list."""
    return [{name: cell(i) if callable(cell) else cell[i] for name, cell in cells.items()} for i in range(N)]


def label(i: int) -> str:
    return ("praise", "complaint", "question")[i % 3]


def seed(name: str, file: str, content: Content, task: str = "classification", **keys: Any) -> Seed:
    """Returns an input of one file, with a recipe for it."""
    model = POCKET if task in ("sft", "pretraining") else BERT
    data = {"train": file, "validation": 0.2, **keys.pop("data", {})}
    files = {file: content, **keys.pop("files", {})}
    return Seed(name, files, {"task": task, "model": {"name": model}, "data": data, "output": "runs/out", **keys})


def labelled(**cells: Any) -> list[Row]:
    return columns(text=TEXTS, label=label, **cells)


def messages(i: int) -> list[Row]:
    return [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": TEXTS[i]},
        {"role": "assistant", "content": ANSWERS[i]},
    ]


def sharegpt(i: int) -> list[Row]:
    return [{"from": "human", "value": TEXTS[i]}, {"from": "gpt", "value": ANSWERS[i]}]


def pair_rows(**cells: Any) -> list[Row]:
    return columns(anchor=TEXTS, positive=ANSWERS, **cells)


def beir(folder: str) -> dict[str, Content]:
    """Returns the files of a retrieval folder in the BEIR layout."""
    judged = [{"query-id": f"q{i}", "corpus-id": f"d{i}", "score": 1} for i in range(N)]
    return {
        f"{folder}/corpus.jsonl": columns(_id=lambda i: f"d{i}", title=lambda i: THINGS[i % 4], text=ANSWERS),
        f"{folder}/queries.jsonl": columns(_id=lambda i: f"q{i}", text=TEXTS),
        f"{folder}/qrels/train.tsv": judged[: N // 2],
        f"{folder}/qrels/test.tsv": judged[N // 2 :],
    }


def flags(i: int) -> list[str]:
    return [name for k, name in enumerate(("rude", "loud", "odd")) if i % 3 == k or i % 7 == k]


SEARCH = {"evaluate": {"retrieval": "search"}}
FULL = {
    "train": {"num_train_epochs": 2, "learning_rate": 1e-4, "class_weights": "balanced", "seed": 3},
    "evaluate": {"metric": "macro_f1", "baselines": ["majority", "tfidf"], "n_resamples": 100},
    "adapter": {"method": "lora", "r": 4},
    "diagnose": {"n_folds": 3, "inputs": ["shuffled_words"]},
    "upstream": {"adam_beta2": 0.98},
}
NLI = columns(premise=TEXTS, hypothesis=ANSWERS, label=lambda i: ("entailment", "neutral", "contradiction")[i % 3])
SPLITS: dict[str, Content] = {"rows/train.csv": labelled(), "rows/validation.csv": labelled(), "rows/test.csv": labelled()}

SEEDS: tuple[Seed, ...] = (
    seed("csv", "train.csv", labelled()),
    seed("csv with every role", "train.csv", labelled(id=lambda i: f"r{i}", group=lambda i: f"g{i // 4}", split=lambda i: ("train", "test", "validation")[i // 3 % 3])),
    seed("csv, test file", "train.csv", labelled(), data={"test": "test.csv", "validation": "dev.jsonl"}, files={"test.csv": labelled(), "dev.jsonl": labelled()}),
    seed("tsv", "train.tsv", labelled(id=lambda i: i)),
    seed("jsonl", "train.jsonl", labelled(meta=lambda i: {"n": i})),
    seed("json", "train.json", labelled()),
    seed("parquet", "train.parquet", labelled(n=lambda i: i)),
    seed("csv.gz", "train.csv.gz", labelled()),
    seed("jsonl.gz", "train.jsonl.gz", labelled()),
    seed("folder", "rows", "", files=SPLITS),
    seed("ids of classes", "train.csv", columns(text=TEXTS, label=lambda i: i % 3, label_text=label)),
    seed("many settings", "train.csv", labelled(), **FULL),
    seed("multi-label columns", "train.csv", columns(text=TEXTS, **{name: (lambda i, name=name: int(name in flags(i))) for name in ("rude", "loud", "odd")}), data={"columns": {"label": ["rude", "loud", "odd"]}}),
    seed("multi-label lists", "train.jsonl", columns(text=TEXTS, labels=flags)),
    seed("multi-label separator", "train.csv", columns(text=TEXTS, labels=lambda i: "|".join(flags(i))), data={"label_separator": "|"}),
    seed("annotators", "train.csv", labelled(a=label, b=label), data={"columns": {"annotators": ["a", "b"]}}),
    seed("regression", "train.csv", columns(text=TEXTS, score=lambda i: i / 7), "regression"),
    seed("regression of pairs", "train.tsv", columns(sentence1=TEXTS, sentence2=ANSWERS, score=lambda i: round(i / 10, 2)), "regression"),
    seed("nli", "train.jsonl", NLI),
    seed("embedding pairs", "train.csv", pair_rows(), "embedding"),
    seed("embedding triplets", "train.jsonl", pair_rows(negative=lambda i: ANSWERS[-1 - i]), "embedding"),
    seed("embedding lists", "train.jsonl", columns(query=TEXTS, pos=lambda i: [ANSWERS[i]], neg=lambda i: [ANSWERS[-1 - i], ANSWERS[i - 2]]), "embedding"),
    seed("embedding scores", "train.tsv", columns(sentence1=TEXTS, sentence2=ANSWERS, score=lambda i: i / 50), "embedding"),
    seed("embedding nli", "train.parquet", NLI, "embedding"),
    seed("embedding classes", "train.csv", labelled(), "embedding"),
    seed("embedding vectors", "train.jsonl", columns(text=TEXTS, embedding=lambda i: [i / 9, 1.0, -0.5]), "embedding", data={"validation": "dev.csv"}, files={"dev.csv": labelled()}),
    seed("retrieval", "search", "", "embedding", files=beir("search"), **SEARCH),
    seed("reranker", "train.jsonl", pair_rows(), "embedding", files=beir("search"), embedding={"head": "cross-encoder"}, **SEARCH),
    seed("messages", "train.jsonl", columns(messages=messages), "sft"),
    seed("messages as text", "train.csv", columns(messages=lambda i: json.dumps(messages(i))), "sft"),
    seed("sharegpt", "train.json", columns(conversations=sharegpt, system=lambda i: "Be kind."), "sft"),
    seed("prompts", "train.jsonl", columns(prompt=TEXTS, completion=ANSWERS), "sft"),
    seed("prompts in csv", "train.csv", columns(question=TEXTS, answer=ANSWERS), "sft", sft={"loss_on": "completion", "chat_template": "dialogue"}),
    seed("prompts as messages", "train.parquet", columns(prompt=lambda i: messages(i)[:2], completion=lambda i: messages(i)[2:]), "sft"),
    seed("alpaca", "train.json", columns(instruction=TEXTS, input=lambda i: "x" * (i % 2), output=ANSWERS, history=lambda i: [["hello", "yes?"]]), "sft"),
    seed("preferences", "train.jsonl", columns(prompt=TEXTS, chosen=ANSWERS, rejected=lambda i: "no"), "sft", data={"columns": {"prompt": "prompt", "completion": "chosen"}}),
    seed("answers as labels", "train.csv", labelled(), "sft", sft={"labels": ["praise", "complaint", "question"]}),
    seed("plain texts", "train.txt", "\n\n".join(TEXTS) + "\n", "pretraining"),
    seed("texts in jsonl", "train.jsonl", columns(text=TEXTS), "pretraining", evaluate={"stride": 16, "context_lengths": [8, 32]}),
    seed("workbook", "train.xlsx", b"PK\x03\x04" + bytes(range(256)) * 8),
    Seed("stream of lines", {"stream.txt": "\n".join(TEXTS[:8]) + "\n"}),
    Seed("stream of csv", {"stream.csv": labelled()[:8]}),
    Seed("stream of json", {"stream.jsonl": columns(text=TEXTS)[:8]}),
)  # fmt: skip


def names_of(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(str(name) for row in rows for name in row))


def plain_cell(cell: Any) -> str:
    return (
        ""
        if cell is None
        else cell
        if isinstance(cell, str)
        else json.dumps(cell)
        if isinstance(cell, dict | list)
        else str(cell)
    )


def as_delimited(rows: list[Row], delimiter: str) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(names_of(rows))
    writer.writerows([plain_cell(row.get(name)) for name in names_of(rows)] for row in rows)
    return out.getvalue().encode("utf-8", "surrogatepass")


def as_parquet(rows: list[Row]) -> bytes:
    """Writes rows as parquet; a column of mixed types as text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {}
    for name in names_of(rows):
        cells = [row.get(name) for row in rows]
        try:
            arrays[name] = pa.array(cells)
        except (pa.ArrowException, OverflowError, UnicodeError, ValueError, TypeError):
            arrays[name] = pa.array([plain_cell(cell).encode("utf-8", "replace").decode() for cell in cells])
    sink = io.BytesIO()
    try:
        pq.write_table(pa.table(arrays), sink)
    except pa.ArrowException:  # such as an object without keys
        pq.write_table(
            pa.table({name: pa.array([str(cell) for cell in cells.to_pylist()]) for name, cells in arrays.items()}), sink
        )
    return sink.getvalue()


WRITERS: dict[str, Callable[[list[Row]], bytes]] = {
    ".csv": lambda rows: as_delimited(rows, ","),
    ".tsv": lambda rows: as_delimited(rows, "\t"),
    ".jsonl": lambda rows: "".join(json.dumps(row) + "\n" for row in rows).encode(),
    ".json": lambda rows: json.dumps(rows).encode(),
    ".parquet": as_parquet,
}


def as_bytes(name: str, content: Content) -> bytes:
    """Returns the bytes of a file before compression."""
    if isinstance(content, list):
        return WRITERS[Path(name.removesuffix(".gz")).suffix](content)
    return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content


def write_file(path: Path, content: bytes) -> None:
    """Writes a file, compressed if its name ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
