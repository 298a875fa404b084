"""What is wrong with the rows themselves, found before any model is loaded.

Each check is a function of the splits that returns one Finding or None; ``survey`` calls them in the order of the table.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.data.cells import listed
from tunesmith.data.labelled.labels import MULTI, REGRESSION, UNKNOWN
from tunesmith.data.normalise import text_keys
from tunesmith.data.personal import personal_in
from tunesmith.data.table import Examples, Labels
from tunesmith.results import Finding

# Rows listed in a finding; all are counted.
LISTED = 50
# The largest class has this many times the rows of the smallest before it is called imbalance.
IMBALANCE = 10
# Classes with fewer training rows than this are hardly learnt and not measured.
FEW_ROWS = 5
LONG_TEXT = 100_000
# Characters of a text in a finding.
BRIEF = 120
SAME = "case, spaces and punctuation aside"

# UTF-8 read as cp1252 or latin-1 (Ã©, â€™, Â£), the replacement character, Excel's escapes, control characters.
DAMAGE = re.compile(
    "[ÂÃ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€|â„¢|ðŸ|ï¿½|\ufffd|_x00[01][0-9A-Fa-f]_|[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f\x80-\x9f]"
)
# All that can be damaged in a text of ASCII characters only; most texts are, and this is five times faster.
ASCII_DAMAGE = re.compile("[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f]")
ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,6}|#x[0-9a-fA-F]{2,5});")


@dataclass(frozen=True)
class Rows:
    """The splits that exist, and the key of each row for comparisons (equal keys are duplicates)."""

    splits: Mapping[str, Examples]
    keys: Mapping[str, list[str]]
    labels: Labels

    def label(self, split: str, i: int) -> str:
        return label_words(self.splits[split].labels[i], self.labels)


def survey(train: Examples, validation: Examples | None, test: Examples | None, labels: Labels) -> list[Finding]:
    """The findings about the rows, in a fixed order; a check that finds nothing leaves none.

    ``labels`` (the counts) is always there. ``flagged`` counts rows; ``rows`` lists the first 50 of them.
    """
    splits = {x.split: x for x in (train, validation, test) if x is not None}
    rows = Rows(splits, {name: text_keys(x.texts, x.pairs) for name, x in splits.items()}, labels)
    return [finding for check in CHECKS for finding in check(rows)]


def label_counts(examples: Examples, labels: Labels) -> dict[str, int]:
    """Class name -> rows, in id order, classes without a row included; for scores their range is given by ``score_range``."""
    counts = dict.fromkeys(labels.names, 0)
    if labels.problem_type == REGRESSION:
        return {"score": sum(label is not None for label in examples.labels)}
    for label in examples.labels:
        if label is None:
            continue
        for i in (i for i, flag in enumerate(label) if flag) if isinstance(label, tuple) else (label,):
            counts[labels.names[i]] += 1
    return counts


def label_words(label: Any, labels: Labels) -> str:
    """A label as the user knows it."""
    if label is None:
        return ""
    if labels.problem_type == REGRESSION:
        return f"{label:g}"
    if isinstance(label, tuple):
        return ", ".join(name for name, flag in zip(labels.names, label, strict=True) if flag) or "(none)"
    return labels.names[int(label)]


def check_labels(rows: Rows) -> Iterator[Finding]:
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
    summary = f"{len(order)} {kind} in {len(train)} training rows: {shown}."
    remedy = ""
    if largest >= IMBALANCE * max(1, smallest):
        summary += f" The largest has {largest / max(1, smallest):.0f} times the rows of the smallest ({order[-1]})."
        remedy = "Judge by macro F1 or MCC rather than accuracy; train.class_weights: balanced weighs rare classes up."
    yield Finding("labels", summary, remedy=remedy)


def check_rare(rows: Rows) -> Iterator[Finding]:
    if rows.labels.problem_type == REGRESSION:
        return
    counts = label_counts(rows.splits["train"], rows.labels)
    rare = [name for name, count in counts.items() if count < FEW_ROWS]
    if rare:
        summary = (
            f"{len(rare)} classes have fewer than {FEW_ROWS} training rows: {listed(f'{name}: {counts[name]}' for name in rare)}."
        )
        yield Finding("rare_labels", summary, sum(counts[name] for name in rare), remedy="Add rows, or merge these classes.")


def check_missing(rows: Rows) -> Iterator[Finding]:
    """Classes of which a split has no row, so that nothing can be said about them there."""
    if rows.labels.problem_type == REGRESSION:
        return
    for split, examples in rows.splits.items():
        counts = label_counts(examples, rows.labels)
        absent = [name for name, count in counts.items() if not count]
        if absent:
            what = "cannot be learnt" if split == "train" else f"are not measured on {split}"
            summary = f"{len(absent)} of {len(counts)} classes have no row in {split} and {what}: {listed(absent)}."
            yield Finding(f"missing_labels_{split}", summary, remedy=f"Add rows of these classes to {split}.")


def check_unseen(rows: Rows) -> Iterator[Finding]:
    """Rows kept out because their label is not among those of train."""
    for split, examples in rows.splits.items():
        bad = [row for row in examples.bad_rows if row.reason == UNKNOWN]
        if bad:
            summary = f"{len(bad)} rows of {split} have a label that train does not have; they are kept out of the metrics."
            listed_rows = tuple({"row_id": row.row_id, "split": split, "reason": row.reason} for row in bad[:LISTED])
            yield Finding(
                f"unseen_labels_{split}", summary, len(bad), rows=listed_rows, remedy="Add such rows to train, or correct them."
            )


def check_dropped(rows: Rows) -> Iterator[Finding]:
    bad = [(split, row) for split, examples in rows.splits.items() for row in examples.bad_rows]
    for name, dropped, what in (("dropped_rows", True, "were not used"), ("repaired_rows", False, "were repaired")):
        found = [(split, row) for split, row in bad if row.dropped == dropped]
        if not found:
            continue
        counts = Counter(f"{row.reason} ({split})" for split, row in found)
        shown = ", ".join(f"{reason}: {count}" for reason, count in counts.most_common())
        listed_rows = tuple(
            {"row_id": row.row_id, "split": split, "line": row.line, "reason": row.reason} for split, row in found[:LISTED]
        )
        yield Finding(
            name, f"{len(found)} rows {what}: {shown}.", len(found), rows=listed_rows, remedy="Look at these rows in the source."
        )


def check_duplicates(rows: Rows) -> Iterator[Finding]:
    """Rows of train that repeat an earlier row: same normalised text, same label."""
    train = rows.splits["train"]
    first: dict[tuple[str, Any], int] = {}
    found = []
    for i, key in enumerate(rows.keys["train"]):
        j = first.setdefault((key, train.labels[i]), i)
        if j != i:
            found.append((i, j))
    if found:
        summary = f"{len(found)} of {len(train)} training rows repeat an earlier row: same label, same text ({SAME})."
        listed_rows = tuple(
            {"row_id": train.row_ids[i], "split": "train", "reason": f"same as row {train.row_ids[j]}", **public_text(train, i)}
            for i, j in found[:LISTED]
        )
        yield Finding("duplicates", summary, len(found), rows=listed_rows, remedy="Remove them; they count double in the loss.")


def check_conflicts(rows: Rows) -> Iterator[Finding]:
    """Training rows with the same normalised text and different labels; at most one of them can be right."""
    if rows.labels.problem_type == REGRESSION:
        return
    train = rows.splits["train"]
    groups: dict[str, list[int]] = defaultdict(list)
    for i, key in enumerate(rows.keys["train"]):
        groups[key].append(i)
    conflicts = [group for group in groups.values() if len({train.labels[i] for i in group}) > 1]
    if not conflicts:
        return
    listed_rows = tuple(
        {"row_id": train.row_ids[i], "split": "train", "reason": f"labelled {rows.label('train', i)}; {others(rows, group, i)}",
         **public_text(train, i)}
        for group in conflicts for i in group
    )  # fmt: skip
    summary = f"{len(listed_rows)} training rows in {len(conflicts)} sets have different labels on the same text ({SAME})."
    yield Finding(
        "conflicting_labels", summary, len(listed_rows), rows=listed_rows[:LISTED], remedy="Decide which label is right."
    )


def others(rows: Rows, group: list[int], i: int) -> str:
    """The rows of the set that say something else than row ``i``."""
    train = rows.splits["train"]
    return listed((f"row {train.row_ids[j]} {rows.label('train', j)}" for j in group if train.labels[j] != train.labels[i]), 3)


def check_leakage(rows: Rows) -> Iterator[Finding]:
    """Rows of another split whose normalised text is in train."""
    first: dict[str, int] = {}
    train = rows.splits["train"]
    for i, key in enumerate(rows.keys["train"]):
        first.setdefault(key, i)
    for split, examples in rows.splits.items():
        found = [] if split == "train" else [(i, first[key]) for i, key in enumerate(rows.keys[split]) if key in first]
        if not found:
            continue
        same = sum(examples.labels[i] == train.labels[j] for i, j in found)
        summary = f"{len(found)} of {len(examples)} rows of {split} have a text of train, {same} with the same label ({SAME})."
        listed_rows = tuple(
            {
                "row_id": examples.row_ids[i],
                "split": split,
                "reason": f"same text as train row {train.row_ids[j]}",
                **public_text(examples, i),
            }
            for i, j in found[:LISTED]
        )
        remedy = f"Remove them from {split} or from train: a figure on texts that were trained on is too good."
        yield Finding(f"leakage_{split}", summary, len(found), rows=listed_rows, remedy=remedy)


def check_damage(rows: Rows) -> Iterator[Finding]:
    what = "hold characters that a wrong encoding leaves behind"
    yield from search(
        rows, "encoding_damage", damage, what, "Read the source again with the right encoding, or repair these texts."
    )
    what = "hold HTML entities instead of the characters"
    remedy = "Unescape them in the source (&amp; is &), in every split alike."
    yield from search(rows, "html_entities", lambda text: ENTITY.search(text) if "&" in text else None, what, remedy)


def damage(text: str) -> re.Match[str] | None:
    if text.isascii() and "_x00" not in text:
        return ASCII_DAMAGE.search(text)
    return DAMAGE.search(text)


def search(rows: Rows, name: str, look: Callable[[str], re.Match[str] | None], what: str, remedy: str) -> Iterator[Finding]:
    """A finding for the texts in which something is found."""
    found = []
    for split, examples in rows.splits.items():
        for texts in filter(None, (examples.texts, examples.pairs)):
            found += [(split, i, match.group()) for i, text in enumerate(texts) if (match := look(text))]
    if found:
        pieces = [repr(piece) for piece, _ in Counter(piece for *_, piece in found).most_common(4)]
        listed_rows = tuple(
            {
                "row_id": rows.splits[split].row_ids[i],
                "split": split,
                "reason": f"holds {piece!r}",
                **public_text(rows.splits[split], i),
            }
            for split, i, piece in found[:LISTED]
        )
        yield Finding(name, f"{len(found)} texts {what}: {listed(pieces)}.", len(found), rows=listed_rows, remedy=remedy)


def check_length(rows: Rows) -> Iterator[Finding]:
    found = []
    for split, examples in rows.splits.items():
        for texts in filter(None, (examples.texts, examples.pairs)):
            found += [(len(text), split, i) for i, text in enumerate(texts) if len(text) > LONG_TEXT]
    if found:
        found.sort(reverse=True)
        listed_rows = tuple(
            {
                "row_id": rows.splits[split].row_ids[i],
                "split": split,
                "reason": f"{size} characters",
                **public_text(rows.splits[split], i),
            }
            for size, split, i in found[:LISTED]
        )
        summary = (
            f"{len(found)} texts have more than {LONG_TEXT} characters, the longest {found[0][0]}; only their beginning is used."
        )
        remedy = "Look whether rows have run together (a lone quote in a csv file does that), or divide the texts."
        yield Finding("long_texts", summary, len(found), rows=listed_rows, remedy=remedy)


def public_text(examples: Examples, i: int, characters: int = BRIEF) -> dict[str, str]:
    """The beginning of a row's text as a field of a finding; none where the row holds personal data."""
    first, second = examples.texts[i], None if examples.pairs is None else examples.pairs[i]
    text = first if second is None else f"{first} / {second}"
    if personal_in(first) or personal_in(second or ""):
        return {}
    return {"text": text if len(text) <= characters else text[: characters - 1] + "…"}


CHECKS: tuple[Callable[[Rows], Iterator[Finding]], ...] = (
    check_labels,
    check_rare,
    check_missing,
    check_unseen,
    check_dropped,
    check_duplicates,
    check_conflicts,
    check_leakage,
    check_damage,
    check_length,
)
