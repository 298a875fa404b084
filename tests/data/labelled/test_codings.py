from __future__ import annotations

import pytest

from tunesmith.data.labelled.codings import FileClasses, shared_coding
from tunesmith.errors import DataError


def classes(name: str, *names: str, order: tuple[str, ...] = (), mapped: bool = False) -> FileClasses:
    return FileClasses(name, frozenset(names), order, mapped)


@pytest.mark.parametrize(
    ("first", "second", "renamed"),
    [
        (classes("a", "x", "y"), classes("b", "y"), {}),
        (classes("a", "neg", "pos", order=("neg", "pos")), classes("b", "0", "1"), {"0": "neg", "1": "pos"}),
        (classes("a", "0", "1"), classes("b", "neg", "pos", order=("neg", "pos")), {"neg": "0", "pos": "1"}),
        (classes("a", "0", "1"), classes("b", "True", "False"), {"False": "0", "True": "1"}),
        (classes("a", "1.5", "2"), classes("b", "1,5", "2"), {"1,5": "1.5"}),
    ],
)
def test_another_notation_of_the_same_classes_is_aligned(
    first: FileClasses, second: FileClasses, renamed: dict[str, str]
) -> None:
    coding = shared_coding([first, second])
    assert coding.renamed == ({}, renamed)
    assert bool(coding.notes) == bool(renamed)


def test_classes_that_a_file_adds_are_noted() -> None:
    coding = shared_coding([classes("a", "x", "y"), classes("b", "y", "z"), classes("c", "z")])
    assert coding.notes == ("b adds 1 class that a does not have: z.",)


def test_files_without_a_common_class_are_refused_with_both_lists_and_an_example() -> None:
    with pytest.raises(DataError) as error:
        shared_coding([classes("a.csv", "no", "yes"), classes("b.csv", "0", "1")])
    for words in ("its classes (0, 1) is one of a.csv (no, yes)", "numbers and the other names", "{b.csv: {0: NAME, 1: NAME}}"):
        assert words in str(error.value)
    with pytest.raises(DataError, match=r"\{2: NAME, 10: NAME, b: NAME, \.\.\.\}"):
        shared_coding([classes("a.csv", "no", "yes"), classes("b.csv", "10", "2", "b", "c")])
    with pytest.raises(DataError, match=r"\{No: no, Yes: yes\}"):
        shared_coding([classes("a.csv", "no", "yes"), classes("b.csv", "Yes", "No")])


def test_a_map_of_the_recipe_says_that_the_classes_are_meant() -> None:
    coding = shared_coding([classes("a", "x"), classes("b", "y", mapped=True)])
    assert coding.notes == ("b adds 1 class that a does not have: y.",)
