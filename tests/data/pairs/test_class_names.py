"""Classes of several files of pairs: written alike, named by a column of the file, or refused with both lists."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.pairs.load import EmbeddingData, data_record, load_embedding_data
from tunesmith.errors import DataError
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.workflows.losses import losses

NAMES = ("entailment", "neutral", "contradiction")
ROWS = [(f"the owl {i} sleeps", f"the {word} owl {i}", k) for i in range(20) for k, word in enumerate(("same", "other", "wrong"))]


def write(path: Path, classes: tuple[Any, ...], names: tuple[str, ...] = ()) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("premise", "hypothesis", "label", *(["label_text"] if names else [])))
        writer.writerows((a, b, classes[k], *([names[k]] if names else [])) for a, b, k in ROWS)
    return str(path)


def load(train: str, also: tuple[str, ...] = (), **embedding: Any) -> EmbeddingData:
    data = {"train": train, "also": list(also), "test": None, "validation": None}
    return load_embedding_data(recipe_from_mapping({"task": "embedding", "data": data, "embedding": embedding}), Path())


def test_a_column_of_names_says_what_the_numbers_mean(tmp_path: Path) -> None:
    data = load(write(tmp_path / "both.csv", (0, 1, 2), NAMES), convert="triplet")
    assert all("same" in positive and "wrong" in negative for _, positive, negative in zip(*data.train.sides, strict=True))
    assert any("0 is entailment, 1 is neutral, 2 is contradiction" in note for note in data.notes)
    found = losses(str(tmp_path / "both.csv"))
    assert [conversion["rows"] for conversion in found["conversions"]] == [20, 20]


def test_files_with_names_and_files_with_numbers_of_them_have_the_same_classes(tmp_path: Path) -> None:
    both, numbers, names = (write(tmp_path / name, classes, more) for name, classes, more in [
        ("both.csv", (0, 1, 2), NAMES), ("numbers.csv", (0, 1, 2), ()), ("names.csv", NAMES, ())
    ])  # fmt: skip
    data = load(both, (names, numbers))
    assert data.train.classes == tuple(sorted(NAMES))
    assert load(names, (both,)).train.classes == tuple(sorted(NAMES))


@pytest.mark.parametrize("order", [1, -1])
def test_codings_that_cannot_be_one_are_refused_with_both_lists(tmp_path: Path, order: int) -> None:
    files = [write(tmp_path / "numbers.csv", (0, 1, 2)), write(tmp_path / "names.csv", NAMES)][::order]
    with pytest.raises(DataError, match=r"its 3 classes are .* those of .* are .*one coding") as raised:
        load(files[0], (files[1],), same="0")
    assert "0, 1, 2" in str(raised.value)
    assert "contradiction, entailment, neutral" in str(raised.value)
    other = write(tmp_path / "other.csv", ("entails", "neither", "contradicts"))
    with pytest.raises(DataError, match="one table has one coding of its classes"):
        load(write(tmp_path / "names.csv", NAMES), (other,))
    fewer = write(tmp_path / "fewer.csv", ("entailment", "neutral", "neutral"))
    assert load(write(tmp_path / "names.csv", NAMES), (fewer,)).train.classes == tuple(sorted(NAMES))
    apart = load(files[0], (files[1],), mix="proportional", same="0")
    assert [rows.classes for rows in (apart.train, *apart.also)] == [load(name, same="0").train.classes for name in files]


def test_the_named_class_reaches_conversions_of_every_file_and_the_record(tmp_path: Path) -> None:
    files = write(tmp_path / "numbers.csv", (1, 2, 0)), write(tmp_path / "names.csv", NAMES)
    data = load(files[0], (files[1],), same=1, different=0, convert="triplet")
    assert len(data.train) == 40
    assert all("same" in positive and "wrong" in negative for _, positive, negative in zip(*data.train.sides, strict=True))
    assert data_record(data)["pair_classes"] == {"classes": ["0", "1", "2"], "same": 1, "different": 0}


def test_files_of_texts_may_have_other_topics_but_not_numbers_beside_names(tmp_path: Path) -> None:
    files = []
    for name, classes in (("a", ("tax", "law")), ("b", ("sea", "sky")), ("c", (0, 1))):
        files.append(str(tmp_path / f"{name}.csv"))
        lines = [f"the text {i} of {name},{classes[i % 2]}" for i in range(20)]
        Path(files[-1]).write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    assert load(files[0], (files[1],)).train.classes == ("law", "sea", "sky", "tax")
    with pytest.raises(DataError, match=r"its 2 classes are 0, 1, those of .* are law, tax"):
        load(files[0], (files[2],))
