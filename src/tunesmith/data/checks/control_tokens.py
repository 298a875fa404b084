"""Finds the tokenizer's special tokens in texts, which it reads as control tokens there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tunesmith.data.checks.rows import row_finding
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.data.table import Examples
from tunesmith.results import Finding

REMEDY = "The tokenizer reads them as control tokens, not as text. Remove or change them where they are not meant so."
UNKNOWN_TOKENS = "the rows were not searched for special tokens: the model's tokenizer.json is not on this machine"


def control_tokens(splits: Iterable[Examples | EmbeddingRows], special_tokens: Sequence[str] | None) -> list[Finding]:
    """Builds a finding for each split with special tokens in texts, with the numbers of the rows.

    Args:
        special_tokens: those of the tokenizer; None if they are not known, which is one skipped finding.
    """
    if special_tokens is None:
        return [Finding("control_tokens", "", skipped=UNKNOWN_TOKENS)]
    if not special_tokens:
        return []
    pattern = re.compile("|".join(map(re.escape, sorted(special_tokens, key=len, reverse=True))))
    findings = []
    for rows in splits:
        flagged: dict[int, str] = {}
        for side in sides_of(rows):
            for i, text in enumerate(side):
                if match := pattern.search(text):
                    flagged.setdefault(i, f"a text holds {match.group()!r}")
        summary = "{count} hold special tokens of the tokenizer"
        findings.append(row_finding("control_tokens", rows, flagged.items(), summary, REMEDY))
    return [finding for finding in findings if finding is not None]


def sides_of(rows: Examples | EmbeddingRows) -> Sequence[Sequence[str]]:
    """Returns the columns of texts."""
    if isinstance(rows, EmbeddingRows):
        return rows.sides
    return [rows.texts] if rows.pairs is None else [rows.texts, rows.pairs]
