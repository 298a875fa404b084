"""The checks of pairs find planted contradictions, repeats, cycles and leaks, and nothing in clean rows."""

from __future__ import annotations

from typing import Any

from tests.data.preferences.test_pairs import pairs_of, read
from tunesmith.data.checks.preferences import check_judged, check_pairs
from tunesmith.data.preferences.conversions import judged_of_pairs, pairs_of_judged
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.results import Finding


def row(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


CLEAN = [row(f"what about subject number {i} of the list?", f"a good answer {i}", f"a worse one {i}") for i in range(8)]


def findings(train: PreferencePairs, **others: PreferencePairs) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_pairs({"train": train, **others}, {})}


def test_clean_pairs_have_no_findings() -> None:
    assert findings(pairs_of(*CLEAN)) == {}


def test_planted_faults_are_found_with_their_rows() -> None:
    swapped, repeated = row(CLEAN[0]["prompt"], "a worse one 0", "A good  answer 0"), CLEAN[1]
    found = findings(pairs_of(*CLEAN, swapped, repeated, row("p", "Assistant: yes", "no")))
    assert [row["row_id"] for row in found["contradictory_pairs"].rows] == [0, 8]
    assert [row["row_id"] for row in found["repeated_pairs"].rows] == [9]
    assert [row["row_id"] for row in found["answers_with_role"].rows] == [10]
    assert set(found) == {"contradictory_pairs", "repeated_pairs", "answers_with_role"}


def test_a_contradiction_with_another_split_is_found() -> None:
    swapped = pairs_of(row(CLEAN[0]["prompt"], "a worse one 0", "a good answer 0")).take([0], "test")
    found = findings(pairs_of(*CLEAN), test=swapped)
    assert "row 0 of test" in found["contradictory_pairs"].rows[0]["reason"]
    assert "leakage_test" in found


def test_cycles_of_three_are_found_and_rankings_are_not() -> None:
    ranking = [row("q", "a", "b"), row("q", "b", "c"), row("q", "a", "c")]
    assert "cycles" not in findings(pairs_of(*ranking))
    found = findings(pairs_of(*ranking[:2], row("q", "c", "a"), row("r", "c", "a")))
    assert [row["row_id"] for row in found["cycles"].rows] == [0, 1, 2]


def test_an_answer_that_is_judged_twice_is_found() -> None:
    rows = read(*[{"prompt": "q", "completion": "a", "label": good} for good in (True, False)])
    assert isinstance(rows, JudgedAnswers)
    (finding,) = check_judged({"train": rows})
    assert finding.name == "contradictory_judgements"
    assert finding.flagged == 2


def judged(*rows: tuple[str, bool]) -> JudgedAnswers:
    found = read(*[{"prompt": "q", "completion": answer, "label": good} for answer, good in rows])
    assert isinstance(found, JudgedAnswers)
    return found


def test_an_answer_that_is_judged_twice_alike_is_a_repeat() -> None:
    (finding,) = check_judged({"train": judged(("a", True), ("b", False), ("A ", True), ("c", True))})
    assert (finding.name, [row["row_id"] for row in finding.rows]) == ("repeated_judgements", [2])
    # The pairs of one row have an answer several times, which is no repeat of a row.
    ranked = judged_of_pairs(pairs_of({"prompt": "q", "responses": ["a", "b", "c"], "scores": [3, 1, 1]}))
    assert not check_judged({"train": ranked})


def test_contradictions_of_judged_answers_are_found_where_they_become_pairs() -> None:
    rows = judged(("a", True), ("a", False), ("b", True), ("c", False))
    found = check_pairs({"train": pairs_of_judged(rows, [])}, {"train": rows})
    assert [finding.name for finding in found] == ["contradictory_judgements"]


def test_scores_that_speak_for_the_rejected_answer_are_named() -> None:
    scored = [{**row, "score_chosen": 3.0 if i == 2 else 8.0, "score_rejected": 7.0} for i, row in enumerate(CLEAN)]
    found = findings(pairs_of(*scored))
    assert [row["row_id"] for row in found["scored_otherwise"].rows] == [2]
    assert set(found) == {"scored_otherwise"}
