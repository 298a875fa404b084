"""Lists of candidate answers, and the count of those that are left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.tasks.reward.candidates import read_candidates


def test_lists_and_answers_without_different_scores_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lists = [
        {"prompt": "q", "responses": ["a", "b", "c"], "scores": [1, 2, None]},
        {"prompt": "r", "responses": ["a", "b"], "scores": [1, 1]},
        {"prompt": "s", "responses": ["a", "b"], "scores": [1, None]},
        {"prompt": "t", "responses": ["a", ""], "scores": [1, 2]},
    ]
    (tmp_path / "lists.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lists), encoding="utf-8")
    notes: list[str] = []
    (found,) = read_candidates("lists.jsonl", notes)
    assert found.scores == (1.0, 2.0)
    assert notes == [
        "1 row of lists.jsonl with a tie is not used.",
        "1 row of lists.jsonl whose prompt has no answer with another score is not used.",
        "1 row of lists.jsonl with an empty answer is not used.",
        "1 answer of lists.jsonl without a score or a rank is left out.",
    ]
