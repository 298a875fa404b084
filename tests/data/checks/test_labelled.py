from __future__ import annotations

from typing import Any

import pytest

from tests.data.tables import examples
from tunesmith.data.checks.labelled import check_rows, label_counts, label_words
from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.data.table import BadRow, Examples, Labels
from tunesmith.results import Finding

LABELS = Labels(SINGLE, ("neg", "pos"))
TRAIN = [f"training text {i}" for i in range(20)]


def found(
    train: Examples, validation: Examples | None = None, test: Examples | None = None, labels: Labels = LABELS
) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_rows(train, validation, test, labels)}


def rows(*more: tuple[str, Any], **keywords: Any) -> Examples:
    texts, labels = [*TRAIN, *(text for text, _ in more)], [*[0, 1] * 10, *(label for _, label in more)]
    return examples(texts, labels, **keywords)


def test_clean_rows_leave_only_the_counts() -> None:
    findings = found(rows(), examples(["other one", "other two"], [0, 1], "test"))
    assert list(findings) == ["labels"]
    assert findings["labels"].summary == "2 classes in 20 training rows: neg: 10, pos: 10."


def test_rows_with_personal_data_are_named_without_their_text() -> None:
    mail = "write to bob@example.org Ã©"
    findings = found(rows((mail, 0), (mail, 0), (mail, 1), ("x" * 100_001 + mail, 1)), examples([mail, TRAIN[1]], [0, 1], "test"))
    names = ["duplicates", "conflicting_labels", "leakage_test", "encoding_damage", "long_texts"]
    assert set(names) <= set(findings)
    assert "bob" not in str(findings)
    assert [row.get("text") for row in findings["leakage_test"].rows] == [None, "training text 1"]


def test_duplicates_and_conflicts() -> None:
    findings = found(rows(("Training TEXT 0!", 0), ("training text 1", 0)))
    assert findings["duplicates"].flagged == 1
    assert findings["duplicates"].rows[0] == {
        "row_id": 20, "split": "train", "reason": "same as row 0", "text": "Training TEXT 0!",
    }  # fmt: skip
    conflict = findings["conflicting_labels"]
    assert (conflict.flagged, [row["row_id"] for row in conflict.rows]) == (2, [1, 21])
    assert conflict.rows[0]["reason"] == "labelled pos; row 21 neg"


@pytest.mark.parametrize("split", ["validation", "test"])
def test_leakage(split: str) -> None:
    other = examples(["Training text 3", "training text 4.", "new"], [1, 1, 0], split)
    findings = found(rows(), **{split: other})
    leak = findings[f"leakage_{split}"]
    assert leak.flagged == 2
    summary = f"2 of 3 rows of {split} have a text of train (2 exactly, 0 nearly), 1 with the same label"
    assert leak.summary == f"{summary} (ignoring case, spaces and punctuation)."
    assert [row["reason"] for row in leak.rows] == ["same text as train row 3", "same text as train row 4"]


def test_pairs_are_compared_as_pairs() -> None:
    train = examples(["a", "b"], [0, 1], pairs=["x", "y"])
    assert "leakage_test" not in found(train, test=examples(["a", "b"], [0, 1], "test", pairs=["y", "x"]))
    assert "leakage_test" in found(train, test=examples(["a", "b"], [0, 1], "test", pairs=["x", "x"]))


def test_imbalance_rare_and_missing_labels() -> None:
    labels = Labels(SINGLE, ("a", "b", "c"))
    train = examples([f"t {i}" for i in range(33)], [0] * 30 + [1] * 2 + [2])
    findings = found(train, test=examples(["x", "y"], [0, 1], "test"), labels=labels)
    assert "The largest has 30 times the rows of the smallest (c)." in findings["labels"].summary
    assert findings["rare_labels"].summary == "2 classes have fewer than 5 training rows: b: 2, c: 1."
    assert [row["row_id"] for row in findings["rare_labels"].rows] == [30, 31, 32]
    assert findings["missing_labels_test"].summary == "1 of 3 classes have no row in test and are not measured on test: c."


def test_rows_that_were_not_used() -> None:
    bad = (BadRow(20, 22, "text is empty"), BadRow(21, 23, "text is empty"), BadRow(3, 5, "NUL bytes removed", dropped=False))
    test = examples(["x", "y"], [0, 1], "test", bad_rows=(BadRow(2, None, "label is not among those of train"),))
    findings = found(rows(bad_rows=bad), test=test)
    assert findings["dropped_rows"].flagged == 3
    assert findings["dropped_rows"].summary.startswith("3 rows were not used: text is empty (train): 2, ")
    assert findings["repaired_rows"].rows[0] == {"row_id": 3, "split": "train", "line": 5, "reason": "NUL bytes removed"}
    assert findings["unseen_labels_test"].flagged == 1


@pytest.mark.parametrize(
    "text", ["cafÃ© au lait", "itâ€™s", "a \ufffd b", "isn_x0019_t", "bell \x07", "Â£5", "\x96 dash", "ðŸ˜€"]
)
def test_encoding_damage(text: str) -> None:
    assert found(rows((text, 0)))["encoding_damage"].rows[0]["row_id"] == 20


@pytest.mark.parametrize(
    "text",
    ["café", "naïve Ärger", "São Paulo", "50 €", "“quoted” — fine…", "Ελληνικά", "漢字", "emoji 🙂", "x & y", "tab\tnew\n"],
)
def test_no_damage(text: str) -> None:
    assert list(found(rows((text, 0)))) == ["labels"]


def test_html_and_length() -> None:
    findings = found(rows(("this &amp; that", 0), ("word " * 30_000, 1)))
    assert findings["html_entities"].rows[0]["reason"] == "holds '&amp;'"
    assert findings["long_texts"].rows[0]["reason"] == "150,000 characters"


def test_other_kinds_of_labels() -> None:
    scores = found(examples(["a", "b"], [1.0, 3.0]), labels=Labels(REGRESSION, ("score",)))
    assert scores["labels"].summary == "Scores from 1 to 3, mean 2, deviation 1."
    several = Labels(MULTI, ("x", "y"))
    train = examples(["a", "b", "c"], [(1, 1), (0, 1), (0, 0)])
    assert label_counts(train, several) == {"x": 1, "y": 2}
    assert [label_words(label, several) for label in train.labels] == ["x, y", "y", "(none)"]


def test_all_are_counted_and_fifty_are_listed() -> None:
    train = examples(["same text"] * 200, [0] * 200)
    finding = found(train)["duplicates"]
    assert (finding.flagged, len(finding.rows)) == (199, 50)
