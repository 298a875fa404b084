"""What the evidence allows the checks to say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks.dynamics import aum, forgetting
from tunesmith.diagnosis.checks.pvi import pvi
from tunesmith.diagnosis.checks.shapley import shapley


def test_labels_that_no_model_reads_from_the_texts_are_not_flagged() -> None:
    draw = np.random.default_rng(0)
    own, given = draw.random(300), draw.integers(0, 2, 300)
    logits = draw.normal(size=(3, 300, 2))
    of_coins = evidence(
        given.tolist(), pred_probs=np.stack([own, 1 - own], axis=1), embeddings=draw.normal(size=(300, 8)), epoch_logits=logits
    )
    for check in (pvi, shapley, aum, forgetting):
        found = check(of_coins)
        assert found.flagged is not None
        assert not found.flagged.any()
        assert "too little of the labels" in found.summary
        assert found.scores is not None
    without = replace(of_coins, pred_probs=None)
    assert all(check(without).flagged.any() for check in (shapley, aum, forgetting))  # type: ignore[union-attr]


def test_equal_rows_are_one_unit_of_what_the_model_knows() -> None:
    draw = np.random.default_rng(4)
    own, given = draw.beta(2, 2, 10), draw.integers(0, 2, 10)
    texts = [f"text {i} of {i * 7919}" for i in range(10)]

    def known(count: int) -> bool:
        """Each of ten predictions about labels of coins, so many times."""
        place = np.repeat(np.arange(10), count)
        probs = np.stack([own, 1 - own], axis=1)[place]
        return evidence(given[place].tolist(), texts=[texts[i] for i in place], pred_probs=probs).is_informed

    assert not known(30)
