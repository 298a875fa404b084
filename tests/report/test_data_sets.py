"""The page of several data sets: the rules of label criteria as a table, values that sort as numbers, and its width."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.report.test_browser import PROBE, visit
from tunesmith.report.data_sets import EVERY, CriteriaPart, write_page

Visit = Callable[..., tuple[str, list[str]]]
__all__ = ["visit"]
NAMES = ("hatemoderate", "davidson_three_classes")


def difficulty(name: str, share: float) -> dict[str, Any]:
    keys = ("entropy_bits", "v_information_bits", "low", "high", "accuracy", "majority_accuracy", "hard_share")
    code = {"codelength_bits": 1.444, "codelength_low": 1.333, "codelength_high": 1.555, "compression": 1.12}
    ends = {"share": share, "share_low": share - 0.01, "share_high": share + 0.02}
    return {"data": name, "n": 24_783, "n_classes": 3, **dict.fromkeys(keys, 0.345), **ends, **code}


def rule(condition: str, second_share: float | None, low: float | None) -> dict[str, Any]:
    shares = {"n_first": 40, "n_second": 8, "first_share": 0.75, "second_share": second_share}
    labels = {"first_label": "hateful", "second_label": "not hateful", "label": "hateful"}
    return {"condition": condition, **labels, **shares, "low": low, "high": None if low is None else 0.5}


def write(folder: Path) -> Path:
    findings = [
        {"name": f"criteria_{NAMES[0]}_{NAMES[1]}", "summary": "all rules in one sentence", "skipped": "", "remedy": ""},
        {"name": "criteria_a_b", "summary": "", "skipped": "fewer than 40 pairs", "remedy": ""},
    ]
    record = {
        "data": [{"name": name} for name in NAMES], "difficulty": [difficulty(NAMES[0], 0.09), difficulty(NAMES[1], 0.37)],
        "matrix": [], "findings": findings, "notes": ["a note"],
    }  # fmt: skip
    rules = [rule('the text contains "word"', 0.25, 0.3), rule(EVERY, None, None)]
    part = CriteriaPart(*NAMES, "the rules predict 60%.", rules, [rule("the text has at most 7 words", 0.5, -0.1)], "Generated.")
    write_page(record, [part], folder / "report.html")
    return folder / "report.html"


def test_rules_are_rows_with_the_shares_of_both_data_sets(tmp_path: Path) -> None:
    page = write(tmp_path).read_text(encoding="utf-8")
    rows = [re.sub(r"<[^>]+>", "|", row) for row in re.findall(r"<tr>.*?</tr>", page)]
    cells = [[cell for cell in row.split("|") if cell] for row in rows]
    (first,), (last,), (also,) = ([row for row in cells if row[0] == mark] for mark in ("1.", "2.", "also"))
    sides = ["hateful", "hateful: 75.0 % of 40", "not hateful"]
    assert first[1:] == ["with &quot;word&quot;", *sides, "hateful: 25.0 % of 8", "+0.500", "[+0.300, +0.500]"]
    assert last[1:] == ["otherwise", *sides, "no held-out text", "–"]
    assert also[1] == "with at most 7 words"
    assert "The rules predict 60%." in page
    assert "Generated." in page
    assert "all rules in one sentence" not in page
    assert "fewer than 40 pairs" in page


def test_columns_sort_by_value_and_not_by_text(tmp_path: Path) -> None:
    page = write(tmp_path).read_text(encoding="utf-8")
    assert 'data-sort="0.09"' in page
    assert "37.0 %" in page
    assert "[36.0, 39.0]" in page


@pytest.mark.browser
def test_no_table_is_wider_than_a_window_of_usual_width(tmp_path: Path, visit: Visit) -> None:
    probe = write(tmp_path).with_name("probe.html")
    probe.write_text(PROBE.replace("390px", "1200px"), encoding="utf-8")
    dom, _ = visit(probe, "--allow-file-access-from-files", "--window-size=1280,3200")
    found = re.search(r"width (\d+) of (\d+), (\d+) boxes", dom)
    assert found
    assert int(found[1]) <= int(found[2]) <= 1200
    assert found[3] == "0"
