from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.data.tables import table
from tunesmith.data.columns import detect_columns
from tunesmith.data.readers.read import read_table
from tunesmith.data.table import Columns, Table
from tunesmith.errors import DataError, UndecidedColumn
from tunesmith.recipe.sections import ColumnsSection

SENTENCES = [f"this is sentence number {i} of them" for i in range(40)]
OTHERS = [f"and here is another one called {i}" for i in range(40)]
LONG = [f"a much longer text that goes on and on for quite a while and then a bit, {i} " * 4 for i in range(40)]
BINARY = [i % 2 for i in range(40)]
WORDS = ["red", "green", "blue", "red"] * 10
RATINGS = [1, 2, 3, 4] * 10
SCORES = [i / 7 for i in range(40)]
KEYS = [f"k{i}" for i in range(40)]


def detect(found: Table, task: str = "classification", **given: Any) -> Columns:
    return detect_columns(found, task, ColumnsSection(**given))


def nameless(*cells: list[Any]) -> Table:
    found = table(**{f"column_{i + 1}": column for i, column in enumerate(cells)})
    return Table(**{**vars(found), "has_header": False})


# case -> (columns, task, text, pair, label)
BY_NAME: dict[str, tuple[dict[str, list[Any]], str, str, str | None, str]] = {
    "text and label": ({"text": SENTENCES, "label": BINARY}, "classification", "text", None, "label"),
    "case and spaces": ({"Review Text": SENTENCES, "Gold-Label": BINARY}, "classification", "Review Text", None, "Gold-Label"),
    "message and intent": ({"message": SENTENCES, "intent": WORDS}, "classification", "message", None, "intent"),
    "pair": ({"premise": SENTENCES, "hypothesis": OTHERS, "label": WORDS}, "classification", "premise", "hypothesis", "label"),
    "pair before text": (
        {"sentence1": SENTENCES, "sentence2": OTHERS, "text": LONG, "label": BINARY},
        "classification", "sentence1", "sentence2", "label",
    ),
    "text and pair": ({"text": SENTENCES, "pair": OTHERS, "label": BINARY}, "classification", "text", "pair", "label"),
    "text and its pair's key": ({"text": SENTENCES, "pair": KEYS, "label": BINARY}, "classification", "text", None, "label"),
    "half a pair": ({"sentence1": SENTENCES, "label": BINARY}, "classification", "sentence1", None, "label"),
    "text before title": ({"title": OTHERS, "text": LONG, "label": BINARY}, "classification", "text", None, "label"),
    "label before rating": ({"text": SENTENCES, "rating": RATINGS, "label": BINARY}, "classification", "text", None, "label"),
    "rating in a regression": (
        {"text": SENTENCES, "rating": RATINGS, "label": WORDS}, "regression", "text", None, "rating",
    ),
    "score": ({"s1": SENTENCES, "s2": OTHERS, "score": SCORES}, "regression", "s1", "s2", "score"),
    "an empty text column": (
        {"text": [None] * 39 + ["x"], "sentence": SENTENCES, "label": BINARY}, "classification", "sentence", None, "label",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_NAME)
def test_by_name(case: str) -> None:
    cells, task, text, pair, label = BY_NAME[case]
    found = detect(table(**cells), task)
    assert (found.text, found.pair, found.label) == (text, pair, (label,))
    assert {"text", "label"} <= set(found.reasons)


BY_CONTENT: dict[str, tuple[Table, str, str, str | None, str]] = {
    "sentence, 0/1": (nameless(SENTENCES, list(map(str, BINARY))), "classification", "column_1", None, "column_2"),
    "source, 0/1, mark, sentence": (
        nameless(WORDS, list(map(str, BINARY)), ["", "*"] * 20, SENTENCES), "classification", "column_4", None, "column_2",
    ),
    "two texts and a score": (
        nameless(SENTENCES, OTHERS, list(map(str, SCORES))), "regression", "column_1", "column_2", "column_3",
    ),
    "unknown names": (table(Kommentar=SENTENCES, Klasse=WORDS), "classification", "Kommentar", None, "Klasse"),
    "chinese": (table(a=[f"这部电影很好看第{i}次" for i in range(40)], b=WORDS), "classification", "a", None, "b"),
    "single words": (table(a=[f"word{i}x" for i in range(40)], b=WORDS), "classification", "a", None, "b"),
    "by far the longest": (table(a=SENTENCES, b=LONG, c=WORDS), "classification", "b", None, "c"),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_CONTENT)
def test_by_content(case: str) -> None:
    found_table, task, text, pair, label = BY_CONTENT[case]
    found = detect(found_table, task)
    assert (found.text, found.pair, found.label) == (text, pair, (label,))


def test_the_other_parts() -> None:
    users = [f"u{i % 25}" for i in range(40)]
    words = ["train"] * 30 + ["dev"] * 5 + ["test"] * 5
    found = detect(table(id=KEYS, text=SENTENCES, label=BINARY, user_id=users, split=words, extra=SCORES))
    assert (found.id, found.group, found.split) == ("id", "user_id", "split")
    assert found.reasons["unused"] == "extra"
    assert found.reasons["split"] == "it is called 'split' and holds dev, test, train"


def test_a_second_text_that_is_not_used_is_known() -> None:
    columns = {"text": SENTENCES, "answer": OTHERS, "place": WORDS, "label": BINARY}
    found = detect(table(**columns))
    assert (found.unused, found.other_texts) == (("answer", "place"), ("answer",))
    assert detect(table(**columns), text="text").other_texts == ()  # the recipe says so
    assert detect(table(**columns), pair="answer").other_texts == ()
    assert detect(table(text=SENTENCES, place=WORDS, label=BINARY)).other_texts == ()


def test_few_groups_and_other_words_are_no_group_and_no_split() -> None:
    found = detect(table(text=SENTENCES, label=BINARY, group=["a", "b"] * 20, split=["north", "south"] * 20))
    assert (found.group, found.split) == (None, None)


def test_split_column_of_one_word_divides_nothing() -> None:
    assert detect(table(text=SENTENCES, label=BINARY, split=["test"] * 40)).split is None


def test_keys_in_a_file_without_names() -> None:
    assert detect(nameless(KEYS, SENTENCES, BINARY)).id == "column_1"


REFUSED: dict[str, tuple[Table, dict[str, Any], str]] = {
    "two labels": (
        table(text=SENTENCES, topic=WORDS, sentiment=BINARY), {},
        "table: 2 columns are usual names of a label: sentiment (only 0 and 1), topic (only blue, green and red). "
        'Name it under data in the recipe: "columns: {label: sentiment}" or "columns: {label: topic}".',
    ),
    "two texts": (
        table(message=SENTENCES, comment=OTHERS, label=BINARY), {},
        "table: 2 columns are usual names of a text: message (text of 34 characters on average), "
        "comment (text of 33 characters on average). "
        'Name it under data in the recipe: "columns: {text: message}" or "columns: {text: comment}" '
        'or "columns: {text: message, pair: comment}".',
    ),
    "two texts by content": (
        table(a=SENTENCES, b=OTHERS, label=BINARY), {},
        "table: 2 columns look like text: a (text of 34 characters on average), b (text of 33 characters on average). "
        'Name it under data in the recipe: "columns: {text: a}" or "columns: {text: b}" '
        'or "columns: {text: a, pair: b}".',
    ),
    "no text": (
        table(a=SCORES, label=BINARY), {},
        "table: No column looks like text; the columns are a (numbers), label (only 0 and 1). "
        'Name it: "columns: {text: NAME}".',
    ),
    "no label": (
        table(text=SENTENCES, other=KEYS), {},
        "table: No column looks like a label; the columns are text (text of 34 characters on average), "
        'other (a different value in every row). Name it: "columns: {label: NAME}".',
    ),
    "typo": (
        table(text=SENTENCES, category=WORDS), {"label": "catgory"},
        "table: There is no column 'catgory' for the label; the columns are text (text of 34 characters on average), "
        "category (only blue, green and red). Did you mean category?",
    ),
    "nothing near": (
        table(text=SENTENCES, category=WORDS), {"text": "zzz"},
        "table: There is no column 'zzz' for the text; the columns are text (text of 34 characters on average), "
        "category (only blue, green and red). Name one of them as the text (recipe: data.columns.text).",
    ),
    "no header": (
        nameless(SENTENCES, BINARY), {"text": "text"},
        "table: There is no column 'text' for the text; the columns are column_1 (text of 34 characters on average), "
        "column_2 (only 0 and 1). The file has no header, so its columns are counted: column_1, column_2.",
    ),
    "twice": (
        table(text=SENTENCES, label=WORDS), {"text": "text", "label": "text"},
        "table: The column 'text' is named as text and as label. Give each role a column of its own.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_questions_and_mistakes(case: str) -> None:
    found, given, message = REFUSED[case]
    with pytest.raises(DataError) as caught:
        detect(found, **given)
    assert str(caught.value) == message


def test_all_wrong_columns_at_once() -> None:
    with pytest.raises(DataError) as caught:
        detect(table(text=SENTENCES, label=BINARY), text="txt", label="lable", id="nope")
    assert len(caught.value.problems) == 3


def test_columns_may_be_counted() -> None:
    found = detect(nameless(KEYS, SENTENCES, BINARY, WORDS), text="2", label="4")
    assert (found.text, found.label) == ("column_2", ("column_4",))
    assert found.reasons["text"] == "named in the recipe"


def test_several_label_columns() -> None:
    found = detect(table(text=SENTENCES, toxic=BINARY, insult=BINARY), label=["toxic", "insult"])
    assert found.label == ("toxic", "insult")


def test_rows_to_predict_need_no_label() -> None:
    found = detect_columns(table(text=SENTENCES), "classification", ColumnsSection(), need_label=False)
    assert found.label == ()


# file -> (task, text, pair, label, id)
REAL: dict[str, tuple[str, str, str | None, str, str | None]] = {
    "cola/in_domain_train.tsv": ("classification", "column_4", None, "column_2", None),
    "sst2/train.tsv": ("classification", "column_1", None, "column_2", None),
    "stsb/stsb-en-train.csv": ("regression", "column_1", "column_2", "column_3", None),
    "quora/cs224n-quora-dev.csv": ("classification", "sentence1", "sentence2", "is_duplicate", "id"),
    "davidson/labeled_data.csv": ("classification", "tweet", None, "class", None),
    "banking77/train.csv": ("classification", "text", None, "category", None),
    "mnli/llmsknow_mnli_train.parsed.jsonl": ("classification", "premise", "hypothesis", "label", None),
    "imdb/val.jsonl.gz": ("classification", "text", None, "label", "id"),
    "hatemoderate/fine_tune/datasets/training/hatemoderate_train.csv": ("classification", "text", None, "labels", "example_id"),
    "hatemoderate/postprocess/all_examples.csv": ("classification", "sentence", None, "label", "example_id"),
    "hatecheck/test_suite_cases.csv": ("classification", "test_case", None, "label_gold", "case_id"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(name: str, shared: Path) -> None:
    task, *parts = REAL[name]
    found = detect(read_table(shared / "data" / name), task)
    assert [found.text, found.pair, found.label[0], found.id] == parts


def test_an_undecided_column_names_its_part_and_candidates() -> None:
    with pytest.raises(UndecidedColumn) as caught:
        detect(table(text=SENTENCES, review=OTHERS, label=BINARY))
    assert (caught.value.part, caught.value.candidates) == ("text", ("text", "review"))
    assert '"columns: {text: text}" or "columns: {text: review}"' in str(caught.value)
    with pytest.raises(UndecidedColumn) as caught:
        detect(table(text=SENTENCES))
    assert (caught.value.part, caught.value.candidates) == ("label", ())
