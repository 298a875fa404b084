from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report.fake_runs import ALARMS, IMAGE_ROW, KINDS, SCRIPT_ROW
from tests.report.test_markup import read
from tunesmith.errors import InputError
from tunesmith.report.comparison import write_comparison
from tunesmith.report.markup import escape, packaged, policy
from tunesmith.report.page import SECTIONS, write_report
from tunesmith.report.recommendation import recommendation
from tunesmith.report.saved_run import load
from tunesmith.report.tables import text_cell
from tunesmith.results import RunResult, Verdict

WriteRun = Callable[..., Path]


def page_of(run: Path) -> str:
    return write_report(run).read_text(encoding="utf-8")


def sections_of(page: str) -> list[str]:
    return re.findall(r'<section id="([^"]+)"', page)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_has_a_page(kind: str, write_run: WriteRun) -> None:
    page = page_of(write_run(kind))
    assert page.startswith("<!doctype html>")
    assert "nan" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL).lower().split()


def test_the_sections_come_in_their_order(write_run: WriteRun) -> None:
    of_others = {"regression", "vectors", "similarity", "reward", "rewards", "answers", "seen", "context"}
    assert sections_of(page_of(write_run("twelve"))) == [name for name, _, _ in SECTIONS if name not in of_others]
    numeric = sections_of(page_of(write_run("regression")))
    assert "regression" in numeric
    assert not {"classes", "confusion", "calibration"} & set(numeric)
    assert "confusion" not in sections_of(page_of(write_run("multilabel")))


def test_a_run_with_nothing_in_it_lists_what_was_not_recorded(write_run: WriteRun) -> None:
    page = page_of(write_run("minimal"))
    assert sections_of(page) == ["use"]
    assert "Not recorded in this run: verdict, metrics" in page
    assert "Nothing was measured in this run." in page


def test_personal_data_in_a_text_are_masked() -> None:
    content = str(text_cell("write to bob@example.org", "or call +49 30 901820").content)
    assert "write to [email]" in content
    assert "or call [phone]" in content


@pytest.mark.parametrize("lost", ["metrics.jsonl", "predictions.parquet", "resolved.yaml"])
def test_a_lost_file_costs_only_its_sections(lost: str, write_run: WriteRun) -> None:
    run = write_run("twelve")
    (run / lost).unlink()
    assert "verdict" in sections_of(page_of(run))


@pytest.mark.parametrize(
    "field", ["metrics", "baselines", "verdicts", "findings", "timings_seconds", "environment", "data", "training", "recipe"]
)
@pytest.mark.parametrize("value", [None, "absent"])
def test_any_field_may_be_null_or_absent(field: str, value: object, write_run: WriteRun) -> None:
    run = write_run("twelve", rows=40)
    plain = json.loads((run / "result.json").read_text(encoding="utf-8"))
    plain[field] = None
    if value == "absent":
        del plain[field]
    (run / "result.json").write_text(json.dumps(plain), encoding="utf-8")
    assert "<h1>twelve</h1>" in page_of(run)


@pytest.mark.parametrize("record", ["data", "training"])
def test_any_part_of_a_record_may_be_null(record: str, write_run: WriteRun) -> None:
    whole = getattr(load(write_run("twelve", name="whole", rows=40)).result, record)
    for key in whole:
        run = write_run("twelve", name=f"without {key}", rows=40, **{record: {**whole, key: None}})
        assert "<h1>" in page_of(run)
    for key in whole.get("splits", {}).get("test", {}):
        broken = {**whole["splits"], "test": {**whole["splits"]["test"], key: None}}
        assert "<h1>" in page_of(write_run("twelve", name=f"test without {key}", rows=40, data={**whole, "splits": broken}))


def test_alarms_are_loud_and_their_absence_is_quiet(write_run: WriteRun) -> None:
    loud, calm = page_of(write_run("binary", alarms=ALARMS)), page_of(write_run("twelve"))
    assert "Every test row is predicted as “acceptable”." in loud
    assert "What to do: Raise data.max_length to 256." in loud
    assert "No alarms" in calm
    assert 'class="alarms"' not in calm


def test_text_from_data_stays_text(write_run: WriteRun) -> None:
    """A row with a script, a row with an image and a class name with markup."""
    page = page_of(write_run("twelve"))
    seen = read(page)
    assert SCRIPT_ROW in seen.text
    assert IMAGE_ROW in seen.text
    assert "complaint <b>bold</b>" in seen.text
    names = [name for name, _ in seen.elements]
    assert "img" not in names
    assert "b" not in names
    assert not [name for _, attrs in seen.elements for name, _ in attrs if name.startswith("on")]
    assert "alert(1)" not in "".join(re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)).replace("\\u003c", "<")


def test_the_name_of_the_folder_stays_text_too(write_run: WriteRun) -> None:
    page = page_of(write_run("minimal", name="<img src=x onerror=alert(1)>"))
    assert "img" not in [name for name, _ in read(page).elements]


def test_nothing_is_fetched(write_run: WriteRun) -> None:
    page = page_of(write_run("twelve"))
    links = [value for _, attrs in read(page).elements for name, value in attrs if name in ("src", "href", "action", "data")]
    assert links
    assert all(value is not None and value.startswith("#") for value in links)
    assert not re.search(r"@import|url\(", packaged("theme.css") + packaged("page.css"))
    assert "default-src &#x27;none&#x27;" in page


def test_the_policy_names_every_script_and_nothing_else(write_run: WriteRun) -> None:
    page = write_report(write_run("twelve")).read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    shown = next(
        value
        for _, attrs in read(page[:4000]).elements
        for name, value in attrs
        if name == "content" and "script-src" in str(value)
    )
    assert shown == policy(scripts)
    assert "unsafe" not in policy(scripts).split("style-src")[0]


MOST_BYTES = 1_500_000


@pytest.mark.parametrize("kind", ["twelve", "seventyseven", "multilabel", "regression"])
def test_the_page_of_ten_thousand_rows_is_small(kind: str, write_run: WriteRun) -> None:
    n_bytes = write_report(write_run(kind, rows=13_334)).stat().st_size
    assert 20_000 < n_bytes < MOST_BYTES / 3


def test_a_page_without_figures_is_smaller_still(write_run: WriteRun) -> None:
    assert write_report(write_run("minimal")).stat().st_size < 50_000


def test_the_same_folder_gives_the_same_bytes(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("seventyseven")
    first, second = write_report(run, tmp_path / "a.html"), write_report(run, tmp_path / "b.html")
    assert first.read_bytes() == second.read_bytes()
    assert not (run / "report.html").exists()


def test_a_folder_that_is_still_being_written_has_the_final_name(write_run: WriteRun) -> None:
    assert "<h1>tickets</h1>" in page_of(write_run("binary", name="tickets.partial"))


def test_figures_and_labels_have_words_for_those_who_cannot_see_them(write_run: WriteRun) -> None:
    seen = read(page_of(write_run("twelve")))
    plots = [dict(attrs) for _, attrs in seen.elements if ("class", "plot") in attrs]
    assert len(plots) >= 7
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)
    regions = [dict(attrs) for _, attrs in seen.elements if ("role", "region") in attrs]
    assert all(region["aria-label"] and region["tabindex"] == "0" for region in regions)
    ids = [value for _, attrs in seen.elements for name, value in attrs if name == "id"]
    assert len(ids) == len(set(ids))


def test_broken_lines_of_the_log_are_counted(write_run: WriteRun) -> None:
    run = write_run("binary")
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"event": "train", "st')
    assert "1 line of metrics.jsonl could not be read" in page_of(run)


def test_folders_that_are_no_runs_are_named(tmp_path: Path, write_run: WriteRun) -> None:
    with pytest.raises(InputError, match="there is no result"):
        write_report(tmp_path)
    run = write_run("binary")
    (run / "result.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="not JSON"):
        write_report(run)
    run = write_run("binary", name="other")
    (run / "predictions.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="not readable as parquet"):
        write_report(run)


def test_comparison_shows_runs_verdicts_and_differences(write_run: WriteRun, tmp_path: Path) -> None:
    first, second = (
        write_run("twelve"),
        write_run("twelve", name="again", alarms=ALARMS, recipe={"train": {"learning_rate": 1e-4}}),
    )
    between = Verdict("macro_f1", "test", "again", 0.01, -0.02, 0.03, "cannot tell", 300)
    page = write_comparison([first, second, first], tmp_path / "c.html", [between]).read_text(encoding="utf-8")
    assert sections_of(page) == ["between", "metrics", "baselines", "curves", "runs", "recipes"]
    assert "train.learning_rate" in page
    assert "twelve (2)" in page
    assert "again: Every test row is predicted" in page
    for name, run in (("twelve", first), ("again", second)):
        sentence = recommendation(load(run).result).sentence
        assert f"<strong>{escape(f'{name}: {sentence}')}</strong>" in page
    assert "cannot be compared" not in page


def test_comparison_warns_of_runs_that_cannot_be_compared(write_run: WriteRun, tmp_path: Path) -> None:
    page = write_comparison([write_run("twelve"), write_run("minimal")], tmp_path / "c.html").read_text(encoding="utf-8")
    assert "The runs were not evaluated on the same test rows: their metrics cannot be compared." in page
    with pytest.raises(InputError):
        write_comparison([], tmp_path / "d.html")


def test_result_round_trip_of_a_minimal_run(write_run: WriteRun) -> None:
    assert load(write_run("minimal")).result == RunResult("classification")
