"""Measures how much accuracy corrections restore on Banking77 with a tenth of the training labels changed.

    python benchmarks/corrections.py [--seeds 3] [--rows N] [--set KEY=VALUE ...]

The changed file is diagnosed. The recipe of Banking77 is trained on it as it is, with the proposed corrections applied
unread, without the rows that have one, without as many random rows, and with the true labels; all with the same settings,
evaluated on the published test file. --rows is a trial on that many rows of the most frequent classes, printed and not saved.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from label_errors import DATA, SHARE, banking77, flipped
from record import write

from tunesmith.data.corrections.apply import correct_file
from tunesmith.data.corrections.corrections_csv import Correction, read_corrections
from tunesmith.diagnosis import ablation
from tunesmith.diagnosis.ablation_sets import AS_GIVEN, CORRECTED, RANDOM_REMOVED, REMOVED, Variant
from tunesmith.diagnosis.ablation_verdicts import AblationPlan, evaluate_variants
from tunesmith.diagnosis.rows import CORRECTIONS, diagnose
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.verdict import verdicts
from tunesmith.progress import Clock, Event
from tunesmith.recipe.load import load_recipe
from tunesmith.run_folder import claim, fill
from tunesmith.tasks.classification.data import read
from tunesmith.tasks.task import Request

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "classification" / "banking77.yaml"
CLEAN = "clean"
WANTED = 0.6
N_RESAMPLES = 10_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, help="a trial on so many training rows; saves nothing")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides of the recipe")
    args = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        figures = measured(Path(place), args.seeds, args.rows, args.set)
    figures["seconds"]["total"] = round(time.perf_counter() - started, 1)
    if args.rows is None:
        write("corrections", figures)
    else:
        print(json.dumps(figures, indent=1))


def measured(place: Path, seeds: int, n_rows: int | None, settings: Sequence[str]) -> dict[str, Any]:
    """Returns every figure: the quality of the flags, the metrics of each variant, the verdicts, the restored shares."""
    truth, given = write_flipped(place / "train.csv", n_rows)
    base = [f"data.train={place / 'train.csv'}", f"output={place / 'run'}", *settings]
    clock = Clock(progress, {})
    with clock.phase("diagnosis"):
        found = diagnose(load_recipe(RECIPE, [*base, "data.test=null"]))
    corrections = read_corrections(found.folder / CORRECTIONS)
    test = f"data.test={DATA / 'banking77' / 'test.csv'}"
    loaded = load_recipe(RECIPE, [*base, test, f"train.n_seeds={seeds}", "evaluate.metric=accuracy"])
    new = correct_file(corrections, place / "train.csv", place / "new.csv")
    plan = ablation.make_plan(read(Request(loaded, clock)), corrections, new)
    plan = replace(plan, variants=(*plan.variants, clean(plan, truth)))
    folder = claim(f"{loaded.recipe.output}-gain")
    with fill(folder, "", ""):
        trained = ablation.train_variants(plan, plan.variants, folder, clock, progress)
    predictions, done = trained.predictions, evaluate_variants(plan, trained, folder.final, new.applied, 0.0)
    (lost,) = verdicts(["accuracy"], predictions[AS_GIVEN], predictions[CLEAN], CLEAN, "test", paired_seeds=True)
    return {
        "rows": len(truth), "flipped": SHARE, "seeds": list(done.seeds), "settings": list(settings),
        "corrections": flags(corrections, truth, given) | {"places": asdict(done.counts)}, "test_rows": done.n_rows,
        "accuracy": {v.name: {k: getattr(v.metrics[0], k) for k in ("value", "low", "high")} for v in done.variants},
        "of_each_seed": {name: [float(hits.mean()) for hits in right(systems)] for name, systems in predictions.items()},
        "verdicts": [{"variant": AS_GIVEN, **asdict(lost)}]
        + [{"variant": c.variant, **asdict(c.verdict)} for c in done.comparisons],
        "regained": {name: regained(predictions, name) for name in (CORRECTED, REMOVED, RANDOM_REMOVED)}, "wanted": WANTED,
        "seconds": clock.seconds,
    }  # fmt: skip


def write_flipped(path: Path, n_rows: int | None) -> tuple[list[str], list[str]]:
    """Writes the training file with changed labels; returns the true labels and the written ones, by row id."""
    texts, labels, _, _ = banking77()
    draw = np.random.default_rng(0)
    commonest = [label for label, _ in Counter(labels).most_common()]
    order = sorted(range(len(texts)), key=lambda i: commonest.index(labels[i]))
    chosen = sorted(order[:n_rows])
    names = sorted({labels[i] for i in chosen})
    given = flipped(np.array([names.index(labels[i]) for i in chosen]), draw, None)[0]
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["text", "category"])
        writer.writerows((texts[i], names[label]) for i, label in zip(chosen, given, strict=True))
    return [labels[i] for i in chosen], [names[label] for label in given]


def clean(plan: AblationPlan, truth: Sequence[str]) -> Variant:
    """Returns the training rows with their true labels; the rows that select the checkpoint stay as in the other variants."""
    train, names = plan.inputs.splits.train, plan.inputs.splits.labels.names
    right_one = replace(train, labels=[names.index(truth[row_id]) for row_id in train.row_ids])
    return Variant(CLEAN, (right_one,) * len(plan.seeds))


def flags(corrections: Sequence[Correction], truth: Sequence[str], given: Sequence[str]) -> dict[str, float]:
    """Measures the corrections over the whole file: precision, recall and right labels."""
    wrong = {i for i, (right_one, label) in enumerate(zip(truth, given, strict=True)) if right_one != label}
    hit = [c for c in corrections if c.row_id in wrong]
    return {
        "proposed": len(corrections), "flipped": len(wrong), "precision": len(hit) / max(1, len(corrections)),
        "recall": len(hit) / len(wrong), "right_label": sum(c.proposed == truth[c.row_id] for c in hit) / max(1, len(hit)),
    }  # fmt: skip


def right(systems: Sequence[Predictions]) -> np.ndarray:
    """Returns (S, N): whether each seed's model predicts the row correctly."""
    return np.array([system.decisions == system.labels for system in systems])


def regained(predictions: Mapping[str, Sequence[Predictions]], name: str) -> dict[str, float | None]:
    """Returns the share of the lost accuracy that a variant restores, with a percentile interval over rows and seeds.

    The share is None if the changed labels may have cost nothing. Rows and seeds are drawn once for all systems, since those of
    one seed share initial weights and order. The seeds' deviations are stretched by sqrt(S / (S - 1)), since S drawn of S have
    too little variance by that factor.
    """
    systems = [right(predictions[each]) for each in (CLEAN, AS_GIVEN, name)]
    draw, drawn, (n_seeds, n) = np.random.default_rng(0), [], systems[0].shape
    stretch = (n_seeds / (n_seeds - 1)) ** 0.5 if n_seeds > 1 else 1.0
    for _ in range(N_RESAMPLES):
        weights = np.bincount(draw.integers(0, n, n), minlength=n) / n
        seeds = draw.integers(0, n_seeds, n_seeds)
        of_seeds = [hits @ weights for hits in systems]
        means = [each.mean() + stretch * (each[seeds].mean() - each.mean()) for each in of_seeds]
        drawn.append((means[2] - means[1], means[0] - means[1]))
    gained, lost = np.array(drawn).T
    best, flip, own = (float(hits.mean()) for hits in systems)
    found: dict[str, float | None] = {"lost": best - flip, "gained": own - flip, "share": None, "low": None, "high": None}
    if (lost <= 0).mean() > 0.025:  # of nothing lost there is no share
        return found
    low, high = np.quantile(gained / lost, [0.025, 0.975])
    return found | {"share": (own - flip) / (best - flip), "low": float(low), "high": float(high)}


def progress(event: Event) -> None:
    if event.kind == "phase":
        print(time.strftime("%H:%M:%S"), event.text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
