"""Writes the figures of a benchmark with machine, versions and command; and times whole processes."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tunesmith.machine import cores, cpu_name

RESULTS = Path(__file__).resolve().parent / "results"
LIBRARIES = ("tunesmith", "torch", "transformers", "numpy", "scikit-learn")


def write(name: str, figures: dict[str, Any]) -> None:
    """Writes ``results/NAME.json`` and prints it."""
    found = {
        "benchmark": name,
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"cpu": cpu_name(), "cores": cores(), "platform": f"{platform.system()} {platform.machine()}"},
        "versions": {"python": platform.python_version(), **{library: version(library) for library in LIBRARIES}},
        "command": " ".join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]]),
        **figures,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


def seconds_of(command: list[str], **settings: Any) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Returns the wall seconds of a whole process, and its output. Raises CalledProcessError if it fails."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, **settings)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return seconds, done


def spread(values: list[float]) -> dict[str, float]:
    """Returns median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}
