"""The command line run inside the test process, and small stand-ins for the work behind the verbs."""

from __future__ import annotations

import io
import os
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tunesmith.cli.main import main
from tunesmith.results import Alarm, Baseline, Finding, Metric, RunResult, Verdict


@dataclass(frozen=True)
class Completed:
    """What one command line did."""

    code: int
    out: str
    err: str


Cli = Callable[..., Completed]

RESULT = RunResult(
    task="classification",
    metrics=(Metric("macro_f1", "test", 0.9, 0.85, 0.95, 200),),
    baselines=(Baseline("tfidf", (Metric("macro_f1", "test", 0.8, 0.75, 0.85, 200),)),),
    verdicts=(
        Verdict("macro_f1", "test", "tfidf", 0.1, 0.05, 0.15, "better", n=200),
        Verdict("macro_f1", "test", "frozen", 0.01, -0.02, 0.04, "cannot tell", n=200, smallest_detectable=0.04),
    ),
    findings=(
        Finding(
            "wrong_labels", "3 rows", 3, rows=({"row_id": 7, "split": "train", "reason": "given refund, looks like return"},)
        ),
    ),
    alarms=(Alarm("one_class", "Every prediction is the same.", "Lower the learning rate."),),
    recipe={"evaluate": {"metric": "macro_f1"}},
)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command line sets variables for the libraries; no test may leave them to the next."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run ``tunesmith`` with these words."""

    def run(*words: str, stdin: str | None = None) -> Completed:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = main(list(words))
        completed = capsys.readouterr()
        return Completed(code, completed.out, completed.err)

    return run


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put functions in the place of a module's, whether or not the module exists."""

    def put(module: str, **functions: object) -> None:
        monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(**functions))  # type: ignore[arg-type]

    return put


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    """A recipe file that loads."""
    (tmp_path / "recipe.yaml").write_text("data: {train: builtin:support_train}\noutput: runs/tickets\n", encoding="utf-8")
    return "recipe.yaml"
