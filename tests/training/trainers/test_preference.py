"""Batches of preference rows are those of TRL's own collators, and judged answers are mixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.models.chat.answers import Answers
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.training.trainers.preference import PreferenceTokens, dpo_batch, item_batches, kto_batch
from tunesmith.training.trainers.preference_experimental import cpo_batch

PROMPTS, CHOSEN, REJECTED = ([1, 2, 3], [7, 8]), ([4, 5], [9]), ([6], [10, 11, 12])
DESIRABLE = (True, False)


def side(answers: tuple[list[int], ...]) -> Answers:
    ids = tuple(np.array(prompt + answer, dtype=np.int32) for prompt, answer in zip(PROMPTS, answers, strict=True))
    labels = [[IGNORE_INDEX] * len(prompt) + answer for prompt, answer in zip(PROMPTS, answers, strict=True)]
    return Answers(ids, tuple(np.array(row, dtype=np.int32) for row in labels))


def tokens(max_length: int = 64, desirable: tuple[bool, ...] | None = None) -> PreferenceTokens:
    return PreferenceTokens((5, 6), side(CHOSEN), None if desirable else side(REJECTED), desirable, 0, max_length)


def equal(ours: dict[str, torch.Tensor], theirs: dict[str, Any]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_a_batch_of_pairs_is_that_of_trl() -> None:
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    rows = [{"prompt_ids": p, "chosen_ids": c, "rejected_ids": r} for p, c, r in zip(PROMPTS, CHOSEN, REJECTED, strict=True)]
    assert equal(dpo_batch(tokens(), [1, 0]), DataCollatorForPreference(0)([rows[1], rows[0]]))


def test_a_batch_of_judged_answers_is_that_of_trl() -> None:
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    rows = [
        {"prompt_ids": p, "completion_ids": c, "KL_completion_ids": CHOSEN[i - 1], "label": DESIRABLE[i]}
        for i, (p, c) in enumerate(zip(PROMPTS, CHOSEN, strict=True))
    ]
    assert equal(kto_batch(tokens(desirable=DESIRABLE), [0, 1]), DataCollatorForUnpairedPreference(0)(rows))
    cut = kto_batch(tokens(4, DESIRABLE), [0, 1])
    assert cut["KL_input_ids"].shape[1] == 4


def test_a_batch_of_cpo_is_that_of_trl() -> None:
    from trl.experimental.utils import DPODataCollatorWithPadding

    rows = [
        {
            f"{name}_{part}": value
            for name, answers in (("chosen", CHOSEN), ("rejected", REJECTED))
            for part, value in (
                ("input_ids", PROMPTS[i] + answers[i]),
                ("attention_mask", [1] * len(PROMPTS[i] + answers[i])),
                ("labels", [IGNORE_INDEX] * len(PROMPTS[i]) + answers[i]),
            )
        }
        for i in range(2)
    ]
    assert equal(cpo_batch(tokens(), [0, 1]), DPODataCollatorWithPadding(pad_token_id=0)(rows))


@pytest.mark.parametrize(("count", "size", "sizes"), [(8, 4, [4, 4]), (5, 4, [5]), (9, 4, [4, 5]), (1, 4, [1]), (6, 4, [4, 2])])
def test_an_item_alone_joins_the_batch_before_it(count: int, size: int, sizes: list[int]) -> None:
    batches = list(item_batches(count, size))
    assert [len(batch) for batch in batches] == sizes
    assert [item for batch in batches for item in batch] == list(range(count))
