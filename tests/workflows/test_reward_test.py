"""A reward that prefers spoilt answers is refused, one that tells them apart passes, and one that is no number is one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.cli.main import main
from tunesmith.evaluation.reward_variants import TIMES, VARIANTS, variants_of

REWARDS = """
def right(completions, completion, **_): return [float(a == b) for a, b in zip(completions, completion)]
def long(completions, **_): return [float(len(text)) for text in completions]
def short(completions, **_): return [-float(len(text)) for text in completions]
def same(completions, **_): return [0.5] * len(completions)
def words(completions, **_): return ["good"] * len(completions)
def infinite(completions, **_): return [float("inf")] * len(completions)
def few(completions, **_): return [1.0]
def none(completions, **_): return [None] * len(completions)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rows = [{"prompt": f"question {i} ?", "completion": f"answer {i} with some more words {i * 7}"} for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "rewards.py").write_text(REWARDS, encoding="utf-8")
    return tmp_path


def outcome_of(place: Path, name: str, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any]]:
    code = main(["--json", "reward-test", f"{place}/rewards.py:{name}", str(place / "rows.jsonl"), *more])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "preferred"),
    [("right", []), ("long", ["repeated"]), ("short", ["empty", "truncated"]), ("same", [])],
)
def test_a_reward_that_prefers_spoilt_answers_is_refused(place, capsys, name: str, preferred: list[str]) -> None:
    code, found = outcome_of(place, name, capsys)
    assert found["preferred"] == preferred
    assert code == (2 if preferred else 0)
    words = {variant["name"]: variant["verdict"]["word"] for variant in found["variants"][1:]}
    if name == "right":
        assert set(words.values()) == {"better"}
    if name == "same":
        assert set(words.values()) == {"cannot tell"}
        assert "the same reward" in found["notes"][0]


def test_rewards_of_nothing_are_seldom_refused() -> None:
    """Rewards drawn at random, forty answers: at most 5 of 100 tests may find one of five kinds of spoilt answers preferred."""
    from tunesmith.workflows.reward_test import compared, of_clusters, with_holm

    draw, refused = np.random.default_rng(0), 0
    for seed in range(100):
        good = draw.exponential(size=40)
        spoilt = [draw.exponential(size=40) for _ in range(5)]
        results = with_holm([compared(str(i), good, values, of_clusters(np.arange(40), seed)) for i, values in enumerate(spoilt)])
        refused += any(result.verdict is not None and result.verdict.word == "worse" for result in results)
    assert refused <= 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("words", "returned 'good' for completion 0"),
        ("infinite", "returned inf for completion 0"),
        ("few", "returned 1 reward on 40 completions"),
        ("none", "gives no reward (None) to 40 answers"),
        ("absent", "has no function absent"),
    ],
)
def test_a_reward_that_is_no_number_is_one_line(place, capsys, name: str, message: str) -> None:
    assert main(["reward-test", f"{place}/rewards.py:{name}", str(place / "rows.jsonl")]) == 2
    assert message in capsys.readouterr().err


def test_plain_texts_are_refused(place, capsys) -> None:
    (place / "texts.jsonl").write_text('{"text": "one text"}\n{"text": "another text"}\n', encoding="utf-8")
    assert main(["reward-test", f"{place}/rewards.py:long", str(place / "texts.jsonl")]) == 2
    assert "a reward is that of an answer" in capsys.readouterr().err


def test_the_answers_of_a_model_are_scored_as_well(place, capsys) -> None:
    code, found = outcome_of(place, "right", capsys, "--model", "builtin:pocket", "--max-new-tokens", "4")
    assert code == 0
    assert found["variants"][-1]["name"] == "generated"
    assert found["variants"][-1]["verdict"]["word"] == "better"


def test_variants_spoil_every_answer_in_their_way() -> None:
    answers = ["one two three four", "five", "six seven"]
    spoilt = variants_of(answers, 0)
    assert spoilt.keys() == VARIANTS.keys()
    assert spoilt["empty"] == [""] * 3
    assert spoilt["truncated"] == ["one two", "fi", "six"]
    assert spoilt["repeated"][1] == " ".join(["five"] * TIMES)
    assert all(a != b and a in answers for a, b in zip(spoilt["of another row"], answers, strict=True))
    assert [sorted(a.split()) for a in spoilt["words shuffled"]] == [sorted(a.split()) for a in answers]
    assert variants_of(answers, 0) == spoilt
