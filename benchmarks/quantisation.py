"""Compares LoRA on weights in 4 and 8 bits with LoRA on unquantised ones: the metric of the saved model, memory, time of a step.

    python benchmarks/quantisation.py

MiniLM classifies support messages; 40 steps, each format in a process of its own. The metrics are those
of the saved models, whose adapters are merged into unquantised weights. ``changed_by_merging`` compares their predictions with
those of the model in few bits that was trained. Intervals and verdicts are over rows.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from record import seconds_of, write
from transformers import AutoModelForSequenceClassification

import tunesmith
from tunesmith.models.adapters.quantisation import Quantisation
from tunesmith.models.adapters.quantise import classifier_options
from tunesmith.models.load import load_config
from tunesmith.models.source import find_model
from tunesmith.recipe.sections import ModelSection

FORMATS = (None, "nf4", "fp4", "int8")
BATCH_ROWS = 16
RECIPE: dict[str, Any] = {
    "task": "classification",
    "model": {"name": "builtin:minilm"},
    "data": {"train": "builtin:support_train", "test": "builtin:support_test"},
    "adapter": {"method": "lora", "r": 8, "lora_alpha": 16, "target_modules": "all-linear"},
    "train": {"max_steps": 40, "n_evaluations": 2, "per_device_train_batch_size": BATCH_ROWS},
    "evaluate": {"baselines": ["majority"], "n_resamples": 2000},
}
METRIC = "macro_f1"


def weights_bytes(kind: str | None) -> int:
    """Returns the bytes of the parameters and buffers of the base model with its head, without the adapter."""
    source = find_model(ModelSection(name=RECIPE["model"]["name"]), Path())
    options = classifier_options(Quantisation.read(kind), load_config(source))
    model = AutoModelForSequenceClassification.from_pretrained(source.location, dtype="float32", num_labels=12, **options)
    return int(model.get_memory_footprint())


def trained(kind: str | None, place: Path) -> Path:
    """Trains in a process of its own, and returns the run's folder."""
    recipe, folder = place / f"{kind}.yaml", place / f"run-{kind}"
    recipe.write_text(json.dumps({**RECIPE, "quantisation": kind, "output": str(folder)}), encoding="utf-8")
    seconds_of([sys.executable, "-m", "tunesmith.cli.main", "train", str(recipe)])
    return folder


def figures_of(kind: str | None, folder: Path) -> dict[str, Any]:
    """Returns the figures of one format from the result of its run."""
    run = tunesmith.Run.load(folder)
    result, training = run.result, run.result.training
    metric = next(m for m in result.metrics if (m.split, m.name) == ("test", METRIC))
    notes = [note for note in training["notes"] if "merged into unquantised" in note]
    return {
        METRIC: {"value": metric.value, "low": metric.low, "high": metric.high, "n": metric.n},
        "weights_bytes": weights_bytes(kind),
        "peak_memory_bytes": result.peak_memory_bytes,
        "seconds_per_step": round(BATCH_ROWS / training["rows_per_second"], 4),
        "measured": training["measured"],
        "changed_by_merging": notes,
    }


def main() -> None:
    """Measures and writes the figures."""
    with tempfile.TemporaryDirectory() as name:
        folders = {kind: trained(kind, Path(name)) for kind in FORMATS}
        figures = {str(kind): figures_of(kind, folder) for kind, folder in folders.items()}
        for kind in FORMATS[1:]:
            verdicts = tunesmith.compare(str(folders[kind]), str(folders[None]))
            verdict = next(v for v in verdicts if v.metric == METRIC)
            figures[str(kind)]["against_unquantised"] = {**asdict(verdict), "against": "unquantised"}
    versions = {library: version(library) for library in ("bitsandbytes", "peft")}
    write("quantisation", {"recipe": RECIPE, "adapter_versions": versions, "formats": figures})


if __name__ == "__main__":
    main()
