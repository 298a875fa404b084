"""Finds the tokenizer's special tokens in texts, which it reads as control tokens there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tunesmith.data.cells import listed, plural
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.data.table import Examples
from tunesmith.results import Finding

LISTED_ROWS, SHOWN_ROW_IDS = 20, 5
REMEDY = "The tokenizer reads them as control tokens, not as text. Remove or change them where they are not meant so."


def control_tokens(splits: Iterable[Examples | EmbeddingRows], special_tokens: Sequence[str]) -> list[Finding]:
    """Builds a finding for each split with special tokens in texts, with the numbers of the rows."""
    if not special_tokens:
        return []
    pattern = re.compile("|".join(map(re.escape, sorted(special_tokens, key=len, reverse=True))))
    findings = []
    for rows in splits:
        matches: dict[int, str] = {}
        for side in sides_of(rows):
            for row_id, text in zip(rows.row_ids, side, strict=True):
                if match := pattern.search(text):
                    matches.setdefault(row_id, match.group())
        if matches:
            held = f"{len(matches):,} of {plural(len(rows), 'row')} of {rows.split} hold special tokens of the tokenizer"
            summary = f"{held}: rows {listed(matches, SHOWN_ROW_IDS)}"
            first = list(matches.items())[:LISTED_ROWS]
            shown = tuple({"row_id": i, "split": rows.split, "reason": f"a text holds {name!r}"} for i, name in first)
            findings.append(Finding("control_tokens", summary, len(matches), rows=shown, remedy=REMEDY))
    return findings


def sides_of(rows: Examples | EmbeddingRows) -> Sequence[Sequence[str]]:
    """Returns the columns of texts."""
    if isinstance(rows, EmbeddingRows):
        return rows.sides
    return [rows.texts] if rows.pairs is None else [rows.texts, rows.pairs]
