"""Finds which splits of a finished run are rows of given data, so that figures on rows that the model has seen are named so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.data.run_rows import run_of_model
from tunesmith.report.words import part
from tunesmith.results import Finding, RunResult
from tunesmith.run_folder import read_record
from tunesmith.tasks.finished import Run
from tunesmith.tasks.test_looks import run_path

SEEN = "seen_in_training"
TEST = "test"


def seen_rows(run: Run, sha256: str) -> dict[str, int | None]:
    """Returns the splits by which a run's model was trained or chosen and that are rows of a file or table in memory.

    Args:
        sha256: of the file or table, see ``data.readers.hashes.hash_rows``; empty if it is unknown, which is found in no run.

    Returns:
        ``train`` or ``validation`` -> number of rows; None where the split has rows of several files.
    """
    inputs = part(read_record(run.folder), "inputs")
    further = [value for key, value in inputs.items() if key.startswith("data.also")]
    seen: dict[str, int | None] = {}
    for split, record in part(run.result.data, "splits").items():
        own, files = record.get("sha256") or inputs.get(f"data.{split}"), [file["sha256"] for file in record.get("files", ())]
        hashes = {inputs.get("data.train"), *further, *files} if split == "train" else set(files)
        if sha256 and split != TEST and sha256 in {own, *hashes}:
            seen[split] = record.get("rows") if sha256 == own and not further else None
    return seen


def with_seen_rows(result: RunResult, sha256: str, source: str, models: Iterable[object]) -> RunResult:
    """Adds a finding for each run among the models that was trained on evaluated rows, or whose checkpoint they chose."""
    findings = tuple(
        Finding(SEEN, seen_words(name, seen, source), flagged=sum(n or 1 for n in seen.values()))
        for name, seen in models_with_seen_rows(models, sha256)
    )
    return replace(result, findings=(*result.findings, *findings))


def seen_notes(models: Iterable[object], sha256: str, source: str) -> list[str]:
    """Says of each run among the models that was trained on these rows, or whose checkpoint they chose, that it was."""
    return [seen_words(name, seen, source) for name, seen in models_with_seen_rows(models, sha256)]


def models_with_seen_rows(models: Iterable[object], sha256: str) -> Iterator[tuple[str, dict[str, int | None]]]:
    """Yields the name of each run, or model that one kept, with the run's splits that are rows of the data; each once."""
    for folder in dict.fromkeys(filter(None, map(run_path, models))):
        if seen := seen_rows(Run.load(run_of_model(folder) or folder), sha256):
            yield str(folder), seen


def seen_words(name: str, seen: Mapping[str, Any], source: str) -> str:
    """Says what a run did with which of the rows."""
    parts = []
    if "train" in seen:
        parts.append(f"{name} was trained on {rows_words(seen['train'])} of {source}")
    if "validation" in seen:
        n, others = seen["validation"], "other " if parts else ""
        its = "its checkpoint" if parts else f"the checkpoint of {name}"
        chosen = f"{others}rows" if n is None else plural(n, f"{others}row")
        parts.append(f"{its} was chosen on {chosen}{'' if parts else f' of {source}'}")
    return f"{', and '.join(parts)}: the figures say nothing about new rows. Evaluate on others."


def rows_words(n: int | None) -> str:
    return "rows" if n is None else plural(n, "row")
