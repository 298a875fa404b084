"""What users are told about unusual labels."""

from __future__ import annotations

from tunesmith.data.labelled.label_notes import label_notes
from tunesmith.data.labelled.labels import infer_labels


def test_notes_state_what_was_assumed() -> None:
    cells = ["Yes", "yes", "no", "yes", "no", "-1"]
    assert label_notes(cells, infer_labels(cells, "classification")) == (
        "-1 occurs 1 time as a label and is read as rows without a label.",
        "The labels 'Yes' (1 row) and 'yes' (2 rows) differ only in case or spaces; they are kept as different classes.",
    )
    floats = [0.0, 1.0, 1.0, 0.0]
    assert label_notes(floats, infer_labels(floats, "classification")) == (
        "The labels are whole numbers written with decimals (1.0); they are read as classes (1).",
    )
