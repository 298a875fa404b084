"""Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report.fake_runs import ALARMS, KINDS
from tunesmith.report.texts import latex, latex_table, markdown_report, plain


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_has_a_markdown_report(kind: str, write_run: Callable[..., Path]) -> None:
    text = markdown_report(write_run(kind))
    assert text.startswith(f"# {kind}\n")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


def test_markdown_holds_metrics_verdicts_alarms_and_findings(write_run: Callable[..., Path]) -> None:
    text = markdown_report(write_run("twelve", alarms=ALARMS))
    for fragment in ("0.913 \\[0.882, 0.942\\]", "cannot tell", "Every test row", "31 rows", "## Metrics on test"):
        assert fragment in text


def test_plain_text_has_no_markdown_in_it() -> None:
    assert plain("a|b\n<i>*x*_y_ `z`") == r"a\|b \<i\>\*x\*\_y\_ \`z\`"


def test_latex_table(write_run: Callable[..., Path]) -> None:
    text = latex_table([write_run("binary", name="50%_off & more"), write_run("twelve")])
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("\\") and "rule" in line] == [
        "\\toprule",
        "\\midrule",
        "\\midrule",
        "\\bottomrule",
    ]
    assert "50\\%\\_off \\& more" in text
    columns = {line.replace("\\&", "").count("&") for line in lines if line.endswith("\\\\")}
    assert len(columns) == 1
    assert "$0.913$ {\\scriptsize $[0.882, 0.942]$}" in text


def test_latex_of_runs_without_figures(write_run: Callable[..., Path]) -> None:
    assert "minimal" in latex_table([write_run("minimal")])
    assert latex_table([]) == ""
    assert latex("a_b\\c") == r"a\_b\textbackslash{}c"
