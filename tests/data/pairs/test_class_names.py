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
    with pytest.raises(DataError, match=r"None of its classes .* is one of .*mix: proportional") as raised:
        load(files[0], (files[1],), same="0")
    assert "0, 1, 2" in str(raised.value)
    assert "contradiction, entailment, neutral" in str(raised.value)
    other = write(tmp_path / "other.csv", ("entails", "neither", "contradicts"))
    with pytest.raises(DataError, match=r"None of its classes \(contradicts, entails, neither\)"):
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
    with pytest.raises(DataError, match=r"None of its classes \(0, 1\) is one of .* \(law, tax\). One has numbers"):
        load(files[0], (files[2],))


CODES = {"0": "entailment", "1": "neutral", "2": None}


def mapped(labels: dict[str, Any], train: str, *also: str, **sections: Any) -> EmbeddingData:
    data = {"train": train, "also": list(also), "labels": labels, "validation": None, "test": None, **sections}
    return load_embedding_data(recipe_from_mapping({"task": "embedding", "data": data}), Path())


def test_a_map_of_labels_names_classes_and_leaves_rows_out_with_a_count(tmp_path: Path) -> None:
    numbers, names = (
        write(tmp_path / "numbers.csv", (0, 1, 2)),
        write(tmp_path / "names.csv", ("entailment", "neutral", "neutral")),
    )
    data = mapped(CODES, numbers)
    assert (len(data.train), data.train.classes) == (40, ("entailment", "neutral"))
    assert {why: len(ids) for why, ids in data.train.left_out.items()} == {"labelled 2, which data.labels maps to null": 20}
    assert any("0 is entailment (20 rows), 1 is neutral (20 rows), 2 is left out (20 rows)" in note for note in data.notes)
    other = write(tmp_path / "other.csv", (0, 1, 2))
    both = mapped({numbers: CODES, other: CODES}, names, numbers, validation=other)
    assert (len(both.train), both.train.classes) == (100, ("entailment", "neutral"))
    assert both.validation is not None
    assert both.validation.classes == ("entailment", "neutral")
    apart = mapped({numbers: {"0": "x", "1": "y", "2": "z"}}, names, numbers)
    assert apart.train.classes == ("entailment", "neutral", "x", "y", "z")


def test_a_map_that_fits_no_rows_is_refused(tmp_path: Path) -> None:
    numbers = write(tmp_path / "numbers.csv", (0, 1, 2))
    with pytest.raises(DataError, match=r"1 label is no key of data.labels, in the column label: '2' \(20 rows\)"):
        mapped({"0": "entailment", "1": "neutral"}, numbers)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("anchor,positive\n" + "".join(f"the owl {i},an owl {i}\n" for i in range(20)), encoding="utf-8")
    for labels in (CODES, {str(pairs): CODES}):
        with pytest.raises(DataError, match=r"\(anchor \+ positive\): they have no classes to map. Remove data.labels"):
            mapped(labels, str(pairs))
