"""Rows of several splits and data sets: selected by shared labels, pooled; the findings and files of their comparison."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import csv_line, listed, plural
from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.near_duplicates import NearDuplicates
from tunesmith.data.personal import personal_data_kinds
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.checks.agreement import (
    Agreement,
    OracleAnswers,
    OracleLabels,
    disagreement,
    given_names,
    measure_agreement,
)
from tunesmith.diagnosis.checks.rows import overlap_words
from tunesmith.diagnosis.checks.transfer import Opposite, Transfer
from tunesmith.diagnosis.evidence import ROWS_IN_FINDING, Diagnosis, make_evidence, worst_first
from tunesmith.disk import whole_file
from tunesmith.errors import DataError, Problem
from tunesmith.results import TEXT_CHARACTERS, Finding

SIDE_COLUMNS = ("", "_row_id", "_split", "_label", "_rows")
OPPOSITE_COLUMNS = ("overlap", *(f"{side}{column}" for side in ("first", "second") for column in SIDE_COLUMNS))
MIN_SETS = 2
MIN_LABELS = 2
KINDS = {REGRESSION: "numbers as labels", MULTI: "several labels a row"}
ORACLE_COLUMNS = ("data", "row_id", "split", "given", "oracle", "confidence")


@dataclass(frozen=True)
class PooledSplits:
    """The rows of all splits of one data set, train first.

    Attributes:
        rows: (N) all rows as one set.
        starts: split -> position of its first row.
        near: near-duplicates among all rows.
    """

    splits: LabelledData
    rows: Examples
    starts: dict[str, int]
    near: NearDuplicates


def pool_splits(splits: LabelledData) -> tuple[Examples, dict[str, int]]:
    """Returns the rows of all splits as one set, train first, and the position of each split's first row."""
    parts = list(splits.named().values())
    starts = dict(zip((part.split for part in parts), np.cumsum([0, *(len(part) for part in parts)]).tolist(), strict=False))
    groups = None
    if any(part.groups is not None for part in parts):
        groups = [group for part in parts for group in part.groups or [f"{part.split} {i}" for i in part.row_ids]]
    rows = replace(
        parts[0],
        split="all",
        others={name: [cell for part in parts for cell in part.others[name]] for name in parts[0].others},
        row_ids=[i for part in parts for i in part.row_ids],
        texts=[text for part in parts for text in part.texts],
        labels=[label for part in parts for label in part.labels],
        pairs=None if parts[0].pairs is None else [pair for part in parts for pair in part.pairs or []],
        groups=groups,
        ids=None,
        annotations=None,
    )
    return rows, starts


@dataclass(frozen=True)
class Pool:
    """The rows of S data sets, one set after the other.

    Attributes:
        sets: the rows of each, with the ids of the shared labels.
        splits: for each data set the split of each of its rows.
    """

    names: tuple[str, ...]
    labels: Labels
    sets: tuple[Examples, ...]
    splits: tuple[list[str], ...]

    @property
    def sizes(self) -> list[int]:
        return [len(rows) for rows in self.sets]

    @property
    def owner(self) -> Array:
        """The data set of each row (N)."""
        return np.repeat(np.arange(len(self.sets)), self.sizes)

    def slices(self) -> list[slice]:
        """Returns the positions of each data set's rows."""
        ends = np.cumsum([0, *self.sizes]).tolist()
        return [slice(start, stop) for start, stop in itertools.pairwise(ends)]

    def rows(self) -> Examples:
        """Returns all rows as one set, without groups and ids, which have meaning only within a data set."""
        return replace(
            self.sets[0],
            row_ids=[i for rows in self.sets for i in rows.row_ids],
            texts=[text for rows in self.sets for text in rows.texts],
            pairs=None if self.sets[0].pairs is None else [pair for rows in self.sets for pair in rows.pairs or []],
            labels=[label for rows in self.sets for label in rows.labels],
            groups=None,
            ids=None,
        )

    def locate(self, position: int) -> tuple[str, int, str, str]:
        """Data set, row id, split and label name of a pooled row."""
        owner = int(np.searchsorted(np.cumsum(self.sizes), position, side="right"))
        own = position - sum(self.sizes[:owner])
        rows = self.sets[owner]
        return self.names[owner], rows.row_ids[own], self.splits[owner][own], self.labels.names[rows.labels[own]]


def public_start(text: str) -> str:
    """Returns the beginning of a text; empty if it holds personal data."""
    return "" if personal_data_kinds(text) else text[:TEXT_CHARACTERS]


def same_texts(pool: Pool, in_sets: Array) -> Finding:
    """Counts the rows of each data set that another one has, too. ``in_sets``: (N, S), see ``transfer.near_duplicate_sets``."""
    parts, flagged = [], np.zeros(len(in_sets), dtype=bool)
    for i, rows in enumerate(pool.slices()):
        for j, other in enumerate(pool.names):
            if i != j and in_sets[rows, j].any():
                flagged[rows] |= in_sets[rows, j]
                parts.append(
                    f"{int(in_sets[rows, j].sum()):,} of {plural(pool.sizes[i], 'row')} of {pool.names[i]} are in {other}"
                )
    summary = f"{'; '.join(parts)}: exactly, or nearly." if parts else "No data set has a text of another one."
    remedy = "They are left out of training if the other data set is the test." if flagged.any() else ""
    return Finding("same_texts", summary, int(flagged.sum()), remedy=remedy)


def opposite_finding(pool: Pool, pairs: Sequence[Opposite], flagged: Array, in_sets: Array) -> Finding:
    """Counts the same texts with different labels; the share is of the rows whose text another data set has."""
    elsewhere = in_sets.sum(axis=1) > 1
    n, n_both = int(flagged.sum()), int(elsewhere.sum())
    summary = "No text is in two data sets, so none is labelled twice."
    if n_both:
        share = f"{n:,} of the {plural(n_both, 'row')} whose text another data set has ({n / n_both:.0%})"
        summary = f"{share} are labelled differently there."
    counts = Counter((pool.locate(pair.first)[0], pool.locate(pair.second)[0]) for pair in pairs)
    if n_both and counts and len(pool.sets) > MIN_SETS:
        summary += f" Texts: {'; '.join(f'{k:,} of {first} and {second}' for (first, second), k in counts.most_common())}."
    texts = pool.rows().texts
    rows = tuple({**opposite_row(pool, pair), "text": public_start(texts[pair.first])} for pair in pairs[:ROWS_IN_FINDING])
    remedy = "Read them: they show where the data sets assign labels differently." if n else ""
    return Finding("opposite_labels", summary, n, rows=rows, remedy=remedy)


def opposite_row(pool: Pool, pair: Opposite) -> dict[str, Any]:
    """Returns a pair of rows in the form of a finding."""
    name, row_id, split, label = pool.locate(pair.first)
    other, other_row, other_split, other_label = pool.locate(pair.second)
    return {
        "row_id": row_id,
        "split": split,
        "data": name,
        "given": label,
        "other_data": other,
        "other_row_id": other_row,
        "other_split": other_split,
        "other_label": other_label,
        "reason": f"{label} here, {other_label} in {other}: {overlap_words(pair.overlap)} row {other_row}",
    }


def write_opposite(pool: Pool, pairs: Sequence[Opposite], path: Path) -> None:
    """Writes one line for each text that two data sets label differently, the closest first."""
    rows = pool.rows()
    sides = [("text", rows.texts), *([("pair", rows.pairs)] if rows.pairs is not None else [])]
    header, lines = [*OPPOSITE_COLUMNS, *(f"{side}_{name}" for name, _ in sides for side in ("first", "second"))], []
    for pair in pairs:
        first, second = pool.locate(pair.first), pool.locate(pair.second)
        texts = [public_start(side[position]) for _, side in sides for position in (pair.first, pair.second)]
        lines.append([f"{pair.overlap:.3f}", *first, pair.n_first, *second, pair.n_second, *texts])
    write_csv(path, header, lines)


def transfer_finding(matrix: Sequence[Transfer]) -> Finding:
    """Describes MCC of each data set's models on the others, beside that of the other's own models."""
    own = {cell.tested_on: cell for cell in matrix if cell.held_out}
    sentences, is_below = [], False
    for cell in matrix:
        if not cell.held_out:
            reference = own[cell.tested_on]
            values = f"MCC {value_words(cell)} on {cell.tested_on}, its own {value_words(reference)}"
            sentences.append(f"Trained on {cell.trained_on}: {values}.")
            is_below |= cell.high is not None and reference.low is not None and cell.high < reference.low
    meaning = "the labels mean something else there or the texts are of another kind"
    remedy = f"If the interval is below that of its own rows, {meaning}." if is_below else ""
    return Finding("transfer", " ".join(sentences), remedy=remedy)


def value_words(cell: Transfer) -> str:
    if cell.value is None:
        return f"not known ({cell.note})"
    value, low, high = (None if part is None else round(part, 2) + 0.0 for part in (cell.value, cell.low, cell.high))
    return f"{value:.2f}" if low is None else f"{value:.2f} ({low:.2f} to {high:.2f})"


@dataclass(frozen=True)
class OracleComparison:
    """An oracle's labels of one data set, all splits together, compared with the given ones."""

    labels: OracleLabels
    agreement: Agreement
    diagnosis: Diagnosis


def compare_oracle(pool: Pool, answers: Sequence[OracleAnswers]) -> list[OracleComparison]:
    """Compares the oracle's labels with the given ones for each data set, its splits joined."""
    comparisons = []
    for name, rows, of_set in zip(pool.names, pool.sets, answers, strict=True):
        parts, confidence = list(of_set.labels.values()), None
        if all(part.confidence is not None for part in parts):
            confidence = np.concatenate([part.confidence for part in parts])  # type: ignore[misc]
        remarks = tuple(dict.fromkeys(remark for part in parts for remark in part.remarks))
        labels = OracleLabels([name for part in parts for name in part.names], confidence, parts[0].known, remarks)
        evidence, given = make_evidence(rows, pool.labels), given_names(rows, pool.labels)
        agreement = measure_agreement(name, of_set.oracle, given, labels, pool.labels.names, evidence.clusters)
        diagnosis = disagreement(evidence, agreement, labels)
        comparisons.append(OracleComparison(labels, agreement, diagnosis))
    return comparisons


def oracle_finding(pool: Pool, i: int, comparison: OracleComparison) -> Finding:
    """Returns the rows of a data set on which the oracle differs, the first fifty listed."""
    diagnosis, rows = comparison.diagnosis, pool.sets[i]
    first = tuple(
        {
            "row_id": rows.row_ids[k],
            "split": pool.splits[i][k],
            "data": pool.names[i],
            "reason": diagnosis.reasons[k],
            "text": public_start(rows.texts[k]),
        }
        for k in worst_first(diagnosis)[:ROWS_IN_FINDING]
    )
    n = 0 if diagnosis.flagged is None else int(diagnosis.flagged.sum())
    return Finding(f"oracle_{pool.names[i]}", diagnosis.summary, n, diagnosis.skipped, first, diagnosis.remedy)


def write_oracle(pool: Pool, comparisons: Sequence[OracleComparison], path: Path) -> None:
    """Writes one line for each row on which the oracle differs, data set by data set, the worst first."""
    lines = []
    for i, comparison in enumerate(comparisons):
        rows, names, confidence = pool.sets[i], comparison.labels.names, comparison.labels.confidence
        given = given_names(rows, pool.labels)
        for k in worst_first(comparison.diagnosis):
            probability = "" if confidence is None or np.isnan(confidence[k]) else f"{confidence[k]:.4g}"
            row = [pool.names[i], rows.row_ids[k], pool.splits[i][k], given[k], names[k], probability]
            lines.append([*row, public_start(rows.texts[k])])
    write_csv(path, [*ORACLE_COLUMNS, "text"], lines)


def write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as out:
        out.writelines(csv_line(line) for line in [header, *lines])


@dataclass(frozen=True)
class SharedData:
    """Data sets with the rows of their common labels.

    Attributes:
        labels: those that every data set has; the ids of all rows.
        data: in the order of the input.
        left_out: for each data set label -> rows left out, since not every set has the label.
    """

    labels: Labels
    data: tuple[LabelledData, ...]
    left_out: tuple[Mapping[str, int], ...]


def require_measurable(names: Sequence[str], data: Sequence[LabelledData]) -> None:
    """Raises DataError for data sets without one class a row, and for the same data set given twice."""
    kinds = [(x.train.source, KINDS.get(x.labels.problem_type)) for x in data]
    problems = [
        Problem("data", name, f"It has {kind}; data sets are compared by one label a row.") for name, kind in kinds if kind
    ]
    if problems := problems or repeat_problems(names, data):
        raise DataError(problems)


def why_not_compared(names: Sequence[str], data: Sequence[LabelledData]) -> Problem | None:
    """Returns why the labels of the data sets cannot be compared; None if they can."""
    return shape_problem(names, data) or (too_few_labels(names, data) if len(common_labels(data)) < MIN_LABELS else None)


def common_labels(data: Sequence[LabelledData]) -> tuple[str, ...]:
    return tuple(name for name in data[0].labels.names if all(name in splits.labels.names for splits in data))


def select_shared_labels(names: Sequence[str], data: Sequence[LabelledData]) -> SharedData:
    """Selects the rows of the labels that all data sets have. Raises DataError if the labels cannot be compared."""
    if problem := why_not_compared(names, data):
        raise DataError([problem])
    labels, left_out = Labels(SINGLE, common_labels(data)), []
    for x in data:
        counts = Counter(x.labels.names[label] for part in x.named().values() for label in part.labels)
        left_out.append({name: counts[name] for name in x.labels.names if name not in labels.names})
    return SharedData(labels, tuple(select_labels(x, labels) for x in data), tuple(left_out))


def shape_problem(names: Sequence[str], data: Sequence[LabelledData]) -> Problem | None:
    """Returns the problem of data sets with pairs of texts beside others with single ones."""
    has_pairs = [part.train.pairs is not None for part in data]
    pairs, single = ([name for name, has in zip(names, has_pairs, strict=True) if has is of_pairs] for of_pairs in (True, False))
    if not pairs or not single:
        return None
    verb = "has" if len(pairs) == 1 else "have"
    message = f"{listed(pairs)} {verb} pairs of texts, {listed(single)} single ones; their labels cannot be compared."
    return Problem("data", "", message, "If it has one text a row, name its column in a recipe: columns: {text: NAME}.")


def repeat_problems(names: Sequence[str], data: Sequence[LabelledData]) -> list[Problem]:
    """Pairs of data sets with the same file or the same rows."""
    problems = []
    for (name, first), (other, second) in itertools.combinations(zip(names, data, strict=True), 2):
        files = {part.sha256: part.source for part in first.named().values() if part.sha256}
        again = next((part for part in second.named().values() if part.sha256 in files), None)
        if again is not None:
            source = files[again.sha256]
            what = f"{source} was given twice" if source == again.source else f"it has the same bytes as {source}"
            message = f"{what}; a data set is compared with others."
            problems.append(Problem("data", again.source, message, "Give different files."))
        elif contents(first) == contents(second):
            problems.append(Problem("data", other, f"it has the same rows as {name}; a data set is compared with others."))
    return problems


def contents(data: LabelledData) -> list[tuple[str, object]]:
    """Text and label name of every row."""
    names = data.labels.names
    parts = data.named().values()
    return [(text, names[label]) for part in parts for text, label in zip(part.texts, part.labels, strict=True)]


def too_few_labels(names: Sequence[str], data: Sequence[LabelledData]) -> Problem:
    common = common_labels(data)
    own = "; ".join(f"{name}: {listed(x.labels.names, 8)}" for name, x in zip(names, data, strict=True))
    what = f"only the label {common[0]}" if common else "no label"
    spelling = Counter(plain for x in data for plain in {name.strip().casefold() for name in x.labels.names})
    same = {name.casefold() for name in common}
    alike = [plain for plain, n in sorted(spelling.items()) if n == len(data) and plain not in same]
    hint = f" They differ in case only: {listed(alike, 4)}." if alike else ""
    message = f"The data sets have {what} in common ({own}); at least {MIN_LABELS} are needed to compare labels.{hint}"
    example = ", ".join(f"{label}: ..." for label in data[-1].labels.names[:2])
    remedy = f"Give the same meaning the same name in every file, or map the labels in a recipe: data.labels: {{{example}}}."
    return Problem("labels", listed(names), message, remedy)


def select_labels(data: LabelledData, labels: Labels) -> LabelledData:
    """Returns the rows with one of these labels, under their ids; validation and test are left out without such rows."""
    ids = {data.labels.names.index(name): i for i, name in enumerate(labels.names)}
    present: dict[str, Any] = {}
    for part in data.named().values():
        rows = part.take([i for i, label in enumerate(part.labels) if label in ids], part.split)
        rows = replace(rows, labels=[ids[label] for label in rows.labels])
        present[part.split] = rows if len(rows) or part.split == "train" else None
    return replace(data, labels=labels, **present)
