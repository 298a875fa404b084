"""Measures what a reward model has to beat on hh-rlhf, what cutting does to its pairs, and a fine-tuned MiniLM.

    python benchmarks/reward_models.py              # shares, length and words: two minutes
    python benchmarks/reward_models.py --finetune   # also MiniLM, 5 folds of both sets; goes on where it stopped

helpful-base and harmless-base, whole test files (2,354 and 2,312 pairs). ``same_after_cut``: pairs whose whole dialogues are the
same tokens when so many tokens are kept, cut on the right or on the left. Folds keep dialogues with the same first prompt
together; a tenth of each training part is validation. Intervals are of paired differences over clusters of prompts.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from across_data import DATA
from record import write

from tunesmith.data.chat.messages import Turn
from tunesmith.data.preferences.load import first_texts, load_pairs
from tunesmith.data.preferences.rows import PreferencePairs
from tunesmith.data.row_clusters import row_clusters
from tunesmith.evaluation.baselines.preferences import bag_of_words_baseline, length_baseline, log_length_differences
from tunesmith.evaluation.metrics.means import mean_metric, mean_verdict
from tunesmith.evaluation.metrics.resample import Resampling, cluster_numbers
from tunesmith.evaluation.preferences import pair_accuracy
from tunesmith.models.chat.template import NO_TEMPLATE
from tunesmith.models.load import load_tokenizer
from tunesmith.models.reward.reading import AnswerReader, EncodedPairs
from tunesmith.models.source import find_model
from tunesmith.recipe.load import load_recipe, recipe_from_mapping
from tunesmith.recipe.sections import ModelSection
from tunesmith.tasks.finished import Run
from tunesmith.workflows.train import train as train_recipe

SETS = ("helpful", "harmless")
KEPT_TOKENS = (1024, 512, 256, 128)
MODELS = {"MiniLM": "builtin:minilm", "stories3M": str(DATA.parent / "models" / "stories3M")}
FOLDS, SEED = 5, 0
TRAINING = {"num_train_epochs": 1, "per_device_train_batch_size": 16, "learning_rate": 5e-5, "n_evaluations": 2}
MAX_LENGTH = 128
CACHE = Path(tempfile.gettempdir()) / "reward-folds"


def path_of(name: str) -> Path:
    return DATA / "hh-rlhf" / f"{name}-base" / "test.jsonl.gz"


def raw_rows(name: str) -> list[dict[str, str]]:
    with gzip.open(path_of(name), "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def usable(name: str) -> PreferencePairs:
    """Reads the pairs that tunesmith uses, none of them held out."""
    data = {"train": str(path_of(name)), "test": None, "validation": None}
    return load_pairs(recipe_from_mapping({"task": "reward", "data": data}, "benchmark"), Path()).train


def same_after_cut(name: str, model: str) -> dict[str, dict[str, float]]:
    """Returns the share of pairs with twice the same tokens, by the tokens of the dialogue that are kept."""
    tokenizer = load_tokenizer(find_model(ModelSection(name=model), Path()))
    sides = [[(Turn("assistant", row[side]),) for row in raw_rows(name)] for side in ("chosen", "rejected")]
    shares: dict[str, dict[str, float]] = {}
    for side in ("right", "left"):
        shares[side] = {}
        for kept in KEPT_TOKENS:
            around = len(tokenizer("", verbose=False)["input_ids"]) if model.startswith("builtin") else 0
            reader = AnswerReader(tokenizer, None if around else NO_TEMPLATE, kept + around, side)
            pairs = encoded(reader, sides) if around else plain(tokenizer, sides, kept, side)
            shares[side][str(kept)] = float(pairs.mean())
    return shares


def encoded(reader: AnswerReader, sides: list[list[Any]]) -> np.ndarray:
    """Tells which dialogues are the same as an encoder reads them, its special tokens not counted."""
    prompts = [() for _ in sides[0]]
    chosen, rejected = (reader.read("train", range(len(prompts)), prompts, side) for side in sides)
    return EncodedPairs(chosen, rejected).same


def plain(tokenizer: Any, sides: list[list[Any]], kept: int, side: str) -> np.ndarray:
    """Tells which dialogues are the same tokens without special ones, as a decoder without a template has them."""
    ids = [tokenizer([turns[0].content for turns in s], add_special_tokens=False, verbose=False)["input_ids"] for s in sides]
    part = slice(kept) if side == "right" else slice(-kept, None)
    return np.array([a[part] == b[part] for a, b in zip(*ids, strict=True)], dtype=bool)


def folds(rows: PreferencePairs) -> np.ndarray:
    """Returns the fold of each pair (N); pairs of one prompt, or nearly the same one, are in one fold."""
    clusters = row_clusters(first_texts(rows))
    order = np.random.default_rng(SEED).permutation(clusters.max() + 1)
    return np.asarray(order[clusters] % FOLDS)


def parts(rows: PreferencePairs, fold: np.ndarray, k: int) -> tuple[list[int], list[int], list[int]]:
    """Returns the positions of train, validation (a tenth of the other folds, by prompts) and test."""
    clusters = row_clusters(first_texts(rows))
    held = np.random.default_rng([SEED, k]).random(clusters.max() + 1)[clusters] < 0.1
    train, validation = (np.flatnonzero((fold != k) & (held == is_held)).tolist() for is_held in (False, True))
    return train, validation, np.flatnonzero(fold == k).tolist()


def out_of_fold(rows: PreferencePairs, name: str, *, finetune: bool) -> dict[str, np.ndarray]:
    """Returns system -> the accuracy of each pair (N) by a model that was not fitted to it."""
    fold = folds(rows)
    found: dict[str, np.ndarray] = {system: np.zeros(len(rows)) for system in ("length", "bag_of_words")}
    if finetune:
        found["MiniLM"] = np.zeros(len(rows))
    for k in range(FOLDS):
        train, validation, test = parts(rows, fold, k)
        fitted = rows.take(train, "train")
        targets = [rows.take(validation, "validation"), rows.take(test, "test")]
        for baseline in (length_baseline(fitted, targets), bag_of_words_baseline(fitted, targets)):
            found[baseline.name][test] = baseline.outputs["test"].row_scores["accuracy"]
        if finetune:
            found["MiniLM"][test] = finetuned(rows, (train, validation, test), CACHE / f"{name}-{k}")
    return found


def finetuned(rows: PreferencePairs, positions: tuple[list[int], list[int], list[int]], place: Path) -> np.ndarray:
    """Trains MiniLM on a fold, unless that was done before, and returns the accuracy of each test pair."""
    if not (place / "run" / "result.json").exists():
        place.mkdir(parents=True, exist_ok=True)
        files = {}
        for split, chosen in zip(("train", "validation", "test"), positions, strict=True):
            files[split] = str(place / f"{split}.jsonl")
            with Path(files[split]).open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(rows.rows[i]) + "\n" for i in chosen)
        recipe = {
            "task": "reward", "model": {"name": "builtin:minilm"}, "data": {**files, "max_length": MAX_LENGTH}, "train": TRAINING,
            "evaluate": {"checkpoint_metric": "log_loss", "baselines": []}, "output": str(place / "run"),
        }  # fmt: skip
        (place / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
        train_recipe(load_recipe(place / "recipe.yaml"))
    import pyarrow.parquet as pq

    table = pq.read_table(Run.load(place / "run").folder / "predictions.parquet").to_pydict()
    return np.array([value for value, split in zip(table["accuracy"], table["split"], strict=True) if split == "test"])


def figures_of(name: str, *, finetune: bool) -> dict[str, Any]:
    """Measures one set."""
    rows = usable(name)
    clusters = cluster_numbers(row_clusters(first_texts(rows)))
    resampling = Resampling(10_000, SEED).of_rows(clusters)
    systems = out_of_fold(rows, name, finetune=finetune)
    longer = pair_accuracy(log_length_differences(rows))
    figures: dict[str, Any] = {"pairs": len(rows), "left_out": rows.dropped}
    for system, accuracy in {"longer_wins": longer, **systems}.items():
        metric = mean_metric("accuracy", "all", [accuracy], resampling)
        figures[system] = {"value": metric.value, "low": metric.low, "high": metric.high}
    for other in ("length", "bag_of_words") if finetune else ():
        verdict = mean_verdict("accuracy", [systems["MiniLM"]], [systems[other]], other, "all", resampling)
        figures[f"MiniLM_less_{other}"] = {"difference": verdict.difference, "low": verdict.low, "high": verdict.high,
                                           "word": verdict.word}  # fmt: skip
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finetune", action="store_true")
    args = parser.parse_args()
    figures: dict[str, Any] = {
        "same_after_cut": {f"{model} {name}": same_after_cut(name, source) for model, source in MODELS.items() for name in SETS},
        "accuracy": {name: figures_of(name, finetune=args.finetune) for name in SETS},
        "training": {**TRAINING, "max_length": MAX_LENGTH, "folds": FOLDS} if args.finetune else None,
    }
    write("reward_models", figures)


if __name__ == "__main__":
    main()
