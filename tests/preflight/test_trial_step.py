"""The trial step: what it reports of losses, gradients, lengths and time, and that it leaves no trace in the model."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch

from tunesmith.preflight.trial_step import (
    TrialPart,
    TrialResult,
    check_trial_steps,
    estimate_time,
    first_loss_line,
    gradient_line,
    length_line,
    proven,
    trial_step,
)
from tunesmith.recipe.sections import TrainSection
from tunesmith.results import Certificate


class Linear(torch.nn.Module):
    """One used weight, one weight that no loss reaches, and one frozen weight."""

    def __init__(self) -> None:
        super().__init__()
        self.used = torch.nn.Parameter(torch.tensor([2.0]))
        self.unused = torch.nn.Parameter(torch.tensor([1.0]))
        self.frozen = torch.nn.Parameter(torch.tensor([1.0]), requires_grad=False)


def make_part(
    module: Linear, factor: float = 1.0, seen: list[list[int]] | None = None, *, is_bucketed: bool = False
) -> TrialPart:
    """Rows of lengths 3, 9, 1, 9 whose loss is ``factor`` times the weight, for each batch that it notes in ``seen``."""

    def compute_loss(positions: list[int]) -> torch.Tensor:
        assert module.training
        if seen is not None:
            seen.append(positions)
        return module.used.sum() * factor

    return TrialPart(np.array([3, 9, 1, 9]), compute_loss, module, "CoSENTLoss", is_bucketed=is_bucketed)


def test_a_trial_step_names_missing_gradients_and_leaves_the_module_as_it_was() -> None:
    module = Linear().eval()
    result = trial_step(make_part(module), [0])
    assert result == TrialResult(2.0, ["unused"], [])
    assert not module.training
    assert module.used.grad is None
    assert module.used.item() == 2.0


def test_a_trial_step_names_gradients_that_are_not_finite() -> None:
    assert trial_step(make_part(Linear(), math.inf), [0]).not_finite == ["used"]


def test_the_steps_run_on_the_longest_rows_and_the_largest_loss_is_returned() -> None:
    seen: list[list[int]] = []
    lines, largest = check_trial_steps([make_part(Linear(), seen=seen), make_part(Linear(), 3.0)], 2, math.nan)
    assert seen == [[1, 3]]
    assert largest == 6.0
    assert [line.check for line in lines] == ["longest batch", *["first loss", "gradients"] * 2]
    assert lines[1].figure == "2.000 (CoSENTLoss)"


def test_a_first_loss_far_above_chance_is_a_note_and_one_that_is_not_finite_a_problem() -> None:
    usual = first_loss_line(0.7, 0.6931, "")
    assert (usual.figure, usual.note, usual.problem) == ("0.700, at chance level it is 0.693", "", None)
    assert first_loss_line(9.0, 0.6931, "").note.startswith("the first loss is above chance level: 9.000")
    assert first_loss_line(8.5050, 7.6246, "").note.startswith("the first loss is above chance level: 8.505")
    assert not first_loss_line(7.9, 7.6246, "").note
    assert not first_loss_line(8.5, math.nan, "").note
    problem = first_loss_line(math.nan, 0.6931, "").problem
    assert problem is not None
    assert problem.message == "it is nan."


def test_missing_gradients_are_a_note_and_gradients_that_are_not_finite_a_problem() -> None:
    assert gradient_line(TrialResult(1.0, [], [])).figure == "finite in every trainable parameter"
    missing = gradient_line(TrialResult(1.0, ["a", "b", "c", "d"], []))
    assert missing.note == "4 trainable parameters get no gradient: a, b, c"
    assert missing.problem is None
    broken = gradient_line(TrialResult(1.0, [], ["head"])).problem
    assert broken is not None
    assert broken.message == "1 trainable parameter gets gradients that are not finite: head."


@pytest.mark.parametrize(("n_truncated", "has_note"), [(5, False), (6, True)])
def test_many_truncated_rows_are_a_note(n_truncated: int, has_note: bool) -> None:
    record = {"length_tokens": {"max": 700}, "max_length": 512, "rows_truncated": n_truncated, "rows_dropped": {"no answer": 2}}
    line = length_line("train", 100, n_truncated, record)
    assert line.check == "lengths of train"
    assert line.figure == f"longest 700 tokens, limit 512; 2 rows dropped: no answer; {n_truncated} rows cut"
    assert bool(line.note) is has_note


def test_rows_that_fit_lose_nothing() -> None:
    assert (
        length_line("test", 4, 0, {"length_tokens": {"max": 7}, "max_length": 8}).figure
        == "longest 7 tokens, limit 8; nothing cut"
    )


@pytest.mark.parametrize(("n_seeds", "times"), [(1, ""), (3, " for each of 3 seeds")])
def test_the_estimate_counts_steps_accumulation_and_seeds(n_seeds: int, times: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    train = TrainSection(per_device_train_batch_size=4, gradient_accumulation_steps=2, max_steps=5, n_seeds=n_seeds)
    seen: list[list[int]] = []
    seconds, line = estimate_time([make_part(Linear(), seen=seen)], 10, train)
    assert len(seen) == 2  # the first step is not timed, since it allocates
    assert seconds == 1.0 * 5 * 2 * n_seeds
    assert line.figure == f"training about 10 s (5 steps){times}"


def test_the_estimate_of_bucketed_batches_leaves_out_the_padding_of_a_random_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    train = TrainSection(per_device_train_batch_size=4, max_steps=9)
    seconds, _ = estimate_time([make_part(Linear(), is_bucketed=True)], 10, train)
    assert seconds == pytest.approx(9 * 5.5 / 9)  # the mean length over the longest


def test_a_certificate_that_failed_is_a_problem_with_its_remedy() -> None:
    assert proven(Certificate("equal", True, 1e-7, 1e-5, "largest difference"), "").problem is None
    line = proven(Certificate("equal", False, 0.5, 1e-5, "largest difference"), "Report it.")
    assert line.problem is not None
    assert (line.problem.message, line.problem.remedy) == ("largest difference 0.5 (limit 1e-05).", "Report it.")
