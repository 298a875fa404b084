"""Executes the notebooks in docs/notebooks and writes each also as a Markdown page, which the documentation shows.

``--check`` executes nothing and exits 1 if a page is missing or out of date, or a notebook has not been executed whole.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
SECONDS_PER_CELL = 600
KEPT_METADATA = ("kernelspec", "language_info")


def notebooks() -> list[Path]:
    return sorted(FOLDER.glob("*.ipynb"))


def executed(path: Path) -> Any:
    """Executes a notebook in an empty folder, without a network, and returns it with its outputs. Raises CellExecutionError."""
    notebook = nbformat.read(path, as_version=4)
    os.environ.update({"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"})
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=SECONDS_PER_CELL,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    notebook.metadata = {name: notebook.metadata[name] for name in KEPT_METADATA if name in notebook.metadata}
    return notebook


def page(path: Path) -> str:
    """Returns a notebook as Markdown, with its outputs."""
    body, _ = MarkdownExporter().from_notebook_node(nbformat.read(path, as_version=4))
    body = re.sub(r"\n{4,}", "\n\n", re.sub(r"<style scoped>.*?</style>\n", "", body, flags=re.S))
    note = f"*This page is the executed notebook `docs/notebooks/{path.name}`, written by `scripts/write_notebooks.py`.*"
    return "\n".join(line.rstrip() for line in f"{body.strip()}\n\n{note}\n".splitlines()) + "\n"


def problem(path: Path) -> str:
    """Returns what is wrong with a notebook or its page; empty if nothing is."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        return f"{path.name} was not executed from its first cell to its last"
    markdown = path.with_suffix(".md")
    if not markdown.is_file() or markdown.read_text(encoding="utf-8") != page(path):
        return f"{markdown.name} is out of date"
    return ""


def main() -> int:
    """Returns 0 when the pages were written or are up to date, 1 when ``--check`` found that they are not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only report whether the pages are up to date")
    parser.add_argument("names", nargs="*", help="notebooks to execute (default: all)")
    args = parser.parse_args()
    if args.check:
        problems = [f"{text}; run: make notebooks" for text in map(problem, notebooks()) if text]
        print("\n".join(problems), end="\n" * bool(problems))
        return int(bool(problems))
    for path in notebooks():
        if not args.names or path.stem in args.names:
            nbformat.write(executed(path), path)
            path.with_suffix(".md").write_text(page(path), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
