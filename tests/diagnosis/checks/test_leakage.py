"""What training could know of other rows."""

from __future__ import annotations

from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.table import Examples
from tunesmith.diagnosis.checks.leakage import leakage, leaks

KNOWN = ["a man is sleeping on the green bench in the park", "two dogs run over the wet field after a ball"]


def rows(split: str, texts: list[str], labels: list[int], groups: list[str] | None = None) -> Examples:
    return Examples(split, f"{split}.csv", list(range(10, 10 + len(texts))), texts, labels, groups=groups)


def test_exact_near_and_new_rows() -> None:
    texts = [
        KNOWN[0].upper(),
        KNOWN[1].replace("wet", "grey"),
        "nobody knows what will come of it tomorrow",
        KNOWN[1].replace("wet", "grey"),
    ]
    found = leakage(rows("train", KNOWN, [0, 1]), rows("test", texts, [0, 0, 1, 1]), leaks(near_duplicates(KNOWN + texts), 2))
    assert found.flagged is not None
    assert found.flagged.tolist() == [True, True, False, True]
    assert found.figures == {"exact": 1, "near": 2, "shared_group": 0, "same_label": 2}
    assert found.reasons[0] == "same text as train row 10"
    assert "the text of train row 11" in found.reasons[1]


def test_a_shared_source_is_leakage_too() -> None:
    texts = ["one of the same author", "one of another"]
    train, test = rows("train", KNOWN, [0, 1], ["u1", "u2"]), rows("test", texts, [0, 1], ["u1", "u3"])
    found = leakage(train, test, leaks(near_duplicates(KNOWN + texts), 2))
    assert found.flagged is not None
    assert found.flagged.tolist() == [True, False]
    assert found.reasons[0] == "same group as rows of train: u1"


def test_repeats_inside_the_other_rows_are_no_leak() -> None:
    text = "a long enough text that nobody trained on at all"
    assert leaks(near_duplicates([*KNOWN, text, text]), 2).partner.tolist() == [-1, -1]
