"""The notebooks of the documentation: they run, and their pages are theirs."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import nbformat
import pytest

import write_notebooks


@pytest.mark.notebook
@pytest.mark.parametrize("path", write_notebooks.notebooks(), ids=lambda path: path.stem)
def test_the_notebook_runs_from_top_to_bottom(path: Path) -> None:
    assert [cell.outputs for cell in write_notebooks.executed(path).cells if cell.cell_type == "code"][-1]


@pytest.mark.parametrize("path", write_notebooks.notebooks(), ids=lambda path: path.stem)
def test_the_page_is_the_executed_notebook(path: Path) -> None:
    assert write_notebooks.problem(path) == ""


def test_a_changed_notebook_or_page_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "one.ipynb"
    shutil.copy(write_notebooks.notebooks()[0], path)
    assert write_notebooks.problem(path) == "one.md is out of date"
    path.with_suffix(".md").write_text(write_notebooks.page(path), encoding="utf-8")
    assert write_notebooks.problem(path) == ""
    notebook = nbformat.read(path, as_version=4)
    added = copy.deepcopy(notebook)
    added.cells.append(nbformat.v4.new_code_cell("1 + 1"))
    nbformat.write(added, path)
    assert "not executed" in write_notebooks.problem(path)
