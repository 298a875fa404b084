"""Oracles, a second source of labels: a finished run or another classifier, a file of labels, or a Python function."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunesmith.data.cells import clip, listed
from tunesmith.data.corrections.label_file import find_labels
from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE, class_name, split_cell
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.readers.frame import plain_cells, table_from_frame
from tunesmith.data.readers.read import read_table
from tunesmith.data.table import Examples, Table
from tunesmith.diagnosis.checks.agreement import OracleAnswers, OracleLabels
from tunesmith.errors import DataError, InputError, ModelError
from tunesmith.models.source import BUILTIN
from tunesmith.report.numbers import plural
from tunesmith.tasks.classification.other_model import (
    AS_SAVED,
    ModelSettings,
    is_other_model,
    matched_to_labels,
    open_predictor,
)
from tunesmith.tasks.finished import Run
from tunesmith.tasks.seen_rows import seen_rows

FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
SOURCE_PREFIXES = ("builtin:", "hub:")
IN_MEMORY = "the oracle's table"
MAX_NAME_CHARACTERS = 40
KINDS = (
    "Give the folder of a finished run or of a classifier, a file of labels (csv, jsonl, parquet), or a Python function as "
    "module:function."
)
LABEL_WORDS = {MULTI: "several labels each", REGRESSION: "numbers as labels"}

OracleFunction = Callable[..., object]
"""From a list of texts (for pairs also a list of second texts) to as many label names, None for no answer."""


@dataclass(frozen=True)
class Oracle:
    """A source of labels.

    Attributes:
        label: a data set -> split -> labels.
        known: every class it can answer; None if that is unknown.
    """

    name: str
    label: Callable[[LabelledData], dict[str, OracleLabels]]
    known: frozenset[str] | None = None


def make_oracle_query(source: object) -> Callable[[LabelledData], OracleAnswers]:
    """Returns a function that queries the oracle for one data set; see ``open_oracle`` and ``query_oracle``."""
    return lambda splits: query_oracle(source, [splits])[0]


def query_oracle(source: object, data: Sequence[LabelledData]) -> list[OracleAnswers]:
    """Gets the oracle's labels for each data set."""
    for splits in data:
        if splits.labels.problem_type != SINGLE:
            what = LABEL_WORDS[splits.labels.problem_type]
            raise DataError.one(splits.train.source, f"the rows have {what}; an oracle is compared on rows with one label each.")
    oracle = open_oracle(source, several=len(data) > 1)
    names = {name for splits in data for name in splits.labels.names}
    if oracle.known is not None and not oracle.known & names:
        raise no_common_label(oracle.name, oracle.known, data)
    answers = [OracleAnswers(oracle.name, oracle.label(splits)) for splits in data]
    labels = [of_split for of_set in answers for of_split in of_set.labels.values()]
    answered = {name for of_split in labels for name in of_split.names if name is not None}
    if not answered:
        remarks = " ".join(dict.fromkeys(remark for of_split in labels for remark in of_split.remarks))
        raise DataError.one(oracle.name, f"it has no label for any row of {source_names(data)}.", remarks)
    if not answered & names:
        raise no_common_label(oracle.name, answered, data)
    return answers


def no_common_label(oracle: str, answered: Iterable[str], data: Sequence[LabelledData]) -> InputError:
    names = dict.fromkeys(name for splits in data for name in splits.labels.names)
    longest = MAX_NAME_CHARACTERS
    shown = listed((name if len(name) <= longest else f"{name[:longest]}…" for name in sorted(answered)), 6)
    message = f"it answers {shown}; the labels of {source_names(data)} are {listed(names, 6)}."
    return DataError.one(oracle, message, "Give both the same names.")


def source_names(data: Sequence[LabelledData]) -> str:
    return listed(dict.fromkeys(part.source for splits in data for part in splits.named().values()))


@dataclass(frozen=True)
class ModelOracle:
    """A classifier that another program trained: a folder or ``hub:NAME``, and what its files lack."""

    name: str
    settings: ModelSettings = AS_SAVED


def open_oracle(source: object, *, several: bool = False) -> Oracle:
    """Opens an oracle by name, or from a Python object.

    Args:
        source: the folder of a finished run, or a ``Run``; another classifier, or a ``ModelOracle``; a file of labels, or a table
            in memory; ``module:function``, or an ``OracleFunction``.
        several: it labels several data sets, so that a row id does not identify a row.
    """
    if isinstance(source, Run):
        return run_oracle(source)
    if isinstance(source, ModelOracle):
        return model_oracle(source)
    if callable(source):
        return function_oracle(source, getattr(source, "__name__", "function"))
    if not isinstance(source, str | Path):
        return file_oracle(table_from_frame(source, IN_MEMORY), several)
    name = str(source)
    if is_model_name(name):
        return model_oracle(ModelOracle(name))
    if Path(name).is_dir():
        return run_oracle(Run.load(name))
    if Path(name).is_file() or name.startswith(SOURCE_PREFIXES):
        return file_oracle(read_table(name), several)
    if FUNCTION.fullmatch(name):
        return function_oracle(import_function(name), name)
    raise InputError.one(f"--oracle {name}", "there is no such run, file or function.", KINDS)


def run_oracle(run: Run) -> Oracle:
    """Builds the oracle that predicts by a finished run. Raises ModelError if that does not give each text one label."""
    record = run.result.data
    if record.get("problem_type") != SINGLE:
        raise ModelError.one(str(run.folder), "an oracle has to give each text one label; this run's model does not.")
    name, known = str(run.folder), frozenset(record["labels"])

    def label(splits: LabelledData) -> dict[str, OracleLabels]:
        has_pairs = record["columns"]["pair"] is not None
        if has_pairs != (splits.train.pairs is not None):
            shapes = ("pairs of texts", "single texts") if has_pairs else ("single texts", "pairs of texts")
            raise ModelError.one(name, f"the run was trained on {shapes[0]}, {splits.train.source} has {shapes[1]}.")
        labels = {}
        for split, part in splits.named().items():
            predictions = run.predict(part.texts, part.pairs)
            names = [class_name(row["prediction"]) for row in predictions]
            confidence = np.array([row["probability"] for row in predictions])
            file = Path(part.source).name
            remark = f"It was trained on labels of {file}: its agreement is higher than that of an independent oracle."
            labels[split] = OracleLabels(names, confidence, known, (remark,) if is_seen(run, part) else ())
        return labels

    return Oracle(name, label, known)


def is_seen(run: Run, rows: Examples) -> bool:
    """Returns whether the run was trained on rows of the same file, or of one of the same files."""
    return any(seen_rows(run, sha256) for sha256 in (rows.sha256, *(file.sha256 for file in rows.files)))


def is_model_name(name: str) -> bool:
    """Tells whether a name is a model and no run. ``hub:NAME`` is a data set of labels, unless it is a ``ModelOracle``."""
    if name.removeprefix("builtin:") in BUILTIN and name.startswith("builtin:"):
        return True
    return not name.startswith(SOURCE_PREFIXES) and is_other_model(name)


def model_oracle(source: ModelOracle) -> Oracle:
    """Builds the oracle that predicts by a model that another program trained. Raises InputError for settings of a run."""
    if source.settings and not is_other_model(source.name):
        message = f"{source.name} is no model that another program trained; a map of labels and a tokenizer are for those."
        raise InputError.one("--oracle", message, "Leave the options out.")
    predictor = open_predictor(source.name, source.settings)

    def label(splits: LabelledData) -> dict[str, OracleLabels]:
        of_data, notes = matched_to_labels(predictor, splits.labels, splits.train.source)
        known, labels = frozenset(of_data.config.labels.names), {}
        for split, part in splits.named().items():
            rows = of_data.rows(of_data.scores(part.texts, part.pairs))
            confidence = np.array([row["probability"] for row in rows])
            labels[split] = OracleLabels([row["prediction"] for row in rows], confidence, known, notes)
        return labels

    return Oracle(source.name, label)


def file_oracle(table: Table, several: bool) -> Oracle:
    """Returns the oracle that looks up each row's label in a file or table."""

    def label(splits: LabelledData) -> dict[str, OracleLabels]:
        matched = find_labels(table, list(splits.named().values()), splits.columns, several=several)
        remarks = [f"Its labels were matched by {matched.by}."]
        if 0 < matched.n_unused < matched.n_labels:
            unused = f"{matched.n_unused:,} of its {plural(matched.n_labels, 'label')}"
            remarks.append(f"{unused} belong to no row of {source_names([splits])}.")
        if matched.n_contradicted:
            remarks.append(f"{matched.n_contradicted:,} were left out: it gives them two different labels.")
        return {  # the counts are of all splits together
            split: OracleLabels(labels.names, labels.confidence, None, tuple(remarks if split == "train" else remarks[:1]))
            for split, labels in matched.of_split.items()
        }

    return Oracle(table.source, label)


def function_oracle(function: OracleFunction, name: str) -> Oracle:
    def label(splits: LabelledData) -> dict[str, OracleLabels]:
        return {split: OracleLabels(call_function(function, name, rows)) for split, rows in splits.named().items()}

    return Oracle(name, label)


def call_function(function: OracleFunction, name: str, rows: Examples) -> list[str | None]:
    """Calls the function on the rows of one split. Raises InputError unless it answers one label name or None for each text."""
    where = f"--oracle {name}"
    try:
        returned = function(list(rows.texts)) if rows.pairs is None else function(list(rows.texts), list(rows.pairs))
    except Exception as error:
        raise InputError.one(where, f"the function failed: {type(error).__name__}: {error}.") from error
    if isinstance(returned, str | dict | set) or not hasattr(returned, "__len__"):
        message = f"it returned {type(returned).__name__}; a list with one label name a text was expected."
        raise InputError.one(where, message)
    answers = plain_cells(returned)
    if len(answers) != len(rows):
        counts = f"{plural(len(answers), 'answer')} to {plural(len(rows), 'text')} of {rows.split}"
        message = f"it returned {counts}; one a text was expected."
        raise InputError.one(where, message, "Return None for texts without an answer.")
    return [label_name(where, i, answer) for i, answer in enumerate(answers)]


def label_name(where: str, i: int, answer: object) -> str | None:
    """Returns the answer as a class name. Raises InputError if it is not one."""
    name = split_cell(answer, None) if isinstance(answer, str | int | float | None) else []
    if isinstance(name, list):
        raise InputError.one(where, f"answer {i} is {clip(answer)}; the name of one label, or None, was expected.")
    return name


def import_function(name: str) -> OracleFunction:
    """Imports the function of ``module:function``; modules in the current folder are found, too."""
    module_name, _, function_name = name.partition(":")
    where = f"--oracle {name}"
    sys.path.insert(0, folder := str(Path.cwd()))  # as ``python -m`` does
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise InputError.one(where, f"the module {module_name} cannot be imported: {what}.", KINDS) from error
    finally:
        sys.path.remove(folder)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise InputError.one(where, f"the module {module_name} has no function {function_name}.")
    return function  # type: ignore[no-any-return]
