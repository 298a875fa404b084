"""Someone or something else that says what rows are: a finished run, a file of labels, a Python function."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.cells import clip, listed
from tunesmith.data.corrections.label_file import MatchedLabels, find_labels
from tunesmith.data.labelled.labels import split_cell
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.readers.frame import plain_cells, table_from_frame
from tunesmith.data.readers.read import read_table
from tunesmith.data.table import Examples, Table
from tunesmith.diagnosis.checks.agreement import Answers, Asked
from tunesmith.errors import DataError, InputError, ModelError
from tunesmith.evaluation.metrics.predictions import MULTI, REGRESSION, SINGLE
from tunesmith.report.numbers import plural
from tunesmith.tasks.finished import Run

FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
READ = ("builtin:", "hub:")
IN_MEMORY = "the oracle's table"
MOST_SHOWN = 40
KINDS = "Give the folder of a finished run, a file of labels (csv, jsonl, parquet), or a Python function as module:function."

WORDS = {MULTI: "several labels each", REGRESSION: "numbers as labels"}


@dataclass(frozen=True)
class Oracle:
    """What can be asked.

    Attributes:
        answer: split -> answers, for the splits of a data set.
        known: every class it can say; None where that cannot be known.
    """

    name: str
    answer: Callable[[LabelledData], dict[str, Answers]]
    known: frozenset[str] | None = None


def asking(given: Any) -> Callable[[LabelledData], Asked]:
    """A function that asks the oracle about the one data set of a diagnosis; see ``open_oracle`` and ``consult``."""
    return lambda splits: consult(given, [splits])[0]


def consult(given: Any, data: Sequence[LabelledData]) -> list[Asked]:
    """What the oracle says of each data set.

    Raises:
        InputError: it cannot be asked, has no answer for any row, or none of its answers is a label of the data.
    """
    for splits in data:
        if splits.labels.problem_type != SINGLE:
            what = WORDS[splits.labels.problem_type]
            raise DataError.one(splits.train.source, f"the rows have {what}; an oracle is compared on rows with one label each.")
    oracle = open_oracle(given, several=len(data) > 1)
    names = {name for splits in data for name in splits.labels.names}
    if oracle.known is not None and not oracle.known & names:
        raise knows_none(oracle.name, oracle.known, data)
    asked = [Asked(oracle.name, oracle.answer(splits)) for splits in data]
    said = [answers for one in asked for answers in one.answers.values()]
    answered = {name for answers in said for name in answers.names if name is not None}
    if not answered:
        remarks = " ".join(dict.fromkeys(remark for answers in said for remark in answers.remarks))
        raise DataError.one(oracle.name, f"it has no label for any row of {sources(data)}.", remarks)
    if not answered & names:
        raise knows_none(oracle.name, answered, data)
    return asked


def knows_none(oracle: str, said: frozenset[str] | set[str], data: Sequence[LabelledData]) -> InputError:
    """The error that none of the oracle's labels is one of the data's."""
    names = dict.fromkeys(name for splits in data for name in splits.labels.names)
    shown = listed((name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}…" for name in sorted(said)), 6)
    message = f"it says {shown}; the labels of {sources(data)} are {listed(names, 6)}."
    return DataError.one(oracle, message, "Give both the same names.")


def sources(data: Sequence[LabelledData]) -> str:
    return listed(dict.fromkeys(part.source for splits in data for part in splits.named().values()))


def open_oracle(given: Any, *, several: bool = False) -> Oracle:
    """The oracle that was named, or given as an object in Python.

    Args:
        given: the folder of a finished run, or a ``Run``; a file of labels, or a table in memory; ``module:function``, or a
            function from a list of texts (and for pairs a list of second texts) to as many label names, None for no answer.
        several: it is asked about several data sets, so that row ids do not say which row is meant.

    Raises:
        InputError: there is no such thing, or it cannot be loaded.
    """
    if isinstance(given, Run):
        return of_run(given)
    if callable(given):
        return of_function(given, getattr(given, "__name__", "function"))
    if not isinstance(given, str | Path):
        return of_labels(table_from_frame(given, IN_MEMORY), several)
    name = str(given)
    if Path(name).is_dir():
        return of_run(Run.load(name))
    if Path(name).is_file() or name.startswith(READ):
        return of_labels(read_table(name), several)
    if FUNCTION.fullmatch(name):
        return of_function(imported(name), name)
    raise InputError.one(f"--oracle {name}", "there is no such run, file or function.", KINDS)


def of_run(run: Run) -> Oracle:
    """The model of a finished run.

    Raises:
        ModelError: it does not give each text one label.
    """
    record = run.result.data
    if record.get("problem_type") != SINGLE:
        raise ModelError.one(str(run.folder), "an oracle has to give each text one label; this run's model does not.")
    name, known = str(run.folder), frozenset(record["labels"])
    trained_on = {part["sha256"] for split, part in record["splits"].items() if split != "test" and part["sha256"]}

    def answer(splits: LabelledData) -> dict[str, Answers]:
        require_same_shape(name, record["columns"]["pair"] is not None, splits.train)
        return {split: of_model(run, part, known, part.sha256 in trained_on) for split, part in splits.named().items()}

    return Oracle(name, answer, known)


def require_same_shape(name: str, has_pairs: bool, rows: Examples) -> None:
    """Raise ModelError where one has pairs of texts and the other single texts."""
    if has_pairs != (rows.pairs is not None):
        shapes = ("pairs of texts", "single texts") if has_pairs else ("single texts", "pairs of texts")
        raise ModelError.one(name, f"the run was trained on {shapes[0]}, {rows.source} has {shapes[1]}.")


def of_model(run: Run, rows: Examples, known: frozenset[str], was_seen: bool) -> Answers:
    """What a run's model says of the rows of one split."""
    said = run.predict(rows.texts, rows.pairs)
    names, confidence = [row["prediction"] for row in said], np.array([row["probability"] for row in said])
    seen = f"It was trained on {Path(rows.source).name} and has seen labels of it: it agrees more than a stranger would."
    return Answers(names, confidence, known, (seen,) if was_seen else ())


def of_labels(table: Table, several: bool) -> Oracle:
    """The labels of a file or a table, each at the row it was given to."""

    def answer(splits: LabelledData) -> dict[str, Answers]:
        found = find_labels(table, list(splits.named().values()), splits.columns, several=several)
        remarks = remarks_on(found, splits)
        return {
            split: Answers(labels.names, labels.confidence, None, remarks if split == "train" else remarks[:1])
            for split, labels in found.of_split.items()
        }

    return Oracle(table.source, answer)


def remarks_on(found: MatchedLabels, splits: LabelledData) -> tuple[str, ...]:
    """How labels and rows were matched, and which labels were not used."""
    remarks = [f"Its labels were matched by {found.by}."]
    if 0 < found.n_unused < found.n_labels:
        remarks.append(f"{found.n_unused:,} of its {found.n_labels:,} labels belong to no row of {sources([splits])}.")
    if found.n_contradicted:
        remarks.append(f"{found.n_contradicted:,} were left out: it gives them two different labels.")
    return tuple(remarks)


def of_function(function: Callable[..., Any], name: str) -> Oracle:
    """What a Python function answers."""
    return Oracle(
        name, lambda splits: {split: Answers(called(function, name, rows)) for split, rows in splits.named().items()}
    )  # fmt: skip


def called(function: Callable[..., Any], name: str, rows: Examples) -> list[str | None]:
    """The function's answers to the rows of one split.

    Raises:
        InputError: it fails, or its answers are not one label name or None for each text.
    """
    where = f"--oracle {name}"
    try:
        said = function(list(rows.texts)) if rows.pairs is None else function(list(rows.texts), list(rows.pairs))
    except Exception as error:
        raise InputError.one(where, f"the function failed: {type(error).__name__}: {error}.") from error
    if isinstance(said, str | dict | set) or not hasattr(said, "__len__"):
        raise InputError.one(where, f"it returned {type(said).__name__}; a list with one label name a text was expected.")
    answers = plain_cells(said)
    if len(answers) != len(rows):
        returned = f"{plural(len(answers), 'answer')} to {plural(len(rows), 'text')} of {rows.split}"
        message = f"it returned {returned}; one a text was expected."
        raise InputError.one(where, message, "Return None where there is no answer.")
    return [one_name(where, i, answer) for i, answer in enumerate(answers)]


def one_name(where: str, i: int, answer: Any) -> str | None:
    """An answer as a class name. Raises InputError where it is none."""
    name = split_cell(answer, None) if isinstance(answer, str | int | float | None) else []
    if isinstance(name, list):
        raise InputError.one(where, f"answer {i} is {clip(answer)}; the name of one label, or None, was expected.")
    return name


def imported(name: str) -> Callable[..., Any]:
    """The function that ``module:function`` names; modules in the current folder are found, too.

    Raises:
        InputError: the module cannot be imported, or has no such function.
    """
    module_name, _, function_name = name.partition(":")
    where = f"--oracle {name}"
    with current_folder_importable():
        try:
            module = importlib.import_module(module_name)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise InputError.one(where, f"the module {module_name} cannot be imported: {what}.", KINDS) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise InputError.one(where, f"the module {module_name} has no function {function_name}.")
    return function  # type: ignore[no-any-return]


@contextlib.contextmanager
def current_folder_importable() -> Iterator[None]:
    """The current folder first among the places that modules are imported from, as ``python -m`` has it."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path.remove(str(Path.cwd()))
