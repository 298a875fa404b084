"""Measures the latency of the review page: 25,000 rows of 2,000 characters in headless Chromium.

    python benchmarks/review_page.py [--rows 25000] [--characters 2000] [--loads 5] [--keys 300]

The latency of a key is the time from its event to the end of the frame that shows the change. The keys move through
the list and decide on rows, as a reviewer does; the data map is on the page and is redrawn when they change it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
from pathlib import Path

from record import write

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.report import chrome
from tests.report.fake_review import many

from tunesmith.report.review import write_review

READY = "performance.getEntriesByName('review-ready').length"
WATCH = """
times = [];
const watch = (event) => requestAnimationFrame(() => setTimeout(() => times.push(performance.now() - event.timeStamp)));
for (const kind of ["keydown", "change"]) addEventListener(kind, watch, true);
"""
KEYS = "jjkajxrjjarxuuUarxjj"
FILTERS = (("filter-given", 3), ("filter-status", 0), ("filter-given", -2), ("filter-split", 1), ("filter-split", -2))
SIZE = (1280, 900)


def loads(tab: chrome.Page, path: Path, count: int) -> list[float]:
    """Returns the milliseconds from the start of each load to the end of the frame that shows the first list."""
    found = []
    for _ in range(count):
        tab.open(path, READY)
        found.append(float(tab.js("performance.getEntriesByName('review-ready')[0].startTime")))
    return found


def latency(tab: chrome.Page) -> float:
    """Returns the milliseconds from the last event to the end of the next frame."""
    tab.until("times.length")
    return float(tab.js("times.splice(0)[0]"))


def key_presses(tab: chrome.Page, count: int) -> list[float]:
    found = []
    for key in itertools.islice(itertools.cycle(KEYS), count):
        tab.press(key)
        found.append(latency(tab))
    return found


def filter_changes(tab: chrome.Page, rounds: int) -> list[float]:
    found = []
    for name, value in FILTERS * rounds:
        tab.choose(name, value)
        found.append(latency(tab))
    return found


def figures(values: list[float]) -> dict[str, float]:
    """Returns median, 95th percentile and maximum, in milliseconds."""
    fifth = statistics.quantiles(values, n=20, method="inclusive")[18]
    found = {"median": statistics.median(values), "p95": fifth, "max": max(values)}
    return {**{name: round(value, 1) for name, value in found.items()}, "n": len(values)}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("rows", 25_000), ("characters", 2_000), ("loads", 5), ("keys", 300)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, chrome.page(Path(folder)) as tab:
        page = write_review(many(args.rows, args.characters), Path(folder) / "review.html")
        tab.size(*SIZE)
        first_list = loads(tab, page, args.loads)
        tab.js(WATCH)
        tab.click_on("#flagged")  # every row, not only the flagged ones
        latency(tab)
        pressed, filtered = key_presses(tab, args.keys), filter_changes(tab, 4)
        write(
            "review_page",
            {
                "rows": args.rows, "characters": args.characters, "page_bytes": page.stat().st_size,
                "browser": tab.call("Browser.getVersion")["product"], "window": list(SIZE),
                "load_average_before": round(load_before, 2), "first_list_ms": figures(first_list),
                "key_to_painted_row_ms": figures(pressed), "filter_to_painted_list_ms": figures(filtered),
                "rows_in_document": int(tab.js("document.querySelectorAll('.item').length")),
                "complaints_of_the_page": len(tab.console),
            },
        )  # fmt: skip


if __name__ == "__main__":
    main()
