"""Reads what a finished run left on disk into plain JSON that is the same for every run of the same code.

Nothing of tunesmith is imported: the record of a run stays comparable when modules are moved or renamed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

Paths = Mapping[str, str]

LEFT_OUT = {
    # times
    "timings_seconds", "started", "finished", "seconds", "train_seconds", "estimate_seconds",
    # what follows from times
    "rows_per_second",
    # memory
    "peak_memory_bytes", "memory_bytes",
    # the machine and its versions; the fingerprint of the record has those that change floats
    "environment",
    # an absolute path
    "base",
}  # fmt: skip
"""Keys whose values are left out wherever they stand, since they differ between two runs of the same code."""

CHANGING_TEXT = (
    # 1.5 s, 1e-05 s, 12 seconds, 3 min
    (re.compile(r"\b\d[\d.,]*(?:e-?\d+)?\s?(?:ms|s|min|h|seconds?|minutes?|hours?)\b"), "TIME"),
    # 28.3 rows/s
    (re.compile(r"\b\d[\d.,]* (rows|tokens)/s\b"), r"RATE \1/s"),
    # 2 min 05 s
    (re.compile(r"TIME(?: TIME)+"), "TIME"),
    # the bar beside a time in a report
    (re.compile(r'(?<=TIME</td>)(<td[^>]*><svg[^>]*><rect[^>]* width=)"[^"]*"'), r'\1"SHARE"'),
    # 1.2 GB, 500 MB: memory, and free space on the disk
    (re.compile(r"\b\d[\d.,]*\s?(?:kB|MB|GB|TB|KiB|MiB|GiB)\b"), "SIZE"),
)
"""Parts of texts that are times or sizes, with the word that stands for them in a record."""

NOT_HASHED = {
    "result.json": "kept as `result`",
    "diagnosis.json": "printed by diagnose, and kept with that command",
    "metrics*.jsonl": "kept as `events`",
    "predictions.parquet": "kept as `tables`",
    "rows.parquet": "kept as `tables`",
    "resolved.yaml": "kept as `resolved`",
    "manifest.json": "sizes and sha256 of the other files of a checkpoint, some of which hold times",
}
"""Files whose bytes are not compared, and why, by their names."""

KEYED_BY = (("split", "name"), ("metric", "split", "against"), ("name",))
"""What tells the objects of a list apart, so that they are compared by name and not by position."""

MOST_ITEMS = 60
"""Longer lists are kept as their length, their sha256 and their first items."""


def digest(value: Any) -> str:
    """Return the sha256 of a JSON value, or of bytes."""
    raw = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False, sort_keys=True).encode()
    return hashlib.sha256(raw).hexdigest()


def key_tree(value: Any, prefix: str = "") -> set[str]:
    """Return the names of all keys of a JSON value, with the keys above them; ``[]`` stands for the items of a list."""
    if isinstance(value, Mapping):
        inner = ((f"{prefix}.{key}" if prefix else str(key), item) for key, item in value.items())
        return {name for path, item in inner for name in (path, *key_tree(item, path))}
    if isinstance(value, list):
        return {name for item in value for name in key_tree(item, f"{prefix}[]")}
    return set()


def settled_text(text: str, paths: Paths) -> str:
    """Return a text with words in the place of times, sizes and absolute paths."""
    for path, word in paths.items():
        text = text.replace(path, word)
    for pattern, word in CHANGING_TEXT:
        text = pattern.sub(word, text)
    return text


def settled(value: Any, paths: Paths) -> Any:
    """Return a JSON value without what differs between two runs of the same code (see ``LEFT_OUT``)."""
    if isinstance(value, str):
        return settled_text(value, paths)
    if isinstance(value, Mapping):
        return {key: settled(item, paths) for key, item in value.items() if key not in LEFT_OUT}
    if isinstance(value, list):
        items = [settled(item, paths) for item in value]
        return by_name(items) or shortened(items)
    return value


def by_name(items: list[Any]) -> dict[str, Any]:
    """Return a list of objects as a dictionary by their names; empty where they have none, or share one."""
    if not items or not all(isinstance(item, Mapping) for item in items):
        return {}
    for keys in KEYED_BY:
        if all(key in item for item in items for key in keys):
            found = {" ".join(str(item[key]) for key in keys): item for item in items}
            return found if len(found) == len(items) else {}
    return {}


def shortened(items: list[Any]) -> Any:
    """Return a list, or the digest of a long one with its first items."""
    return items if len(items) <= MOST_ITEMS else {"items": len(items), "sha256": digest(items), "first": items[:3]}


def events_of(path: Path, paths: Paths) -> dict[str, Any]:
    """Return the events of a metrics.jsonl by kind, seed and step, without their times."""
    found: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        event = settled(json.loads(line), paths)
        name = " ".join(str(event[key]) for key in ("seed", "event", "split", "step") if key in event)
        found[name if name not in found else f"{name} (line {len(found)})"] = event
    return found


def table_of(path: Path) -> dict[str, Any]:
    """Return the number of rows of a parquet file, the type and sha256 of each column, and the sha256 of all values."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    columns = {
        field.name: {"type": str(field.type), "sha256": digest([repr(cell) for cell in table[field.name].to_pylist()])}
        for field in table.schema
    }
    return {"rows": table.num_rows, "columns": columns, "order": table.column_names, "sha256": digest(columns)}


def file_digest(path: Path, paths: Paths) -> str:
    """Return the sha256 of a file without times, sizes and paths, or the reason why its bytes are not compared."""
    reason = next((why for name, why in NOT_HASHED.items() if fnmatch(path.name, name)), "")
    if reason:
        return reason
    if path.suffix == ".json":
        return digest(settled(json.loads(path.read_text(encoding="utf-8")), paths))
    is_text = path.suffix in {".html", ".md", ".jsonl", ".yaml", ".csv"}
    return digest(settled_text(path.read_text(encoding="utf-8"), paths).encode() if is_text else path.read_bytes())


def files_below(folders: Iterable[Path], root: Path, paths: Paths) -> dict[str, str]:
    """Return every file below some folders with its digest."""
    found = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): file_digest(path, paths) for path in found}


def tables_below(folders: Iterable[Path], root: Path) -> dict[str, Any]:
    """Return every parquet file below some folders with its rows and columns."""
    found = sorted(path for folder in folders for path in folder.rglob("*.parquet"))
    return {path.relative_to(root).as_posix(): table_of(path) for path in found}


def record_of(run: Path, root: Path, paths: Paths) -> dict[str, Any]:
    """Return everything that is compared of a run's folder.

    Args:
        run: the run's folder, below ``root``.
        paths: absolute path -> the word that stands for it in the record.
    """
    record: dict[str, Any] = {
        "files": files_below([run], root, paths),
        "tables": tables_below([run], root),
        "events": {path.name: events_of(path, paths) for path in sorted(run.glob("metrics*.jsonl"))},
    }
    if (run / "result.json").is_file():
        result = json.loads((run / "result.json").read_text(encoding="utf-8"))
        record["result"] = settled(result, paths)
        record["result_keys"] = sorted(key_tree(result))
    if (run / "resolved.yaml").is_file():
        record["resolved"] = settled_text((run / "resolved.yaml").read_text(encoding="utf-8"), paths).splitlines()
    return record
