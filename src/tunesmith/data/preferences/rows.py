"""Defines the usable rows of preference data: pairs of a chosen and a rejected answer, and single answers judged good or bad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunesmith.data.chat.messages import Turns
from tunesmith.data.records import SourceRows


@dataclass(frozen=True)
class PreferencePairs(SourceRows):
    """The usable pairs of one split; the pairs of one ranking or list of scores share their row id.

    Attributes:
        kind: the format in which the source has them.
        columns: the columns that were read.
        prompts: (N) the turns before the answers, the same for both; empty where the source has two texts without a prompt.
        chosen, rejected: (N) the turns of each answer; the last one is the assistant's.
        margins: (N) the reward by which the chosen answer should be ahead, at least 0; None without a column of margins.
        gaps: (N) the difference of the scores or ranks of both answers, above 0; None where the source has neither.
        rows: (N) the raw cells of each row.
    """

    kind: str
    columns: tuple[str, ...]
    prompts: tuple[Turns, ...]
    chosen: tuple[Turns, ...]
    rejected: tuple[Turns, ...]
    margins: tuple[float, ...] | None = None
    gaps: tuple[float, ...] | None = None
    rows: tuple[Mapping[str, Any], ...] = ()

    def take(self, positions: Sequence[int], split: str) -> PreferencePairs:
        return replace(
            super().take(positions, split),
            prompts=tuple(self.prompts[i] for i in positions),
            chosen=tuple(self.chosen[i] for i in positions),
            rejected=tuple(self.rejected[i] for i in positions),
            margins=None if self.margins is None else tuple(self.margins[i] for i in positions),
            gaps=None if self.gaps is None else tuple(self.gaps[i] for i in positions),
            rows=tuple(self.rows[i] for i in positions) if self.rows else (),
        )


@dataclass(frozen=True)
class JudgedAnswers(SourceRows):
    """The usable rows of one split that hold one answer each, judged good or bad (unpaired, as KTO reads them).

    Attributes:
        kind: the format in which the source has them.
        columns: the columns that were read.
        prompts: (N) the turns before the answer.
        answers: (N) the turns of the answer; the last one is the assistant's.
        desirable: (N) whether the answer is a good one.
        rows: (N) the raw cells of each row.
    """

    kind: str
    columns: tuple[str, ...]
    prompts: tuple[Turns, ...]
    answers: tuple[Turns, ...]
    desirable: tuple[bool, ...]
    rows: tuple[Mapping[str, Any], ...] = ()

    def take(self, positions: Sequence[int], split: str) -> JudgedAnswers:
        return replace(
            super().take(positions, split),
            prompts=tuple(self.prompts[i] for i in positions),
            answers=tuple(self.answers[i] for i in positions),
            desirable=tuple(self.desirable[i] for i in positions),
            rows=tuple(self.rows[i] for i in positions) if self.rows else (),
        )
