"""A few-shot baseline without room for an example is not the base model under another name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tunesmith.evaluation.outputs import Outputs
from tunesmith.tasks.language import evaluation


@pytest.mark.parametrize(
    ("counts", "has_outputs", "note"),
    [
        ([0, 0], False, "no prompt has room for an example beside its answer"),
        ([2, 1], True, "the base model with 2 examples in its prompt, 1 where there was no room for more"),
        (
            [2, 0],
            True,
            "the base model with 2 examples in its prompt, 0 where there was no room for more; 1 of 2 prompts have none",
        ),
    ],
)
def test_prompts_without_examples_are_counted(
    monkeypatch: pytest.MonkeyPatch, counts: list[int], has_outputs: bool, note: str
) -> None:
    session: Any = SimpleNamespace(examples=["a", "b"], splits={"test": SimpleNamespace(prompts=[1, 2])}, generation=None)
    monkeypatch.setattr(evaluation, "few_shot_outputs", lambda *_: (Outputs(), counts))
    (baseline,) = evaluation.few_shot_baseline(session, None)  # type: ignore[arg-type]
    assert (bool(baseline.outputs), baseline.note) == (has_outputs, note)
