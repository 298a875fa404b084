"""Measures the detection of wrong labels: changed ones in Banking77 and SST-2, disputed ones in Davidson, checked ones in IMDB.

    python benchmarks/label_errors.py [--data banking77 sst2 davidson imdb] [--seeds 3]
    python benchmarks/label_errors.py --data sst2 --method finetune     (five fine-tunings per seed, labels changed uniformly)

Changed: a tenth of the labels, uniformly or to the classes that a model confuses; AUROC of each score over seeds.
Davidson: a row counts as wrong if not all annotators chose its class. IMDB: the 1,310 test reviews that five people checked;
a row counts as wrong if most of them did not choose the given label. AUM there is of a linear head on the frozen embeddings,
trained for ten epochs, as with ``train_layers: head`` but without a forward pass of the body in each epoch.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import write
from sklearn.metrics import roc_auc_score

from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.near_duplicates import NearDuplicates, near_duplicates
from tunesmith.data.table import Columns, Examples, Labels
from tunesmith.diagnosis.checks.dynamics import aum
from tunesmith.diagnosis.checks.label_errors import confident_learning, loss_rank, suspect_labels
from tunesmith.diagnosis.checks.pvi import pvi
from tunesmith.diagnosis.checks.shapley import shapley
from tunesmith.diagnosis.cross_validation import average_pred_probs
from tunesmith.diagnosis.evidence import Diagnosis, Evidence, make_evidence, ranks
from tunesmith.diagnosis.fold_finetuning import fine_tuned
from tunesmith.diagnosis.out_of_fold import OutOfFold, out_of_fold
from tunesmith.models.base_embeddings import embed
from tunesmith.models.source import find_model
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.resolved import with_defaults
from tunesmith.recipe.sections import ModelSection
from tunesmith.tasks.classification.data import LabelledTaskData

DATA = Path(__file__).resolve().parent.parent / ".." / "shared" / "data"
SHARE = 0.1
TARGETS = {"banking77": 0.99, "sst2": 0.88}
RANKS = (50, 100, 200, 400)
FOLDS = 5
SCORES: tuple[Callable[[Evidence], Diagnosis], ...] = (suspect_labels, loss_rank, confident_learning, pvi, shapley)


@dataclass(frozen=True)
class Rows:
    """Holds a data set with its true labels, near-duplicates and embeddings; ``disputed`` (N) bool: people disagreed."""

    examples: Examples
    labels: Labels
    near: NearDuplicates
    vectors: np.ndarray
    ids: list[str]
    disputed: np.ndarray | None = None


def banking77() -> tuple[list[str], list[str], list[str], np.ndarray | None]:
    with (DATA / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["category"] for row in rows], [], None


def sst2() -> tuple[list[str], list[str], list[str], np.ndarray | None]:
    (path,) = [path for path in (DATA / "sst2").iterdir() if "train" in path.name]
    cells = [line.rstrip("\n").rsplit("\t", 1) for line in path.read_text(encoding="utf-8").splitlines()]
    return [text for text, _ in cells], [label for _, label in cells], [], None


def davidson() -> tuple[list[str], list[str], list[str], np.ndarray | None]:
    with (DATA / "davidson" / "labeled_data.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    votes = np.array([[int(row[name]) for name in ("hate_speech", "offensive_language", "neither")] for row in rows])
    return [row["tweet"] for row in rows], [row["class"] for row in rows], [], votes.max(axis=1) < votes.sum(axis=1)


def imdb() -> tuple[list[str], list[str], list[str], np.ndarray | None]:
    with gzip.open(DATA / "imdb" / "test.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row["text"] for row in rows], [str(row["label"]) for row in rows], [str(row["id"]) for row in rows], None


READERS = {"banking77": banking77, "sst2": sst2, "davidson": davidson, "imdb": imdb}


def combined(diagnoses: list[Diagnosis]) -> np.ndarray:
    """The mean of the ranks of several scores (N), in [0, 1]; scores that are NaN for a row are left out of its mean."""
    stacked = np.stack([ranks(-diagnosis.scores) for diagnosis in diagnoses if diagnosis.scores is not None])
    counted = (~np.isnan(stacked)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return ranks(-np.where(counted > 0, np.nansum(stacked, axis=0) / counted, np.nan))


def load(name: str) -> tuple[Rows, dict[str, float]]:
    """Loads the rows with their embeddings, and the seconds of each step."""
    texts, given, ids, disputed = READERS[name]()
    names = tuple(sorted(set(given)))
    examples = Examples(name, "", list(range(len(texts))), texts, [names.index(label) for label in given])
    started = time.perf_counter()
    near = near_duplicates(texts)
    twins = time.perf_counter() - started
    made = embed(examples, find_model(ModelSection(), Path()))
    vectors = made.vectors
    assert isinstance(vectors, np.ndarray)
    print(name, made.note or f"all {made.of_layers} layers", file=sys.stderr)
    seconds = {"near_duplicates": twins, "embeddings": time.perf_counter() - started - twins}
    return Rows(examples, Labels("single_label_classification", names), near, vectors, ids, disputed), seconds


def cross_validated(rows: Rows, given: np.ndarray, seed: int) -> Evidence:
    """Makes the evidence of the rows with these labels."""
    examples = replace(rows.examples, labels=given.tolist())
    validated = out_of_fold(examples, rows.labels, rows.vectors, rows.near, seed=seed)
    return make_evidence(
        examples,
        rows.labels,
        pred_probs=validated.pred_probs,
        folds=validated.folds,
        near=rows.near,
        embeddings=rows.vectors,
        method="frozen",
    )


def flipped(truth: np.ndarray, draw: np.random.Generator, confusion: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Changes a tenth of the labels, uniformly or by the confusion probabilities (K, K); also returns which."""
    n_classes = int(truth.max()) + 1
    wrong = np.zeros(len(truth), dtype=bool)
    wrong[draw.choice(len(truth), round(SHARE * len(truth)), replace=False)] = True
    given = truth.copy()
    for i in np.flatnonzero(wrong).tolist():
        chances = np.ones(n_classes) if confusion is None else confusion[truth[i]].copy()
        chances[truth[i]] = 0
        given[i] = draw.choice(n_classes, p=chances / chances.sum())
    return given, wrong


def planted(rows: Rows, seeds: int) -> dict[str, Any]:
    """Returns the AUROC of every score and the quality of the flag, for both kinds of changes over seeds."""
    truth = np.asarray(rows.examples.labels)
    clean = cross_validated(rows, truth, seed=99).pred_probs
    assert clean is not None
    confusion = np.stack([clean[truth == k].mean(axis=0) + 1e-6 for k in range(rows.labels.n)])
    table: dict[str, Any] = {}
    for kind, shape in (("uniform", None), ("confusion", confusion)):
        runs: dict[str, list[float]] = {}
        for seed in range(seeds):
            given, wrong = flipped(truth, np.random.default_rng(seed), shape)
            evidence = cross_validated(rows, given, seed)
            found = [score(evidence) for score in SCORES]
            for diagnosis in found:
                assert diagnosis.scores is not None
                runs.setdefault(diagnosis.name, []).append(float(roc_auc_score(wrong, -diagnosis.scores)))
            runs.setdefault("combined", []).append(float(roc_auc_score(wrong, -combined(found))))
            main = found[0]
            assert main.flagged is not None
            runs.setdefault("flagged", []).append(float(main.flagged.sum()))
            runs.setdefault("precision_of_flagged", []).append(float(wrong[main.flagged].mean()))
            runs.setdefault("recall_of_flagged", []).append(float(main.flagged[wrong].mean()))
            for key in ("noise_rate", "noise_low", "noise_high"):
                runs.setdefault(key, []).append(float(main.figures[key]))
        table[kind] = {name: {"mean": statistics.mean(v), "min": min(v), "max": max(v)} for name, v in runs.items()}
    return table


def fine_tuned_scores(rows: Rows, seeds: int) -> dict[str, Any]:
    """Returns AUROC of the default score, the out-of-fold loss and AUM with ``method: finetune``, labels changed uniformly."""
    truth, runs = np.asarray(rows.examples.labels), {}
    for seed in range(seeds):
        given, wrong = flipped(truth, np.random.default_rng(seed), None)
        examples = replace(rows.examples, labels=given.tolist(), split="train")
        source = find_model(ModelSection(), Path())
        recipe = with_defaults(
            recipe_from_mapping({"data": {"train": "rows.csv"}, "train": {"seed": seed}}), source.n_bytes, len(truth)
        )
        splits = LabelledData(examples, None, None, rows.labels, Columns("text", label=("label",)))
        started = time.perf_counter()
        inputs = LabelledTaskData(recipe=recipe, source=source, splits=splits)
        tuned, logits = fine_tuned(inputs, rows.near, FOLDS)
        validated = average_pred_probs(out_of_fold(examples, rows.labels, rows.vectors, rows.near, FOLDS, seed), tuned)
        runs.setdefault("fine-tuned models alone", []).append(float(roc_auc_score(wrong, -own_chance(tuned, given))))
        known = {"pred_probs": validated.pred_probs, "folds": validated.folds, "near": rows.near, "method": "finetune"}
        found = {"suspect_labels without AUM": suspect_labels(make_evidence(examples, rows.labels, **known))}
        evidence = make_evidence(examples, rows.labels, **known, epoch_logits=logits, epoch_mode="train")
        found |= {score.__name__: score(evidence) for score in (suspect_labels, loss_rank, aum)}
        for name, diagnosis in found.items():
            assert diagnosis.scores is not None
            runs.setdefault(name, []).append(float(roc_auc_score(wrong, -diagnosis.scores)))
        main = found["suspect_labels"]
        assert main.flagged is not None
        runs.setdefault("precision_of_flagged", []).append(float(wrong[main.flagged].mean()))
        runs.setdefault("recall_of_flagged", []).append(float(main.flagged[wrong].mean()))
        for key in ("noise_rate", "noise_low", "noise_high"):
            runs.setdefault(key, []).append(float(main.figures[key]))
        runs.setdefault("seconds", []).append(time.perf_counter() - started)
        print(seed, {name: values[-1] for name, values in runs.items()}, file=sys.stderr, flush=True)
    return {"uniform": {name: {"mean": statistics.mean(v), "min": min(v), "max": max(v)} for name, v in runs.items()}}


def own_chance(validated: OutOfFold, given: np.ndarray) -> np.ndarray:
    """Returns the given label's probability (N)."""
    return np.asarray(validated.pred_probs[np.arange(len(given)), given])


def head_epochs(vectors: np.ndarray, given: np.ndarray, n_classes: int, n_epochs: int = 10) -> np.ndarray:
    """Trains a linear head on standardised embeddings; returns each row's logits (E, N, K) at its training step in each epoch."""
    torch.manual_seed(0)
    features = torch.from_numpy(((vectors - vectors.mean(0)) / (vectors.std(0) + 1e-6)).astype(np.float32))
    head = torch.nn.Linear(features.shape[1], n_classes)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    labels, kept = torch.from_numpy(given), np.zeros((n_epochs, len(given), n_classes), dtype=np.float32)
    for epoch in range(n_epochs):
        for rows in torch.randperm(len(given)).split(64):
            logits = head(features[rows])
            kept[epoch, rows] = logits.detach().numpy()
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(logits, labels[rows]).backward()
            optimizer.step()
    return kept


def disputed(rows: Rows) -> dict[str, Any]:
    """Returns the AUROC of every score for the rows on which annotators disagree, with a bootstrap interval."""
    assert rows.disputed is not None
    evidence = cross_validated(rows, np.asarray(rows.examples.labels), seed=0)
    table = {}
    for score in SCORES:
        values = score(evidence).scores
        assert values is not None
        low, high = interval(rows.disputed, -values)
        table[score.__name__] = {"auroc": float(roc_auc_score(rows.disputed, -values)), "low": low, "high": high}
    return {"share": float(rows.disputed.mean()), "scores": table}


def interval(wrong: np.ndarray, badness: np.ndarray, n: int = 300) -> tuple[float, float]:
    draw, found = np.random.default_rng(0), []
    for _ in range(n):
        rows = draw.integers(0, len(wrong), len(wrong))
        found.append(roc_auc_score(wrong[rows], badness[rows]))
    return float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))


def checked(rows: Rows) -> dict[str, Any]:
    """Counts confirmed errors among the highest-ranked of the checked IMDB reviews."""
    people = {row["id"]: row for row in json.loads((DATA / "label-errors" / "imdb_mturk.json").read_text(encoding="utf-8"))}
    place = {name: i for i, name in enumerate(rows.ids)}
    inside = [(place[name], row["mturk"]) for name, row in people.items() if name in place]
    wrong = np.array([votes["given"] < 3 for _, votes in inside])
    positions = np.array([position for position, _ in inside])
    evidence = cross_validated(rows, np.asarray(rows.examples.labels), seed=0)
    found = [score(evidence) for score in SCORES]
    followed = replace(evidence, epoch_logits=head_epochs(rows.vectors, evidence.given, rows.labels.n), epoch_mode="train")
    found.append(aum(followed))
    found.append(replace(suspect_labels(followed), name="suspect_labels with AUM"))
    tables = {diagnosis.name: diagnosis.scores for diagnosis in found} | {"combined": combined(found)}
    table = {}
    for name, scores in tables.items():
        assert scores is not None
        order = np.argsort(scores[positions], kind="stable")
        table[name] = {f"precision_at_{k}": float(wrong[order[:k]].mean()) for k in RANKS}
        table[name]["auroc"] = float(roc_auc_score(wrong, -scores[positions]))
    main = found[0]
    assert main.flagged is not None
    return {"checked": len(wrong), "confirmed": int(wrong.sum()), "flagged_of_all": int(main.flagged.sum()),
            "noise": {key: main.figures[key] for key in ("noise_rate", "noise_low", "noise_high")}, "scores": table}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", nargs="*", default=list(READERS), choices=list(READERS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--method", choices=("frozen", "finetune"), default="frozen")
    args = parser.parse_args()
    for name in args.data:
        rows, seconds = load(name)
        started = time.perf_counter()
        if args.method == "finetune":
            figures = fine_tuned_scores(rows, args.seeds)
            record = {"data": name, "rows": len(rows.examples), "seeds": args.seeds, "target_auroc": 0.93}
            write(f"label_errors_{name}_finetune", {**record, "figures": figures})
            continue
        figures = checked(rows) if name == "imdb" else disputed(rows) if name == "davidson" else planted(rows, args.seeds)
        seconds["diagnoses"] = time.perf_counter() - started
        print(name, seconds, json.dumps(figures, indent=1), file=sys.stderr, flush=True)
        record = {"data": name, "rows": len(rows.examples), "seeds": args.seeds, "target_auroc": TARGETS.get(name)}
        write(f"label_errors_{name}", {**record, "seconds": seconds, "figures": figures})


if __name__ == "__main__":
    main()
