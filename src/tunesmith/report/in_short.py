"""Describes date and data of a run in a paragraph with three example rows."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePath
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.report import record, tables
from tunesmith.report.evidence import problem_type
from tunesmith.report.markup import Markup, isolated, join, tag
from tunesmith.report.numbers import fraction, is_number, number, percent
from tunesmith.report.saved_run import SavedRun
from tunesmith.report.words import main_split, part
from tunesmith.results import RunResult

EXAMPLES, LONGEST_EXAMPLE, MOST_CLASSES = 3, 200, 5


def date_line(result: RunResult) -> str:
    """Formats when the run began and ended; empty if it was not recorded."""
    try:
        started, finished = (datetime.fromisoformat(text) for text in (result.started, result.finished))
    except ValueError:
        return ""
    same_day = started.date() == finished.date()
    end = f"{finished:%H:%M}" if same_day else f"{finished:%Y-%m-%d %H:%M}"
    return f"{started:%Y-%m-%d %H:%M} to {end} UTC"


def data_in_short(run: SavedRun) -> Markup | None:
    """Describes files, rows, labels and lengths in a paragraph, with three rows of the evaluated split."""
    sentences = [rows_sentence(run), labels_sentence(run), lengths_sentence(run)]
    shown = examples(run)
    text = " ".join(sentence for sentence in sentences if sentence)
    return join([tag("p", text) if text else None, shown]) if text or shown else None


def rows_sentence(run: SavedRun) -> str:
    """Lists the rows and the file of each split."""
    parts = []
    for name, of_split in record.splits(run).items():
        if is_number(of_split.get("rows")):
            source = PurePath(str(of_split.get("source") or "")).name
            parts.append(f"{plural(of_split['rows'], 'row')} for {name}{f' ({source})' if source else ''}")
    return f"{', '.join(parts)}." if parts else ""


def labels_sentence(run: SavedRun) -> str:
    """Names the most frequent classes of the training rows with their shares, or the range of the labels of a regression."""
    records = record.splits(run)
    counts = {name: n for name, n in part(records.get("train"), "label_counts").items() if is_number(n)}
    if counts:
        total, ordered = records["train"].get("rows") or sum(counts.values()), sorted(counts.items(), key=lambda item: -item[1])
        shares = [f"{isolated(name)} {percent(fraction(n, total))}" for name, n in ordered[:MOST_CLASSES]]
        more = f" and {len(ordered) - MOST_CLASSES} more" if len(ordered) > MOST_CLASSES else ""
        return f"Classes in training: {', '.join(shares)}{more}."
    split = main_split(run.result)
    labels = [label for label in run.rows(split).get("label", ()) if is_number(label)]
    if problem_type(run) != "regression" or not labels:
        return ""
    return f"Labels of {split} from {number(min(labels))} to {number(max(labels))}."


def lengths_sentence(run: SavedRun) -> str:
    """Gives the median length of the texts in tokens."""
    medians = {name: part(of_split, "length_tokens").get("p50") for name, of_split in record.splits(run).items()}
    median = medians.get("train", next(iter(medians.values()), None))
    return f"Median length: {plural(round(median), 'token')}." if is_number(median) else ""


def examples(run: SavedRun) -> Markup | None:
    """Shows three rows of the evaluated split: the first one of each of the first labels, then the first ones."""
    rows = run.rows(main_split(run.result))
    texts = rows.get("text") or ()
    if not texts:
        return None
    labels, pairs = (rows.get(name) or [None] * len(texts) for name in ("label", "pair"))
    n_columns = 3 if any(label is not None for label in labels) else 2
    shown = [(tables.num(rows["row_id"][i]), example(texts[i], pairs[i]), value(labels[i]))[:n_columns] for i in chosen(labels)]
    return tables.table(("row", "text", "label")[:n_columns], shown, caption=f"example rows of {main_split(run.result)}")


def example(text: object, pair: object) -> tables.Cell:
    """Makes a cell of a shortened text and its pair."""
    return tables.text_cell(brief(text), None if pair is None else brief(pair))


def brief(text: object) -> str:
    """Masks and cuts a text to 200 characters."""
    whole = tables.public(text)
    return whole if len(whole) <= LONGEST_EXAMPLE else f"{whole[:LONGEST_EXAMPLE]} …"


def value(label: object) -> tables.Cell:
    return tables.text_cell(brief(label)) if isinstance(label, str) else tables.Cell(tables.value_text(label), "name")


def chosen(labels: Any) -> list[int]:
    """Chooses the positions of three rows: the first ones with different labels, then the first others."""
    first: dict[str, int] = {}
    for i, label in enumerate(labels):
        first.setdefault(str(label), i)
        if len(first) == EXAMPLES:
            break
    others = (i for i in range(min(len(labels), 2 * EXAMPLES)) if i not in first.values())
    return sorted([*first.values(), *others][:EXAMPLES])
