"""Reads the labels of a file that a finished classifier is evaluated on: by its map of labels, or as names of its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data.cells import listed
from tunesmith.data.labelled.label_forms import plain_labels
from tunesmith.data.labelled.label_map import KEY, LabelMap, MappedLabels, is_by_file, map_cells, mapped_table, unused_keys
from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.data.table import Columns, Table
from tunesmith.errors import DataError, RecipeError
from tunesmith.tasks.classification.predictor import PredictorConfig

SHOWN = 8
REMEDY = (
    "Say how the file is coded: --labels '{LABEL: CLASS}', or labels={...} in Python; '{}' if it holds the classes themselves."
)


@dataclass(frozen=True)
class CandidateMap:
    """A map of a run applied to the labels of a file."""

    classes: Mapping[str, Any]
    mapped: MappedLabels

    @property
    def fits(self) -> bool:
        """Whether the map has every label of the file."""
        return bool(self.mapped.used) and not self.mapped.unknown


@dataclass(frozen=True)
class RunLabels:
    """The names of a run's classes, and its ``data.labels`` and ``data.label_separator``."""

    names: Sequence[str]
    label_map: Mapping[str, Any]
    separator: str | None = None


def mapped_as_in_run(table: Table, columns: Columns, run: RunLabels, notes: list[str]) -> Table:
    """Maps the labels of a file as those of the run's training files were, where its map fits, and notes how."""
    own = map_of_run(table, columns, run, notes)
    return mapped_table(table, columns, own, notes, separator=run.separator, partly=True).table if own else table


def with_labels_of_run(
    table: Table, columns: Columns, config: PredictorConfig, given: Mapping[str, Any] | None, notes: list[str]
) -> Table:
    """Maps the labels of a file to the classes of a run, and notes how.

    Args:
        given: label -> class for this file, empty if it holds the classes themselves; None: as the run's training files.

    Raises DataError if the labels may be read in two ways, and with the labels that ``given`` does not have.
    """
    if given is None:
        return mapped_as_in_run(table, columns, RunLabels(config.labels.names, config.label_map, config.label_separator), notes)
    require_classes(given, config)
    if not given:
        return table
    mapped = mapped_table(table, columns, given, notes, separator=config.label_separator)
    if problems := [*mapped.problems, *unused_keys([(given, [mapped])], notes)]:
        raise DataError(problems)
    return mapped.table


def require_classes(given: Mapping[str, Any], config: PredictorConfig) -> None:
    """Raises RecipeError for a map in a regression, and for classes that the run does not have."""
    names = config.labels.names
    if given and config.labels.problem_type == REGRESSION:
        raise RecipeError.one("labels", "a regression has numbers, not labels to map.", "Remove the map.")
    absent = [name for name in LabelMap(given).targets if name not in names]
    if absent:
        message = f"the run has no class {listed(map(repr, absent), SHOWN)}; its classes are {listed(names, SHOWN)}."
        raise RecipeError.one("labels", message, "Correct the map.")


def map_of_run(table: Table, columns: Columns, run: RunLabels, notes: list[str]) -> Mapping[str, Any]:
    """Returns the map of the run by which the labels of a file are read; empty if they are names of classes.

    Of the maps of several training files it is that of a file with this name, or the one that has every label.
    """
    maps = distinct_maps(table, run.label_map)
    if not maps or len(columns.label) != 1:
        return {}
    name = columns.label[0]
    cells, declared = plain_labels(table, name).cells, table.classes.get(name, ())
    candidates = [
        CandidateMap(classes, map_cells(cells, LabelMap.of_column(classes, declared), run.separator)) for classes in maps
    ]
    fitting = [candidate for candidate in candidates if candidate.fits]
    if len(fitting) > 1 and any(candidate.mapped.cells != fitting[0].mapped.cells for candidate in fitting[1:]):
        message = f"The run has several maps of labels ({KEY}) that fit the column {name}, and they give it different classes."
        raise DataError.one(table.source, message, REMEDY)
    if fitting:
        return fitting[0].classes
    return partly_fitting(table, name, candidates, run.names, notes)


def distinct_maps(table: Table, label_map: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns the maps of a run for this file: the only one, that of a file with its name, or each different one."""
    if not is_by_file(label_map):
        return [label_map] if label_map else []
    own = [classes for file, classes in label_map.items() if Path(file).name == Path(table.source).name]
    maps: Sequence[Mapping[str, Any]] = own[:1] or list(label_map.values())
    return [classes for i, classes in enumerate(maps) if classes not in maps[:i]]


def partly_fitting(
    table: Table, name: str, candidates: Sequence[CandidateMap], names: Sequence[str], notes: list[str]
) -> Mapping[str, Any]:
    """Returns the only map if it has some of the labels and the others are no classes of the run; empty for names of classes.

    Raises DataError if some labels are keys and others are classes: either may be meant.
    """
    mapped = candidates[0].mapped
    labels = {*(label for _, label in mapped.used), *mapped.unknown}
    if labels <= {*names}:
        notes.append(f"{table.source}: the column {name} holds names of classes of the run; its {KEY} is not needed.")
        return {}
    if len(candidates) > 1 or not mapped.used:
        return {}
    if mixed := [label for label in mapped.unknown if label in names]:
        message = f"The column {name} has labels of the run's {KEY} and others that are its classes ({listed(mixed, SHOWN)})."
        raise DataError.one(table.source, message, REMEDY)
    return candidates[0].classes
