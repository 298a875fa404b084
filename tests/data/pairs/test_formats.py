"""What rows of an embedding data set are: by names and content, whatever the order of the columns."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tunesmith.data.pairs.formats import MEANING, NEEDED_PARTS, detect_pair_format
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.table import Table
from tunesmith.errors import DataError

WORDS = ("owls", "bees", "rivers", "engines", "castles", "violins", "markets", "lanterns", "orchards", "harbours")


def texts(about: str) -> list[str]:
    return [f"{about} {one} and all of their {other}" for one, other in itertools.product(WORDS, WORDS[:3])]


N = len(texts(""))
SCORES = [i % 11 / 2.5 for i in range(N)]
CLASSES = [("entailment", "neutral", "contradiction")[i % 3] for i in range(N)]
VECTORS = [[0.1, 0.2, float(i)] for i in range(N)]

CASES: list[tuple[dict[str, Any], str, tuple[str, ...], tuple[str, ...]]] = [
    ({"anchor": texts("a"), "positive": texts("p"), "negative": texts("n")}, "triplet", ("anchor", "positive", "negative"), ()),
    (
        {"query": texts("q"), "pos": texts("p"), "hard_negative_2": texts("n"), "hard_negative_1": texts("m")},
        "tuple", ("query", "pos", "hard_negative_1", "hard_negative_2"), (),
    ),
    ({"answer": texts("a"), "question": texts("q")}, "positive_pair", ("question", "answer"), ()),
    ({"query": texts("q"), "response": texts("r")}, "positive_pair", ("query", "response"), ()),
    ({"context": texts("c"), "question": texts("q"), "id": list(range(N))}, "positive_pair", ("question", "context"), ()),
    ({"english": texts("e"), "non_english": texts("f")}, "positive_pair", ("english", "non_english"), ()),
    ({"full_text": texts("f"), "summary": texts("s")}, "positive_pair", ("full_text", "summary"), ()),
    ({"sentence1": texts("a"), "sentence2": texts("b"), "score": SCORES}, "scored_pair", ("sentence1", "sentence2"), ("score",)),
    (
        {"premise": texts("p"), "hypothesis": texts("h"), "label": CLASSES},
        "labelled_pair", ("premise", "hypothesis"), ("label",),
    ),
    (
        {"question1": texts("a"), "question2": texts("b"), "is_duplicate": [i % 2 for i in range(N)]},
        "labelled_pair", ("question1", "question2"), ("is_duplicate",),
    ),
    ({"text": texts("t"), "category": CLASSES}, "labelled_text", ("text",), ("category",)),
    ({"sentence": texts("s")}, "single_text", ("sentence",), ()),
    ({"sentence": texts("s"), "embedding": VECTORS}, "teacher_vectors", ("sentence",), ("embedding",)),
    (
        {"query": texts("q"), "positive": texts("p"), "negative": texts("n"), "margin": SCORES},
        "teacher_scores", ("query", "positive", "negative"), ("margin",),
    ),
]  # fmt: skip


def table(columns: dict[str, Any]) -> Table:
    return table_from_frame(columns, "rows")


@pytest.mark.parametrize(("columns", "kind", "wanted", "target"), CASES, ids=[f"{case[1]}-{i}" for i, case in enumerate(CASES)])
def test_the_shape_is_found_whatever_the_order_of_the_columns(
    columns: dict[str, Any], kind: str, wanted: tuple[str, ...], target: tuple[str, ...]
) -> None:
    for names in itertools.permutations(columns):
        shape = detect_pair_format(table({name: columns[name] for name in names}))
        assert (shape.kind, shape.texts, shape.target) == (kind, wanted, target), names


def test_every_shape_has_a_case_and_a_meaning() -> None:
    assert {case[1] for case in CASES} == set(MEANING) == set(NEEDED_PARTS)


def test_columns_without_telling_names_are_known_by_content() -> None:
    scored = detect_pair_format(table({"x": texts("x"), "z": SCORES, "y": texts("y")}))
    assert (scored.kind, set(scored.texts), scored.target) == ("scored_pair", {"x", "y"}, ("z",))
    labelled = detect_pair_format(table({"z": CLASSES, "x": texts("x")}))
    assert (labelled.kind, labelled.texts, labelled.target) == ("labelled_text", ("x",), ("z",))


def test_columns_named_in_the_recipe_are_used() -> None:
    rows = table({"x": texts("x"), "y": texts("y"), "z": texts("z")})
    shape = detect_pair_format(rows, {"anchor": "y", "positive": "x", "negative": ["z"]})
    assert (shape.kind, shape.texts) == ("triplet", ("y", "x", "z"))


@pytest.mark.parametrize(
    ("columns", "given", "message"),
    [
        ({"x": texts("x"), "y": texts("y")}, {}, "no column name shows whether they belong together"),
        ({"x": texts("x"), "y": texts("y"), "z": texts("z")}, {}, "3 columns look like text"),
        ({"x": texts("x"), "y": SCORES, "z": SCORES}, {}, "y, z could each hold the score or the class"),
        ({"x": texts("x"), "y": texts("y")}, {"anchor": "w"}, "There is no column 'w' for the anchor"),
        ({"x": texts("x"), "y": texts("y")}, {"anchors": "x"}, "columns has no part 'anchors'"),
        ({"x": texts("x"), "y": texts("y")}, {"anchor": "x", "negative": "y"}, "anchor, negative make no format of data"),
    ],
)
def test_what_cannot_be_detected_is_an_error(columns: dict[str, Any], given: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        detect_pair_format(table(columns), given)
