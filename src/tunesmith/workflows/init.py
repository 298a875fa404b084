"""Implements ``init``: describes a table of examples in plain words and drafts a recipe for it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.data.cells import clip, is_missing, is_whole, listed, plural
from tunesmith.data.columns import detect_columns
from tunesmith.data.labelled.label_forms import may_hold_labels
from tunesmith.data.labelled.labels import REGRESSION, label_cells
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.pairs.load import retrieval_folder
from tunesmith.data.profile import count_words, profile
from tunesmith.data.readers.annotation_files import reject_other_tasks
from tunesmith.data.readers.plain_texts import is_plain_text
from tunesmith.data.readers.read import read_sources, read_table
from tunesmith.data.split import MIN_ROWS_FOR_TEST, TEST_SHARE
from tunesmith.data.table import Columns, Examples, Table
from tunesmith.disk import require_file_place, write_text
from tunesmith.errors import DataError, OutputError, UndecidedColumn
from tunesmith.recipe.draft import Draft, Question, yaml_text
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.workflows.init_guess import Guess, load_guessed
from tunesmith.workflows.init_unlabelled import TEST_SHARE as UNLABELLED_SHARE
from tunesmith.workflows.init_unlabelled import (
    Unlabelled,
    detect_preferences,
    detect_unlabelled,
    retrieval_recipe,
    unlabelled_recipe,
)

MAX_NUMBERED_CLASSES = 100
"""Whole numbers with more different values are amounts, not class names."""
IMBALANCE = 10
LONG_WORDS = 380
"""About so many English words are 512 tokens, the limit of most encoders."""
SHOWN_LABELS = 12
DECIDE = "Decide: "
"""Begins the lines about choices that are left to the user."""
VERDICT_ON_VALIDATION = "note: the verdict will be computed on validation, unless you add a test file (data.test)."


def draft_recipe(data: str, *, test: str | None = None, validation: str | None = None) -> tuple[str, list[str]]:
    """Drafts a commented recipe (YAML) for the data, and describes the data in lines for the user.

    Choices that only the user can make are comments in the recipe, and the last lines list them.

    Args:
        data: a file, a folder, ``builtin:NAME`` or ``hub:NAME``.
        test, validation: files with the rows of these splits.

    Raises DataError if the data cannot be read, or no recipe can use them.
    """
    folder = retrieval_folder(data, Path())
    if folder is not None:
        return retrieval_recipe(folder, data)
    tables = read_sources(data)
    if "train" not in tables:
        raise DataError.one(data, f"The source has no train rows, only {listed(tables)}.", "Give a file.")
    table = tables["train"]
    split_sources: dict[str, Any] = {"train": data, "test": test, "validation": validation}
    split_sources = {split: source for split, source in split_sources.items() if source is not None}
    for split in ("test", "validation"):  # a file that cannot be read is an error even where a question about train is open
        if split in split_sources and not is_plain_text(split_sources[split]):
            read_table(split_sources[split], split=split)
    unlabelled = detect_preferences(table)
    if unlabelled is None:
        reject_other_tasks(table)
        unlabelled = detect_unlabelled(table)
    if unlabelled is not None:
        return draft_unlabelled(unlabelled, table, split_sources, tables)
    guess = guess_task(table)
    if "test" not in {*split_sources, *tables} and guess.columns.split is None and len(table) >= MIN_ROWS_FOR_TEST:
        split_sources["test"] = TEST_SHARE
    splits = load_guessed(guess, split_sources, table.source)
    lines = [*table_lines(table), *column_lines(guess, table), *(split_lines(splits) if splits else [])]
    draft = make_draft(guess, split_sources, splits, table, tables)
    return yaml_text(draft), [*lines, *closing_lines(guess, splits)]


def init(
    data: str | Path, *, test: str | Path | None = None, validation: str | Path | None = None, output: str | Path | None = None
) -> str:
    """Drafts a commented recipe for a data file, as YAML text, and writes it where an output is named.

    Raises:
        DataError: the data cannot be read, or are in memory: a recipe names files.
        OutputError: the output exists already.

    Example::

        print(tunesmith.init("tickets.csv"))
    """
    sources = {"data": data, "test": test, "validation": validation}
    for name, source in sources.items():
        if not isinstance(source, str | Path | None) or (name == "data" and source is None):
            message = f"a recipe names files, and this is {type(source).__name__}."
            raise DataError.one(name, message, "Save the table as a file; tunesmith.train() also takes the table itself.")
    given, path = {name: None if source is None else str(source) for name, source in sources.items()}, output and Path(output)
    if path:
        require_file_place(path)
    if path and path.exists():
        raise OutputError.one(str(path), "this file exists already.", "Choose another output.")
    text, _ = draft_recipe(str(given.pop("data")), **given)
    if path:
        write_text(path, text)
    return text


def draft_unlabelled(
    unlabelled: Unlabelled, table: Table, split_sources: dict[str, Any], sources: Container[str]
) -> tuple[str, list[str]]:
    """Drafts the recipe of rows without labels, and the lines for the user; a test split of the source is kept."""
    has_test = "test" in split_sources or "test" in sources
    if not has_test and len(table) >= MIN_ROWS_FOR_TEST:
        split_sources, has_test = {**split_sources, "test": UNLABELLED_SHARE}, True
    text, lines = unlabelled_recipe(unlabelled, table, split_sources)
    return text, [*table_lines(table), *lines, *([] if has_test else [VERDICT_ON_VALIDATION])]


def guess_task(table: Table) -> Guess:
    columns, questions = find_columns(table, "classification")
    cells = label_cells(table, columns)
    labels = profile(cells)
    most_classes = min(MAX_NUMBERED_CLASSES, labels.n / 2)
    is_amount = labels.is_score or (labels.number_share >= 0.9 and labels.distinct > most_classes)
    if len(columns.label) == 1 and is_amount:
        columns, questions = find_columns(table, "regression")
        numbers = "numbers with decimals" if labels.is_score else plural(labels.distinct, "different number")
        return Guess("regression", f"{columns.label[0]!r} holds {numbers}", columns, questions)
    separator, separator_reason = find_separator(cells)
    label = repr(columns.label[0])
    reason = f"{label} holds {plural(labels.distinct, 'different value')}"
    if len(columns.label) > 1:
        reason = f"{plural(len(columns.label), 'label column')} of 0 and 1: each row may have several labels"
    elif separator or labels.list_share > 0.5:
        reason = f"a row of {label} may hold several labels"
    elif labels.distinct > 4 and labels.whole_share == 1.0:
        reason = f"{label} holds {plural(labels.distinct, 'whole number')}, taken as names; if they are amounts, write regression"
    names = names_column(table, columns)
    if names is not None:
        note = f"{names} holds a name for each: write label: {names} to use these"
        columns = replace(columns, reasons={**columns.reasons, "label": f"{columns.reasons['label']}; {note}"})
    return Guess("classification", reason, columns, questions, separator, separator_reason)


def names_column(table: Table, columns: Columns) -> str | None:
    """Finds an unused column with one name for each of the numbers in the label column."""
    label = table.columns[columns.label[0]]
    used = {name for names in columns_by_part(columns).values() for name in names}
    if len(columns.label) > 1 or not all(is_whole(cell) for cell in label if not is_missing(cell)):
        return None
    for name in [name for name in table.columns if name not in used]:
        pairs = {(str(a), str(b)) for a, b in zip(label, table.columns[name], strict=True) if not is_missing(a)}
        column = profile(table.columns[name])
        sizes = {len(pairs), len({a for a, _ in pairs}), len({b for _, b in pairs})}
        if column.is_worded and column.missing_share == 0 and len(sizes) == 1 and 1 < len(pairs) <= len(label) / 2:
            return name
    return None


def find_columns(table: Table, task: str) -> tuple[Columns, tuple[Question, ...]]:
    """Detects the columns; if only the user can choose, takes the first candidate and returns the question."""
    choices: dict[str, str] = {}
    questions: list[Question] = []
    while True:
        try:
            return detect_columns(table, task, ColumnsSection.model_validate(choices)), tuple(questions)
        except UndecidedColumn as error:
            names = [name for name in table.columns if name in error.candidates]
            if error.part == "label" and not names:  # the columns that have no role when no label is needed
                columns = detect_columns(table, task, ColumnsSection.model_validate(choices), need_label=False)
                assigned = {name for names in columns_by_part(columns).values() for name in names}
                names = [name for name in table.columns if name not in assigned and may_hold_labels(table, name)]
            if error.part in choices or not names:
                raise
            is_pair = error.part == "text" and len(names) == 2 and names[1] in error.candidates
            questions.append(Question(error.part, tuple(names), error.problems[0].message, is_pair))
            choices[error.part] = names[0]


def find_separator(cells: Sequence[Any]) -> tuple[str | None, str]:
    """Finds the separator of labels in cells such as ``billing|refund``, with the reason; None if cells hold one label each."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    for separator in ("|", ";"):
        lists = [cell for cell in texts if separator in cell]
        if len(lists) < max(2, 0.02 * len(texts)):
            continue
        counts = Counter(part.strip() for cell in texts for part in cell.split(separator) if part.strip())
        repeated = sum(count > 1 for count in counts.values())
        if len(counts) <= len(set(texts)) and repeated >= 0.5 * len(counts):
            return separator, f"{plural(len(lists), 'cell')} such as {clip(lists[0], 40)}"
    return None, ""


def table_lines(table: Table) -> list[str]:
    """Describes rows, columns, and repairs made while reading."""
    lines = [f"{table.source}: {plural(len(table), 'row')}, {plural(len(table.columns), 'column')}"]
    reasons = Counter((row.reason, row.dropped) for row in table.bad_rows)
    for (reason, dropped), count in reasons.most_common():
        first = next(row for row in table.bad_rows if row.reason == reason)
        place = f"line {first.line}" if first.line is not None else f"row {first.row_id}"
        lines.append(f"  {plural(count, 'row')} {'not used' if dropped else 'repaired'}: {reason} (first: {place})")
    return lines


def column_lines(guess: Guess, table: Table) -> list[str]:
    """Describes the role of each column with its reason, and the content of the unused columns."""
    undecided = {question.part for question in guess.questions}
    lines = [f"task: {guess.task}, since {guess.task_reason}"] if "label" not in undecided else []
    for part, names in columns_by_part(guess.columns).items():
        if part not in undecided:
            lines.append(f"{part}: {listed(names)}, since {guess.columns.reasons.get(part, 'it was found')}")
    assigned = {name for names in columns_by_part(guess.columns).values() for name in names}
    unused = [f"{name} ({profile(cells).words()})" for name, cells in table.columns.items() if name not in assigned]
    return [*lines, f"not used: {listed(unused)}"] if unused and not undecided else lines


def columns_by_part(columns: Columns) -> dict[str, tuple[str, ...]]:
    """Returns part -> its columns, for the assigned parts, in the order of the recipe."""
    single = {part: getattr(columns, part) for part in ("text", "pair", "label", "id", "group", "split")}
    return {part: name if part == "label" else (name,) for part, name in single.items() if name}


def split_lines(splits: LabelledData) -> list[str]:
    """Describes the rows of each split, labels, lengths, notes and findings."""
    sizes = ", ".join(f"{name} {len(examples):,}" for name, examples in splits.named().items())
    lines = [f"rows: {sizes}", *label_lines(splits), *length_lines(splits)]
    lines += [f"note: {note}" for note in splits.notes]
    flagged = [finding for finding in splits.findings if finding.flagged]
    return lines + [f"look at {finding.name.replace('_', ' ')}: {finding.text} {finding.remedy}".rstrip() for finding in flagged]


def own_rows(splits: LabelledData) -> list[Examples]:
    """Returns train and the splits taken out of the same source."""
    return [examples for examples in splits.named().values() if examples.source == splits.train.source]


def label_counts(splits: LabelledData) -> Counter[str]:
    """Counts the rows of each class, the most frequent first; empty for a regression."""
    names, counts = splits.labels.names, Counter[str]()
    for label in (label for examples in own_rows(splits) for label in examples.labels):
        if isinstance(label, tuple):
            counts.update(name for name, flag in zip(names, label, strict=True) if flag)
        elif isinstance(label, int) and splits.labels.problem_type != REGRESSION:
            counts[names[label]] += 1
    return Counter(dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))))


def label_lines(splits: LabelledData) -> list[str]:
    if splits.labels.problem_type == REGRESSION:
        values = [float(label) for examples in own_rows(splits) for label in examples.labels]
        return [f"labels: numbers from {min(values):g} to {max(values):g}, {statistics.fmean(values):.3g} on average"]
    counts = label_counts(splits)
    shown = listed([f"{name} {count:,}" for name, count in counts.items()], SHOWN_LABELS)
    kind = "may all apply to a row" if splits.labels.problem_type.startswith("multi") else "one a row"
    lines = [f"labels: {splits.labels.n}, {kind}: {shown}"]
    if is_imbalanced(counts):
        rarest = min(counts, key=lambda name: counts[name])
        rows = plural(counts[rarest], "row")
        lines.append(f"  they are imbalanced: the rarest, {rarest}, has {rows}; accuracy alone would mislead")
    return lines


def is_imbalanced(counts: Counter[str]) -> bool:
    return bool(counts) and max(counts.values()) >= IMBALANCE * min(counts.values())


def length_lines(splits: LabelledData) -> list[str]:
    words: list[float] = []  # of each row, both texts of a pair together
    for examples in own_rows(splits):
        pairs = examples.pairs or [""] * len(examples)
        words += [count_words(text) + count_words(pair) for text, pair in zip(examples.texts, pairs, strict=True)]
    words.sort()
    middle, most = statistics.median(words), words[min(len(words) - 1, int(0.95 * len(words)))]
    median = plural(round(middle), "word")
    lines = [f"lengths: median {median}; 95 % of the texts have at most {most:.0f}, the longest has {words[-1]:,.0f}"]
    long = sum(count > LONG_WORDS for count in words)
    if long:
        texts = plural(long, "text")
        lines.append(f"  {texts} of more than {LONG_WORDS} words (about 512 tokens) will be truncated; check counts them exactly")
    if is_foreign(splits):
        lines.append("  many letters are not Latin; builtin:minilm was trained on English only")
    return lines


def is_foreign(splits: LabelledData) -> bool:
    """Tells whether more than a third of the letters in the first rows are not Latin."""
    letters = [letter for text in splits.train.texts[:500] for letter in text[:200] if letter.isalpha()]
    return sum(ord(letter) > 0x24F for letter in letters) * 3 > len(letters)


def make_draft(
    guess: Guess, split_sources: dict[str, Any], splits: LabelledData | None, table: Table, sources: Container[str]
) -> Draft:
    """Collects the lines of the recipe with their reasons."""
    undecided = {question.part for question in guess.questions}
    return Draft(
        source=str(split_sources["train"]),
        task=guess.task,
        task_reason=guess.task_reason if "label" not in undecided else "decide on the label column first",
        non_latin=splits is not None and is_foreign(splits),
        data=split_sources,
        data_reasons=data_reasons(split_sources, splits, table, sources),
        separator=guess.separator,
        separator_reason=guess.separator_reason,
        columns={part: names for part, names in columns_by_part(guess.columns).items() if part not in undecided},
        other_texts=guess.columns.other_texts if "text" not in undecided else (),
        column_reasons=guess.columns.reasons,
        questions=guess.questions,
        imbalanced=splits is not None and is_imbalanced(label_counts(splits)),
    )


def data_reasons(
    split_sources: dict[str, Any], splits: LabelledData | None, table: Table, sources: Container[str]
) -> dict[str, str]:
    reasons = {"train": plural(len(table), "row")}
    included = [name for name in (splits.named() if splits else ()) if name not in (*split_sources, "train") and name in sources]
    if included:
        reasons["train"] += f"; {' and '.join(included)} {'comes' if len(included) == 1 else 'come'} with it"
    for split in ("validation", "test"):
        rows = splits.named().get(split) if splits else None
        counted = f" ({plural(len(rows), 'row')})" if rows is not None else ""
        if split_sources.get(split) == TEST_SHARE:
            reasons[split] = f"a fraction{counted} for the verdict, not used in training and selection"
        elif split in split_sources:
            reasons[split] = ("used for the verdict" if split == "test" else "selects the best checkpoint") + counted
    return reasons


def closing_lines(guess: Guess, splits: LabelledData | None) -> list[str]:
    """Lists the decisions of the user, and notes a missing test split."""
    lines = [
        f"{DECIDE}{question.message} Remove the # before one of the lines for {question.part}"
        f"{', or before two to use both as a pair' if question.is_pair else ''}."
        for question in guess.questions
    ]
    if splits is not None and splits.test is None:
        lines.append(VERDICT_ON_VALIDATION)
    return lines
