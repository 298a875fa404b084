"""Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report.fake_runs import ALARMS, KINDS
from tunesmith.report.texts import markdown_report, plain


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
