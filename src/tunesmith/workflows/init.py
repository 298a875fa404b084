"""``init``: what a table of examples looks like, in plain words, and the recipe that follows from it."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data.cells import clip, listed
from tunesmith.data.columns import detect_columns
from tunesmith.data.labelled.labels import label_cells
from tunesmith.data.labelled.load import Splits, load_splits
from tunesmith.data.profile import Profile, count_words, profile
from tunesmith.data.readers.read import read_sources
from tunesmith.data.table import Columns, Examples, Table
from tunesmith.errors import DataError
from tunesmith.recipe.draft import Draft, Question, yaml_text
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.report.numbers import plural
from tunesmith.workflows.init_unlabelled import TEST_SHARE as UNLABELLED_SHARE
from tunesmith.workflows.init_unlabelled import Unlabelled, unlabelled_recipe, unlabelled_rows

# Whole numbers with more different values than this are amounts, not names of classes.
MOST_NUMBERED_CLASSES = 100
# From so many rows on a test set of its own is worth its rows.
ENOUGH_FOR_TEST = 200
TEST_SHARE = 0.2
# Fewer optimizer steps than this rarely finish learning; more passes than this rarely help.
FEWEST_STEPS, MOST_EPOCHS = 300, 12
USUAL_EPOCHS, BATCH = 3, 32
IMBALANCE = 10
# 512 tokens, the limit of most encoders, are about so many English words.
LONG_WORDS = 380
SHOWN_LABELS = 12
JUDGED_ON_VALIDATION = "note: the verdict will be given on validation, unless you add a test file (data.test)."


@dataclass(frozen=True)
class Guess:
    """What is known of a table before its rows are read as examples.

    Attributes:
        questions: what only the user can decide; the guess goes on with the first answer of each.
    """

    task: str
    task_reason: str
    columns: Columns
    questions: tuple[Question, ...]
    separator: str | None = None
    separator_reason: str = ""


def draft_recipe(data: str, *, test: str | None = None, validation: str | None = None) -> tuple[str, list[str]]:
    """A commented recipe (YAML) for the data, and what was recognised, as lines for the user.

    Where only the user can know, the recipe holds the choices as comments and the last lines say what to decide.

    Args:
        data: a file, a folder, ``builtin:NAME`` or ``hub:NAME``.
        test, validation: files with the rows of these splits.

    Raises:
        DataError: the data cannot be read, or no recipe could use them.
    """
    tables = read_sources(data)
    if "train" not in tables:
        raise DataError.one(data, f"The source has no train rows, only {listed(tables)}.", "Give a file.")
    table = tables["train"]
    given: dict[str, Any] = {"train": data, "test": test, "validation": validation}
    given = {split: source for split, source in given.items() if source is not None}
    found = unlabelled_rows(table)
    if found is not None:
        return for_unlabelled(found, table, given, tables)
    guess = guess_of(table)
    if "test" not in {*given, *tables} and guess.columns.split is None and len(table) >= ENOUGH_FOR_TEST:
        given["test"] = TEST_SHARE
    splits = load(guess, given)
    lines = [*table_lines(table), *column_lines(guess, table), *(split_lines(splits) if splits else [])]
    draft = draft_of(guess, given, splits, table, tables)
    return yaml_text(draft), [*lines, *closing_lines(guess, splits)]


def for_unlabelled(
    found: Unlabelled, table: Table, given: dict[str, Any], sources: Container[str]
) -> tuple[str, list[str]]:  # fmt: skip
    """The recipe of rows without labels, and the lines for the user; a test that comes with the source stays the test."""
    has_test = "test" in given or "test" in sources
    if not has_test and len(table) >= ENOUGH_FOR_TEST:
        given, has_test = {**given, "test": UNLABELLED_SHARE}, True
    text, lines = unlabelled_recipe(found, table, given)
    return text, [*table_lines(table), *lines, *([] if has_test else [JUDGED_ON_VALIDATION])]


def guess_of(table: Table) -> Guess:
    """Task and columns of a table."""
    columns, questions = find_columns(table, "classification")
    cells = label_cells(table, columns)
    found = profile(cells)
    if len(columns.label) == 1 and is_amount(found):
        columns, questions = find_columns(table, "regression")
        return Guess("regression", f"{columns.label[0]!r} holds {numbers_in_words(found)}", columns, questions)
    separator, reason = find_separator(cells)
    return Guess("classification", class_reason(columns, found, separator), columns, questions, separator, reason)


def is_amount(found: Profile) -> bool:
    """Numbers that say how much, not which."""
    return found.is_score or (found.number_share >= 0.9 and found.distinct > MOST_NUMBERED_CLASSES)


def numbers_in_words(found: Profile) -> str:
    return "numbers with decimals" if found.is_score else f"{found.distinct} different numbers"


def class_reason(columns: Columns, found: Profile, separator: str | None) -> str:
    if len(columns.label) > 1:
        return f"{len(columns.label)} label columns of 0 and 1: each row may have several labels"
    if separator or found.list_share > 0.5:
        return f"a row of {columns.label[0]!r} may hold several labels"
    if found.distinct > 4 and found.whole_share == 1.0:
        return f"{columns.label[0]!r} holds {found.distinct} whole numbers, taken as names; if they are amounts, write regression"
    return f"{columns.label[0]!r} holds {plural(found.distinct, 'different value')}"


def find_columns(table: Table, task: str) -> tuple[Columns, tuple[Question, ...]]:
    """The columns, and the questions that had to be answered with their first choice to get there."""
    given: dict[str, str] = {}
    questions: list[Question] = []
    while True:
        try:
            return detect_columns(table, task, ColumnsSection.model_validate(given)), tuple(questions)
        except DataError as error:
            question = question_of(error, table, task, given)
            if question is None:
                raise
            questions.append(question)
            given[question.part] = question.names[0]


def question_of(error: DataError, table: Table, task: str, given: dict[str, str]) -> Question | None:
    """The question that column detection asks in its remedy; None where the error is another one."""
    problem = error.problems[0]
    asked = re.search(r"columns: \{(\w+): ", problem.remedy)
    if asked is None or asked[1] in given:
        return None
    part = asked[1]
    names = [name for name in table.columns if f"{{{part}: {name}}}" in problem.remedy]
    if part == "label" and not names:
        found = detect_columns(table, task, ColumnsSection.model_validate(given), need_label=False)
        played = {name for names in parts_of(found).values() for name in names}
        names = [name for name in table.columns if name not in played]
    return Question(part, tuple(names), problem.message) if names else None


def find_separator(cells: Sequence[Any]) -> tuple[str | None, str]:
    """What divides the labels in a cell such as ``billing|refund``, and why; None where cells hold one label each."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    for separator in ("|", ";"):
        divided = [cell for cell in texts if separator in cell]
        if len(divided) < max(2, 0.02 * len(texts)):
            continue
        counts = Counter(part.strip() for cell in texts for part in cell.split(separator) if part.strip())
        repeated = sum(count > 1 for count in counts.values())
        if len(counts) <= len(set(texts)) and repeated >= 0.5 * len(counts):
            return separator, f"{plural(len(divided), 'cell')} such as {clip(divided[0], 40)}"
    return None, ""


def load(guess: Guess, given: dict[str, Any]) -> Splits | None:
    """The rows as a run would use them; None where a question is open and its first answer does not lead to a run."""
    columns = {part: getattr(guess.columns, part) for part in ("text", "pair", "id", "group", "split")}
    label = list(guess.columns.label)
    columns["label"] = label[0] if len(label) == 1 else label or None
    section = {**given, "columns": {part: name for part, name in columns.items() if name is not None}}
    if guess.separator:
        section["label_separator"] = guess.separator
    recipe = recipe_from_mapping({"task": guess.task, "data": section}, "init")
    try:
        return load_splits(recipe, Path())
    except DataError:
        if guess.questions:
            return None
        raise


def table_lines(table: Table) -> list[str]:
    """Rows, columns, and what was assumed or repaired while reading."""
    lines = [f"{table.source}: {plural(len(table), 'row')}, {plural(len(table.columns), 'column')}"]
    reasons = Counter((row.reason, row.dropped) for row in table.bad_rows)
    for (reason, dropped), count in reasons.most_common():
        first = next(row for row in table.bad_rows if row.reason == reason)
        place = f"line {first.line}" if first.line is not None else f"row {first.row_id}"
        lines.append(f"  {plural(count, 'row')} {'not used' if dropped else 'repaired'}: {reason} (first: {place})")
    return lines


def column_lines(guess: Guess, table: Table) -> list[str]:
    """The part each column plays and why; what the others hold."""
    asked = {question.part for question in guess.questions}
    lines = [f"task: {guess.task}, since {guess.task_reason}"] if "label" not in asked else []
    for part, names in parts_of(guess.columns).items():
        if part not in asked:
            lines.append(f"{part}: {listed(names)}, since {guess.columns.reasons.get(part, 'it was found')}")
    played = {name for names in parts_of(guess.columns).values() for name in names}
    unused = [f"{name} ({profile(cells).words()})" for name, cells in table.columns.items() if name not in played]
    return [*lines, f"not used: {listed(unused)}"] if unused and not asked else lines


def parts_of(columns: Columns) -> dict[str, tuple[str, ...]]:
    """Part -> its columns, for the parts that are played, in the order of the recipe."""
    single = {part: getattr(columns, part) for part in ("text", "pair", "label", "id", "group", "split")}
    return {part: name if part == "label" else (name,) for part, name in single.items() if name}


def split_lines(splits: Splits) -> list[str]:
    """Rows a split, labels, lengths, and what should be looked at."""
    sizes = ", ".join(f"{name} {len(examples):,}" for name, examples in splits.named().items())
    lines = [f"rows: {sizes}", *label_lines(splits), *length_lines(splits)]
    lines += [f"note: {note}" for note in splits.notes]
    return lines + [
        f"look at {finding.name.replace('_', ' ')}: {finding.summary}" for finding in splits.findings if finding.flagged
    ]


def own_rows(splits: Splits) -> list[Examples]:
    """Train and the splits that were taken out of the same source."""
    return [examples for examples in splits.named().values() if examples.source == splits.train.source]


def label_counts(splits: Splits) -> Counter[str]:
    """Class -> rows that have it, commonest first; empty for a regression."""
    names, counts = splits.labels.names, Counter[str]()
    for label in (label for examples in own_rows(splits) for label in examples.labels):
        if isinstance(label, tuple):
            counts.update(name for name, flag in zip(names, label, strict=True) if flag)
        elif isinstance(label, int) and splits.labels.problem_type != "regression":
            counts[names[label]] += 1
    return Counter(dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))))


def label_lines(splits: Splits) -> list[str]:
    if splits.labels.problem_type == "regression":
        values = [float(label) for examples in own_rows(splits) for label in examples.labels]
        return [f"labels: numbers from {min(values):g} to {max(values):g}, {statistics.fmean(values):.3g} on average"]
    counts = label_counts(splits)
    shown = listed([f"{name} {count:,}" for name, count in counts.items()], SHOWN_LABELS)
    kind = "may all apply to a row" if splits.labels.problem_type.startswith("multi") else "one a row"
    lines = [f"labels: {splits.labels.n}, {kind}: {shown}"]
    if is_uneven(counts):
        rarest = min(counts, key=lambda name: counts[name])
        lines.append(
            f"  they are uneven: the rarest, {rarest}, has {plural(counts[rarest], 'row')}; accuracy alone would mislead"
        )
    return lines


def is_uneven(counts: Counter[str]) -> bool:
    return bool(counts) and max(counts.values()) >= IMBALANCE * min(counts.values())


def length_lines(splits: Splits) -> list[str]:
    words = word_counts(splits)
    middle, most = statistics.median(words), words[min(len(words) - 1, int(0.95 * len(words)))]
    lines = [f"lengths: {middle:.0f} words in the middle, 95 in 100 up to {most:.0f}, the longest {words[-1]:,.0f}"]
    long = sum(count > LONG_WORDS for count in words)
    if long:
        lines.append(
            f"  {plural(long, 'text')} of more than {LONG_WORDS} words (about 512 tokens) will be cut; check counts them exactly"
        )
    if is_foreign(splits):
        lines.append("  many letters are not Latin; builtin:minilm has learnt English only")
    return lines


def word_counts(splits: Splits) -> list[float]:
    """Words of each row, both texts of a pair together, ascending."""
    counts = []
    for examples in own_rows(splits):
        pairs = examples.pairs or [""] * len(examples)
        counts += [count_words(text) + count_words(pair) for text, pair in zip(examples.texts, pairs, strict=True)]
    return sorted(counts)


def is_foreign(splits: Splits) -> bool:
    """Whether more than a third of the letters in the first rows are of other scripts than Latin."""
    letters = [letter for text in splits.train.texts[:500] for letter in text[:200] if letter.isalpha()]
    return sum(ord(letter) > 0x24F for letter in letters) * 3 > len(letters)


def draft_of(guess: Guess, given: dict[str, Any], splits: Splits | None, table: Table, sources: Container[str]) -> Draft:
    """Every line of the recipe with its reason."""
    asked = {question.part for question in guess.questions}
    return Draft(
        source=str(given["train"]), task=guess.task,
        task_reason=guess.task_reason if "label" not in asked else "decide on the label column first",
        non_latin=splits is not None and is_foreign(splits), data=given, data_reasons=data_reasons(given, splits, table, sources),
        separator=guess.separator, separator_reason=guess.separator_reason,
        columns={part: names for part, names in parts_of(guess.columns).items() if part not in asked},
        column_reasons=guess.columns.reasons, questions=guess.questions,
        epochs=epochs(splits), epochs_reason=epochs_reason(splits),
        imbalanced=splits is not None and is_uneven(label_counts(splits)),
    )  # fmt: skip


def data_reasons(given: dict[str, Any], splits: Splits | None, table: Table, sources: Container[str]) -> dict[str, str]:
    reasons = {"train": plural(len(table), "row")}
    along = [name for name in (splits.named() if splits else ()) if name not in (*given, "train") and name in sources]
    if along:
        reasons["train"] += f"; {' and '.join(along)} {'comes' if len(along) == 1 else 'come'} with it"
    for split in ("validation", "test"):
        rows = splits.named().get(split) if splits else None
        counted = f" ({plural(len(rows), 'row')})" if rows is not None else ""
        if given.get(split) == TEST_SHARE:
            reasons[split] = f"a share{counted} that is kept out of everything until the verdict"
        elif split in given:
            reasons[split] = ("the verdict is given on it" if split == "test" else "chooses the best checkpoint") + counted
    return reasons


def epochs(splits: Splits | None) -> int | None:
    """Passes over the rows where the usual number gives too few steps; None where it does not."""
    if splits is None:
        return None
    steps = -(-len(splits.train) // BATCH)
    wanted = min(MOST_EPOCHS, -(-FEWEST_STEPS // steps))
    return wanted if wanted > USUAL_EPOCHS else None


def epochs_reason(splits: Splits | None) -> str:
    if splits is None:
        return ""
    steps = -(-len(splits.train) // BATCH)
    return f"{plural(len(splits.train), 'row')} are only {plural(steps, 'step')} a pass, so more passes than {USUAL_EPOCHS}"


def closing_lines(guess: Guess, splits: Splits | None) -> list[str]:
    """What the user has to decide, and what the verdict will stand on where there is no test."""
    lines = [
        f"Decide: {question.message} Remove the # before one of the lines for {question.part}." for question in guess.questions
    ]
    if splits is not None and splits.test is None:
        lines.append(JUDGED_ON_VALIDATION)
    return lines
