"""The pages in headless Chromium: they load without a console message, reach for nothing, and draw every figure."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.report.chrome import FLAGS, chromium
from tests.report.fake_runs import ALARMS, KINDS, fake_result
from tests.report.test_markup import read
from tunesmith.report.comparison import write_comparison
from tunesmith.report.page import write_report

WriteRun = Callable[..., Path]
SPEAKING = ("--enable-logging=stderr", "--v=0", "--virtual-time-budget=10000")

pytestmark = pytest.mark.browser


@pytest.fixture
def visit(tmp_path: Path) -> Callable[..., tuple[str, list[str]]]:
    """A function that opens a page and returns its DOM and its console messages."""
    browser = chromium()

    def open_page(page: Path, *flags: str) -> tuple[str, list[str]]:
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [browser, *FLAGS, *SPEAKING, profile, *flags, "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return open_page


def links(dom: str) -> list[str]:
    """Every address the finished page refers to, scripts' own text left out."""
    seen = read(re.sub(r"<script.*?</script>", "", dom, flags=re.DOTALL))
    return [value or "" for _, attrs in seen.elements for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]


def plots(dom: str) -> tuple[int, int]:
    """How many figures a page has and how many of them are drawn."""
    return len(re.findall(r'class="plot" role="img"', dom)), len(re.findall(r"<svg[^>]* class=\"drawing", dom))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_loads_draws_its_figures_and_logs_nothing(
    kind: str, write_run: WriteRun, visit: Callable[..., tuple[str, list[str]]]
) -> None:
    page = write_report(write_run(kind, alarms=ALARMS) if kind == "binary" else write_run(kind))
    dom, console = visit(page, "--window-size=1280,2400")
    assert console == []
    there, drawn = plots(dom)
    assert there == drawn
    assert (there > 0) == (kind != "minimal")
    assert "<title>broken</title>" not in dom
    assert all(link.startswith(("#", "data:")) for link in links(dom))


def test_a_comparison_loads_in_the_dark_on_a_phone(
    write_run: WriteRun, visit: Callable[..., tuple[str, list[str]]], tmp_path: Path
) -> None:
    page = write_comparison([write_run("twelve"), write_run("binary"), write_run("minimal")], tmp_path / "comparison.html")
    dom, console = visit(page, "--window-size=390,2400", "--force-dark-mode", "--blink-settings=preferredColorScheme=0")
    assert console == []
    there, drawn = plots(dom)
    assert there == drawn > 0


PROBE = """<iframe id="f" src="report.html" style="width:390px;height:3000px"></iframe><pre id="o"></pre><script>
f.onload = () => {
  const root = f.contentDocument.documentElement;
  const boxes = [...root.querySelectorAll(".scroll, pre")].filter((box) => box.scrollWidth > box.clientWidth);
  o.textContent = `width ${root.scrollWidth} of ${root.clientWidth}, ${boxes.length} boxes scroll sideways`;
};
</script>"""


@pytest.mark.parametrize("kind", ["seventyseven", "regression"])
def test_nothing_makes_a_phone_scroll_sideways(
    kind: str, write_run: WriteRun, visit: Callable[..., tuple[str, list[str]]]
) -> None:
    page = write_report(write_run(kind)).with_name("probe.html")
    page.write_text(PROBE, encoding="utf-8")
    dom, _ = visit(page, "--allow-file-access-from-files", "--window-size=800,3200")
    found = re.search(r"width (\d+) of (\d+), (\d+) boxes", dom)
    assert found
    assert int(found[1]) <= int(found[2]) <= 390
    assert found[3] == "0"


def test_the_verdicts_of_clustered_rows_fit_a_window_of_usual_width(
    write_run: WriteRun, visit: Callable[..., tuple[str, list[str]]]
) -> None:
    verdicts = fake_result("twelve", 300, np.random.default_rng(0)).verdicts
    page = write_report(write_run("twelve", verdicts=tuple(replace(verdict, n_clusters=116) for verdict in verdicts)))
    probe = page.with_name("probe.html")
    probe.write_text(PROBE.replace("390px", "1200px").replace(".scroll, pre", "#verdict .scroll"), encoding="utf-8")
    dom, _ = visit(probe, "--allow-file-access-from-files", "--window-size=1280,3200")
    assert "in 116 clusters" in page.read_text(encoding="utf-8")
    found = re.search(r"width (\d+) of (\d+), (\d+) boxes", dom)
    assert found
    assert int(found[1]) <= int(found[2]) <= 1200
    assert found[3] == "0"


def test_sorting_and_filtering(write_run: WriteRun, visit: Callable[..., tuple[str, list[str]]]) -> None:
    probe = """<iframe id="f" src="report.html" style="width:1280px;height:3000px"></iframe><pre id="o"></pre><script>
f.onload = () => {
  const page = f.contentDocument, table = page.querySelector("#classes table"), head = table.tHead.rows[0].cells[1];
  const supports = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[1].dataset.sort));
  head.querySelector("button").click();
  const up = supports();
  head.querySelector("button").click();
  const down = supports();
  const box = page.querySelector(".filter input"), rows = [...page.getElementById("worst-rows").tBodies[0].rows];
  box.value = "ALERT(1)";
  box.dispatchEvent(new f.contentWindow.Event("input"));
  o.textContent = "up " + up + " down " + down + " sort " + head.getAttribute("aria-sort")
    + " shown " + rows.filter((row) => !row.hidden).length + " said " + page.querySelector(".filter [aria-live]").textContent;
};
</script>"""
    page = write_report(write_run("twelve")).with_name("probe.html")
    page.write_text(probe, encoding="utf-8")
    dom, console = visit(page, "--allow-file-access-from-files")
    assert console == []
    found = re.search(r"up ([\d,]+) down ([\d,]+) sort descending shown 1 said 1 of 100 rows", dom)
    assert found
    up, down = ([int(n) for n in part.split(",")] for part in found.groups())
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    assert up != down


def test_this_test_sees_errors_and_forbidden_scripts(write_run: WriteRun, visit: Callable[..., tuple[str, list[str]]]) -> None:
    """A page with a failing script and one with an injected script both speak up on the console."""
    page = write_report(write_run("binary"))
    whole = page.read_text(encoding="utf-8")
    page.write_text(whole.replace("</body>", "<script>throw new Error('seen')</script></body>"), encoding="utf-8")
    assert any("Content Security Policy" in line for line in visit(page)[1])
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", whole)
    page.write_text(bare.replace("</body>", "<script>throw new Error('seen')</script></body>"), encoding="utf-8")
    assert any("seen" in line for line in visit(page)[1])
