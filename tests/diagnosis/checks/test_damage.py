"""Texts that a wrong encoding has damaged."""

from __future__ import annotations

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.damage import encoding_damage


def test_damaged_texts_are_flagged_on_either_side() -> None:
    found = encoding_damage(evidence([0, 1, 0], ["a cafÃ© in town", "a café in town", "whole"], pairs=["x", "y", "itâ€™s"]))
    assert found.flagged is not None
    assert found.flagged.tolist() == [True, False, True]
    assert "2 of 3 rows" in found.summary
    assert found.reasons[0].startswith("holds 'Ã")
