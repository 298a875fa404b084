"""Checks labelled rows before any model is loaded: labels, duplicates, leakage, damaged texts.

Each check is a generator of findings; ``check_rows`` calls them in the order of ``CHECKS``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tunesmith.data.cells import listed, plural
from tunesmith.data.checks.leakage import counted, divided, find_leaks
from tunesmith.data.labelled.label_notes import unknown_words
from tunesmith.data.labelled.labels import MISSING, MULTI, REGRESSION, UNKNOWN, WRONG, marker
from tunesmith.data.near_duplicates import SearchedTexts
from tunesmith.data.personal import find_personal_data
from tunesmith.data.table import BadRow, Examples, Labels
from tunesmith.results import Finding

LISTED_ROWS = 50
"""Rows listed in a finding; all are counted."""
IMBALANCE = 10
"""A ratio of the largest to the smallest class from here on is an imbalance."""
FEW_ROWS = 5
"""Classes with fewer training rows are hardly learnt and not measured."""
LONG_TEXT_CHARACTERS = 100_000
SHOWN_CHARACTERS = 120
NORMALISED = "ignoring case, spaces and punctuation"

# UTF-8 decoded as cp1252 or latin-1 (Ã©, â€™, Â£), the replacement character, Excel's escapes, control characters.
DAMAGE = re.compile(
    "[ÂÃ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€|â„¢|ðŸ|ï¿½|\ufffd|_x00[01][0-9A-Fa-f]_|[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f\x80-\x9f]"
)
# The damage that is possible in ASCII texts; most texts are ASCII, and this is five times faster.
ASCII_DAMAGE = re.compile("[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f]")
ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,6}|#x[0-9a-fA-F]{2,5});")


@dataclass(frozen=True)
class Rows:
    """The splits, the key of each row (equal keys are duplicates), and the texts of earlier searches for near-duplicates."""

    splits: Mapping[str, Examples]
    keys: Mapping[str, list[str]]
    labels: Labels
    searched: SearchedTexts

    def label(self, split: str, i: int) -> str:
        return label_words(self.splits[split].labels[i], self.labels)


def check_rows(
    train: Examples, validation: Examples | None, test: Examples | None, labels: Labels, searched: SearchedTexts | None = None
) -> list[Finding]:
    """Runs all checks, in the order of ``CHECKS``; the finding ``labels`` (the counts) always exists."""
    splits = {rows.split: rows for rows in (train, validation, test) if rows is not None}
    searched = SearchedTexts() if searched is None else searched
    keyed = Rows(splits, {name: searched.keys_of(rows.texts, rows.pairs) for name, rows in splits.items()}, labels, searched)
    return [finding for check in CHECKS for finding in check(keyed)]


def label_counts(examples: Examples, labels: Labels) -> dict[str, int]:
    """Counts the rows of each class, in id order, classes without a row included; all scores count as one class ``score``."""
    counts = dict.fromkeys(labels.names, 0)
    if labels.problem_type == REGRESSION:
        return {"score": sum(label is not None for label in examples.labels)}
    for label in examples.labels:
        if label is None:
            continue
        for i in (i for i, flag in enumerate(label) if flag) if isinstance(label, tuple) else (label,):
            counts[labels.names[i]] += 1
    return counts


def label_words(label: object, labels: Labels) -> str:
    """Writes an encoded label by the user's class names."""
    if label is None:
        return ""
    if labels.problem_type == REGRESSION:
        return f"{label:g}"
    if isinstance(label, tuple):
        return ", ".join(name for name, flag in zip(labels.names, label, strict=True) if flag) or "(none)"
    return labels.names[label] if isinstance(label, int) else ""


def check_labels(rows: Rows) -> Iterator[Finding]:
    """Describes the scores, or the number of rows of each class; finds classes with few of them."""
    train = rows.splits["train"]
    counts = label_counts(train, rows.labels)
    if rows.labels.problem_type == REGRESSION:
        scores = np.asarray([label for label in train.labels if label is not None], dtype=float)
        summary = f"Scores from {scores.min():g} to {scores.max():g}, mean {scores.mean():.3g}, deviation {scores.std():.3g}."
        yield Finding("labels", summary)
        return
    order = sorted(counts, key=lambda name: -counts[name])
    largest, smallest = counts[order[0]], counts[order[-1]]
    shown = listed(f"{name}: {counts[name]}" for name in order)
    kind = "labels, several a row," if rows.labels.problem_type == MULTI else "classes"
    summary = f"{len(order)} {kind} in {plural(len(train), 'training row')}: {shown}."
    remedy = ""
    if largest >= IMBALANCE * max(1, smallest):
        summary += f" The largest has {largest / max(1, smallest):.0f} times the rows of the smallest ({order[-1]})."
        remedy = "Compare by macro F1 or MCC rather than accuracy; train.class_weights: balanced gives rare classes more weight."
    yield Finding("labels", summary, remedy=remedy)
    rare = [name for name, count in counts.items() if count < FEW_ROWS]
    if rare:
        shown = listed(f"{name}: {counts[name]}" for name in rare)
        summary = f"{plural(len(rare), 'class', 'has', 'have')} fewer than {FEW_ROWS} training rows: {shown}."
        own = {rows.labels.names.index(name) for name in rare}
        listed_rows = tuple(
            {"row_id": row_id, "split": "train", "reason": f"labelled {label_words(label, rows.labels)}"}
            for row_id, label in zip(train.row_ids, train.labels, strict=True)
            if own & (set(np.flatnonzero(label).tolist()) if isinstance(label, tuple) else {label})
        )
        remedy = "Add rows, or merge these classes."
        yield Finding("rare_labels", summary, len(listed_rows), rows=listed_rows[:LISTED_ROWS], remedy=remedy)


def check_missing(rows: Rows) -> Iterator[Finding]:
    """Finds classes without a row in a split, which cannot be learned or measured there."""
    if rows.labels.problem_type == REGRESSION:
        return
    for split, examples in rows.splits.items():
        counts = label_counts(examples, rows.labels)
        absent = [name for name, count in counts.items() if not count]
        if absent:
            what = "cannot be learned" if split == "train" else f"are not measured on {split}"
            summary = f"{len(absent)} of {plural(len(counts), 'class')} have no row in {split} and {what}: {listed(absent)}."
            yield Finding(f"missing_labels_{split}", summary, remedy=f"Add rows of these classes to {split}.")


def check_dropped(rows: Rows) -> Iterator[Finding]:
    """Finds rows that are left out because train does not have their label; then all that are left out or repaired."""
    for split, examples in rows.splits.items():
        unseen = [row for row in examples.bad_rows if row.reason == UNKNOWN]
        if unseen:
            has = "has" if len(unseen) == 1 else "have"
            summary = f"{plural(len(unseen), 'row')} of {split} {has} a label that train does not have; left out of the metrics: "
            summary += f"{unknown_words([row.label for row in unseen], rows.labels.names)}."
            listed_rows = tuple({"row_id": row.row_id, "split": split, "reason": row.reason} for row in unseen[:LISTED_ROWS])
            remedy = "Add such rows to train, or correct them."
            yield Finding(f"unseen_labels_{split}", summary, len(unseen), rows=listed_rows, remedy=remedy)
    bad = [(split, row) for split, examples in rows.splits.items() for row in examples.bad_rows]
    for name, dropped, what in (("dropped_rows", True, "not used"), ("repaired_rows", False, "repaired")):
        flagged = [(split, row) for split, row in bad if row.dropped == dropped]
        if not flagged:
            continue
        counts = Counter(f"{row.reason} ({split})" for split, row in flagged)
        shown = ", ".join(f"{reason}: {count}" for reason, count in counts.most_common())
        listed_rows = tuple(
            {"row_id": row.row_id, "split": split, "line": row.line, "reason": row.reason} for split, row in flagged[:LISTED_ROWS]
        )
        summary = f"{plural(len(flagged), 'row', 'was', 'were')} {what}: {shown}."
        summary, remedy = f"{summary}{null_hint(rows, flagged)}", "Check these rows in the source."
        yield Finding(name, summary, len(flagged), rows=listed_rows, remedy=remedy)


def null_hint(rows: Rows, flagged: Sequence[tuple[str, BadRow]]) -> str:
    """Says how a word such as null becomes a class; empty if no row was left out for one, or such words are classes already."""
    if rows.labels.keep_null or any(map(marker, rows.labels.names)):
        return ""
    reasons = {row.reason for _, row in flagged if row.reason.startswith(MISSING)} - WRONG
    words = {reason.removeprefix(MISSING) for reason in reasons} - {"-1", "empty"}
    if not words or rows.labels.problem_type == REGRESSION:
        return ""
    return f" If {' or '.join(sorted(words))} is a class of yours, set data.keep_null_labels: true."


def check_duplicates(rows: Rows) -> Iterator[Finding]:
    """Finds training rows that repeat an earlier row: same normalised text, same label."""
    train = rows.splits["train"]
    first: dict[tuple[str, Any], int] = {}
    firsts = [first.setdefault((key, train.labels[i]), i) for i, key in enumerate(rows.keys["train"])]
    repeats = [(i, j) for i, j in enumerate(firsts) if i != j]
    summary = (
        f"{len(repeats)} of {plural(len(train), 'training row')} repeat an earlier row: same label, same text ({NORMALISED})."
    )
    flagged = [(train, i, f"same as row {train.row_ids[j]}") for i, j in repeats]
    yield from row_finding("duplicates", summary, flagged, "Remove them; they count double in the loss.")


def check_conflicts(rows: Rows) -> Iterator[Finding]:
    """Finds training rows with the same normalised text and different labels; at most one of them can be right."""
    if rows.labels.problem_type == REGRESSION:
        return
    train = rows.splits["train"]
    groups: dict[str, list[int]] = defaultdict(list)
    for i, key in enumerate(rows.keys["train"]):
        groups[key].append(i)
    conflicts = [group for group in groups.values() if len({train.labels[i] for i in group}) > 1]
    flagged = []
    for group in conflicts:
        for i in group:
            others = [f"row {train.row_ids[j]} {rows.label('train', j)}" for j in group if train.labels[j] != train.labels[i]]
            flagged.append((train, i, f"labelled {rows.label('train', i)}; {listed(others, 3)}"))
    count = f"{plural(len(flagged), 'training row')} in {plural(len(conflicts), 'set')}"
    summary = f"{count} have different labels on the same text ({NORMALISED})."
    yield from row_finding("conflicting_labels", summary, flagged, "Decide which label is right.")


def check_leakage(rows: Rows) -> Iterator[Finding]:
    """Finds rows of another split whose text is in train, or nearly."""
    train = rows.splits["train"]
    others = {split: examples for split, examples in rows.splits.items() if split != "train"}
    texts = [text for examples in others.values() for text in examples.texts]
    pairs = None if train.pairs is None else [text for examples in others.values() for text in examples.pairs or ()]
    sizes = {split: len(examples) for split, examples in others.items()}
    for split, leaks in divided(find_leaks(train.texts, texts, train.pairs, pairs, rows.searched), sizes).items():
        examples = others[split]
        n_same = sum(examples.labels[leak.position] == train.labels[leak.train_position] for leak in leaks)
        summary = f"{len(leaks)} of {plural(len(examples), 'row')} of {split} have a text of train {counted(leaks)}, "
        summary += f"{n_same} with the same label ({NORMALISED})."
        flagged = [(examples, leak.position, leak.reason(train.row_ids[leak.train_position])) for leak in leaks]
        remedy = f"Remove them from {split} or from train: metrics on training texts are too high."
        yield from row_finding(f"leakage_{split}", summary, flagged, remedy)


def check_damage(rows: Rows) -> Iterator[Finding]:
    what = tuple(f"{verb} characters that a wrong encoding leaves behind" for verb in ("holds", "hold"))
    remedy = "Read the source again with the right encoding, or repair these texts."
    yield from search_texts(rows, "encoding_damage", damage, what, remedy)
    what = tuple(f"{verb} HTML entities instead of the characters" for verb in ("holds", "hold"))
    remedy = "Unescape them in the source (&amp; is &), in every split alike."
    yield from search_texts(rows, "html_entities", lambda text: ENTITY.search(text) if "&" in text else None, what, remedy)


def damage(text: str) -> re.Match[str] | None:
    if text.isascii() and "_x00" not in text:
        return ASCII_DAMAGE.search(text)
    return DAMAGE.search(text)


def search_texts(
    rows: Rows, name: str, search: Callable[[str], re.Match[str] | None], what: tuple[str, ...], remedy: str
) -> Iterator[Finding]:
    """Reports the texts in which ``search`` matches; ``what`` says it of one text, and of several."""
    matches = []
    for examples in rows.splits.values():
        for texts in filter(None, (examples.texts, examples.pairs)):
            matches += [(examples, i, match.group()) for i, text in enumerate(texts) if (match := search(text))]
    pieces = [repr(piece) for piece, _ in Counter(piece for *_, piece in matches).most_common(4)]
    flagged = [(examples, i, f"holds {piece!r}") for examples, i, piece in matches]
    yield from row_finding(name, f"{plural(len(matches), 'text', *what)}: {listed(pieces)}.", flagged, remedy)


def check_length(rows: Rows) -> Iterator[Finding]:
    long_texts = []
    for split, examples in rows.splits.items():
        for texts in filter(None, (examples.texts, examples.pairs)):
            long_texts += [(len(text), split, i) for i, text in enumerate(texts) if len(text) > LONG_TEXT_CHARACTERS]
    long_texts.sort(reverse=True)
    longest = f"the longest {long_texts[0][0] if long_texts else 0}; only their beginning is used"
    summary = f"{plural(len(long_texts), 'text', 'has', 'have')} more than {LONG_TEXT_CHARACTERS:,} characters, {longest}."
    remedy = "Check whether rows have run together (a lone quote in a csv file does that), or divide the texts."
    flagged = [(rows.splits[split], i, plural(size, "character")) for size, split, i in long_texts]
    yield from row_finding("long_texts", summary, flagged, remedy)


def row_finding(name: str, summary: str, flagged: Sequence[tuple[Examples, int, str]], remedy: str) -> Iterator[Finding]:
    """Yields the finding about rows, each with the reason why it is flagged; none without such rows."""
    if flagged:
        rows = tuple(
            {"row_id": examples.row_ids[i], "split": examples.split, "reason": reason, **public_text(examples, i)}
            for examples, i, reason in flagged[:LISTED_ROWS]
        )
        yield Finding(name, summary, len(flagged), rows=rows, remedy=remedy)


def public_text(examples: Examples, i: int, characters: int = SHOWN_CHARACTERS) -> dict[str, str]:
    """Returns the beginning of a row's text as a field of a finding; no field if the row holds personal data."""
    first, second = examples.texts[i], None if examples.pairs is None else examples.pairs[i]
    text = first if second is None else f"{first} / {second}"
    if find_personal_data(first) or find_personal_data(second or ""):
        return {}
    return {"text": text if len(text) <= characters else text[: characters - 1] + "…"}


CHECKS: tuple[Callable[[Rows], Iterator[Finding]], ...] = (
    check_labels,
    check_missing,
    check_dropped,
    check_duplicates,
    check_conflicts,
    check_leakage,
    check_damage,
    check_length,
)


def with_files(findings: Iterable[Finding], splits: Iterable[Examples | None]) -> list[Finding]:
    """Names the file and the line of each row of the findings, in splits whose rows are those of several files."""
    parts = {rows.split: rows for rows in splits if rows is not None and rows.files}

    def named(row: dict[str, Any]) -> dict[str, Any]:
        rows = parts.get(str(row.get("split")))
        place = None if rows is None or "row_id" not in row else rows.row_of_file(row["row_id"])
        return row if place is None else {**row, **place.columns}

    return [replace(finding, rows=tuple(map(named, finding.rows))) if parts else finding for finding in findings]
