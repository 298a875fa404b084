from __future__ import annotations

import base64
import gzip
import json
import random
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from tests.report.fake_review import ATTACK, hostile, many, small
from tests.report.test_markup import read
from tunesmith.report.markup import packaged, policy
from tunesmith.report.review import COMMANDS, review_html, write_review
from tunesmith.report.review_data import Review, ReviewRows, packed_rows

OURS = re.compile(r"<script>(.*?)</script>", re.DOTALL)
COLUMNS = [field.name for field in fields(ReviewRows)]


def data_of(page: str) -> dict[str, Any]:
    """The data block as a browser reads it: up to the first end of a script, unpacked."""
    text = page.partition('<script type="application/gzip" id="review-data">')[2].partition("</script")[0]
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(text)))
    return found


def test_the_data_block_gives_the_data_back() -> None:
    review = small()
    data = data_of(review_html(review))
    assert data["labels"] == list(review.labels)
    assert data["diagnosis_names"] == list(review.diagnosis_names)
    assert data["source_sha256"] == review.source_sha256
    assert list(data["rows"]) == COLUMNS
    for name in COLUMNS:
        expected = getattr(review.rows, name)
        if name in ("confidence", "variability"):  # JSON has no NaN
            expected = [value if value == value else None for value in expected]
        assert data["rows"][name] == expected, name


def test_the_page_of_ten_thousand_rows_is_small_and_holds_them_all() -> None:
    page = review_html(many(10_000, 120))
    assert len(page.encode("utf-8")) < 1_500_000
    assert data_of(page)["rows"]["row_ids"] == list(range(10_000))


def test_long_texts_are_cut_where_no_diagnosis_flags_them_then_the_worst_rows_kept() -> None:
    review, rng = many(400, 1_000), random.Random(0)
    noise = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz ", k=1_000)) for _ in range(400)]
    review = replace(review, rows=replace(review.rows, texts=noise))
    whole, short, few = (packed_rows(review, limit) for limit in (10**9, 250_000, 60_000))
    assert whole.note == ""
    assert short.note == "The texts of rows that no diagnosis flags are cut to 500 characters."
    assert len(short.text) <= 250_000 < len(whole.text)
    assert len(few.text) <= 60_000
    kept = json.loads(gzip.decompress(base64.b64decode(few.text)))["rows"]
    assert sum(kept["flagged"]) == sum(review.rows.flagged)
    assert set(map(len, kept["texts"])) == {1_000, 202}
    assert kept["row_ids"] == sorted(kept["row_ids"])
    assert few.note.startswith(f"The page holds {len(kept['row_ids'])} of 400 rows, the worst first")


def test_code_in_any_field_stays_text() -> None:
    page = review_html(hostile())
    seen = read(OURS.sub("", page))
    assert data_of(page)["rows"]["texts"] == [ATTACK]
    assert data_of(page)["labels"][0] == ATTACK
    assert data_of(page)["diagnosis_names"] == [ATTACK]
    assert "img" not in [name for name, _ in seen.elements]
    assert [attrs for name, attrs in seen.elements if name == "script"] == [[("type", "application/gzip"), ("id", "review-data")]]
    assert not [name for _, attrs in seen.elements for name, _ in attrs if name.startswith("on")]
    assert seen.text.count(ATTACK) == 6  # title element, heading, source; the finding's name, summary and remedy


def test_the_policy_names_every_script_and_the_page_asks_for_nothing() -> None:
    page = review_html(small())
    scripts = OURS.findall(page)
    assert [packaged(name) for name in ("review_kept.js", "review_picker.js", "review_map.js", "review.js")] == scripts
    seen = read(page)
    shown = next(value for _, attrs in seen.elements for name, value in attrs if name == "content" and "script-src" in str(value))
    assert shown == policy(scripts)
    links = [value for _, attrs in seen.elements for name, value in attrs if name in ("src", "href", "action", "data", "style")]
    assert links == ["#list"]
    assert not re.search(r"@import|url\(", packaged("theme.css") + packaged("review.css"))


def test_no_script_makes_markup_or_runs_text() -> None:
    """What rows hold can only become text: the scripts use nothing that reads text as markup or as code."""
    whole = "".join(OURS.findall(review_html(small())))
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|\beval\b|new Function|setAttribute\(\"on", whole
    )


def test_findings_are_listed_the_most_rows_first_and_those_that_did_not_run_last() -> None:
    text = read(OURS.sub("", review_html(small()))).text
    assert "Findings of 3 diagnoses, 1 skipped" in text
    positions = [
        text.index(name) for name in ("suspect labels: 41", "near duplicates: 12", "odd lengths", "leakage: skipped: there")
    ]
    assert positions == sorted(positions)


def test_what_is_not_there_leaves_no_empty_place() -> None:
    review = small()
    bare = replace(review, findings=(), rows=replace(review.rows, confidence=None, variability=None, correctness=None))
    page = review_html(bare)
    assert 'id="map"' not in page
    assert 'class="findings"' not in page
    assert 'id="row-pair"' not in page
    assert 'id="row-pair"' in review_html(hostile())


def test_every_command_has_a_button_or_a_key_that_is_explained() -> None:
    seen = read(review_html(small()))
    done = {value for _, attrs in seen.elements for name, value in attrs if name == "data-do"}
    assert done == {command for command, *_ in COMMANDS} - {"search"}
    ids = [value for _, attrs in seen.elements for name, value in attrs if name == "id"]
    assert len(ids) == len(set(ids))


def test_the_same_review_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = write_review(small(), tmp_path / "a.html"), write_review(small(), tmp_path / "b.html")
    assert first.read_bytes() == second.read_bytes()
    assert first.read_text(encoding="utf-8") == review_html(small())


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in ("row_ids", "pairs")])
@pytest.mark.parametrize("change", [lambda column: column[:-1], lambda column: [*column, column[0]]], ids=["short", "long"])
def test_columns_of_other_lengths_are_named(name: str, change: Callable[[list[Any]], list[Any]]) -> None:
    rows = small().rows
    with pytest.raises(ValueError, match=rf"rows\.{name} has [57] values for 6 rows"):
        replace(rows, **{name: change(getattr(rows, name))})


def test_pairs_of_another_length_are_named_too() -> None:
    with pytest.raises(ValueError, match=r"rows\.pairs has 1 values for 6 rows"):
        replace(small().rows, pairs=["one"])


@pytest.mark.parametrize("score", [-0.1, 1.5, float("nan")])
def test_scores_outside_their_range_are_named(score: float) -> None:
    with pytest.raises(ValueError, match=r"rows\.scores\[1\] is .*, not in \[0, 1\]"):
        replace(small().rows, scores=[0.1, score, 0.5, 0.0, None, 0.2])


@pytest.mark.parametrize("name", ["confidence", "variability", "correctness"])
def test_half_a_data_map_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="give all three or none"):
        replace(small().rows, **{name: None})


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("given", [0, 1, 2, 4, -1, 0], r"rows\.given\[3\] is 4, but labels has 4 entries"),
        ("proposed", [-2, 1, 2, 0, -1, 0], r"rows\.proposed\[0\] is -2, but labels"),
        ("diagnoses", [[0], [0, 2], [], [], [], []], r"rows\.diagnoses\[1\]\[1\] is 2, but diagnosis_names has 2 entries"),
    ],
)
def test_indices_that_point_at_nothing_are_named(column: str, value: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(small(), rows=replace(small().rows, **{column: value}))


def test_no_rows_make_a_page() -> None:
    empty = Review("t", "f", "", (), (), (), ReviewRows([], [], [], None, [], [], [], [], [], []))
    assert data_of(review_html(empty))["rows"]["texts"] == []
