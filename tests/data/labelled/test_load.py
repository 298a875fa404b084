from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.labelled.load import LabelledData, data_record, load_labelled_data
from tunesmith.errors import DataError, NoLabels
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.sections import Recipe

WORDS = ["refund", "delivery", "praise"]


def lines(count: int, first: int = 0, words: list[str] = WORDS) -> list[tuple[str, str]]:
    return [(f"message number {i} about things", words[i % len(words)]) for i in range(first, first + count)]


def write(path: Path, rows: list[tuple[str, ...]], names: tuple[str, ...] = ("message", "intent")) -> Path:
    path.write_text("\n".join([",".join(names), *(",".join(row) for row in rows)]) + "\n")
    return path


def load(
    base: Path, frames: dict[str, Any] | None = None, task: str = "classification", seed: int = 0, **data: Any
) -> LabelledData:
    recipe = Recipe(task=task, data={"train": "train.csv", **data}, train={"seed": seed})  # type: ignore[arg-type]
    return load_labelled_data(recipe, base, frames)


def check_record(splits: LabelledData) -> dict[str, Any]:
    """The record, after what has to hold in every one."""
    record = json.loads(json.dumps(data_record(splits), allow_nan=False))
    for part in record["splits"].values():
        assert part["rows_read"] == part["rows"] + sum(part["dropped"].values()) + part["not_sampled"]
        assert len(part["dropped_rows"]) == min(20, sum(part["dropped"].values()))
    return record


def test_one_file_and_shares(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", [*lines(300), ("", "refund"), ("text without label", "-")])
    splits = load(tmp_path, test=0.2)
    assert [len(rows) for rows in splits.named().values()] == [210, 30, 60]
    record = check_record(splits)
    assert list(record["splits"]) == ["train", "validation", "test"]
    assert record["labels"] == ["delivery", "praise", "refund"]
    assert record["columns"]["text"] == "message"
    train = record["splits"]["train"]
    assert train["dropped"] == {"text is empty": 1, "label is -": 1}
    assert train["dropped_rows"][0] == {"row_id": 300, "line": 302, "reason": "text is empty"}
    assert train["label_counts"] == {"delivery": 70, "praise": 70, "refund": 70}
    assert train["source"] == "train.csv"
    assert len(train["sha256"]) == 64


def test_the_test_rows_do_not_depend_on_the_validation_share(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", lines(300))
    drawn = [load(tmp_path, test=0.2, validation=share).test for share in (0.1, 0.3, None)]
    assert len({tuple(rows.row_ids) for rows in drawn if rows is not None}) == 1


def test_no_validation(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", lines(30))
    splits = load(tmp_path, validation=None)
    assert (len(splits.train), splits.validation, splits.test) == (30, None, None)


def test_shares_that_leave_nothing(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", lines(30))
    with pytest.raises(DataError, match="The fractions for validation and test leave no training row"):
        load(tmp_path, validation=0.5, test=0.5)


def test_a_folder_brings_its_splits(tmp_path: Path) -> None:
    folder = tmp_path / "tickets"
    folder.mkdir()
    write(folder / "train.csv", lines(60))
    write(folder / "dev.csv", lines(12, 60))
    write(folder / "test.csv", lines(15, 72))
    splits = load(tmp_path, train="tickets")
    assert [len(rows) for rows in splits.named().values()] == [60, 12, 15]
    assert "tickets/dev.csv is used for validation." in splits.notes
    shared = load(tmp_path, train="tickets", validation=0.2)
    assert [len(rows) for rows in shared.named().values()] == [48, 12, 15]
    assert "tickets/dev.csv is not used: the recipe sets data.validation." in shared.notes


def test_a_test_file_without_labels_that_came_along_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", lines(60))
    write(tmp_path / "test.csv", [("message number 99", "-1"), ("message number 98", "-1")])
    splits = load(tmp_path, train=".")
    assert splits.test is None
    assert "test.csv is not used for test: none of its 2 rows has a label." in splits.notes
    with pytest.raises(DataError) as caught:
        load(tmp_path, test="test.csv")
    assert str(caught.value) == "test.csv: None of the 2 rows can be used (label is -1: 2). Check the columns."


def test_a_split_column(tmp_path: Path) -> None:
    rows = [(*row, word) for row, word in zip(lines(60), (["train"] * 4 + ["dev", "test"]) * 10, strict=True)]
    write(tmp_path / "train.csv", rows, ("message", "intent", "split"))
    splits = load(tmp_path)
    assert [len(part) for part in splits.named().values()] == [40, 10, 10]
    assert splits.test is not None
    assert splits.test.row_ids == list(range(5, 60, 6))
    check_record(splits)


def test_labels_of_other_files(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", lines(60))
    write(tmp_path / "val.csv", [*lines(6, 60), ("a new thing", "weather")])
    with pytest.raises(DataError) as caught:
        load(tmp_path, validation="val.csv")
    assert str(caught.value) == (
        "val.csv: 1 row of validation with a label that train does not have: 'weather' in row 6 (line 8). "
        "Correct them or add such rows to train, whose labels are delivery, praise, refund."
    )
    splits = load(tmp_path, test="val.csv")
    assert splits.test is not None
    assert len(splits.test) == 6
    assert check_record(splits)["splits"]["test"]["dropped"] == {"label is not among those of train": 1}
    assert any(finding.name == "unseen_labels_test" and finding.flagged == 1 for finding in splits.findings)


def test_a_file_with_other_column_names_is_looked_at_on_its_own(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", lines(60))
    write(tmp_path / "test.csv", lines(30, 60), ("sentence", "label"))
    splits = load(tmp_path, test="test.csv")
    assert splits.test is not None
    assert len(splits.test) == 30
    assert any("test.csv has no column message, intent; its own are used" in note for note in splits.notes)
    with pytest.raises(DataError, match="There is no column 'message' for the text"):
        load(tmp_path, test="test.csv", columns={"text": "message"})


def test_problems_of_all_files_at_once(tmp_path: Path) -> None:
    (tmp_path / "val.csv").touch()
    with pytest.raises(DataError) as caught:
        load(tmp_path, train="nope.csv", validation="val.csv", test="none.csv")
    assert [problem.where for problem in caught.value.problems] == ["nope.csv", "val.csv", "none.csv"]


def test_max_rows_is_a_sample_by_the_seed(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", lines(300))
    splits = load(tmp_path, max_rows=50, test=None)
    assert len(splits.train) == 50
    assert splits.validation is not None
    assert len(splits.validation) == 30
    assert check_record(splits)["splits"]["train"]["not_sampled"] == 220
    assert load(tmp_path, max_rows=50, test=None).train.row_ids == splits.train.row_ids
    assert load(tmp_path, max_rows=50, test=None, seed=1).train.row_ids != splits.train.row_ids
    assert splits.train.row_ids == sorted(splits.train.row_ids)


def test_max_rows_of_each_split_is_a_sample_by_the_seed(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", lines(300))
    whole = load(tmp_path, test=0.2)
    limits = {"train": 50, "validation": 20, "test": 25}
    splits = load(tmp_path, max_rows=limits, test=0.2)
    record = check_record(splits)["splits"]
    for name, limit in limits.items():
        rows, every = splits.named()[name], whole.named()[name]
        assert (len(rows), record[name]["not_sampled"]) == (limit, len(every) - limit)
        assert set(rows.row_ids) < set(every.row_ids)
        assert any(f"{limit} of {len(every)} {'training' if name == 'train' else name} rows are used" in n for n in splits.notes)
        assert load(tmp_path, max_rows=limits, test=0.2).named()[name].row_ids == rows.row_ids
    assert load(tmp_path, max_rows={"train": 50}, test=0.2).train.row_ids == load(tmp_path, max_rows=50, test=0.2).train.row_ids
    only_test = load(tmp_path, max_rows={"test": 25}, test=0.2)
    assert only_test.train.row_ids == whole.train.row_ids
    assert only_test.named()["test"].row_ids == splits.named()["test"].row_ids
    assert load(tmp_path, max_rows={"test": 10_000}, test=0.2).named()["test"].row_ids == whole.named()["test"].row_ids


def test_frames_stand_for_files(tmp_path: Path) -> None:
    rows = [dict(zip(("text", "label"), row, strict=True)) for row in lines(60)]
    splits = load(tmp_path, {"train": rows, "test": {"text": ["a b", "c d"], "label": ["praise", "refund"]}})
    assert [len(part) for part in splits.named().values()] == [54, 6, 2]
    assert splits.train.source == "train"
    with pytest.raises(DataError, match="Tables were given for dev; train, validation and test were expected"):
        load(tmp_path, {"dev": rows})


def test_regression_on_pairs(tmp_path: Path) -> None:
    rows = [(f"sentence {i} here", f"another {i} there", str(i / 10)) for i in range(60)]
    write(tmp_path / "train.csv", rows, ("sentence1", "sentence2", "score"))
    splits = load(tmp_path, task="regression")
    assert splits.labels.problem_type == "regression"
    assert splits.train.pairs is not None
    assert check_record(splits)["splits"]["validation"]["label_counts"] == {"score": 6}
    with pytest.raises(DataError, match="Set task: regression"):
        load(tmp_path)


def test_several_labels_by_a_separator_and_by_columns(tmp_path: Path) -> None:
    rows = [(f"message number {i} here", "|".join(word for k, word in enumerate(WORDS) if i >> k & 1)) for i in range(1, 61)]
    write(tmp_path / "train.csv", rows)
    splits = load(tmp_path, label_separator="|")
    assert splits.labels.problem_type == "multi_label_classification"
    record = check_record(splits)
    assert record["splits"]["train"]["labels_per_row"] > 1
    flags = [(f"message number {i} here", *(str(i >> k & 1) for k in range(3))) for i in range(60)]
    write(tmp_path / "train.csv", flags, ("message", *WORDS))
    by_columns = load(tmp_path, columns={"label": WORDS})
    assert by_columns.labels.names == tuple(WORDS)
    assert by_columns.train.labels[0] == (0, 0, 0)


def test_a_class_that_only_rows_without_text_have_is_no_class(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", [*lines(60), ("", "ghost")])
    assert "ghost" not in load(tmp_path).labels.names


# recipe's data section -> rows in train, validation, test
REAL: dict[str, tuple[str, dict[str, Any], list[int]]] = {
    "cola": ("classification", {"train": "cola/in_domain_train.tsv", "test": "cola/in_domain_dev.tsv"}, [7687, 864, 527]),
    "sst2": ("classification", {"train": "sst2"}, [6920, 872, 1821]),
    "banking77": ("classification", {"train": "banking77"}, [8993, 1010, 3080]),
    "stsb": (
        "regression",
        {"train": "stsb/stsb-en-train.csv", "validation": "stsb/stsb-en-dev.csv", "test": "stsb/stsb-en-test.csv"},
        [5749, 1500, 1379],
    ),
    "quora": ("classification", {"train": "quora/cs224n-quora-dev.csv"}, [17191, 2021, 1000]),
    "hatecheck": ("classification", {"train": "hatecheck/test_suite_cases.csv"}, [2571, 390, 767]),
}


@pytest.mark.parametrize("name", REAL)
def test_real_data(name: str, shared: Path) -> None:
    task, data, sizes = REAL[name]
    splits = load(shared / "data", task=task, **data)
    found = [len(rows) for rows in splits.named().values()]
    assert sum(found) == sum(sizes)
    assert found == pytest.approx(sizes, rel=0.005)  # near-duplicates are not divided
    check_record(splits)


def test_the_static_part_needs_no_heavy_library(tmp_path: Path) -> None:
    import subprocess
    import sys

    write(tmp_path / "train.csv", lines(60))
    code = f"""
import sys
from pathlib import Path
from tunesmith.data.labelled.load import load_labelled_data
from tunesmith.recipe.sections import Recipe
load_labelled_data(Recipe(data={{"train": "train.csv"}}), Path({str(tmp_path)!r}))
print([name for name in ("torch", "transformers", "sklearn", "pandas", "pyarrow", "datasets") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_further_columns_stay_with_their_rows_through_shares_and_sampling(tmp_path: Path) -> None:
    rows = [(f"message number {i} about things", WORDS[i % 3], f"s{i}") for i in range(200)]
    write(tmp_path / "train.csv", [("", "refund", "dropped"), *rows], ("message", "intent", "source"))
    recipe = Recipe(data={"train": "train.csv", "test": 0.2, "max_rows": 90})  # type: ignore[arg-type]
    splits = load_labelled_data(recipe, tmp_path, others={"source": (), "3": ()})
    for part in splits.named().values():
        assert part.others["source"] == part.others["3"] == [f"s{row_id - 1}" for row_id in part.row_ids]
    assert load_labelled_data(recipe, tmp_path).train.others == {}


def test_a_further_column_that_is_not_there_is_named_in_every_way_it_may_be_meant(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", lines(90))
    recipe = Recipe(data={"train": "train.csv"})  # type: ignore[arg-type]
    with pytest.raises(DataError) as caught:
        load_labelled_data(recipe, tmp_path, others={"intnet": (), "shufled": ("shuffled",), "zzz": ()})
    remedies = [problem.remedy for problem in caught.value.problems]
    assert remedies == ["Did you mean intent?", "Did you mean shuffled?", "Correct the name in the recipe."]


@pytest.mark.parametrize(
    ("sections", "verbs"),
    [
        ({"task": "sft"}, "generate and evaluate"),
        ({"task": "embedding"}, "evaluate and embed"),
        ({"task": "embedding", "embedding": {"head": "cross-encoder"}}, "evaluate and predict"),
    ],
)
def test_a_task_without_labels_is_named_with_the_commands_that_fit(sections: dict[str, Any], verbs: str) -> None:
    search = {"evaluate": {"retrieval": "search"}} if "embedding" in sections else {}
    recipe = recipe_from_mapping({**sections, **search, "data": {"train": "t.csv"}}, "recipe")
    with pytest.raises(NoLabels, match=f"it has no labels, which this command needs: the task is {sections['task']}") as caught:
        load_labelled_data(recipe, Path())
    assert caught.value.task == sections["task"]
    assert caught.value.problems[0].remedy == f"Use check and train for it, {verbs} for its model."
